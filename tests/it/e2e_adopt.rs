//! Moving in, moving over and moving out: records change hands while CoreDNS goes on answering with them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, Printed, fleetdns, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::race::Race;
use tokio::task::JoinHandle;

use crate::e2e_endpoint::BACK;
use crate::e2e_journey::keys;
use crate::e2e_others::key_of;

const DRIFT: &str = "[brakes]\ndrift = 2s";
/// One reading of the zone, and room for a busy machine.
const READ: Duration = Duration::from_secs(8);
const WEB: &str = "web.syncweek.com";
const OLD: &str = "192.0.2.81";

/// Asks for a name without pause, and keeps every answer.
struct Watcher {
    ends: Arc<AtomicBool>,
    answers: JoinHandle<BTreeSet<BTreeSet<String>>>,
}

impl Watcher {
    fn start(server: SocketAddr, name: &'static str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ends);
        let answers = tokio::spawn(async move {
            let mut all = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                all.insert(dns::query(server, name, "A").await.unwrap().values("A"));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            all
        });
        Self { ends, answers }
    }

    /// Nothing but these was ever answered.
    async fn saw(self, expected: &[&[&str]]) {
        self.ends.store(true, Ordering::Relaxed);
        let expected = expected.iter().map(|set| set.iter().map(|&one| one.to_owned()).collect()).collect();
        assert_eq!(self.answers.await.unwrap(), expected);
    }
}

pub(crate) fn assert_printed(printed: &Printed, code: i32, parts: &[&str]) {
    assert_eq!(printed.code, Some(code), "{printed:?}");
    let all = format!("{}{}", printed.out, printed.err);
    assert!(parts.iter().all(|part| all.contains(part)), "{parts:?}: {printed:?}");
}

/// The keys of a zone, without what etcd counts.
async fn zone(fleet: &mut Fleet) -> Vec<(String, String)> {
    keys(&mut fleet.dns).await
}

