//! What a change of wishes will do to the zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetdns_core::{
    Brakes, Capabilities, DnsName, Health, Intents, MemberView, Observed, Planner, Published, RecordData,
    Scope, ServiceKey, Snapshot, Subject, ZoneSettings, approve,
};
use serde::{Deserialize, Serialize};

use crate::view::{Reason, View};

/// What will happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Names with other records than now.
    pub names: usize,
    /// Names of which a brake keeps something that would go, and why.
    pub held: Vec<Reason>,
    /// Names that have records now and will have none.
    pub emptied: Vec<String>,
    /// Zones that have not been read yet: nothing can be said of them.
    pub unread: Vec<String>,
}

/// Everything that the zones depend on, at one moment.
#[derive(Debug, Clone)]
pub struct Scene {
    snapshot: Snapshot,
    health: Health,
    brakes: Brakes,
    zones: Vec<(ZoneSettings, Capabilities, Option<Observed>)>,
}

impl Scene {
    /// What is shown of the daemon now.
    pub fn of(view: &View, brakes: &Brakes) -> Self {
        let zone = |status: &crate::zone::ZoneStatus| {
            (status.settings.clone(), status.capabilities.clone(), status.observed.clone())
        };
        Self {
            snapshot: view.snapshots.borrow().clone(),
            health: view.health.borrow().clone(),
            brakes: brakes.clone(),
            zones: view.zones.iter().map(|status| zone(&status.borrow())).collect(),
        }
    }

    /// Members as they are now.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Plans the names that the subjects are about with the wishes of before and of after. Start-up is taken to have
    /// converged. May take a while in a large fleet.
    pub fn effect(&self, before: &Intents, after: &Intents, subjects: &[Subject]) -> Effect {
        let services = services(&self.snapshot, subjects);
        let snapshot = only(&self.snapshot, &services);
        let mut effect = Effect::default();
        for (zone, capabilities, observed) in &self.zones {
            let Some(observed) = observed else {
                effect.unread.push(zone.zone.to_string());
                continue;
            };
            let mut planner = Planner::new(zone.clone(), capabilities.clone(), self.brakes.clone());
            planner.update(&snapshot, &self.health);
            planner.assume_probed();
            planner.heed(before);
            let was = Outlook::of(&planner, &services, observed, &self.brakes);
            planner.heed(after);
            let will = Outlook::of(&planner, &services, observed, &self.brakes);
            was.compare(&will, &mut effect);
        }
        effect
    }
}

/// What becomes of a zone.
struct Outlook {
    sets: BTreeMap<DnsName, Vec<RecordData>>,
    held: BTreeMap<DnsName, String>,
}

impl Outlook {
    fn of(planner: &Planner, services: &BTreeSet<ServiceKey>, observed: &Observed, brakes: &Brakes) -> Self {
        // A name that stands for a Service which is left out here is that one's.
        let others = |name: &DnsName| {
            let marks = observed.at(name).iter().filter_map(|set| set.claim.evidence());
            marks.into_iter().any(|mark| !services.contains(&mark.service))
        };
        let names: BTreeSet<DnsName> = planner.names().filter(|name| !others(name)).cloned().collect();
        let mut sets: BTreeMap<DnsName, Vec<RecordData>> = BTreeMap::new();
        for set in planner.desired(observed).into_iter().filter(|set| names.contains(&set.name)) {
            sets.entry(set.name).or_default().push(set.data);
        }
        let approved = approve(planner.plan(&Scope::Names(names), observed), brakes);
        let held = approved.plan().held.iter().map(|held| (held.name.clone(), held.reason.to_string()));
        Self { sets, held: held.collect() }
    }

    fn compare(&self, will: &Self, effect: &mut Effect) {
        for name in self.sets.keys().chain(will.sets.keys()).collect::<BTreeSet<_>>() {
            let held = will.held.get(name);
            if let Some(reason) = held.filter(|reason| self.held.get(name) != Some(reason)) {
                effect.held.push(Reason { name: name.to_string(), reason: reason.clone() });
            }
            let (was, will) = (self.sets.get(name), will.sets.get(name));
            if was == will {
                continue;
            }
            effect.names += 1;
            if will.is_none() {
                effect.emptied.push(name.to_string());
            }
        }
    }
}

/// The Services that the subjects are about.
pub fn services(snapshot: &Snapshot, subjects: &[Subject]) -> BTreeSet<ServiceKey> {
    let mut found = BTreeSet::new();
    for member in snapshot.members.values() {
        for (key, service) in &member.services {
            if subjects.iter().any(|subject| is_about(subject, member, key, service)) {
                found.insert(key.clone());
            }
        }
    }
    found
}

/// Whether a subject is about what a member has of a Service.
fn is_about(subject: &Subject, member: &MemberView, key: &ServiceKey, service: &Published) -> bool {
    match subject {
        Subject::Cluster(name) => *name == member.name,
        Subject::Service(of) => of == key,
        Subject::ServiceIn(of, name) => of == key && *name == member.name,
        Subject::Address(address) => service.addresses.as_ref().is_some_and(|all| all.contains(address)),
    }
}

/// The same members with these Services alone: nothing else decides what stands at their names.
fn only(snapshot: &Snapshot, services: &BTreeSet<ServiceKey>) -> Snapshot {
    let thinned = |member: &Arc<MemberView>| {
        let kept =
            services.iter().filter_map(|key| Some((key.clone(), Arc::clone(member.services.get(key)?))));
        Arc::new(MemberView { services: kept.collect(), ..(**member).clone() })
    };
    let members = snapshot.members.iter().map(|(name, member)| (name.clone(), thinned(member)));
    Snapshot { members: members.collect() }
}
