//! What is known of one name.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use fleetdns_core::ownership::txt::TxtRecord;
use fleetdns_core::{
    Content, Label, NonEmpty, ObservedSet, Owner, RecordData, RecordType as Kind, Ttl, Version,
};
use hickory_proto::rr::{RData, Record};

use crate::ownership::{self, Txt};
use crate::wire;

/// As [`wire::type_name`] has it.
pub(crate) const TXT: &str = "TXT";

/// Everything at one name that matters to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) sets: BTreeMap<Kind, (Ttl, RecordData)>,
    /// Sets whose records differ in their TTL, which RFC 2181 §5.2 forbids; the longest one is theirs.
    pub(crate) mixed: BTreeSet<Kind>,
    /// Other types, and those of ours with values that we cannot read.
    pub(crate) others: BTreeMap<String, Ttl>,
    /// All TXT records at the name but ownership records of ours or of another owner.
    pub(crate) texts: BTreeSet<Txt>,
    /// All TXT records where the ownership record of the name is kept, in order.
    pub(crate) marks: BTreeSet<Txt>,
}

impl Known {
    /// The record sets as the planner sees them.
    pub(crate) fn observed(&self, owner: &Label) -> Vec<ObservedSet> {
        let ownership = self.ownership(owner);
        let claim = |kind| match ownership.covers(kind) {
            true => ownership.owner.clone(),
            false => Owner::Foreign,
        };
        let known = self.sets.iter().map(|(kind, (ttl, data))| ObservedSet {
            ttl: *ttl,
            content: match self.mixed.contains(kind) {
                true => Content::Misshapen(data.clone().into()),
                false => Content::Known(data.clone()),
            },
            claim: claim(*kind),
            version: self.version(*kind, *ttl, data),
        });
        let others = self.others.iter().filter(|(kind, _)| *kind != TXT).map(|(kind, ttl)| ObservedSet {
            ttl: *ttl,
            content: Content::Other(kind.as_str().into()),
            claim: Owner::Foreign,
            version: Version::default(),
        });
        known.chain(others).chain(self.text_set()).collect()
    }

    fn text_set(&self) -> Option<ObservedSet> {
        let (ttl, texts) = (*self.others.get(TXT)?, self.texts.iter().filter_map(Txt::text));
        let texts: Vec<String> = texts.collect();
        let content = Content::text(texts.iter().map(String::as_str));
        let mut hasher = DefaultHasher::new();
        self.texts.hash(&mut hasher);
        let version = Version(format!("{:016x}", hasher.finish()).into());
        Some(ObservedSet { ttl, content, claim: Owner::Foreign, version })
    }

    /// Whose the name is.
    pub(crate) fn ownership(&self, owner: &Label) -> TxtRecord {
        ownership::read(&self.marks, owner)
    }

    /// Differs when the set or the marks of its name differ.
    fn version(&self, kind: Kind, ttl: Ttl, data: &RecordData) -> Version {
        let mut hasher = DefaultHasher::new();
        (ttl, data, self.mixed.contains(&kind), &self.marks).hash(&mut hasher);
        Version(format!("{:016x}", hasher.finish()).into())
    }

    /// Whether nothing at all is known of the name.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.others.is_empty() && self.marks.is_empty()
    }
}

impl Known {
    /// One more record at the name.
    pub(crate) fn add(&mut self, record: &Record) {
        // RFC 2181 §8: a value with the highest bit set is to be taken for zero.
        let ttl = Ttl::new(record.ttl).or(Ttl::new(0)).unwrap_or(Ttl::DEFAULT);
        let data = match &record.data {
            RData::A(ip) => NonEmpty::new([ip.0]).map(RecordData::A),
            RData::AAAA(ip) => NonEmpty::new([ip.0]).map(RecordData::Aaaa),
            RData::CNAME(target) => wire::text(&target.0).parse().ok().map(RecordData::Cname),
            RData::TXT(data) => {
                self.texts.insert(Txt::new(data.txt_data.iter().map(|string| string.to_vec())));
                None
            }
            _ => None,
        };
        let Some(data) = data else {
            self.others.insert(wire::type_name(record.record_type()), ttl);
            return;
        };
        match self.sets.entry(data.record_type()) {
            Entry::Vacant(entry) => {
                entry.insert((ttl, data));
            }
            Entry::Occupied(mut entry) => {
                let (first, there) = entry.get_mut();
                *there = joined(there, &data);
                if *first != ttl {
                    *first = ttl.max(*first);
                    self.mixed.insert(data.record_type());
                }
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