/// A host name of both clusters that external-dns has with the address of one that is no member, and one that nobody asks for.
pub(crate) async fn external_dns(fleet: &mut Fleet) {
    let mut etcd = fleet.dns.etcd().client().await;
    let mark =
        r#"\"heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/default/web\""#;
    for (name, value) in [
        (WEB, format!(r#"{{"host":"{OLD}","ttl":60,"targetstrip":1}}"#)),
        ("a-web.syncweek.com", format!(r#"{{"text":"{mark}","targetstrip":1}}"#)),
        ("nobody.syncweek.com", r#"{"host":"192.0.2.82","ttl":60,"targetstrip":1}"#.to_owned()),
        ("a-nobody.syncweek.com", format!(r#"{{"text":"{mark}","targetstrip":1}}"#)),
    ] {
        etcd.put(key_of(name) + "/5dbf3a4c", value, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_dns_hands_a_name_over_and_dns_answers_all_the_while() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    external_dns(&mut fleet).await;
    let daemon = Daemon::start(&fleet.conf().more(DRIFT)).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    let service = NewService::new("default", "web").port(5001).annotation("fleetdns.io/hostname", WEB);
    fleet.publish(&service, &west, &east).await;
    let race = Race::start("federation names are written, the other is refused", BACK);
    race.answers(server, &name("web", ""), "A", &[&west, &east]).await;
    let refused = |status: &serde_json::Value| !reasons(status, "refused", WEB).is_empty();
    daemon.status_shows("the refusal", race.left(), refused).await;
    race.done();

    // A wrong owner id, and then the plan: nothing is written.
    let before = zone(&mut fleet).await;
    let wrong = daemon.command(&["adopt", "--from", "external-dns", "--owner", "default", "--apply"]).await;
    assert_printed(&wrong, 0, &["nothing has this owner id; external-dns has records as: prod"]);
    let adopt = ["adopt", "--from", "external-dns", "--owner", "prod"];
    let planned = daemon.command(&adopt).await;
    assert_printed(
        &planned,
        0,
        &[
            "> web.syncweek.com 60 A 192.0.2.81  (becomes ours)",
            "- a-web.syncweek.com 300 TXT",
            "= nobody.syncweek.com  left to external-dns: no Service of the fleet with an address asks for it",
            "nothing was written; add --apply",
        ],
    );
    assert_eq!(zone(&mut fleet).await, before);

    // The daemon runs beside it, and takes the name with its next reading of the zone.
    let watcher = Watcher::start(server, WEB);
    let applied = daemon.command(&[&adopt[..], &["--apply", "-o", "json"]].concat()).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(applied.json()["applied"], serde_json::json!({ "written": 1, "unwritten": [] }));
    let race = Race::start("the fleet's own addresses", READ);
    race.answers(server, WEB, "A", &[&west, &east]).await;
    race.done();
    watcher.saw(&[&[OLD], &[&west, &east]]).await;
    let theirs: Vec<String> = zone(&mut fleet)
        .await
        .into_iter()
        .filter(|(_, value)| value.contains("heritage"))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(theirs, [key_of("a-nobody.syncweek.com") + "/5dbf3a4c"]);
    assert_printed(&daemon.command(&["adopt", "--orphans"]).await, 0, &["every record of ours is claimed"]);
}

/// `owner` in dns.conf is another one: what stood under the old one is taken over with its drains, and what nobody claims is
/// removed by itself.
#[tokio::test(flavor = "multi_thread")]
async fn another_owner_id_takes_over_what_the_old_one_had() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let conf = |owner: &str| fleet.conf().fleet(&format!("owner = {owner}")).more(DRIFT);
    let (old, new) = (conf("old"), conf("new"));
    let mut daemon = Daemon::start(&old).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    for service in ["web", "gone"] {
        let service = NewService::new("default", service).port(5001);
        let service = if service.manifest()["metadata"]["name"] == "web" {
            service.annotation("fleetdns.io/hostname", WEB)
        } else {
            service
        };
        fleet.publish(&service, &west, &east).await;
    }
    let race = Race::start("written", BACK);
    race.answers(server, WEB, "A", &[&west, &east]).await;
    race.answers(server, &name("gone", ""), "A", &[&west, &east]).await;
    race.done();
    // Kept in the ownership records alone.
    assert_printed(
        &daemon.command(&["drain", "cluster/eastus", "--anyway", "--reason", "move"]).await,
        0,
        &[],
    );
    let race = Race::start("drained", BACK);
    race.answers(server, WEB, "A", &[&west]).await;
    race.done();
    daemon.terminate().await;
    fleet.west.delete_service("default", "gone").await;
    fleet.east.delete_service("default", "gone").await;

    daemon.write_conf(&new);
    let watcher = Watcher::start(server, WEB);
    let planned = daemon.command(&["adopt", "--from-owner", "old"]).await;
    let gone = name("gone", "");
    let left = format!("= {gone}  left to the other owner: no Service");
    assert_printed(&planned, 0, &["~ web.syncweek.com 30 A", "(ownership record)", &left]);
    assert_printed(&daemon.command(&["adopt", "--from-owner", "old", "--apply"]).await, 0, &[" written"]);
    daemon.start_again();
    daemon.ready(READ).await;
    let drained = |status: &serde_json::Value| status["overrides"][0]["subject"] == "cluster/eastus";
    daemon.status_shows("the drain", READ, drained).await;
    dns::assert_stays(server, WEB, "A", &[&west], Duration::from_secs(3)).await;
    assert_eq!(daemon.status().await["zones"][0]["refused"], serde_json::json!([]));
    watcher.saw(&[&[&west]]).await;

    // What is left of the old owner id goes by its own command, beside the daemon, which has nothing of it.
    let rest = ["release-zone", "syncweek.com", "--owner", "old", "--records", "--apply"];
    assert_printed(&daemon.command(&rest).await, 0, &["zone is given up with its records", " written"]);
    dns::wait_for(server, &gone, "A", &[], READ).await;
    dns::assert_stays(server, WEB, "A", &[&west], Duration::from_secs(1)).await;
    assert!(!zone(&mut fleet).await.iter().any(|(_, value)| value.contains("owner=old")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_given_up_with_its_records_or_without_them() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let conf: Conf = fleet.conf().more(DRIFT);
    let mut daemon = Daemon::start(&conf).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    let service = NewService::new("default", "web").port(5001).annotation("fleetdns.io/hostname", WEB);
    fleet.publish(&service, &west, &east).await;
    let race = Race::start("written", BACK);
    race.answers(server, WEB, "A", &[&west, &east]).await;
    race.done();

    let refused = daemon.command(&["release-zone", "syncweek.com", "--apply"]).await;
    assert_printed(
        &refused,
        1,
        &["< web.syncweek.com 30 A", "nothing was written: fleetdns", "would write the records back"],
    );
    daemon.terminate().await;
    let watcher = Watcher::start(server, WEB);
    let before: BTreeSet<String> = zone(&mut fleet).await.into_iter().map(|(key, _)| key).collect();
    assert_printed(&daemon.command(&["release-zone", "syncweek.com"]).await, 0, &["add --apply"]);
    assert_printed(&daemon.command(&["release-zone", "syncweek.com", "--apply"]).await, 0, &[" written"]);
    watcher.saw(&[&[&west, &east]]).await;
    let after = zone(&mut fleet).await;
    assert_eq!(after.iter().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>(), before);
    assert!(
        after.iter().all(|(_, value)| !value.contains("fleetdns") && !value.contains("owner")),
        "{after:#?}"
    );
    // They are somebody else's now.
    daemon.start_again();
    daemon.ready(READ).await;
    let refused = |status: &serde_json::Value| !reasons(status, "refused", WEB).is_empty();
    daemon.status_shows("the refusal", READ, refused).await;
    assert_printed(
        &daemon.command(&["release-zone", "example.com"]).await,
        1,
        &["has no zone 'example.com', it has syncweek.com"],
    );

    // With its records.
    let mut etcd = fleet.dns.etcd().client().await;
    let all = etcd_client::DeleteOptions::new().with_prefix();
    etcd.delete("/skydns/com/syncweek/", Some(all)).await.unwrap();
    etcd.put(key_of("theirs.syncweek.com"), r#"{"host":"192.0.2.80"}"#, None).await.unwrap();
    let race = Race::start("written again", READ);
    race.answers(server, WEB, "A", &[&west, &east]).await;
    race.done();
    daemon.terminate().await;
    let gone = daemon.command(&["release-zone", "syncweek.com", "--records", "--apply"]).await;
    assert_printed(&gone, 0, &["- web.syncweek.com 30 A", "the zone is given up with its records"]);
    assert_eq!(zone(&mut fleet).await.len(), 1);
}

/// The zone moves from CoreDNS to BIND with a reload. Where it was, it stays as it is until it is given up there.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_moves_with_its_zone_to_another_provider() {
    let fleet = Fleet::start().await;
    let bind = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let mut daemon = Daemon::start(&fleet.conf().more(DRIFT)).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    let service = NewService::new("default", "web").port(5001).annotation("fleetdns.io/hostname", WEB);
    fleet.publish(&service, &west, &east).await;
    let race = Race::start("written", BACK);
    race.answers(fleet.server(), WEB, "A", &[&west, &east]).await;
    race.done();
    assert_printed(&daemon.command(&["drain", "cluster/eastus", "--anyway"]).await, 0, &[]);
    let race = Race::start("drained", BACK);
    race.answers(fleet.server(), WEB, "A", &[&west]).await;
    race.done();

    let keys = format!(
        "provider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n",
        bind.address()
    );
    let moved = Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more(DRIFT);
    let watcher = Watcher::start(bind.address(), WEB);
    daemon.write_conf(&moved);
    assert_printed(&daemon.command(&["reload"]).await, 0, &[ZONE]);
    dns::wait_for(bind.address(), WEB, "A", &[&west], READ).await;
    // The ownership records have it, so that a restart without a state directory keeps it.
    daemon.kill();
    daemon.start_again();
    daemon.ready(READ).await;
    let drained = |status: &serde_json::Value| status["overrides"][0]["subject"] == "cluster/eastus";
    daemon.status_shows("the drain", READ, drained).await;
    dns::assert_stays(bind.address(), WEB, "A", &[&west], Duration::from_secs(3)).await;
    watcher.saw(&[&[], &[&west]]).await;
    dns::assert_stays(fleet.server(), WEB, "A", &[&west], Duration::from_secs(1)).await;

    // A file of its own for where the zone was: the daemon serves the zone, and only its admin address tells.
    let before = tempfile::tempdir().unwrap();
    let file = before.path().join("before.conf");
    std::fs::write(&file, fleet.conf().text()).unwrap();
    let file = file.display().to_string();
    let gone = fleetdns(&["release-zone", ZONE, "--records", "--apply", "-c", &file]).await;
    assert_printed(&gone, 0, &[" written"]);
    dns::wait_for(fleet.server(), WEB, "A", &[], READ).await;
    dns::assert_stays(bind.address(), WEB, "A", &[&west], Duration::from_secs(1)).await;
}
