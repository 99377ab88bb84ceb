//! Values of fleetdns, the [`Provider`] trait, ownership, and the plan as data.
//!
//! A provider depends on this crate alone. Decisions are made in `fleetdns-planner`, verdicts in `fleetdns-health`.
//!
//! Invariant: this crate does no I/O and reads no clock; whatever depends on time takes the time as an argument.
//! Invariant: bad input is data: one bad object, name or record never stops the others.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod address;
pub mod annotations;
pub mod backoff;
pub mod brakes;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod heartbeat;
pub mod hold;
pub mod hostnames;
pub mod keys;
pub mod limits;
pub mod lines;
pub mod member;
pub mod member_name;
pub mod name;
pub mod observed;
pub mod overrides;
pub mod ownership;
pub mod pause;
pub mod peer_limit;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod provider;
pub mod quota;
pub mod record;
pub mod redact;
pub mod refusals;
pub mod routing;
pub mod secrets;
pub mod self_check;
pub mod service;
pub mod service_fault;
pub mod small_set;
pub mod stamp;
pub mod text;
mod unreadable;

pub use address::Address;
pub use brakes::{AllDown, ApprovedPlan, Brakes, approve};
pub use hold::Hold;
pub use hostnames::{HostnamePolicy, Sharing};
pub use member::{ClusterVerdict, Health, Inventory, MemberView, Snapshot};
pub use member_name::MemberName;
pub use name::{DnsName, Label};
pub use observed::shared_listing::SharedListing;
pub use observed::{Content, Observed, ObservedSet, Sets, Unwritable, Version};
pub use overrides::{Override, OverrideKind, Overrides, Subject};
pub use ownership::{Contribution, Owner, Ownership, OwnershipRecord};
pub use pause::Pause;
pub use plan::{Change, NameChange, Plan};
pub use policy::{AddressDenied, AddressPolicies, AddressPolicy};
pub use probe::{
    Check, Guard, Pace, ProbeKey, ProbeSpec, Target, Thresholds, Timing, Trust, UnprobeablePolicy, Verdict,
};
pub use provider::{
    Applied, Capabilities, Finding, Listing, Measure, MeasureKind, Outcome, Provider, ProviderError,
};
pub use quota::Limits;
pub use record::{NonEmpty, RecordData, RecordSet, RecordType, Ttl};
pub use refusals::{Order, RefusalBudget, Refusals};
pub use routing::Routing;
pub use self_check::SelfCheckFailure;
pub use service::{Ingress, Port, Published, Service, ServiceKey, ServiceText};
pub use small_set::SmallSet;
pub use unreadable::Unreadable;
