//! Values and decisions of fleetdns.
//!
//! Reads: what members publish ([`Snapshot`]), what probing says ([`Health`]), what a provider lists ([`Observed`]).
//! Gives: a [`Plan`] for each zone, approved by the brakes, for a [`Provider`] to apply.
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
//! Invariant: a pass over the names that changed gives the same result as a pass over everything.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod address;
pub mod adopt;
pub mod brakes;
pub mod cluster;
pub mod crowd;
pub mod doubt;
pub mod evidence;
pub mod explain;
pub mod heartbeat;
pub mod hostnames;
pub mod intent;
pub mod inventory;
pub mod judge;
pub mod keys;
pub mod limits;
pub mod lines;
pub mod member;
pub mod name;
pub mod observed;
pub mod pause;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod probe;
pub mod provider;
pub mod publish;
pub mod record;
pub mod redact;
pub mod refusals;
pub mod service;
mod settle;
pub mod simulate;
pub mod stamp;
pub mod text;
pub mod velocity;
pub mod wanted;

pub use address::Address;
pub use brakes::{AllDown, ApprovedPlan, Brakes, approve};
pub use cluster::ClusterVerdict;
pub use doubt::Doubt;
pub use evidence::{Claim, Evidence, Mark, Share};
pub use explain::{Explanation, explain};
pub use hostnames::HostnamePolicy;
pub use intent::{Intent, Intents, Subject, Wish};
pub use member::{Health, Inventory, MemberName, MemberView, Snapshot};
pub use name::{DnsName, Label};
pub use observed::{Content, Observed, ObservedSet, Unwritable, Version};
pub use pause::Pause;
pub use plan::{Change, NameChange, Plan};
pub use planner::{Move, MoveCause, Planner, Scope, Way};
pub use policy::{AddressDenied, AddressPolicies, AddressPolicy};
pub use probe::{Check, Guard, Pace, ProbeKey, ProbeSpec, Target, Timing, Trust, Unprobeable, Verdict};
pub use provider::{Applied, Capabilities, Finding, Gauge, Listing, Outcome, Provider, ProviderError};
pub use publish::{ProbeDefaults, Protocol, PublishSettings, publish};
pub use record::{NonEmpty, RecordData, RecordSet, RecordType, Ttl};
pub use refusals::{Order, RefusalBudget, Refusals};
pub use service::{Ingress, Port, Published, Service, ServiceKey};
pub use wanted::ZoneSettings;
