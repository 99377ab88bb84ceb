//! Verdicts of fleetdns: the state machine of a probe key, and the prober's check of itself.
//!
//! Reads: the outcome of each probe, with the time on the caller's clock. Returns: the verdict of the probe key, and why
//! probe results must not remove anything at the moment.
//!
//! ```text
//! probe outcome ─→ Judge ─→ Verdict
//!      └─────────→ Sight ─→ Doubt
//! ```
//!
//! Invariant: this crate does no I/O and reads no clock; whatever depends on time takes the time as an argument.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod canary;
mod crowd;
mod episode;
pub mod judge;
mod key;
mod round;
mod sight;
mod votes;

pub use episode::Turn;
pub use judge::{Judge, Outcome};
pub use key::{KeyId, Place, Probed, Sound, Weight};
pub use sight::{Sight, SightSettings};

#[cfg(test)]
mod tests;
