use proptest::prelude::*;

use super::*;
use crate::desired::address_verdict;
use crate::holders::Holders;
use fleetdns_core::probe::{ProbeSpec, UnprobeablePolicy};
use fleetdns_core::service::{ServiceKey, ServiceText};

fn published(name: &str, address: &str, probe: &str) -> Arc<Published> {
    Arc::new(Published {
        key: ServiceKey::new("default", name).unwrap(),
        service: ServiceText::default(),
        addresses: Some([address.parse().unwrap()].into()),
        hostnames: [].into(),
        shared: BTreeMap::new(),
        ttl: None,
        probe: Arc::new(probe.parse().unwrap()),
        routing: None,
        faults: Vec::new(),
    })
}

fn member(name: &str, services: &[(&str, &str, &str)]) -> MemberView {
    let services = services.iter().map(|(name, address, probe)| published(name, address, probe));
    MemberView {
        inventory: Inventory::Live,
        services: services.map(|service| (service.key.clone(), service)).collect(),
        ..MemberView::pending(name.parse().unwrap())
    }
}

fn key(address: &str) -> ProbeKey {
    ProbeKey { address: address.parse().unwrap(), spec: Arc::new(ProbeSpec::tcp(80)) }
}

fn judged(verdicts: &[(&str, &str)]) -> Health {
    let verdicts = verdicts.iter().map(|(address, verdict)| (key(address), verdict.parse().unwrap()));
    Health { verdicts: verdicts.collect(), ..Health::default() }
}

#[test]
fn one_endpoint_that_is_in_speaks_for_all() {
    let two = [("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80"), ("dns", "10.0.0.3", "cluster")];
    for (one, other, expected) in [
        ("healthy", "unhealthy", "in"),
        ("suspect", "unhealthy", "in"),
        ("healthy", "unknown", "in"),
        ("unknown", "unhealthy", "unknown"),
        ("unknown", "unknown", "unknown"),
        ("unhealthy", "recovering", "out"),
    ] {
        let health = judged(&[("10.0.0.1", one), ("10.0.0.2", other)]);
        assert_eq!(verdict(&member("west", &two), &health).as_str(), expected, "{one} {other}");
    }
}

#[test]
fn what_cannot_be_probed_has_no_say() {
    let none = [("a", "10.0.0.1", "none"), ("dns", "10.0.0.3", "cluster")];
    assert_eq!(verdict(&member("west", &none), &Health::default()), ClusterVerdict::Unprobed);
    let one = [("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80")];
    let mut health = judged(&[("10.0.0.1", "unhealthy")]);
    assert_eq!(verdict(&member("west", &one), &health), ClusterVerdict::Unknown);
    // From here nobody can tell: that must hide no death.
    health.unprobeable.insert(key("10.0.0.2"));
    assert_eq!(verdict(&member("west", &one), &health), ClusterVerdict::Out);
    health.unprobeable.insert(key("10.0.0.1"));
    health.verdicts.clear();
    assert_eq!(verdict(&member("west", &one), &health), ClusterVerdict::Unprobed);
    let removed = MemberView { inventory: Inventory::Removed, ..member("west", &one) };
    assert_eq!(verdict(&removed, &judged(&[("10.0.0.1", "healthy")])), ClusterVerdict::Unprobed);
}

#[test]
fn a_first_endpoint_that_nobody_serves_does_not_take_a_cluster_out() {
    let two = [("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80"), ("dns", "10.0.0.3", "cluster")];
    let mut west = MemberView { listed: true, ..member("west", &two) };
    let mut health = Health::default();
    let mut judge = |address: &str, verdict: &str| health.judge(key(address), verdict.parse().unwrap());
    judge("10.0.0.1", "unhealthy");
    judge("10.0.0.2", "unhealthy");
    judge("10.0.0.2", "recovering");
    assert_eq!(verdict(&west, &health), ClusterVerdict::Unknown);
    let mut judge = |address: &str, verdict: &str| health.judge(key(address), verdict.parse().unwrap());
    judge("10.0.0.2", "healthy");
    judge("10.0.0.2", "unhealthy");
    assert_eq!(verdict(&west, &health), ClusterVerdict::Out, "one of them is a death");
    health.forget(&key("10.0.0.2"));
    assert_eq!(verdict(&west, &health), ClusterVerdict::Unknown, "one has no verdict");
    health.judge(key("10.0.0.2"), Verdict::Unhealthy);
    west.listed = false;
    assert_eq!(
        verdict(&west, &health),
        ClusterVerdict::Out,
        "a zone had them: they were healthy before the start"
    );
}

