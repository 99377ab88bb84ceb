//! Why no name of a plan could be written.

use std::io;

use fleetdns_core::ProviderError;

use super::Inner;
use super::zone::Damage;

/// A fault of the file as a whole.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    Damaged(Damage),
    NoSoa,
    NoNameServers,
}

impl Failure {
    /// As the trait has it, once for each name: an I/O error cannot be cloned.
    pub(super) fn error(&self, zone: &Inner) -> ProviderError {
        const ACTION: &str = "write the zone";
        match self {
            Self::Io(error) => {
                let copy = error.raw_os_error().map_or_else(
                    || io::Error::new(error.kind(), error.to_string()),
                    io::Error::from_raw_os_error,
                );
                zone.failed(ACTION, copy)
            }
            Self::Damaged(damage) => zone.denied(ACTION, damage.to_string(), "mend the zone file by hand"),
            Self::NoSoa => zone.denied(
                ACTION,
                format!("the file has no SOA record of {}", zone.zone),
                "give it one, or name another file in zone-file",
            ),
            Self::NoNameServers => zone.denied(
                ACTION,
                "the file is not there".to_owned(),
                "make it, or give the zone's name servers as ns = ns1.example.net so that it can be made",
            ),
        }
    }
}
