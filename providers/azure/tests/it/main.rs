//! The provider against a strict Azure Resource Manager of our own, over TLS on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod adopt;
mod apply;
mod clients;
mod faults;
mod limits;
mod list;
mod numbers;
mod private;
mod refusals;
mod role;
mod support;
