//! A change of one name as the parts of update messages.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{Change, DnsName, Label, NameChange, RecordData, RecordType as Kind, Ttl};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use crate::mark::{self, Mark};
use crate::view::Known;
use crate::wire;

const KINDS: [Kind; 3] = [Kind::A, Kind::Aaaa, Kind::Cname];

/// Types of others beside which a CNAME cannot stand. Where one has come meanwhile, the server would delete our
/// addresses, leave the CNAME out and answer NOERROR (BIND, Knot).
const BESIDE: [RecordType; 10] = [
    RecordType::TXT,
    RecordType::MX,
    RecordType::SRV,
    RecordType::NS,
    RecordType::CAA,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::PTR,
    RecordType::NAPTR,
    RecordType::TLSA,
];

/// What has to be written for one name.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) name: DnsName,
    /// Prerequisites: the name is as it was listed.
    pub(crate) guards: Vec<Record>,
    /// Deletions, then additions: the other way round BIND and Knot leave a name empty that turns from a CNAME into
    /// addresses.
    pub(crate) updates: Vec<Record>,
    /// Prerequisites that hold afterwards.
    pub(crate) proof: Vec<Record>,
    pub(crate) after: Known,
}

/// Why a change cannot become an edit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It was planned on something else than what is known.
    Stale,
    /// It can never be written.
    Impossible(String),
}

pub(crate) fn edit(
    zone: &DnsName,
    owner: &Label,
    change: &NameChange,
    before: &Known,
) -> Result<Edit, Unfit> {
    let name = &change.name;
    check(zone, change)?;
    if !is_as_planned(owner, change, before) {
        return Err(Unfit::Stale);
    }
    let after = after(owner, change, before);
    if after.sets.contains_key(&Kind::Cname) && after.sets.len() + after.others.len() > 1 {
        return Err(Unfit::Stale);
    }
    let place = Place::of(name).map_err(Unfit::Impossible)?;
    let becomes_alias = after.sets.contains_key(&Kind::Cname) && !before.sets.contains_key(&Kind::Cname);
    let mut guards = place.prerequisites(before)?;
    if becomes_alias {
        let absent = |kind: &RecordType| wire::without_data(&place.name, DNSClass::NONE, *kind);
        guards.extend(BESIDE.iter().map(absent));
    }
    let updates = place.updates(change, before, &after)?;
    let proof = place.prerequisites(&after)?;
    Ok(Edit { name: name.clone(), guards, updates, proof, after })
}

fn check(zone: &DnsName, change: &NameChange) -> Result<(), Unfit> {
    let name = &change.name;
    if !name.is_within(zone) {
        return Err(Unfit::Impossible(format!("{name} is not in the zone")));
    }
    let sets: Vec<&RecordData> =
        change.changes.iter().filter_map(Change::after).map(|(set, _)| &set.data).collect();
    let aliases = sets.iter().filter(|data| matches!(data, RecordData::Cname(_))).count();
    if aliases > 0 && name == zone {
        let why = "is the zone's own name, which cannot have a CNAME (RFC 1034 §3.6.2)";
        return Err(Unfit::Impossible(format!("{name} {why}")));
    }
    if aliases > 0 && sets.len() > 1 {
        let why = "would have a CNAME beside other records (RFC 1034 §3.6.2)";
        return Err(Unfit::Impossible(format!("{name} {why}")));
    }
    Ok(())
}

/// Whether what is known is what the plan saw.
fn is_as_planned(owner: &Label, change: &NameChange, known: &Known) -> bool {
    let there = known.observed(owner);
    change.changes.iter().all(|change| match change {
        Change::Update { before, .. } | Change::Delete { before, .. } => {
            before.claim.is_ours() && there.contains(before)
        }
        Change::Create { set, .. } => !known.sets.contains_key(&set.data.record_type()),
    })
}

fn after(owner: &Label, change: &NameChange, before: &Known) -> Known {
    let mut after = before.clone();
    let (our_marks, mut texts) = before.our_marks(owner);
    // What was deleted by hand has left its mark behind.
    texts.retain(|kind, _| before.sets.contains_key(kind));
    for change in &change.changes {
        match change.after() {
            Some((set, mark)) => put(&mut after, &mut texts, (set.ttl, &set.data), mark.as_str()),
            None => {
                after.sets.remove(&change.record_type());
                texts.remove(&change.record_type());
            }
        }
    }
    after.marks.retain(|mark| !our_marks.contains(mark));
    after.marks.extend(mark::write(&texts));
    after
}

fn put(known: &mut Known, texts: &mut BTreeMap<Kind, String>, (ttl, data): (Ttl, &RecordData), mark: &str) {
    known.sets.insert(data.record_type(), (ttl, data.clone()));
    texts.insert(data.record_type(), mark.to_owned());
}

/// The two names at which one name of ours is written.
struct Place {
    name: Name,
    marks: Name,
}

impl Place {
    fn of(name: &DnsName) -> Result<Self, String> {
        Ok(Self { name: wire::name(name)?, marks: wire::mark_name(name)? })
    }

    /// RFC 2136 §2.4.2 and §2.4.3: each set exists with these values, or does not exist.
    fn prerequisites(&self, known: &Known) -> Result<Vec<Record>, Unfit> {
        let mut records = Vec::new();
        for kind in KINDS {
            match known.sets.get(&kind) {
                Some((_, data)) => {
                    let data = wire::rdata(data).map_err(Unfit::Impossible)?;
                    let record = |data| wire::with_data(&self.name, DNSClass::IN, 0, data);
                    records.extend(data.into_iter().map(record));
                }
                None => {
                    records.push(wire::without_data(&self.name, DNSClass::NONE, wire::record_type(kind)));
                }
            }
        }
        if known.marks.is_empty() {
            records.push(wire::without_data(&self.marks, DNSClass::NONE, RecordType::TXT));
        }
        let mark = |mark: &Mark| wire::with_data(&self.marks, DNSClass::IN, 0, wire::mark_rdata(mark));
        records.extend(known.marks.iter().map(mark));
        Ok(records)
    }

    fn updates(&self, change: &NameChange, before: &Known, after: &Known) -> Result<Vec<Record>, Unfit> {
        let mut records = Vec::new();
        let changed: BTreeSet<Kind> = change.changes.iter().map(Change::record_type).collect();
        for kind in changed.iter().filter(|kind| before.sets.contains_key(*kind)) {
            records.push(wire::without_data(&self.name, DNSClass::ANY, wire::record_type(*kind)));
        }
        for mark in before.marks.difference(&after.marks) {
            records.push(wire::with_data(&self.marks, DNSClass::NONE, 0, wire::mark_rdata(mark)));
        }
        for (ttl, data) in changed.iter().filter_map(|kind| after.sets.get(kind)) {
            let data = wire::rdata(data).map_err(Unfit::Impossible)?;
            let record = |data| wire::with_data(&self.name, DNSClass::IN, ttl.seconds(), data);
            records.extend(data.into_iter().map(record));
        }
        for mark in after.marks.difference(&before.marks) {
            records.push(wire::with_data(&self.marks, DNSClass::IN, mark::TTL, wire::mark_rdata(mark)));
        }
        Ok(records)
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
