use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fleetdns_core::{MemberName, ProbeSpec};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::testing::tls::Authority;
use crate::tls::Tls;
use crate::{ProbeError, TrustSettings};

const TIMEOUT: Duration = Duration::from_millis(400);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Reads the request, writes this, and closes.
    Say(&'static [u8]),
    /// Accepts and never answers.
    Hang,
    /// One byte of this in each 50 ms.
    Drip(&'static [u8]),
    /// Half a head, then a reset.
    Reset,
    /// 200 to the address as Host, 400 to any other.
    Echo,
    /// The head of a large answer, whose body never comes.
    Headers,
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, manner: Manner) -> Option<S> {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.ok()?;
    let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
    match manner {
        // Checks what every probe has to say.
        Manner::Say(_) if !request.contains("\r\nhost: www.example.com\r\n") => {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok()?;
        }
        Manner::Say(answer) => stream.write_all(answer).await.ok()?,
        Manner::Echo => {
            let right = request.starts_with("get /healthz http/1.1\r\nhost: 127.0.0.1\r\n");
            let answer = if right { OK } else { b"HTTP/1.1 400 Bad Request\r\n\r\n" };
            stream.write_all(answer).await.ok()?;
        }
        Manner::Hang => std::future::pending().await,
        Manner::Drip(answer) => {
            for byte in answer {
                stream.write_all(&[*byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Manner::Reset => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await.ok()?,
        Manner::Headers => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await.ok()?;
            std::future::pending::<()>().await;
        }
    }
    stream.flush().await.ok()?;
    Some(stream)
}

/// Returns the port.
async fn server(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Some(stream) = serve(stream, manner).await
                    && matches!(manner, Manner::Reset)
                {
                    stream.set_zero_linger().unwrap();
                }
            });
        }
    });
    port
}

async fn tls_server(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { serve(acceptor.accept(stream).await.ok()?, Manner::Say(OK)).await });
        }
    });
    port
}

fn key(spec: &str) -> ProbeKey {
    ProbeKey { address: IpAddr::from([127, 0, 0, 1]), spec: Arc::new(spec.parse().unwrap()) }
}

fn anyone() -> Trusts {
    Trusts::only(Tls::new(None, true).unwrap())
}

async fn get(port: u16, tls: &Tls) -> Answer {
    probe(
        key(&format!("https:{port}@www.example.com/healthz")),
        Trusts::only(tls.clone()),
        all(),
        TIMEOUT * 5,
    )
    .await
}

async fn http(port: u16) -> Answer {
    probe(key(&format!("http:{port}@www.example.com/healthz")), anyone(), all(), TIMEOUT).await
}

async fn tcp(port: u16) -> Answer {
    probe(key(&format!("tcp:{port}")), anyone(), all(), TIMEOUT).await
}

fn failed(answer: &Answer) -> String {
    match answer {
        Answer::Fail(failure) => failure.to_string(),
        other => panic!("no failure: {other:?}"),
    }
}

/// A port that nobody listens on: held by a socket that is bound and does not listen.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn an_open_port_passes_and_a_closed_one_is_refused() {
    assert_eq!(tcp(server(Manner::Hang).await).await, Answer::Pass);
    let (_held, port) = closed_port();
    assert_eq!(failed(&tcp(port).await), "connection refused");
    assert_eq!(failed(&http(port).await), "connection refused");
}

#[tokio::test]
async fn a_full_backlog_is_no_connection() {
    // Nobody accepts: the queue fills up, and further packets are dropped as by a firewall.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(TIMEOUT / 4, TcpStream::connect(address)).await {
        held.push(stream);
    }
    assert_eq!(failed(&tcp(address.port()).await), "no connection within 400ms");
}

