//! One zone as a value: what is stored, what a name matches, and what a plan makes of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use fleetdns_core::{
    Change, DnsName, Label, NameChange, Observed, ObservedSet, RecordSet, RecordType, Sets, Version,
};
use imbl::OrdMap;

use crate::records::{for_owner, glue, stored, text};
use crate::settings::Settings;
use crate::wire::{self, Key};

/// What became of one name of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done(Sets),
    Conflict,
    Rejected(String),
}

/// A snapshot of a zone. Cloning is cheap, and so is changing a clone.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) settings: Arc<Settings>,
    pub(crate) serial: u32,
    /// Highest version that was given.
    pub(crate) changes: u64,
    /// Whether it holds all that it should: a whole state file was read, or start-up has converged.
    pub(crate) complete: bool,
    apex: Key,
    /// What was written, in canonical order: a name without anything of its own exists when the next one lies below it.
    written: OrdMap<Key, Sets>,
    /// The apex and the name servers of the zone exist even with nothing written; these addresses are told until then.
    fixed: Arc<BTreeMap<Key, Sets>>,
}

impl Zone {
    /// A zone with SOA, NS and the addresses of its name servers.
    pub(crate) fn new(settings: Arc<Settings>, serial: u32) -> Self {
        let apex = wire::of_name(&settings.zone);
        let servers = settings.glue().into_iter().map(|(name, ips)| (wire::of_name(name), glue(&ips)));
        let fixed = Arc::new([(apex.clone(), Sets::default())].into_iter().chain(servers).collect());
        Self { settings, serial, changes: 0, complete: false, apex, written: OrdMap::new(), fixed }
    }

    /// The same records under other settings.
    pub(crate) fn with_settings(&self, settings: Settings) -> Self {
        let zone = Self::new(Arc::new(settings), self.serial.wrapping_add(1));
        let (changes, written) = (self.changes.wrapping_add(1), self.written.clone());
        Self { changes, complete: self.complete, written, ..zone }
    }

    pub(crate) fn apex(&self) -> &[u8] {
        self.apex.octets()
    }

    /// What answers for a name of the zone: its own sets, or those of the wildcard of its closest encloser (RFC 4592
    /// §3.3.1). `None` when the name does not exist; nothing where it only has names below it (RFC 8020).
    pub(crate) fn find(&self, key: &[u8]) -> Option<&[ObservedSet]> {
        self.at(key).or_else(|| {
            let before = (Bound::Unbounded, Bound::Excluded(key));
            let last = self.written.range::<_, [u8]>(before).next_back().map(|(key, _)| key);
            let fixed = self.fixed.range::<[u8], _>(before).next_back().map(|(key, _)| key);
            // Whatever shares most with a name stands next to it.
            let beside = [last, fixed, self.next_written(key).map(|(key, _)| key), self.next_fixed(key)];
            let shared = beside.into_iter().flatten().map(|other| wire::common(key, other.octets()));
            self.at(&wire::wildcard_below(shared.max_by_key(|name| name.len())?))
        })
    }

    /// The sets of a name itself; none where it only has names below it, `None` when it does not exist.
    fn at(&self, key: &[u8]) -> Option<&[ObservedSet]> {
        let next = self.next_written(key);
        if let Some((_, sets)) = next.filter(|(next, _)| next.octets() == key) {
            return Some(sets);
        }
        if let Some(sets) = self.fixed.get(key) {
            return Some(sets);
        }
        let is_below = |next: &Key| wire::is_below(next.octets(), key);
        let exists =
            next.is_some_and(|(next, _)| is_below(next)) || self.next_fixed(key).is_some_and(is_below);
        exists.then_some(&[])
    }

    /// The first name that is this one or comes after it.
    fn next_written(&self, key: &[u8]) -> Option<(&Key, &Sets)> {
        self.written.range::<_, [u8]>((Bound::Included(key), Bound::Unbounded)).next()
    }

