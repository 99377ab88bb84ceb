//! Worlds, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Address, AllDown, Content, DnsName, NonEmpty, ObservedSet, Owner, RecordData, ServiceKey, Ttl,
};

use crate::drive::Driver;
use crate::fleet::{Member, Truth};
use crate::names;
use crate::network::{HostName, Life};
use crate::rng::Rng;
use crate::sim::Sim;

pub(crate) fn key(service: &str) -> ServiceKey {
    ServiceKey::new("default", service).unwrap()
}

/// The Service of a namespace with far more addresses than all others.
pub(crate) fn bulk() -> ServiceKey {
    ServiceKey::new("bulk", "s7").unwrap()
}

/// A Service that no member has until it is rolled out to all of them, broken.
pub(crate) fn broken() -> ServiceKey {
    ServiceKey::new("beta", "s8").unwrap()
}

impl Driver {
    /// Two to six members with one to four Services each.
    pub(crate) fn populate(&mut self) {
        let rng = &mut self.rng;
        let (members, services) = (rng.between(2, 6), rng.between(1, 4));
        let failover = rng.chance(25);
        let all_down = match rng.below(10) {
            0 => AllDown::Empty,
            1 => AllDown::All,
            _ => AllDown::Keep,
        };
        let min_kept = if rng.chance(15) { 2 } else { 1 };
        let mut sim = self.sim.lock().unwrap();
        sim.routing = if failover { Routing::Failover } else { Routing::All };
        sim.brakes.all_down = all_down;
        sim.brakes.min_kept = min_kept;
        sim.services = (0..services).map(|n| key(&format!("s{n}"))).collect();
        let others = ["shop", "pay"].into_iter().enumerate().filter(|_| rng.chance(40));
        sim.services
            .extend(others.map(|(n, namespace)| ServiceKey::new(namespace, &format!("s{}", 4 + n)).unwrap()));
        sim.net.no_v6 = rng.chance(15);
        sim.brakes.max_delete = if rng.chance(30) { 50 } else { 100 };
        let stillborn = rng.chance(30);
        for m in 0..members {
            let region = *rng.pick(&[None, Some("north"), Some("south")]).unwrap();
            let zone = region.and(*rng.pick(&[None, Some("1"), Some("2")]).unwrap());
            let api = format!("192.0.2.{}", m + 1).parse().unwrap();
            let priority = if failover { 10 * rng.between(1, 3) as u16 } else { 100 };
            let mut member = Member::new(&format!("m{m}"), region, zone, priority, api);
            for service in sim.services.clone() {
                if rng.chance(75) {
                    let truth = truth(rng, m, &service, &mut sim.net.names);
                    for ip in truth.addresses.iter().filter_map(Address::ip) {
                        if stillborn && rng.chance(30) {
                            sim.net.set(ip, if rng.chance(50) { Life::Silent } else { Life::Refuses });
                        }
                    }
                    member.services.insert(service, truth);
                }
            }
            sim.fleet.members.push(member);
        }
        if rng.chance(15) {
            for m in 0..members {
                if rng.chance(40) {
                    continue;
                }
                let count = rng.between(10, 120);
                let addresses = (0..count).map(|n| format!("10.{m}.0.{}", n + 1).parse().unwrap());
                sim.fleet.members[m as usize].services.insert(bulk(), Truth::of(addresses));
            }
            sim.services.insert(bulk());
        }
        sim.services.insert(broken());
        sim.names = names::all(&sim.fleet, &sim.services);
        let what = format!(
            "{members} members, {services} services, {failover} failover, {all_down:?}, kept {min_kept}"
        );
        sim.say(what);
        if rng.chance(30) {
            foreign(&mut sim, &"www-s0.example.com".parse().unwrap(), "A");
        }
        if rng.chance(30) {
            foreign(&mut sim, &"mail.example.com".parse().unwrap(), "A");
            foreign(&mut sim, &"s0.default.fed.svc.example.com".parse().unwrap(), "TXT");
        }
    }
}

pub(crate) fn truth(
    rng: &mut Rng,
    member: u64,
    service: &ServiceKey,
    hosts: &mut BTreeMap<DnsName, HostName>,
) -> Truth {
    let number = service.name().trim_start_matches('s').parse::<u64>().unwrap();
    let mut addresses = BTreeSet::new();
    for _ in 0..rng.between(1, 3) {
        let place = rng.below(4);
        let text = match rng.below(10) {
            0..6 => format!("203.0.{}.{}", 113 + member, number * 8 + place + 1),
            6 | 7 => format!("2001:db8:{member}::{number}{place}"),
            // One that several members share.
            8 => format!("198.51.100.{}", number + 1),
            _ => {
                let host = format!("lb-{member}-{number}.elb.example.net");
                let known = hosts.entry(host.parse().unwrap()).or_default();
                known.ips.insert(format!("198.18.{member}.{}", number + 1).parse().unwrap());
                host
            }
        };
        addresses.insert(text.parse().unwrap());
    }
    let asked = (number == 0).then(|| names::www(service)).into_iter().collect();
    Truth { asked, ..Truth::of(addresses) }
}

pub(crate) fn foreign(sim: &mut Sim, name: &DnsName, kind: &str) {
    let content = match kind {
        "A" => Content::Known(RecordData::A(NonEmpty::new(["198.51.100.1".parse().unwrap()]).unwrap())),
        other => Content::Other(other.into()),
    };
    let version = sim.zone.version();
    let set = ObservedSet { ttl: Ttl::DEFAULT, content, claim: Owner::Foreign, version };
    sim.foreign.entry(name.clone()).or_default().push(set.clone());
    sim.zone.observed.push(name.clone(), set);
}
