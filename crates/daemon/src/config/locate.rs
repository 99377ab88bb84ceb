//! How a client command finds the running daemon.
//!
//! Invariant: nothing but `[admin]` is read, and a fault anywhere in the file stops no command: the daemon runs with the
//! file as it was when it started, and an emergency drain must not wait for a typo to be mended.

use std::net::SocketAddr;
use std::path::Path;

use super::outside::Outside;
use super::raw::Raw;
use super::reader::Reader;
use super::settings::{self, Admin, Socket};
use super::{DEFAULT_FILE, Flags};

/// Where the running daemon is asked, and where it takes orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The admin API; `None` where the config switches it off.
    pub listen: Option<SocketAddr>,
    /// The listener for probes and metrics.
    pub metrics: Option<SocketAddr>,
    /// The control socket.
    pub socket: Socket,
    /// Why the config says nothing, when it was expected to.
    pub problem: Option<String>,
}

impl Whereabouts {
    /// What the file of the flags says, as far as it can be understood; the defaults for the rest.
    pub fn of(flags: &Flags) -> Self {
        Self::read(flags.file(), &Outside::system(&|_| Ok(Vec::new())))
    }

    /// The same, with everything outside as an argument.
    pub fn read(path: &Path, outside: &Outside<'_>) -> Self {
        let file = path.display().to_string();
        let (bytes, problem) = match (outside.read)(path) {
            Ok(bytes) => (bytes, None),
            // A client without any config asks at the usual place.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file == DEFAULT_FILE => {
                (Vec::new(), None)
            }
            Err(error) => (Vec::new(), Some(format!("{file} cannot be read: {error}"))),
        };
        let (raw, mut faults) = Raw::read(&file, &bytes, &outside.variables);
        let Admin { listen, metrics, socket, .. } =
            settings::admin(&mut Reader::new(&raw, "admin", &file, &mut faults), outside);
        Self { listen, metrics, socket, problem }
    }

    /// What to add to an error of a daemon that was asked at the default address for want of a better one.
    pub fn hint(&self) -> String {
        self.problem
            .as_ref()
            .map(|problem| format!("; {problem}, so the default was tried"))
            .unwrap_or_default()
    }
}
