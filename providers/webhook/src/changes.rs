//! A change of one name as the protocol has it: endpoints before and after, the mark among them.

mod adjusted;

use fleetdns_core::ownership::txt::TooLong;
use fleetdns_core::{
    Change, DnsName, NameChange, ObservedSet, Owner, OwnershipRecord, RecordData, RecordType as Kind,
};

use crate::filter::Filter;
use crate::listing::{Known, Raw, View};
use crate::ownership::{self, ROOM, Sets, Stored, mark_name};
use crate::wire::{Changes, Endpoint};

/// TTL of marks. Nobody resolves them.
const MARK_TTL: i64 = 300;

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    OwnershipRecord,
    /// An ownership record of another program, at whatever name.
    Theirs,
    Set(Kind),
}

/// One endpoint: created, replaced or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) part: Part,
    pub(crate) old: Option<Endpoint>,
    pub(crate) new: Option<Endpoint>,
}

/// Everything that is to be written for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) name: DnsName,
    /// Never empty; the mark first where anything is created, last where all goes.
    pub(crate) ops: Vec<Op>,
    /// Evidence text afterwards; `None` where the mark goes or stays as it is.
    ownership: Option<String>,
    /// What the mark says afterwards.
    sets: Sets,
    /// Text of the mark before, when it was whole.
    old_text: Option<String>,
    /// Whether the webhook was asked what it would make of it.
    pub(crate) adjusted: bool,
}

/// Why a change cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The name is not as the plan saw it.
    Stale,
    /// It can never be written.
    Impossible(String),
}

fn impossible(problem: impl Into<String>) -> Unfit {
    Unfit::Impossible(problem.into())
}

/// Works out what to write, from what was listed a moment ago.
pub(crate) fn edit(
    (zone, filter): (&DnsName, &Filter),
    change: &NameChange,
    view: &View,
) -> Result<Edit, Unfit> {
    let name = &change.name;
    possible(zone, filter, change)?;
    let known = &view.at(name);
    let there = known.observed();
    let fresh = change.changes.iter().all(|one| match one.before() {
        Some(before) => one.is_allowed() && there.contains(before),
        None => known.raw(one.record_type()).is_none(),
    });
    if !fresh || clashes(change, known) {
        return Err(Unfit::Stale);
    }
    let sets = sets_after(change, known);
    let mut ops: Vec<Op> = change.changes.iter().filter_map(|one| op(name, one, known)).collect();
    ops.extend(theirs(change, view)?);
    let old_mark = known.kept.as_ref();
    if old_mark.is_some_and(|kept| !kept.record.owner.is_ours()) {
        let at = mark_name(name).map_err(Unfit::Impossible)?;
        return Err(impossible(format!(
            "somebody else has a record at {at}, where its ownership record belongs"
        )));
    }
    let ownership = ownership(change, known, &sets);
    let old_text = old_mark.and_then(|kept| kept.record.text.clone());
    let mut edit = Edit { name: name.clone(), ops: Vec::new(), ownership, sets, old_text, adjusted: false };
    match (&edit.ownership, old_mark) {
        (Some(_), kept) => {
            let new = edit.mark_endpoint(kept.map(|kept| &kept.raw))?;
            let old = kept.map(|kept| kept.raw.endpoint.clone());
            ops.insert(0, Op { part: Part::OwnershipRecord, old, new: Some(new) });
        }
        (None, Some(kept)) if edit.sets.is_empty() => {
            ops.push(Op { part: Part::OwnershipRecord, old: Some(kept.raw.endpoint.clone()), new: None });
        }
        (None, _) => {}
    }
    edit.ops = ops;
    Ok(edit)
}

fn possible(zone: &DnsName, filter: &Filter, change: &NameChange) -> Result<(), Unfit> {
    let name = &change.name;
    let cname =
        |one: &Change| matches!(one.after(), Some((set, _)) if matches!(set.data, RecordData::Cname(_)));
    if !name.is_within(zone) {
        return Err(impossible(format!("{name} does not lie in {zone}")));
    }
    if name == zone && change.changes.iter().any(cname) {
        return Err(impossible("a CNAME cannot stand at the zone's own name (RFC 1034 §3.6.2)"));
    }
    let at = mark_name(name).map_err(Unfit::Impossible)?;
    for one in [name, &at] {
        if !filter.serves(one) {
            let shown = filter.shown();
            return Err(impossible(format!("the domain filter of the webhook ({shown}) leaves {one} out")));
        }
    }
    Ok(())
}

/// Whether a CNAME would stand beside something else.
fn clashes(change: &NameChange, known: &Known) -> bool {
    let mut types: Vec<&str> = known.sets.keys().map(String::as_str).collect();
    for one in &change.changes {
        types.retain(|name| *name != one.record_type().as_str());
    }
    types.extend(
        change.changes.iter().filter(|one| one.after().is_some()).map(|one| one.record_type().as_str()),
    );
    types.contains(&"CNAME") && types.len() > 1
}

