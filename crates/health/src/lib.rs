//! Verdicts of fleetdns: the state machine of a probe key, and the prober's check of itself.
//!
//! Reads: the outcome of each probe, with the time on the caller's clock. Returns: the verdict of the probe key, and why
//! probe results must not remove anything at the moment.
//!
//! ```text
//! probe outcome ─→ HealthState ────→ Verdict
//!      └─────────→ VantageMonitor ─→ SelfCheckFailure
//! ```
//!
//! Invariant: this crate does no I/O and reads no clock; whatever depends on time takes the time as an argument.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod canary;
mod episode;
mod key;
mod sample;
pub mod state;
mod sweep;
mod vantage;
mod votes;

pub use episode::Transition;
pub use key::{KeyId, Place, Probed, Reachability, Weight};
pub use state::{HealthState, Outcome};
pub use vantage::{VantageMonitor, VantageSettings};

#[cfg(test)]
mod tests;
