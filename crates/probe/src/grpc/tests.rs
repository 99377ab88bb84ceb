use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{AddressPolicies, ProbeKey};
use h2::server::SendResponse;
use http::{Response, StatusCode};
use proptest::prelude::*;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::attempt::probe;
use crate::testing::tls::Authority;
use crate::tls::{Tls, Trusts};

const TIMEOUT: Duration = Duration::from_millis(500);

/// How a server goes wrong; otherwise it answers as the health service of the whole server and of `good.Service` does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Says this health.
    Health(u8),
    /// Says this status and no health.
    Status(&'static str),
    /// The same, in trailers behind an empty body.
    LateStatus(&'static str),
    /// 200, and HTML.
    Html,
    /// Another status of HTTP.
    Http(u16),
    /// A body without end.
    Endless,
    /// Headers of 20 KiB.
    LongHeaders,
    /// Half an answer, and no trailers ever.
    Half,
    /// Trailers without a status.
    Bare,
    /// Takes the request, and never answers.
    Hang,
    /// RST_STREAM in place of an answer.
    Reset,
    /// GOAWAY in place of an answer.
    Goodbye,
}

/// Refuses what no health check may look like.
fn is_strict(request: &Request<RecvStream>, tls: bool) -> bool {
    let head =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    request.method() == Method::POST
        && request.uri().path() == "/grpc.health.v1.Health/Check"
        && request.uri().scheme_str() == Some(if tls { "https" } else { "http" })
        && request.uri().authority().map(http::uri::Authority::as_str) == Some("www.example.com")
        && head("te") == "trailers"
        && head("content-type") == "application/grpc"
        && head("user-agent").starts_with("fleetdns/")
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    manner: Manner,
    tls: bool,
) -> Option<()> {
    let strict = is_strict(&request, tls);
    let mut body = request.into_body();
    let mut asked = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        body.flow_control().release_capacity(chunk.len()).ok()?;
        asked.extend_from_slice(&chunk);
    }
    let head = || Response::builder().header("content-type", "application/grpc+proto");
    let refusal = |status: &str| head().header("grpc-status", status).body(()).unwrap();
    if !strict {
        respond.send_response(refusal("3"), true).ok()?;
        return None;
    }
    let trailers = |status: &'static str| {
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))])
    };
    match manner {
        Manner::Health(health) => {
            let known = match asked.as_slice() {
                [0, 0, 0, 0, 0] => true,
                [0, 0, 0, 0, 14, 10, 12, name @ ..] => name == b"good.Service",
                _ => false,
            };
            if !known {
                respond.send_response(refusal("5"), true).ok()?;
                return None;
            }
            let mut stream = respond.send_response(head().body(()).unwrap(), false).ok()?;
            let message: &'static [u8] = Box::leak(
                if health == 0 { vec![0; 5] } else { vec![0, 0, 0, 0, 2, 8, health] }.into_boxed_slice(),
            );
            // A server may cut its answer anywhere.
            stream.send_data(Bytes::from_static(&message[..3]), false).ok()?;
            stream.send_data(Bytes::from_static(&message[3..]), false).ok()?;
            stream.send_trailers(trailers("0")).ok()?;
        }
        Manner::Status(status) => drop(respond.send_response(refusal(status), true).ok()?),
        Manner::LateStatus(status) => {
            let mut stream = respond.send_response(head().body(()).unwrap(), false).ok()?;
            stream.send_trailers(trailers(status)).ok()?;
        }
        Manner::Html => {
            let html = Response::builder().header("content-type", "text/html").body(()).unwrap();
            respond.send_response(html, true).ok()?;
        }
        Manner::Http(status) => {
            let head = head().status(StatusCode::from_u16(status).unwrap()).body(()).unwrap();
            respond.send_response(head, true).ok()?;
        }
        Manner::Endless => {
            let mut stream = respond.send_response(head().body(()).unwrap(), false).ok()?;
            while stream.send_data(Bytes::from_static(&[0; 4096]), false).is_ok() {
                tokio::task::yield_now().await;
            }
        }
        Manner::LongHeaders => {
            let long = head().header("x", "x".repeat(20_000)).header("grpc-status", "0").body(()).unwrap();
            respond.send_response(long, true).ok()?;
        }
        Manner::Half => {
            let mut stream = respond.send_response(head().body(()).unwrap(), false).ok()?;
            stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).ok()?;
            std::future::pending::<()>().await;
        }
        Manner::Bare => {
            let mut stream = respond.send_response(head().body(()).unwrap(), false).ok()?;
            stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).ok()?;
            stream.send_trailers(HeaderMap::new()).ok()?;
        }
        Manner::Hang => std::future::pending::<()>().await,
        Manner::Reset => respond.send_reset(Reason::REFUSED_STREAM),
        Manner::Goodbye => {}
    }
    Some(())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, manner: Manner, tls: bool) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        if manner == Manner::Goodbye {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        } else {
            tokio::spawn(answer(request, respond, manner, tls));
        }
    }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn server(manner: Manner) -> u16 {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, manner, false));
        }
    });
    port
}

