//! From host names to probe keys.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use fleetdns_core::{AddressPolicies, DnsName, ProbeKey, ProbeSpec};
use imbl::OrdSet;

/// Who wants which name, and what it resolves to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: HashMap<DnsName, Entry>,
    /// Which addresses may be probed.
    policies: Arc<AddressPolicies>,
}

#[derive(Debug, Default)]
struct Entry {
    specs: BTreeSet<Arc<ProbeSpec>>,
    addresses: OrdSet<IpAddr>,
    known: bool,
    /// Tries to resolve it that said nothing, while it never did.
    failed: u32,
}

/// Keys that are wanted now and were not, and the other way round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) desired: Vec<ProbeKey>,
    pub(crate) undesired: Vec<ProbeKey>,
}

impl Names {
    pub(crate) fn new(policies: Arc<AddressPolicies>) -> Self {
        Self { entries: HashMap::new(), policies }
    }

    /// Other addresses may be probed from now on. Returns the keys that follow, by name.
    pub(crate) fn set_policies(&mut self, policies: Arc<AddressPolicies>) -> Vec<(DnsName, Keys)> {
        let before = std::mem::replace(&mut self.policies, policies);
        let differing = self.entries.iter().map(|(name, Entry { specs, addresses, .. })| {
            let all = |policies| -> BTreeSet<ProbeKey> {
                specs.iter().flat_map(|spec| keys(policies, spec, addresses)).collect()
            };
            let (old, new) = (all(&before), all(&self.policies));
            let (desired, undesired) = (new.difference(&old), old.difference(&new));
            let keys = Keys { desired: desired.cloned().collect(), undesired: undesired.cloned().collect() };
            (name.clone(), keys)
        });
        differing.collect()
    }

    /// Why some of the addresses of a name may not be used; `None` when all may.
    pub(crate) fn denied(&self, name: &DnsName, addresses: &OrdSet<IpAddr>) -> Option<String> {
        let entry = self.entries.get(name)?;
        let checked = addresses.iter().flat_map(|address| {
            entry.specs.iter().filter_map(|spec| self.policies.check(*address, spec).err())
        });
        checked.map(|denied| denied.to_string()).next()
    }

    /// A name is wanted with a probe. Returns whether the name is new, and the keys that follow.
    pub(crate) fn want(&mut self, name: &DnsName, spec: &Arc<ProbeSpec>) -> (bool, Vec<ProbeKey>) {
        let new = !self.entries.contains_key(name);
        let entry = self.entries.entry(name.clone()).or_default();
        entry.specs.insert(Arc::clone(spec));
        (new, keys(&self.policies, spec, &entry.addresses))
    }

    /// The opposite. Returns whether nobody wants the name any more.
    pub(crate) fn unwant(&mut self, name: &DnsName, spec: &Arc<ProbeSpec>) -> (bool, Vec<ProbeKey>) {
        let Some(entry) = self.entries.get_mut(name) else { return (false, Vec::new()) };
        entry.specs.remove(spec);
        let (gone, keys) = (entry.specs.is_empty(), keys(&self.policies, spec, &entry.addresses));
        if gone {
            self.entries.remove(name);
        }
        (gone, keys)
    }

    /// The keys that a name stands for with a probe.
    pub(crate) fn keys(&self, name: &DnsName, spec: &Arc<ProbeSpec>) -> Vec<ProbeKey> {
        self.entries.get(name).map(|entry| keys(&self.policies, spec, &entry.addresses)).unwrap_or_default()
    }

    /// A name was not resolved. Returns how often, as long as it never was.
    pub(crate) fn failed(&mut self, name: &DnsName) -> u32 {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| !entry.known) else { return 0 };
        entry.failed = entry.failed.saturating_add(1);
        entry.failed
    }

    /// What a name resolves to now; `None` when that is what it was before, or when nobody wants the name.
    pub(crate) fn resolved(&mut self, name: &DnsName, addresses: &OrdSet<IpAddr>) -> Option<Keys> {
        let entry = self.entries.get_mut(name)?;
        if entry.known && entry.addresses == *addresses {
            return None;
        }
        entry.known = true;
        let old = std::mem::replace(&mut entry.addresses, addresses.clone());
        let added = addresses.clone().relative_complement(old.clone());
        let removed = old.relative_complement(addresses.clone());
        let policies = &self.policies;
        let all =
            |ips: &OrdSet<IpAddr>| entry.specs.iter().flat_map(|spec| keys(policies, spec, ips)).collect();
        Some(Keys { desired: all(&added), undesired: all(&removed) })
    }
}

fn keys(policies: &AddressPolicies, spec: &Arc<ProbeSpec>, addresses: &OrdSet<IpAddr>) -> Vec<ProbeKey> {
    if !spec.is_probed() {
        return Vec::new();
    }
    let allowed = addresses.iter().filter(|address| policies.check(**address, spec).is_ok());
    allowed.map(|address| ProbeKey { address: *address, spec: Arc::clone(spec) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    fn addresses(list: &[&str]) -> OrdSet<IpAddr> {
        list.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect()
    }

    #[test]
    fn each_address_of_a_name_is_a_key_for_each_probe() {
        let mut names = Names::default();
        let name: DnsName = "lb.example.com".parse().unwrap();
        let spec = |text: &str| Arc::new(text.parse::<ProbeSpec>().unwrap());
        assert_eq!(names.want(&name, &spec("tcp:80")), (true, vec![]));
        assert_eq!(names.want(&name, &spec("none")), (false, vec![]));
        let keys = names.resolved(&name, &addresses(&["10.0.0.1", "10.0.0.2"])).unwrap();
        assert_eq!(keys.desired, [key("10.0.0.1", "tcp:80"), key("10.0.0.2", "tcp:80")]);
        let keys = names.resolved(&name, &addresses(&["10.0.0.2", "10.0.0.3"])).unwrap();
        assert_eq!(keys.desired, [key("10.0.0.3", "tcp:80")]);
        assert_eq!(keys.undesired, [key("10.0.0.1", "tcp:80")]);
        assert_eq!(names.resolved(&name, &addresses(&["10.0.0.2", "10.0.0.3"])), None);
        assert_eq!(
            names.want(&name, &spec("tcp:81")).1,
            [key("10.0.0.2", "tcp:81"), key("10.0.0.3", "tcp:81")]
        );
        assert_eq!(
            names.unwant(&name, &spec("tcp:80")),
            (false, vec![key("10.0.0.2", "tcp:80"), key("10.0.0.3", "tcp:80")])
        );
        assert!(!names.unwant(&name, &spec("none")).0);
        assert!(names.unwant(&name, &spec("tcp:81")).0);
        assert_eq!(names.resolved(&name, &addresses(&[])), None);
    }

    #[test]
    fn the_first_answer_is_news_even_when_it_is_empty() {
        let mut names = Names::default();
        let name: DnsName = "lb.example.com".parse().unwrap();
        names.want(&name, &Arc::new(ProbeSpec::NONE));
        assert_eq!(names.resolved(&name, &addresses(&[])), Some(Keys::default()));
        assert_eq!(names.resolved(&name, &addresses(&[])), None);
    }
}
