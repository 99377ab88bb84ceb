//! One pass: plan → approve → apply.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::Duration;

use fleetdns_core::{Applied, ApprovedPlan, DnsName, NameChange, Outcome, Plan, ProviderError};
use fleetdns_planner::{Bench, Move, MoveCause, Pass, Preview, Scope, Way};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::ZoneTask;
use crate::inputs::Inputs;

/// Names that are planned before what has changed meanwhile has its turn: some milliseconds.
pub(super) const AT_ONCE: usize = 500;
/// After so many parts of a pass what is new is written: few enough to take little memory.
const PARTS_TO_WRITE: usize = 10;
/// A long pass that had to begin again so often is made without a pause.
const MOST_RESTARTS: u8 = 3;
/// A write that takes longer has failed, and what it wrote is not known: shorter than a turn of the loop may last.
const LONGEST_APPLY: Duration = Duration::from_secs(240);
/// How often deletions that `max-delete` holds are looked at again when nothing changes.
const RECHECK: Duration = Duration::from_secs(30);

/// How soon a change is written. Within a rank the order is that of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It takes out what is dead or was sent out.
    Removal,
    Other,
    /// The backend has refused it before.
    Refused,
}

/// What becomes of single addresses at a name, of all moves in the order of the names.
fn moves_of<'a>(moves: &'a [Move], name: &DnsName) -> &'a [Move] {
    let from = moves.partition_point(|one| one.name < *name);
    let moves = moves.get(from..).unwrap_or_default();
    moves.get(..moves.partition_point(|one| one.name == *name)).unwrap_or_default()
}

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
    async fn interlude(&mut self, inputs: &mut Inputs) -> Option<BTreeSet<DnsName>> {
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

    /// Writes an approved plan: what takes dead addresses out first, and what the backend has refused before by itself
    /// in the end. Between two parts it plans and writes what has changed; returns the names of that.
    async fn write(
        &mut self,
        mut approved: ApprovedPlan,
        moves: Vec<Move>,
        inputs: &mut Inputs,
    ) -> BTreeSet<DnsName> {
        self.sort(&mut approved, &moves);
        let (mut first, mut changed) = (true, BTreeSet::new());
        while self.may_write(&approved) {
            if !first {
                match self.interlude(inputs).await {
                    Some(names) if names.len() <= self.at_once => {
                        approved.leave_out(&names);
                        changed.extend(names);
                    }
                    Some(names) => {
                        self.leave_to_next(&approved, Scope::Names(names));
                        break;
                    }
                    None => {
                        self.leave_to_next(&approved, Scope::All);
                        break;
                    }
                }
                if !self.may_write(&approved) {
                    break;
                }
            }
            first = false;
            self.write_part(&mut approved, &moves, inputs).await;
        }
        changed
    }

    /// Writes an approved plan of few names. When anything changes meanwhile, the rest is left to the next pass.
    async fn write_few(&mut self, mut approved: ApprovedPlan, moves: Vec<Move>, inputs: &Inputs) {
        self.sort(&mut approved, &moves);
        let mut first = true;
        while self.may_write(&approved) {
            if !first && inputs.has_changed() {
                return self.leave_to_next(&approved, Scope::Names(BTreeSet::new()));
            }
            first = false;
            self.write_part(&mut approved, &moves, inputs).await;
        }
    }

    fn sort(&self, approved: &mut ApprovedPlan, moves: &[Move]) {
        approved.sort_by_rank(|change| {
            if self.pending.was_refused(change) {
                Rank::Refused
            } else if moves_of(moves, &change.name).iter().any(is_urgent) {
                Rank::Removal
            } else {
                Rank::Other
            }
        });
    }

    /// Whether there is anything to write, and it may be written now; what may not is left to others.
    fn may_write(&mut self, approved: &ApprovedPlan) -> bool {
        if approved.plan().is_empty() || self.yields() {
            return false;
        }
        if !self.fence.is_open() {
            self.leave_unwritten(approved.plan());
            return false;
        }
        let rests = self.writing.rests_until(Instant::now()).is_some();
        if rests {
            self.leave_to_next(approved, Scope::Names(BTreeSet::new()));
        }
        !rests
    }

    /// Leaves what is not written, and these names, to the next pass.
    fn leave_to_next(&mut self, approved: &ApprovedPlan, more: Scope) {
        let rest = approved.plan().changes.iter().map(|change| change.name.clone());
        self.scope.extend(Scope::Names(rest.collect()));
        self.scope.extend(more);
    }

    async fn write_part(&mut self, approved: &mut ApprovedPlan, moves: &[Move], inputs: &Inputs) {
        let changes = &approved.plan().changes;
        let refused = changes.iter().rev().take_while(|change| self.pending.was_refused(change)).count();
        let alike = if changes.len() > refused { changes.len() - refused } else { changes.len() };
        let part = approved.take_first(alike.min(self.batch.0));
        let names = part.plan().changes.iter().map(|change| &change.name);
        let moves: Vec<Move> = names.flat_map(|name| moves_of(moves, name)).cloned().collect();
        self.apply(&part, &moves, inputs).await;
    }

    /// Leaves to another replica what it wants to be written too; without another one it is tried again.
    fn leave_unwritten(&mut self, plan: &Plan) {
        if self.fence.standing().writes() {
            self.writing.rest(Instant::now());
            self.scope.extend(Scope::Names(plan.changes.iter().map(|change| change.name.clone()).collect()));
        }
    }

    /// The one place from which anything is written.
    async fn apply(&mut self, approved: &ApprovedPlan, moves: &[Move], inputs: &Inputs) {
        let changes = &approved.plan().changes;
        let started = Instant::now();
        self.heartbeat.beat();
        let write = timeout(LONGEST_APPLY, self.fence.write(self.provider.apply(approved)));
        let written = noting(write, inputs, &mut self.changed_at).await;
        let applied = match written {
            Ok(Some(applied)) => applied,
            // What of it took place is read by whoever leads next.
            Ok(None) => {
                self.reading.note_written(changes.iter().map(|change| &change.name));
                return self.leave_unwritten(approved.plan());
            }
            Err(_) => {
                self.batch.shrink(changes.len());
                endless(changes)
            }
        };
        self.reading.note_written(changes.iter().map(|change| &change.name));
        let took = started.elapsed();
        let status = self.status.borrow();
        status.times.apply.observe(took.as_secs_f64());
        status.calls.apply.applied(&applied);
        drop(status);
        self.batch.learn(changes.len(), took);
        self.recorder.moves(moves, &applied);
        self.settle_velocity(moves, &applied);
        self.take_in(changes, moves, applied, took);
    }
}

