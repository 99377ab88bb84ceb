//! Writes an approved plan in parts: what is dead first.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::Duration;

use fleetdns_core::{Applied, ApprovedPlan, DnsName, NameChange, Outcome, Plan, ProviderError};
use fleetdns_planner::{Move, MoveCause, Scope, Way};
use tokio::time::{Instant, timeout};

use super::ZoneTask;
use crate::inputs::Inputs;

/// A write that takes longer has failed, and what it wrote is not known: shorter than a turn of the loop may last.
const LONGEST_APPLY: Duration = Duration::from_secs(240);

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
    /// Writes an approved plan: what takes dead addresses out first, and what the backend has refused before by itself
    /// in the end. Between two parts it plans and writes what has changed; returns the names of that.
    pub(super) async fn write(
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
    pub(super) async fn write_few(&mut self, mut approved: ApprovedPlan, moves: Vec<Move>, inputs: &Inputs) {
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
