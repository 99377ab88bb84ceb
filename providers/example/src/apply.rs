//! A plan as changes of the zone: each name whole or not at all, and only while it is as the plan saw it.

use fleetdns_core::{
    Change, DnsName, Label, NameChange, Outcome, Plan, ProviderError, RecordData, RecordSet, RecordType,
};

use crate::listing::{StoredSet, Zone};

/// Changes what can be changed. Returns one outcome for each name.
pub(crate) fn apply(zone: &mut Zone, plan: &Plan, apex: &DnsName, owner: &Label) -> Vec<(DnsName, Outcome)> {
    let one = |change: &NameChange| {
        let outcome = match (impossible(apex, change), after(zone, change, owner)) {
            (Some(problem), _) => Outcome::Failed(ProviderError::Rejected { problem }),
            (None, None) => Outcome::Conflict,
            (None, Some(sets)) => {
                if sets.is_empty() {
                    zone.names.remove(&change.name);
                } else {
                    zone.names.insert(change.name.clone(), sets);
                }
                // The ownership records of another program go with what they spoke for.
                for (at, set) in change.changes.iter().flat_map(Change::theirs) {
                    zone.remove(at, set, owner);
                }
                Outcome::Done(zone.observed(&change.name, owner).into())
            }
        };
        (change.name.clone(), outcome)
    };
    plan.changes.iter().map(one).collect()
}

/// Why this backend can never hold such records.
fn impossible(apex: &DnsName, change: &NameChange) -> Option<String> {
    let name = &change.name;
    if !name.is_within(apex) {
        return Some(format!("{name} is outside of the zone {apex}"));
    }
    let is_alias = |(set, _): (&RecordSet, _)| matches!(set.data, RecordData::Cname(_));
    let alias_at_apex = name == apex && change.changes.iter().filter_map(Change::after).any(is_alias);
    alias_at_apex.then(|| format!("{name} is the zone's apex, where a CNAME cannot stand (RFC 1034 §3.6.2)"))
}

/// The sets at the name afterwards; `None` when the name is not as the plan saw it.
fn after(zone: &Zone, change: &NameChange, owner: &Label) -> Option<Vec<StoredSet>> {
    let mut sets = zone.names.get(&change.name).cloned().unwrap_or_default();
    let mut there = zone.observed(&change.name, owner);
    let mut written = Vec::new();
    for change in &change.changes {
        if let Some(before) = change.before() {
            // The condition: the set is still there, with the values, the TTL and the ownership record that were read.
            let at = there.iter().position(|set| change.is_allowed() && set == before)?;
            there.remove(at);
            sets.remove(at);
        }
        if !change.theirs().iter().all(|(at, set)| zone.observed(at, owner).contains(set)) {
            return None;
        }
        written.extend(change.after().map(|(set, ownership)| StoredSet::new(set, ownership)));
    }
    // Somebody else added a set beside which ours cannot stand.
    let is_alias = |set: &StoredSet| set.record_type == RecordType::Cname.as_str();
    let clashes = |new: &StoredSet| {
        sets.iter().any(|set| set.record_type == new.record_type || is_alias(set) || is_alias(new))
    };
    if written.iter().any(clashes) {
        return None;
    }
    sets.extend(written);
    Some(sets)
}
