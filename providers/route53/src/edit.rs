//! A change of one name as Route 53 takes it: exact old sets are deleted, new ones created, the mark among them.

use std::sync::Arc;

use fleetdns_core::{
    Change, Claim, Content, DnsName, Evidence, NameChange, ObservedSet, RecordData, RecordType,
};

use crate::mark::{self, LONGEST, TooLong, Types};
use crate::names::mark_name;
use crate::view::{Mark, Raw, View, version};

/// TTL of marks. Nobody resolves them.
const MARK_TTL: u32 = 300;
/// Most `ResourceRecord` elements of one batch.
pub(crate) const ELEMENTS: usize = 1000;
/// Most characters of values of one batch.
pub(crate) const CHARACTERS: usize = 32_000;

/// One change of one record set in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    /// Deletes it, or creates it.
    pub(crate) delete: bool,
    pub(crate) name: DnsName,
    /// `None` for the TXT set of a mark.
    pub(crate) record_type: Option<RecordType>,
    pub(crate) raw: Raw,
}

/// What deltas take of the limits of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) elements: usize,
    pub(crate) characters: usize,
}

impl Size {
    pub(crate) fn of(deltas: &[Delta]) -> Self {
        let values = || deltas.iter().flat_map(|delta| &delta.raw.values);
        Self { elements: values().count(), characters: values().map(|value| value.chars().count()).sum() }
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self { elements: self.elements + other.elements, characters: self.characters + other.characters }
    }

    pub(crate) const fn fits(self) -> bool {
        self.elements <= ELEMENTS && self.characters <= CHARACTERS
    }
}

/// All changes of one name, with its mark: never torn apart, unless it is too large for one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: DnsName,
    /// One, or several to be sent one after the other. Never empty.
    pub(crate) steps: Vec<Vec<Delta>>,
    /// What stands at the name afterwards.
    pub(crate) after: Vec<ObservedSet>,
    /// The mark afterwards.
    pub(crate) mark: Option<Mark>,
}

/// Why a change cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The zone is known to be other than the plan saw it.
    Stale,
    /// Route 53 cannot hold it.
    Impossible(String),
}

/// Works out what to send for a change, from what is known of the zone.
pub(crate) fn edit(zone: &DnsName, view: &View, change: &NameChange) -> Result<Group, Unfit> {
    let name = &change.name;
    possible(zone, change)?;
    let there = view.observed.at(name);
    for one in &change.changes {
        let fresh = match one.before() {
            Some(before) => before.claim.is_ours() && there.contains(before),
            None => !there.iter().any(|set| set.type_name() == one.record_type().as_str()),
        };
        if !fresh {
            return Err(Unfit::Stale);
        }
    }
    let old_mark = view.marks.get(name);
    let new_mark = new_mark(name, there, change, old_mark)?;
    let mut deletes = Vec::new();
    let mut creates = Vec::new();
    for one in &change.changes {
        add(name, one, &mut deletes, &mut creates);
    }
    let marks = mark_deltas(name, old_mark, new_mark.as_ref())?;
    let after = after(there, change, new_mark.as_ref());
    let steps = steps(deletes, creates, marks)?;
    Ok(Group { name: name.clone(), steps, after, mark: new_mark })
}

fn possible(zone: &DnsName, change: &NameChange) -> Result<(), Unfit> {
    let cname =
        |one: &Change| matches!(one.after(), Some((set, _)) if matches!(set.data, RecordData::Cname(_)));
    if !change.name.is_within(zone) {
        return Err(Unfit::Impossible(format!("it does not lie in {zone}")));
    }
    if change.name == *zone && change.changes.iter().any(cname) {
        return Err(Unfit::Impossible("a CNAME cannot stand at the zone's apex".to_owned()));
    }
    Ok(())
}

fn add(name: &DnsName, change: &Change, deletes: &mut Vec<Delta>, creates: &mut Vec<Delta>) {
    let delta =
        |delete, raw| Delta { delete, name: name.clone(), record_type: Some(change.record_type()), raw };
    if let (Some(before), Some((set, _))) = (change.before(), change.after())
        && before.ours() == Some(&set.data)
        && before.ttl == set.ttl
    {
        return; // The mark alone changes.
    }
    deletes.extend(change.before().map(|before| delta(true, Raw::of(before))));
    creates.extend(change.after().map(|(set, _)| delta(false, Raw::new(set.ttl, &set.data))));
}

/// Types of ours that are at the name afterwards.
fn types_after(there: &[ObservedSet], change: &NameChange) -> Types {
    let mut types: Types = there.iter().filter_map(|set| set.ours().map(RecordData::record_type)).collect();
    for one in &change.changes {
        if one.after().is_none() {
            types.remove(&one.record_type());
        }
    }
    types.extend(change.changes.iter().filter_map(|one| Some(one.after()?.0.data.record_type())));
    types
}