/// The ownership records of another program, which go.
fn theirs(change: &NameChange, view: &View) -> Result<Vec<Op>, Unfit> {
    let one = |(at, set): &(DnsName, ObservedSet)| {
        let known = view.at(at);
        let raw = known.sets.get("TXT").filter(|_| known.observed().contains(set)).ok_or(Unfit::Stale)?;
        Ok(Op { part: Part::Theirs, old: Some(raw.endpoint.clone()), new: None })
    };
    change.changes.iter().flat_map(Change::theirs).map(one).collect()
}

fn op(name: &DnsName, change: &Change, known: &Known) -> Option<Op> {
    let kind = change.record_type();
    if matches!(change, Change::Adopt { .. } | Change::Release { .. }) {
        return None; // The mark alone changes.
    }
    if let (Some(before), Some((set, _))) = (change.before(), change.after())
        && before.ours() == Some(&set.data)
        && before.ttl == set.ttl
    {
        return None; // The mark alone changes.
    }
    let old = change.before().and(known.raw(kind)).map(|raw| raw.endpoint.clone());
    let new = change.after().map(|(set, _)| Endpoint {
        // An update keeps what is not ours to change.
        dns_name: old.as_ref().map_or_else(|| name.to_string(), |old| old.dns_name.clone()),
        targets: set.data.values(),
        record_type: kind.as_str().to_owned(),
        record_ttl: set.ttl.seconds().into(),
        labels: old.as_ref().map(|old| old.labels.clone()).unwrap_or_default(),
        ..Endpoint::default()
    });
    Some(Op { part: Part::Set(kind), old, new })
}

/// What the mark has to say of the sets that are ours afterwards.
fn sets_after(change: &NameChange, known: &Known) -> Sets {
    let old = known.kept.as_ref().map(|kept| &kept.record);
    let ours = known.observed().into_iter().filter_map(|set| Some((set.ours()?.record_type(), set.ttl)));
    let mut sets: Sets = ours
        .filter_map(|(kind, ttl)| {
            let raw = known.raw(kind)?;
            let listed = raw.endpoint.record_ttl;
            let properties = ownership::fingerprint(&raw.endpoint.provider_specific);
            let stored = old.and_then(|record| ownership::stored(record, kind));
            Some((kind, stored.unwrap_or(Stored { desired: ttl.seconds().into(), listed, properties })))
        })
        .collect();
    for one in &change.changes {
        match one.after() {
            None | Some((_, None)) => {
                sets.remove(&one.record_type());
            }
            Some((set, Some(_))) => {
                let desired = i64::from(set.ttl.seconds());
                let kept = one
                    .before()
                    .is_some_and(|before| before.ttl == set.ttl && before.ours() == Some(&set.data));
                if !kept {
                    sets.insert(set.data.record_type(), Stored { desired, listed: desired, properties: 0 });
                }
            }
        }
    }
    sets
}

fn ownership(change: &NameChange, known: &Known, sets: &Sets) -> Option<String> {
    let written = change.changes.iter().rev().find_map(|one| one.after()?.1).map(OwnershipRecord::to_string);
    let old = known.kept.as_ref().map(|kept| &kept.record);
    match (written, old.map(|record| &record.owner)) {
        (Some(text), _) => Some(text),
        (None, Some(Owner::Ours(Some(mark)))) if !sets.is_empty() => Some(mark.as_str().to_owned()),
        // It goes, or it cannot be read and nothing is known that could take its place.
        _ => None,
    }
}

impl Edit {
    fn mark_endpoint(&self, old: Option<&Raw>) -> Result<Endpoint, Unfit> {
        let at = mark_name(&self.name).map_err(Unfit::Impossible)?;
        let old = old.map(|raw| &raw.endpoint);
        Ok(Endpoint {
            dns_name: old.map_or_else(|| at.to_string(), |old| old.dns_name.clone()),
            targets: self.mark_targets()?,
            record_type: "TXT".to_owned(),
            record_ttl: MARK_TTL,
            labels: old.map(|old| old.labels.clone()).unwrap_or_default(),
            ..Endpoint::default()
        })
    }

    fn mark_targets(&self) -> Result<Vec<String>, Unfit> {
        let ownership = self.ownership.as_deref().unwrap_or_default();
        ownership::write(ownership, &self.sets).map_err(|TooLong(characters)| {
            impossible(format!(
                "its ownership text for {} has {characters} characters, {} can be kept; fewer clusters or shorter \
                 load balancer names are needed",
                self.name,
                ROOM.longest()
            ))
        })
    }
}

/// By which an answer belongs to an override.
pub(crate) fn key(endpoint: &Endpoint) -> (String, String) {
    (endpoint.dns_name.trim_end_matches('.').to_lowercase(), endpoint.record_type.to_uppercase())
}

/// The operations of many edits as one call. Marks come before what they speak for, and go after it: what is done of a
/// call that fails half-way is never a record that nobody owns.
pub(crate) fn changes<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Changes {
    let mut changes = Changes::default();
    for op in ops {
        match (op.old.clone(), op.new.clone()) {
            (None, Some(new)) => changes.create.push(new),
            (Some(old), Some(new)) => {
                changes.update_old.push(old);
                changes.update_new.push(new);
            }
            (Some(old), None) => changes.delete.push(old),
            (None, None) => {}
        }
    }
    changes
}

#[cfg(test)]
#[path = "changes_props.rs"]
mod props;
