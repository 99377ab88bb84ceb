//! One pass: plan → approve → write.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::{ApprovedPlan, DnsName, Plan};
use fleetdns_planner::{Bench, Move, Pass, Preview, Scope};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::ZoneTask;
use crate::inputs::Inputs;

/// Names that are planned before what has changed meanwhile has its turn: some milliseconds.
pub(super) const AT_ONCE: usize = 500;
/// After so many parts of a pass what is new is written: few enough to take little memory.
const PARTS_TO_WRITE: usize = 10;
/// A long pass that had to begin again so often is made without a pause.
const MOST_RESTARTS: u8 = 3;
/// How often deletions that `max-delete` holds are looked at again when nothing changes.
const RECHECK: Duration = Duration::from_secs(30);

impl ZoneTask {
    /// Plans and writes what is in scope. Nothing happens while writing rests after a fault of the zone.
    pub(super) async fn pass(&mut self, inputs: &mut Inputs) {
        let rests = self.writing.rests_until(Instant::now()).is_some();
        if rests || self.observed.is_none() || self.scope.is_empty() {
            return self.report_startup();
        }
        self.planner.next_pass();
        let mut pass = Pass::new(std::mem::replace(&mut self.scope, Scope::Names(BTreeSet::new())));
        while self.step(&mut pass) {
            yield_now().await;
            self.write_new(&mut pass, inputs).await;
            if self.restarts == MOST_RESTARTS {
                continue;
            }
            match self.interlude(inputs).await {
                Some(names) => pass.again(&names),
                // Another brake may act at every name: what was planned so far counts no more.
                None => {
                    self.restarts += 1;
                    return self.scope.extend(Scope::All);
                }
            }
        }
        self.restarts = 0;
        let (scope, approved, moves) = self.approve(pass);
        self.write(approved, moves, inputs).await;
        self.end_pass(&scope);
    }

    /// Writes what is new so far, while the rest of a long pass is not planned yet.
    async fn write_new(&mut self, pass: &mut Pass, inputs: &mut Inputs) {
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let Some(observed) = &self.observed else { return };
        if self.writing.rests_until(now).is_some() || self.yields() || !self.fence.is_open() {
            return;
        }
        let (planner, memory) = (&mut self.planner, &mut self.memory);
        let bench = Bench { planner, observed, memory, now: elapsed };
        let Some((approved, moves)) = pass.take_new(&bench, PARTS_TO_WRITE * self.at_once) else { return };
        let names: BTreeSet<DnsName> =
            approved.plan().changes.iter().map(|change| change.name.clone()).collect();
        let scope = Scope::Names(names.clone());
        self.unwritten.planned(&scope, approved.plan(), &BTreeSet::new(), now);
        let mut again = self.write(approved, moves, inputs).await;
        again.extend(self.pending.names().filter(|name| names.contains(*name)).cloned());
        pass.again(&again);
    }

    /// Plans and writes what has changed while a long pass is under way: nothing that is dead waits for it. Returns the
    /// names that the long pass has to plan after this, or nothing when those are all of them.
    pub(super) async fn interlude(&mut self, inputs: &mut Inputs) -> Option<BTreeSet<DnsName>> {
        if inputs.has_changed() {
            self.take_changes(inputs);
        }
        let names = match std::mem::replace(&mut self.scope, Scope::Names(BTreeSet::new())) {
            Scope::All => return None,
            Scope::Names(names) => names,
        };
        let rests = self.writing.rests_until(Instant::now()).is_some();
        // Many names are approved with those of the long pass.
        if !names.is_empty() && names.len() <= self.at_once && !rests {
            self.heartbeat.beat();
            self.planner.next_pass();
            let mut pass = Pass::new(Scope::Names(names.clone()));
            while self.step(&mut pass) {
                yield_now().await;
            }
            let (scope, approved, moves) = self.approve(pass);
            self.write_few(approved, moves, inputs).await;
            self.end_pass(&scope);
        }
        Some(names)
    }

    /// Plans the next part of a pass, so that other tasks have their turn. Changes that have to wait by themselves are
    /// left out.
    fn step(&mut self, pass: &mut Pass) -> bool {
        let Some(observed) = &self.observed else { return false };
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let (planner, memory) = (&mut self.planner, &mut self.memory);
        let mut bench = Bench { planner, observed, memory, now: elapsed };
        pass.step(&mut bench, self.at_once, |change| self.pending.holds_back(change, now))
    }

    /// Lets a plan pass the last brake, and says what is held and refused.
    fn approve(&mut self, pass: Pass) -> (Scope, ApprovedPlan, Vec<Move>) {
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let observed = self.observed.clone().unwrap_or_default();
        let (planner, memory) = (&mut self.planner, &mut self.memory);
        let preview = pass.finish(&mut Bench { planner, observed: &observed, memory, now: elapsed });
        let Preview { scope, approved, moves, waits, room_at, .. } = preview;
        self.turn_at = room_at.map(|at| self.started + at).or(self.turn_at);
        self.settle_pending(&scope, approved.plan(), &waits);
        self.unwritten.planned(&scope, approved.plan(), &waits, now);
        self.report(&scope, &approved.plan().held, &approved.plan().refused);
        if !self.memory.undeleted.is_empty() {
            self.recheck_at.get_or_insert_with(|| Instant::now() + RECHECK);
        }
        (scope, approved, moves)
    }

    /// Says what came of a pass.
    fn end_pass(&mut self, scope: &Scope) {
        if *scope == Scope::All && self.scope.is_empty() && self.pending.is_empty() {
            self.recorder.forget_unwritten();
            self.writing.works(&self.planner.zone().zone);
        }
        self.report_fault(None);
        let (observed, memory) = (self.observed.clone(), &self.memory);
        let unwritten = self.unwritten.total();
        self.status.send_modify(|status| {
            (status.observed, status.unwritten) = (observed, unwritten);
            if status.memory != *memory {
                status.memory.clone_from(memory);
            }
        });
        self.report_startup();
    }

    /// Forgets the refusals of names that were looked at and of which nothing is written any more: it is as it is wanted,
    /// or a brake holds it.
    fn settle_pending(&mut self, scope: &Scope, plan: &Plan, waits: &BTreeSet<DnsName>) {
        if self.pending.is_empty() {
            return;
        }
        let changed: BTreeSet<&DnsName> =
            plan.changes.iter().map(|change| &change.name).chain(waits).collect();
        let names = self.pending.names().filter(|name| scope.contains(name) && !changed.contains(name));
        let decision: Vec<DnsName> = names.cloned().collect();
        decision.iter().for_each(|name| self.pending.finish(name));
    }
}
