//! The provider against a strict Azure Resource Manager of our own, over TLS on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod apply;
mod clients;
mod fake;
mod faults;
mod list;
mod numbers;
#[path = "../../../coredns/tests/common/plans.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other providers; a part of it is used here")]
mod plans;
mod private;
#[path = "../../../../tests/src/python.rs"]
#[allow(unreachable_pub, reason = "shared with other providers")]
mod python;
mod refusals;
mod support;
