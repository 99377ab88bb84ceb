//! Probes what the fleet publishes.
//!
//! Reads: the [`Snapshot`] of the fleet. Returns: [`Health`], a verdict for each probe key and the addresses of each load
//! balancer's host name; and [`Reports`], the last probe of each key in words.
//!
//! One task does it all: a heap knows when each key is due, the probes in flight and the resolver are polled beside it.
//! A key is probed once, however many endpoints share it.
//!
//! Invariant: a fault on our side - no route, no descriptors, no name server, no time to run in - never changes a verdict.
//! Invariant: a key that is new is probed at once, and a verdict that changes is published at once.
//! Invariant: nothing is published when nothing changed.
//! Invariant: what takes an endpoint out is published no sooner than the doubt that forbids to apply it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Health, ProbeKey, Snapshot};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod answer;
mod attempt;
mod budget;
mod canary;
mod changes;
mod engine;
mod error;
mod flight;
mod grpc;
mod http;
mod lookup;
mod names;
mod put_off;
mod report;
mod resolve;
mod routes;
mod schedule;
mod self_check;
mod settings;
mod stall;
mod sweep;
mod targets;
#[cfg(test)]
mod testing;
mod tls;
mod transport;

pub use answer::{Answer, Failure, Snag};
pub use canary::Canary;
pub use error::ProbeError;
pub use put_off::{Limit, PutOff};
pub use report::{CanaryReport, LAG_CLASSES, Report, Reports, Stats};
pub use settings::{CORRELATION_HOLD, ProbeSettings, TrustSettings};
pub use transport::Transport;

use crate::engine::Engine;
use crate::lookup::NameServers;
use crate::resolve::Resolver;
use crate::settings::Turns;
use crate::tls::Trusts;

/// Probing, set up and not yet running.
pub struct Prober {
    settings: ProbeSettings,
    trusts: Trusts,
    servers: NameServers,
    reports: Reports,
    canaries: Vec<Canary>,
    turns: Option<Turns>,
}

impl Prober {
    /// Reads the trusted certificates and finds the name servers. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ProbeError::CaFile`] and [`ProbeError::Tls`].
    pub fn new(settings: ProbeSettings) -> Result<Self, ProbeError> {
        let trusts = Trusts::new(&settings.trust, &settings.trust_of)?;
        let servers = NameServers::new(&settings.nameservers);
        Ok(Self { settings, trusts, servers, reports: Reports::default(), canaries: Vec::new(), turns: None })
    }

    /// A handle on what the last probes said.
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// With canaries, by which it knows when it is cut off itself. They are probed as endpoints are, and are none.
    #[must_use]
    pub fn with_canaries(self, canaries: Vec<Canary>) -> Self {
        Self { canaries, ..self }
    }

    /// Calls `beat` this often while its loop takes its turns and no probe or lookup outlasts its limit, so that somebody
    /// else can see when it hangs.
    #[must_use]
    pub fn with_turns(self, tick: Duration, beat: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { turns: Some((tick, beat)), ..self }
    }

    /// Probes until the shutdown. Whenever `confirm_outage` changes, an operator has confirmed a mass failure.
    ///
    /// # Errors
    /// [`ProbeError::NoSnapshots`] when the sender of the snapshots is dropped first.
    pub async fn run(
        self,
        snapshots: watch::Receiver<Snapshot>,
        out: watch::Sender<Health>,
        confirm_outage: watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) -> Result<(), ProbeError> {
        let Self { settings, trusts, servers, reports, canaries, turns } = self;
        let (timing, addresses) = (settings.timing(), Arc::clone(&settings.addresses));
        let probe = move |key: ProbeKey| {
            let timeout = timing.with(&key.spec.pace).timeout;
            attempt::probe(key, trusts.clone(), Arc::clone(&addresses), timeout)
        };
        let resolver = Resolver::new(move |name| servers.clone().lookup(name));
        let engine = Engine::new(&settings, probe, resolver, reports).with_canaries(canaries);
        engine.with_turns(turns).run(snapshots, &out, confirm_outage, shutdown).await
    }

    /// One sweep, for `fleetdns plan`: each key is probed until it has a verdict, at most `fall` times. Bounded in
    /// time; what is not known then is missing.
    pub async fn sweep(&self, snapshot: &Snapshot) -> Health {
        let (trusts, timing) = (self.trusts.clone(), self.settings.timing());
        let addresses = Arc::clone(&self.settings.addresses);
        let probe = move |key: ProbeKey| {
            let timeout = timing.with(&key.spec.pace).timeout;
            attempt::probe(key, trusts.clone(), Arc::clone(&addresses), timeout)
        };
        let servers = self.servers.clone();
        let lookup = move |name| servers.clone().lookup(name);
        sweep::sweep(&self.settings, snapshot, probe, lookup).await
    }
}

/// [`Prober::run`] without reports, canaries and confirmations.
///
/// # Errors
/// Any [`ProbeError`].
pub async fn run(
    settings: ProbeSettings,
    snapshots: watch::Receiver<Snapshot>,
    out: watch::Sender<Health>,
    shutdown: CancellationToken,
) -> Result<(), ProbeError> {
    // Nobody can confirm anything.
    let (_, confirm_outage) = watch::channel(0);
    Prober::new(settings)?.run(snapshots, out, confirm_outage, shutdown).await
}

/// [`Prober::sweep`] in one call.
///
/// # Errors
/// [`ProbeError::CaFile`] and [`ProbeError::Tls`].
pub async fn sweep(settings: ProbeSettings, snapshot: &Snapshot) -> Result<Health, ProbeError> {
    Ok(Prober::new(settings)?.sweep(snapshot).await)
}
