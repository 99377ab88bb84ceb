//! A change of one name as Route 53 takes it: exact old sets are deleted, new ones created, the mark among them.

use fleetdns_core::ownership::txt::{Sets, TooLong, TxtRecord};
use fleetdns_core::{Change, Content, DnsName, NameChange, ObservedSet, Owner, RecordData, RecordType, Ttl};

use crate::listing::{Kept, View};
use crate::names::mark_name;
use crate::ownership::{self, ROOM};
use crate::shape::{Body, Raw, Shapes, standing, version};

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
    pub(crate) body: Body,
}

/// What deltas take of the limits of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) elements: usize,
    pub(crate) characters: usize,
}

impl Size {
    pub(crate) fn of(deltas: &[Delta]) -> Self {
        let size = |delta: &Delta| match &delta.body {
            Body::Values(raw) => Self {
                elements: raw.values.len(),
                characters: raw.values.iter().map(|value| value.chars().count()).sum(),
            },
            Body::Alias(alias) => Self { elements: 1, characters: alias.characters() },
        };
        deltas.iter().map(size).fold(Self::default(), Self::and)
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
    pub(crate) mark: Option<Kept>,
}

impl Group {
    /// Whether the plan has it, and not we ourselves.
    pub(crate) fn is_asked_for(&self) -> bool {
        !(self.after.is_empty() && self.steps.iter().flatten().all(|delta| delta.record_type.is_none()))
    }
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
pub(crate) fn edit(zone: &DnsName, view: &View, change: &NameChange, shapes: Shapes) -> Result<Group, Unfit> {
    let name = &change.name;
    possible(zone, change, shapes)?;
    let there = view.observed.at(name);
    for one in &change.changes {
        let fresh = match one.before() {
            Some(before) => one.is_allowed() && there.contains(before),
            None => !there.iter().any(|set| set.type_name() == one.record_type().as_str()),
        };
        if !fresh {
            return Err(Unfit::Stale);
        }
    }
    let mut after = after(there, change, shapes);
    let old_mark = view.marks.get(name);
    let new_mark = new_mark(name, &after, change, old_mark, shapes)?;
    speak_for(&mut after, new_mark.as_ref());
    let mut deletes = Vec::new();
    let mut creates = Vec::new();
    for one in &change.changes {
        add(name, one, shapes, &mut deletes, &mut creates);
    }
    let keeps_ttl = alias_ttl(&after, shapes).is_some();
    let mut marks = mark_deltas(name, old_mark, new_mark.as_ref(), keeps_ttl)?;
    marks.extend(theirs(view, change)?);
    let steps = steps(deletes, creates, marks)?;
    Ok(Group { name: name.clone(), steps, after, mark: new_mark })
}

fn possible(zone: &DnsName, change: &NameChange, shapes: Shapes) -> Result<(), Unfit> {
    let cname = |one: &Change| {
        let data = one.after().map(|(set, _)| &set.data);
        data.is_some_and(|data| matches!(data, RecordData::Cname(_)) && shapes.aliases(data).is_none())
    };
    if !change.name.is_within(zone) {
        return Err(Unfit::Impossible(format!("it does not lie in {zone}")));
    }
    if change.name == *zone && change.changes.iter().any(cname) {
        return Err(Unfit::Impossible("a CNAME cannot stand at the zone's apex".to_owned()));
    }
    Ok(())
}

/// Whether the set stays as it is.
const fn is_mark_alone(change: &Change) -> bool {
    matches!(change, Change::Adopt { .. } | Change::Release { .. })
}

/// The ownership records of another program, which go.
fn theirs(view: &View, change: &NameChange) -> Result<Vec<Delta>, Unfit> {
    let one = |(at, set): &(DnsName, ObservedSet)| {
        let values = set.version.0.split('\n').map(str::to_owned).collect();
        let body = Body::Values(Raw { ttl: set.ttl.seconds(), values });
        let there = view.observed.at(at).contains(set);
        let delta = Delta { delete: true, name: at.clone(), record_type: None, body };
        there.then_some(delta).ok_or(Unfit::Stale)
    };
    change.changes.iter().flat_map(Change::theirs).map(one).collect()
}

fn add(name: &DnsName, change: &Change, shapes: Shapes, deletes: &mut Vec<Delta>, creates: &mut Vec<Delta>) {
    let delta = |delete| {
        move |(record_type, body)| Delta { delete, name: name.clone(), record_type: Some(record_type), body }
    };
    if let Change::Adopt { before, .. } = change {
        // Written again as it stands: there is no other condition on it.
        deletes.extend(standing(before).into_iter().map(delta(true)));
        creates.extend(standing(before).into_iter().map(delta(false)));
        return;
    }
    if is_mark_alone(change) {
        return;
    }
    if let (Some(before), Some((set, _))) = (change.before(), change.after())
        && shapes.stands(before, set)
    {
        return; // The mark alone changes.
    }
    deletes.extend(change.before().into_iter().flat_map(standing).map(delta(true)));
    creates.extend(change.after().into_iter().flat_map(|(set, _)| shapes.bodies(set)).map(delta(false)));
}

/// The TTL that was set for an alias at the name, which only the mark can keep.
fn alias_ttl(after: &[ObservedSet], shapes: Shapes) -> Option<Ttl> {
    let is_alias = |set: &&ObservedSet| set.ours().is_some_and(|data| shapes.aliases(data).is_some());
    after.iter().find(is_alias).map(|set| set.ttl)
}

fn new_mark(
    name: &DnsName,
    after: &[ObservedSet],
    change: &NameChange,
    old: Option<&Kept>,
    shapes: Shapes,
) -> Result<Option<Kept>, Unfit> {
    let types = after.iter().filter_map(|set| set.ours().map(RecordData::record_type));
    let sets: Sets = types.map(|record_type| (record_type, String::new())).collect();
    if sets.is_empty() {
        return Ok(None);
    }
    let written = change.changes.iter().rev().find_map(|one| one.after()?.1);
    let kept = match (written, old.map(|mark| &mark.record.owner)) {
        (Some(mark), _) => mark.clone(),
        (None, Some(Owner::Ours(Some(kept)))) => kept.clone(),
        // It cannot be read, and nothing is known that could take its place: it stays, and speaks for types that are gone.
        (None, _) => return Ok(old.cloned()),
    };
    let values = ownership::write(kept.as_str(), &sets).map_err(|TooLong(characters)| {
        Unfit::Impossible(format!(
            "its ownership text for {name} has {characters} characters, {} can be kept; fewer clusters or \
             shorter load balancer names are needed",
            ROOM.longest()
        ))
    })?;
    let mut values = values;
    values.sort_unstable();
    let ttl = alias_ttl(after, shapes).map_or(MARK_TTL, Ttl::seconds);
    let raw = Some(Raw { ttl, values });
    Ok(Some(Kept { raw, record: TxtRecord::ours(&kept, sets) }))
}

fn mark_deltas(
    name: &DnsName,
    old: Option<&Kept>,
    new: Option<&Kept>,
    keeps_ttl: bool,
) -> Result<Vec<Delta>, Unfit> {
    let mark = mark_name(name)
        .map_err(|error| Unfit::Impossible(format!("there is no room for its ownership record: {error}")))?;
    let taken = || {
        Unfit::Impossible(format!("somebody else has a record at {mark}, where its ownership record belongs"))
    };
    let delta =
        |delete, raw| Delta { delete, name: mark.clone(), record_type: None, body: Body::Values(raw) };
    let old = match old {
        Some(Kept { raw: Some(raw), record: TxtRecord { owner: Owner::Ours(_), .. } }) => Some(raw),
        Some(_) => return Err(taken()),
        None => None,
    };
    let new = new.and_then(|mark| mark.raw.as_ref());
    // A mark whose values stay is left alone, whatever its TTL, unless that says the TTL of an alias.
    let same_values = old.map(|raw| &raw.values) == new.map(|raw| &raw.values);
    if same_values && (old == new || !keeps_ttl) {
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
    let swaps_cname =
        |delta: &Delta| delta.record_type == Some(RecordType::Cname) || matches!(delta.body, Body::Alias(_));
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

/// What stands at the name afterwards, before its mark has spoken.
fn after(there: &[ObservedSet], change: &NameChange, shapes: Shapes) -> Vec<ObservedSet> {
    let goes = |one: &Change, set: &ObservedSet| {
        let is_theirs = |(at, text): &(DnsName, ObservedSet)| *at == change.name && text == set;
        one.before() == Some(set) || one.theirs().iter().any(is_theirs)
    };
    let touched = |set: &ObservedSet| change.changes.iter().any(|one| goes(one, set));
    let mut after: Vec<ObservedSet> = there.iter().filter(|set| !touched(set)).cloned().collect();
    for one in &change.changes {
        let Some((set, mark)) = one.after() else { continue };
        let claim = mark.map_or(Owner::Foreign, Owner::of);
        if let Some(before) = one.before().filter(|_| is_mark_alone(one)) {
            after.push(ObservedSet { claim, ..before.clone() });
            continue;
        }
        // A set of which the mark alone changes keeps the spelling of its values.
        let kept = there.iter().find(|old| shapes.stands(old, set));
        let written = || version(shapes.bodies(set).iter().map(|(_, body)| body));
        after.push(ObservedSet {
            ttl: set.ttl,
            content: Content::Known(set.data.clone()),
            claim,
            version: kept.map_or_else(written, |old| old.version.clone()),
        });
    }
    after
}

/// What the mark says of the sets at its name.
fn speak_for(after: &mut [ObservedSet], mark: Option<&Kept>) {
    for set in after {
        let owner = mark.zip(set.content.record_type()).map(|(mark, record_type)| mark.owner(record_type));
        set.claim = owner.unwrap_or(Owner::Foreign);
    }
}
