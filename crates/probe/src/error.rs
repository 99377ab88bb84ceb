//! Why there is no probing.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no probing.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The file of trusted authorities.
    #[error("cannot read certificates from the ca-file {path}: {why}", path = path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// Nobody tells any more what to probe.
    #[error("the source of what has to be probed has ended")]
    NoSnapshots,
}
