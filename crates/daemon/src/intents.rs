//! What persons say of the fleet, while the daemon runs and over its restarts.
//!
//! Reads: orders from the control socket, the file of the state directory or else the ownership marks of the zones.
//! Gives: the wishes in force, on a `watch` channel that every zone heeds, and answers to who asked for a change.
//!
//! ```text
//! control socket ─Saying→ ┐
//! zones' marks ──Adopt──→ ┴→ keeper ─Intents→ zones, view
//!                             └→ state directory
//! ```
//!
//! Invariant: one task changes the wishes; a change is kept before it is published, and said once.
//! Invariant: a zone does not plan before the keeper has what its marks say, and waits for no other zone.

pub mod effect;
pub mod keeper;
pub mod order;
pub mod store;

pub use effect::Effect;
pub use keeper::{Clock, Keeper, SayError, Saying, Told, Wishes};
pub use store::{Store, StoreError, standing};
