//! A zone behind external-dns's own webhook server.

use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::eventually;
use fleetdns_tests::external_dns::ExternalDns;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;

const WRITTEN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// The addresses of the global name.
async fn holds(hook: &ExternalDns, expected: &[&str]) {
    let global = name("calculatorlb", "");
    eventually("the record", WRITTEN, PAUSE, async || {
        let record = hook.get(&global, "A").await.unwrap_or_default();
        let targets: Vec<&str> =
            record["targets"].as_array().into_iter().flatten().filter_map(|target| target.as_str()).collect();
        let same = targets.len() == expected.len() && expected.iter().all(|target| targets.contains(target));
        if same { Ok(()) } else { Err(record.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_behind_a_webhook_is_checked_and_kept() {
    let fleet = Fleet::start().await;
    let mut hook = ExternalDns::with_zone(ZONE).await;
    let conf = Conf::with_zone(&format!("provider = webhook\nurl = {}\n", hook.url))
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more("[brakes]\ndrift = 1s\n");
    let daemon = Daemon::start(&conf).await;
    let check = daemon.command(&["check"]).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    for part in ["serves syncweek.com", "lists 0 record sets", "A, AAAA, CNAME and TXT", "no conditions"] {
        assert!(check.out.contains(part), "no {part:?} in: {}", check.out);
    }

    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    holds(&hook, &[&west, &east]).await;
    let mark = hook.get(&format!("_fleetdns.{}", name("calculatorlb", "")), "TXT").await.unwrap();
    assert!(mark.to_string().contains("owner=myfederation service=default/calculatorlb"), "{mark}");

    // An edit by hand is undone.
    hook.change(&name("calculatorlb", ""), "A", |targets| *targets = vec!["203.0.113.98".into()]).await;
    holds(&hook, &[&west, &east]).await;

    hook.process().kill();
    let check = daemon.command(&["check"]).await;
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(check.out.contains(&format!("FAIL  zone {ZONE}: {} does not answer", hook.url)), "{}", check.out);
    let log = daemon.log();
    assert!(!log.contains(" ERROR "), "{log}");
}
