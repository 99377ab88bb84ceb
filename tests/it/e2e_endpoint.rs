//! What people gave Kubefed's DNS up for: an endpoint dies, and DNS notices.

use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

/// DESIGN's budgets: three probes in a row fail, each at its deadline where nothing is refused.
pub(crate) const REFUSED: Duration = Duration::from_secs(10);
pub(crate) const SILENT: Duration = Duration::from_secs(12);
/// Two probes in a row that pass.
pub(crate) const BACK: Duration = Duration::from_secs(10);
/// Who goes out for the second time within ten minutes flaps: 32 probes in a row, 2 s apart.
const BACK_FROM_FLAPPING: Duration = Duration::from_secs(75);

/// `service` is served by `west` and `east` at each level.
pub(crate) async fn both(race: &Race, server: SocketAddr, service: &str, west: &str, east: &str) {
    race.answers(server, &name(service, ""), "A", &[west, east]).await;
    for (place, address) in
        [("westus", west), ("1.westus", west), ("2.westus", west), ("eastus", east), ("1.eastus", east)]
    {
        race.answers(server, &name(service, place), "CNAME", &[]).await;
        race.answers(server, &name(service, place), "A", &[address]).await;
    }
}

/// `service` is served by `west` alone, and the names of `eastus` lead there.
pub(crate) async fn without_east(race: &Race, server: SocketAddr, service: &str, west: &str) {
    race.answers(server, &name(service, ""), "A", &[west]).await;
    race.answers(server, &name(service, "eastus"), "CNAME", &[&name(service, "")]).await;
    race.answers(server, &name(service, "1.eastus"), "CNAME", &[&name(service, "eastus")]).await;
    // CoreDNS follows the chain for who asks for addresses.
    for place in ["eastus", "1.eastus", "westus", "1.westus", "2.westus"] {
        race.answers(server, &name(service, place), "A", &[west]).await;
    }
}

async fn breaks_and_recovers(fleet: &Fleet, service: &str, probe: &str, mode: Mode, budget: Duration) {
    let server = fleet.server();
    let (in_west, mut in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
    let object = NewService::new("default", service).port(5001).annotation("fleetdns.io/probe", probe);
    fleet.publish(&object, &west, &east).await;
    let race = Race::start(&format!("{service}: published"), Duration::from_secs(10));
    both(&race, server, service, &west, &east).await;
    race.done();
    for (round, back) in [("first", BACK), ("second", BACK_FROM_FLAPPING)] {
        tokio::task::block_in_place(|| in_east.set(mode));
        let race = Race::start(&format!("{service}: out, the {round} time"), budget);
        without_east(&race, server, service, &west).await;
        race.done();

        tokio::task::block_in_place(|| in_east.recover());
        let race = Race::start(&format!("{service}: back, the {round} time"), back);
        both(&race, server, service, &west, &east).await;
        race.done();
    }
    if probe == "http" {
        let hosts = in_east.hosts();
        assert!(
            !hosts.is_empty() && hosts.iter().all(|host| host.starts_with(&name(service, ""))),
            "{hosts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_out_within_the_budget_and_returns() {
    let fleet = Fleet::start().await;
    let mut daemon = Daemon::start(&fleet.conf()).await;
    // Side by side: one that dies does not delay another.
    tokio::join!(
        breaks_and_recovers(&fleet, "refused", "tcp", Mode::Refuse, REFUSED),
        breaks_and_recovers(&fleet, "black-holed", "tcp", Mode::BlackHole, SILENT),
        breaks_and_recovers(&fleet, "hung", "http", Mode::Hang, SILENT),
        breaks_and_recovers(&fleet, "failing", "http", Mode::Status(503), REFUSED),
    );
    daemon.assert_running();
}
