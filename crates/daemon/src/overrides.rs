//! Overrides of operators, while the daemon runs and over its restarts.
//!
//! Reads: orders from the control socket, the file of the state directory or else the ownership records of the zones.
//! Returns: the overrides in force, on a `watch` channel that every zone applies, and answers to who asked for a change.
//!
//! ```text
//! control socket ─request→ ┐
//! zones' records ──adopt─→ ┴→ override store ─Overrides→ zones, view
//!                             └→ state directory, or the document that replicas share
//! ```
//!
//! Invariant: one task changes the overrides; a change is kept before it is published, and said once.
//! Invariant: a zone does not plan before the override store has what its marks say, and waits for no other zone.

pub mod clock;
pub mod effect;
pub mod order;
pub(crate) mod outlook;
pub mod request;
pub mod sender;
pub mod storage;
pub mod store;
pub mod store_task;

pub use clock::Clock;
pub use effect::Effect;
pub use request::{OverrideChange, OverrideError, OverrideRequest};
pub use sender::OverrideSender;
pub use storage::Storage;
pub use store::{StateFile, StoreError, standing};
pub use store_task::OverrideStore;
