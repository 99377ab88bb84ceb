//! What a zone's task says of itself to the rest of the daemon.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fleetdns_core::plan::{HeldChange, Refused};
use fleetdns_core::{Capabilities, DnsName, Measure, Observed, Provider, ServiceKey};
use fleetdns_planner::{Memory, ZoneSettings};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::time::Instant;

use super::calls::Calls;
use super::dead::DeadNames;
use super::unwritten::ByVerb;

/// What the rest of the daemon may know of a zone at any moment.
#[derive(Debug, Clone)]
pub struct ZoneStatus {
    /// The zone.
    pub settings: ZoneSettings,
    /// Name of its provider.
    pub provider: Arc<str>,
    /// What the provider can represent.
    pub capabilities: Capabilities,
    /// The zone as it was last read or written; `None` before the first list.
    pub observed: Option<Observed>,
    /// When the zone was last listed.
    pub listed_at: Option<Instant>,
    /// When a name was last written.
    pub written_at: Option<Instant>,
    /// Record sets that are planned to be written and are not written yet, without those that the backend refuses.
    pub unwritten: ByVerb,
    /// What start-up waits for.
    pub startup: Option<String>,
    /// Why the zone cannot be read or written at the moment.
    pub fault: Option<String>,
    /// Why it cannot be written at the moment, whether it can be read or not.
    pub write_fault: Option<String>,
    /// Another daemon that writes the zone with the same owner, and which of the two stops.
    pub other_writer: Option<String>,
    /// What the brakes remember of the last pass.
    pub memory: Memory,
    /// From when on the times of that memory count.
    pub started: Instant,
    /// Names kept by a brake.
    pub held: BTreeMap<DnsName, HeldChange>,
    /// What is wanted and not written, by name.
    pub refused: BTreeMap<Arc<str>, Vec<Refused>>,
    /// What Services say that cannot be used.
    pub faults: BTreeMap<ServiceKey, Vec<Refused>>,
    /// Names written since the start.
    pub written: u64,
    /// Names not written since the start because of a fault.
    pub failed: u64,
    /// What the provider measures, as it is at the moment of reading.
    pub measures: Measures,
    /// What of this provider took how long.
    pub times: Times,
    /// Calls of this provider.
    pub calls: Arc<CallsByKind>,
    /// Names with dead addresses.
    pub dead: DeadNames,
}

/// Durations since the start, in seconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// Of reading the zone.
    pub list: Histogram,
    /// Of writing a batch.
    pub apply: Histogram,
    /// From a change in the fleet to the written name.
    pub change: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        Self { list: seconds(), apply: seconds(), change: seconds() }
    }
}

/// Calls of a provider.
#[derive(Debug, Default)]
pub struct CallsByKind {
    /// That read the zone.
    pub list: Calls,
    /// That write a batch.
    pub apply: Calls,
}

/// A provider of which no more can be had than its measures.
#[derive(Clone)]
pub struct Measures(pub(crate) Arc<dyn Provider>);

impl Measures {
    /// The measures now.
    pub fn read(&self) -> Vec<Measure> {
        self.0.measures()
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

impl ZoneStatus {
    /// For how many seconds it is not known what other replicas have written; `None` where each has a copy of its own.
    pub(crate) fn age_of_others_writes(&self) -> Option<u64> {
        self.listed_at.filter(|_| !self.capabilities.own_copy).map(|at| at.elapsed().as_secs())
    }

    /// Before anything is known.
    pub(crate) fn new(
        settings: ZoneSettings,
        provider: &str,
        capabilities: Capabilities,
        measures: Measures,
    ) -> Self {
        Self {
            settings,
            provider: provider.into(),
            capabilities,
            observed: None,
            listed_at: None,
            written_at: None,
            unwritten: ByVerb::default(),
            startup: None,
            fault: None,
            write_fault: None,
            other_writer: None,
            memory: Memory::default(),
            started: Instant::now(),
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            faults: BTreeMap::new(),
            written: 0,
            failed: 0,
            measures,
            times: Times::default(),
            calls: Arc::default(),
            dead: DeadNames::new(),
        }
    }
}

/// A histogram of seconds, from 1 ms to 4 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 10))
}
