//! Why a name holds what it holds: each of its addresses, in or out, with all that speaks for it and against it.
//!
//! Reads what the planner reads, and what the prober last saw. Returns an [`Explanation`] of one name: JSON by serde, and a
//! page for people that prints itself.
//!
//! Invariant: the planner itself is asked, over the Services that have to do with the name and no others: what is said
//! is what a pass would do, at the cost of one name.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::desired::{Desired, Part, ZoneSettings, names};
use crate::planner::Planner;
use crate::simulate::SetLine;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::member::{Health, Snapshot};
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::{Observed, ObservedSet};
use fleetdns_core::overrides::Overrides;
use fleetdns_core::plan::{Hold, Refusal};
use fleetdns_core::probe::ProbeKey;
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::RecordData;
use fleetdns_core::routing::Routing;
use fleetdns_core::self_check::SelfCheckFailure;
use fleetdns_core::service::ServiceKey;

mod addresses;
mod print;
mod relevant;
mod similar;

pub use similar::similar;

use addresses::Lines;

/// Everything that the answer depends on. Cheap to make: nothing is copied.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The zone that takes the name.
    pub zone: &'a ZoneSettings,
    /// What its provider can represent.
    pub capabilities: &'a Capabilities,
    /// The brakes.
    pub brakes: &'a Brakes,
    /// Members.
    pub snapshot: &'a Snapshot,
    /// Verdicts.
    pub health: &'a Health,
    /// What persons say.
    pub overrides: &'a Overrides,
    /// What the zone holds.
    pub observed: &'a Observed,
    /// What start-up waits for, while it does.
    pub startup: Option<&'a str>,
    /// What holds the name, where a pass over the whole zone said so: some brakes look at more than one name.
    pub held: Option<&'a Hold>,
    /// Why the backend did not write the name when it was last asked to.
    pub refused: Option<&'a Refusal>,
    /// The Service that had the name last, where a pass remembers more than the zone says.
    pub had: Option<&'a ServiceKey>,
    /// The last probe of a key, as far as there was one.
    pub last: &'a dyn Fn(&ProbeKey) -> Option<LastProbe>,
    /// Why a host name could not be resolved the last time.
    pub resolve_error: &'a dyn Fn(&DnsName) -> Option<Arc<str>>,
}

/// Why one name holds what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name.
    pub name: String,
    /// The zone of ours that it lies in; none when it lies in none.
    pub zone: Option<String>,
    /// Kind of the zone's provider, when it is known.
    #[serde(default)]
    pub provider: Option<String>,
    /// Namespace and name of the Service that has it; none when nobody asks for it.
    pub service: Option<String>,
    /// Services that share it with that one, each in members of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// Services that ask for it too and are refused.
    pub refused_services: Vec<String>,
    /// TTL in seconds that is wanted.
    pub ttl: Option<u32>,
    /// `all` or `failover`.
    pub routing: Option<String>,
    /// Where it points when none of its addresses is in: one level up.
    pub points_up: Option<String>,
    /// What DNS holds.
    pub holds: Vec<HeldSet>,
    /// What ought to stand there, what is kept by a brake included.
    pub desired: Vec<SetLine>,
    /// The brake that keeps something there.
    pub held: Option<String>,
    /// Why it is not written.
    pub refused: Vec<String>,
    /// Why it goes, when it goes as a whole.
    pub goes: Option<String>,
    /// Its addresses.
    pub addresses: Vec<AddressLine>,
    /// What else there is to know, a sentence each.
    pub notes: Vec<String>,
    /// Names that look like it, where nothing is known of it.
    pub similar: Vec<String>,
}

/// A record set that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSet {
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Values, as far as they can be read.
    pub values: Vec<String>,
    /// Whether it is ours.
    pub ours: bool,
}

/// One address that stands at the name, or could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressLine {
    /// An IP address, or the host name of a load balancer.
    pub address: String,
    /// Whether DNS holds it.
    pub in_dns: bool,
    /// Whether DNS ought to hold it.
    pub desired: bool,
    /// Why, in words.
    pub reason: String,
    /// Who returns it, and what probes say of it there.
    pub sources: Vec<Giver>,
    /// What a person says of it.
    pub entry: Option<OverrideLine>,
    /// What a host name resolves to; none for an IP address and while it was never resolved.
    pub resolves_to: Option<Vec<String>>,
    /// Why it could not be resolved the last time.
    pub resolve_error: Option<String>,
}

