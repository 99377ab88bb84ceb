//! The zone's own server is away: nothing is lost, and what was missed is made up for.

use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE};
use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, both};

const AWAY: Duration = Duration::from_secs(30);
/// A write returns after 5 s, and so does the reading that follows it.
const NOTICED: Duration = Duration::from_secs(15);
/// Pauses between attempts grow to 30 s, and an attempt may just have begun.
const MADE_UP: Duration = Duration::from_secs(40);

fn fault(status: &serde_json::Value) -> &str {
    status["zones"][0]["fault"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_freezes_or_dies_for_half_a_minute_loses_nothing() {
    let fleet = Fleet::start().await;
    // Each kind of outage has a CoreDNS and a daemon of its own.
    let (mut frozen, mut killed) = tokio::join!(CoreDns::with_etcd(&[ZONE]), CoreDns::with_etcd(&[ZONE]));
    let conf = |dns: &CoreDns| -> Conf {
        Conf::new(&dns.etcd_endpoint())
            .cluster("westus", &fleet.west.kubeconfig())
            .cluster("eastus", &fleet.east.kubeconfig())
    };
    let (conf_1, conf_2) = (conf(&frozen), conf(&killed));
    let (mut of_frozen, mut of_killed) = tokio::join!(Daemon::start(&conf_1), Daemon::start(&conf_2));
    let [in_west, in_east, moved] = [(); 3].map(|()| Endpoint::on_port(5001));
    let [west, east, new] = [&in_west, &in_east, &moved].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    for dns in [&frozen, &killed] {
        both(&Race::start("published", BACK), dns.address(), "calculatorlb", &west, &east).await;
    }

    frozen.stop_etcd();
    killed.kill_etcd();
    let outage = Race::start("etcd is away", AWAY);
    fleet.east.patch_status("default", "calculatorlb", &[&new]).await;
    for (daemon, endpoint) in [(&of_frozen, frozen.etcd_endpoint()), (&of_killed, killed.etcd_endpoint())] {
        let what = format!("what is wrong with {endpoint}");
        daemon.status_shows(&what, NOTICED, |status| fault(status).contains(&endpoint)).await;
    }
    tokio::time::sleep(outage.left()).await;

    frozen.cont_etcd();
    killed.restart_etcd().await;
    let race = Race::start("the change that was made meanwhile lands", MADE_UP);
    for dns in [&frozen, &killed] {
        both(&race, dns.address(), "calculatorlb", &west, &new).await;
    }
    race.done();
    for daemon in [&mut of_frozen, &mut of_killed] {
        daemon.assert_running();
        daemon.status_shows("no fault", NOTICED, |status| fault(status).is_empty()).await;
        let log = daemon.log();
        let (failed, restored) = (log.matches("zone access failed"), log.matches("zone access restored"));
        assert!(
            (1..=4).contains(&failed.count()),
            "an outage is said once for each thing that is wrong: {log}"
        );
        // Once for reading and once for writing, where both failed.
        assert!((1..=2).contains(&restored.count()), "{log}");
    }
}
