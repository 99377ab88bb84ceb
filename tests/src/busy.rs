//! An etcd that has too much to do: it answers each call as a real one does that is behind with its log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

// Frames of HTTP/2 (RFC 9113 6), and their flags.
const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` in HPACK's static table (RFC 7541 A), with the bit of an indexed field.
const STATUS_200: u8 = 0x88;
/// RESOURCE_EXHAUSTED, as etcd has it.
const FIELDS: [(&str, &str); 3] = [
    ("content-type", "application/grpc"),
    ("grpc-status", "8"),
    ("grpc-message", "etcdserver: too many requests"),
];

/// A running server. Dropping it takes no new connections.
#[derive(Debug)]
pub struct Busy {
    address: SocketAddr,
    refused: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Busy {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let refused = Arc::<AtomicU64>::default();
        let count = Arc::clone(&refused);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                // A connection that ends is no fault of ours.
                tokio::spawn(async move { refuse(client, &count).await });
            }
        });
        Self { address, refused, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls it has refused since this was last asked.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }
}

/// Answers each call when its head is there, whatever it asks for.
async fn refuse(mut client: TcpStream, refused: &AtomicU64) -> io::Result<()> {
    client.read_exact(&mut [0; PREFACE]).await?;
    client.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, w, x, y, z] = head;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).map_err(io::Error::other)?];
        client.read_exact(&mut body).await?;
        let answer = match kind {
            HEADERS => {
                refused.fetch_add(1, Ordering::Relaxed);
                frame(HEADERS, END_STREAM | END_HEADERS, u32::from_be_bytes([w, x, y, z]), &too_many())
            }
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(PING, ACK, 0, &body),
            _ => continue,
        };
        client.write_all(&answer).await?;
    }
}

/// The whole answer: literal fields that nobody has to remember (RFC 7541 6.2.2).
fn too_many() -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let fields = FIELDS.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat());
    [STATUS_200].into_iter().chain(fields).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_real_client_is_told_that_there_are_too_many_requests() {
        let busy = Busy::start().await;
        let mut client =
            etcd_client::Client::connect([format!("http://{}", busy.address())], None).await.unwrap();
        for _ in 0..2 {
            let error = client.get("key", None).await.unwrap_err().to_string();
            assert!(error.contains("etcdserver: too many requests"), "{error}");
        }
        assert_eq!(busy.take_refused(), 2);
    }
}
