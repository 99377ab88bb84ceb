//! A complete small provider to copy from: each zone is one JSON file in a directory. `providers/README.md` walks through
//! it. The conformance suite runs on it; the binary does not contain it.
//!
//! Reads: `DIRECTORY/ZONE.json`. Returns: [`Listing`](fleetdns_core::Listing)s, and writes approved plans.
//!
//! ```json
//! { "www.example.com": [ { "type": "A", "ttl": 30, "values": ["203.0.113.1"], "ownership": "v=1 owner=fed …" } ] }
//! ```
//!
//! Invariant: a name is changed whole or not at all, and only while it is as the plan saw it.
//! Invariant: a record set without our ownership record is never changed.
//! Invariant: the file is replaced whole or not at all, by one process at a time.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod apply;
mod check;
mod client;
mod error;
mod listing;
mod provider;
mod settings;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};

pub use settings::KEYS;

/// Makes the provider for `zone`. Does no I/O. Its calls need a tokio runtime.
///
/// # Errors
/// All keys that are wrong or missing, each with what would be right.
pub fn connect(zone: &DnsName, owner: &Label, keys: &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    let file = settings::read(zone, keys)?;
    Ok(Box::new(provider::Example::new(zone.clone(), owner.clone(), file)))
}
