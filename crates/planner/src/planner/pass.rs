//! One pass over a zone: the one way to a plan, for the zone's task and for everybody who asks what it would do.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use super::preview::{Memory, Preview};
use super::*;
use crate::brakes::Leaving;
use fleetdns_core::brakes::{ApprovedPlan, approve};
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::OwnershipRecord;

/// A pass under way, so that a long one can be made in parts, and short ones in between.
///
/// Invariant: what is planned of a name is planned after everything that it depends on was told to [`Pass::again`].
#[derive(Debug)]
pub struct Pass {
    scope: Scope,
    /// Whether to keep what ought to stand at each name.
    keeps_desired: bool,
    /// The name that was planned last, in canonical order.
    last: Option<DnsName>,
    /// Whether every name in scope was planned once.
    through: bool,
    /// Names to be planned once more.
    again: BTreeSet<DnsName>,
    planned: BTreeMap<DnsName, Planned>,
    /// How many names of these were left when what is new was taken out.
    left: usize,
    /// A mark of each Service: most of its names have the same, and share it.
    marks: HashMap<ServiceKey, OwnershipRecord>,
    /// What the velocity brake holds in this pass.
    waiting: BTreeSet<Address>,
    room_at: Option<Duration>,
}

/// What a pass has for a name.
#[derive(Debug, Default)]
struct Planned {
    change: Option<NameChange>,
    held: Vec<HeldChange>,
    refused: Vec<Refused>,
    moves: Vec<Move>,
    desired: Vec<RecordSet>,
    waits: bool,
}

/// What a part of a pass is planned with.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The planner of the zone.
    pub planner: &'a mut Planner,
    /// The zone as it is known now.
    pub observed: &'a Observed,
    /// What the brakes remember.
    pub memory: &'a mut Memory,
    /// Any clock that does not run backwards.
    pub now: Duration,
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
        self.run(Pass::new(scope.clone()), observed, memory, now)
    }

    /// The same with everything that ought to stand at these names.
    pub(crate) fn preview_desired(
        &mut self,
        scope: &Scope,
        observed: &Observed,
        memory: &mut Memory,
        now: Duration,
    ) -> Preview {
        self.run(Pass { keeps_desired: true, ..Pass::new(scope.clone()) }, observed, memory, now)
    }

    fn run(&mut self, mut pass: Pass, observed: &Observed, memory: &mut Memory, now: Duration) -> Preview {
        let mut bench = Bench { planner: self, observed, memory, now };
        while pass.step(&mut bench, usize::MAX, |_| false) {}
        pass.finish(&mut bench)
    }

    /// The next names of a scope in canonical order, at most so many: of everything, those that somebody wants and those
    /// that are ours.
    fn names_after(
        &self,
        scope: &Scope,
        last: Option<&DnsName>,
        observed: &Observed,
        count: usize,
    ) -> Vec<DnsName> {
        match scope {
            Scope::All => {
                let (mut wanted, mut ours) =
                    (self.claims.names_after(last).peekable(), observed.owned_after(last).peekable());
                let next = std::iter::from_fn(|| match (wanted.peek(), ours.peek()) {
                    (Some(one), Some(other)) if one == other => ours.next().and(wanted.next()),
                    (Some(one), Some(other)) if one > other => ours.next(),
                    (None, _) => ours.next(),
                    _ => wanted.next(),
                });
                next.take(count).cloned().collect()
            }
            Scope::Names(names) => {
                let from = last.map_or(Bound::Unbounded, Bound::Excluded);
                names.range::<DnsName, _>((from, Bound::Unbounded)).take(count).cloned().collect()
            }
        }
    }
}

