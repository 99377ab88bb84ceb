//! The journey of the Kubefed guide, from an unchanged Service to the last record that goes with it.

use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::coredns::{CoreDns, ETCD_PATH};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use hickory_proto::op::ResponseCode;

use crate::e2e_endpoint::{both, without_east};

/// From a change in a member to CoreDNS's answer: milliseconds, and room for a busy machine.
const CHANGE: Duration = Duration::from_secs(5);

pub(crate) const CALCULATORLB: &str = include_str!("calculatorlb.yaml");

/// All keys that CoreDNS may answer from.
pub(crate) async fn keys(dns: &mut CoreDns) -> Vec<(String, String)> {
    let mut etcd = dns.etcd().client().await;
    let all = etcd_client::GetOptions::new().with_prefix();
    let found = etcd.get(ETCD_PATH, Some(all)).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    found.kvs().iter().map(|pair| (text(pair.key()), text(pair.value()))).collect()
}

async fn assert_ttl(server: SocketAddr, name: &str, record_type: &str, ttl: u32) {
    let answer = dns::query(server, name, record_type).await.unwrap();
    assert!(!answer.answers.is_empty(), "{name} {record_type}: {answer}");
    assert!(answer.answers.iter().all(|record| record.ttl == ttl), "{name} {record_type}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calculatorlb_is_at_each_level_and_all_of_it_goes_with_it() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let mut etcd = fleet.dns.etcd().client().await;
    let foreign = ("/skydns/com/syncweek/www/x1", r#"{"host":"192.0.2.80","ttl":60}"#);
    etcd.put(foreign.0, foreign.1, None).await.unwrap();
    let daemon = Daemon::start(&fleet.conf()).await;
    let (in_west, in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());

    // Without a load balancer there is nothing to publish; with one of two, that one is.
    tokio::join!(fleet.west.apply_yaml(CALCULATORLB), fleet.east.apply_yaml(CALCULATORLB));
    fleet.west.patch_status("default", "calculatorlb", &[&west]).await;
    let race = Race::start("the first member's address", CHANGE);
    without_east(&race, server, "calculatorlb", &west).await;
    race.done();
    assert_ttl(server, &name("calculatorlb", "1.eastus"), "A", 30).await;

    fleet.east.patch_status("default", "calculatorlb", &[&east]).await;
    let race = Race::start("both members' addresses at each level", CHANGE);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.done();
    for place in ["", "westus", "1.westus", "2.westus", "eastus", "1.eastus"] {
        assert_ttl(server, &name("calculatorlb", place), "A", 30).await;
    }
    let records = daemon.records().await;
    assert_eq!(records.as_array().unwrap().len(), 6, "{records:#}");

    dual_stack(&fleet, server).await;
    emptied_in_east(&fleet, server, (&west, &east)).await;
    deleted(&mut fleet, server, &west).await;

    let left = keys(&mut fleet.dns).await;
    assert_eq!(
        left,
        [(foreign.0.to_owned(), foreign.1.to_owned())],
        "all of ours has gone, and nothing else"
    );
    let log = daemon.log();
    assert!(!log.contains(" ERROR ") && !log.contains(" WARN "), "nothing was wrong: {log}");
}

/// A and AAAA side by side, and in one member only.
async fn dual_stack(fleet: &Fleet, server: SocketAddr) {
    let dual = NewService::new("default", "dual").port(443).annotation("fleetdns.io/probe", "none");
    fleet.west.create_published(&dual, &["203.0.113.10", "2001:db8::10"]).await;
    fleet.east.create_published(&dual, &["203.0.113.20"]).await;
    let race = Race::start("A and AAAA of a dual-stack Service", CHANGE);
    race.answers(server, &name("dual", ""), "A", &["203.0.113.10", "203.0.113.20"]).await;
    race.answers(server, &name("dual", ""), "AAAA", &["2001:db8::10"]).await;
    for place in ["westus", "1.westus", "2.westus"] {
        race.answers(server, &name("dual", place), "AAAA", &["2001:db8::10"]).await;
        race.answers(server, &name("dual", place), "A", &["203.0.113.10"]).await;
    }
    race.answers(server, &name("dual", "eastus"), "AAAA", &[]).await;
    race.done();
    assert_ttl(server, &name("dual", ""), "AAAA", 30).await;

    for member in [&fleet.west, &fleet.east] {
        member.delete_service("default", "dual").await;
    }
    let race = Race::start("a deleted dual-stack Service", CHANGE);
    race.answers(server, &name("dual", ""), "AAAA", &[]).await;
    race.answers(server, &name("dual", ""), "A", &[]).await;
    race.done();
}

/// A Service without an address in a region: its names lead to where there is one.
async fn emptied_in_east(fleet: &Fleet, server: SocketAddr, (west, east): (&str, &str)) {
    fleet.east.delete_service("default", "calculatorlb").await;
    fleet.east.apply_yaml(CALCULATORLB).await;
    let race = Race::start("the CNAME chain of a region without an address", CHANGE);
    without_east(&race, server, "calculatorlb", west).await;
    race.done();

    fleet.east.patch_status("default", "calculatorlb", &[east]).await;
    let race = Race::start("the region's address is back", CHANGE);
    both(&race, server, "calculatorlb", west, east).await;
    race.done();
}

async fn deleted(fleet: &mut Fleet, server: SocketAddr, west: &str) {
    fleet.east.delete_service("default", "calculatorlb").await;
    let race = Race::start("a Service deleted in one member", CHANGE);
    race.answers(server, &name("calculatorlb", ""), "A", &[west]).await;
    for place in ["eastus", "1.eastus"] {
        race.answers(server, &name("calculatorlb", place), "A", &[]).await;
    }
    race.done();
    let gone = dns::query(server, &name("calculatorlb", "1.eastus"), "A").await.unwrap();
    assert_eq!(gone.rcode, ResponseCode::NXDomain, "{gone}");
    dns::wait_for(server, &name("calculatorlb", "2.westus"), "A", &[west], CHANGE).await;

    fleet.west.delete_service("default", "calculatorlb").await;
    let race = Race::start("a Service deleted in both members", CHANGE);
    for place in ["", "westus", "1.westus", "2.westus"] {
        race.answers(server, &name("calculatorlb", place), "A", &[]).await;
    }
    race.done();
}
