//! Why no name of a plan could be written.

use std::io;
use std::path::Path;

use fleetdns_core::{DnsName, ProviderError};

use super::records::NoSerial;
use super::zone::Damage;

/// What an error is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) zone: &'a DnsName,
    pub(super) file: &'a Path,
}

impl Subject<'_> {
    pub(super) fn endpoint(self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn unavailable(self, action: &'static str, error: Option<io::Error>) -> ProviderError {
        let source = error.map(|error| Box::new(error) as fleetdns_core::provider::Source);
        ProviderError::Unavailable { endpoint: self.endpoint(), action, source }
    }

    pub(super) fn denied(self, action: &'static str, problem: String, remedy: &str) -> ProviderError {
        ProviderError::Denied { endpoint: self.endpoint(), action, problem, remedy: remedy.to_owned() }
    }

    pub(super) fn failed(self, action: &'static str, error: io::Error) -> ProviderError {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "let the user that fleetdns runs as read the file and write in its folder"
            }
            io::ErrorKind::NotFound => "make the folder of zone-file, or mend zone-file",
            io::ErrorKind::IsADirectory => "name a file, not a folder, in zone-file",
            _ => return self.unavailable(action, Some(error)),
        };
        self.denied(action, error.to_string(), remedy)
    }
}

/// A fault of the file as a whole.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    Damaged(Damage),
    NoSerial(NoSerial),
    NoNameServers,
}

impl Failure {
    /// As the trait has it, once for each name: an I/O error cannot be cloned.
    pub(super) fn error(&self, subject: Subject<'_>) -> ProviderError {
        const ACTION: &str = "write the zone";
        match self {
            Self::Io(error) => {
                let copy = error.raw_os_error().map_or_else(
                    || io::Error::new(error.kind(), error.to_string()),
                    io::Error::from_raw_os_error,
                );
                subject.failed(ACTION, copy)
            }
            Self::Damaged(damage) => subject.denied(ACTION, damage.to_string(), "mend the zone file by hand"),
            Self::NoSerial(why) => {
                let (problem, remedy) = why.explain(subject.zone);
                subject.denied(ACTION, problem, remedy)
            }
            Self::NoNameServers => subject.denied(
                ACTION,
                "the file is not there".to_owned(),
                "make it, or give the zone's name servers as ns = ns1.example.net so that it can be made",
            ),
        }
    }
}

impl NoSerial {
    /// The problem, and what a person does about it.
    fn explain(&self, zone: &DnsName) -> (String, &'static str) {
        match self {
            Self::NoSoa => (
                format!("the file has no SOA record of {zone}"),
                "give it one, or name another file in zone-file",
            ),
            Self::Included(file) => (
                format!(
                    "the SOA record of {zone} is in the included file {}, and fleetdns changes the serial only in \
                     the zone file itself",
                    file.display()
                ),
                "move the SOA record from there into the zone file",
            ),
            Self::Unreadable => (
                format!("the serial in the SOA record of {zone} is not a number"),
                "write the SOA record with its serial as a number",
            ),
        }
    }
}
