//! The changes of one name become keys to write and guards that have to hold.

use std::collections::BTreeMap;
use std::net::IpAddr;

use etcd_client::{Compare, CompareOp, GetOptions, TxnOp};
use fleetdns_core::{Change, DnsName, Label, NameChange, ObservedSet, OwnershipRecord, RecordData, Ttl};

use super::layout::Layout;
use super::listing;
use super::value;

/// What has to be true of etcd for an edit to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The key was last written by this revision; 0 when there is no such key.
    Is(String, i64),
    /// The key was not written since this revision.
    QuietKey(String, i64),
    /// Nothing with this prefix (which ends with a slash) was written since this revision.
    QuietBelow(String, i64),
}

/// One name's change as keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) name: DnsName,
    pub(crate) guards: Vec<Guard>,
    /// Value by key; `None` deletes. So no key is there twice.
    pub(crate) writes: BTreeMap<String, Option<Vec<u8>>>,
    /// What the name is read from after the edit.
    pub(crate) reads: Reads,
    /// Values that have to stand afterwards.
    pub(crate) desired: Vec<RecordData>,
    /// Whether its deletions may be done without its other writes: all that it deletes is ours, and a value of ours that
    /// was there is still there afterwards.
    pub(crate) separable: bool,
}

/// The two reads that give everything at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) key: String,
    pub(crate) below: String,
}

/// Why a change cannot become an edit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It was planned on something that did not come from here: list again.
    Stale,
    /// It can never be written.
    Impossible(String),
}

/// Up to which revision a name is known; `None` when it was never read.
pub(crate) type Known = Option<i64>;

/// # Errors
/// When the name or the plan does not fit this zone.
pub(crate) fn edit(layout: &Layout, owner: &Label, change: &NameChange, known: Known) -> Result<Edit, Unfit> {
    let name = &change.name;
    check_name(layout, name, change)?;
    let Before { mut guarded, unchanged } = before(layout, change)?;
    let mut edit = Edit {
        name: name.clone(),
        guards: Vec::new(),
        writes: guarded.keys().map(|key| (key.clone(), None)).collect(),
        reads: reads(layout, name),
        desired: Vec::new(),
        separable: false,
    };
    for (set, mark) in change.changes.iter().filter_map(Change::after) {
        let is_ours = mark.is_some_and(|mark| mark.owner().as_ref() == Some(owner));
        edit.desired.extend(is_ours.then(|| set.data.clone()));
        for (key, value) in values(layout, name, &set.data, set.ttl, mark) {
            guarded.entry(key.clone()).or_insert(0);
            if unchanged.get(&key) == Some(&value) {
                edit.writes.remove(&key);
            } else {
                edit.writes.insert(key, Some(value));
            }
        }
    }
    let ours_alone = |one: &Change| matches!(one, Change::Update { .. } | Change::Delete { .. });
    let stays = |(key, revision): (&String, &i64)| *revision != 0 && edit.writes.get(key) != Some(&None);
    edit.separable = change.changes.iter().all(ours_alone) && guarded.iter().any(stays);
    edit.guards = guards(&edit.reads, guarded, change, known);
    if let Some(since) = known {
        let places = change.changes.iter().flat_map(Change::theirs);
        edit.guards.extend(places.map(|(at, _)| Guard::QuietBelow(reads(layout, at).below, since)));
    }
    Ok(edit)
}

/// What a change takes the place of.
#[derive(Default)]
struct Before {
    /// Its keys, each with the revision that wrote it last.
    guarded: BTreeMap<String, i64>,
    /// Values that need no write where they stay.
    unchanged: BTreeMap<String, Vec<u8>>,
}

fn before(layout: &Layout, change: &NameChange) -> Result<Before, Unfit> {
    let mut all = Before::default();
    for one in &change.changes {
        if !one.is_allowed() {
            return Err(Unfit::Stale);
        }
        let (ours, others): (Vec<&ObservedSet>, Vec<_>) =
            one.before().into_iter().partition(|before| before.claim.is_ours());
        for before in ours {
            let data = before.ours().ok_or(Unfit::Stale)?;
            let revisions = listing::revisions(before).ok_or(Unfit::Stale)?;
            all.guarded.extend(keys(layout, &change.name, data).into_iter().zip(revisions));
            all.unchanged.extend(as_it_stands(layout, &change.name, before));
        }
        for foreign in others.into_iter().chain(one.theirs().iter().map(|(_, text)| text)) {
            all.guarded.extend(listing::keys_of_others(foreign).ok_or(Unfit::Stale)?);
        }
    }
    Ok(all)
}

fn check_name(layout: &Layout, name: &DnsName, change: &NameChange) -> Result<(), Unfit> {
    let impossible = |why: &str| Err(Unfit::Impossible(format!("{name} {why}")));
    let writes_alias = change
        .changes
        .iter()
        .filter_map(Change::after)
        .any(|(set, _)| matches!(set.data, RecordData::Cname(_)));
    if !name.is_within(layout.zone()) {
        return impossible("is not in the zone");
    }
    if name.is_wildcard() {
        return impossible("is a wildcard, and CoreDNS's etcd plugin has none");
    }
    if name == layout.zone() && writes_alias {
        return impossible("is the zone's own name, which cannot have a CNAME (RFC 1034 §3.6.2)");
    }
    Ok(())
}

