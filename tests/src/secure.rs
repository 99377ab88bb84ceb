//! An imitated https endpoint, whose certificate can be exchanged for a bad one.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::ports;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing.
    Good,
    /// Its time is over.
    Expired,
    /// It is for another name.
    OtherName,
    /// Nobody trusts who signed it.
    OtherAuthority,
}

/// An authority that probes may trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When it cannot be made or written.
    #[expect(clippy::new_without_default, reason = "two are never the same")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key pair");
        let certificate = params.self_signed(&key).expect("a self-signed certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("the folder can be written to");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// The PEM file to trust.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn config(&self, host: &str, kind: Certificate) -> Arc<ServerConfig> {
        let host = if kind == Certificate::OtherName { "other.example.org" } else { host };
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name that parses");
        if kind == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key pair");
        let stranger;
        let issuer = if kind == Certificate::OtherAuthority {
            stranger = Self::new();
            &stranger.issuer
        } else {
            &self.issuer
        };
        let certificate = params.signed_by(&key, issuer).expect("a signed certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library's own defaults")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a certificate that fits its key"))
    }
}

/// A running endpoint that answers every request with 200 over TLS. Dropping it closes it.
pub struct Secure<'a> {
    authority: &'a Authority,
    host: String,
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl<'a> Secure<'a> {
    /// One with a good certificate for `host`, on `port` of a loopback address that is its own.
    ///
    /// # Panics
    /// When there is none left.
    pub fn on_port(port: u16, host: &str, authority: &'a Authority) -> Self {
        let address = SocketAddr::new(ports::loopback_with(port), port);
        let listener =
            TcpListener::bind(address).unwrap_or_else(|e| panic!("cannot listen at {address}: {e}"));
        let config = Arc::new(Mutex::new(authority.config(host, Certificate::Good)));
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, end) = (Arc::clone(&config), Arc::clone(&ended));
        let acceptor = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let config = Arc::clone(&shared.lock().expect("no thread panics with it"));
                // A client that refuses the certificate goes away, which is what is tried.
                std::thread::spawn(move || drop(serve(stream, config)));
            }
        });
        Self { authority, host: host.to_owned(), address, config, ended, acceptor: Some(acceptor) }
    }

    /// Its IP address, as it stands in a Service's status.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Shows another certificate from now on.
    ///
    /// # Panics
    /// Never: no thread panics while it holds it.
    pub fn show(&self, kind: Certificate) {
        *self.config.lock().expect("no thread panics with it") = self.authority.config(&self.host, kind);
    }
}

impl Drop for Secure<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let _ = stream.read(&mut [0; 1024])?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    stream.flush()
}
