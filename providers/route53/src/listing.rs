//! What stands in the zone: from record sets as Route 53 lists them, to sets with an owner.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_route53::types::ResourceRecordSet;
use fleetdns_core::ownership::txt::TxtRecord;
use fleetdns_core::{
    Content, DnsName, Label, Listing, NonEmpty, Observed, ObservedSet, Owner, RecordData, RecordType, Ttl,
    Unreadable, Version,
};

use crate::alias::Alias;
use crate::names::{marked_name, read_name};
use crate::ownership;
use crate::shape::{Body, Raw, Shapes, version};

/// What is at the place where the ownership record of a name is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// `None` for something that is not a simple TXT set.
    pub(crate) raw: Option<Raw>,
    pub(crate) record: TxtRecord,
}

impl Kept {
    /// Whose a set of this type at the name is.
    pub(crate) fn owner(&self, record_type: RecordType) -> Owner {
        match self.record.covers(record_type) {
            true => self.record.owner.clone(),
            false => Owner::Foreign,
        }
    }
}

/// A zone as it was last read and written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) observed: Observed,
    /// By the name that they speak for.
    pub(crate) marks: HashMap<DnsName, Kept>,
    /// Names that could not be read.
    pub(crate) unreadable: Unreadable,
}

impl View {
    pub(crate) fn of(sets: &[ResourceRecordSet], owner: &Label, shapes: Shapes) -> Self {
        let mut view = Self::default();
        let mut named = Vec::with_capacity(sets.len());
        for set in sets {
            match read_name(set.name()) {
                Some(name) => named.push((name, set)),
                None => {
                    let entry = format!("{} {}: not a host name", set.name(), set.r#type().as_str());
                    view.unreadable.push(&entry);
                }
            }
        }
        let servers = named.iter().filter(|(_, set)| set.r#type().as_str() == "NS");
        let values = servers.flat_map(|(_, set)| set.resource_records());
        view.observed.set_name_servers(values.filter_map(|record| read_name(record.value())).collect());
        for (name, set) in &named {
            if let Some(marked) = marked_name(name) {
                view.add_mark(marked, set, owner);
            }
        }
        let mut aliases: BTreeMap<DnsName, Vec<(&ResourceRecordSet, Alias)>> = BTreeMap::new();
        for (name, set) in named {
            let is_our_mark = marked_name(&name)
                .and_then(|marked| view.marks.get(&marked))
                .is_some_and(|mark| mark.record.owner.is_ours() && set.r#type().as_str() == "TXT");
            if is_our_mark {
                continue;
            }
            match Alias::of(set) {
                Some(alias) => aliases.entry(name).or_default().push((set, alias)),
                None => {
                    let set = observe(set, view.marks.get(&name), shapes);
                    view.observed.push(name, set);
                }
            }
        }
        for (name, aliases) in aliases {
            view.add_aliases(name, aliases, shapes);
        }
        view
    }

    /// The aliases of a name stand for a CNAME under our mark of one; those of others do, where they lead to one target and no
    /// address stands beside them. Others are as they are.
    fn add_aliases(&mut self, name: DnsName, found: Vec<(&ResourceRecordSet, Alias)>, shapes: Shapes) {
        let mark = self.marks.get(&name);
        let (raw, aliases): (Vec<&ResourceRecordSet>, Vec<Alias>) = found.into_iter().unzip();
        let set = match mark.filter(|mark| mark.owner(RecordType::Cname).is_ours()) {
            Some(mark) => observe_aliases(&aliases, mark, shapes),
            None => foreign_aliases(&aliases).filter(|_| {
                !self.observed.at(&name).iter().any(|set| matches!(set.type_name(), "A" | "AAAA"))
            }),
        };
        let sets: Vec<ObservedSet> = match set {
            Some(set) => vec![set],
            None => raw.into_iter().map(|set| observe(set, mark, shapes)).collect(),
        };
        sets.into_iter().for_each(|set| self.observed.push(name.clone(), set));
    }

    fn add_mark(&mut self, marked: DnsName, set: &ResourceRecordSet, owner: &Label) {
        let mark = match (set.r#type().as_str(), Raw::of(set)) {
            ("TXT", Some(raw)) => {
                let record = ownership::read(&raw.values, owner);
                Kept { raw: Some(raw), record }
            }
            // Neither stands in the way of a TXT set.
            (other, Some(_)) if other != "CNAME" => return,
            _ => Kept { raw: None, record: TxtRecord::FOREIGN },
        };
        self.marks.insert(marked, mark);
    }

    /// Takes in what stands at a name now, and its mark.
    pub(crate) fn stands(&mut self, name: &DnsName, sets: &[ObservedSet], mark: Option<&Kept>) {
        self.observed.replace(name.clone(), sets.to_vec());
        match mark {
            Some(mark) => self.marks.insert(name.clone(), mark.clone()),
            None => self.marks.remove(name),
        };
    }

    /// Marks of ours without any record.
    pub(crate) fn unattributed(&self) -> impl Iterator<Item = (&DnsName, &Kept)> {
        let orphan = |(name, mark): &(&DnsName, &Kept)| {
            mark.record.owner.is_ours() && !self.observed.at(name).iter().any(|set| set.claim.is_ours())
        };
        self.marks.iter().filter(orphan)
    }

    pub(crate) fn listing(&self) -> Listing {
        Listing { observed: self.observed.clone(), unreadable: self.unreadable.sentences() }
    }
}

fn observe(set: &ResourceRecordSet, mark: Option<&Kept>, shapes: Shapes) -> ObservedSet {
    let raw = Raw::of(set);
    let data = raw.as_ref().and_then(|raw| data(set.r#type().as_str(), &raw.values));
    let ttl = raw.as_ref().and_then(|raw| Ttl::new(raw.ttl)).or_else(|| Ttl::new(0)).unwrap_or(Ttl::DEFAULT);
    match (raw, data) {
        (Some(raw), Some(data)) => {
            let claim = mark.map_or(Owner::Foreign, |mark| mark.owner(data.record_type()));
            // A CNAME of an older version, or of a time when aliases were off.
            let misshapen = claim.is_ours() && shapes.aliases(&data).is_some();
            let content = if misshapen { Content::Misshapen(data.into()) } else { Content::Known(data) };
            ObservedSet { ttl, content, claim, version: version(&[Body::Values(raw)]) }
        }
        (Some(raw), None) if set.r#type().as_str() == "TXT" => ObservedSet {
            ttl,
            content: ownership::content(&raw.values),
            claim: Owner::Foreign,
            version: version(&[Body::Values(raw)]),
        },
        _ => ObservedSet {
            ttl,
            content: Content::other(set.r#type().as_str()),
            claim: Owner::Foreign,
            version: Version::default(),
        },
    }
}

/// The aliases of a name under our mark as the CNAME that they stand for. One of them alone, two that lead to different
/// names, or any of them while aliases are off, are to be written again.
fn observe_aliases(aliases: &[Alias], mark: &Kept, shapes: Shapes) -> Option<ObservedSet> {
    let data = RecordData::Cname(aliases.first()?.target()?);
    let shaped = Alias::are_pair(aliases) && shapes.aliases(&data).is_some();
    let content = if shaped { Content::Known(data) } else { Content::Misshapen(data.into()) };
    let ttl = mark.raw.as_ref().and_then(|raw| Ttl::new(raw.ttl)).unwrap_or(Ttl::DEFAULT);
    Some(ObservedSet { ttl, content, claim: mark.record.owner.clone(), version: version_of(aliases) })
}

/// The aliases of others at a name as the CNAME that they stand for. Only an adoption uses it.
fn foreign_aliases(aliases: &[Alias]) -> Option<ObservedSet> {
    let target = aliases.first()?.target()?;
    let one_target = aliases.iter().all(|alias| alias.target().as_ref() == Some(&target));
    let content = Content::Misshapen(RecordData::Cname(target).into());
    let version = version_of(aliases);
    one_target.then_some(ObservedSet { ttl: Ttl::DEFAULT, content, claim: Owner::Foreign, version })
}

fn version_of(aliases: &[Alias]) -> Version {
    let bodies: Vec<Body> = aliases.iter().cloned().map(Body::Alias).collect();
    version(&bodies)
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
