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

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::probe::Thresholds;
use fleetdns_core::{AddressPolicies, Health, MemberName, ProbeKey, Snapshot, Timing, UnprobeablePolicy};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

mod answer;
mod attempt;
mod budget;
mod canary;
mod changes;
mod engine;
mod flight;
mod grpc;
mod http;
mod lookup;
mod names;
mod put_off;
mod report;
mod resolve;
mod round;
mod routes;
mod schedule;
mod self_check;
mod stall;
mod targets;
#[cfg(test)]
mod testing;
mod tls;
mod transport;

pub use answer::{Answer, Failure, Snag};
pub use canary::{Canary, CanaryReport};
pub use put_off::{Limit, PutOff};
pub use report::{LAG_CLASSES, Report, Reports, Stats};
pub use transport::Transport;

use crate::engine::Engine;
use crate::lookup::NameServers;
use crate::resolve::Resolver;
use crate::tls::Trusts;

/// How everything is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Time from one probe of a key to the next.
    pub interval: Duration,
    /// The same while a verdict is in doubt.
    pub fast_interval: Duration,
    /// For a whole probe: connection, TLS and headers.
    pub timeout: Duration,
    /// Failures in a row that take an endpoint out.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
    /// Whose word on certificates counts.
    pub trust: TrustSettings,
    /// The same for members that have a word of their own.
    pub trust_of: BTreeMap<MemberName, TrustSettings>,
    /// Probes in flight at one time; never more than half of the file descriptors that the process may have.
    pub max_inflight: usize,
    /// Probes a second of one namespace.
    pub namespace_rate: NonZeroU32,
    /// Name servers for load balancer host names; empty means the system's.
    pub nameservers: Vec<SocketAddr>,
    /// What becomes of an endpoint that cannot be probed from here.
    pub unprobeable_policy: UnprobeablePolicy,
    /// How long a correlation holds what failed together; `None`: until it recovers or an operator confirms it.
    pub correlation_hold: Option<Duration>,
    /// Which addresses may be probed.
    pub addresses: Arc<AddressPolicies>,
}

/// How long a correlation holds unless the settings say otherwise.
pub const CORRELATION_HOLD: Duration = Duration::from_secs(600);

/// Probes a second of one namespace unless the settings say otherwise: 25,000 endpoints every 5 s.
const NAMESPACE_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4999);

/// Whom probes over TLS trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// PEM file of the authorities that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Takes any certificate.
    pub insecure: bool,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let thresholds = Thresholds::default();
        Self {
            interval: Duration::from_secs(5),
            fast_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            fall: thresholds.fall,
            rise: thresholds.rise,
            trust: TrustSettings::default(),
            trust_of: BTreeMap::new(),
            max_inflight: 10_000,
            namespace_rate: NAMESPACE_RATE,
            nameservers: Vec::new(),
            unprobeable_policy: UnprobeablePolicy::default(),
            correlation_hold: Some(CORRELATION_HOLD),
            addresses: Arc::default(),
        }
    }
}

impl ProbeSettings {
    /// Times and thresholds of a key that asks for no others.
    pub const fn timing(&self) -> Timing {
        Timing {
            interval: self.interval,
            fast_interval: self.fast_interval,
            timeout: self.timeout,
            thresholds: Thresholds { fall: self.fall, rise: self.rise },
        }
    }

    /// What the settings and the file descriptor limit allow.
    fn room(&self) -> usize {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = descriptors.and_then(|limit| usize::try_from(limit / 2).ok()).unwrap_or(usize::MAX);
        if half < self.max_inflight {
            warn!(
                max_inflight = self.max_inflight,
                allowed = half,
                "the file descriptor limit bounds the probes in flight"
            );
        }
        self.max_inflight.min(half).max(1)
    }
}

/// Why there is no probing.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The file of trusted authorities.
    #[error("cannot read certificates from the ca-file {path}: {why}", path = path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// Nobody tells any more what to probe.
    #[error("the source of what has to be probed has ended")]
    NoSnapshots,
}

/// Probing, set up and not yet running.
pub struct Prober {
    settings: ProbeSettings,
    trusts: Trusts,
    servers: NameServers,
    reports: Reports,
    canaries: Vec<Canary>,
    turns: Option<Turns>,
}

/// How often a turn is told at least, and whom.
type Turns = (Duration, Arc<dyn Fn() + Send + Sync>);

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

    /// Probes until the shutdown. Whenever `release` changes, a person has said that what went bad together is really bad.
    ///
    /// # Errors
    /// [`ProbeError::NoSnapshots`] when the sender of the snapshots is dropped first.
    pub async fn run(
        self,
        snapshots: watch::Receiver<Snapshot>,
        out: watch::Sender<Health>,
        release: watch::Receiver<u64>,
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
        engine.with_turns(turns).run(snapshots, &out, release, shutdown).await
    }

    /// One full round, for `fleetdns plan`: each key is probed until it has a verdict, at most `fall` times. Bounded in
    /// time; what is not known then is missing.
    pub async fn round(&self, snapshot: &Snapshot) -> Health {
        let (trusts, timing) = (self.trusts.clone(), self.settings.timing());
        let addresses = Arc::clone(&self.settings.addresses);
        let probe = move |key: ProbeKey| {
            let timeout = timing.with(&key.spec.pace).timeout;
            attempt::probe(key, trusts.clone(), Arc::clone(&addresses), timeout)
        };
        let servers = self.servers.clone();
        let lookup = move |name| servers.clone().lookup(name);
        round::round(&self.settings, snapshot, probe, lookup).await
    }
}

/// [`Prober::run`] without reports, canaries and release.
///
/// # Errors
/// Any [`ProbeError`].
pub async fn run(
    settings: ProbeSettings,
    snapshots: watch::Receiver<Snapshot>,
    out: watch::Sender<Health>,
    shutdown: CancellationToken,
) -> Result<(), ProbeError> {
    // Nobody can release anything.
    let (_, release) = watch::channel(0);
    Prober::new(settings)?.run(snapshots, out, release, shutdown).await
}

/// [`Prober::round`] in one call.
///
/// # Errors
/// [`ProbeError::CaFile`] and [`ProbeError::Tls`].
pub async fn round(settings: ProbeSettings, snapshot: &Snapshot) -> Result<Health, ProbeError> {
    Ok(Prober::new(settings)?.round(snapshot).await)
}
