//! The daemon ends and starts again: nothing that works is lost, and nothing that is dead stays.

use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};
use crate::e2e_journey::keys;

/// How long start-up waits for a member, here.
const STARTUP: Duration = Duration::from_secs(5);

struct Scene {
    fleet: Fleet,
    conf: Conf,
    daemon: Daemon,
    server: SocketAddr,
    /// West's endpoint only has to be there.
    _in_west: Endpoint,
    in_east: Endpoint,
    west: String,
    east: String,
}

async fn published() -> Scene {
    let fleet = Fleet::start().await;
    let conf = fleet.conf().more("[brakes]\nstartup-timeout = 5s");
    let daemon = Daemon::start(&conf).await;
    let server = fleet.server();
    let (in_west, in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;
    Scene { fleet, conf, daemon, server, _in_west: in_west, in_east, west, east }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_started_while_an_api_is_away_adopts_what_answers() {
    let Scene { mut fleet, conf: _, mut daemon, server, _in_west, mut in_east, west, east } =
        published().await;
    let (global, zonal) = (name("calculatorlb", ""), name("calculatorlb", "1.eastus"));

    daemon.kill();
    fleet.east.kill_api();
    daemon.start_again();
    let (all, mine) = ([&*west, &*east], [&*east]);
    let span = STARTUP + Duration::from_secs(10);
    tokio::join!(
        dns::assert_stays(server, &global, "A", &all, span),
        dns::assert_stays(server, &zonal, "A", &mine, span),
        async {
            let took = daemon.ready(STARTUP + Duration::from_secs(5)).await;
            eprintln!("ready without the API of one member: {took:.2?} (start-up waits {STARTUP:?})");
        },
    );
    let status = daemon.status().await;
    let adopted = cluster(&status, "eastus");
    assert_eq!((&adopted["inventory"], &adopted["services"]), (&"stale".into(), &1.into()), "{status:#}");
    assert_eq!(adopted["region"], "eastus", "{status:#}");

    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("an adopted endpoint dies", REFUSED);
    without_east(&race, server, "calculatorlb", &west).await;
    race.done();
    tokio::task::block_in_place(|| in_east.recover());
    let race = Race::start("an adopted endpoint returns", BACK);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.done();

    // The same with an endpoint that died while nobody looked.
    daemon.kill();
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    daemon.start_again();
    let race = Race::start("out after the start: nobody lists it and it does not answer", STARTUP + REFUSED);
    without_east(&race, server, "calculatorlb", &west).await;
    race.done();
    tokio::task::block_in_place(|| in_east.recover());
    let race = Race::start("back, though its member was never listed", BACK);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.done();

    fleet.east.restart_api().await;
    let race = Race::start("the member is live again", Duration::from_secs(40));
    daemon.inventory_is("eastus", "live", race.left()).await;
    race.done();
    both(&Race::start("nothing changed", BACK), server, "calculatorlb", &west, &east).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_left_the_config_leaves_the_zone() {
    let Scene { mut fleet, conf, mut daemon, server, _in_west, in_east: _in_east, west, east } =
        published().await;
    // A Service of that member alone goes whole.
    let alone = NewService::new("default", "alone").port(5001);
    fleet.east.create_published(&alone, &[&east]).await;
    dns::wait_for(server, &name("alone", "1.eastus"), "A", &[&east], BACK).await;

    daemon.restart_with(&conf.clone().without("eastus")).await;
    let race = Race::start("a removed member's names are gone", Duration::from_secs(10));
    race.answers(server, &name("calculatorlb", ""), "A", &[&west]).await;
    for place in ["eastus", "1.eastus"] {
        race.answers(server, &name("calculatorlb", place), "A", &[]).await;
    }
    for place in ["", "eastus", "1.eastus"] {
        race.answers(server, &name("alone", place), "A", &[]).await;
    }
    race.done();
    let left = keys(&mut fleet.dns).await;
    assert!(
        left.len() == 4 && left.iter().all(|(key, value)| !format!("{key}{value}").contains("east")),
        "{left:#?}"
    );

    daemon.restart_with(&conf).await;
    let race = Race::start("a member that is configured again is back", BACK);
    both(&race, server, "calculatorlb", &west, &east).await;
    race.answers(server, &name("alone", "1.eastus"), "A", &[&east]).await;
    race.done();
}
