//! A member that was rebuilt: the same address, and no objects.

use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, both};

/// Between two lists of which the second is believed.
const CONFIRM: Duration = Duration::from_secs(30);
/// For the new cluster to be noticed: a quiet watch is felt for after 15 s, pauses grow while its API is away.
const NOTICED: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_cluster_keeps_its_records_until_a_second_list_is_empty_too() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let daemon = Daemon::start(&fleet.conf()).await;
    let (in_west, in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
    let service = NewService::new("default", "calculatorlb").port(5001);
    fleet.publish(&service, &west, &east).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;

    fleet.east.rebuild().await;
    fleet.east.create_node("node-1", "eastus", "1").await;
    let race = Race::start("an empty list is doubted", NOTICED);
    let distrusted = |status: &serde_json::Value| {
        let fault = cluster(status, "eastus")["fault"].as_str().unwrap_or_default();
        fault.contains("misses 1 of 1 services")
    };
    daemon.status_shows("the doubt", race.left(), distrusted).await;
    race.done();
    // Less than the time between the lists by what it took to see the doubt.
    let all = [&*west, &*east];
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &all, CONFIRM - Duration::from_secs(5)).await;
    let race = Race::start("the second list is believed", Duration::from_secs(15));
    race.answers(server, &name("calculatorlb", ""), "A", &[&west]).await;
    for place in ["eastus", "1.eastus"] {
        race.answers(server, &name("calculatorlb", place), "A", &[]).await;
    }
    race.done();

    fleet.east.create_published(&service, &[&east]).await;
    let race = Race::start("the rebuilt cluster is watched", BACK);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.done();
}