/// One member that returns an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Giver {
    /// Its name.
    pub cluster: String,
    /// The Service that has the address there, where several share the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `pending`, `live`, `stale` or `removed`.
    pub inventory: String,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Its priority, where the routing asks for it.
    pub priority: Option<u16>,
    /// What it is probed with; one for each address of a host name.
    pub probes: Vec<ProbeLine>,
}

/// One probe key, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// The address that is connected to; none while a host name is not resolved.
    pub address: Option<String>,
    /// How, in one word.
    pub probe: String,
    /// The verdict.
    pub verdict: String,
    /// The last probe; none before the first has ended, or without a prober.
    pub last: Option<LastProbe>,
}

/// The last probe of a key, and how many ended like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastProbe {
    /// What went wrong; none after a success.
    pub error: Option<String>,
    /// Whether the error says something of the endpoint, and not of ourselves.
    pub conclusive: bool,
    /// Seconds since it ended.
    pub seconds_ago: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// Successes since the last failure.
    pub successes: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// Successes in a row that bring it back now: more after each time that it flapped.
    pub rise: u32,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideLine {
    /// Of what: `cluster/NAME`, `service/…`, `address/…`.
    pub of: String,
    /// `drain`, `force-in` or `force-out`.
    pub kind: String,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// Until when (RFC 3339); none until it is taken back.
    pub until: Option<String>,
}

/// Explains one name.
pub fn explain(facts: Facts<'_>, name: &DnsName) -> Explanation {
    let few = relevant::snapshot(facts.snapshot, facts.zone, facts.capabilities, name);
    let mut planner = Planner::still(
        (facts.zone.clone(), facts.capabilities.clone(), facts.brakes.clone()),
        few,
        (crate::cluster::complete(facts.health, facts.snapshot), facts.overrides.clone()),
        facts.startup,
    );
    if let Some(service) = facts.had {
        planner.assume_had(name, service);
    }
    let there = facts.observed.at(name);
    let preview = planner.preview(name, facts.observed);
    let sets = preview.sets.as_deref();
    let plan = &preview.plan;
    // A pass over the whole zone knows of brakes that one over this name does not; where neither has let go of anything
    // since, the two agree.
    let held = facts.held.cloned().or_else(|| plan.held.first().map(|held| held.reason.clone()));
    let goes = plan.changes.iter().filter(|change| change.vanishes()).find_map(|change| {
        change.changes.iter().find_map(|one| match one {
            fleetdns_core::plan::Change::Delete { cause, .. } => Some(cause.to_string()),
            _ => None,
        })
    });
    let denied = planner.faults().filter(|refused| *refused.name == *name.as_str());
    let refused = plan.refused.iter().chain(denied);
    let refused =
        refused.filter(|refused| !matches!(refused.reason, Refusal::Claimed { .. } | Refusal::Shared { .. }));
    let refused: BTreeSet<String> =
        refused.map(|refused| &refused.reason).chain(facts.refused).map(ToString::to_string).collect();
    let lines = Lines { facts, name, desired: preview.desired.as_ref(), held: held.as_ref(), plan };
    let mut said = Explanation {
        name: name.to_string(),
        zone: Some(facts.zone.zone.to_string()),
        service: preview.desired.as_ref().map(|desired| desired.service.to_string()),
        shared_with: preview.desired.as_ref().map(shared_with).unwrap_or_default(),
        refused_services: preview.others().map(ToString::to_string).collect(),
        ttl: preview.desired.as_ref().map(|desired| {
            let (least, most) = facts.capabilities.ttl;
            desired.ttl.clamp(least, most).seconds()
        }),
        routing: preview.desired.as_ref().map(|desired| desired.routing.as_str().to_owned()),
        points_up: preview.desired.as_ref().and_then(|desired| desired.up.as_ref()).map(ToString::to_string),
        holds: there.iter().map(held_set).collect(),
        desired: sets.unwrap_or_default().iter().map(SetLine::from).collect(),
        held: held.as_ref().map(ToString::to_string),
        refused: refused.into_iter().collect(),
        goes,
        addresses: lines.all(),
        ..Explanation::default()
    };
    said.notes = notes(facts, preview.desired.as_ref(), &said);
    said
}

