//! One listen address, and its sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};

use crate::listen::Counters;
use crate::store::Catalog;

/// How often another free port is tried, when TCP has what UDP was given.
const PORT_TRIES: usize = 16;

/// One listen address.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) listen: SocketAddr,
    pub(crate) catalog: Arc<Catalog>,
    bound: Mutex<Option<SocketAddr>>,
    /// Another process of ours, which runs already, is known to serve here.
    served: AtomicBool,
    /// What was not served.
    pub(crate) counters: Arc<Counters>,
}

impl Site {
    pub(crate) fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            catalog: Arc::default(),
            bound: Mutex::new(None),
            served: AtomicBool::new(false),
            counters: Arc::default(),
        }
    }

    /// Where it really listens, as long as it does.
    pub(crate) fn bound(&self) -> Option<SocketAddr> {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the daemon that runs beside this process serves here.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Says whether the daemon that runs beside this process serves here.
    pub(crate) fn set_served(&self, is: bool) {
        self.served.store(is, Ordering::Relaxed);
    }

    pub(crate) fn set_bound(&self, address: Option<SocketAddr>) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address} ({transport}); {remedy}")]
pub struct BindError {
    /// The address, as the config says it.
    pub address: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// UDP and TCP on the same port.
pub(crate) async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), BindError> {
    let fault = |transport, source: io::Error| BindError {
        address: listen,
        transport,
        remedy: remedy(source.kind()),
        source,
    };
    let mut tries = if listen.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let udp = UdpSocket::bind(listen).await.map_err(|e| fault("UDP", e))?;
        let address = udp.local_addr().map_err(|e| fault("UDP", e))?;
        match TcpListener::bind(address).await {
            Ok(tcp) => return Ok((udp, tcp, address)),
            Err(e) if tries == 0 => return Err(fault("TCP", e)),
            Err(_) => {}
        }
    }
}

const fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it or choose another port in 'listen'"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; or choose a higher port in 'listen'"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address: correct 'listen'",
        _ => "correct 'listen'",
    }
}