impl ZoneTask {
    /// What is known to be still there takes no place in the velocity brake.
    fn settle_velocity(&mut self, moves: &[Move], applied: &Applied) {
        let outcomes: HashMap<&DnsName, &Outcome> =
            applied.names.iter().map(|(name, done)| (name, done)).collect();
        let (mut left, mut stayed) = (BTreeSet::new(), BTreeSet::new());
        for one in moves.iter().filter(|one| one.is_death()) {
            match outcomes.get(&one.name) {
                Some(
                    Outcome::Conflict
                    | Outcome::NotTried
                    | Outcome::Failed(ProviderError::Rejected { .. } | ProviderError::Throttled { .. }),
                ) => stayed.insert(&one.address),
                Some(_) => left.insert(&one.address),
                None => false,
            };
        }
        if self.memory.velocity.finish(&left, &stayed) {
            self.turn_at = self.turn_at.map(|_| Instant::now());
        }
    }
}

/// Waits for a write, and notes when the first change comes in meanwhile.
async fn noting<T>(write: impl Future<Output = T>, inputs: &Inputs, changed_at: &mut Option<Instant>) -> T {
    let (mut write, mut inputs) = (pin!(write), inputs.clone());
    loop {
        tokio::select! {
            biased;
            written = &mut write => return written,
            Some(()) = inputs.changed(), if changed_at.is_none() => *changed_at = Some(Instant::now()),
        }
    }
}

/// The outcome of a write that did not end: any of it may be done, and one name may be the cause.
fn endless(changes: &[NameChange]) -> Applied {
    let problem = format!("the provider did not end within {} s", LONGEST_APPLY.as_secs());
    let outcome =
        |change: &NameChange| (change.name.clone(), Outcome::Incomplete { problem: problem.clone() });
    Applied { names: changes.iter().map(outcome).collect() }
}

/// Whether it takes out what is dead, or what an operator wants out.
fn is_urgent(one: &Move) -> bool {
    one.way == Way::Out
        && matches!(one.cause, MoveCause::Unhealthy | MoveCause::Drained | MoveCause::ForcedOut)
}
