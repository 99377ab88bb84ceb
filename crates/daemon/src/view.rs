//! What the daemon shows of itself: the shapes of the admin API, which the command line prints.
//!
//! Invariant: everything here is a copy of what the channels hold; nothing can be changed through it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetdns_core::HostnamePolicy;
use fleetdns_core::{
    Address, Brakes, Health, Inventory, Measure, MemberName, MemberView, Observed, Override, Overrides,
    ProbeKey, Snapshot, Subject,
};
use fleetdns_planner::simulate::{Report, ZoneNow, consequences};
use fleetdns_planner::{HeldLine, Input, Reason};
use fleetdns_probe::Reports;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::denied::{RuleLine, by_rule};
use crate::ha::Standing;
use crate::heartbeats::{ClusterBeats, Heartbeats};
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::reload::{ReloadCount, Reloaded};
use crate::self_checks::{CanaryLine, SelfCheckLine};
use crate::zone::ZoneStatus;

mod large;
mod lines;
#[cfg(test)]
mod tests;

pub use lines::{
    ClusterLine, NeverAnsweredLine, OverrideLine, PutOffLine, RecordLine, UnprobeableLine, ZoneLine,
};

/// The receiving ends of everything that can be shown.
#[derive(Debug, Clone)]
pub struct View {
    /// Name of the fleet.
    pub fleet: String,
    /// When the daemon started.
    pub started: Instant,
    /// Members, verdicts and overrides.
    pub inputs: Inputs,
    /// Why the state directory cannot be written.
    pub state: watch::Receiver<Option<Arc<str>>>,
    /// What the last probes said.
    pub reports: Reports,
    /// Zones.
    pub zones: Vec<watch::Receiver<ZoneStatus>>,
    /// What happened.
    pub journal: Journal,
    /// The tasks that have to take turns.
    pub heartbeats: Heartbeats,
    /// Of the clusters, with when each was last listed.
    pub beats: ClusterBeats,
    /// The brakes.
    pub brakes: Brakes,
    /// Host name for every Service.
    pub template: Option<String>,
    /// Which namespaces may ask for which host names.
    pub policy: Arc<HostnamePolicy>,
    /// What became of the last reload.
    pub reloaded: Arc<Reloaded>,
    /// How many there were.
    pub reloads: ReloadCount,
    /// Where each member comes from.
    pub origins: Arc<BTreeMap<MemberName, String>>,
    /// When members joined that were not there at the start.
    pub joined: Arc<BTreeMap<MemberName, Instant>>,
    /// What this replica is to the others.
    pub standing: watch::Receiver<Standing>,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Name of the fleet.
    pub fleet: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// What this replica is to the others; nothing when there is only one.
    #[serde(default)]
    pub replica: Option<String>,
    /// Whether this replica writes.
    #[serde(default)]
    pub leads: bool,
    /// Members.
    pub clusters: Vec<ClusterLine>,
    /// Zones.
    pub zones: Vec<ZoneLine>,
    /// Overrides in force.
    #[serde(default)]
    pub overrides: Vec<OverrideLine>,
    /// Why the state directory cannot be written, so that overrides are refused.
    #[serde(default)]
    pub state_fault: Option<String>,
    /// What is wrong with the configuration on disk: it was not taken up, and what was read before it stands.
    #[serde(default)]
    pub config_faults: Vec<String>,
    /// What is wrong with the sources of `[discovery]`: their members stay as they were.
    #[serde(default)]
    pub source_faults: Vec<String>,
    /// Keys that were changed on disk and take effect at the next start.
    #[serde(default)]
    pub config_at_restart: Vec<String>,
    /// Why probe results are distrusted, so that nothing is removed on its word.
    pub self_check: Option<SelfCheckLine>,
    /// What tells it whether its own network works.
    pub canaries: Vec<CanaryLine>,
    /// Addresses that cannot be probed from here, by family.
    #[serde(default)]
    pub unprobeable: Vec<UnprobeableLine>,
    /// Rules of `[hostnames]` that refuse names.
    #[serde(default)]
    pub hostnames: Vec<RuleLine>,
    /// Namespaces of which probes were put off within the last minute.
    #[serde(default)]
    pub probes_put_off: Vec<PutOffLine>,
    /// How many endpoints never answered since they appeared.
    #[serde(default)]
    pub never_answered_count: usize,
    /// The first of them by cluster and Service.
    #[serde(default)]
    pub never_answered: Vec<NeverAnsweredLine>,
}

