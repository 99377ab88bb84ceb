//! An external-dns webhook as a provider: whatever DNS vendor ships such a webhook can be written through it.
//!
//! Reads: all records of the webhook, over HTTP, by version 1 of its protocol. Returns:
//! [`Listing`](fleetdns_core::Listing)s, and writes approved plans as changes. Where the protocol's OpenAPI file and
//! external-dns's own Go code differ, the code is followed, as every webhook is tried with it.
//!
//! ```text
//! Keys ─settings→ client: negotiate (filter) · records · adjust · write
//!                  │ listing: endpoints → names with their sets and mark
//!                  │ changes: change → operations, the mark among them
//!                  └ apply: batches, halves of what is refused → proof: what is really there
//! ```
//!
//! The protocol promises little: no conditions, no result of the parts of a call, no versions. So the records are read
//! before each write and compared with what the plan saw, and read again after it. Whose a set is stands in a TXT at
//! `_fleetdns.NAME`, see `ownership`, written in one call with the set.
//!
//! Invariant: [`Outcome::Done`](fleetdns_core::Outcome::Done) is said only of what was read back.
//! Invariant: a set without our mark, with a set identifier, or with properties that neither we nor the webhook gave it,
//! is never written.
//! Invariant: a call whose end nobody knows is never repeated before the records were read.
//! Invariant: a set is as planned once the webhook has made of it what it makes of such sets; it is not written again.
//! Invariant: the token is in no log, no error and no `Debug`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod apply;
mod changes;
mod check;
mod client;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod listing;
mod ownership;
mod proof;
mod provider;
mod settings;
mod webhook;
mod wire;

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
    Ok(Box::new(webhook::Webhook::new(zone.clone(), owner.clone(), settings)))
}
