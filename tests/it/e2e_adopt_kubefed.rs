//! Coming from kubefed, which leaves records without a sign of whose they are; and what nobody claims afterwards.

use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::race::Race;

use crate::e2e_adopt::assert_printed;
use crate::e2e_endpoint::{BACK, both};

const READ: Duration = Duration::from_secs(8);
/// An address of a cluster that is gone.
const DEAD: &str = "127.0.0.9";

#[tokio::test(flavor = "multi_thread")]
async fn kubefeds_records_become_ours_and_what_nobody_claims_is_listed() {
    let fleet = Fleet::start().await;
    let bind = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let server = bind.address();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "web").port(5001), &west, &east).await;
    let left = [
        (name("web", ""), &*west),
        (name("web", ""), DEAD),
        (name("web", "westus"), &west),
        (name("gone", ""), DEAD),
    ];
    bind.nsupdate(&left.map(|(name, address)| format!("update add {name} 180 A {address}")));

    // Without it the daemon leaves them as they are.
    let keys =
        format!("provider = rfc2136\nserver = {server}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n");
    let members = Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig());
    let conf = members.clone().more("[brakes]\ndrift = 2s");
    let mut daemon = Daemon::start(&conf).await;
    let refused = |status: &serde_json::Value| !reasons(status, "refused", &name("web", "")).is_empty();
    daemon.status_shows("the refusal", READ, refused).await;
    dns::assert_stays(server, &name("web", ""), "A", &[&west, DEAD], Duration::from_secs(1)).await;
    daemon.terminate().await;

    let adopt = ["adopt", "--from", "kubefed"];
    let parts = [
        format!("> {} 180 A 127.0.0.9 {west}  (becomes ours)", name("web", "")),
        format!("> {} 180 A {west}  (becomes ours)", name("web", "westus")),
        format!(
            "= {}  left to kubefed: no Service of the fleet with an address asks for it",
            name("gone", "")
        ),
    ];
    let parts = parts.each_ref().map(|part| &**part);
    assert_printed(&daemon.command(&adopt).await, 0, &[&parts[..], &["add --apply"]].concat());
    assert_printed(&daemon.command(&[&adopt[..], &["--apply"]].concat()).await, 0, &["2 names written"]);
    daemon.start_again();
    both(&Race::start("the fleet's own addresses", BACK), server, "web", &west, &east).await;
    dns::assert_stays(server, &name("gone", ""), "A", &[DEAD], Duration::from_secs(1)).await;

    // Nothing is removed, so that a Service which is deleted leaves an orphan.
    assert_printed(&daemon.command(&["adopt", "--orphans"]).await, 0, &["every record of ours is claimed"]);
    daemon.write_conf(&members.more("[brakes]\ndrift = 2s\nremovals = off"));
    assert_printed(&daemon.command(&["reload"]).await, 0, &[]);
    for cluster in [&fleet.west, &fleet.east] {
        cluster.delete_service("default", "web").await;
    }
    let removed = |status: &serde_json::Value| !reasons(status, "held", &name("web", "")).is_empty();
    daemon.status_shows("what is held", READ, removed).await;
    let orphans = daemon.command(&["adopt", "--orphans"]).await;
    assert_printed(&orphans, 0, &[&name("web", ""), "default/web", "westus", "removals-off"]);
    assert!(!orphans.out.contains("gone.default"), "kubefed's is none of ours: {orphans:?}");
    daemon.write_conf(&conf);
    assert_printed(&daemon.command(&["reload"]).await, 0, &[]);
    dns::wait_for(server, &name("web", ""), "A", &[], READ).await;
    let left = daemon.command(&["adopt", "--orphans"]).await;
    assert_printed(&left, 0, &["every record of ours is claimed"]);
    tokio::task::block_in_place(|| drop((in_west, in_east)));
}
