//! What others do in the zone: their records are theirs, and ours stay ours.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etcd_client::Client;
use fleetdns_tests::conf::{FLEET, name};
use fleetdns_tests::daemon::{Daemon, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, both};
use crate::e2e_journey::keys;

const DRIFT: &str = "[brakes]\ndrift = 2s";
/// One reading of the zone, and room for a busy machine.
const MENDED: Duration = Duration::from_secs(8);

/// Where CoreDNS looks for a name.
pub(crate) fn key_of(name: &str) -> String {
    let labels: Vec<&str> = name.rsplit('.').collect();
    format!("/skydns/{}", labels.join("/"))
}

/// The key and value of one address.
async fn leaf(fleet: &mut Fleet, name: &str, address: &str) -> (String, String) {
    let below = key_of(name) + "/";
    let host = format!("\"host\":\"{address}\"");
    let all = keys(&mut fleet.dns).await;
    let found = all.iter().find(|(key, value)| key.starts_with(&below) && value.contains(&host));
    found.unwrap_or_else(|| panic!("no {host} below {below}: {all:#?}")).clone()
}

async fn revision(etcd: &mut Client, key: &str) -> i64 {
    let found = etcd.get(key, None).await.unwrap();
    found.kvs().first().unwrap_or_else(|| panic!("{key} is gone")).mod_revision()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_record_at_a_wanted_name_is_refused_visibly_and_untouched() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let mut etcd = fleet.dns.etcd().client().await;
    let global = name("calculatorlb", "");
    let regional = name("calculatorlb", "eastus");
    let by_hand = (key_of(&global), r#"{"host":"192.0.2.80","ttl":60}"#);
    // As external-dns writes an address: below the name, with its ownership as text.
    let by_external_dns = (
        key_of(&regional) + "/5dbf3a4c",
        r#"{"host":"192.0.2.81","text":"\"heritage=external-dns,external-dns/owner=default,external-dns/resource=service/default/web\"","ttl":60,"targetstrip":1}"#,
    );
    for (key, value) in [&by_hand, &by_external_dns] {
        etcd.put(key.as_str(), *value, None).await.unwrap();
    }
    let before = (revision(&mut etcd, &by_hand.0).await, revision(&mut etcd, &by_external_dns.0).await);

    let daemon = Daemon::start(&fleet.conf().more(DRIFT)).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    for service in ["calculatorlb", "shop"] {
        fleet.publish(&NewService::new("default", service).port(5001), &west, &east).await;
    }
    let race = Race::start("all other names go on", BACK);
    both(&race, server, "shop", &west, &east).await;
    for (place, address) in [("westus", &west), ("2.westus", &west), ("1.eastus", &east)] {
        race.answers(server, &name("calculatorlb", place), "A", &[address]).await;
    }
    race.done();
    let race = Race::start("the refusals are in status and log", BACK);
    for foreign in [&global, &regional] {
        let refused = |status: &serde_json::Value| {
            reasons(status, "refused", foreign).iter().any(|reason| reason.contains("foreign"))
        };
        daemon.status_shows(&format!("{foreign} as refused"), race.left(), refused).await;
    }
    race.done();
    let said = |log: &str, foreign: &str| {
        log.lines()
            .filter(|line| line.contains(&format!("name={foreign} ")) && line.contains("reason=foreign"))
            .count()
    };
    // While the Service is new its names may want a CNAME first and addresses then, and both are refused.
    let log = daemon.log();
    let before_log = [&global, &regional].map(|foreign| said(&log, foreign));
    assert!(before_log.iter().all(|times| *times > 0), "{log}");
    // Some readings of the zone later, nothing was touched and nothing was said again.
    dns::assert_stays(server, &global, "A", &["192.0.2.80"], MENDED).await;
    let after = (revision(&mut etcd, &by_hand.0).await, revision(&mut etcd, &by_external_dns.0).await);
    assert_eq!(before, after, "untouched");
    let log = daemon.log();
    assert_eq!([&global, &regional].map(|foreign| said(&log, foreign)), before_log, "nothing new: {log}");

    for (key, _) in [by_hand, by_external_dns] {
        etcd.delete(key, None).await.unwrap();
    }
    let race = Race::start("our records take the names that became free", MENDED);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.done();
    daemon
        .status_shows("no refusals", MENDED, |status| status["zones"][0]["refused"] == serde_json::json!([]))
        .await;
}

struct Edits<'a> {
    fleet: &'a mut Fleet,
    etcd: Client,
    server: SocketAddr,
    west: &'a str,
    east: &'a str,
}

impl Edits<'_> {
    async fn mended(&self, what: &str) {
        let race = Race::start(what, MENDED);
        both(&race, self.server, "calculatorlb", self.west, self.east).await;
        race.done();
    }

    async fn put(&mut self, key: &str, value: &str) {
        self.etcd.put(key, value, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hand_edits_of_our_records_are_undone() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let etcd = fleet.dns.etcd().client().await;
    let daemon = Daemon::start(&fleet.conf().more(DRIFT)).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let global = name("calculatorlb", "");
    let mut edits = Edits { fleet: &mut fleet, etcd, server, west: &west, east: &east };
    edits.mended("published").await;
    let good = keys(&mut edits.fleet.dns).await;

    let (key, value) = leaf(edits.fleet, &global, &east).await;
    edits.etcd.delete(&*key, None).await.unwrap();
    dns::wait_for(server, &global, "A", &[&west], MENDED).await;
    edits.mended("a value that was deleted").await;

    edits.put(&key, &value.replace("\"ttl\":30", "\"ttl\":3000")).await;
    edits.mended("a TTL that was changed").await;
    let at_30 = Race::start("the TTL", MENDED);
    fleetdns_tests::eventually("TTL 30", at_30.left(), Duration::from_millis(50), async || {
        let answer = dns::query(server, &global, "A").await.unwrap();
        let as_it_was = answer.answers.iter().all(|record| record.ttl == 30);
        if as_it_was { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;

    // Our own mark at the very key at which we would write this address.
    let IpAddr::V4(extra) = "203.0.113.99".parse().unwrap() else { unreachable!() };
    let extra_key = format!("{}/v4-{:08x}", key_of(&global), extra.to_bits());
    let mark = format!(
        r#"{{"host":"{extra}","ttl":30,"targetstrip":1,"owner":"{FLEET}","fleetdns":"v=1 owner={FLEET}"}}"#
    );
    edits.put(&extra_key, &mark).await;
    dns::wait_for(server, &global, "A", &[&west, &east, "203.0.113.99"], MENDED).await;
    edits.mended("a value that was added in our name").await;

    edits.put(&key, &value.replace(&east, "203.0.113.98")).await;
    dns::wait_for(server, &global, "A", &[&west, "203.0.113.98"], MENDED).await;
    edits.mended("a value that was changed").await;

    let after = keys(&mut edits.fleet.dns).await;
    // Which pass wrote it says nothing of a record.
    let said = |keys: Vec<(String, String)>| -> Vec<(String, String)> {
        let said = |value: String| value.split(" writer=").next().unwrap_or_default().to_owned();
        keys.into_iter().map(|(key, value)| (key, said(value))).collect()
    };
    assert_eq!(said(after), said(good), "to the byte");
    let log = daemon.log();
    assert!(!log.contains(" ERROR "), "{log}");
}
