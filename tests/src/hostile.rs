//! An HTTP server that means harm: answers of any size, as far as the client takes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request: its first line, and its whole head.
#[derive(Debug)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// With the query.
    pub path: String,
    /// All lines.
    pub head: String,
}

/// What is sent after the head.
#[derive(Clone, Debug)]
pub enum Body {
    /// This, and then the connection ends.
    Whole(Vec<u8>),
    /// This, and then nothing for as long as the client waits.
    Held(Vec<u8>),
    /// The first, and then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `200 OK`
    pub status: &'static str,
    /// Header lines, each with its end.
    pub headers: String,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// 200 with JSON.
    pub fn json(body: Body) -> Self {
        Self { status: "200 OK", headers: "content-type: application/json\r\n".to_owned(), body }
    }

    /// The same, packed with gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.headers.push_str("content-encoding: gzip\r\n");
        self
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    /// Bytes of bodies that clients took.
    sent: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hostile {
    /// Starts one that answers so, one request for each connection.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (sent, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (sends, asks, answer) = (Arc::clone(&sent), Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, sent, asks) = (Arc::clone(&answer), Arc::clone(&sends), Arc::clone(&asks));
                tokio::spawn(async move {
                    // Who hangs up has had enough.
                    let _ = serve(stream, &*answer, &sent, &asks).await;
                });
            }
        });
        Self { address, sent, requests, task }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of bodies that clients took.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A kubeconfig with this server as its cluster.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig(&self, folder: &Path, name: &str) -> PathBuf {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": self.url()}}],
            "users": [{"name": name, "user": {"token": format!("{SECRET}-{name}")}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        });
        let path = folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, text.to_string()).expect("the temporary folder can be written to");
        path
    }
}

/// What the tokens that the daemon is given begin with.
pub const SECRET: &str = "top-secret-token";

async fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    sent: &AtomicU64,
    requests: &AtomicU64,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let request = Request { method, path, head };
    let Reply { status, headers, body } = answer(&request);
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let (first, part, hold) = match body {
        Body::Whole(first) => (first, Vec::new(), false),
        Body::Held(first) => (first, Vec::new(), true),
        Body::Endless(first, part) => (first, part, false),
    };
    stream.write_all(&first).await?;
    sent.fetch_add(first.len() as u64, Ordering::Relaxed);
    while !part.is_empty() {
        stream.write_all(&part).await?;
        sent.fetch_add(part.len() as u64, Ordering::Relaxed);
    }
    if hold {
        // Until the client ends it.
        while stream.read(&mut [0; 1024]).await? > 0 {}
    } else {
        stream.shutdown().await?;
        // A body that was not read would reset what was sent.
        while stream.read(&mut [0; 1024]).await? > 0 {}
    }
    Ok(())
}

/// A gzip stream (RFC 1952 §2.3) that begins with these bytes and unpacks to blanks without end, a thousand for each
/// byte.
///
/// # Panics
/// When the packer fails.
pub fn bomb(head: &[u8]) -> Body {
    let mut first = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    first.extend(packed(head));
    // Each part stands alone, so that it can be sent again and again.
    Body::Endless(first, packed(&vec![b' '; 1 << 20]))
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() + 100);
    compress.compress_vec(bytes, &mut out, FlushCompress::Full).expect("there is room");
    out
}
