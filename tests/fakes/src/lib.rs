//! Strict servers of our own, and the conformance suite that every provider passes on them and on real servers.
//!
//! Reads: nothing. Returns: one guard per server, whose drop ends the server; one test per case of [`conformance!`].
//!
//! Invariant: a server refuses what the real API refuses.
//!
//! A failure here panics: a harness has no caller that could go on.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test servers: their failures are the test's failures"
)]

pub mod azure;
pub mod conformance;
pub mod plans;
pub mod python;
pub mod rfc2136;
pub mod route53;
pub mod webhook;
