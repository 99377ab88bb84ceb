//! One pass: plan → approve → apply.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::Duration;

use fleetdns_core::{Applied, ApprovedPlan, DnsName, NameChange, Observed, Outcome, Plan, ProviderError};
use fleetdns_planner::{Move, MoveCause, Preview, Scope, Way};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::ZoneTask;
use crate::inputs::Inputs;

/// Names that are planned before other tasks have their turn: a few milliseconds.
const AT_ONCE: usize = 1000;
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

impl ZoneTask {
    /// Plans and writes what is in scope. Nothing happens while writing rests after a fault of the zone.
    pub(super) async fn pass(&mut self, inputs: &Inputs) {
        let rests = self.writing.rests_until(Instant::now()).is_some();
        let Some(observed) = self.observed.clone().filter(|_| !rests && !self.scope.is_empty()) else {
            return self.report_startup();
        };
        let (scope, now) =
            (std::mem::replace(&mut self.scope, Scope::Names(BTreeSet::new())), Instant::now());
        self.planner.next_pass();
        let Preview { scope, approved, moves, waits, room_at } = self.preview(scope, &observed).await;
        self.turn_at = room_at.map(|at| self.started + at).or(self.turn_at);
        self.settle_pending(&scope, approved.plan(), &waits);
        self.unwritten.planned(&scope, approved.plan(), &waits, now);
        self.report(&scope, &approved.plan().held, &approved.plan().refused);
        if !self.memory.undeleted.is_empty() {
            self.recheck_at.get_or_insert_with(|| Instant::now() + RECHECK);
        }
        self.write(approved, &moves, inputs).await;
        if scope == Scope::All && self.scope.is_empty() && self.pending.is_empty() {
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

    /// Plans in parts, so that other tasks have their turn. Changes that have to wait by themselves are left out.
    async fn preview(&mut self, scope: Scope, observed: &Observed) -> Preview {
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let mut pass = self.planner.pass(scope, observed, &mut self.memory, elapsed);
        while pass.step(AT_ONCE, |change| self.pending.holds_back(change, now)) {
            yield_now().await;
        }
        pass.finish()
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
    /// in the end. Between two parts it looks whether anything has changed, and leaves the rest to the next pass then.
    async fn write(&mut self, mut approved: ApprovedPlan, moves: &[Move], inputs: &Inputs) {
        let removals: BTreeSet<&DnsName> =
            moves.iter().filter(|one| is_urgent(one)).map(|one| &one.name).collect();
        let rank = |change: &NameChange| {
            if self.pending.was_refused(change) {
                Rank::Refused
            } else if removals.contains(&change.name) {
                Rank::Removal
            } else {
                Rank::Other
            }
        };
        let refused = approved.plan().changes.iter().filter(|one| rank(one) == Rank::Refused).count();
        approved.sort_by_rank(rank);
        let mut first = true;
        while !approved.plan().is_empty() {
            let left = approved.plan().changes.len();
            if self.yields() {
                return;
            }
            if !self.fence.is_open() {
                return self.leave_unwritten(approved.plan());
            }
            let rests = self.writing.rests_until(Instant::now()).is_some();
            if rests || (!first && inputs.has_changed()) {
                let rest = approved.plan().changes.iter().map(|change| change.name.clone());
                return self.scope.extend(Scope::Names(rest.collect()));
            }
            first = false;
            let alike = if left > refused { left - refused } else { left };
            let count = alike.min(self.batch.0);
            self.apply(&approved.take_first(count), moves, inputs).await;
        }
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
