//! Plans for tests: what is wanted, as a value, and the plan that leads there from what a listing gave.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::plan::Cause;
use fleetdns_core::{
    ApprovedPlan, Brakes, Change, DnsName, Label, NameChange, NonEmpty, Observed, OwnershipRecord, Plan,
    RecordData, RecordSet, Ttl, approve,
};

/// Sets by name: values and TTL.
pub type Desired = BTreeMap<DnsName, Vec<(RecordData, u32)>>;

pub fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

pub fn owner() -> Label {
    "fed".parse().unwrap()
}

pub fn a(values: &[&str]) -> RecordData {
    RecordData::A(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap())
}

pub fn aaaa(values: &[&str]) -> RecordData {
    RecordData::Aaaa(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap())
}

pub fn cname(target: &str) -> RecordData {
    RecordData::Cname(name(target))
}

/// `count` IPv4 addresses from 10.`net`.0.0.
pub fn many(net: u8, count: u32) -> RecordData {
    let first = u32::from_be_bytes([10, net, 0, 0]);
    RecordData::A(NonEmpty::new((0..count).map(|index| (first + index).into())).unwrap())
}

pub fn desired(sets: &[(&str, RecordData)]) -> Desired {
    let mut desired = Desired::new();
    for (text, data) in sets {
        desired.entry(name(text)).or_default().push((data.clone(), 30));
    }
    desired
}

pub fn mark_of(owner: &Label, name: &DnsName, sets: &[(RecordData, u32)]) -> OwnershipRecord {
    // A Service's name is one DNS label.
    let letters = name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let service = format!("default/s-{}-s", letters.take(50).collect::<String>());
    let addresses = sets
        .iter()
        .flat_map(|(data, _)| match data {
            RecordData::Cname(_) => vec![],
            data => data.values(),
        })
        .collect::<Vec<_>>()
        .join(",");
    format!("v=1 owner={owner} service={service} member=west;westus;1,2;tcp:80;{addresses}").parse().unwrap()
}

/// The difference between what is there and what is wanted, as the planner returns it.
pub fn difference(zone: &DnsName, owner: &Label, observed: &Observed, desired: &Desired) -> Plan {
    let names: BTreeSet<&DnsName> = observed.owned().chain(desired.keys()).collect();
    let mut plan = Plan { zone: zone.clone(), changes: vec![], held: vec![], refused: vec![], owned: 0 };
    for name in names {
        let sets = desired.get(name).map_or(&[][..], Vec::as_slice);
        let mark = mark_of(owner, name, sets);
        let mut changes = Vec::new();
        for before in observed.at(name) {
            let Some(data) = before.ours() else { continue };
            if sets.iter().all(|(desired, _)| desired.record_type() != data.record_type()) {
                let record_type = data.record_type();
                changes.push(Change::Delete {
                    before: before.clone(),
                    record_type,
                    cause: Cause::ServiceGone,
                });
            }
        }
        for (data, ttl) in sets {
            let set = RecordSet { name: name.clone(), ttl: Ttl::new(*ttl).unwrap(), data: data.clone() };
            let before = observed
                .at(name)
                .iter()
                .find(|set| set.ours().is_some_and(|ours| ours.record_type() == data.record_type()));
            match before {
                None => changes.push(Change::Create { set, mark: mark.clone() }),
                Some(before) => {
                    let same = before.ours() == Some(data)
                        && before.ttl == set.ttl
                        && before.claim.mark() == Some(&mark);
                    if !same {
                        let mark = mark.clone();
                        changes.push(Change::Update { before: before.clone(), set, mark });
                    }
                }
            }
        }
        if !changes.is_empty() {
            plan.changes.push(NameChange { name: name.clone(), changes });
        }
    }
    plan
}

pub fn approved(plan: Plan) -> ApprovedPlan {
    approve(plan, &Brakes { max_delete: 100, ..Brakes::default() })
}