fn new_mark(
    name: &DnsName,
    there: &[ObservedSet],
    change: &NameChange,
    old: Option<&Mark>,
) -> Result<Option<Mark>, Unfit> {
    let types = types_after(there, change);
    if types.is_empty() {
        return Ok(None);
    }
    let written: Option<Arc<Evidence>> =
        change.changes.iter().rev().find_map(|one| one.after()).map(|(_, evidence)| Arc::clone(evidence));
    let evidence = match (written, old.map(|mark| &mark.claim)) {
        (Some(evidence), _) => (*evidence).clone(),
        (None, Some(Claim::Ours(Some(evidence)))) => evidence.clone(),
        // It cannot be read, and nothing is known that could take its place: it stays, and speaks for types that are gone.
        (None, _) => return Ok(old.cloned()),
    };
    let values = mark::write(&evidence.to_string(), &types).map_err(|TooLong(characters)| {
        Unfit::Impossible(format!(
            "its ownership text for {name} has {characters} characters, {LONGEST} can be kept; fewer clusters or \
             shorter load balancer names are needed"
        ))
    })?;
    let mut values = values;
    values.sort_unstable();
    let raw = Some(Raw { ttl: MARK_TTL, values });
    Ok(Some(Mark { raw, claim: Claim::Ours(Some(evidence)), types }))
}

fn mark_deltas(name: &DnsName, old: Option<&Mark>, new: Option<&Mark>) -> Result<Vec<Delta>, Unfit> {
    let mark = mark_name(name)
        .map_err(|error| Unfit::Impossible(format!("there is no room for its ownership mark: {error}")))?;
    let taken = || {
        Unfit::Impossible(format!("somebody else has a record at {mark}, where its ownership mark belongs"))
    };
    let delta = |delete, raw| Delta { delete, name: mark.clone(), record_type: None, raw };
    let old = match old {
        Some(Mark { raw: Some(raw), claim: Claim::Ours(_), .. }) => Some(raw),
        Some(_) => return Err(taken()),
        None => None,
    };
    let new = new.and_then(|mark| mark.raw.as_ref());
    // A mark whose values stay is left alone, whatever its TTL.
    if old.map(|raw| &raw.values) == new.map(|raw| &raw.values) {
        return Ok(Vec::new());
    }
    let delete = old.map(|raw| delta(true, raw.clone()));
    Ok(delete.into_iter().chain(new.map(|raw| delta(false, raw.clone()))).collect())
}

/// One step, or type by type: the mark first, so that it speaks for what is about to come, or last where types go.
fn steps(deletes: Vec<Delta>, creates: Vec<Delta>, marks: Vec<Delta>) -> Result<Vec<Vec<Delta>>, Unfit> {
    let (old_mark, new_mark): (Vec<Delta>, Vec<Delta>) = marks.into_iter().partition(|delta| delta.delete);
    let whole: Vec<Delta> = [deletes.clone(), old_mark.clone(), creates.clone(), new_mark.clone()]
        .into_iter()
        .flatten()
        .collect();
    if Size::of(&whole).fits() {
        return Ok(vec![whole]);
    }
    let mark: Vec<Delta> = old_mark.into_iter().chain(new_mark).collect();
    let swaps_cname = |delta: &Delta| delta.record_type == Some(RecordType::Cname);
    let goes = |old: &Delta| creates.iter().all(|new| new.record_type != old.record_type);
    let mark_last = deletes.iter().any(goes);
    let mut steps = Vec::new();
    if deletes.iter().chain(&creates).any(swaps_cname) {
        steps.push(deletes.into_iter().chain(creates).collect());
    } else {
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let of_type = |delta: &&Delta| delta.record_type == Some(record_type);
            steps.push(deletes.iter().chain(&creates).filter(of_type).cloned().collect());
        }
    }
    steps.insert(if mark_last { steps.len() } else { 0 }, mark);
    steps.retain(|step| !step.is_empty());
    match steps.iter().map(|step| Size::of(step)).find(|size| !size.fits()) {
        Some(size) => Err(Unfit::Impossible(format!(
            "its change has {} values of {} characters, Route 53 takes {ELEMENTS} of {CHARACTERS} at once",
            size.elements, size.characters
        ))),
        None => Ok(steps),
    }
}

fn after(there: &[ObservedSet], change: &NameChange, mark: Option<&Mark>) -> Vec<ObservedSet> {
    let touched = |set: &ObservedSet| change.changes.iter().any(|one| one.before() == Some(set));
    let mut after: Vec<ObservedSet> = there.iter().filter(|set| !touched(set)).cloned().collect();
    for (set, _) in change.changes.iter().filter_map(|one| one.after()) {
        // A set of which the mark alone changes keeps the spelling of its values.
        let kept = there.iter().find(|old| old.ours() == Some(&set.data) && old.ttl == set.ttl);
        let version =
            kept.map_or_else(|| version(&Raw::new(set.ttl, &set.data).values), |old| old.version.clone());
        let content = Content::Known(set.data.clone());
        after.push(ObservedSet { ttl: set.ttl, content, claim: Claim::Foreign, version });
    }
    for set in &mut after {
        let record_type = set.content.record_type();
        set.claim = match mark {
            Some(mark) if record_type.is_some_and(|one| mark.types.contains(&one)) => mark.claim.clone(),
            _ => Claim::Foreign,
        };
    }
    after
}
