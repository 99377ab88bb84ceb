//! The section `[ha]`.

use super::*;
use crate::config::HaEngine;

const TWO: &str = "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\nns = ns1.example.com\n\
                   [cluster \"a\"]\nkubeconfig = /a\n[cluster \"b\"]\nkubeconfig = /b\n[ha]\n";

fn engine(keys: &str) -> HaEngine {
    case(&format!("{TWO}{keys}")).config().ha.unwrap().engine
}

#[test]
fn replicas_elect_a_leader_in_a_cluster_or_in_etcd() {
    let HaEngine::Lease { cluster, namespace, name } = engine("lease = ns/fleet.dns\ncluster = b") else {
        panic!()
    };
    assert_eq!((cluster.as_str(), &*namespace, &*name), ("b", "ns", "fleet.dns"));
    let HaEngine::Etcd(keys) = engine("etcd-endpoints = http://a:2379\nreplica = dns-1") else { panic!() };
    assert_eq!(keys.get("etcd-endpoints"), Some("http://a:2379"));
    let one = case(&format!("{BASE}[ha]\nlease = ns/x\nlease-time = 30s\n")).config().ha.unwrap();
    assert_eq!((one.lease_time.as_secs(), one.replica), (30, None));
    assert!(matches!(one.engine, HaEngine::Lease { .. }), "one cluster need not be named");
    assert_eq!(case(BASE).config().ha, None);
}

#[test]
fn what_cannot_elect_a_leader_is_refused() {
    for (keys, expected) in [
        ("replica = x", "dns.conf:10: [ha] lease: is missing"),
        ("lease = ns/x", "dns.conf:10: [ha] cluster: is missing"),
        ("lease = ns/x\ncluster = c", "dns.conf:12: [ha] cluster: no cluster 'c'"),
        ("lease = x\ncluster = a", "dns.conf:11: [ha] lease: 'x' is not NAMESPACE/NAME"),
        (
            "lease = ns/x\ncluster = a\netcd-endpoints = http://a:1",
            "dns.conf:11: [ha] lease: cannot stand beside the keys of etcd",
        ),
        ("etcd-endpoints = http://a:1\ncluster = a", "dns.conf:12: [ha] cluster: belongs to lease"),
        ("etcd-endpoints = ftp://a", "dns.conf:11: [ha] etcd-endpoints: has the scheme 'ftp'"),
        ("lease = ns/x\ncluster = a\nlease-time = 1s", "dns.conf:13: [ha] lease-time: 1s is out of bounds"),
        ("lease = ns/x\ncluster = a\nreplica = a b", "dns.conf:13: [ha] replica: 'a b' is not a name"),
    ] {
        case(&format!("{TWO}{keys}")).faults(&[expected]);
    }
}

/// A kubeconfig at another place may be that of another API server.
#[test]
fn another_way_to_the_cluster_that_has_the_lease_takes_effect_at_the_next_start() {
    let config = |text: &str, engine: &str| case(&format!("{text}{engine}")).config();
    let at_restart = |from: &str, to: &str, engine: &str| {
        config(TWO, engine).at_restart(&config(&TWO.replace(from, to), engine))
    };
    let lease = "lease = ns/x\ncluster = b";
    assert_eq!(at_restart("= /b", "= /c", lease), ["[cluster \"b\"] for the lease of [ha]"]);
    assert!(at_restart("= /a", "= /c", lease).is_empty(), "the other cluster is taken up at once");
    assert!(at_restart("= /b", "= /c", "etcd-endpoints = http://a:2379").is_empty());
}
