//! Any primary name server that takes dynamic updates (RFC 2136) as a provider: BIND, Knot, PowerDNS and others.
//!
//! Reads: the zone, by transfer (AXFR, RFC 5936) over TCP. Returns: [`Listing`](fleetdns_core::Listing)s, and writes
//! approved plans as updates. Every message is signed, and every answer has to be (TSIG, RFC 8945).
//!
//! ```text
//! Keys ─settings→ dial → client (TCP), chain (TSIG) ─AXFR→ listing: Known by name → seen → record sets
//!                          ↑                                                          ↓
//!                          └── apply ←─ pack (messages) ←─ changes: prerequisites, deletions, additions, proof
//! ```
//!
//! The owner of the record sets of a name is in TXT records at `_fleetdns.NAME` (`_fleetdns-wildcard.NAME` for `*.NAME`),
//! written in one message with the sets, see `ownership`. A change of a name has as prerequisite that everything of it is
//! as it was listed (RFC 2136 §2.4.2), and is checked afterwards, as BIND and Knot answer NOERROR to additions that they
//! ignore.
//!
//! Invariant: a name is changed whole or not at all, and only while it is as the plan saw it.
//! Invariant: a name that the server refuses keeps no other from being written, and a listing keeps no write waiting.
//! Invariant: no answer is believed whose signature is not right.
//! Invariant: the secret is in no log, no error and no `Debug`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod apply;
mod chain;
mod changes;
mod check;
mod client;
mod dial;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod listing;
mod message;
mod ownership;
mod pack;
mod provider;
mod seen;
mod settings;
mod transfer;
mod view;
mod wire;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};

pub use settings::KEYS;

/// Makes the provider for `zone`. Does no I/O: the server is connected to at each call, which needs a tokio runtime.
///
/// # Errors
/// All keys that are wrong or missing, each with what would be right.
pub fn connect(zone: &DnsName, owner: &Label, keys: &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    let settings = settings::read(zone, keys)?;
    Ok(Box::new(provider::Rfc2136::new(zone.clone(), owner.clone(), settings)))
}
