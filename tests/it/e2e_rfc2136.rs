//! A dead endpoint leaves the zones of real name servers in time, whatever else they refuse.

use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::REFUSED;

/// Until everything is written for the first time, on a busy machine.
const WRITTEN: Duration = Duration::from_secs(20);

struct Site {
    fleet: Fleet,
    server: NameServer,
    daemon: Daemon,
    west: Endpoint,
    east: Endpoint,
}

impl Site {
    async fn start(server: NameServer) -> Self {
        let fleet = Fleet::start().await;
        let keys = format!(
            "provider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n",
            server.address()
        );
        let conf = Conf::with_zone(&keys)
            .cluster("westus", &fleet.west.kubeconfig())
            .cluster("eastus", &fleet.east.kubeconfig())
            .more("[brakes]\ndrift = 2s\n");
        let daemon = Daemon::start(&conf).await;
        let (west, east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
        Self { fleet, server, daemon, west, east }
    }

    /// A Service in both clusters that asks for `hostname` too, and is written.
    async fn publish(&self, hostname: &str) {
        let service = NewService::new("default", "shop").port(5001);
        let service = service.annotation("fleetdns.io/hostname", hostname);
        self.fleet.publish(&service, &self.west.ip().to_string(), &self.east.ip().to_string()).await;
        let race = Race::start("published", WRITTEN);
        let both = [self.west.ip().to_string(), self.east.ip().to_string()];
        race.answers(self.server.address(), hostname, "A", &[&both[0], &both[1]]).await;
        race.done();
    }

    /// The endpoint in the east dies: `hostname` is left with the one in the west.
    async fn dies(&mut self, hostname: &str) {
        tokio::task::block_in_place(|| self.east.set(Mode::Refuse));
        let race = Race::start(&format!("{hostname}: out"), REFUSED);
        race.answers(self.server.address(), hostname, "A", &[&self.west.ip().to_string()]).await;
        race.done();
        self.daemon.assert_running();
    }
}

/// The key may update a part of the zone only, so that all names of the federation are refused: each of them says so, and
/// the name that may be written loses its dead address in time.
#[tokio::test(flavor = "multi_thread")]
async fn refused_names_keep_no_dead_address_in_bind() {
    let below = "apps.syncweek.com";
    let server = NameServer::start(Software::Bind, ZONE, Rights { below, ..Rights::default() }).await;
    let mut site = Site::start(server).await;
    let hostname = format!("shop.{below}");
    site.publish(&hostname).await;
    site.dies(&hostname).await;
    let log = site.daemon.log();
    assert!(log.contains("takes other updates and refuses") && log.contains("update-policy"), "{log}");
}

/// The right to transfer is taken away while the daemon runs, and updates are still allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_cannot_be_read_loses_its_dead_address() {
    let server = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let mut site = Site::start(server).await;
    let hostname = format!("shop.{ZONE}");
    site.publish(&hostname).await;
    site.server.allow(Rights { transfer: false, ..Rights::default() }).await;
    site.dies(&hostname).await;
}

/// The names of a region whose cluster is dead become aliases in a zone that Knot signs.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_becomes_an_alias_in_a_signed_zone_of_knot() {
    let server = NameServer::start_signed(Software::Knot, ZONE).await;
    let mut site = Site::start(server).await;
    let hostname = format!("shop.{ZONE}");
    site.publish(&hostname).await;
    site.dies(&hostname).await;
    let race = Race::start("the names of the region are aliases", Duration::from_secs(2));
    let global = name("shop", "");
    race.answers(site.server.address(), &name("shop", "eastus"), "CNAME", &[&global]).await;
    race.answers(site.server.address(), &name("shop", "1.eastus"), "CNAME", &[&name("shop", "eastus")]).await;
    race.done();
}
