//! Decisions of fleetdns: from what members publish and what probing says to the plan of a zone.
//!
//! Reads: what members publish ([`Snapshot`]), what probing says ([`Health`]), what a provider lists ([`Observed`]).
//! Returns: a [`Plan`] for each zone, for the brakes to approve and a [`Provider`] to apply.
//!
//! ```text
//! Service ─publish→ Published ─┐
//!                   Snapshot ──┼─ Planner ─→ Plan ─approve→ ApprovedPlan ─→ Provider::apply
//!                   Health ────┤
//!                   Observed ──┘
//! ```
//!
//! Invariant: this crate does no I/O and reads no clock; whatever depends on time takes the time as an argument.
//! Invariant: bad input is data: one bad object, name or record never stops the others.
//! Invariant: a pass over the names that changed returns the same result as a pass over everything.
//!
//! [`Snapshot`]: fleetdns_core::Snapshot
//! [`Health`]: fleetdns_core::Health
//! [`Observed`]: fleetdns_core::Observed
//! [`Plan`]: fleetdns_core::Plan
//! [`Provider`]: fleetdns_core::Provider

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod adopt;
mod brakes;
mod cluster;
mod decide;
pub mod desired;
pub mod explain;
mod federation;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod holders;
mod input;
mod lines;
pub mod planner;
pub mod publish;
pub mod simulate;

pub use brakes::Velocity;
pub use desired::ZoneSettings;
pub use explain::{Explanation, explain};
pub use input::{Input, changed_services};
pub use lines::{HeldLine, Reason, SetLine};
pub use planner::{
    Bench, Handover, Leave, Memory, Move, MoveCause, Orphan, Pass, Planner, Preview, Scope, Way, release,
};
pub use publish::{ProbeDefaults, Protocol, PublishSettings, publish};
