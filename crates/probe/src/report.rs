//! What the last probes said, for people: `status`, `why` and the metrics.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use fleetdns_core::probe::Thresholds;
use fleetdns_core::{DnsName, ProbeKey, Verdict};
use fleetdns_health::Reachability;
use fleetdns_health::state::{HealthState, Outcome};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::canary::{Canary, KnownCanary};
use crate::put_off::{Limit, PutOff, Waits};
use crate::stats::{Counters, Stats};

/// The last probe of a key, and what follows from all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The verdict as it stands.
    pub verdict: Verdict,
    /// Failures since the last success.
    pub failures: u32,
    /// Successes since the last failure.
    pub successes: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// Successes in a row that bring it back now: more after each time that it flapped.
    pub rise: u32,
    /// How the last probe ended; [`Answer::error`] has it as text.
    pub last: Answer,
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether any probe of it succeeded since it appeared.
    pub answered: bool,
}

impl Report {
    pub(crate) fn new(
        health_state: &HealthState,
        thresholds: &Thresholds,
        last: Answer,
        took: Duration,
    ) -> Self {
        Self {
            answered: last.outcome() == Outcome::Pass,
            verdict: health_state.verdict(),
            failures: health_state.failures(),
            successes: health_state.successes(),
            fall: thresholds.fall.max(1),
            rise: health_state.needed(thresholds),
            last,
            at: SystemTime::now(),
            took,
        }
    }
}

/// A canary, and its last probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryReport {
    /// The canary.
    pub canary: Canary,
    /// The last probe of each of its addresses.
    pub probes: Vec<(IpAddr, Report)>,
    /// Why its host name does not resolve.
    pub error: Option<Arc<str>>,
}

impl CanaryReport {
    /// Whether it answered when last probed, and not by a refusal; `None` while no probe has ended.
    pub fn heard(&self) -> Option<bool> {
        if self.probes.is_empty() {
            return self.error.as_ref().map(|_| false);
        }
        Some(self.probes.iter().any(|(_, report)| report.last.reachability() == Reachability::Reached))
    }
}

#[derive(Debug, Default)]
struct Shared {
    probes: RwLock<HashMap<ProbeKey, Report>>,
    /// Host names that could not be resolved the last time, and why.
    names: RwLock<HashMap<DnsName, Arc<str>>>,
    canaries: RwLock<Vec<KnownCanary>>,
    counters: Counters,
    put_off: Mutex<Waits>,
}

/// A handle on all reports. Cheap to clone; reading holds up the prober for no longer than a copy takes.
#[derive(Debug, Clone, Default)]
pub struct Reports(Arc<Shared>);

impl Reports {
    /// The report of one key; `None` while no probe of it has ended.
    pub fn get(&self, key: &ProbeKey) -> Option<Report> {
        self.0.probes.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All reports, in the order of their keys.
    pub fn all(&self) -> Vec<(ProbeKey, Report)> {
        let probes = self.0.probes.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = probes.iter().map(|(key, report)| (key.clone(), report.clone())).collect();
        drop(probes);
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Keys that are out and never answered since they appeared, with the error of the last probe.
    pub fn never_answered(&self) -> HashMap<ProbeKey, String> {
        let probes = self.0.probes.read().unwrap_or_else(PoisonError::into_inner);
        let never =
            probes.iter().filter(|(_, report)| report.verdict == Verdict::Unhealthy && !report.answered);
        never.map(|(key, report)| (key.clone(), report.last.error().unwrap_or_default())).collect()
    }

    /// Why a host name could not be resolved the last time; `None` while it can be.
    pub fn resolve_error(&self, name: &DnsName) -> Option<Arc<str>> {
        self.0.names.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The canaries, and what they last said.
    pub fn canaries(&self) -> Vec<CanaryReport> {
        let canaries = self.0.canaries.read().unwrap_or_else(PoisonError::into_inner).clone();
        canaries.iter().map(|known| self.of_canary(known)).collect()
    }

    fn of_canary(&self, known: &KnownCanary) -> CanaryReport {
        let probe = |key: &ProbeKey| self.get(key).map(|report| (key.address, report));
        let name = known.canary.address.hostname();
        CanaryReport {
            canary: known.canary.clone(),
            probes: known.keys.iter().filter_map(probe).collect(),
            error: name.and_then(|name| self.resolve_error(name)),
        }
    }

    /// Numbers since the start.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    pub(crate) fn put(&self, key: &ProbeKey, report: Report) {
        self.0.counters.probe(&key.spec.check, report.last.outcome(), report.took);
        let mut probes = self.0.probes.write().unwrap_or_else(PoisonError::into_inner);
        match probes.get_mut(key) {
            Some(old) => *old = Report { answered: report.answered || old.answered, ..report },
            None => {
                probes.insert(key.clone(), report);
            }
        }
    }

    pub(crate) fn set_canaries(&self, canaries: &[KnownCanary]) {
        *self.0.canaries.write().unwrap_or_else(PoisonError::into_inner) = canaries.to_vec();
    }

    pub(crate) fn forget(&self, key: &ProbeKey) {
        self.0.probes.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Returns whether that is news.
    pub(crate) fn set_resolve_error(&self, name: &DnsName, error: Option<&str>) -> bool {
        let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => names.insert(name.clone(), error.into()).is_none(),
            None => names.remove(name).is_some(),
        }
    }

    /// Namespaces of which probes were put off within the last minute.
    pub fn put_offs(&self) -> Vec<PutOff> {
        self.0.put_off.lock().unwrap_or_else(PoisonError::into_inner).lately(Instant::now())
    }

    /// A probe of a namespace waits. Returns whether that is to be logged.
    pub(crate) fn put_off(&self, namespace: &Arc<str>, limit: Limit, wait: Duration, now: Instant) -> bool {
        let mut waits = self.0.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        waits.add(namespace, limit, wait, now)
    }

    pub(crate) fn count_start(&self, lag: Duration) {
        self.0.counters.start(lag);
    }

    pub(crate) fn count_stall(&self) {
        self.0.counters.stall();
    }
}
