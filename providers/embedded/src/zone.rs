//! One zone as a value: what is stored, what a name matches, and what a plan makes of it.

use std::iter::successors;
use std::sync::Arc;

use fleetdns_core::{Change, DnsName, Label, NameChange, Observed, ObservedSet, RecordSet, RecordType};
use imbl::HashMap;

use crate::records::{Entry, Stored, glue, text};
use crate::settings::Settings;
use crate::wire::{self, Key};

/// A name that exists: because something stands at it, or below it (an empty non-terminal, RFC 8020).
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    entry: Option<Arc<Entry>>,
    /// What is told as long as nothing was written: addresses of a name server of the zone.
    glue: Option<Arc<[Stored]>>,
    /// How many written or fixed names lie below.
    below: u32,
    /// The apex and the name servers are there even with nothing written.
    fixed: bool,
}

impl Node {
    pub(crate) fn sets(&self) -> &[Stored] {
        match &self.entry {
            Some(entry) => &entry.sets,
            None => self.glue.as_deref().unwrap_or_default(),
        }
    }
}

/// What became of one name of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done(Vec<ObservedSet>),
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
    nodes: HashMap<Key, Node>,
}

impl Zone {
    /// A zone with SOA, NS and the addresses of its name servers.
    pub(crate) fn new(settings: Arc<Settings>, serial: u32) -> Self {
        let apex = wire::of_name(&settings.zone);
        let nodes = HashMap::new();
        let mut zone = Self { settings: settings.clone(), serial, changes: 0, complete: false, apex, nodes };
        zone.fix(&settings.zone, Vec::new());
        for (name, addresses) in settings.glue() {
            zone.fix(name, glue(&addresses));
        }
        zone
    }

    /// The same records under other settings.
    pub(crate) fn with_settings(&self, settings: Settings) -> Self {
        let mut zone = Self::new(Arc::new(settings), self.serial.wrapping_add(1));
        zone.changes = self.changes.wrapping_add(1);
        zone.complete = self.complete;
        self.entries().for_each(|entry| zone.restore((**entry).clone()));
        zone
    }

    fn fix(&mut self, name: &DnsName, glue: Vec<Stored>) {
        let key = wire::of_name(name);
        if !self.nodes.get(&key).is_some_and(|node| node.fixed) {
            self.count(&key, |below| below + 1);
        }
        let node = self.nodes.entry(key).or_default();
        node.fixed = true;
        node.glue = (!glue.is_empty()).then(|| glue.into());
    }

    pub(crate) fn apex(&self) -> &[u8] {
        self.apex.octets()
    }

