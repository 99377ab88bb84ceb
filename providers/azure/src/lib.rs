//! Azure as a provider: public zones of Azure DNS, and private zones of Azure Private DNS.
//!
//! Reads: a zone through Azure Resource Manager (ARM). Returns: [`Listing`](fleetdns_core::Listing)s, and writes approved
//! plans.
//!
//! ```text
//! Keys ─settings→ provider: list (pages) · apply (plan → conditional writes) · check
//!                  │ listing (JSON ↔ sets) · ownership (record ↔ metadata) · pace (who may call when)
//!                  └ client: one call → answer or fault · credential: tokens
//! ```
//!
//! Invariant: every write has a condition: `If-None-Match: *` creates, `If-Match` with the etag of the listing replaces
//! and deletes.
//! Invariant: a set that is not plainly ours, down to the last property, is never written.
//! Invariant: a name is reported as done only when Azure's answer shows what was asked for.
//! Invariant: while Azure asks to wait no call of that kind is made.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod apply;
mod bounded;
mod check;
mod client;
mod credential;
mod envelope;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod listing;
mod ownership;
mod pace;
mod provider;
mod settings;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};

pub use settings::KEYS;

use settings::Service;

/// Makes the provider for a public zone. Does no I/O and needs no runtime: files are read and connections made at the
/// first call. The calls themselves need a tokio runtime.
///
/// # Errors
/// All keys that are wrong or missing, each with what would be right.
pub fn connect(zone: &DnsName, owner: &Label, keys: &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    of(Service::Public, zone, owner, keys)
}

/// As [`connect`], for a private zone.
///
/// # Errors
/// As [`connect`].
pub fn connect_private(
    zone: &DnsName,
    owner: &Label,
    keys: &Keys,
) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    of(Service::Private, zone, owner, keys)
}

fn of(
    service: Service,
    zone: &DnsName,
    owner: &Label,
    keys: &Keys,
) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let settings = settings::read(service, zone, keys, &environment)?;
    Ok(Box::new(provider::AzureZone::new(zone.clone(), owner.clone(), settings)))
}