/// `GET /v1/consequences`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consequences {
    /// Why nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What follows.
    pub report: Report,
}

/// Most endpoints of [`Status::never_answered`].
const MOST_NEVER_ANSWERED: usize = 1000;

/// One number of one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneMeasure {
    /// The zone.
    pub zone: String,
    /// The number.
    pub measure: Measure,
}

#[cfg(any(test, fuzzing))]
impl View {
    /// Of a fleet without members and zones.
    pub(crate) fn empty() -> Self {
        Self {
            fleet: "fed".to_owned(),
            started: Instant::now(),
            inputs: Inputs::new(
                watch::channel(Snapshot::default()).1,
                watch::channel(Health::default()).1,
                watch::channel(Overrides::default()).1,
            ),
            state: watch::channel(None).1,
            reports: Reports::default(),
            zones: Vec::new(),
            journal: Journal::default(),
            heartbeats: Heartbeats::default(),
            beats: ClusterBeats::default(),
            brakes: Brakes::default(),
            template: None,
            policy: Arc::default(),
            reloaded: Arc::default(),
            reloads: ReloadCount::default(),
            origins: Arc::default(),
            joined: Arc::default(),
            standing: watch::channel(Standing::Alone).1,
        }
    }
}

impl View {
    /// The whole status.
    pub fn status(&self) -> Status {
        let input = self.inputs.current();
        let (snapshot, health) = (input.fleet(), input.health());
        let never = self.never_answered(snapshot, health);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fleet: self.fleet.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            replica: self.replica(),
            leads: self.standing.borrow().writes(),
            clusters: self.clusters(&input),
            zones: self.zones.iter().map(|zone| zone_line(&zone.borrow())).collect(),
            overrides: self.overrides(),
            config_faults: self.reloaded.faults.clone(),
            source_faults: self.reloaded.source_faults.clone(),
            config_at_restart: self.reloaded.at_restart.clone(),
            state_fault: self.state.borrow().as_deref().map(str::to_owned),
            self_check: health.self_check.as_ref().map(SelfCheckLine::from),
            canaries: self.reports.canaries().iter().map(CanaryLine::from).collect(),
            unprobeable: unprobeable(health),
            hostnames: by_rule(snapshot, &self.policy),
            probes_put_off: self.reports.put_offs().into_iter().map(PutOffLine::from).collect(),
            never_answered_count: never.len(),
            never_answered: never.into_iter().take(MOST_NEVER_ANSWERED).collect(),
        }
    }

    fn replica(&self) -> Option<String> {
        let standing = self.standing.borrow().clone();
        let ages = self.zones.iter().filter_map(|zone| zone.borrow().age_of_others_writes());
        Some(match (&standing, ages.max()) {
            (Standing::Alone, _) => return None,
            (Standing::Follows(_), Some(age)) => format!("{standing}, and last read its zones {age} s ago"),
            _ => standing.to_string(),
        })
    }

    /// Remembers when members join.
    pub(crate) fn follow_members(&mut self, before: &BTreeSet<MemberName>, now: &BTreeSet<MemberName>) {
        let joined = Arc::make_mut(&mut self.joined);
        joined.retain(|name, _| now.contains(name));
        joined.extend(now.difference(before).map(|name| (name.clone(), Instant::now())));
    }

    fn clusters(&self, input: &Input) -> Vec<ClusterLine> {
        input.fleet().members.values().map(|member| self.cluster_line(member, input)).collect()
    }

    fn cluster_line(&self, member: &MemberView, input: &Input) -> ClusterLine {
        let since = self.joined.get(&member.name).copied().unwrap_or(self.started);
        let source = self.origins.get(&member.name).cloned().unwrap_or_default();
        ClusterLine { age_seconds: since.elapsed().as_secs(), source, ..cluster_line(member, input) }
    }

    fn never_answered(&self, snapshot: &Snapshot, health: &Health) -> Vec<NeverAnsweredLine> {
        let never = self.reports.never_answered();
        let mut lines = Vec::new();
        for member in snapshot.members.values().filter(|_| !never.is_empty()) {
            for (service, published) in &member.services {
                for address in published.addresses.iter().flatten() {
                    let resolved = address.hostname().and_then(|name| health.resolved.get(name));
                    for ip in address.ip().into_iter().chain(resolved.into_iter().flatten().copied()) {
                        let key = ProbeKey { address: ip, spec: Arc::clone(&published.probe) };
                        lines.extend(never.get(&key).map(|error| NeverAnsweredLine {
                            cluster: member.name.to_string(),
                            service: service.to_string(),
                            address: ip.to_string(),
                            probe: published.probe.to_string(),
                            error: error.clone(),
                        }));
                    }
                }
            }
        }
        lines
    }

    /// The overrides in force, the general ones first.
    pub fn overrides(&self) -> Vec<OverrideLine> {
        let input = self.inputs.current();
        let overrides = input.overrides();
        if overrides.is_empty() {
            return Vec::new();
        }
        let (addresses, names) = (addresses_of(input.fleet(), overrides), self.names_of(overrides));
        let line = |entry: &Override| OverrideLine {
            entry: entry.clone(),
            addresses: addresses.get(&entry.subject).map_or(0, BTreeSet::len),
            names: names.get(&entry.subject).copied().unwrap_or_default(),
        };
        overrides.iter().map(line).collect()
    }

    /// How many names carry an override in their mark.
    fn names_of(&self, overrides: &Overrides) -> BTreeMap<Subject, usize> {
        let mut found: BTreeMap<Subject, usize> = BTreeMap::new();
        for zone in &self.zones {
            let observed = zone.borrow().observed.clone().unwrap_or_default();
            for (_, sets) in observed.iter() {
                let said: Overrides = sets.iter().flat_map(|set| set.claim.overrides()).collect();
                for entry in said.iter().filter(|entry| overrides.get(&entry.subject).is_some()) {
                    *found.entry(entry.subject.clone()).or_default() += 1;
                }
            }
        }
        found
    }

    /// What the providers measure, zone by zone.
    pub fn measures(&self) -> Vec<ZoneMeasure> {
        let of_zone = |status: &ZoneStatus| -> Vec<ZoneMeasure> {
            let zone = status.settings.zone.to_string();
            status
                .measures
                .read()
                .into_iter()
                .map(|measure| ZoneMeasure { zone: zone.clone(), measure })
                .collect()
        };
        self.zones.iter().flat_map(|zone| of_zone(&zone.borrow())).collect()
    }

    /// What the next passes do when all of this is dead, beyond what they do anyway. May take a while in a large fleet.
    pub fn consequences(&self, down: &[String]) -> Consequences {
        let zones: Vec<ZoneStatus> = self.zones.iter().map(|zone| zone.borrow().clone()).collect();
        let unread = Observed::default();
        let zones = zones.iter().map(|zone| ZoneNow {
            settings: &zone.settings,
            capabilities: &zone.capabilities,
            observed: zone.observed.as_ref().unwrap_or(&unread),
            memory: &zone.memory,
            now: zone.started.elapsed(),
        });
        match consequences(&self.inputs.current(), &self.brakes, zones, down) {
            Ok(report) => Consequences { problem: None, report },
            Err(error) => Consequences { problem: Some(error.to_string()), report: Report::default() },
        }
    }

    /// What was never read yet: zones, and configured members that were neither listed nor given up on. Empty when the
    /// daemon is ready.
    pub fn unready(&self) -> Vec<String> {
        let zones = self.zones.iter().filter_map(|zone| {
            let status = zone.borrow();
            let fault = status.fault.as_deref().map(|fault| format!(": {fault}")).unwrap_or_default();
            let zone = &status.settings.zone;
            status.observed.is_none().then(|| format!("zone {zone} has not been read yet{fault}"))
        });
        let input = self.inputs.current();
        let members = &input.fleet().members;
        let pending = members.values().filter(|member| member.inventory == Inventory::Pending);
        let clusters = pending.map(|member| (&member.name, member.fault.as_deref()));
        // Their watches begin a moment after the first answers.
        let unwatched = self.origins.keys().filter(|name| !members.contains_key(*name));
        let clusters = clusters.chain(unwatched.map(|name| (name, None))).map(|(name, fault)| {
            let fault = fault.map(|fault| format!(": {fault}")).unwrap_or_default();
            format!("cluster {name} has not been listed yet{fault}")
        });
        zones.chain(clusters).collect()
    }
}

