//! The sockets of one server: datagrams and connections of whoever sends them.
//!
//! Invariant: what is held for a client is bounded in number, size and time, and no fault of a socket makes this spin.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetdns_core::peer_limit::{Peer, PeerLimit};
use fleetdns_core::{Measure, MeasureKind};
use hickory_server::net::xfer::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::handler::{Handler, cut};
use crate::rate::Rates;

/// Connections at one time, and of one client (RFC 7766 §6.2.2 and §6.2.3 leave both to the server).
const CONNECTIONS: usize = 1000;
const OF_PEER: usize = 50;
/// Part of the process's file descriptors that connections may take: probes have half of them.
const DESCRIPTORS: u64 = 16;
/// How long a client may be silent, take for one message, or not read its answer.
const IDLE: Duration = Duration::from_secs(10);
/// The largest query that is read, in octets. No question needs more.
const LARGEST: usize = 4096;
/// Datagrams that are answered before other tasks have their turn.
const AT_ONCE: usize = 32;
/// Tasks that read datagrams, where there are as many processors.
const READERS: usize = 4;
/// After a fault of a socket, such as no file descriptor.
const PAUSE: Duration = Duration::from_millis(500);

/// What was not served, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    closed: AtomicU64,
    cut: AtomicU64,
}

impl Counters {
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let counter = |name, help, counter: &AtomicU64| Measure {
            kind: MeasureKind::Counter,
            name,
            help,
            value: counter.load(Ordering::Relaxed) as f64,
        };
        vec![
            counter("dns_connections_closed", "TCP connections closed over the limit", &self.closed),
            counter("dns_responses_cut", "UDP answers cut to a hint at TCP by the rate limit", &self.cut),
        ]
    }
}

/// Answers datagrams for ever.
pub(crate) async fn datagrams(
    socket: UdpSocket,
    handler: Handler,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let readers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS);
    let (socket, handler, rates) = (Arc::new(socket), Arc::new(handler), Arc::new(Rates::default()));
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let reader = Reader {
            socket: Arc::clone(&socket),
            handler: Arc::clone(&handler),
            rates: Arc::clone(&rates),
            counters: Arc::clone(&counters),
        };
        tasks.spawn(reader.run());
    }
    match tasks.join_next().await {
        Some(Err(error)) => Err(io::Error::other(error)),
        _ => Ok(()),
    }
}

struct Reader {
    socket: Arc<UdpSocket>,
    handler: Arc<Handler>,
    rates: Arc<Rates>,
    counters: Arc<Counters>,
}

impl Reader {
    async fn run(self) {
        let mut buffer = vec![0; LARGEST];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, source)) => self.answer(buffer.get(..length).unwrap_or_default(), source),
                Err(error) => {
                    debug!(%error, "datagram cannot be read");
                    sleep(PAUSE).await;
                    continue;
                }
            }
            for _ in 0..AT_ONCE {
                let Ok((length, source)) = self.socket.try_recv_from(&mut buffer) else { break };
                self.answer(buffer.get(..length).unwrap_or_default(), source);
            }
        }
    }

    fn answer(&self, raw: &[u8], source: SocketAddr) {
        // Nobody listens there: the address is forged.
        if source.port() == 0 || source.ip().is_unspecified() || source.ip().is_multicast() {
            return;
        }
        let Some(response) = self.handler.respond(raw, source, Protocol::Udp) else { return };
        let bytes = if self.rates.admit(source.ip(), response.gain) {
            response.bytes
        } else {
            self.counters.cut.fetch_add(1, Ordering::Relaxed);
            cut(raw)
        };
        // A datagram that does not fit into the socket's buffer is lost, as any may be; its client asks again.
        if let Err(error) = self.socket.try_send_to(&bytes, source) {
            debug!(client = %source, %error, "response not sent");
        }
    }
}

/// Answers connections for ever.
pub(crate) async fn connections(
    listener: TcpListener,
    handler: Handler,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let handler = Arc::new(handler);
    let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = all.and_then(|all| usize::try_from(all / DESCRIPTORS).ok()).unwrap_or(usize::MAX);
    let most = CONNECTIONS.min(share).max(8);
    let limit: PeerLimit<Peer> = PeerLimit::new(most, OF_PEER.min(most));
    let (mut tasks, mut failing) = (JoinSet::new(), false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                failing = false;
                let Some(permit) = limit.admit(client.ip().into()) else {
                    counters.closed.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                let handler = Arc::clone(&handler);
                tasks.spawn(async move {
                    let _seat = permit;
                    if let Err(error) = serve(stream, client, &handler).await {
                        debug!(%client, %error, "TCP connection ended");
                    }
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "TCP connection cannot be accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// One query after the other, each answered before the next is read.
async fn serve(mut stream: TcpStream, client: SocketAddr, handler: &Handler) -> io::Result<()> {
    let mut query = Vec::new();
    loop {
        timeout(IDLE, read(&mut stream, &mut query)).await??;
        let Some(response) = handler.respond(&query, client, Protocol::Tcp) else { return Ok(()) };
        let length = u16::try_from(response.bytes.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &response.bytes].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

async fn read(stream: &mut TcpStream, query: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST {
        return Err(io::Error::other("a query that is too long"));
    }
    query.resize(length, 0);
    stream.read_exact(query).await.map(drop)
}
