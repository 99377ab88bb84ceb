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
//! Invariant: what takes an endpoint out is published no sooner than the failed self-check that suspends it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{DnsName, Health, ProbeKey, Snapshot};
use futures::future::BoxFuture;
use futures::stream;
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
mod sessions;
mod settings;
mod stall;
mod stats;
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
pub use report::{CanaryReport, Report, Reports};
pub use settings::{CORRELATION_HOLD, ProbeSettings, TrustSettings};
pub use stats::{DURATION_CLASSES, Durations, KindStats, ProbeKind, Stats};
pub use transport::Transport;

use crate::engine::Engine;
use crate::lookup::NameServers;
use crate::resolve::Families;
use crate::settings::Turns;
use crate::tls::Trusts;

/// How to probe, with all that it takes: trusted certificates, name servers and canaries.
#[derive(Clone)]
pub struct Setup {
    settings: ProbeSettings,
    trusts: Trusts,
    servers: NameServers,
    canaries: Vec<Canary>,
}

impl Setup {
    /// Reads the trusted certificates and finds the name servers. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ProbeError::CaFile`] and [`ProbeError::Tls`].
    pub fn new(settings: ProbeSettings) -> Result<Self, ProbeError> {
        let trusts = Trusts::new(&settings.trust, &settings.trust_of)?;
        let servers = NameServers::new(&settings.nameservers);
        Ok(Self { settings, trusts, servers, canaries: Vec::new() })
    }

    /// With canaries, by which the prober knows when it is cut off itself. They are probed as endpoints are, and are none.
    #[must_use]
    pub fn with_canaries(self, canaries: Vec<Canary>) -> Self {
        Self { canaries, ..self }
    }

    /// One sweep, for `fleetdns plan`: each key is probed until it has a verdict, at most `fall` times. Bounded in
    /// time; what is not known then is missing.
    pub async fn sweep(&self, snapshot: &Snapshot) -> Health {
        let engine::Setup { probe, lookup, .. } = by_sockets(self.clone());
        sweep::sweep(&self.settings, snapshot, probe, lookup).await
    }
}

/// The setup with its probes and lookups, over real sockets.
fn by_sockets(setup: Setup) -> engine::Setup<impl Fn(ProbeKey) -> Probing, impl Fn(DnsName) -> Looking> {
    let Setup { settings, trusts, servers, canaries } = setup;
    let (timing, addresses) = (settings.timing(), Arc::clone(&settings.addresses));
    let probe = move |key: ProbeKey| -> Probing {
        let timeout = timing.with(&key.spec.pace).timeout;
        Box::pin(attempt::probe(key, trusts.clone(), Arc::clone(&addresses), timeout))
    };
    let bounds = settings.answer_ttl;
    let lookup = move |name| -> Looking {
        let looking = servers.clone().lookup(name);
        Box::pin(async move {
            let (name, answer) = looking.await;
            (name, resolve::within(bounds, answer))
        })
    };
    engine::Setup { settings, canaries, probe, lookup }
}

type Probing = BoxFuture<'static, Answer>;
type Looking = BoxFuture<'static, (DnsName, Families)>;

/// The prober, not yet running.
#[derive(Default)]
pub struct Prober {
    reports: Reports,
    turns: Option<Turns>,
}

impl Prober {
    /// A handle on what the last probes said.
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Calls `beat` this often while its loop takes its turns and no probe or lookup outlasts its limit, so that somebody
    /// else can see when it hangs.
    #[must_use]
    pub fn with_turns(self, tick: Duration, beat: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { turns: Some((tick, beat)), ..self }
    }

    /// Probes until the shutdown. When `setups` changes, it probes in the new way; what is known of each key stands.
    /// Whenever `confirm_outage` changes, an operator has confirmed a mass failure.
    ///
    /// # Errors
    /// [`ProbeError::NoSnapshots`] when the sender of the snapshots is dropped first.
    pub async fn run(
        self,
        mut setups: watch::Receiver<Setup>,
        snapshots: watch::Receiver<Snapshot>,
        out: watch::Sender<Health>,
        confirm_outage: watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) -> Result<(), ProbeError> {
        let Self { reports, turns } = self;
        let first = by_sockets(setups.borrow_and_update().clone());
        let later = stream::unfold(setups, async |mut setups| {
            setups.changed().await.ok()?;
            let setup = by_sockets(setups.borrow_and_update().clone());
            Some((setup, setups))
        });
        let engine = Engine::new(first, reports).with_turns(turns);
        engine.run(snapshots, &out, confirm_outage, pin!(later), shutdown).await
    }
}

/// [`Prober::run`] without reports, canaries, confirmations and changes.
///
/// # Errors
/// Any [`ProbeError`].
pub async fn run(
    settings: ProbeSettings,
    snapshots: watch::Receiver<Snapshot>,
    out: watch::Sender<Health>,
    shutdown: CancellationToken,
) -> Result<(), ProbeError> {
    // Nobody can confirm or change anything.
    let ((_, confirm_outage), (_, setups)) = (watch::channel(0), watch::channel(Setup::new(settings)?));
    Prober::default().run(setups, snapshots, out, confirm_outage, shutdown).await
}

/// [`Setup::sweep`] in one call.
///
/// # Errors
/// [`ProbeError::CaFile`] and [`ProbeError::Tls`].
pub async fn sweep(settings: ProbeSettings, snapshot: &Snapshot) -> Result<Health, ProbeError> {
    Ok(Setup::new(settings)?.sweep(snapshot).await)
}
