//! Keys and values become names and record sets.
//!
//! In this layout a key below a name is a name too: `/…/foo/x1` answers for `foo` and for `x1.foo`. Of which name it is
//! a record is decided so: CoreDNS's field `targetstrip` says how many labels of the key are no part of the name, and
//! who uses leaves to tell values apart (external-dns, and we) sets it to 1; such a value belongs to the name above.
//! Without it the key is a name of its own, and that CoreDNS answers for the name above with it too is what
//! `Capabilities::answers_subtree` is about.
//!
//! A TXT value at a name's own key is answered only while nothing lies below that key, where addresses are written. Its
//! type is [`TXT_AT_OWN_KEY`], which the planner writes no address beside.
//!
//! Ours is a value with a mark of ours at a key of the form that we write. A copy of it at any other key is not, and
//! stays. At a leaf the key says which address is meant: a value edited by hand is ours still, and mended.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fleetdns_core::{
    Content, DnsName, Label, Listing, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, RecordType,
    Ttl, Unreadable, Version,
};

use super::layout::{Layout, Place};
use super::value::{self, Entry, Meaning};

/// A TXT set that addresses at its name would hide.
const TXT_AT_OWN_KEY: &str = "TXT-at-own-key";

/// One key as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The revision that wrote it last.
    pub(crate) revision: i64,
}

/// What a listing of a zone gave.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) listing: Listing,
    /// Foreign sets of the zone's own name that lie where only a read of the whole zone finds them.
    pub(crate) apex_strays: Vec<ObservedSet>,
}

/// A value of ours.
struct Ours<'a> {
    value: &'a [u8],
    host: String,
    ttl: u32,
    mark: String,
    claim: Owner,
    revision: i64,
}

/// All values at one name.
#[derive(Default)]
struct Sets<'a> {
    v4: BTreeMap<Ipv4Addr, Ours<'a>>,
    v6: BTreeMap<Ipv6Addr, Ours<'a>>,
    alias: Option<(DnsName, Ours<'a>)>,
    foreign: BTreeMap<&'static str, Foreign>,
    strays: BTreeMap<&'static str, Foreign>,
}

/// Values of one type that are not ours.
#[derive(Default)]
struct Foreign {
    ttl: u32,
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    aliases: Vec<Option<DnsName>>,
    texts: Vec<String>,
    /// The keys, with the revisions that wrote them last.
    keys: Vec<(String, i64)>,
}

/// Groups the keys of a zone, or of a part of it.
pub(crate) fn view<'a>(layout: &Layout, owner: &Label, pairs: impl Iterator<Item = Pair<'a>>) -> View {
    let mut names: HashMap<DnsName, Sets<'a>> = HashMap::new();
    let (mut view, mut unreadable) = (View::default(), Unreadable::default());
    for pair in pairs {
        if let Err(problem) = sort_in(layout, owner, pair, &mut names) {
            unreadable.push(&format!("etcd key {}: {problem}", String::from_utf8_lossy(pair.key)));
        }
    }
    view.listing.unreadable = unreadable.sentences();
    for (name, mut sets) in names {
        view.apex_strays.extend(std::mem::take(&mut sets.strays).into_iter().filter_map(Foreign::into_set));
        for set in sets.into_sets(owner) {
            view.listing.observed.push(name.clone(), set);
        }
    }
    for stray in &view.apex_strays {
        view.listing.observed.push(layout.zone().clone(), stray.clone());
    }
    view
}

