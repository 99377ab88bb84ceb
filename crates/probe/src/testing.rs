//! Fleets for tests, from a few words.

use std::sync::Arc;

use fleetdns_core::member::{MemberView, Snapshot};
use fleetdns_core::{Inventory, MemberName, ProbeKey, Published, ServiceKey, ServiceText, Target};

pub(crate) mod tls;

/// Name (`default/` unless it says another namespace), address and probe of a service.
pub(crate) type Words<'a> = (&'a str, &'a str, &'a str);

fn key_of(name: &str) -> ServiceKey {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    // An address or a host name will do as a name too.
    ServiceKey::new(namespace, &name.replace(['.', ':'], "-")).unwrap()
}

pub(crate) fn published((name, address, probe): Words<'_>) -> Published {
    Published {
        key: key_of(name),
        service: ServiceText::default(),
        addresses: Some([address.parse().unwrap()].into()),
        hostnames: [].into(),
        shared: [].into(),
        ttl: None,
        probe: Arc::new(probe.parse().unwrap()),
        routing: None,
        faults: Vec::new(),
    }
}

pub(crate) fn member(name: &str, services: &[Words<'_>]) -> MemberView {
    let services = services.iter().map(|words| published(*words));
    MemberView {
        inventory: Inventory::Live,
        listed: true,
        services: services.map(|service| (service.key.clone(), Arc::new(service))).collect(),
        ..MemberView::pending(name.parse().unwrap())
    }
}

pub(crate) fn fleet(members: &[MemberView]) -> Snapshot {
    Snapshot {
        members: members.iter().map(|member| (member.name.clone(), Arc::new(member.clone()))).collect(),
    }
}

fn change(snapshot: &mut Snapshot, member: &str, change: impl FnOnce(&mut MemberView)) {
    let member = snapshot.members.get_mut(&member.parse::<MemberName>().unwrap()).unwrap();
    change(Arc::make_mut(member));
}

pub(crate) fn put_service(snapshot: &mut Snapshot, member: &str, words: Words<'_>) {
    let service = published(words);
    change(snapshot, member, |member| {
        member.services.insert(service.key.clone(), Arc::new(service));
    });
}

pub(crate) fn drop_service(snapshot: &mut Snapshot, member: &str, name: &str) {
    change(snapshot, member, |member| {
        member.services.remove(&key_of(name));
    });
}

pub(crate) fn targets_of(targets: &[Target]) -> Vec<String> {
    let mut texts: Vec<String> = targets.iter().map(|t| format!("{} {}", t.address, t.spec)).collect();
    texts.sort();
    texts
}

pub(crate) fn key(address: &str, probe: &str) -> ProbeKey {
    ProbeKey { address: address.parse().unwrap(), spec: Arc::new(probe.parse().unwrap()) }
}
