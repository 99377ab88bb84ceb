//! Several replicas of one daemon: who of them may write, and what they share.
//!
//! ```text
//! engine (a Lease and a ConfigMap, or etcd) ←→ replica ─Standing→ zones, status, metrics
//!        ↑                                       └─until→ Fence ─→ Provider::apply
//!        └── override store: what is drained and forced
//! ```
//!
//! Invariant: no write begins unless the lease lasts long enough, and none goes on after it has ended.
//! Invariant: an order that is accepted by one replica is in the engine before it is answered.

pub mod clock;
pub mod engine;
#[cfg(feature = "coredns")]
mod etcd;
pub mod fence;
mod kubernetes;
mod make;
pub mod replica;

pub use clock::Uptime;
pub use engine::{Document, Engine, Stored};
pub use fence::{Fence, Standing};
pub(crate) use make::{check_etcd, usual_prefix};
pub use make::{identity, look, make, writer};
pub use replica::Replica;
