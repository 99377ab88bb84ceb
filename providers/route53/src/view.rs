//! What stands in the zone: from record sets as Route 53 lists them, to sets with an owner.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_route53::types::ResourceRecordSet;
use fleetdns_core::{
    Claim, Content, DnsName, Label, Listing, NonEmpty, Observed, ObservedSet, RecordData, RecordType, Ttl,
    Version,
};

use crate::mark::{self, Types};
use crate::names::{marked_name, read_name};

/// A simple record set as Route 53 spells it: what has to be repeated to delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) ttl: u32,
    /// Sorted.
    pub(crate) values: Vec<String>,
}

/// What is at the place where the mark of a name is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// `None` for something that is not a simple TXT set.
    pub(crate) raw: Option<Raw>,
    pub(crate) claim: Claim,
    pub(crate) types: Types,
}

/// A zone as it was last read and written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) observed: Observed,
    /// By the name that they speak for.
    pub(crate) marks: HashMap<DnsName, Mark>,
    /// Names that could not be read.
    pub(crate) unreadable: Vec<String>,
}

impl View {
    pub(crate) fn of(sets: &[ResourceRecordSet], owner: &Label) -> Self {
        let mut view = Self::default();
        let mut named = Vec::with_capacity(sets.len());
        for set in sets {
            match read_name(set.name()) {
                Some(name) => named.push((name, set)),
                None => {
                    view.unreadable.push(format!(
                        "{} {}: not a host name",
                        set.name(),
                        set.r#type().as_str()
                    ));
                }
            }
        }
        for (name, set) in &named {
            if let Some(marked) = marked_name(name) {
                view.add_mark(marked, set, owner);
            }
        }
        for (name, set) in named {
            let is_our_mark = marked_name(&name)
                .and_then(|marked| view.marks.get(&marked))
                .is_some_and(|mark| mark.claim.is_ours() && set.r#type().as_str() == "TXT");
            if !is_our_mark {
                let set = observe(set, view.marks.get(&name));
                view.observed.push(name, set);
            }
        }
        view
    }

    fn add_mark(&mut self, marked: DnsName, set: &ResourceRecordSet, owner: &Label) {
        let mark = match (set.r#type().as_str(), raw(set)) {
            ("TXT", Some(raw)) => {
                let (claim, types) = mark::read(&raw.values, owner);
                Mark { raw: Some(raw), claim, types }
            }
            // Neither stands in the way of a TXT set.
            (other, Some(_)) if other != "CNAME" => return,
            _ => Mark { raw: None, claim: Claim::Foreign, types: Types::new() },
        };
        self.marks.insert(marked, mark);
    }

    /// Marks of ours without any record.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = (&DnsName, &Mark)> {
        let orphan = |(name, mark): &(&DnsName, &Mark)| {
            mark.claim.is_ours() && !self.observed.at(name).iter().any(|set| set.claim.is_ours())
        };
        self.marks.iter().filter(orphan)
    }

    pub(crate) fn listing(&self) -> Listing {
        Listing { observed: self.observed.clone(), unreadable: self.unreadable.clone() }
    }
}

/// Values and TTL, unless the set is an alias, has a routing policy or a health check.
fn raw(set: &ResourceRecordSet) -> Option<Raw> {
    let plain = set.alias_target().is_none()
        && set.set_identifier().is_none()
        && set.health_check_id().is_none()
        && set.traffic_policy_instance_id().is_none()
        && !set.resource_records().is_empty();
    if !plain {
        return None;
    }
    let mut values: Vec<String> =
        set.resource_records().iter().map(|record| record.value().to_owned()).collect();
    values.sort_unstable();
    Some(Raw { ttl: u32::try_from(set.ttl()?).ok()?, values })
}

fn observe(set: &ResourceRecordSet, mark: Option<&Mark>) -> ObservedSet {
    let raw = raw(set);
    let data = raw.as_ref().and_then(|raw| data(set.r#type().as_str(), &raw.values));
    let ttl = raw.as_ref().and_then(|raw| Ttl::new(raw.ttl)).or_else(|| Ttl::new(0)).unwrap_or(Ttl::DEFAULT);
    match (raw, data) {
        (Some(raw), Some(data)) => {
            let claim = match mark {
                Some(mark) if mark.types.contains(&data.record_type()) => mark.claim.clone(),
                _ => Claim::Foreign,
            };
            ObservedSet { ttl, content: Content::Known(data), claim, version: version(&raw.values) }
        }
        _ => ObservedSet {
            ttl,
            content: Content::Other(Arc::from(set.r#type().as_str())),
            claim: Claim::Foreign,
            version: Version::default(),
        },
    }
}

fn data(record_type: &str, values: &[String]) -> Option<RecordData> {
    match (record_type.parse().ok()?, values) {
        (RecordType::A, values) => {
            let ips: Option<Vec<_>> = values.iter().map(|value| value.parse().ok()).collect();
            NonEmpty::new(ips?).map(RecordData::A)
        }
        (RecordType::Aaaa, values) => {
            let ips: Option<Vec<_>> = values.iter().map(|value| value.parse().ok()).collect();
            NonEmpty::new(ips?).map(RecordData::Aaaa)
        }
        (RecordType::Cname, [value]) => read_name(value).map(RecordData::Cname),
        (RecordType::Cname, _) => None,
    }
}

/// The proof that a set is as it was read: its values as they stand there.
pub(crate) fn version(values: &[String]) -> Version {
    Version(values.join("\n").into())
}

impl Raw {
    /// What [`version`] said, with the TTL beside it.
    pub(crate) fn of(set: &ObservedSet) -> Self {
        Self { ttl: set.ttl.seconds(), values: set.version.0.split('\n').map(str::to_owned).collect() }
    }

    /// As it is written anew.
    pub(crate) fn new(ttl: Ttl, data: &RecordData) -> Self {
        let mut values = data.values();
        if matches!(data, RecordData::Cname(_)) {
            values.iter_mut().for_each(|value| value.push('.'));
        }
        values.sort_unstable();
        Self { ttl: ttl.seconds(), values }
    }
}
