//! A change of one name as the parts of update messages.

use std::collections::BTreeSet;

use fleetdns_core::ownership::txt::TooLong;
use fleetdns_core::{Change, DnsName, Label, NameChange, RecordData, RecordType as Kind};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use crate::ownership::{self, ROOM, Txt};
use crate::view::{Known, TXT};
use crate::wire;

pub(crate) const KINDS: [Kind; 3] = [Kind::A, Kind::Aaaa, Kind::Cname];

/// Types of others beside which a CNAME cannot stand. Where one has come meanwhile, the server would delete our
/// addresses, leave the CNAME out and answer NOERROR (BIND, Knot). Of a type that is not among them the same is found
/// out afterwards.
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
    /// Deletions that have to come with the others where a CNAME takes the place of addresses in a signed zone: Knot
    /// takes the signatures of what is deleted for something that stands there, and leaves the CNAME out.
    pub(crate) signatures: Vec<Record>,
    /// Prerequisites that hold afterwards.
    pub(crate) proof: Vec<Record>,
    /// What is missing when the server took the deletions and left the additions out.
    pub(crate) rest: Option<Rest>,
    pub(crate) after: Known,
}

/// The second half of a change whose first half was carried out.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    /// Prerequisites: no set of ours is left at the name, the marks are as they are to be.
    pub(crate) guards: Vec<Record>,
    /// Additions at the name.
    pub(crate) updates: Vec<Record>,
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
    (before, elsewhere): (&Known, &dyn Fn(&DnsName) -> Known),
) -> Result<Edit, Unfit> {
    let name = &change.name;
    check(zone, change)?;
    if !is_as_planned(owner, change, before) {
        return Err(Unfit::Stale);
    }
    let place = Place::of(name).map_err(Unfit::Impossible)?;
    let mut after = after(owner, change, before, &place)?;
    let theirs = theirs(owner, change, elsewhere)?;
    if change.changes.iter().flat_map(Change::theirs).any(|(at, _)| at == name) {
        after.texts.clear();
        after.others.remove(TXT);
    }
    if after.sets.contains_key(&Kind::Cname) && after.sets.len() + after.others.len() > 1 {
        return Err(Unfit::Stale);
    }
    let becomes_alias = after.sets.contains_key(&Kind::Cname) && !before.sets.contains_key(&Kind::Cname);
    let mut guards = place.prerequisites(before)?;
    if becomes_alias {
        guards.extend(place.nothing_beside());
    }
    guards.extend(theirs.guards);
    let stays = |one: &&Change| !matches!(one, Change::Adopt { .. } | Change::Release { .. });
    let changed: BTreeSet<Kind> = change.changes.iter().filter(stays).map(Change::record_type).collect();
    let deletions = place.deletions(&changed, before, &after);
    let additions = place.additions(&changed, &after)?;
    let signatures = if becomes_alias && !deletions.is_empty() { place.signatures() } else { Vec::new() };
    let rest = match deletions.is_empty() || additions.is_empty() {
        true => None,
        false => Some(place.rest(additions.clone(), &after)?),
    };
    let (old_marks, new_marks) = place.marks(before, &after);
    let updates = [deletions, old_marks, additions, new_marks, theirs.updates].concat();
    let mut proof = place.prerequisites(&after)?;
    proof.extend(theirs.proof);
    Ok(Edit { name: name.clone(), guards, updates, signatures, proof, rest, after })
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
        Change::Create { set, .. } => !known.sets.contains_key(&set.data.record_type()),
        _ => change.is_allowed() && change.before().is_some_and(|before| there.contains(before)),
    })
}

/// The ownership records of another program, which go.
#[derive(Default)]
struct Theirs {
    guards: Vec<Record>,
    updates: Vec<Record>,
    proof: Vec<Record>,
}

fn theirs(
    owner: &Label,
    change: &NameChange,
    elsewhere: &dyn Fn(&DnsName) -> Known,
) -> Result<Theirs, Unfit> {
    let mut theirs = Theirs::default();
    for (at, set) in change.changes.iter().flat_map(Change::theirs) {
        let known = elsewhere(at);
        if !known.observed(owner).contains(set) {
            return Err(Unfit::Stale);
        }
        let at = wire::name(at).map_err(Unfit::Impossible)?;
        let text = |text: &Txt| wire::with_data(&at, DNSClass::IN, 0, wire::txt(text));
        theirs.guards.extend(known.texts.iter().map(text));
        theirs.updates.push(wire::without_data(&at, DNSClass::ANY, RecordType::TXT));
        theirs.proof.push(wire::without_data(&at, DNSClass::NONE, RecordType::TXT));
    }
    Ok(theirs)
}