async fn tls_server(mut config: ServerConfig, alpn: &[&[u8]]) -> u16 {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, Manner::Health(1), true).await;
                }
            });
        }
    });
    port
}

async fn asked(spec: &str, tls: Tls) -> Option<String> {
    let address = IpAddr::from([127, 0, 0, 1]);
    let key = ProbeKey { address, spec: Arc::new(spec.parse().unwrap()) };
    let timeout = if spec.starts_with("grpcs") { TIMEOUT * 5 } else { TIMEOUT };
    match probe(key, Trusts::only(tls), Arc::new(AddressPolicies::unrestricted()), timeout).await {
        Answer::Pass => None,
        Answer::Fail(failure) => Some(failure.to_string()),
        other => panic!("{other:?}"),
    }
}

async fn plain(port: u16, service: &str) -> Option<String> {
    asked(&format!("grpc:{port}@www.example.com/{service}"), Tls::nobody()).await
}

#[tokio::test]
async fn only_serving_passes_and_each_other_answer_has_its_name() {
    let health = "gRPC health check: ";
    for (manner, expected) in [
        (Manner::Health(1), None),
        (Manner::Health(0), Some(format!("{health}UNKNOWN"))),
        (Manner::Health(2), Some(format!("{health}NOT_SERVING"))),
        (Manner::Health(3), Some(format!("{health}SERVICE_UNKNOWN"))),
        (Manner::Health(9), Some(format!("{health}health 9"))),
        (Manner::Status("12"), Some(format!("{health}UNIMPLEMENTED: the server has no health service"))),
        (Manner::LateStatus("12"), Some(format!("{health}UNIMPLEMENTED: the server has no health service"))),
        (Manner::LateStatus("14"), Some(format!("{health}UNAVAILABLE"))),
        (Manner::Status("16"), Some(format!("{health}UNAUTHENTICATED"))),
        (Manner::Status("99"), Some(format!("{health}status 99"))),
        (Manner::Status("0"), Some("the answer is not gRPC".to_owned())),
        (Manner::LateStatus("0"), Some("the answer is not gRPC".to_owned())),
        (Manner::Status("x"), Some("the answer is not gRPC".to_owned())),
        (Manner::Bare, Some("the answer is not gRPC".to_owned())),
        (Manner::Html, Some("the answer is not gRPC".to_owned())),
        (Manner::Http(503), Some("status 503".to_owned())),
        (Manner::Endless, Some("the answer is not gRPC".to_owned())),
        (Manner::Half, Some("no answer within 500ms".to_owned())),
        (Manner::Hang, Some("no answer within 500ms".to_owned())),
        (
            Manner::Reset,
            Some(
                "the server broke the request off: refused stream before processing any application logic"
                    .to_owned(),
            ),
        ),
        (
            Manner::Goodbye,
            Some("the server ended the connection: detected excessive load generating behavior".to_owned()),
        ),
    ] {
        assert_eq!(plain(server(manner).await, "").await, expected);
    }
    let long = plain(server(Manner::LongHeaders).await, "").await;
    assert!(long.is_some(), "more headers than are kept");
}

