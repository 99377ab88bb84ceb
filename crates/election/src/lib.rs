//! Which of several replicas leads: decided from a record that all of them share, and from when this one saw it change.
//!
//! Reads: what a read of the record returned and what became of a write, each with the time on this replica's own clock.
//! Returns: what to do next, and until when this replica may write.
//!
//! ```text
//! read ──found──→ Election ─next─→ read it, write it, or wait
//! write ─written→    │
//!                    └─until─→ fence
//! ```
//!
//! The rule is client-go's (`tools/leaderelection`): the record of another counts from when *we* saw it change, so that
//! the clocks of two machines are never compared. Our own counts from before we sent it, and ends for us a margin before
//! it ends for others.
//!
//! A record that is missing, or older than one that was seen, was deleted or put back from a backup: it is no reason to lead.
//!
//! Invariant: as long as no clock runs faster than another by more than a tenth, and writes of the record are
//! conditional, there is one leader at most at any moment. This holds also when the record is deleted or put back from a
//! backup, with three exceptions: no other replica has read the record since it stopped being like that (a second or two);
//! it happens again within three lease times; or the backup has a lease that was given back, and a replica that has just
//! started reads it first.
//! Invariant: this crate does no I/O and reads no clock.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod election;
mod terms;

pub use election::{Election, Found, Next, Record};
pub use terms::Terms;