fn sort_in<'a>(
    layout: &Layout,
    owner: &Label,
    pair: Pair<'a>,
    names: &mut HashMap<DnsName, Sets<'a>>,
) -> Result<(), String> {
    let key =
        std::str::from_utf8(pair.key).map_err(|_| "the key is not a text; CoreDNS never asks for it")?;
    let Some(place) = layout.place(key) else { return Ok(()) };
    let entry = match Entry::read(pair.value) {
        Ok(entry) => entry,
        Err(error) => {
            // Whoever wrote it, nothing new is written beside it. At a leaf of ours it can be overwritten.
            if let Some(name) = layout.name(&place, 0).filter(|_| layout.leaf_at(&place).is_none()) {
                names.entry(name).or_default().foreign.entry("unknown").or_default().ttl = value::DEFAULT_TTL;
            }
            return Err(format!(
                "the value cannot be read ({error}); CoreDNS answers SERVFAIL for what covers it, delete or mend it"
            ));
        }
    };
    let claim = Owner::read(entry.mark().as_deref(), owner);
    let meaning = entry.meaning();
    if claim.is_ours() && entry_of_ours(layout, &place, &entry, &meaning, &claim, pair, names) {
        return Ok(());
    }
    let strip = if place.is_apex() || place.is_name_server() { usize::MAX } else { entry.strip() };
    let name = layout.name(&place, strip).ok_or("the key is not a domain name; CoreDNS never asks for it")?;
    let at_apex = name == *layout.zone();
    let stray = at_apex && !place.is_read_with_apex();
    let sets = names.entry(name).or_default();
    let kind = match &meaning {
        _ if place.is_name_server() => "NS",
        Meaning::Address(IpAddr::V4(_)) => "A",
        Meaning::Address(IpAddr::V6(_)) => "AAAA",
        Meaning::Alias(_) => "CNAME",
        Meaning::Other("TXT") if strip == 0 && !at_apex => TXT_AT_OWN_KEY,
        Meaning::Other(kind) => kind,
    };
    let foreign = if stray { &mut sets.strays } else { &mut sets.foreign };
    // Of a value with both CoreDNS answers with the text too.
    if matches!(meaning, Meaning::Address(_)) && entry.text().is_some() {
        foreign.entry("TXT").or_default().add("TXT", &entry, Meaning::Other("TXT"), (key, pair.revision));
    }
    foreign.entry(kind).or_default().add(kind, &entry, meaning, (key, pair.revision));
    Ok(())
}

/// Whether the value stands where we would have written it; then it is put there.
fn entry_of_ours<'a>(
    layout: &Layout,
    place: &Place<'_>,
    entry: &Entry,
    meaning: &Meaning<'_>,
    claim: &Owner,
    pair: Pair<'a>,
    names: &mut HashMap<DnsName, Sets<'a>>,
) -> bool {
    let ours = |host: String| Ours {
        value: pair.value,
        host,
        ttl: entry.ttl(),
        mark: entry.mark().unwrap_or_default(),
        claim: claim.clone(),
        revision: pair.revision,
    };
    match meaning {
        Meaning::Address(_) => {
            // The leaf says which address it stands for, so that a value edited by hand is seen to differ and mended.
            let Some((name, address)) = layout.leaf_at(place) else { return false };
            let sets = names.entry(name).or_default();
            match address {
                IpAddr::V4(v4) => sets.v4.insert(v4, ours(v4.to_string())),
                IpAddr::V6(v6) => sets.v6.insert(v6, ours(v6.to_string())),
            };
            true
        }
        Meaning::Alias(target) if !place.is_apex() && !place.is_name_server() => {
            let (Some(name), Ok(target)) = (layout.name(place, 0), target.parse::<DnsName>()) else {
                return false;
            };
            if name == *layout.zone() {
                return false;
            }
            let ours = ours(target.to_string());
            names.entry(name).or_default().alias = Some((target, ours));
            true
        }
        _ => false,
    }
}

impl Sets<'_> {
    fn into_sets(self, owner: &Label) -> impl Iterator<Item = ObservedSet> {
        let v4 = our_set(self.v4.values(), true, owner, || {
            NonEmpty::new(self.v4.keys().copied()).map(RecordData::A)
        });
        let v6 = our_set(self.v6.values(), true, owner, || {
            NonEmpty::new(self.v6.keys().copied()).map(RecordData::Aaaa)
        });
        let alias = self.alias.and_then(|(target, ours)| {
            our_set([&ours].into_iter(), false, owner, || Some(RecordData::Cname(target)))
        });
        let foreign = self.foreign.into_iter().filter_map(Foreign::into_set);
        [v4, v6, alias].into_iter().flatten().chain(foreign)
    }
}

