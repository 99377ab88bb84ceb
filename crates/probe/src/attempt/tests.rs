use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::ProbeError;

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

/// Gives the port.
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

async fn get(port: u16, tls: &Tls) -> Answer {
    probe(key(&format!("https:{port}@www.example.com/healthz")), tls.clone(), TIMEOUT * 5).await
}

async fn http(port: u16) -> Answer {
    probe(key(&format!("http:{port}@www.example.com/healthz")), Tls::new(None, true).unwrap(), TIMEOUT).await
}

async fn tcp(port: u16) -> Answer {
    probe(key(&format!("tcp:{port}")), Tls::new(None, true).unwrap(), TIMEOUT).await
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
    let table: [(&[u8], Option<&str>); 7] = [
        (OK, None),
        (b"HTTP/1.0 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Some("status 404")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Some("status 503")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Some("the answer is not HTTP")),
        (b"", Some("connection closed before the answer was complete")),
    ];
    for (answer, expected) in table {
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
    let answer = probe(away, Tls::new(None, true).unwrap(), TIMEOUT).await;
    assert!(matches!(answer, Answer::Unclear(_)), "{answer:?}");
    let spec = ProbeSpec::Http {
        port: server(Manner::Say(OK)).await,
        tls: false,
        path: "/a b".into(),
        host: "www.example.com".parse().unwrap(),
    };
    let answer = probe(
        ProbeKey { address: key("tcp:1").address, spec: Arc::new(spec) },
        Tls::new(None, true).unwrap(),
        TIMEOUT,
    );
    assert!(matches!(answer.await, Answer::Unclear(Snag::Unaskable(_))));
}

/// An authority, its PEM file, and servers with certificates of its own making.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("fleetdns-probe-{}-{name}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    async fn server(&self, name: &str, expired: bool) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateDer::from(params.signed_by(&pair, &self.issuer).unwrap());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(pair.serialize_der()).unwrap())
            .unwrap();
        tls_server(config).await
    }

    fn trusted(&self) -> Tls {
        Tls::new(Some(&self.file), false).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).ok();
    }
}

#[tokio::test]
async fn certificates_are_verified_and_faults_have_names() {
    let authority = Authority::new("own");
    let stranger = Authority::new("stranger");
    let trusted = authority.trusted();
    let (_held, closed) = closed_port();
    let good = authority.server("www.example.com", false).await;
    assert_eq!(get(good, &trusted).await, Answer::Pass);
    let table = [
        (authority.server("www.example.com", true).await, "certificate expired"),
        (authority.server("elsewhere.example.com", false).await, "certificate not for www.example.com"),
        (
            stranger.server("www.example.com", false).await,
            "certificate signed by nobody whom this machine trusts",
        ),
        (server(Manner::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await, "TLS failed: the answer is not TLS"),
        (closed, "connection refused"),
    ];
    let careless = Tls::new(None, true).unwrap();
    for (port, expected) in table {
        assert_eq!(failed(&get(port, &trusted).await), expected);
        let anyway = get(port, &careless).await;
        assert_eq!(anyway == Answer::Pass, expected.starts_with("certificate"), "{expected}: {anyway:?}");
    }
    let hangs = probe(
        key(&format!("https:{}@www.example.com/", server(Manner::Hang).await)),
        trusted.clone(),
        TIMEOUT,
    );
    assert_eq!(failed(&hangs.await), "no answer within 400ms");
}

#[tokio::test]
async fn a_machine_without_trust_blames_itself() {
    let port = Authority::new("lonely").server("www.example.com", false).await;
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
