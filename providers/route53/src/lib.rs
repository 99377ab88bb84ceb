//! Amazon Route 53 as a provider: public and private hosted zones.
//!
//! Reads: a hosted zone through the AWS SDK. Returns: [`Listing`](fleetdns_core::Listing)s, and writes approved plans.
//!
//! ```text
//! Keys ─settings→ provider: which hosted zone it is · list (pages → listing) · apply · check
//!                  │ listing (record sets ↔ sets with an owner) · shape and alias (a set ↔ its record sets)
//!                  │ ownership (record ↔ TXT) · names (octal escapes)
//!                  │ changes (change → deletes and creates) · pack → batches · said (who is to blame in a batch)
//!                  │ insync: when the name servers have a batch
//!                  └ client: one call → answer or fault
//! ```
//!
//! The mark of a set is a TXT set at `_fleetdns.NAME` (`_fleetdns-wildcard.NAME` for `*.NAME`), written and deleted in
//! the batch of its record.
//!
//! Invariant: a set is deleted with the exact values that were read, and created where none is; nothing is upserted. So a
//! batch goes through only while the zone is as the plan saw it.
//! Invariant: a set without our mark, with a routing policy or a health check is never written; nor is an alias, but to a
//! load balancer of AWS under a mark of ours that speaks for a CNAME.
//! Invariant: record and mark of a name are never in two batches, unless they are too large for one; then the mark stands
//! whenever a record of it does.
//! Invariant: at most one batch of a zone is under way.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod alias;
mod apply;
mod bounded;
mod changes;
mod check;
mod client;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod insync;
mod listing;
mod names;
mod ownership;
mod pack;
mod provider;
mod said;
mod settings;
mod shape;
mod split;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};

pub use settings::KEYS;

/// Makes the provider for `zone`. Does no I/O and needs no runtime: files are read and connections made at the first
/// call. The calls themselves need a tokio runtime.
///
/// # Errors
/// All keys that are wrong or missing, each with what would be right.
pub fn connect(zone: &DnsName, owner: &Label, keys: &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    let settings = settings::read(keys)?;
    Ok(Box::new(provider::Zone::new(zone.clone(), owner.clone(), settings)))
}