impl Pass {
    /// Begins a pass over these names.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            keeps_desired: false,
            last: None,
            through: false,
            again: BTreeSet::new(),
            planned: BTreeMap::new(),
            left: 0,
            marks: HashMap::new(),
            waiting: BTreeSet::new(),
            room_at: None,
        }
    }

    /// Plans these names after this: something that they depend on has changed, or they were written.
    pub fn again(&mut self, names: &BTreeSet<DnsName>) {
        if let Scope::Names(scope) = &mut self.scope {
            scope.extend(names.iter().cloned());
        }
        let passed = |name: &&DnsName| self.through || self.last.as_ref().is_some_and(|last| *name <= last);
        for name in names.iter().filter(passed) {
            self.planned.remove(name);
            self.again.insert(name.clone());
        }
        self.left = self.left.min(self.planned.len());
    }

    /// Plans the next names, and again those that a brake has to hold; returns whether there is more to do. Changes that
    /// `holds_back` names are left out: they wait by themselves.
    pub fn step(
        &mut self,
        bench: &mut Bench<'_>,
        names: usize,
        holds_back: impl Fn(&NameChange) -> bool,
    ) -> bool {
        let Bench { planner, observed, .. } = &mut *bench;
        planner.waiting.clone_from(&self.waiting);
        let names = self.next(planner, observed, names);
        planner.remember(&names, observed);
        for name in names {
            self.plan(planner, observed, name, &holds_back);
        }
        if !self.through || !self.again.is_empty() {
            return true;
        }
        self.counts_more(bench.memory) || self.waits_more(bench)
    }

    fn next(&mut self, planner: &Planner, observed: &Observed, count: usize) -> Vec<DnsName> {
        if self.through {
            return std::iter::from_fn(|| self.again.pop_first()).take(count).collect();
        }
        let names = planner.names_after(&self.scope, self.last.as_ref(), observed, count);
        self.through = names.len() < count;
        self.last = names.last().cloned().or(self.last.take());
        names
    }

    fn plan(
        &mut self,
        planner: &Planner,
        observed: &Observed,
        name: DnsName,
        holds_back: impl Fn(&NameChange) -> bool,
    ) {
        // A backend may list a zone below this one too: its names are for that zone's own planner.
        if !planner.zone.takes(&name) {
            return;
        }
        let mut part = planner.empty_plan(observed);
        let (desired, refused) = planner.desired_at(&name, observed);
        let mut sets = planner.plan_desired(&name, (desired.as_ref(), refused), observed, &mut part);
        if !self.keeps_desired {
            sets = Vec::new();
        }
        let before = part.changes.len();
        part.changes.retain(|change| !holds_back(change));
        if let Some(desired) = &desired {
            part.changes.iter_mut().for_each(|change| self.share_marks(&desired.service, change));
        }
        let mut moves = Vec::new();
        for change in &part.changes {
            planner.moves_at(change, desired.as_ref(), observed, &mut moves);
        }
        // Every name of a zone may have one.
        moves.shrink_to_fit();
        let planned = Planned {
            waits: part.changes.len() < before,
            moves,
            change: part.changes.pop(),
            held: part.held,
            refused: part.refused,
            desired: sets,
        };
        if planned.is_anything() {
            self.planned.insert(name, planned);
        }
    }

    /// Takes out what is planned where nothing of ours stands, as soon as there are so many such names: no brake holds what is
    /// new, so that a zone that fills is never planned as a whole before anything is written. Names of which anything is
    /// not written have to be told to [`Pass::again`].
    pub fn take_new(&mut self, bench: &Bench<'_>, at_least: usize) -> Option<(ApprovedPlan, Vec<Move>)> {
        if self.planned.len() < self.left.saturating_add(at_least) {
            return None;
        }
        let (mut plan, mut moves) = (bench.planner.empty_plan(bench.observed), Vec::new());
        for (_, mut planned) in self.planned.extract_if(.., |_, planned| planned.is_new()) {
            plan.changes.extend(planned.change);
            moves.append(&mut planned.moves);
        }
        self.left = self.planned.len();
        (!plan.is_empty()).then(|| (approve(plan, &bench.planner.brakes), moves))
    }

    fn share_marks(&mut self, service: &ServiceKey, change: &mut NameChange) {
        for mark in change.changes.iter_mut().filter_map(Change::mark_mut) {
            match self.marks.get(service) {
                Some(known) if known.as_str() == mark.as_str() => *mark = known.clone(),
                _ => drop(self.marks.insert(service.clone(), mark.clone())),
            }
        }
    }

    /// Lets the plan pass the last brake.
    pub fn finish(self, bench: &mut Bench<'_>) -> Preview {
        let Bench { planner, observed, memory, .. } = bench;
        let mut plan = planner.empty_plan(observed);
        let (mut moves, mut waits, mut desired) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (name, mut planned) in self.planned {
            plan.changes.extend(planned.change);
            plan.held.append(&mut planned.held);
            plan.refused.append(&mut planned.refused);
            moves.append(&mut planned.moves);
            desired.append(&mut planned.desired);
            if planned.waits {
                waits.insert(name);
            }
        }
        let (scope, approved) = (self.scope, approve(plan, &planner.brakes));
        planner.waiting = self.waiting;
        memory.undeleted.retain(|name| !scope.contains(name));
        let held = approved.plan().held.iter().filter(|held| matches!(held.reason, Hold::MaxDelete { .. }));
        memory.undeleted.extend(held.map(|held| held.name.clone()));
        Preview { scope, approved, moves, waits, room_at: self.room_at, desired }
    }

    /// Where names are deleted, the deletions that `max-delete` holds already count with them.
    fn counts_more(&mut self, memory: &Memory) -> bool {
        let mut undeleted = memory.undeleted.clone();
        undeleted.retain(|name| !self.scope.contains(name));
        let mut changes = self.planned.values().filter_map(|planned| planned.change.as_ref());
        let any = !undeleted.is_empty() && changes.any(NameChange::vanishes);
        if any {
            self.again(&undeleted);
        }
        any
    }

    /// When more would leave because of probes than may within a minute, the rest waits, until nothing leaves that was
    /// not let go. What waits changes the plans of those names alone at which it stands.
    fn waits_more(&mut self, bench: &mut Bench<'_>) -> bool {
        let dead = |one: &&Move| one.is_death() && !self.waiting.contains(&one.address);
        let mut leaving = Leaving::new();
        for one in self.planned.values().flat_map(|planned| &planned.moves).filter(dead) {
            leaving.entry(one.address.clone()).or_default().extend(one.namespace().map(Arc::from));
        }
        if leaving.is_empty() {
            return false;
        }
        let budget = bench.planner.removal_budget();
        let velocity = &mut bench.memory.velocity;
        let more = velocity.admit(bench.now, &leaving, budget);
        if more.is_empty() {
            return false;
        }
        self.room_at = velocity.room_at().or(self.room_at);
        let stands = |set: &ObservedSet| {
            set.ours().is_some_and(|data| addresses_of(data).iter().any(|one| more.contains(one)))
        };
        let mut names = bench.planner.in_scope(&self.scope, bench.observed);
        names.retain(|name| bench.observed.at(name).iter().any(stands));
        self.again(&names.into_iter().collect());
        self.waiting.extend(more);
        true
    }
}

impl Planned {
    fn is_new(&self) -> bool {
        let creates =
            |change: &NameChange| change.changes.iter().all(|change| matches!(change, Change::Create { .. }));
        let is_all = !self.waits && self.held.is_empty() && self.refused.is_empty();
        is_all && self.change.as_ref().is_some_and(creates)
    }

    fn is_anything(&self) -> bool {
        self.waits
            || self.change.is_some()
            || !(self.held.is_empty() && self.refused.is_empty() && self.desired.is_empty())
    }
}
