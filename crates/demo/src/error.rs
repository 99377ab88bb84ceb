//! Why the demo did not come to its end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use fleetdns_daemon::config::Fault;
use fleetdns_daemon::run::RunError;
use thiserror::Error;
use tokio::task::JoinError;

use crate::dns;

/// Why the demo did not come to its end.
#[derive(Debug, Error)]
pub enum DemoError {
    /// An address is not to be had.
    #[error("the demo cannot listen on {address}{}", alias(.address, .source))]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The files of the demo cannot be written or removed.
    #[error("the demo cannot write its files in {}", .path.display())]
    Files {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The demo's own config has faults.
    #[error("the demo's own dns.conf is not accepted: {}", first(.0))]
    Config(Vec<Fault>),
    /// The daemon ended with an error.
    #[error("the daemon ended in the middle of the demo")]
    Daemon(#[source] RunError),
    /// The daemon ended without one, or did not end when it was asked to.
    #[error("the daemon {0}")]
    Astray(&'static str),
    /// The daemon's task was ended by a defect.
    #[error("the daemon ended in the middle of the demo")]
    Panic(#[from] JoinError),
    /// Something did not happen in time.
    #[error("waited {budget} for this, and it did not happen: {step}{last}")]
    Late {
        /// What should have happened.
        step: &'static str,
        /// How long was waited.
        budget: String,
        /// What DNS said last.
        last: String,
    },
    /// DNS could be asked before and cannot be now.
    #[error("the zone cannot be read from DNS")]
    Dns(#[source] dns::NoAnswer),
    /// A name has no address.
    #[error("DNS has no address for {name}")]
    NoAddress {
        /// Which one.
        name: String,
    },
    /// The app at an address from DNS does not answer.
    #[error("DNS gave {address}, and the app there does not answer")]
    App {
        /// Address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The terminal is gone.
    #[error("the demo cannot write to its output")]
    Output(#[from] io::Error),
    /// Somebody ended it by a signal.
    #[error("ended by a signal before the end of the story")]
    Interrupted,
}

fn alias(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        // Only Linux has all of 127.0.0.0/8 from the start.
        io::ErrorKind::AddrNotAvailable => {
            format!("; give this machine the address first (macOS: sudo ifconfig lo0 alias {})", address.ip())
        }
        io::ErrorKind::AddrInUse => "; end what listens there".to_owned(),
        _ => String::new(),
    }
}

fn first(faults: &[Fault]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}
