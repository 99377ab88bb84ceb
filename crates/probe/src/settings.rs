//! How everything is probed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use fleetdns_core::probe::Thresholds;
use fleetdns_core::{AddressPolicies, MemberName, Timing, UnprobeablePolicy};

/// How everything is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Time from one probe of a key to the next.
    pub interval: Duration,
    /// The same while a verdict may change.
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
    /// The shortest and the longest time for which a name server's answer counts, whatever its TTL.
    pub answer_ttl: (Duration, Duration),
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
            answer_ttl: (crate::resolve::SHORTEST, crate::resolve::LONGEST),
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
    pub(super) fn room(&self) -> usize {
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

/// How often a turn is told at least, and whom.
pub(super) type Turns = (Duration, Arc<dyn Fn() + Send + Sync>);
