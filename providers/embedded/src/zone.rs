//! One zone as a value: what is stored, what a name matches, and what a plan makes of it.

use std::iter::successors;
use std::sync::Arc;

use fleetdns_core::{
    Change, DnsName, Label, NameChange, Observed, ObservedSet, RecordSet, RecordType, Sets, Version,
};
use imbl::HashMap;

use crate::records::{for_owner, glue, stored, text};
use crate::settings::Settings;
use crate::wire::{self, Key};

/// A name that exists: because something stands at it, or below it (an empty non-terminal, RFC 8020).
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// What was written. As long as nothing was, the addresses of a name server of the zone.
    sets: Option<Sets>,
    written: bool,
    /// How many written or fixed names lie below.
    below: u32,
    /// The apex and the name servers are there even with nothing written.
    fixed: bool,
}

impl Node {
    pub(crate) fn sets(&self) -> &[ObservedSet] {
        self.sets.as_deref().unwrap_or_default()
    }

    fn written(&self) -> Option<&Sets> {
        self.sets.as_ref().filter(|_| self.written)
    }
}

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
    nodes: HashMap<Key, Node>,
}

impl Zone {
    /// A zone with SOA, NS and the addresses of its name servers.
    pub(crate) fn new(settings: Arc<Settings>, serial: u32) -> Self {
        let apex = wire::of_name(&settings.zone);
        let nodes = HashMap::new();
        let mut zone = Self { settings: settings.clone(), serial, changes: 0, complete: false, apex, nodes };
        zone.fix(&settings.zone);
        settings.glue().into_iter().for_each(|(name, _)| zone.fix(name));
        zone
    }

    /// The same records under other settings.
    pub(crate) fn with_settings(&self, settings: Settings) -> Self {
        let mut zone = Self::new(Arc::new(settings), self.serial.wrapping_add(1));
        zone.changes = self.changes.wrapping_add(1);
        zone.complete = self.complete;
        self.entries().for_each(|(name, sets)| zone.restore(name, sets.clone()));
        zone
    }

    fn fix(&mut self, name: &DnsName) {
        let key = wire::of_name(name);
        if !self.nodes.get(&key).is_some_and(|node| node.fixed) {
            self.count(&key, |below| below + 1);
        }
        let glue = self.glue(name);
        let node = self.nodes.entry(key).or_default();
        (node.fixed, node.sets) = (true, glue);
    }

    /// What is told of a name as long as nothing was written.
    fn glue(&self, name: &DnsName) -> Option<Sets> {
        let (_, addresses) = self.settings.glue().into_iter().find(|(server, _)| *server == name)?;
        Some(glue(&addresses)).filter(|sets| !sets.is_empty())
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
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&DnsName, &Sets)> {
        self.nodes.iter().filter_map(|(key, node)| Some((key.name(), node.written()?)))
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
        let before = self.nodes.get(&key).and_then(Node::written);
        let sets = self.sets_after(&key, before.map_or(&[], |sets| sets), changes, version)?;
        self.put(key, Some(sets.clone()).filter(|sets| !sets.is_empty()));
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
        // A name has one version.
        kept.iter_mut().for_each(|set| set.version = version.clone());
        kept.append(&mut written);
        Ok(kept.into())
    }

    /// Puts back what a state file has kept.
    pub(crate) fn restore(&mut self, name: &DnsName, sets: Sets) {
        self.put(wire::of_name(name), Some(sets));
    }

    fn put(&mut self, key: Key, sets: Option<Sets>) {
        let mut node = self.nodes.get(&key).cloned().unwrap_or_default();
        let (before, after) = (node.written || node.fixed, sets.is_some() || node.fixed);
        node.written = sets.is_some();
        node.sets = sets.or_else(|| if node.fixed { self.glue(key.name()) } else { None });
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
        if node.written || node.fixed || node.below > 0 {
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
                zone.put(wire::of_name(&name), create.then(|| sets(version)));
                if create {
                    written.insert(name, version);
                } else {
                    written.remove(&name);
                }
            }
            let question: DnsName = format!("{question}.z.test").parse().unwrap();
            let found = zone.find(wire::of_name(&question).octets()).map(|node| node.written().map(|sets| sets[0].version.clone()));
            prop_assert_eq!(found, model(&written, &question).map(|version| version.map(text)));
            prop_assert_eq!(zone.entries().count(), written.len());
            for name in written.into_keys() {
                zone.put(wire::of_name(&name), None);
            }
            prop_assert_eq!(zone.nodes.len(), 2, "nothing is left but the apex and ns1");
        }
    }
}
