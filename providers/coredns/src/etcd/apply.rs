//! Writing a plan.

use etcd_client::{GetResponse, Txn, TxnOpResponse};
use fleetdns_core::{Applied, DnsName, NameChange, ObservedSet, Outcome, Plan, ProviderError};
use futures::{StreamExt, stream};

use super::edit::{self, Edit, Unfit};
use super::fault::{Fault, Kind};
use super::pack::{self, Batch};
use super::{EtcdZone, kv, pairs, view};

/// Transactions under way at once: etcd groups their commits.
const AT_ONCE: usize = 4;

/// A transaction that was done.
struct Written {
    revision: i64,
    /// What stands at the name of each edit now.
    sets: Vec<Vec<ObservedSet>>,
}

impl EtcdZone {
    pub(super) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        let mut edits = Vec::with_capacity(plan.changes.len());
        for change in &plan.changes {
            match self.edit(change) {
                Ok(edit) => edits.push(edit),
                Err(outcome) => applied.names.push((change.name.clone(), outcome)),
            }
        }
        let mut outcomes =
            stream::iter(pack::pack(edits)).map(|batch| self.run(batch)).buffer_unordered(AT_ONCE);
        while let Some(names) = outcomes.next().await {
            applied.names.extend(names);
        }
        applied
    }

    fn edit(&self, change: &NameChange) -> Result<Edit, Outcome> {
        let known = {
            let seen = self.seen();
            seen.since.get(&change.name).copied().or(seen.listed)
        };
        edit::edit(&self.layout, &self.owner, change, known).map_err(|unfit| match unfit {
            Unfit::Stale => Outcome::Conflict,
            Unfit::Impossible(problem) => Outcome::Failed(ProviderError::Rejected { problem }),
        })
    }

    async fn run(&self, batch: Batch) -> Vec<(DnsName, Outcome)> {
        match batch {
            Batch::Whole(edits) => self.run_whole(edits).await,
            Batch::Large(edit) => {
                let outcome = outcome(self.run_large(&edit).await);
                vec![(edit.name, outcome)]
            }
        }
    }

    /// One transaction; when it cannot be done, each name by itself, so that one does not stop the others.
    async fn run_whole(&self, edits: Vec<Edit>) -> Vec<(DnsName, Outcome)> {
        let alone = edits.len() == 1;
        match self.commit(&edits).await {
            Ok(Some(written)) => {
                let names = edits.into_iter().map(|edit| edit.name);
                names.zip(written.sets.into_iter().map(Outcome::Done)).collect()
            }
            Ok(None) if !alone => self.run_singly(edits).await,
            Err(Fault { kind: Kind::TooLarge, .. }) if !alone => self.run_singly(edits).await,
            Ok(None) => edits.into_iter().map(|edit| (edit.name, Outcome::Conflict)).collect(),
            Err(fault) => {
                let failed =
                    |edit: Edit| (edit.name, Outcome::Failed(fault.clone().into_error("write the zone")));
                edits.into_iter().map(failed).collect()
            }
        }
    }

    async fn run_singly(&self, edits: Vec<Edit>) -> Vec<(DnsName, Outcome)> {
        stream::iter(edits)
            .map(|edit| async move {
                let written = self.commit(std::slice::from_ref(&edit)).await;
                let sets = written.map(|written| written.and_then(|mut written| written.sets.pop()));
                (edit.name, outcome(sets))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// Several transactions, one after the other.
    async fn run_large(&self, edit: &Edit) -> Result<Option<Vec<ObservedSet>>, Fault> {
        let mut last: Option<Written> = None;
        for mut step in pack::steps(edit) {
            if let Some(written) = &last {
                step.guards = step.guards.iter().map(|guard| guard.since(written.revision)).collect();
            }
            match self.commit(&[step]).await? {
                Some(written) => last = Some(written),
                None => return Ok(None),
            }
        }
        let sets = last.and_then(|mut written| written.sets.pop()).unwrap_or_default();
        // The guards did not cover the keys that no step wrote: one of them may have gone.
        let complete = edit.wanted.iter().all(|data| view::stands(&sets, data, data.record_type()));
        Ok(complete.then_some(sets))
    }

    /// One transaction with all that these names need. `None` when a guard does not hold, and then nothing is written.
    async fn commit(&self, edits: &[Edit]) -> Result<Option<Written>, Fault> {
        let compares: Vec<_> = edits.iter().flat_map(|edit| &edit.guards).map(edit::Guard::compare).collect();
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
        let view = view::view(&self.layout, &self.owner, reads.iter().flat_map(pairs));
        let mut sets = view.listing.observed.at(name).to_vec();
        if name == self.layout.zone() {
            sets.extend(self.seen().apex_strays.iter().cloned());
        }
        sets
    }
}

fn outcome(result: Result<Option<Vec<ObservedSet>>, Fault>) -> Outcome {
    match result {
        Ok(Some(sets)) => Outcome::Done(sets),
        Ok(None) => Outcome::Conflict,
        Err(fault) => Outcome::Failed(fault.into_error("write the zone")),
    }
}
