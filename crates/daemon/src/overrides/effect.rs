//! What a change of overrides will do to the zones.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetdns_core::plan::Refusal;
use fleetdns_core::{
    Address, Brakes, DnsName, MemberView, OverrideKind, Overrides, Published, RecordData, ServiceKey,
    Snapshot, Subject,
};
use fleetdns_planner::{Input, Planner, Reason};
use serde::{Deserialize, Serialize};

use super::outlook::Outlook;
use crate::view::View;
use crate::zone::ZoneStatus;

/// What will happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Names that have other records than now after the next pass.
    pub names: usize,
    /// Names that would have others and have not, and why: a brake, or the backend.
    pub held: Vec<Reason>,
    /// Names that have records now and will have none, when nothing holds them any more.
    pub emptied: Vec<String>,
    /// Zones that have not been read yet: nothing can be said of them.
    pub unread: Vec<String>,
    /// Zones that cannot be written at the moment: how many names change when they can, and why they cannot.
    #[serde(default)]
    pub unwritable: Vec<Reason>,
}

/// Everything that the zones depend on, at one moment.
#[derive(Debug, Clone)]
pub struct Scene {
    input: Input,
    brakes: Brakes,
    zones: Vec<ZoneStatus>,
}

impl Scene {
    /// What is shown of the daemon now.
    pub fn of(view: &View, brakes: &Brakes) -> Self {
        Self {
            input: view.inputs.current(),
            brakes: brakes.clone(),
            zones: view.zones.iter().map(|status| status.borrow().clone()).collect(),
        }
    }

    /// What decisions are made from now.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// Plans the names that the subjects are about with the overrides in force and with those of after, with all that holds
    /// a name at the moment. May take a while in a large fleet.
    pub fn effect(&self, after: &Overrides, subjects: &[Subject]) -> Effect {
        let services = services(self.input.fleet(), subjects);
        let before = self.input.only(&services, |_| true);
        let after_all = before.with_overrides(after);
        let out = self.sent_out(after, subjects);
        let mut effect = Effect::default();
        for zone in &self.zones {
            let Some(observed) = &zone.observed else {
                effect.unread.push(zone.settings.zone.to_string());
                continue;
            };
            let mut planner =
                Planner::new(zone.settings.clone(), zone.capabilities.clone(), self.brakes.clone());
            let mut outlook = |input: &Input| {
                planner.update(input);
                Outlook::of(&mut planner, zone, &services, observed)
            };
            let now = Step { was: outlook(&before), will: outlook(&after_all) };
            let then = match before.startup() {
                Some(_) => Step { was: outlook(&before.converged()), will: outlook(&after_all.converged()) },
                None => now.clone(),
            };
            compare(zone, (&now, &then), &out, &mut effect);
        }
        effect
    }

    /// Values of the addresses that are to be out by what is said of these subjects.
    fn sent_out(&self, after: &Overrides, subjects: &[Subject]) -> BTreeSet<String> {
        let is_out = |subject: &&Subject| {
            after
                .get(subject)
                .is_some_and(|entry| matches!(entry.kind, OverrideKind::Drain | OverrideKind::ForceOut))
        };
        let subjects: Vec<&Subject> = subjects.iter().filter(is_out).collect();
        let mut out = BTreeSet::new();
        for member in self.input.fleet().members.values().filter(|_| !subjects.is_empty()) {
            for (key, service) in &member.services {
                let concerns = |subject: &&&Subject, address: &Address| match subject {
                    Subject::Address(one) => one == address,
                    other => is_about(other, member, key, service),
                };
                for address in service.addresses.iter().flatten() {
                    if subjects.iter().any(|subject| concerns(&subject, address)) {
                        let resolved =
                            address.hostname().and_then(|name| self.input.health().resolved.get(name));
                        out.extend(resolved.into_iter().flatten().map(ToString::to_string));
                        out.insert(address.to_string());
                    }
                }
            }
        }
        out
    }
}

/// With the overrides of before, and with those of after.
#[derive(Debug, Clone)]
struct Step {
    was: Outlook,
    will: Outlook,
}

impl Step {
    fn changes(&self, name: &DnsName) -> bool {
        self.was.sets.get(name) != self.will.sets.get(name)
    }
}

/// `now`: with all that holds a name at the moment; `then`: without what passes by itself; `out`: values that are to be out.
fn compare(zone: &ZoneStatus, (now, then): (&Step, &Step), out: &BTreeSet<String>, effect: &mut Effect) {
    let mut changing = 0;
    for name in now.will.sets.keys().chain(then.was.sets.keys()).collect::<BTreeSet<_>>() {
        let (changes, desired) = (now.changes(name), then.changes(name));
        let held = now.will.held.get(name);
        // What held the name before holds it against the order too.
        let mut values = now.will.sets.get(name).into_iter().flatten().flat_map(RecordData::values);
        let retained = !changes && values.any(|value| out.contains(&value));
        let new =
            held.filter(|reason| retained || (desired && !changes) || now.was.held.get(name) != Some(reason));
        let refused = zone.refused.get(name.as_str()).into_iter().flatten();
        let mut refused = refused.filter(|one| matches!(one.reason, Refusal::Backend(_)));
        let refused = refused.next().filter(|_| changes).map(|one| one.reason.to_string());
        changing += usize::from(changes && refused.is_none());
        if let Some(reason) = refused.or_else(|| new.cloned()) {
            effect.held.push(Reason { name: name.to_string(), reason });
        }
        if desired && !then.will.sets.contains_key(name) {
            effect.emptied.push(name.to_string());
        }
    }
    match &zone.write_fault {
        None => effect.names += changing,
        Some(_) if changing == 0 => {}
        Some(fault) => {
            let reason =
                format!("{} changed when the zone can be written again: {fault}", count(changing, "name"));
            effect.unwritable.push(Reason { name: zone.settings.zone.to_string(), reason });
        }
    }
}

/// The Services that the subjects are about, and those that may share a name with one of them.
pub fn services(snapshot: &Snapshot, subjects: &[Subject]) -> BTreeSet<ServiceKey> {
    let (mut found, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for member in snapshot.members.values() {
        for (key, service) in &member.services {
            if subjects.iter().any(|subject| is_about(subject, member, key, service)) {
                found.insert(key.clone());
                shared.extend(service.shared.keys());
            }
        }
    }
    let all = || snapshot.members.values().flat_map(|member| member.services.values());
    let shares = |service: &&Arc<Published>| service.shared.keys().any(|name| shared.contains(name));
    found.extend(all().filter(shares).map(|service| service.key.clone()));
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

/// `1 name`, `2 names`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
