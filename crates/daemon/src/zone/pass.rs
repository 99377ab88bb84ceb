//! One pass: plan → approve → apply.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fleetdns_core::plan::{HeldChange, Hold};
use fleetdns_core::{
    Applied, ApprovedPlan, DnsName, NameChange, Observed, Outcome, Plan, ProviderError, approve,
};
use fleetdns_planner::velocity::Leaving;
use fleetdns_planner::{Move, MoveCause, Scope, Way};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::{Inputs, ZoneTask};

/// Names that are planned before other tasks have their turn: a few milliseconds.
const AT_ONCE: usize = 1000;
/// A write that takes longer has failed, and what it wrote is not known: shorter than a turn of the loop may last.
const LONGEST_APPLY: Duration = Duration::from_secs(240);
/// How often deletions that `max-delete` holds are looked at again when nothing changes.
const RECHECK: Duration = Duration::from_secs(30);

/// What is to be done, before the brakes.
struct Draft {
    plan: Plan,
    moves: Vec<Move>,
    /// Names that have to change and wait by themselves.
    waits: BTreeSet<DnsName>,
}

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
        let mut scope = std::mem::replace(&mut self.scope, Scope::Names(BTreeSet::new()));
        let draft = self.draft(&mut scope, &observed).await;
        let approved = approve(draft.plan, &self.brakes);
        self.settle_pending(&scope, approved.plan(), &draft.waits);
        self.report(&scope, &approved.plan().held, &approved.plan().refused);
        let is_held = |one: &HeldChange| matches!(one.reason, Hold::MaxDelete { .. });
        if approved.plan().held.iter().any(is_held) {
            self.recheck_at = Some(Instant::now() + RECHECK);
        }
        self.write(approved, &draft.moves, inputs).await;
        if scope == Scope::All && self.scope.is_empty() && self.pending.is_empty() {
            self.recorder.forget_unwritten();
            self.writing.works(&self.planner.zone().zone);
        }
        self.report_fault(None);
        let observed = self.observed.clone();
        self.status.send_modify(|status| status.observed = observed);
        self.report_startup();
    }

    /// A plan of what is in scope. Where it deletes names, the deletions that `max-delete` holds already count with it.
    async fn draft(&mut self, scope: &mut Scope, observed: &Observed) -> Draft {
        let draft = self.plan(scope, observed).await;
        let held = self.held(|hold| matches!(hold, Hold::MaxDelete { .. }));
        let apart = *scope != Scope::All && !held.is_empty();
        if !apart || !draft.plan.changes.iter().any(NameChange::vanishes) {
            return draft;
        }
        scope.extend(Scope::Names(held));
        self.plan(scope, observed).await
    }

    /// Plans what is in scope. When more would leave because of probes than may within a minute, the rest waits: it is
    /// planned again with that, until nothing leaves that was not let go.
    async fn plan(&mut self, scope: &Scope, observed: &Observed) -> Draft {
        let names = self.planner.in_scope(scope, observed);
        self.planner.remember(&names, observed);
        let mut waiting = BTreeSet::new();
        loop {
            self.planner.hold_back(waiting.clone());
            let draft = self.plan_names(&names, observed).await;
            let dead = |one: &&Move| one.is_death() && !waiting.contains(&one.address);
            let mut leaving = Leaving::new();
            for one in draft.moves.iter().filter(dead) {
                leaving.entry(one.address.clone()).or_default().extend(one.namespace.clone());
            }
            let more = if leaving.is_empty() {
                BTreeSet::new()
            } else {
                let budget = self.planner.removal_budget();
                self.velocity.admit(self.started.elapsed(), &leaving, budget)
            };
            if more.is_empty() {
                return draft;
            }
            self.turn_at = self.velocity.room_at().map(|at| self.started + at);
            waiting.extend(more);
        }
    }

    /// Plans names in parts, so that other tasks have their turn. Changes that have to wait are left out.
    async fn plan_names(&self, names: &[DnsName], observed: &Observed) -> Draft {
        let (mut moves, mut waits) = (Vec::new(), BTreeSet::new());
        let mut plan = self.planner.empty_plan(observed);
        let now = Instant::now();
        for (number, names) in names.chunks(AT_ONCE).enumerate() {
            if number > 0 {
                yield_now().await;
            }
            let mut part = self.planner.empty_plan(observed);
            self.planner.plan_names(names, observed, &mut part);
            part.changes.retain(|change| {
                let waiting = self.pending.holds_back(change, now);
                if waiting {
                    waits.insert(change.name.clone());
                }
                !waiting
            });
            moves.extend(self.planner.moves(&part, observed));
            plan.changes.append(&mut part.changes);
            plan.held.append(&mut part.held);
            plan.refused.append(&mut part.refused);
        }
        Draft { plan, moves, waits }
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
            let rests = self.writing.rests_until(Instant::now()).is_some();
            if rests || (!first && inputs.has_news()) {
                let rest = approved.plan().changes.iter().map(|change| change.name.clone());
                return self.scope.extend(Scope::Names(rest.collect()));
            }
            first = false;
            let alike = if left > refused { left - refused } else { left };
            let count = alike.min(self.batch.0);
            self.apply(&approved.take_first(count), moves).await;
        }
    }

    /// The one place from which anything is written.
    async fn apply(&mut self, approved: &ApprovedPlan, moves: &[Move]) {
        let changes = &approved.plan().changes;
        let started = Instant::now();
        self.heartbeat.beat();
        let applied = match timeout(LONGEST_APPLY, self.provider.apply(approved)).await {
            Ok(applied) => applied,
            Err(_) => {
                self.batch.shrink(changes.len());
                endless(changes)
            }
        };
        self.reading.note_written(changes.iter().map(|change| &change.name));
        self.batch.learn(changes.len(), started.elapsed());
        self.recorder.moves(moves, &applied);
        self.settle_velocity(moves, &applied);
        self.take_in(changes, moves, applied, started.elapsed());
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
        if self.velocity.finish(&left, &stayed) {
            self.turn_at = self.turn_at.map(|_| Instant::now());
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
