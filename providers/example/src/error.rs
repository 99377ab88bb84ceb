//! What can go wrong, as facts, and what a person can do about it.

use std::io;
use std::path::Path;

use fleetdns_core::ProviderError;
use fleetdns_core::limits::{Excess, REMEDY};
use thiserror::Error;

/// One access to the file that failed.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    #[error(transparent)]
    Excess(#[from] Excess),
    #[error("another process writes the file")]
    Busy,
}

impl Fault {
    /// The error by what the caller does next: `Unavailable` is tried again, `Denied` needs a person. Borrows, because a
    /// fault of the zone is reported for each name of a plan.
    pub(crate) fn error(&self, file: &Path, action: &'static str) -> ProviderError {
        let remedy = match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => "make the file with {} as its text",
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that fleetdns runs as read the file and write in its directory"
            }
            Self::Malformed(_) => "correct the file by hand",
            Self::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => REMEDY,
            Self::Excess(_) => REMEDY,
            Self::Io(_) | Self::Busy => {
                let source = Some(self.to_string().into());
                return ProviderError::Unavailable { endpoint: file.display().to_string(), action, source };
            }
        };
        ProviderError::Denied {
            endpoint: file.display().to_string(),
            action,
            problem: self.to_string(),
            remedy: remedy.to_owned(),
        }
    }
}
