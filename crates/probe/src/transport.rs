//! Probing by other means than sockets and name servers: what lies above can be tested with the real engine, in
//! simulated time and without a network.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use fleetdns_core::{DnsName, Health, ProbeKey, Snapshot};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::canary::Canary;
use crate::engine::{Engine, Setup};
use crate::error::ProbeError;
use crate::report::Reports;
use crate::resolve::{Families, Family};
use crate::settings::ProbeSettings;

/// What takes the place of the network.
///
/// Invariant: with a paused clock and one thread, the same answers give the same run.
pub struct Transport<P, L> {
    /// Probes a key to an end, within the timeout of the settings.
    pub probe: P,
    /// The addresses of a host name, of both families, with their TTL; or why there is no answer that can be believed.
    pub lookup: L,
}

impl<P, F, L, G> Transport<P, L>
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer> + Send + 'static,
    L: Fn(DnsName) -> G,
    G: Future<Output = Result<(BTreeSet<IpAddr>, Duration), String>>,
{
    /// As [`Prober::run`](crate::Prober::run), by these means.
    ///
    /// # Errors
    /// [`ProbeError::NoSnapshots`] when the sender of the snapshots is dropped first.
    pub async fn run(
        self,
        (settings, canaries): (ProbeSettings, Vec<Canary>),
        snapshots: watch::Receiver<Snapshot>,
        out: watch::Sender<Health>,
        confirm_outage: watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) -> Result<(), ProbeError> {
        let Self { probe, lookup } = self;
        let lookup = |name: DnsName| {
            let asked = lookup(name.clone());
            async move { (name, families(asked.await)) }
        };
        let engine = Engine::new(Setup { settings, canaries, probe, lookup }, Reports::default());
        engine.run(snapshots, &out, confirm_outage, futures::stream::pending(), shutdown).await
    }
}

fn families(answer: Result<(BTreeSet<IpAddr>, Duration), String>) -> Families {
    let (addresses, ttl) = match answer {
        Ok(found) => found,
        Err(why) => return (Family::Failed(why.clone()), Family::Failed(why)),
    };
    let (v4, v6): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let family =
        |found: BTreeSet<IpAddr>| if found.is_empty() { Family::Empty } else { Family::Found(found, ttl) };
    (family(v4), family(v6))
}