#[tokio::test]
async fn from_200_to_399_passes_and_nothing_else() {
    let schedule: [(&[u8], Option<&str>); 7] = [
        (OK, None),
        (b"HTTP/1.0 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Some("status 404")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Some("status 503")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Some("the answer is not HTTP")),
        (b"", Some("connection closed before the answer was complete")),
    ];
    for (answer, expected) in schedule {
        let got = http(server(Manner::Say(answer)).await).await;
        assert_eq!(got.error().as_deref(), expected, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn what_hangs_drips_or_breaks_off_fails_in_time() {
    let start = std::time::Instant::now();
    let (hangs, drips, breaks) = tokio::join!(
        async { http(server(Manner::Hang).await).await },
        async { http(server(Manner::Drip(OK)).await).await },
        async { http(server(Manner::Reset).await).await },
    );
    assert_eq!(failed(&hangs), "no answer within 400ms");
    assert_eq!(failed(&drips), "no answer within 400ms");
    assert_eq!(failed(&breaks), "connection reset");
    assert!(start.elapsed() < TIMEOUT * 3, "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_body_is_not_waited_for() {
    assert_eq!(http(server(Manner::Headers).await).await, Answer::Pass);
}

#[tokio::test]
async fn no_route_and_no_askable_path_are_no_failures() {
    // Class E: Linux has no route to it.
    let away = ProbeKey { address: IpAddr::from([255, 255, 255, 255]), spec: key("tcp:80").spec };
    let answer = probe(away, anyone(), all(), TIMEOUT).await;
    assert!(matches!(answer, Answer::Unclear(_)), "{answer:?}");
    let spec = ProbeSpec::of(Check::Http(Box::new(HttpCheck {
        port: server(Manner::Say(OK)).await,
        tls: None,
        path: "/a b".into(),
        host: "www.example.com".parse().unwrap(),
        expect: Expect::default(),
    })));
    let answer =
        probe(ProbeKey { address: key("tcp:1").address, spec: Arc::new(spec) }, anyone(), all(), TIMEOUT);
    assert!(matches!(answer.await, Answer::Unclear(Snag::Unaskable(_))));
}

#[tokio::test]
async fn certificates_are_verified_and_faults_have_names() {
    let authority = Authority::new("own");
    let stranger = Authority::new("stranger");
    let trusted = authority.trusted();
    let (_held, closed) = closed_port();
    let good = tls_server(authority.config("www.example.com", false)).await;
    assert_eq!(get(good, &trusted).await, Answer::Pass);
    let schedule = [
        (tls_server(authority.config("www.example.com", true)).await, "certificate expired"),
        (
            tls_server(authority.config("elsewhere.example.com", false)).await,
            "certificate not for www.example.com",
        ),
        (
            tls_server(stranger.config("www.example.com", false)).await,
            "certificate signed by nobody whom this machine trusts",
        ),
        (server(Manner::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await, "TLS failed: the answer is not TLS"),
        (closed, "connection refused"),
    ];
    let careless = Tls::new(None, true).unwrap();
    for (port, expected) in schedule {
        assert_eq!(failed(&get(port, &trusted).await), expected);
        let anyway = get(port, &careless).await;
        assert_eq!(anyway == Answer::Pass, expected.starts_with("certificate"), "{expected}: {anyway:?}");
    }
    let hangs = probe(
        key(&format!("https:{}@www.example.com/", server(Manner::Hang).await)),
        Trusts::only(trusted.clone()),
        all(),
        TIMEOUT,
    );
    assert_eq!(failed(&hangs.await), "no answer within 400ms");
}

#[tokio::test]
async fn a_machine_without_trust_blames_itself() {
    let port = tls_server(Authority::new("lonely").config("www.example.com", false)).await;
    let answer = get(port, &Tls::nobody()).await;
    assert!(matches!(answer, Answer::Unclear(Snag::Unaskable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_bad_ca_file_is_named() {
    let missing = Tls::new(Some("/nonexistent/ca.pem".as_ref()), false).err().unwrap();
    assert!(missing.to_string().contains("/nonexistent/ca.pem"), "{missing}");
    let file = std::env::temp_dir().join(format!("fleetdns-probe-{}-empty.pem", std::process::id()));
    std::fs::write(&file, "no certificate in here\n").unwrap();
    let empty = Tls::new(Some(&file), false).err().unwrap();
    std::fs::remove_file(&file).ok();
    assert!(matches!(&empty, ProbeError::CaFile { why, .. } if why.contains("no certificate")), "{empty}");
}

#[tokio::test]
async fn each_cluster_trusts_whom_it_says() {
    let (fleet, west) = (Authority::new("fleet"), Authority::new("west"));
    let own = |ca_file: &Authority| TrustSettings { ca_file: Some(ca_file.file.clone()), insecure: false };
    let careless = TrustSettings { ca_file: None, insecure: true };
    let name = |text: &str| text.parse::<MemberName>().unwrap();
    let members = BTreeMap::from([(name("west"), own(&west)), (name("lab"), careless)]);
    let trusts = Trusts::new(&own(&fleet), &members).unwrap();
    let of_fleet = tls_server(fleet.config("www.example.com", false)).await;
    let of_west = tls_server(west.config("www.example.com", false)).await;
    let expired = tls_server(west.config("www.example.com", true)).await;
    for (port, trust, expected) in [
        (of_fleet, "", None),
        (of_west, "", Some("certificate signed by nobody whom this machine trusts")),
        (of_fleet, "!trust=west", Some("certificate signed by nobody whom this machine trusts")),
        (of_west, "!trust=west", None),
        (expired, "!trust=west", Some("certificate expired")),
        (expired, "!trust=lab", None),
        (
            of_fleet,
            "!trust=east",
            Some("the probe cannot be made: nothing is known any more of whom the cluster east trusts"),
        ),
    ] {
        let key = key(&format!("https{trust}:{port}@www.example.com/"));
        let answer = probe(key, trusts.clone(), all(), TIMEOUT * 5).await;
        assert_eq!(answer.error().as_deref(), expected, "{trust}");
        // What is not known takes nothing out.
        assert_eq!(matches!(answer, Answer::Unclear(_)), trust == "!trust=east");
    }
}

#[tokio::test]
async fn only_statuses_that_are_expected_pass() {
    let port = server(Manner::Say(b"HTTP/1.1 404 Not Found\r\n\r\n")).await;
    for (expect, expected) in
        [("", Some("status 404")), ("!expect=200+400-404", None), ("!expect=200", Some("status 404"))]
    {
        let key = key(&format!("http{expect}:{port}@www.example.com/healthz"));
        assert_eq!(probe(key, anyone(), all(), TIMEOUT).await.error().as_deref(), expected, "{expect}");
    }
}

#[tokio::test]
async fn a_guess_asks_as_a_cloud_does_and_its_failures_are_open() {
    // This server answers whom it is told to answer, and 400 to all others.
    let strict = server(Manner::Say(OK)).await;
    let guess = |port: u16| probe(key(&format!("guess:{port}/healthz")), anyone(), all(), TIMEOUT);
    assert_eq!(guess(strict).await, Answer::Open(Failure::Status(400)), "the Host is the address");
    assert_eq!(guess(server(Manner::Hang).await).await, Answer::Open(Failure::NoAnswer(TIMEOUT)));
    let (_held, closed) = closed_port();
    assert_eq!(guess(closed).await, Answer::Fail(Failure::Refused));
    let seen = server(Manner::Echo).await;
    assert_eq!(guess(seen).await, Answer::Pass, "GET /healthz with Host: 127.0.0.1");
}

/// Everything may be probed.
fn all() -> Arc<AddressPolicies> {
    Arc::new(AddressPolicies::unrestricted())
}

#[tokio::test]
async fn a_denied_address_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let ask = async |policies: AddressPolicies| {
        probe(key(&format!("tcp:{}", own.port())), anyone(), Arc::new(policies), TIMEOUT).await
    };
    let denied = |answer: Answer| match answer {
        Answer::Fail(Failure::Denied(why)) => why.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(denied(ask(AddressPolicies::default()).await).contains("a loopback address"));
    let listeners = AddressPolicies { listeners: vec![own], ..AddressPolicies::unrestricted() };
    assert!(denied(ask(listeners).await).contains("fleetdns itself listens there"));
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "nothing was connected");
    // What listens everywhere is known by the connection that leads back to this machine.
    let everywhere = vec![SocketAddr::new([0, 0, 0, 0].into(), own.port())];
    let listeners = AddressPolicies { listeners: everywhere, ..AddressPolicies::unrestricted() };
    assert!(denied(ask(listeners).await).contains("fleetdns itself listens there"));
    assert_eq!(ask(AddressPolicies::unrestricted()).await, Answer::Pass);
    // An operator's own canaries are asked whatever the policy says.
    let spec: ProbeSpec = format!("tcp:{}", own.port()).parse().unwrap();
    let spec = Arc::new(ProbeSpec { guard: Guard::Operator, ..spec });
    let key = ProbeKey { address: own.ip(), spec };
    assert_eq!(probe(key, anyone(), Arc::default(), TIMEOUT).await, Answer::Pass);
}
