//! Writing a plan: batch after batch, what Route 53 blames taken out and the rest sent again.
//!
//! Invariant: a fault of one name never stops the others; only a fault of the zone ends the work.

use std::sync::Arc;
use std::time::Instant;

use aws_sdk_route53::types::{
    Change as SdkChange, ChangeAction, ChangeBatch, ChangeInfo, ResourceRecord, ResourceRecordSet, RrType,
};
use fleetdns_core::{Applied, DnsName, NameChange, Outcome, Plan, ProviderError, RecordType, RefusalBudget};
use tracing::{debug, info};

use crate::changes::{Delta, Group, edit};
use crate::error::{Fault, Kind};
use crate::names::write_name;
use crate::pack::pack;
use crate::provider::{Zone, lock};
use crate::shape::Body;
use crate::split::{blame, halves, rejected, unfit};

const ACTION: &str = "write the zone";

/// A batch that was not written whole.
struct Broken {
    fault: Fault,
    /// Steps of it that were written before.
    steps: usize,
}

/// One plan being written.
struct Run<'a> {
    zone: &'a Zone,
    outcomes: Vec<(DnsName, Outcome)>,
    /// Batches that are left, the next one last.
    left: Vec<Vec<Group>>,
    budget: RefusalBudget,
}

impl Zone {
    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut run =
            Run { zone: self, outcomes: Vec::new(), left: Vec::new(), budget: RefusalBudget::default() };
        run.line_up(plan);
        if !run.left.is_empty() {
            let _turn = self.turn.lock().await;
            run.write().await;
        }
        run.leave();
        Applied { names: run.outcomes }
    }

    /// Marks of ours whose records are gone go along with what is written.
    fn sweep(&self, plan: &Plan) -> Vec<Group> {
        let mut groups = Vec::new();
        for (name, mark) in self.unattributed() {
            let Some(raw) = mark.raw.filter(|_| plan.changes.iter().all(|change| change.name != name)) else {
                continue;
            };
            let Ok(at) = crate::names::mark_name(&name) else { continue };
            info!(zone = %self.name, %name, "deleting an ownership record whose record is gone");
            let delta = Delta { delete: true, name: at, record_type: None, body: Body::Values(raw) };
            groups.push(Group { name, steps: vec![vec![delta]], after: Vec::new(), mark: None });
        }
        groups
    }

    /// Sends a batch; a group of several steps step by step.
    async fn run(&self, batch: &[Group]) -> Result<(), Broken> {
        let steps = batch.iter().map(|group| group.steps.len()).max().unwrap_or_default();
        for step in 0..steps {
            let deltas: Vec<&Delta> =
                batch.iter().filter_map(|group| group.steps.get(step)).flatten().collect();
            self.send(&deltas).await.map_err(|fault| Broken { fault, steps: step })?;
        }
        Ok(())
    }

    /// One `ChangeResourceRecordSets`.
    pub(crate) async fn send(&self, deltas: &[&Delta]) -> Result<(), Fault> {
        let changes: Option<Vec<SdkChange>> = deltas.iter().map(|delta| sdk_change(delta)).collect();
        let batch = changes.and_then(|all| ChangeBatch::builder().set_changes(Some(all)).build().ok());
        let Some(batch) = batch else {
            // Every field that has to be there is.
            return Err(Fault::new(Kind::Unavailable, "the request cannot be put together"));
        };
        let id = self.id().await?.id;
        let answer = self
            .link
            .call(|client| {
                client.change_resource_record_sets().hosted_zone_id(&id).change_batch(batch.clone()).send()
            })
            .await?;
        let change = answer.change_info().map(ChangeInfo::id).unwrap_or_default();
        debug!(zone = %self.name, changes = deltas.len(), change, "batch written");
        if let Some(insync) = &self.insync {
            let link = Arc::clone(&self.link);
            insync.add(change.trim_start_matches("/change/").to_owned(), move |change| {
                let link = Arc::clone(&link);
                async move { link.is_insync(&change).await }
            });
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Dead addresses leave first, in batches of their own; names that were refused lately come last, each by itself.
    fn line_up(&mut self, plan: &Plan) {
        let zone = self.zone;
        let order = lock(&zone.refusals).order(&plan.changes);
        let mut batches = pack(self.groups(order.removals));
        let mut others = self.groups(order.others);
        let refused = self.groups(order.refused);
        if !plan.changes.is_empty() {
            others.extend(zone.sweep(plan));
        }
        batches.extend(pack(others));
        batches.extend(refused.into_iter().map(|group| vec![group]));
        batches.reverse();
        self.left = batches;
    }

    fn groups(&mut self, changes: Vec<&NameChange>) -> Vec<Group> {
        let view = self.zone.view();
        let mut groups = Vec::with_capacity(changes.len());
        for change in changes {
            match edit(&self.zone.name, &view, change, self.zone.shapes()) {
                Ok(group) => groups.push(group),
                Err(reason) => self.outcomes.push((change.name.clone(), unfit(reason))),
            }
        }
        groups
    }

    async fn write(&mut self) {
        // Whoever may not look for the zone may not write it either: that is no fault of a name.
        if let Err(fault) = self.zone.id().await {
            let batch = self.left.pop().unwrap_or_default();
            return self.fail(batch, fault).await;
        }
        while let Some(batch) = self.left.pop() {
            if self.budget.is_spent() {
                self.left.push(batch);
                break;
            }
            let began = Instant::now();
            match self.zone.run(&batch).await {
                Ok(()) => self.done(batch),
                Err(Broken { fault, steps: 0 }) if fault.is_refusal() => {
                    self.budget.spend(began.elapsed());
                    self.refused(batch, fault).await;
                }
                Err(Broken { fault, steps }) if steps > 0 || matches!(fault.kind, Kind::Unknown) => {
                    self.incomplete(batch, &fault);
                    if !fault.is_refusal() {
                        return;
                    }
                }
                Err(Broken { fault, .. }) => return self.fail(batch, fault).await,
            }
        }
    }

    /// What is left was not tried.
    fn leave(&mut self) {
        let left = std::mem::take(&mut self.left).into_iter().flatten().filter(Group::is_asked_for);
        self.outcomes.extend(left.map(|group| (group.name, Outcome::NotTried)));
    }

    fn done(&mut self, batch: Vec<Group>) {
        self.zone.learn(&batch);
        let mut refusals = lock(&self.zone.refusals);
        for group in batch {
            refusals.forget(&group.name);
            if group.is_asked_for() {
                self.outcomes.push((group.name, Outcome::Done(group.after.into())));
            }
        }
    }

    /// Takes out what the answer blames, and sends the rest again. Where it blames nobody, each half of the batch is
    /// tried for itself, so that a fault is found in as many calls as the batch has bits.
    async fn refused(&mut self, batch: Vec<Group>, fault: Fault) {
        if let Kind::Refused(said) = &fault.kind {
            let blamed = blame(batch, said);
            for (group, outcome) in blamed.out {
                self.give_up(group, outcome);
            }
            return self.left.extend(halves(blamed.rest, blamed.all_blamed));
        }
        match <[Group; 1]>::try_from(batch) {
            // Every write has a condition, so that nothing is written twice: a half of a batch that was carried out is
            // a conflict. Alone, nobody knows.
            Ok([group]) if matches!(fault.kind, Kind::Broken) => {
                lock(&self.zone.refusals).refuse(&group.name);
                self.incomplete(vec![group], &fault);
            }
            Ok([group]) => {
                let error = self.zone.error(fault, "write it").await;
                let condition =
                    "where the policy has a condition on record names, add this name and its mark";
                self.give_up(group, rejected(format!("{error}; {condition}")));
            }
            Err(batch) => self.left.extend(halves(batch, false)),
        }
    }

    fn give_up(&mut self, group: Group, outcome: Outcome) {
        let mut refusals = lock(&self.zone.refusals);
        match outcome {
            Outcome::Failed(_) => refusals.refuse(&group.name),
            _ => refusals.forget(&group.name),
        }
        if group.is_asked_for() {
            self.outcomes.push((group.name, outcome));
        }
    }

    /// What is known of it: some steps were written, or the end of the call is unknown.
    fn incomplete(&mut self, batch: Vec<Group>, fault: &Fault) {
        let told = batch.into_iter().filter(Group::is_asked_for);
        let problem = format!("nobody knows whether it was written whole: {}", fault.reason);
        self.outcomes
            .extend(told.map(|group| (group.name, Outcome::Incomplete { problem: problem.clone() })));
    }

    /// The zone is at fault: nothing more is sent.
    async fn fail(&mut self, batch: Vec<Group>, fault: Fault) {
        if matches!(fault.kind, Kind::NoZone) {
            self.zone.forget_id();
        }
        for group in batch.into_iter().filter(Group::is_asked_for) {
            let error: ProviderError = self.zone.error(fault.clone(), ACTION).await;
            self.outcomes.push((group.name, Outcome::Failed(error)));
        }
    }
}

fn sdk_change(delta: &Delta) -> Option<SdkChange> {
    let set = ResourceRecordSet::builder().name(write_name(&delta.name)).r#type(sdk_type(delta.record_type));
    let set = match &delta.body {
        Body::Values(raw) => {
            let record = |value: &String| ResourceRecord::builder().value(value).build().ok();
            let records: Option<Vec<ResourceRecord>> = raw.values.iter().map(record).collect();
            set.ttl(i64::from(raw.ttl)).set_resource_records(Some(records?))
        }
        Body::Alias(alias) => set.alias_target(alias.write()?),
    };
    let set = set.build().ok()?;
    let action = if delta.delete { ChangeAction::Delete } else { ChangeAction::Create };
    SdkChange::builder().action(action).resource_record_set(set).build().ok()
}

const fn sdk_type(record_type: Option<RecordType>) -> RrType {
    match record_type {
        Some(RecordType::A) => RrType::A,
        Some(RecordType::Aaaa) => RrType::Aaaa,
        Some(RecordType::Cname) => RrType::Cname,
        None => RrType::Txt,
    }
}
