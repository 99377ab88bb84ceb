//! Real servers for the tests of fleetdns: member clusters (kube-apiserver with etcd), CoreDNS with etcd, and load
//! balancer endpoints that can be broken in the ways that real ones break.
//!
//! Reads: the server binaries that `tests/setup` builds. Returns: one guard per server, whose drop ends the server.
//!
//! Invariant: every server listens on loopback, on ports of its own.
//! Invariant: no server outlives the test process, however that ends (where `setpriv` exists).
//! Invariant: a missing binary fails the test; skipped is not passed.
//!
//! What goes wrong here panics, with the last lines of the server's log: a harness has no caller that could go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test harness: its failures are the test's failures"
)]

pub mod access;
pub mod browser;
pub mod busy;
pub mod busy_api;
pub mod certs;
pub mod cloud;
pub mod conf;
pub mod coredns;
pub mod daemon;
pub mod dns;
pub mod endpoint;
pub mod etcd;
pub mod external_dns;
pub mod fleet;
pub mod hostile;
pub mod kill_point;
pub mod kube;
#[cfg(test)]
mod limits_table;
pub mod manifest;
pub mod nameserver;
pub mod openapi;
pub mod packets;
pub mod planted;
pub mod ports;
pub mod preload;
pub mod process;
pub mod proxy;
pub mod race;
pub mod resolver;
pub mod road;
pub mod secure;
pub mod servers;

use std::future::Future;
use std::time::{Duration, Instant};

/// Runs `check` every `pause` until it returns `Ok`; returns how long that took.
///
/// # Panics
/// With the last `Err`, when `budget` is over.
pub async fn eventually<T, E, F>(what: &str, budget: Duration, pause: Duration, mut check: F) -> (T, Duration)
where
    E: std::fmt::Display,
    F: AsyncFnMut() -> Result<T, E>,
{
    let start = Instant::now();
    loop {
        match check().await {
            Ok(value) => return (value, start.elapsed()),
            Err(last) if start.elapsed() >= budget => {
                panic!("{what}: not within {budget:?}; last: {last}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
    }
}

/// Returns the output of `future`.
///
/// # Panics
/// When `budget` is over first.
pub async fn within<F: Future>(what: &str, budget: Duration, future: F) -> F::Output {
    match tokio::time::timeout(budget, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {budget:?}"),
    }
}