    fn next_fixed(&self, key: &[u8]) -> Option<&Key> {
        self.fixed.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).next().map(|(key, _)| key)
    }

    /// All that was written, in canonical order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&DnsName, &Sets)> {
        self.written.iter().map(|(key, sets)| (key.name(), sets))
    }

    /// The same as a provider lists it to `owner`.
    pub(crate) fn observed(&self, owner: &Label) -> Observed {
        let mut observed = Observed::default();
        for (name, sets) in self.entries() {
            observed.replace(name.clone(), for_owner(sets, owner));
        }
        observed
    }

    /// The zone after a plan, with the outcome for each of its names; each name is changed whole or not at all.
    /// `now`: seconds of Unix time. The serial is the time of the last change, so that it grows alike in several replicas.
    pub(crate) fn after(
        &self,
        changes: &[NameChange],
        owner: &Label,
        now: u32,
    ) -> (Self, Vec<(DnsName, Written)>) {
        let mut next = self.clone();
        let mut outcomes = Vec::with_capacity(changes.len());
        let number = self.changes.wrapping_add(1);
        let version = text(number);
        for change in changes {
            let written = match next.change(change, &version) {
                Ok(sets) => {
                    next.changes = number;
                    Written::Done(for_owner(&sets, owner))
                }
                Err(refusal) => refusal,
            };
            outcomes.push((change.name.clone(), written));
        }
        if next.changes != self.changes {
            next.serial = self.serial.wrapping_add(1).max(now);
        }
        (next, outcomes)
    }

    fn change(&mut self, change: &NameChange, version: &Version) -> Result<Sets, Written> {
        let NameChange { name, changes } = change;
        if !name.is_within(&self.settings.zone) {
            return Err(Written::Rejected(format!("{name} lies outside of the zone {}", self.settings.zone)));
        }
        let key = wire::of_name(name);
        let before = self.written.get(&key);
        let sets = self.sets_after(&key, before.map_or(&[], |sets| sets), changes, version)?;
        self.put(key, sets.clone());
        Ok(sets)
    }

    fn sets_after(
        &self,
        key: &Key,
        before: &[ObservedSet],
        changes: &[Change],
        version: &Version,
    ) -> Result<Sets, Written> {
        let mut kept = before.to_vec();
        let mut written: Vec<ObservedSet> = Vec::new();
        for change in changes {
            let record_type = change.record_type();
            let at = kept.iter().position(|set| set.content.record_type() == Some(record_type));
            match (change.before(), at) {
                (Some(before), Some(at)) if kept.get(at).is_some_and(|set| set.version == before.version) => {
                    kept.remove(at);
                }
                (None, None) => {}
                _ => return Err(Written::Conflict),
            }
            if let Some((RecordSet { ttl, data, .. }, mark)) = change.after() {
                let Some(mark) = mark else {
                    let problem = "the embedded server holds no record that is not fleetdns's; give the zone up with its records";
                    return Err(Written::Rejected(problem.to_owned()));
                };
                let set = stored(*ttl, data.clone(), mark, version.clone());
                written.push(set.map_err(Written::Rejected)?);
            }
        }
        let alias = |set: &ObservedSet| set.content.record_type() == Some(RecordType::Cname);
        let aliases = |sets: &[ObservedSet]| sets.iter().any(alias);
        if aliases(&written) && self.fixed.contains_key(key) {
            let problem = "a CNAME cannot stand at the apex or at a name server of the zone (RFC 2181 §10.3)";
            return Err(Written::Rejected(problem.to_owned()));
        }
        if aliases(&written) && written.len() > 1 {
            let problem = "a CNAME stands alone at its name (RFC 1034 §3.6.2)";
            return Err(Written::Rejected(problem.to_owned()));
        }
        // The plan did not know what else stands here.
        if !kept.is_empty() && !written.is_empty() && (aliases(&kept) || aliases(&written)) {
            return Err(Written::Conflict);
        }
        // A name has one version.
        kept.iter_mut().for_each(|set| set.version = version.clone());
        kept.append(&mut written);
        Ok(kept.into())
    }

    /// Puts back what a state file has kept.
    pub(crate) fn restore(&mut self, name: &DnsName, sets: Sets) {
        self.put(wire::of_name(name), sets);
    }

    fn put(&mut self, key: Key, sets: Sets) {
        if sets.is_empty() {
            self.written.remove(&key);
        } else {
            self.written.insert(key, sets);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleetdns_core::keys::Keys;
    use fleetdns_core::{NonEmpty, RecordData, Ttl};
    use proptest::prelude::*;

    use super::*;

    fn zone() -> Zone {
        let settings = Settings::read(&"z.test".parse().unwrap(), &Keys::default()).unwrap();
        Zone::new(Arc::new(settings), 7)
    }

    fn sets(version: u64) -> Sets {
        let data = RecordData::A(NonEmpty::new(["192.0.2.1".parse().unwrap()]).unwrap());
        let mark = "v=1 owner=fed service=default/web".parse().unwrap();
        [stored(Ttl::DEFAULT, data, &mark, text(version)).unwrap()].into()
    }

    /// What RFC 4592 §2 and RFC 8020 say, spelled out over a plain list: the name that answers.
    fn model(written: &BTreeMap<DnsName, u64>, name: &DnsName) -> Option<Option<u64>> {
        let fixed = ["z.test", "ns1.z.test"].map(|name| name.parse::<DnsName>().unwrap());
        let exists = |name: &DnsName| {
            written
                .keys()
                .chain(&fixed)
                .any(|other| other.is_within(name))
                .then(|| written.get(name).copied())
        };
        let wildcard = || {
            let mut encloser = name.parent()?;
            while exists(&encloser).is_none() {
                encloser = encloser.parent()?;
            }
            exists(&encloser.prepend("*").ok()?)
        };
        exists(name).or_else(wildcard)
    }

    proptest! {
        #[test]
        fn after_any_writes_each_name_matches_what_the_standards_say(
            writes in prop::collection::vec(("[ab*]|[ab]|([ab*]\\.)?[ab]\\.[ab]|ns1|a\\.ns1", any::<bool>()), 0..30),
            question in "([abc]\\.){0,3}[abc]|ns1|b\\.ns1",
        ) {
            let (mut zone, mut written) = (zone(), BTreeMap::new());
            for (version, (name, create)) in (1..).zip(writes) {
                let name: DnsName = format!("{name}.z.test").parse().unwrap();
                zone.put(wire::of_name(&name), if create { sets(version) } else { Sets::default() });
                if create {
                    written.insert(name, version);
                } else {
                    written.remove(&name);
                }
            }
            let question: DnsName = format!("{question}.z.test").parse().unwrap();
            let found = zone.find(wire::of_name(&question).octets());
            let found = found.map(|sets| sets.iter().find(|set| set.claim.is_ours()).map(|set| set.version.clone()));
            prop_assert_eq!(found, model(&written, &question).map(|version| version.map(text)));
            prop_assert_eq!(zone.entries().count(), written.len());
        }
    }
}
