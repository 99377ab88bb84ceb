use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use fleetdns_core::AddressPolicies;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::answer::Answer;
use crate::attempt::probe;
use crate::testing::tls::Authority;
use crate::tls::{Tls, Trusts};

/// A server with tickets, what it saw, whether it is ill, and whether it is when a session is resumed.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<HandshakeKind>>>,
    ill: Arc<AtomicBool>,
    resumes_ill: Arc<AtomicBool>,
}

impl Server {
    async fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, ill) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let resumes_ill = Arc::<AtomicBool>::default();
        let server = Self {
            port,
            seen: Arc::clone(&seen),
            ill: Arc::clone(&ill),
            resumes_ill: Arc::clone(&resumes_ill),
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let kind = stream.get_ref().1.handshake_kind().unwrap();
                seen.lock().unwrap().push(kind);
                let _ = stream.read(&mut [0; 1024]).await;
                let resumes_ill = kind == HandshakeKind::Resumed && resumes_ill.load(Ordering::Relaxed);
                let status = if resumes_ill || ill.load(Ordering::Relaxed) { "503 Ill" } else { "200 OK" };
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await;
                let _ = stream.flush().await;
            }
        });
        server
    }

    async fn probe(&self, trusts: &Trusts) -> Answer {
        let spec = format!("https:{}@www.example.com/", self.port).parse().unwrap();
        let key = ProbeKey { address: IpAddr::from([127, 0, 0, 1]), spec: Arc::new(spec) };
        let policies = Arc::new(AddressPolicies::unrestricted());
        probe(key, trusts.clone(), policies, Duration::from_secs(2)).await
    }

    /// Whether each handshake resumed a session.
    fn resumed(&self) -> Vec<bool> {
        self.seen.lock().unwrap().iter().map(|kind| *kind == HandshakeKind::Resumed).collect()
    }
}

fn with_tickets(authority: &Authority, expired: bool) -> ServerConfig {
    let mut config = authority.config("www.example.com", expired);
    config.ticketer = Ticketer::new().unwrap();
    config
}

#[tokio::test]
async fn a_session_is_resumed_until_its_certificate_was_verified_a_minute_ago() {
    let authority = Authority::new("resumed");
    let trusts = Trusts::only(authority.trusted());
    let server = Server::start(with_tickets(&authority, false)).await;
    for _ in 0..3 {
        assert_eq!(server.probe(&trusts).await, Answer::Pass);
    }
    assert_eq!(server.resumed(), [false, true, true]);
    for seconds in [59, 2] {
        pass(Duration::from_secs(seconds)).await;
        assert_eq!(server.probe(&trusts).await, Answer::Pass);
    }
    assert_eq!(server.resumed()[3..], [true, false]);
}

#[tokio::test]
async fn after_a_failed_probe_the_certificate_is_verified_again() {
    let authority = Authority::new("failed");
    let trusts = Trusts::only(authority.trusted());
    let server = Server::start(with_tickets(&authority, false)).await;
    for ill in [false, true, true, false, false] {
        server.ill.store(ill, Ordering::Relaxed);
        assert_eq!(server.probe(&trusts).await == Answer::Pass, !ill);
    }
    assert_eq!(server.resumed(), [false, true, false, false, false]);
    for _ in 0..3 {
        pass(LONGEST).await;
        server.probe(&trusts).await;
    }
    server.probe(&trusts).await;
    assert_eq!(server.resumed()[5..], [false, false, false, true], "some minutes later one is offered again");
}

/// It is not taken out of DNS for that, nor kept out.
#[tokio::test]
async fn a_server_that_fails_where_a_session_is_resumed_fails_once_and_not_at_every_other_probe() {
    let authority = Authority::new("resumes-ill");
    let trusts = Trusts::only(authority.trusted());
    let server = Server::start(with_tickets(&authority, false)).await;
    server.resumes_ill.store(true, Ordering::Relaxed);
    let mut passed = Vec::new();
    for _ in 0..6 {
        passed.push(server.probe(&trusts).await == Answer::Pass);
    }
    assert_eq!(passed, [true, false, true, true, true, true]);
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The servers share the keys of their tickets, as those of one cluster often do.
#[tokio::test]
async fn a_session_of_another_endpoint_does_not_hide_an_expired_certificate() {
    let authority = Authority::new("shared");
    let trusts = Trusts::only(authority.trusted());
    let good = with_tickets(&authority, false);
    let mut expired = authority.config("www.example.com", true);
    (expired.ticketer, expired.session_storage) =
        (Arc::clone(&good.ticketer), Arc::clone(&good.session_storage));
    let (good, expired) = (Server::start(good).await, Server::start(expired).await);
    assert_eq!(good.probe(&trusts).await, Answer::Pass);
    assert!(matches!(expired.probe(&trusts).await, Answer::Fail(_)));
    assert_eq!(good.probe(&trusts).await, Answer::Pass);
    assert_eq!(good.resumed(), [false, true]);
}

/// A certificate with 2,000 names takes more than what is kept of one endpoint.
#[tokio::test]
async fn sessions_larger_than_their_room_are_not_kept() {
    let authority = Authority::new("large");
    let trusts = Trusts::only(authority.trusted());
    let mut config = authority.large("www.example.com");
    config.ticketer = Ticketer::new().unwrap();
    let server = Server::start(config).await;
    for _ in 0..2 {
        assert_eq!(server.probe(&trusts).await, Answer::Pass);
    }
    assert_eq!(server.resumed(), [false, false]);
}

#[tokio::test]
async fn keys_that_are_probed_no_more_leave_no_session_behind() {
    let authority = Authority::new("gone");
    let tls = authority.trusted();
    let trusts = Trusts::only(tls.clone());
    let gone = Server::start(with_tickets(&authority, false)).await;
    let stays = Server::start(with_tickets(&authority, false)).await;
    gone.probe(&trusts).await;
    assert_eq!(kept(&tls), 1);
    for _ in 0..2 {
        pass(LONGEST).await;
        stays.probe(&trusts).await;
    }
    assert_eq!(kept(&tls), 1);
}

/// Checks their sizes too.
fn kept(tls: &Tls) -> usize {
    let generations = tls.sessions().unwrap().0.lock().unwrap();
    let both = [&generations.young, &generations.old];
    for generation in both {
        assert_eq!(generation.size, generation.kept.values().map(|kept| kept.size).sum::<usize>());
    }
    both.iter().map(|generation| generation.kept.len()).sum()
}
