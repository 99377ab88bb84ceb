//! An API server that has too much to do: it answers each request as a real one does whose limits are reached.
//!
//! A real one cannot be made to: its priority and fairness lets one request at a time through, however small a share is.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::kube::Member;

const ANSWER: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 43\r\n\r\nToo many requests, please try again later.\n";
/// A client that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(60);

/// A running server, for as long as the process runs.
#[derive(Debug)]
pub struct BusyApi {
    address: SocketAddr,
    refused: Arc<AtomicU64>,
}

impl BusyApi {
    /// Starts one with a member's certificate, so that it can stand in for that member's API server.
    ///
    /// # Panics
    /// When no port is free.
    pub fn like(member: &Member) -> Self {
        let files = member.files();
        let certificate = CertificateDer::from_pem_file(&files.certificate).expect("our own certificate");
        let key = PrivateKeyDer::from_pem_file(&files.key).expect("our own key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library's own defaults")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a key that fits its certificate");
        let (config, refused) = (Arc::new(config), Arc::<AtomicU64>::default());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let count = Arc::clone(&refused);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, count) = (Arc::clone(&config), Arc::clone(&count));
                // A connection that ends is no fault of ours.
                thread::spawn(move || refuse(client, config, &count));
            }
        });
        Self { address, refused }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has refused since this was last asked.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }
}

/// Requests that list and watch have no body.
fn refuse(client: TcpStream, config: Arc<ServerConfig>, refused: &AtomicU64) -> io::Result<()> {
    client.set_read_timeout(Some(IDLE))?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(session, client));
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            refused.fetch_add(1, Ordering::Relaxed);
            stream.get_mut().write_all(ANSWER)?;
        }
        line.clear();
    }
    Ok(())
}