/// One set of ours from its values in order. Whatever is not as we would write it shows as a TTL that nobody can ask
/// for, so that the planner has the whole set written again.
fn our_set<'a>(
    values: impl Iterator<Item = &'a Ours<'a>> + Clone,
    leaf: bool,
    owner: &Label,
    data: impl FnOnce() -> Option<RecordData>,
) -> Option<ObservedSet> {
    let content = Content::Known(data()?);
    let first = values.clone().next()?;
    let short = value::short_mark(owner);
    let tidy = first.claim.mark().is_some()
        && values.clone().enumerate().all(|(index, ours)| {
            let mark = if index == 0 { &first.mark } else { &short };
            ours.value == value::write(&ours.host, first.ttl, leaf, Some((owner, mark)))
        });
    let ttl = Ttl::new(if tidy { first.ttl } else { 0 }).unwrap_or(Ttl::MAX);
    let revisions: Vec<String> = values.clone().map(|ours| ours.revision.to_string()).collect();
    Some(ObservedSet {
        ttl,
        content,
        claim: Owner::Ours(the_mark(values.map(|ours| &ours.claim))),
        version: Version(revisions.join(",").into()),
    })
}

/// The mark that stands in a set; none when there are several, as then none is to be trusted.
fn the_mark<'a>(claims: impl Iterator<Item = &'a Owner>) -> Option<OwnershipRecord> {
    let mut found: Option<&OwnershipRecord> = None;
    for mark in claims.filter_map(Owner::mark) {
        if found.is_some_and(|other| other != mark) {
            return None;
        }
        found = Some(mark);
    }
    found.cloned()
}

impl Foreign {
    fn add(&mut self, kind: &str, entry: &Entry, meaning: Meaning<'_>, (key, revision): (&str, i64)) {
        self.ttl = entry.ttl();
        self.keys.push((key.to_owned(), revision));
        match meaning {
            _ if kind == "NS" => {}
            Meaning::Address(IpAddr::V4(address)) => self.v4.push(address),
            Meaning::Address(IpAddr::V6(address)) => self.v6.push(address),
            Meaning::Alias(target) => self.aliases.push(target.parse().ok()),
            Meaning::Other(_) => {
                self.texts.extend(entry.text().map(|text| text.trim_matches('"').to_owned()));
            }
        }
    }

    fn into_set((kind, mut foreign): (&'static str, Self)) -> Option<ObservedSet> {
        let known = match (kind, foreign.aliases.len()) {
            ("A", _) => NonEmpty::new(foreign.v4).map(RecordData::A),
            ("AAAA", _) => NonEmpty::new(foreign.v6).map(RecordData::Aaaa),
            ("CNAME", 1) => foreign.aliases.pop().flatten().map(RecordData::Cname),
            _ => None,
        };
        let content = match (kind, known) {
            (_, Some(data)) => Content::Known(data),
            ("TXT", None) => Content::text(foreign.texts.iter().map(String::as_str)),
            (_, None) => Content::Other(Arc::from(kind)),
        };
        let ttl = Ttl::new(foreign.ttl).unwrap_or(Ttl::MAX);
        let version = Version(serde_json::to_string(&foreign.keys).unwrap_or_default().into());
        Some(ObservedSet { ttl, content, claim: Owner::Foreign, version })
    }
}

/// The revisions of the keys of a set of ours, in the order of its values; `None` when it was not read from etcd.
pub(crate) fn revisions(set: &ObservedSet) -> Option<Vec<i64>> {
    let revisions: Vec<i64> =
        set.version.0.split(',').map(|text| text.parse().ok()).collect::<Option<_>>()?;
    (set.ours().map(RecordData::count) == Some(revisions.len())).then_some(revisions)
}

/// The keys of a set of others, each with its revision; `None` when it was not read from etcd.
pub(crate) fn keys_of_others(set: &ObservedSet) -> Option<Vec<(String, i64)>> {
    serde_json::from_str(&set.version.0).ok()
}

/// Whether a set stands as it was wanted.
pub(crate) fn stands(sets: &[ObservedSet], data: &RecordData, record_type: RecordType) -> bool {
    sets.iter().filter(|set| set.claim.is_ours()).any(|set| {
        set.content.record_type() == Some(record_type) && set.ours() == Some(data) && set.ttl.seconds() != 0
    })
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
