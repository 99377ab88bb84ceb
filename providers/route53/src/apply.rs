//! Writing a plan: batch after batch, what Route 53 blames taken out and the rest sent again.

use std::sync::Arc;

use aws_sdk_route53::types::{
    Change as SdkChange, ChangeAction, ChangeBatch, ChangeInfo, ResourceRecord, ResourceRecordSet, RrType,
};
use fleetdns_core::{Applied, DnsName, Outcome, Plan, ProviderError, RecordType};
use tracing::{debug, info};

use crate::edit::{Delta, Group, Unfit, edit};
use crate::fault::{Fault, Kind};
use crate::names::{marked_name, write_name};
use crate::pack::pack;
use crate::said::{Blame, Said, blamed};
use crate::shape::Body;
use crate::zone::Zone;

const ACTION: &str = "write the zone";

impl Zone {
    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        let mut groups = Vec::with_capacity(plan.changes.len());
        let view = self.view();
        for change in &plan.changes {
            match edit(&self.name, &view, change, self.shapes()) {
                Ok(group) => groups.push(group),
                Err(unfit) => applied.names.push((change.name.clone(), unfit_outcome(unfit))),
            }
        }
        if groups.is_empty() {
            return applied;
        }
        let _turn = self.turn.lock().await;
        self.sweep(&mut groups);
        let mut left = pack(groups);
        left.reverse();
        while let Some(batch) = left.pop() {
            match self.run(&batch).await {
                Ok(()) => {
                    self.learn(&batch);
                    applied.names.extend(batch.into_iter().filter(is_asked_for).map(done));
                }
                Err(Fault { kind: Kind::Refused(said), .. }) => {
                    left.extend(isolate(batch, &said, &mut applied.names));
                }
                Err(fault) => {
                    left.push(batch);
                    self.give_up(left, &fault, &mut applied).await;
                    return applied;
                }
            }
        }
        applied
    }

    /// Marks of ours whose records are gone go along with what is written.
    fn sweep(&self, groups: &mut Vec<Group>) {
        for (name, mark) in self.orphans() {
            let Some(raw) = mark.raw.filter(|_| groups.iter().all(|group| group.name != name)) else {
                continue;
            };
            let Ok(at) = crate::names::mark_name(&name) else { continue };
            info!(zone = %self.name, %name, "deleting an ownership mark whose record is gone");
            let delta = Delta { delete: true, name: at, record_type: None, body: Body::Values(raw) };
            groups.push(Group { name, steps: vec![vec![delta]], after: Vec::new(), mark: None });
        }
    }

    /// Nothing more is sent: what is wrong is wrong with all of it.
    async fn give_up(&self, left: Vec<Vec<Group>>, fault: &Fault, applied: &mut Applied) {
        if matches!(fault.kind, Kind::NoZone) {
            self.forget_id();
        }
        for group in left.into_iter().flatten().filter(is_asked_for) {
            let error = self.error(fault.clone(), ACTION).await;
            applied.names.push((group.name, Outcome::Failed(error)));
        }
    }

    /// Sends a batch; a group of several steps step by step.
    async fn run(&self, batch: &[Group]) -> Result<(), Fault> {
        let steps = batch.iter().map(|group| group.steps.len()).max().unwrap_or_default();
        for step in 0..steps {
            let deltas: Vec<&Delta> =
                batch.iter().filter_map(|group| group.steps.get(step)).flatten().collect();
            self.send(&deltas).await?;
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

/// Whether the plan has it, and not we ourselves.
fn is_asked_for(group: &Group) -> bool {
    !(group.after.is_empty() && group.steps.iter().flatten().all(|delta| delta.record_type.is_none()))
}

fn done(group: Group) -> (DnsName, Outcome) {
    (group.name, Outcome::Done(group.after))
}

fn unfit_outcome(unfit: Unfit) -> Outcome {
    match unfit {
        Unfit::Stale => Outcome::Conflict,
        Unfit::Impossible(problem) => Outcome::Failed(ProviderError::Rejected { problem }),
    }
}

fn blame_outcome(blame: Blame) -> Outcome {
    match blame {
        Blame::Stale => Outcome::Conflict,
        Blame::Unfit(problem) => Outcome::Failed(ProviderError::Rejected { problem }),
    }
}

/// Takes out what the answer blames; gives what is to be sent again, last first. Where it names nobody, each half of the
/// batch is tried for itself, so that a fault is found in as many calls as the batch has bits.
fn isolate(batch: Vec<Group>, said: &Said, names: &mut Vec<(DnsName, Outcome)>) -> Vec<Vec<Group>> {
    let known = |name: &DnsName| {
        let of = |name: &DnsName| batch.iter().any(|group| group.name == *name).then(|| name.clone());
        of(name).or_else(|| marked_name(name).and_then(|name| of(&name)))
    };
    let mut blames = blamed(&said.messages, known);
    if let ([group], true) = (&batch[..], blames.is_empty()) {
        blames.push((group.name.clone(), Blame::of(&said.text())));
    }
    if blames.is_empty() {
        let mut first = batch;
        let second = first.split_off(first.len() / 2);
        return vec![second, first];
    }
    let mut rest = Vec::with_capacity(batch.len());
    for group in batch {
        match blames.iter().position(|(name, _)| *name == group.name) {
            Some(index) => {
                let (name, blame) = blames.swap_remove(index);
                if is_asked_for(&group) {
                    names.push((name, blame_outcome(blame)));
                }
            }
            None => rest.push(group),
        }
    }
    if rest.is_empty() { Vec::new() } else { vec![rest] }
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
