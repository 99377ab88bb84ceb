//! A TCP proxy that can cut a connection in the middle of an exchange, and hold answers back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use fleetdns_fakes::conformance::Moment;

/// A server that has said nothing for so long, after it has said something, is done with what it was asked.
const QUIET: Duration = Duration::from_millis(200);

/// Octets of an answer that come before it stalls.
const BEGINNING: usize = 10;

/// In front of one server. Dropping it takes no new connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    next: Mutex<Option<Moment>>,
    cuts: AtomicUsize,
    stalled: Mutex<Option<Vec<u8>>>,
}

impl State {
    /// What happens to what a client has just said.
    fn take(&self) -> Option<Moment> {
        let moment = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if moment.is_some() {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        moment
    }

    /// Whether the answer to what a client has just said is held back.
    fn stalls(&self, said: &[u8]) -> bool {
        let stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        stalled.as_ref().is_some_and(|part| said.windows(part.len()).any(|window| window == part))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // A connection that ends is no fault of the proxy's.
                tokio::spawn(async move { carry(client, server, &state).await });
            }
        });
        Self { address, state, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the connection on which a client next says something: `Before`, and the server never hears it; `After`, and
    /// the server's answer is kept back.
    pub fn cut(&self, moment: Moment) {
        *self.state.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }

    /// From now on answers to what has this in it (not empty) begin and never end; with `None` they go through again.
    pub fn stall(&self, part: Option<&[u8]>) {
        *self.state.stalled.lock().unwrap_or_else(PoisonError::into_inner) = part.map(<[u8]>::to_vec);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: SocketAddr, state: &State) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (swallows, stalls) = (AtomicBool::new(false), AtomicBool::new(false));
    let up = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                return to_server.shutdown().await;
            }
            if state.stalls(&buffer[..length]) {
                stalls.store(true, Ordering::SeqCst);
            }
            match state.take() {
                Some(Moment::Before) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Moment::After) => swallows.store(true, Ordering::SeqCst),
                None => {}
            }
            to_server.write_all(&buffer[..length]).await?;
        }
    };
    let down = async {
        let mut buffer = vec![0; 1 << 16];
        let mut swallowed = false;
        loop {
            let read = from_server.read(&mut buffer);
            let length = match swallowed {
                true => tokio::time::timeout(QUIET, read).await.map_err(io::Error::other)??,
                false => read.await?,
            };
            if length == 0 {
                return to_client.shutdown().await;
            }
            if stalls.load(Ordering::SeqCst) {
                to_client.write_all(&buffer[..length.min(BEGINNING)]).await?;
                std::future::pending::<()>().await;
            }
            swallowed = swallows.load(Ordering::SeqCst);
            if !swallowed {
                to_client.write_all(&buffer[..length]).await?;
            }
        }
    };
    tokio::try_join!(up, down).map(|_| ())
}
