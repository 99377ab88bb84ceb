//! Why a name holds what it holds: each of its addresses, in or out, with all that speaks for it and against it.
//!
//! Reads what the planner reads, and what the prober last saw. Returns an [`Explanation`] of one name: JSON by serde, and a
//! page for people that prints itself.
//!
//! Invariant: the planner itself is asked, over the Services that have to do with the name and no others: what is said
//! is what a pass would do, at the cost of one name.

use std::collections::BTreeSet;

use crate::desired::{Desired, Part, ZoneSettings, names};
use crate::lines::HeldLine;
use crate::lines::SetLine;
use crate::planner::{Planner, Scope};
use fleetdns_core::member::Snapshot;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::plan::{Refusal, Refused};
use fleetdns_core::record::RecordData;
use fleetdns_core::self_check::SelfCheckFailure;
use fleetdns_core::service::ServiceKey;

mod addresses;
mod explanation;
mod facts;
mod print;
mod relevant;
mod similar;

pub use explanation::{AddressLine, Explanation, Giver, HeldSet, LastProbe, ProbeLine};
pub use facts::Facts;
pub use similar::similar;

use addresses::Lines;

/// Explains one name.
pub fn explain(facts: Facts<'_>, name: &DnsName) -> Explanation {
    let mut planner = Planner::new(facts.zone.clone(), facts.capabilities.clone(), facts.brakes.clone());
    planner.update(&relevant::input(facts.input, facts.zone, facts.capabilities, name));
    if let Some(service) = facts.had {
        planner.assume_had(name, service);
    }
    let there = facts.observed.at(name);
    let scope = Scope::Names(BTreeSet::from([name.clone()]));
    let preview = planner.preview(&scope, facts.observed, &mut facts.memory.clone(), facts.now);
    let desired = planner.desired_at(name, facts.observed).0;
    let desired = desired.as_ref();
    let plan = preview.approved.plan();
    let held = preview.held(name);
    let goes =
        plan.changes.iter().filter(|change| change.name == *name && change.vanishes()).find_map(|change| {
            change.changes.iter().find_map(|one| match one {
                fleetdns_core::plan::Change::Delete { cause, .. } => Some(cause.to_string()),
                _ => None,
            })
        });
    let denied = planner.faults().filter(|refused| *refused.name == *name.as_str());
    let refused = plan.refused.iter().filter(|refused| *refused.name == *name.as_str()).chain(denied);
    let refused =
        refused.filter(|refused| !matches!(refused.reason, Refusal::Claimed { .. } | Refusal::Shared { .. }));
    let refused: BTreeSet<String> =
        refused.map(|refused| &refused.reason).chain(facts.refused).map(ToString::to_string).collect();
    let lines = Lines { facts, name, desired, held: held.map(|held| &held.reason), preview: &preview };
    let mut said = Explanation {
        name: name.to_string(),
        zone: Some(facts.zone.zone.to_string()),
        service: desired.map(|desired| desired.service.to_string()),
        shared_with: desired.map(shared_with).unwrap_or_default(),
        refused_services: plan.refused.iter().filter_map(asked_by).map(ToString::to_string).collect(),
        ttl: desired.map(|desired| {
            let (least, most) = facts.capabilities.ttl;
            desired.ttl.clamp(least, most).seconds()
        }),
        routing: desired.map(|desired| desired.routing.as_str().to_owned()),
        points_up: desired.and_then(|desired| desired.up.as_ref()).map(ToString::to_string),
        holds: there.iter().map(held_set).collect(),
        unread: facts.unread,
        desired: planner.sets_at(name, facts.observed).iter().map(SetLine::from).collect(),
        held: held.map(HeldLine::from),
        refused: refused.into_iter().collect(),
        goes,
        addresses: lines.all(),
        ..Explanation::default()
    };
    said.notes = notes(facts, desired, &said);
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

/// The Service that asks for a name and does not get it.
const fn asked_by(refused: &Refused) -> Option<&ServiceKey> {
    match &refused.reason {
        Refusal::Claimed { asked_by, .. }
        | Refusal::Shared { asked_by, .. }
        | Refusal::Kept { asked_by, .. } => Some(asked_by),
        _ => None,
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
        (None, false) if facts.unread => notes.push("no Service asks for it".to_owned()),
        (None, false) => notes.push("no Service asks for it, and the zone has nothing there".to_owned()),
        (None, true) => notes.push("no Service asks for it any more".to_owned()),
        (Some(_), _) => {}
    }
    if let Some(startup) = facts.input.startup() {
        notes.push(format!("start-up has not converged, nothing goes before: {startup}"));
    }
    // A scenario has the kind of a failed self-check and no facts.
    let bare = |self_check: &&SelfCheckFailure| {
        matches!(
            self_check,
            SelfCheckFailure::Vantage { keys: 0, .. } | SelfCheckFailure::Correlation { keys: 0, .. }
        )
    };
    if let Some(self_check) = facts.input.health().self_check.as_ref().filter(|self_check| !bare(self_check))
    {
        notes.push(format!("probe-driven removals suspended: {self_check}"));
    }
    if let Some(desired) = desired {
        let empty = desired.candidates.is_empty() && desired.standby.is_empty();
        if empty && desired.unreadable.is_empty() {
            notes.push("no cluster has an address for it".to_owned());
        }
        for member in &desired.unreadable {
            notes.push(format!("none of the addresses of {member} can be used"));
        }
    }
    notes
}
