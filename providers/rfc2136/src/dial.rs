//! The way to the server: all addresses of its name are tried, each a little later than the one before it.
//!
//! Invariant: an address that is silent keeps nobody from the next one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::Fault;

/// For the name and a connection to any of its addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one address is waited for before the next one is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// `HOST:PORT`, and which of its addresses took a connection and then said nothing.
#[derive(Debug)]
pub(crate) struct Dial {
    server: String,
    silent: Mutex<Option<SocketAddr>>,
}

impl Dial {
    pub(crate) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), silent: Mutex::default() }
    }

    /// A connection to the first address that takes one.
    pub(crate) async fn connect(&self) -> Result<TcpStream, Fault> {
        let attempt = async {
            let mut addresses: Vec<SocketAddr> = lookup_host(&self.server).await?.collect();
            let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.sort_by_key(|address| Some(*address) == silent);
            addresses.truncate(MAX_ADDRESSES);
            race(addresses).await
        };
        let stream = timeout(CONNECT, attempt).await.map_err(|_| Fault::Silent(CONNECT))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The address took a connection and said nothing: the next time it is tried last.
    pub(crate) fn was_silent(&self, address: Option<SocketAddr>) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => _ = attempts.spawn(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(error)) => last = io::Error::other(error),
                None => {}
            },
            () = sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    /// No packet gets there, and none comes back (RFC 5737 has no host; a route to it may be missing all the same).
    async fn full() -> (TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // A queue that is full: the kernel answers no further connection.
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            held.push(stream);
        }
        (listener, held)
    }

    #[tokio::test]
    async fn a_silent_first_address_costs_no_more_than_the_stagger() {
        let (silent, _held) = full().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let good = good.local_addr().unwrap();
        for addresses in [
            vec![silent.local_addr().unwrap(), good],
            vec![refusing, good],
            vec![silent.local_addr().unwrap(), refusing, good],
        ] {
            let begin = Instant::now();
            let stream = race(addresses.clone()).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good, "{addresses:?}");
            assert!(begin.elapsed() < CONNECT, "{addresses:?}: {:?}", begin.elapsed());
        }
        assert_eq!(race(vec![refusing]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(vec![]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn an_address_that_said_nothing_is_tried_last() {
        let (one, two) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let (one, two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
        let dial = Dial::new("127.0.0.1:1");
        dial.was_silent(Some(one));
        let mut addresses = vec![one, two];
        let silent = *dial.silent.lock().unwrap();
        addresses.sort_by_key(|address| Some(*address) == silent);
        assert_eq!(addresses, [two, one]);
    }
}