fn addresses_of(snapshot: &Snapshot, overrides: &Overrides) -> BTreeMap<Subject, BTreeSet<Address>> {
    let mut found: BTreeMap<Subject, BTreeSet<Address>> = BTreeMap::new();
    for member in snapshot.members.values() {
        for (key, service) in &member.services {
            for address in service.addresses.iter().flatten() {
                for entry in overrides.concerning(&member.name, key, address) {
                    found.entry(entry.subject.clone()).or_default().insert(address.clone());
                }
            }
        }
    }
    found
}

/// Addresses that cannot be probed from here, by family.
pub(crate) fn unprobeable(health: &Health) -> Vec<UnprobeableLine> {
    let count = |six: bool| health.unprobeable.iter().filter(|key| key.address.is_ipv6() == six).count();
    let line = |(family, addresses): (&str, usize)| UnprobeableLine {
        family: family.to_owned(),
        addresses,
        unprobeable: health.unprobeable_policy.as_str().to_owned(),
    };
    let families = [("IPv4", count(false)), ("IPv6", count(true))];
    families.into_iter().filter(|(_, addresses)| *addresses > 0).map(line).collect()
}

fn cluster_line(member: &MemberView, input: &Input) -> ClusterLine {
    let whole = input.health().clusters.get(&member.name).copied().unwrap_or_default();
    let by_verdict = input.addresses_by_verdict(&member.name);
    let there = by_verdict.iter().filter(|(_, count)| *count > 0);
    ClusterLine {
        name: member.name.to_string(),
        inventory: member.inventory.to_string(),
        region: member.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        zones: member.zones.iter().map(ToString::to_string).collect(),
        services: member.services.len(),
        endpoints: by_verdict.iter().map(|(_, count)| count).sum(),
        verdicts: there.map(|(verdict, count)| (verdict.to_string(), *count)).collect(),
        health: whole.to_string(),
        fault: member.fault.as_deref().map(str::to_owned),
        age_seconds: 0,
        source: String::new(),
    }
}

fn zone_line(status: &ZoneStatus) -> ZoneLine {
    ZoneLine {
        name: status.settings.zone.to_string(),
        provider: status.provider.to_string(),
        owned: status.observed.as_ref().map_or(0, Observed::owned_count),
        written: status.written,
        failed: status.failed,
        listed_seconds_ago: status.listed_at.map(|at| at.elapsed().as_secs()),
        startup: status.startup.clone(),
        fault: status.fault.clone(),
        other_writer: status.other_writer.clone(),
        held: status.held.values().map(HeldLine::from).collect(),
        refused: status.refused.values().chain(status.faults.values()).flatten().map(Reason::from).collect(),
    }
}
