//! The clusters that all replicas watch, and what their probers see.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use fleetdns_core::{
    DnsName, Health, Ingress, Inventory, MemberView, Overrides, Port, ProbeKey, Published, Service, Snapshot,
    Verdict,
};
use fleetdns_planner::{PublishSettings, publish};

use super::world::World;

pub(crate) const MEMBERS: [&str; 3] = ["east", "north", "west"];
/// The name at which all members stand.
pub(super) const GLOBAL: &str = "web.default.fed.svc.example.com";

pub(super) fn addresses() -> impl Iterator<Item = IpAddr> {
    (0..MEMBERS.len() * 2).map(|number| format!("203.0.113.{}", number + 1).parse().unwrap())
}

pub(super) fn member_of(address: IpAddr) -> &'static str {
    let IpAddr::V4(ip) = address else { unreachable!() };
    MEMBERS[(usize::from(ip.octets()[3]) - 1) / 2]
}

pub(super) fn subjects(overrides: &Overrides) -> BTreeSet<String> {
    overrides.iter().map(|entry| entry.subject.to_string()).collect()
}

fn published(member: usize) -> Published {
    let apex: DnsName = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(apex.clone(), apex)],
        ..PublishSettings::default()
    };
    let of_member = addresses().filter(|address| member_of(*address) == MEMBERS[member]);
    let ingress = of_member.map(|ip| Ingress { ip: Some(ip.to_string()), hostname: None });
    let service = Service {
        namespace: "default".into(),
        name: "web".into(),
        ports: vec![Port { port: 80, protocol: "TCP".into() }],
        ingress: Some(ingress.collect()),
        ..Service::default()
    };
    publish(&service, &settings).unwrap()
}

pub(super) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (number, name) in MEMBERS.iter().enumerate() {
        let (name, published) = (name.parse::<fleetdns_core::MemberName>().unwrap(), published(number));
        let mut view = MemberView::pending(name.clone());
        (view.inventory, view.listed) = (Inventory::Live, true);
        view.services.insert(published.key.clone(), Arc::new(published));
        snapshot.members.insert(name, Arc::new(view));
    }
    snapshot
}

pub(super) fn health(world: &World) -> Health {
    let mut health = Health::default();
    for (number, _) in MEMBERS.iter().enumerate() {
        let published = published(number);
        for address in published.addresses.iter().flatten().filter_map(fleetdns_core::Address::ip) {
            let dead = world.dead.get(&address) == Some(&None)
                || (world.lies
                    && address
                        == published
                            .addresses
                            .iter()
                            .flatten()
                            .find_map(fleetdns_core::Address::ip)
                            .unwrap());
            let verdict = if dead { Verdict::Unhealthy } else { Verdict::Healthy };
            let key = ProbeKey { address, spec: Arc::clone(&published.probe) };
            health.verdicts.insert(key, verdict);
        }
    }
    health
}
