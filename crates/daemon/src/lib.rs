//! The `fleetdns` daemon: configuration, wiring, the zone loop, overrides, the journal and the admin API.
//!
//! Reads: `dns.conf`. Returns: a running fleet.
//!
//! ```text
//! watch ─Snapshot→ probe ─Health→┐
//!       └────────Snapshot────────┼→ one task per zone: list → plan → approve → apply
//! control socket→ override store ─Overrides┘
//!                                   └─ZoneStatus→ admin API, sd_notify
//! ```
//!
//! Invariant: the end of any task is the end of the process, with a reason, unless a reload leaves its zone out; a
//! provider's error never is.
//! Invariant: what changes the state of the fleet comes over the control socket, by SIGHUP or from the files of the
//! configuration; everything else only reads.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod config;
pub mod control;
pub mod denied;
mod discovery;
mod first_sync;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod ha;
pub mod heartbeats;
pub mod http;
pub mod inputs;
pub mod journal;
pub mod kubernetes;
mod metrics;
pub mod notify;
pub mod overrides;
mod page;
pub mod registry;
pub mod reload;
pub mod run;
mod running;
pub mod self_checks;
mod suggestion;
mod tasks;
#[cfg(any(test, fuzzing))]
mod test_fleet;
pub mod view;
pub mod why;
pub mod zone;

use std::error::Error;

/// Characters of an error that are shown: it may name a remedy beside what failed, on what and why.
const MOST_OF_ERROR: usize = 1000;

/// An error with everything that caused it, in one line: escaped, cut at 1,000 characters, and without secrets that a
/// server has echoed. No error's own text repeats its source's.
pub fn chain(error: &dyn Error) -> String {
    let text = fleetdns_core::text::with_causes(error.to_string(), error.source());
    fleetdns_core::text::printable_within(&text, MOST_OF_ERROR).into_owned()
}
