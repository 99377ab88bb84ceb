//! The embedded server as clients and as the daemon see it, over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod hostile;
mod limits;
mod provider;
mod speed;
mod state;
mod support;
