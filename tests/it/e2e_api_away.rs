//! A member's API is no signal for its endpoints: they are in while they answer, and out when they do not.

use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

/// A frozen API is noticed by two requests in a row without an answer, after a quiet half minute at most.
const NOTICED: Duration = Duration::from_secs(45);
/// Pauses between attempts grow to 30 s.
const LIVE_AGAIN: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_killed_or_frozen_changes_nothing_until_its_endpoint_dies() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let mut daemon = Daemon::start(&fleet.conf()).await;
    let [in_west, mut in_east, mut other_west, other_east] = [(); 4].map(|()| Endpoint::on_port(5001));
    // Half of all endpoints, in both members, would be too many to be believed: these stay well.
    let [steady_west, steady_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let steady = NewService::new("default", "steady").port(5001);
    fleet.publish(&steady, &steady_west.ip().to_string(), &steady_east.ip().to_string()).await;
    let [west, east, west_2, east_2] =
        [&in_west, &in_east, &other_west, &other_east].map(|endpoint| endpoint.ip().to_string());
    for (service, west, east) in [("calculatorlb", &west, &east), ("shop", &west_2, &east_2)] {
        fleet.publish(&NewService::new("default", service).port(5001), west, east).await;
        let race = Race::start("published", BACK);
        both(&race, server, service, west, east).await;
    }

    fleet.east.kill_api();
    fleet.west.stop_api();
    let (calculator, shop) = (name("calculatorlb", ""), name("shop", ""));
    let away = Race::start("both APIs are said to be stale", NOTICED);
    let (all, all_2) = ([&*west, &*east], [&*west_2, &*east_2]);
    tokio::join!(
        dns::assert_stays(server, &calculator, "A", &all, NOTICED),
        dns::assert_stays(server, &shop, "A", &all_2, NOTICED),
        async {
            daemon.inventory_is("eastus", "stale", away.left()).await;
            daemon.inventory_is("westus", "stale", away.left()).await;
            away.done();
        },
    );
    let status = daemon.status().await;
    let fault = |name: &str| cluster(&status, name)["fault"].as_str().unwrap_or_default().to_owned();
    assert!(fault("eastus").contains(&fleet.east.url()), "{status:#}");
    assert!(fault("westus").contains(&fleet.west.url()), "{status:#}");

    tokio::task::block_in_place(|| (in_east.set(Mode::Refuse), other_west.set(Mode::Refuse)));
    let race = Race::start("dead endpoints of members without an API are out", REFUSED);
    without_east(&race, server, "calculatorlb", &west).await;
    race.answers(server, &shop, "A", &[&east_2]).await;
    race.answers(server, &name("shop", "westus"), "CNAME", &[&shop]).await;
    race.done();
    tokio::task::block_in_place(|| (in_east.recover(), other_west.recover()));
    let race = Race::start("endpoints of members without an API are back", BACK);
    both(&race, server, "calculatorlb", &west, &east).await;
    both(&race, server, "shop", &west_2, &east_2).await;
    race.done();

    fleet.west.cont_api();
    fleet.east.restart_api().await;
    let race = Race::start("both APIs are live again", LIVE_AGAIN);
    daemon.inventory_is("westus", "live", race.left()).await;
    daemon.inventory_is("eastus", "live", race.left()).await;
    race.done();
    both(&Race::start("nothing changed", BACK), server, "calculatorlb", &west, &east).await;
    // Live is more than a word: a change is seen.
    fleet.west.delete_service("default", "shop").await;
    fleet.east.delete_service("default", "calculatorlb").await;
    let race = Race::start("changes after the APIs are back", Duration::from_secs(5));
    race.answers(server, &shop, "A", &[&east_2]).await;
    race.answers(server, &calculator, "A", &[&west]).await;
    race.done();
    daemon.assert_running();
}
