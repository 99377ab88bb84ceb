//! What is known of a zone, name by name, and what a [`Listing`] says of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use fleetdns_core::{
    Claim, Content, DnsName, Label, Listing, NonEmpty, ObservedSet, RecordData, RecordType as Kind, Ttl,
    Version,
};
use hickory_proto::rr::{RData, Record, RecordType};

use crate::mark::Mark;
use crate::wire::{self, MARK_LABEL};

/// Everything at one name that matters to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) sets: BTreeMap<Kind, (Ttl, RecordData)>,
    /// Other types, and those of ours with values that we cannot read.
    pub(crate) others: BTreeMap<String, Ttl>,
    /// All TXT records where the marks of the name stand, in order.
    pub(crate) marks: BTreeSet<Mark>,
}

impl Known {
    /// The record sets as the planner sees them.
    pub(crate) fn observed(&self, owner: &Label) -> Vec<ObservedSet> {
        let known = self.sets.iter().map(|(kind, (ttl, data))| ObservedSet {
            ttl: *ttl,
            content: Content::Known(data.clone()),
            claim: self.claim(*kind, owner),
            version: self.version(*ttl, data),
        });
        let others = self.others.iter().map(|(kind, ttl)| ObservedSet {
            ttl: *ttl,
            content: Content::Other(kind.as_str().into()),
            claim: Claim::Foreign,
            version: Version::default(),
        });
        known.chain(others).collect()
    }

    /// A set that two marks speak of is ours only when both say so.
    fn claim(&self, kind: Kind, owner: &Label) -> Claim {
        let mut claims = self.marks.iter().filter_map(|mark| mark.claim(kind, owner));
        match claims.next() {
            Some(first) if claims.all(|claim| claim.is_ours()) => first,
            _ => Claim::Foreign,
        }
    }

    /// Differs when the set or the marks of its name differ.
    fn version(&self, ttl: Ttl, data: &RecordData) -> Version {
        let mut hasher = DefaultHasher::new();
        (ttl, data, &self.marks).hash(&mut hasher);
        Version(format!("{:016x}", hasher.finish()).into())
    }

    /// Our marks: the records, and their text by type.
    pub(crate) fn our_marks(&self, owner: &Label) -> (BTreeSet<Mark>, BTreeMap<Kind, String>) {
        let ours = self.marks.iter().filter_map(|mark| Some((mark.clone(), mark.ours(owner)?)));
        let (marks, texts): (BTreeSet<_>, Vec<_>) = ours.unzip();
        (marks, texts.into_iter().flatten().collect())
    }

    /// Whether nothing at all is known of the name.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.others.is_empty() && self.marks.is_empty()
    }
}

/// A zone as it was transferred, and as we changed it since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    pub(crate) names: HashMap<DnsName, Known>,
    unreadable: BTreeSet<String>,
}

/// Types that a server makes by itself in a signed zone, which stand beside everything else (RFC 4034).
const fn is_signature(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3 | RecordType::NSEC3PARAM)
}

impl Zone {
    /// From the records of a transfer.
    pub(crate) fn read<'a>(apex: &DnsName, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut zone = Self::default();
        for record in records {
            zone.add(apex, record);
        }
        zone
    }

    fn add(&mut self, apex: &DnsName, record: &Record) {
        if is_signature(record.record_type()) {
            return;
        }
        let text = wire::text(&record.name);
        if let (RData::TXT(data), Some(marked)) =
            (&record.data, text.strip_prefix(MARK_LABEL).and_then(|t| t.strip_prefix('.')))
            && let Ok(name) = marked.parse::<DnsName>()
            && name.is_within(apex)
        {
            let mark = Mark::new(data.txt_data.iter().map(|string| string.to_vec()));
            let is_mark = mark.is_mark();
            self.names.entry(name).or_default().marks.insert(mark);
            if is_mark {
                return;
            }
        }
        match text.parse::<DnsName>() {
            Ok(name) if name.is_within(apex) => self.names.entry(name).or_default().add(record),
            Ok(_) => {}
            Err(error) => {
                self.unreadable.insert(format!("{text} {}: {error}", record.record_type()));
            }
        }
    }

    pub(crate) fn at(&self, name: &DnsName) -> Known {
        self.names.get(name).cloned().unwrap_or_default()
    }

    /// What was written.
    pub(crate) fn set(&mut self, name: DnsName, known: Known) {
        if known.is_empty() {
            self.names.remove(&name);
        } else {
            self.names.insert(name, known);
        }
    }

    pub(crate) fn listing(&self, owner: &Label) -> Listing {
        let sets = self
            .names
            .iter()
            .flat_map(|(name, known)| known.observed(owner).into_iter().map(move |set| (name.clone(), set)));
        Listing { observed: sets.collect(), unreadable: self.unreadable.iter().cloned().collect() }
    }
}

impl Known {
    fn add(&mut self, record: &Record) {
        // RFC 2181 §8: a value with the highest bit set is to be taken for zero.
        let ttl = Ttl::new(record.ttl).or(Ttl::new(0)).unwrap_or(Ttl::DEFAULT);
        let data = match &record.data {
            RData::A(ip) => NonEmpty::new([ip.0]).map(RecordData::A),
            RData::AAAA(ip) => NonEmpty::new([ip.0]).map(RecordData::Aaaa),
            RData::CNAME(target) => wire::text(&target.0).parse().ok().map(RecordData::Cname),
            _ => None,
        };
        let Some(data) = data else {
            self.others.insert(record.record_type().to_string(), ttl);
            return;
        };
        match self.sets.entry(data.record_type()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert((ttl, data));
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let (_, there) = entry.get_mut();
                *there = joined(there, &data);
            }
        }
    }
}

fn joined(one: &RecordData, other: &RecordData) -> RecordData {
    let data = match (one, other) {
        (RecordData::A(one), RecordData::A(other)) => {
            NonEmpty::new(one.iter().chain(other.iter()).copied()).map(RecordData::A)
        }
        (RecordData::Aaaa(one), RecordData::Aaaa(other)) => {
            NonEmpty::new(one.iter().chain(other.iter()).copied()).map(RecordData::Aaaa)
        }
        _ => None,
    };
    data.unwrap_or_else(|| other.clone())
}
