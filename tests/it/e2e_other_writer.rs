//! Daemons that know nothing of each other and write one zone with the same owner.

use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, both, without_east};
use crate::e2e_replicas::Pair;

const SOON: Duration = Duration::from_secs(10);
const SERVICE: &str = "calculatorlb";
const OFTEN: &str = "[brakes]\ndrift = 2s\n";

fn told(says: &'static str) -> impl Fn(&serde_json::Value) -> bool {
    move |status| status["zones"][0]["other_writer"].as_str().unwrap_or_default().contains(says)
}

fn says_so(daemon: &Daemon) {
    assert!(daemon.log().contains("another daemon writes this zone with the same owner"));
    assert!(daemon.metrics().contains("\nfleetdns_zone_other_writer{zone=\"syncweek.com\"} 1.0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_daemons_with_one_owner_the_later_one_stops_and_both_say_so() {
    let fleet = Fleet::start().await;
    let conf = fleet.conf().more(OFTEN);
    let first = Daemon::start(&conf).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    both(&Race::start("published", BACK), fleet.server(), SERVICE, &west, &east).await;
    // Later, by the clock that they compare. It finds all as it should be: what it is told is its first write.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = Daemon::start(&conf).await;
    // Each is told something that the other undoes, until one of them stops.
    for (daemon, cluster) in [(&second, "westus"), (&first, "eastus")] {
        let drained = daemon.command(&["drain", cluster]).await;
        assert_eq!(drained.code, Some(0), "{drained:?}");
    }
    let soon = SOON * 2;
    second.status_shows("that it stops", soon, told("writes no more")).await;
    first.status_shows("that it goes on", soon, told("this one goes on")).await;
    [&first, &second].into_iter().for_each(says_so);
    let race = Race::start("what the first was told is in force", SOON);
    without_east(&race, fleet.server(), SERVICE, &west).await;
    fleetdns_tests::dns::assert_stays(
        fleet.server(),
        &name(SERVICE, ""),
        "A",
        &[&west],
        Duration::from_secs(10),
    )
    .await;
}

/// Whichever of them was there first: replicas follow each other, and a daemon without them has nobody to take over.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_replicas_gives_way_to_a_group_and_says_so() {
    let fleet = Fleet::start().await;
    let engine = Etcd::start("replicas").await;
    let alone = Daemon::start(&fleet.conf().more(OFTEN)).await;
    let ha = format!("etcd-endpoints = {}", engine.endpoint());
    let group = Pair::start(&fleet, &ha, OFTEN).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    both(&Race::start("published", BACK), fleet.server(), SERVICE, &west, &east).await;
    // Each is told something that the other undoes.
    let leader = &group.replicas[group.leader().await];
    for (daemon, cluster) in [(&alone, "westus"), (leader, "eastus")] {
        let drained = daemon.command(&["drain", cluster]).await;
        assert_eq!(drained.code, Some(0), "{drained:?}");
    }
    alone.status_shows("that it stops", SOON * 2, told("writes no more")).await;
    // The group says so too if it has seen two writes of the other before that stopped, which nobody can promise.
    says_so(&alone);
    let race = Race::start("what the group was told is in force", SOON);
    without_east(&race, fleet.server(), SERVICE, &west).await;
    let (name, span) = (name(SERVICE, ""), Duration::from_secs(10));
    fleetdns_tests::dns::assert_stays(fleet.server(), &name, "A", &[&west], span).await;
}
