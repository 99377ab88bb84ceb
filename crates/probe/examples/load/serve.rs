//! The server that is probed, in a process of its own.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{Failed, HOST, MORTALS};

/// The input line that asks how many handshakes there were.
pub(crate) const HANDSHAKES: &str = "handshakes";

/// The ports of the server.
pub(crate) struct Ports {
    pub(crate) good: u16,
    pub(crate) hole: u16,
    /// One for each target that will die.
    pub(crate) mortals: Vec<u16>,
}

impl Ports {
    pub(crate) fn read(line: &str) -> Result<Self, Failed> {
        let mut all = line.split_whitespace().map(str::parse).collect::<Result<Vec<u16>, _>>()?.into_iter();
        let mut next = || all.next().ok_or("the server says no ports");
        Ok(Self { good: next()?, hole: next()?, mortals: all.collect() })
    }
}

/// Full handshakes, and those that resumed a session.
#[derive(Default)]
struct Handshakes([AtomicU64; 2]);

/// TLS as most servers have it: it gives out tickets, and takes them back.
struct Tls {
    acceptor: TlsAcceptor,
    handshakes: Handshakes,
}

/// Serves until its input ends. With a file, the good port speaks TLS, and its authority is written there.
pub(crate) async fn serve(authority: Option<&Path>) -> Result<(), Failed> {
    let (hole, _held) = black_hole().await?;
    let tls = authority.map(tls).transpose()?.map(Arc::new);
    let good = listen()?;
    let mut ports = format!("{} {}", good.local_addr()?.port(), hole.local_addr()?.port());
    let mut mortals = Vec::new();
    for _ in 0..MORTALS {
        let listener = Arc::new(listen()?);
        ports += &format!(" {}", listener.local_addr()?.port());
        mortals.push((tokio::spawn(accept(Arc::clone(&listener), None)), Some(listener)));
    }
    println!("{ports}");
    tokio::spawn(accept(Arc::new(good), tls.clone()));
    // Each other line is the number of a target that dies from now on: of an even one the port is closed, an odd one is
    // mute.
    let (kill, mut killed) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).all(|line| kill.send(line).is_ok())
    });
    while let Some(line) = killed.recv().await {
        if line == HANDSHAKES {
            let counts = tls.as_ref().map_or([0; 2], |tls| tls.handshakes.counts());
            println!("{} {}", counts[0], counts[1]);
            continue;
        }
        let number: usize = line.parse()?;
        let Some((answering, listener)) = mortals.get_mut(number) else { continue };
        answering.abort();
        if number.is_multiple_of(2) {
            *listener = None;
        }
    }
    Ok(())
}

fn listen() -> Result<TcpListener, Failed> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("0.0.0.0:0".parse()?)?;
    Ok(socket.listen(4096)?)
}

async fn accept(listener: Arc<TcpListener>, tls: Option<Arc<Tls>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let Some(tls) = tls else { return answer(stream).await };
            let stream = tls.acceptor.accept(stream).await?;
            tls.handshakes.count(stream.get_ref().1.handshake_kind());
            answer(stream).await
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
    stream.flush().await
}

impl Handshakes {
    fn count(&self, kind: Option<HandshakeKind>) {
        let resumed = usize::from(kind == Some(HandshakeKind::Resumed));
        self.0[resumed].fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> [u64; 2] {
        [0, 1].map(|kind: usize| self.0[kind].load(Ordering::Relaxed))
    }
}

fn tls(file: &Path) -> Result<Tls, Failed> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(file, issuer.pem())?;
    let pair = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![HOST.to_owned()])?.signed_by(&pair, &issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], key(&pair)?)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), handshakes: Handshakes::default() })
}

fn key(pair: &KeyPair) -> Result<PrivateKeyDer<'static>, Box<dyn Error + Send + Sync>> {
    Ok(PrivateKeyDer::try_from(pair.serialize_der())?)
}

async fn black_hole() -> Result<(TcpListener, Vec<TcpStream>), Failed> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("0.0.0.0:0".parse()?)?;
    let listener = socket.listen(1)?;
    let address = (Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        held.push(stream?);
    }
    Ok((listener, held))
}
