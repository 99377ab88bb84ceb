//! One pass over a zone: the one way to a plan, for the zone's task and for everybody who asks what it would do.

use std::time::Duration;

use super::*;
use crate::brakes::{Leaving, Velocity};
use fleetdns_core::brakes::{ApprovedPlan, approve};
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::record::RecordData;

/// What the brakes of a zone remember from one pass to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The removals of the last minute.
    pub velocity: Velocity,
    /// Names of which `max-delete` holds the deletion. They count again with whatever is to be deleted.
    pub undeleted: BTreeSet<DnsName>,
}

/// What one pass does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The names that were looked at.
    pub scope: Scope,
    /// What may be written, and what is held or refused.
    pub approved: ApprovedPlan,
    /// What becomes of single addresses.
    pub moves: Vec<Move>,
    /// Names that have to change and wait by themselves.
    pub waits: BTreeSet<DnsName>,
    /// When there is room again for a removal that the velocity brake holds.
    pub room_at: Option<Duration>,
}

impl Preview {
    /// The brake that holds something at a name.
    pub fn held(&self, name: &DnsName) -> Option<&HeldChange> {
        self.approved.plan().held.iter().find(|held| held.name == *name)
    }

    /// What is ours at a name after the pass.
    pub fn after<'a>(&'a self, name: &DnsName, observed: &'a Observed) -> Vec<&'a RecordData> {
        let changes = &self.approved.plan().changes;
        let place = changes.binary_search_by(|change| change.name.cmp(name)).ok();
        let changes = place.and_then(|place| changes.get(place)).map_or(&[][..], |change| &change.changes);
        let touched =
            |data: &&RecordData| changes.iter().any(|change| change.record_type() == data.record_type());
        let stay = observed.at(name).iter().filter_map(ObservedSet::ours).filter(|data| !touched(data));
        let written = changes.iter().filter_map(Change::after).map(|(set, _)| &set.data);
        let mut after: Vec<&RecordData> = stay.chain(written).collect();
        after.sort_by_key(|data| data.record_type());
        after
    }
}

/// A pass under way, so that a long one can be made in parts.
#[derive(Debug)]
pub struct Pass<'a> {
    planner: &'a mut Planner,
    observed: &'a Observed,
    memory: &'a mut Memory,
    /// Any clock that does not run backwards.
    now: Duration,
    scope: Scope,
    names: Vec<DnsName>,
    /// How many of them are planned.
    done: usize,
    plan: Plan,
    moves: Vec<Move>,
    waits: BTreeSet<DnsName>,
    room_at: Option<Duration>,
}

impl Planner {
    /// What a pass over these names does.
    pub fn preview(
        &mut self,
        scope: &Scope,
        observed: &Observed,
        memory: &mut Memory,
        now: Duration,
    ) -> Preview {
        let mut pass = self.pass(scope.clone(), observed, memory, now);
        while pass.step(usize::MAX, |_| false) {}
        pass.finish()
    }

    /// Begins a pass over these names.
    pub fn pass<'a>(
        &'a mut self,
        scope: Scope,
        observed: &'a Observed,
        memory: &'a mut Memory,
        now: Duration,
    ) -> Pass<'a> {
        let plan = self.empty_plan(observed);
        let names = self.look_at(&scope, observed);
        self.waiting.clear();
        Pass {
            planner: self,
            observed,
            memory,
            now,
            scope,
            names,
            done: 0,
            plan,
            moves: Vec::new(),
            waits: BTreeSet::new(),
            room_at: None,
        }
    }

    fn look_at(&mut self, scope: &Scope, observed: &Observed) -> Vec<DnsName> {
        let names = self.in_scope(scope, observed);
        self.remember(&names, observed);
        names
    }
}

impl Pass<'_> {
    /// Plans the next names, and again those that a brake has to hold; returns whether there is more to do. Changes that
    /// `holds_back` names are left out: they wait by themselves.
    pub fn step(&mut self, names: usize, holds_back: impl Fn(&NameChange) -> bool) -> bool {
        let end = self.done.saturating_add(names).min(self.names.len());
        let mut part = self.planner.empty_plan(self.observed);
        for name in self.names.get(self.done..end).unwrap_or_default() {
            self.planner.plan_name(name, self.observed, &mut part);
        }
        let waits = &mut self.waits;
        part.changes.retain(|change| {
            let waiting = holds_back(change);
            if waiting {
                waits.insert(change.name.clone());
            }
            !waiting
        });
        self.moves.extend(self.planner.moves(&part, self.observed));
        self.plan.changes.append(&mut part.changes);
        self.plan.held.append(&mut part.held);
        self.plan.refused.append(&mut part.refused);
        self.done = end;
        if self.done < self.names.len() {
            return true;
        }
        let again = self.counts_more() || self.waits_more();
        if again {
            self.plan = self.planner.empty_plan(self.observed);
            self.done = 0;
            self.moves.clear();
            self.waits.clear();
        }
        again
    }

    /// Lets the plan pass the last brake.
    pub fn finish(self) -> Preview {
        let approved = approve(self.plan, &self.planner.brakes);
        let scope = &self.scope;
        self.memory.undeleted.retain(|name| !scope.contains(name));
        let held = approved.plan().held.iter().filter(|held| matches!(held.reason, Hold::MaxDelete { .. }));
        self.memory.undeleted.extend(held.map(|held| held.name.clone()));
        Preview { scope: self.scope, approved, moves: self.moves, waits: self.waits, room_at: self.room_at }
    }

    /// Where names are deleted, the deletions that `max-delete` holds already count with them.
    fn counts_more(&mut self) -> bool {
        let undeleted = &self.memory.undeleted;
        let known = undeleted.iter().all(|name| self.scope.contains(name));
        if known || !self.plan.changes.iter().any(NameChange::vanishes) {
            return false;
        }
        self.scope.extend(Scope::Names(undeleted.clone()));
        self.names = self.planner.look_at(&self.scope, self.observed);
        true
    }

    /// When more would leave because of probes than may within a minute, the rest waits, until nothing leaves that was
    /// not let go.
    fn waits_more(&mut self) -> bool {
        let dead = |one: &&Move| one.is_death() && !self.planner.waiting.contains(&one.address);
        let mut leaving = Leaving::new();
        for one in self.moves.iter().filter(dead) {
            leaving.entry(one.address.clone()).or_default().extend(one.namespace.clone());
        }
        if leaving.is_empty() {
            return false;
        }
        let budget = self.planner.removal_budget();
        let more = self.memory.velocity.admit(self.now, &leaving, budget);
        let any = !more.is_empty();
        self.planner.waiting.extend(more);
        self.room_at = self.memory.velocity.room_at().filter(|_| any).or(self.room_at);
        any
    }
}