#[test]
fn host_names_count_by_what_they_resolve_to() {
    let name = [("a", "lb.example.net", "tcp:80")];
    let mut health = judged(&[("10.0.0.1", "healthy"), ("10.0.0.2", "unhealthy")]);
    let mut resolves = |ips: &[&str]| {
        health.resolved.insert(
            "lb.example.net".parse().unwrap(),
            ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect(),
        );
        verdict(&member("west", &name), &health)
    };
    assert_eq!(resolves(&["10.0.0.1", "10.0.0.2"]), ClusterVerdict::In);
    assert_eq!(resolves(&["10.0.0.2"]), ClusterVerdict::Out);
    assert_eq!(resolves(&["10.0.0.2", "10.0.0.3"]), ClusterVerdict::Unknown);
    assert_eq!(resolves(&[]), ClusterVerdict::Unknown, "a new load balancer has no address yet");
    assert_eq!(verdict(&member("west", &name), &Health::default()), ClusterVerdict::Unknown);
    let never = Health {
        unresolvable: ["lb.example.net".parse().unwrap()].into_iter().collect(),
        ..Health::default()
    };
    assert_eq!(verdict(&member("west", &name), &never), ClusterVerdict::Unprobed);
}

proptest! {
    #[test]
    fn counting_what_changed_is_counting_everything(
        steps in proptest::collection::vec((0..2_usize, 0..3_usize, 0..4_u8, 0..7_usize, 0..4_usize), 1..60)
    ) {
        let names = ["a", "b", "c"];
        let verdicts = ["unknown", "healthy", "suspect", "unhealthy", "recovering"];
        let (mut snapshot, mut health) = (Snapshot::default(), Health::default());
        let (mut clusters, mut holders) = (Clusters::default(), Holders::default());
        for (at, service, address, what, inventory) in steps {
            let (old, judged, old_policy) = (snapshot.clone(), health.clone(), health.unprobeable_policy);
            let name: MemberName = ["west", "east"][at].parse().unwrap();
            let mut view = snapshot.members.get(&name).map_or_else(|| member(["west", "east"][at], &[]), |m| (**m).clone());
            let ip = format!("10.0.0.{address}");
            match what {
                0 if inventory == 3 => {
                    snapshot.members.remove(&name);
                    view.services.clear();
                }
                0 => drop(view.services.remove(&ServiceKey::new("default", names[service]).unwrap())),
                1 => {
                    let one = published(names[service], &ip, ["tcp:80", "cluster", "none", "tcp:80"][inventory]);
                    view.services.insert(one.key.clone(), one);
                }
                2 if inventory == 3 => view.inventory = Inventory::Removed,
                2 => view.inventory = Inventory::Stale,
                3 if inventory == 0 => drop(health.unprobeable.insert(key(&ip))),
                3 if inventory == 1 => health.unprobeable_policy = match health.unprobeable_policy {
                    UnprobeablePolicy::Hold => UnprobeablePolicy::Publish,
                    UnprobeablePolicy::Publish => UnprobeablePolicy::Hold,
                },
                4 => view.listed = inventory % 2 == 0,
                _ => health.judge(key(&ip), verdicts[(what + inventory) % 5].parse().unwrap()),
            }
            snapshot.members.insert(name, Arc::new(view));
            // A policy changes no Service.
            let names = if old_policy == health.unprobeable_policy { &names[..] } else { &[] };
            let all: Vec<ServiceKey> = names.iter().map(|name| ServiceKey::new("default", name).unwrap()).collect();
            // A service more than had to be counted does no harm.
            holders.update(&old, &snapshot);
            for key in &all {
                let had = snapshot.members.values().filter_map(|member| Some((&**member, member.services.get(key)?)));
                prop_assert!(holders.parts(&snapshot, key).eq(had), "{}", key);
            }
            let members: Vec<MemberName> = ["west", "east"].map(|name| name.parse().unwrap()).into();
            let places = members.iter().flat_map(|member| all.iter().map(move |key| (member, key))).collect();
            clusters.update((&old, &judged), (&snapshot, &health), &places);
            let kept = clusters.verdicts();
            for (name, view) in &snapshot.members {
                prop_assert_eq!(kept.get(name).copied().unwrap_or_default(), verdict(view, &health), "{}", name);
            }
            let shown = Health { clusters: kept, ..health.clone() };
            for view in snapshot.members.values() {
                let count = |verdict: Verdict| {
                    let addresses = view.services.values().flat_map(|service| {
                        service.addresses.iter().flatten().map(move |one| (one, &service.probe))
                    });
                    let each = addresses.map(|(one, probe)| address_verdict(&shown, &view.name, one, probe));
                    (verdict, each.filter(|one| *one == verdict).count())
                };
                prop_assert_eq!(clusters.addresses(&view.name), Verdict::ALL.map(count), "{}", &view.name);
            }
        }
    }
}
