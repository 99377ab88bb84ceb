//! From what should stand at a name to the changes that make it so.

use super::decide::Decision;
use super::holder::Ruling;
use super::*;
use fleetdns_core::observed::{Content, ObservedSet};
use fleetdns_core::ownership::OwnershipRecord;
use fleetdns_core::plan::Refusal;
use fleetdns_core::record::{RecordData, RecordType};

impl Planner {
    pub(super) fn plan_name(&self, name: &DnsName, observed: &Observed, plan: &mut Plan) {
        // A backend may list a zone below this one too: its names are for that zone's own planner.
        if !self.zone.takes(name) {
            return;
        }
        let (desired, refused) = self.desired_at(name, observed);
        self.plan_desired(name, (desired.as_ref(), refused), observed, plan);
    }

    /// Plans a name at which this is wanted, and returns what ought to stand there.
    pub(super) fn plan_desired(
        &self,
        name: &DnsName,
        wanted: (Option<&Desired>, Vec<Refused>),
        observed: &Observed,
        plan: &mut Plan,
    ) -> Vec<RecordSet> {
        let there = observed.at(name);
        let (decision, refused) = self.decide_desired(name, wanted, there, observed);
        plan.refused.extend(refused);
        let Some(decision) = decision else {
            self.plan_unwanted(name, observed, plan);
            return Vec::new();
        };
        if let Some(reason) = decision.hold.clone() {
            plan.held.push(HeldChange { name: name.clone(), reason });
        }
        if decision.as_it_is {
            return decision.sets;
        }
        let mut changes = deletions(&decision, there);
        let mut refused = 0;
        for set in &decision.sets {
            match self.write(name, set, &decision, there) {
                Ok(change) => changes.extend(change),
                Err(reason) => {
                    refused += 1;
                    plan.refused.push(Refused { name: name.as_str().into(), reason });
                }
            }
        }
        if refused > 0 && refused == decision.sets.len() {
            return decision.sets; // Nothing takes the place of what is there: it stays.
        }
        if !changes.is_empty() {
            // A plan may have every name of a zone.
            changes.shrink_to_fit();
            plan.changes.push(NameChange { name: name.clone(), changes });
        }
        decision.sets
    }

    /// A name that nobody wants: what is ours there goes.
    fn plan_unwanted(&self, name: &DnsName, observed: &Observed, plan: &mut Plan) {
        let there = observed.at(name);
        let evicted = self.evicted_by(name).is_some();
        if !evicted && matches!(self.ruling(name, observed), Ruling::Held { .. }) {
            return; // Wanted, and refused: what is there stays.
        }
        let mut changes = Vec::new();
        let mut hold = None;
        for set in there {
            let Some(data) = set.ours() else { continue };
            let retained = self.freeze().or_else(|| self.of_unlisted(set));
            if retained.is_some() {
                hold = retained;
                continue;
            }
            changes.push(Change::Delete {
                before: set.clone(),
                record_type: data.record_type(),
                cause: if evicted { Cause::Evicted } else { self.cause_of_end(set) },
            });
        }
        plan.held.extend(hold.map(|reason| HeldChange { name: name.clone(), reason }));
        if !changes.is_empty() {
            plan.changes.push(NameChange { name: name.clone(), changes });
        }
    }

    fn cause_of_end(&self, set: &ObservedSet) -> Cause {
        let configured = |name| {
            self.input.snapshot.members.get(name).is_some_and(|member| member.inventory != Inventory::Removed)
        };
        match set.claim.ownership() {
            Some(ownership) if !ownership.members.is_empty() && !ownership.members.keys().any(configured) => {
                Cause::MemberDeparted
            }
            _ => Cause::ServiceGone,
        }
    }

    /// The change that makes a set be there; none when it is there.
    fn write(
        &self,
        name: &DnsName,
        set: &RecordSet,
        decision: &Decision<'_>,
        there: &[ObservedSet],
    ) -> Result<Option<Change>, Refusal> {
        let record_type = set.data.record_type();
        let lone = self.is_lone(&set.data);
        if lone && *name == self.zone.zone {
            return Err(Refusal::ApexCname);
        }
        let mine = there.iter().find(|s| s.ours().is_some_and(|data| data.record_type() == record_type));
        // While a verdict is on its way the mark waits for it: a write now would only hold up the one that counts.
        let waits = decision.hold == Some(Hold::Undecided);
        let as_wanted = |before: &&ObservedSet| {
            let marked = || before.claim.mark().is_some_and(|mark| waits || mark.says(&decision.ownership));
            let same = matches!(&before.content, Content::Known(data) if *data == set.data);
            same && before.ttl == set.ttl && marked()
        };
        if mine.filter(as_wanted).is_some() {
            return Ok(None);
        }
        // What stands beside an alias would be in the way of the CNAME that takes its place.
        let has_room = |before: &ObservedSet| match &before.content {
            Content::Known(data) => !lone || self.is_lone(data),
            _ => false,
        };
        let foreign = there.iter().find(|other| conflicts(other, lone));
        if let Some(foreign) = foreign.filter(|_| !mine.is_some_and(has_room)) {
            return Err(Refusal::Foreign { record_type: foreign.type_name().into() });
        }
        let (set, mark) = (set.clone(), OwnershipRecord::of(&decision.ownership, self.writer));
        Ok(Some(match mine {
            Some(before) => Change::Update { before: before.clone(), set, mark },
            None => Change::Create { set, mark },
        }))
    }

    /// Whether it is a CNAME in the DNS too, which has its name for itself and is none at the apex.
    fn is_lone(&self, data: &RecordData) -> bool {
        matches!(data, RecordData::Cname(target) if !self.capabilities.serves_as_alias(target))
    }
}

/// Whether somebody else's set stands in the way of a new one of ours: one that answers for addresses always does, any
/// other only beside one that has to be alone, a CNAME (RFC 2181 §10.1).
fn conflicts(other: &ObservedSet, lone: bool) -> bool {
    !other.claim.is_ours() && (lone || other.answers_for_addresses())
}

fn deletions(decision: &Decision<'_>, there: &[ObservedSet]) -> Vec<Change> {
    let is_desired = |record_type| decision.sets.iter().any(|set| set.data.record_type() == record_type);
    there
        .iter()
        .filter_map(|set| {
            let record_type = set.ours()?.record_type();
            let cause = if record_type == RecordType::Cname && !decision.sets.is_empty() {
                Cause::TypeChange
            } else {
                decision.cause
            };
            (!is_desired(record_type)).then(|| Change::Delete { before: set.clone(), record_type, cause })
        })
        .collect()
}