    /// What answers for a name of the zone: its node, or the wildcard of its closest encloser (RFC 4592 §3.3.1).
    /// `None` when the name does not exist.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Node> {
        if let Some(node) = self.nodes.get(key) {
            return Some(node);
        }
        let encloser = wire::upwards(key).skip(1).find(|name| self.nodes.contains_key(*name))?;
        self.nodes.get(wire::wildcard_below(encloser).as_slice())
    }

    /// All that was written, in no special order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.nodes.values().filter_map(|node| node.entry.as_ref())
    }

    /// The same as a provider lists it to `owner`.
    pub(crate) fn observed(&self, owner: &Label) -> Observed {
        let mut observed = Observed::default();
        for entry in self.entries() {
            observed.replace(entry.name.clone(), entry.observed(owner));
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
        for change in changes {
            let written = match next.change(change) {
                Ok(sets) => Written::Done(sets.map_or_else(Vec::new, |entry| entry.observed(owner))),
                Err(refusal) => refusal,
            };
            outcomes.push((change.name.clone(), written));
        }
        if next.changes != self.changes {
            next.serial = self.serial.wrapping_add(1).max(now);
        }
        (next, outcomes)
    }

    fn change(&mut self, change: &NameChange) -> Result<Option<Arc<Entry>>, Written> {
        let NameChange { name, changes } = change;
        if !name.is_within(&self.settings.zone) {
            return Err(Written::Rejected(format!("{name} lies outside of the zone {}", self.settings.zone)));
        }
        let key = wire::of_name(name);
        let entry = self.nodes.get(&key).and_then(|node| node.entry.clone());
        let sets = self.sets_after(&key, entry.as_deref(), changes)?;
        self.changes += 1;
        let entry =
            (!sets.is_empty()).then(|| Arc::new(Entry { name: name.clone(), version: self.changes, sets }));
        self.put(key, entry.clone());
        Ok(entry)
    }

    fn sets_after(
        &self,
        key: &Key,
        entry: Option<&Entry>,
        changes: &[Change],
    ) -> Result<Vec<Stored>, Written> {
        let version = entry.map(|entry| text(entry.version));
        let mut kept = entry.map_or_else(Vec::new, |entry| entry.sets.clone());
        let mut written: Vec<Stored> = Vec::new();
        for change in changes {
            let record_type = change.record_type();
            let at = kept.iter().position(|set| set.data.record_type() == record_type);
            match (change.before(), at) {
                (Some(before), Some(at)) if version.as_ref() == Some(&before.version) => {
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
                let set = Stored::new(*ttl, data.clone(), Some(mark.clone()));
                written.push(set.map_err(Written::Rejected)?);
            }
        }
        let aliases = |sets: &[Stored]| sets.iter().any(|set| set.data.record_type() == RecordType::Cname);
        if aliases(&written) && self.nodes.get(key).is_some_and(|node| node.fixed) {
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
        kept.append(&mut written);
        // Almost always there is one, and a zone may have many names.
        kept.shrink_to_fit();
        Ok(kept)
    }

    /// Puts back what a state file has kept.
    pub(crate) fn restore(&mut self, entry: Entry) {
        self.changes = self.changes.max(entry.version);
        self.put(wire::of_name(&entry.name), Some(Arc::new(entry)));
    }

    fn put(&mut self, key: Key, entry: Option<Arc<Entry>>) {
        let mut node = self.nodes.get(&key).cloned().unwrap_or_default();
        let (before, after) = (node.entry.is_some() || node.fixed, entry.is_some() || node.fixed);
        node.entry = entry;
        match (before, after) {
            (false, true) => self.count(&key, |below| below + 1),
            (true, false) => self.count(&key, |below| below.saturating_sub(1)),
            _ => {}
        }
        self.keep(key, node);
    }

    /// Tells every name above that one more or one less is below it.
    fn count(&mut self, key: &Key, by: impl Fn(u32) -> u32) {
        let shortest = self.apex.octets().len();
        let above = successors(key.parent(), Key::parent).take_while(|name| name.octets().len() >= shortest);
        for name in above {
            let mut node = self.nodes.get(&name).cloned().unwrap_or_default();
            node.below = by(node.below);
            self.keep(name, node);
        }
    }

    fn keep(&mut self, key: Key, node: Node) {
        if node.entry.is_some() || node.fixed || node.below > 0 {
            self.nodes.insert(key, node);
        } else {
            self.nodes.remove(&key);
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

    fn entry(name: &DnsName, version: u64) -> Arc<Entry> {
        let data = RecordData::A(NonEmpty::new(["192.0.2.1".parse().unwrap()]).unwrap());
        let sets = vec![Stored::new(Ttl::DEFAULT, data, None).unwrap()];
        Arc::new(Entry { name: name.clone(), version, sets })
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
                zone.put(wire::of_name(&name), create.then(|| entry(&name, version)));
                if create {
                    written.insert(name, version);
                } else {
                    written.remove(&name);
                }
            }
            let question: DnsName = format!("{question}.z.test").parse().unwrap();
            let found = zone.find(wire::of_name(&question).octets()).map(|node| node.entry.as_ref().map(|e| e.version));
            prop_assert_eq!(found, model(&written, &question));
            prop_assert_eq!(zone.entries().count(), written.len());
            for name in written.into_keys() {
                zone.put(wire::of_name(&name), None);
            }
            prop_assert_eq!(zone.nodes.len(), 2, "nothing is left but the apex and ns1");
        }
    }
}
