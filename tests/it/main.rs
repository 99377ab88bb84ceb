//! Everything that needs real servers; `tests/setup` builds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod harness;