fn after(owner: &Label, change: &NameChange, before: &Known, place: &Place) -> Result<Known, Unfit> {
    let old = before.ownership(owner);
    if !before.marks.is_empty() && !old.owner.is_ours() {
        let at = wire::text(&place.marks);
        let why = format!("somebody else has a TXT record at {at}, where its ownership record belongs");
        return Err(Unfit::Impossible(why));
    }
    let mut after = before.clone();
    let is_ours = |kind: &Kind| old.owner.is_ours() && old.covers(*kind);
    let mut types: BTreeSet<Kind> = before.sets.keys().copied().filter(is_ours).collect();
    let mut written = None;
    for change in &change.changes {
        let kind = change.record_type();
        match change.after() {
            _ if matches!(change, Change::Adopt { .. } | Change::Release { .. }) => {}
            Some((set, _)) => {
                after.mixed.remove(&kind);
                after.sets.insert(kind, (set.ttl, set.data.clone()));
            }
            None => {
                after.mixed.remove(&kind);
                after.sets.remove(&kind);
            }
        }
        match change.after().and_then(|(_, mark)| mark) {
            Some(mark) => {
                types.insert(kind);
                written = Some(mark);
            }
            None => {
                types.remove(&kind);
            }
        }
    }
    if types.is_empty() {
        after.marks.clear();
    } else if let Some(mark) = written.or(old.owner.mark()) {
        after.marks = ownership::write(mark.as_str(), types).map_err(too_long)?;
    }
    // Otherwise it cannot be read, and nothing is known that could take its place: it stays.
    Ok(after)
}

fn too_long(TooLong(characters): TooLong) -> Unfit {
    Unfit::Impossible(format!(
        "its ownership text has {characters} characters, {} can be kept; fewer clusters or shorter load balancer names \
         are needed",
        ROOM.longest()
    ))
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
        let mark = |mark: &Txt| wire::with_data(&self.marks, DNSClass::IN, 0, wire::txt(mark));
        records.extend(known.marks.iter().map(mark));
        Ok(records)
    }

    /// That no type stands there beside which a CNAME cannot.
    fn nothing_beside(&self) -> impl Iterator<Item = Record> {
        BESIDE.iter().map(|kind| wire::without_data(&self.name, DNSClass::NONE, *kind))
    }

    /// A CNAME takes the place of another one by being added (RFC 2136 §3.4.2.2).
    fn deletions(&self, changed: &BTreeSet<Kind>, before: &Known, after: &Known) -> Vec<Record> {
        let replaced = |kind: &Kind| *kind == Kind::Cname && after.sets.contains_key(kind);
        let deleted = changed.iter().filter(|kind| before.sets.contains_key(*kind) && !replaced(kind));
        deleted.map(|kind| wire::without_data(&self.name, DNSClass::ANY, wire::record_type(*kind))).collect()
    }

    fn signatures(&self) -> Vec<Record> {
        let delete = |kind| wire::without_data(&self.name, DNSClass::ANY, kind);
        [RecordType::RRSIG, RecordType::NSEC].map(delete).into()
    }

    fn additions(&self, changed: &BTreeSet<Kind>, after: &Known) -> Result<Vec<Record>, Unfit> {
        let mut records = Vec::new();
        for (ttl, data) in changed.iter().filter_map(|kind| after.sets.get(kind)) {
            let data = wire::rdata(data).map_err(Unfit::Impossible)?;
            let record = |data| wire::with_data(&self.name, DNSClass::IN, ttl.seconds(), data);
            records.extend(data.into_iter().map(record));
        }
        Ok(records)
    }

    /// Deletes the ownership record, and adds the new one.
    fn marks(&self, before: &Known, after: &Known) -> (Vec<Record>, Vec<Record>) {
        if before.marks == after.marks {
            return (Vec::new(), Vec::new());
        }
        let old = wire::without_data(&self.marks, DNSClass::ANY, RecordType::TXT);
        let old = if before.marks.is_empty() { Vec::new() } else { vec![old] };
        let new = |mark| wire::with_data(&self.marks, DNSClass::IN, ownership::TTL, wire::txt(mark));
        (old, after.marks.iter().map(new).collect())
    }

    fn rest(&self, additions: Vec<Record>, after: &Known) -> Result<Rest, Unfit> {
        let emptied = Known { marks: after.marks.clone(), ..Known::default() };
        let mut guards = self.prerequisites(&emptied)?;
        if after.sets.contains_key(&Kind::Cname) {
            guards.extend(self.nothing_beside());
        }
        Ok(Rest { guards, updates: additions })
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "changes_props.rs"]
mod props;
