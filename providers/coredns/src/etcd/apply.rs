//! Writing a plan.
//!
//! Invariant: a fault of one name never stops the others; only a fault of the zone ends the work.

use etcd_client::{GetResponse, Txn, TxnOpResponse};
use fleetdns_core::{Applied, DnsName, NameChange, ObservedSet, Outcome, Plan, ProviderError, RefusalBudget};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::changes::{self, Edit, Unfit};
use super::error::{Fault, Kind};
use super::pack::{self, Batch};
use super::{EtcdZone, kv, listing, pairs};

/// Transactions under way at once: etcd groups their commits.
const AT_ONCE: usize = 4;

/// A transaction that was done.
struct Written {
    revision: i64,
    /// What stands at the name of each edit now.
    sets: Vec<Vec<ObservedSet>>,
}

/// What became of a batch.
type Told = Vec<(DnsName, Outcome)>;

impl EtcdZone {
    pub(super) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        let order = self.refusals().order(&plan.changes);
        let mut edits = |changes: Vec<&NameChange>| -> Vec<Edit> {
            let mut edits = Vec::with_capacity(changes.len());
            for change in changes {
                match self.edit(change) {
                    Ok(edit) => edits.push(edit),
                    Err(outcome) => applied.names.push((change.name.clone(), outcome)),
                }
            }
            edits
        };
        // Dead addresses leave first; what was refused lately comes last, each for itself.
        let removals = pack::pack(edits(order.removals));
        let others = pack::pack(edits(order.others));
        let refused = edits(order.refused).into_iter().flat_map(|edit| pack::pack([edit])).collect();
        let mut budget = RefusalBudget::default();
        let mut goes_on = true;
        for batches in [removals, others, refused] {
            let told = self.run_all(batches, goes_on, &mut budget).await;
            goes_on = goes_on && !budget.is_spent() && !told.iter().any(|(_, outcome)| ends(outcome));
            applied.names.extend(told);
        }
        let mut refusals = self.refusals();
        for (name, outcome) in &applied.names {
            match outcome {
                Outcome::Done(_) | Outcome::Conflict => refusals.forget(name),
                Outcome::Failed(ProviderError::Rejected { .. }) => refusals.refuse(name),
                _ => {}
            }
        }
        drop(refusals);
        applied
    }

    fn edit(&self, change: &NameChange) -> Result<Edit, Outcome> {
        let known = {
            let seen = self.seen();
            seen.since.get(&change.name).copied().or(seen.listed)
        };
        changes::edit(&self.layout, &self.owner, change, known).map_err(|unfit| match unfit {
            Unfit::Stale => Outcome::Conflict,
            Unfit::Impossible(problem) => Outcome::Failed(ProviderError::Rejected { problem }),
        })
    }

    /// Batches side by side, until the zone is at fault or refused names have taken long enough.
    async fn run_all(&self, batches: Vec<Batch>, mut goes_on: bool, budget: &mut RefusalBudget) -> Told {
        let (mut told, mut left) = (Told::new(), batches.into_iter());
        while goes_on {
            let now: Vec<Batch> = left.by_ref().take(AT_ONCE).collect();
            if now.is_empty() {
                break;
            }
            let began = Instant::now();
            let results: Vec<Told> =
                stream::iter(now).map(|batch| self.run(batch)).buffered(AT_ONCE).collect().await;
            let all = || results.iter().flatten().map(|(_, outcome)| outcome);
            if all().any(|outcome| matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. }))) {
                budget.spend(began.elapsed());
            }
            goes_on = !budget.is_spent() && !all().any(ends);
            told.extend(results.into_iter().flatten());
        }
        let untried = left.flat_map(Batch::into_edits).map(|edit| (edit.name, Outcome::NotTried));
        told.extend(untried);
        told
    }

    async fn run(&self, batch: Batch) -> Told {
        match batch {
            Batch::Whole(edits) => self.run_whole(edits).await,
            Batch::Large(edit) => {
                let outcome = self.run_large(&edit).await;
                vec![(edit.name, outcome)]
            }
        }
    }

    /// One transaction; when it cannot be done, each name by itself, so that one does not stop the others.
    async fn run_whole(&self, edits: Vec<Edit>) -> Told {
        if let [edit] = &edits[..] {
            return vec![(edit.name.clone(), self.run_one(edit).await)];
        }
        match self.commit(&edits).await {
            Ok(Some(written)) => {
                let names = edits.into_iter().map(|edit| edit.name);
                names.zip(written.sets.into_iter().map(|sets| Outcome::Done(sets.into()))).collect()
            }
            Ok(None) => self.run_singly(edits).await,
            Err(fault) if fault.is_refusal() => self.run_singly(edits).await,
            Err(fault) => edits.into_iter().map(|edit| (edit.name, fault.clone().into_outcome())).collect(),
        }
    }

    async fn run_singly(&self, edits: Vec<Edit>) -> Told {
        stream::iter(edits)
            .map(|edit| async move {
                let outcome = self.run_one(&edit).await;
                (edit.name, outcome)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// One transaction for one name. A full etcd takes deletions: those that may be done alone are done, so that dead
    /// addresses leave, and the rest is written when there is room again.
    async fn run_one(&self, edit: &Edit) -> Outcome {
        match self.commit(std::slice::from_ref(edit)).await {
            Ok(Some(written)) => Outcome::Done(written.sets.into_iter().flatten().collect()),
            Ok(None) => Outcome::Conflict,
            Err(fault) => match edit.deletions().filter(|_| matches!(fault.kind, Kind::Full)) {
                None => fault.into_outcome(),
                Some(deletions) => match self.commit(&[deletions]).await {
                    Ok(Some(_)) => Outcome::Incomplete { problem: fault.reason.to_string() },
                    Ok(None) => Outcome::Conflict,
                    Err(fault) => fault.into_outcome(),
                },
            },
        }
    }

    /// Several transactions, one after the other.
    async fn run_large(&self, edit: &Edit) -> Outcome {
        let mut last: Option<Written> = None;
        for mut step in pack::steps(edit) {
            if let Some(written) = &last {
                step.guards = step.guards.iter().map(|guard| guard.since(written.revision)).collect();
            }
            match self.commit(&[step]).await {
                Ok(Some(written)) => last = Some(written),
                Ok(None) => return Outcome::Conflict,
                Err(fault) if last.is_some() => {
                    return Outcome::Incomplete { problem: fault.reason.to_string() };
                }
                Err(fault) => return fault.into_outcome(),
            }
        }
        let sets = last.and_then(|mut written| written.sets.pop()).unwrap_or_default();
        // The guards did not cover the keys that no step wrote: one of them may have gone.
        let complete = edit.desired.iter().all(|data| listing::stands(&sets, data, data.record_type()));
        if complete { Outcome::Done(sets.into()) } else { Outcome::Conflict }
    }

    /// One transaction with all that these names need. `None` when a guard does not hold, and then nothing is written.
    async fn commit(&self, edits: &[Edit]) -> Result<Option<Written>, Fault> {
        let compares: Vec<_> =
            edits.iter().flat_map(|edit| &edit.guards).map(changes::Guard::compare).collect();
        let operations: Vec<_> =
            edits.iter().flat_map(|edit| edit.writes().chain(edit.reads.operations())).collect();
        let transaction = Txn::new().when(compares).and_then(operations);
        let answer = self
            .link
            .call(|client| {
                let (mut kv, transaction) = (kv(&client), transaction.clone());
                async move { kv.txn(transaction).await }
            })
            .await?;
        if !answer.succeeded() {
            return Ok(None);
        }
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let mut reads = answer.op_responses().into_iter().filter_map(|response| match response {
            TxnOpResponse::Get(get) => Some(get),
            _ => None,
        });
        let mut sets = Vec::with_capacity(edits.len());
        for edit in edits {
            let reads: Vec<GetResponse> = reads.by_ref().take(2).collect();
            sets.push(self.sets_at(&edit.name, &reads));
            self.seen().since.insert(edit.name.clone(), revision);
        }
        Ok(Some(Written { revision, sets }))
    }

    fn sets_at(&self, name: &DnsName, reads: &[GetResponse]) -> Vec<ObservedSet> {
        let view = listing::view(&self.layout, &self.owner, reads.iter().flat_map(pairs));
        let mut sets = view.listing.observed.at(name).to_vec();
        if name == self.layout.zone() {
            sets.extend(self.seen().apex_strays.iter().cloned());
        }
        sets
    }
}

/// Whether nothing else need be tried after it: the zone is at fault, or does not answer.
fn ends(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(error) => !matches!(error, ProviderError::Rejected { .. }),
        Outcome::Incomplete { .. } => true,
        _ => false,
    }
}

impl Fault {
    /// What a fault of a write is for its names. Silence and a connection that breaks leave open what was done.
    fn into_outcome(self) -> Outcome {
        match &self.kind {
            Kind::Silent => Outcome::Incomplete { problem: self.reason.to_string() },
            Kind::Unavailable if !self.is_unsent() => {
                Outcome::Incomplete { problem: self.reason.to_string() }
            }
            Kind::Forbidden(_) => {
                let problem = self.into_error("write it").to_string();
                Outcome::Failed(ProviderError::Rejected { problem })
            }
            _ => Outcome::Failed(self.into_error("write the zone")),
        }
    }
}
