//! The zone as the file has it, and as record sets with an owner.

use std::collections::BTreeMap;

use fleetdns_core::text::printable;
use fleetdns_core::{
    Content, DnsName, Label, Listing, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, RecordSet,
    RecordType, Ttl, Version,
};
use serde::{Deserialize, Serialize};

/// A record set as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSet {
    #[serde(rename = "type")]
    pub(crate) record_type: String,
    ttl: u32,
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ownership: Option<String>,
}

/// Record sets by name as the file has them.
pub(crate) type Entries = BTreeMap<String, Vec<StoredSet>>;

/// A zone. Names that cannot be read are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) names: BTreeMap<DnsName, Vec<StoredSet>>,
    unreadable: Entries,
}

impl StoredSet {
    pub(crate) fn new(set: &RecordSet, ownership: Option<&OwnershipRecord>) -> Self {
        Self {
            record_type: set.data.record_type().to_string(),
            ttl: set.ttl.seconds(),
            values: set.data.values(),
            ownership: ownership.map(OwnershipRecord::to_string),
        }
    }

    fn data(&self) -> Option<RecordData> {
        fn all<T: std::str::FromStr + Ord>(values: &[String]) -> Option<NonEmpty<T>> {
            NonEmpty::new(values.iter().map(|value| value.parse().ok()).collect::<Option<Vec<T>>>()?)
        }
        Some(match self.record_type.parse().ok()? {
            RecordType::A => RecordData::A(all(&self.values)?),
            RecordType::Aaaa => RecordData::Aaaa(all(&self.values)?),
            RecordType::Cname => match &self.values[..] {
                [target] => RecordData::Cname(target.parse().ok()?),
                _ => return None,
            },
        })
    }

    /// The set as a listing has it. A set whose values cannot be read is foreign, and nothing is written beside it.
    fn observed(&self, owner: &Label) -> ObservedSet {
        let known = self.data().zip(Ttl::new(self.ttl));
        let claim = match known {
            Some(_) => Owner::read(self.ownership.as_deref(), owner),
            None => Owner::Foreign,
        };
        // The condition of a later write: that everything is as it was read. A server's etag or revision is shorter.
        let version = Version(format!("{self:?}").into());
        let (ttl, content) = match known {
            Some((data, ttl)) => (ttl, Content::Known(data)),
            None if self.record_type == "TXT" => {
                (Ttl::DEFAULT, Content::text(self.values.iter().map(String::as_str)))
            }
            None => (Ttl::DEFAULT, Content::other(&self.record_type)),
        };
        ObservedSet { ttl, content, claim, version }
    }

    /// What is wrong with a set of a type that we know.
    fn problem(&self) -> Option<&'static str> {
        let known = self.record_type.parse::<RecordType>().is_ok();
        (known && (self.data().is_none() || Ttl::new(self.ttl).is_none())).then_some("cannot be read")
    }
}

impl Zone {
    /// Names are normalised here, once: two spellings of a name are one name.
    pub(crate) fn new(entries: Entries) -> Self {
        let mut zone = Self { names: BTreeMap::new(), unreadable: Entries::new() };
        for (name, sets) in entries {
            match name.parse::<DnsName>() {
                Ok(name) => zone.names.entry(name).or_default().extend(sets),
                Err(_) => {
                    zone.unreadable.insert(name, sets);
                }
            }
        }
        zone
    }

    /// As the file has it.
    pub(crate) fn entries(&self) -> Entries {
        let names = self.names.iter().map(|(name, sets)| (name.to_string(), sets.clone()));
        names.chain(self.unreadable.clone()).collect()
    }

    /// Record sets at a name, in the order of the file. Two sets of one type are nobody's: it is not known which one counts.
    pub(crate) fn observed(&self, name: &DnsName, owner: &Label) -> Vec<ObservedSet> {
        let sets = self.names.get(name).map_or(&[][..], Vec::as_slice);
        let once =
            |set: &StoredSet| sets.iter().filter(|other| other.record_type == set.record_type).count() == 1;
        let observed = |set: &StoredSet| match set.observed(owner) {
            observed if once(set) => observed,
            observed => ObservedSet { claim: Owner::Foreign, ..observed },
        };
        sets.iter().map(observed).collect()
    }

    /// Takes a set away.
    pub(crate) fn remove(&mut self, name: &DnsName, set: &ObservedSet, owner: &Label) {
        let Some(sets) = self.names.get_mut(name) else { return };
        sets.retain(|stored| stored.observed(owner) != *set);
        if sets.is_empty() {
            self.names.remove(name);
        }
    }

    /// Every record set, ours and others'.
    pub(crate) fn listing(&self, owner: &Label) -> Listing {
        let mut listing = Listing::default();
        for (name, sets) in &self.names {
            listing.observed.replace(name.clone(), self.observed(name, owner));
            let problems = sets.iter().filter_map(|set| Some((set, set.problem()?)));
            let sentences = problems.map(|(set, problem)| format!("{name} {}: {problem}", set.record_type));
            listing.unreadable.extend(sentences);
        }
        let names = self.unreadable.keys();
        listing.unreadable.extend(names.map(|name| format!("'{}' is not a domain name", printable(name))));
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Zone {
        Zone::new(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_reported_kept_and_foreign() {
        let text = r#"{"a b":[],"www.example.com":[
            {"type":"A","ttl":30,"values":["203.0.113.999"],"ownership":"v=1 owner=fed service=default/web"}]}"#;
        let listing = zone(text).listing(&"fed".parse().unwrap());
        assert_eq!(listing.unreadable, ["www.example.com A: cannot be read", "'a b' is not a domain name"]);
        let sets = listing.observed.at(&"www.example.com".parse().unwrap());
        assert!(sets.len() == 1 && sets[0].claim == Owner::Foreign, "{sets:?}");
        assert_eq!(zone(text).entries(), serde_json::from_str(text).unwrap());
    }

    #[test]
    fn two_sets_of_one_type_are_nobodys() {
        let set = r#"{"type":"A","ttl":30,"values":["203.0.113.1"],"ownership":"v=1 owner=fed service=default/web"}"#;
        let ours = |text: &str| zone(text).listing(&"fed".parse().unwrap()).observed.owned_count();
        assert_eq!(ours(&format!(r#"{{"www.example.com":[{set}]}}"#)), 1);
        assert_eq!(ours(&format!(r#"{{"www.example.com":[{set}],"WWW.example.com.":[{set}]}}"#)), 0);
    }
}
