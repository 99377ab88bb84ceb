//! CoreDNS as a provider, in the two forms in which CoreDNS keeps zones of its own: etcd (its `etcd` plugin) and zone
//! files (its `file` and `auto` plugins).
//!
//! Reads: a zone as it stands in etcd or in a file. Returns: [`Listing`](fleetdns_core::Listing)s, and writes approved
//! plans.
//!
//! ```text
//! Keys ─settings→ etcd: Layout · value · listing (keys → sets) · changes (change → guarded keys) · pack → transactions
//!              └→ file: scan · zone (text → sets) · render → new text → temporary file → rename
//! ```
//!
//! Invariant: in etcd only exact keys are written or deleted, never a prefix, and each write has guards on the name.
//! Invariant: a key or a line that is not ours survives as it is.
//! Invariant: a zone file is replaced whole or not at all, and never by a stale copy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod etcd;
mod file;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod settings;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};

pub use etcd::Store;
pub use settings::KEYS;

use settings::Settings;

/// Makes the provider for `zone`. Does no I/O and needs no runtime: files are read and connections made at the first
/// call. The calls themselves need a tokio runtime.
///
/// # Errors
/// All keys that are wrong or missing, each with what would be right.
pub fn connect(zone: &DnsName, owner: &Label, keys: &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    Ok(match settings::read(zone, keys)? {
        Settings::Etcd(settings) => Box::new(etcd::EtcdZone::new(zone.clone(), owner.clone(), settings)),
        Settings::File(settings) => Box::new(file::FileZone::new(zone.clone(), owner.clone(), settings)),
    })
}