/// The names that a Service wants in a zone, the shortest first.
pub fn names_of(snapshot: &Snapshot, zone: &ZoneSettings, key: &ServiceKey) -> Vec<DnsName> {
    let members = snapshot.members.values();
    let parts: Vec<Part<'_>> =
        members.filter_map(|member| Some((&**member, member.services.get(key)?))).collect();
    let mut names: Vec<DnsName> = names(key, &parts, std::iter::empty(), zone).names.into_keys().collect();
    names.sort_by_key(|name| name.labels().count());
    names
}

impl Explanation {
    /// Of a name that lies in none of the zones.
    pub fn outside<'a>(name: &DnsName, zones: impl Iterator<Item = &'a ZoneSettings>) -> Self {
        let zones: Vec<&str> = zones.map(|zone| zone.zone.as_str()).collect();
        let note = format!("it lies in none of the zones that are written: {}", zones.join(", "));
        Self { name: name.to_string(), notes: vec![note], ..Self::default() }
    }

    /// Whether nothing is known of the name: nobody asks for it, and nothing of ours stands there.
    pub fn is_unknown(&self) -> bool {
        self.service.is_none() && self.refused.is_empty() && !self.holds.iter().any(|set| set.ours)
    }
}

/// Services that share a name with the first.
fn shared_with(desired: &Desired) -> Vec<String> {
    let others = desired.ownership.services().into_iter().filter(|service| **service != desired.service);
    others.map(ToString::to_string).collect()
}

fn held_set(set: &ObservedSet) -> HeldSet {
    let values = set.content.data().map(RecordData::values).unwrap_or_default();
    HeldSet {
        record_type: set.type_name().to_owned(),
        ttl: set.ttl.seconds(),
        values,
        ours: set.claim.is_ours(),
    }
}

fn notes(facts: Facts<'_>, desired: Option<&Desired>, said: &Explanation) -> Vec<String> {
    let mut notes = Vec::new();
    let foreign = said.holds.iter().any(|set| !set.ours);
    match (desired, said.holds.iter().any(|set| set.ours)) {
        (None, false) if foreign => {
            notes.push(
                "no Service asks for it; what is there is somebody else's and is left alone".to_owned(),
            );
        }
        (None, false) if !said.refused.is_empty() => {}
        (None, false) => notes.push("no Service asks for it, and the zone has nothing there".to_owned()),
        (None, true) => notes.push("no Service asks for it any more".to_owned()),
        (Some(_), _) => {}
    }
    if let Some(startup) = facts.startup {
        notes.push(format!("start-up has not converged, nothing goes before: {startup}"));
    }
    // A scenario says that there is a doubt, and no more.
    let bare = |self_check: &&SelfCheckFailure| {
        matches!(
            self_check,
            SelfCheckFailure::Vantage { keys: 0, .. } | SelfCheckFailure::Correlation { keys: 0, .. }
        )
    };
    if let Some(self_check) = facts.health.self_check.as_ref().filter(|self_check| !bare(self_check)) {
        notes.push(format!("probe-driven removals suspended: {self_check}"));
    }
    if let Some(desired) = desired {
        let empty = desired.candidates.is_empty() && desired.standby.is_empty();
        if empty && desired.unreadable.is_empty() {
            notes.push("no cluster has an address for it".to_owned());
        }
        for member in &desired.unreadable {
            notes.push(format!("none of the addresses that {member} gives can be used"));
        }
    }
    notes
}

/// `all healthy clusters`, or by priority.
fn routing_in_words(routing: &str) -> &'static str {
    if routing == Routing::Failover.as_str() {
        "the healthy clusters of the best priority"
    } else {
        "all healthy clusters"
    }
}