#[tokio::test]
async fn the_service_that_is_asked_for_is_known_to_the_server_or_not() {
    let port = server(Manner::Health(1)).await;
    assert_eq!(plain(port, "good.Service").await, None);
    let unknown = "gRPC health check: NOT_FOUND: the server does not know this service";
    assert_eq!(plain(port, "other.Service").await.as_deref(), Some(unknown));
}

#[tokio::test]
async fn what_does_not_speak_http2_is_said_so() {
    let (http1, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = http1.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.ok()?;
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.ok()
            });
        }
    });
    assert_eq!(plain(port, "").await.as_deref(), Some("the answer is not HTTP/2"));
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap().port();
    assert_eq!(plain(closed, "").await.as_deref(), Some("connection refused"));
    let (silent, port) = listener().await;
    let held = tokio::spawn(async move { (silent.accept().await.unwrap().0, silent.accept().await) });
    assert_eq!(plain(port, "").await.as_deref(), Some("no answer within 500ms"));
    held.abort();
    let (curt, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = curt.accept().await {
            half_close(stream).await;
        }
    });
    let closed = plain(port, "").await;
    assert!(closed.as_deref().is_some_and(|text| text.starts_with("connection")), "{closed:?}");
}

/// Reads what comes, and closes without a word.
async fn half_close(mut stream: TcpStream) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn certificates_are_verified_and_http2_is_agreed_on() {
    let (authority, stranger) = (Authority::new("grpc"), Authority::new("grpc-stranger"));
    let h2: &[&[u8]] = &[b"h2"];
    let name = "www.example.com";
    for (port, expected) in [
        (tls_server(authority.config(name, false), h2).await, None),
        (tls_server(authority.config(name, false), &[]).await, None),
        (tls_server(authority.config(name, true), h2).await, Some("certificate expired")),
        (
            tls_server(authority.config("x.example.com", false), h2).await,
            Some("certificate not for www.example.com"),
        ),
        (
            tls_server(stranger.config(name, false), h2).await,
            Some("certificate signed by nobody whom this machine trusts"),
        ),
        (
            tls_server(authority.config(name, false), &[b"http/1.1"]).await,
            Some("TLS failed: the server refused with NoApplicationProtocol"),
        ),
        (server(Manner::Health(1)).await, Some("TLS failed: the answer is not TLS")),
    ] {
        let spec = format!("grpcs:{port}@{name}/good.Service");
        assert_eq!(asked(&spec, authority.trusted()).await.as_deref(), expected, "{expected:?}");
    }
    // In the clear to a server that wants TLS.
    let port = tls_server(authority.config(name, false), h2).await;
    let clear = plain(port, "").await;
    assert_eq!(clear.as_deref(), Some("the answer is not HTTP/2"));
}

#[test]
fn messages_are_as_the_protocol_has_them() {
    assert_eq!(&message("")[..], [0; 5]);
    assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 10, 2, b'a', b'b']);
    let long = message(&"x".repeat(200));
    assert_eq!((&long[..8], long.len()), (&[0, 0, 0, 0, 203, 10, 200, 1][..], 208));
    for (octets, expected) in [
        (&[0, 0, 0, 0, 0][..], Some(0)),
        (&[0, 0, 0, 0, 2, 8, 1], Some(1)),
        (&[0, 0, 0, 0, 3, 8, 0x82, 1], Some(130)),
        // Fields that a later version may have.
        (&[0, 0, 0, 0, 6, 18, 2, 8, 2, 8, 1], Some(1)),
        (&[0, 0, 0, 0, 7, 0x25, 1, 2, 3, 4, 8, 1], Some(1)),
        (&[1, 0, 0, 0, 2, 8, 1], None),
        (&[0, 0, 0, 0, 3, 8, 1], None),
        (&[0, 0, 0, 0, 1, 8], None),
        (&[0, 0, 0, 0, 3, 10, 5, 1], None),
        (&[0, 0, 0], None),
    ] {
        assert_eq!(health(octets), expected, "{octets:?}");
    }
}

proptest! {
    #[test]
    fn no_octets_are_too_much(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
        health(&octets);
        let mut framed = vec![0, 0, 0, 0, u8::try_from(octets.len()).unwrap()];
        framed.extend(&octets);
        health(&framed);
    }
}