pub(crate) fn reads(layout: &Layout, name: &DnsName) -> Reads {
    // At the zone's own name everything that CoreDNS keeps there; below it lies the whole zone.
    let below = if name == layout.zone() { layout.zone_prefix() + "dns/" } else { layout.below(name) };
    Reads { key: layout.key(name), below }
}

/// The keys of a set in the order of its values.
fn keys(layout: &Layout, name: &DnsName, data: &RecordData) -> Vec<String> {
    match data {
        RecordData::A(set) => set.iter().map(|ip| layout.leaf(name, IpAddr::V4(*ip))).collect(),
        RecordData::Aaaa(set) => set.iter().map(|ip| layout.leaf(name, IpAddr::V6(*ip))).collect(),
        RecordData::Cname(_) => vec![layout.key(name)],
    }
}

/// The keys and values of a set.
fn values(
    layout: &Layout,
    name: &DnsName,
    data: &RecordData,
    ttl: Ttl,
    mark: Option<&OwnershipRecord>,
) -> Vec<(String, Vec<u8>)> {
    let leaf = !matches!(data, RecordData::Cname(_));
    let owned = mark.and_then(|mark| Some((mark.owner()?, mark.as_str())));
    let short = owned.as_ref().map(|(owner, _)| value::short_mark(owner)).unwrap_or_default();
    let hosts = data.values().into_iter().enumerate();
    let values = hosts.map(|(index, host)| {
        let owned = owned.as_ref().map(|(owner, mark)| (owner, if index == 0 { mark } else { &*short }));
        value::write(&host, ttl.seconds(), leaf, owned)
    });
    keys(layout, name, data).into_iter().zip(values).collect()
}

/// The keys and values of a set that is as we wrote it; nothing when some of it may differ.
fn as_it_stands(layout: &Layout, name: &DnsName, set: &ObservedSet) -> Vec<(String, Vec<u8>)> {
    match (set.ours(), set.claim.mark()) {
        (Some(data), Some(mark)) if set.ttl.seconds() != 0 => values(layout, name, data, set.ttl, Some(mark)),
        _ => Vec::new(),
    }
}

fn guards(reads: &Reads, guarded: BTreeMap<String, i64>, change: &NameChange, known: Known) -> Vec<Guard> {
    let creates = change.changes.iter().all(|change| matches!(change, Change::Create { .. }));
    let mut guards = Vec::with_capacity(guarded.len() + 2);
    // A name that was never read is new only when nothing at all is there.
    if let Some(since) = known.or(creates.then_some(0)) {
        if guarded.get(&reads.key).is_none_or(|revision| *revision == 0) {
            guards.push(Guard::QuietKey(reads.key.clone(), since));
        }
        guards.push(Guard::QuietBelow(reads.below.clone(), since));
    }
    guards.extend(guarded.into_iter().map(|(key, revision)| Guard::Is(key, revision)));
    guards
}

impl Guard {
    pub(crate) fn compare(&self) -> Compare {
        match self {
            Self::Is(key, revision) => Compare::mod_revision(key.as_str(), CompareOp::Equal, *revision),
            Self::QuietKey(key, since) => Compare::mod_revision(key.as_str(), CompareOp::Less, since + 1),
            Self::QuietBelow(prefix, since) => {
                Compare::mod_revision(prefix.as_str(), CompareOp::Less, since + 1).with_prefix()
            }
        }
    }

    /// The same guard for a name that was read again.
    pub(crate) fn since(&self, revision: i64) -> Self {
        match self {
            Self::Is(..) => self.clone(),
            Self::QuietKey(key, _) => Self::QuietKey(key.clone(), revision),
            Self::QuietBelow(prefix, _) => Self::QuietBelow(prefix.clone(), revision),
        }
    }

    /// Octets in a request, about.
    pub(crate) fn octets(&self) -> usize {
        match self {
            Self::Is(key, _) | Self::QuietKey(key, _) => key.len() + 16,
            Self::QuietBelow(prefix, _) => 2 * prefix.len() + 16,
        }
    }
}

impl Reads {
    pub(crate) fn operations(&self) -> [TxnOp; 2] {
        let below = GetOptions::new().with_prefix();
        [TxnOp::get(self.key.as_str(), None), TxnOp::get(self.below.as_str(), Some(below))]
    }
}

impl Edit {
    /// Its deletions alone, under the same guards, where they may be done alone.
    pub(crate) fn deletions(&self) -> Option<Self> {
        let writes = self.writes.iter().filter(|(_, value)| value.is_none());
        let writes: BTreeMap<_, _> = writes.map(|(key, _)| (key.clone(), None)).collect();
        (self.separable && !writes.is_empty()).then(|| Self { writes, ..self.clone() })
    }

    pub(crate) fn writes(&self) -> impl Iterator<Item = TxnOp> {
        self.writes.iter().map(|(key, value)| match value {
            Some(value) => TxnOp::put(key.as_str(), value.as_slice(), None),
            None => TxnOp::delete(key.as_str(), None),
        })
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
