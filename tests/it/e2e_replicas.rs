//! Two replicas on one zone: one leads and writes, the other takes over.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use fleetdns_tests::road::{ByRoad, Road};

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

/// What is left of a lease, for its holder and for the others.
const LEASE: Duration = Duration::from_secs(15);
/// After SIGTERM the next one writes within this; a second more for two busy cores.
const SIGTERM: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(10);
const SERVICE: &str = "calculatorlb";

/// Two replicas.
pub(crate) struct Pair {
    pub(crate) replicas: [Daemon; 2],
}

impl Pair {
    pub(crate) async fn start(fleet: &Fleet, ha: &str, more: &str) -> Self {
        let conf =
            |replica: &str| fleet.conf().more(&format!("[ha]\n{ha}\nreplica = {replica}\n")).more(more);
        let (one, other) = (conf("one"), conf("other"));
        let (one, other) = tokio::join!(Daemon::start(&one), Daemon::start(&other));
        let pair = Self { replicas: [one, other] };
        // The first lease of all is left alone for as long as one lasts.
        pair.leader().await;
        pair
    }

    /// Waits until one leads, and the other follows it; returns the place of the leader.
    pub(crate) async fn leader(&self) -> usize {
        let race = Race::start("one replica leads", LEASE + SOON);
        loop {
            let leads = [0, 1].map(|place| {
                let metrics = self.replicas[place].metrics();
                metrics.contains("\nfleetdns_leader 1\n")
            });
            match leads {
                [true, false] => return 0,
                [false, true] => return 1,
                _ => assert!(!race.left().is_zero(), "{leads:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// East publishes another address, and DNS has it within the budget.
async fn moves(fleet: &Fleet, what: &str, budget: Duration, address: &str) {
    let race = Race::start(what, budget);
    fleet.east.patch_status("default", SERVICE, &[address]).await;
    race.answers(fleet.server(), &name(SERVICE, "eastus"), "A", &[address]).await;
    race.done();
}

/// A leader that ends, is killed or frozen is followed; what is drained stays so.
async fn hand_over(fleet: &Fleet, ha: &str) -> Pair {
    let mut pair = Pair::start(fleet, ha, "").await;
    let [in_west, in_east, moved] = [(); 3].map(|()| Endpoint::on_port(5001));
    let [west, east, new] = [&in_west, &in_east, &moved].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    both(&Race::start("published", BACK), fleet.server(), SERVICE, &west, &east).await;

    // The one that follows takes orders, and what it was told outlives it.
    let leader = pair.leader().await;
    let drained = pair.replicas[1 - leader].command(&["drain", "eastus", "--reason", "kernel"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let race = Race::start("drained by the one that follows", SOON);
    without_east(&race, fleet.server(), SERVICE, &west).await;

    let race = Race::start("after SIGTERM the other writes", SIGTERM);
    pair.replicas[leader].ask_to_end();
    let leader = 1 - leader;
    let undrained = pair.replicas[leader].command(&["undrain", "eastus"]).await;
    assert_eq!(undrained.code, Some(0), "{undrained:?}");
    both(&race, fleet.server(), SERVICE, &west, &east).await;
    race.done();
    assert!(pair.replicas[1 - leader].log().contains("lease given back"));
    pair.replicas[1 - leader].start_again();
    pair.replicas[1 - leader].ready(SOON * 2).await;

    // A leader that is killed, and a change meanwhile.
    assert_eq!(pair.leader().await, leader);
    pair.replicas[leader].kill();
    moves(fleet, "after kill -9 the other writes", LEASE + Duration::from_secs(1), &new).await;
    pair.replicas[leader].start_again();
    pair.replicas[leader].ready(SOON * 2).await;

    // A leader that is frozen, while an address changes: it writes nothing when it wakes.
    let leader = pair.leader().await;
    pair.replicas[leader].freeze();
    moves(fleet, "after SIGSTOP the other writes", LEASE + Duration::from_secs(1), &east).await;
    let leader = 1 - leader;
    pair.replicas[1 - leader].thaw();
    let told =
        |status: &serde_json::Value| status["replica"].as_str().unwrap_or_default().contains("follows");
    pair.replicas[1 - leader].status_shows("that it follows", SOON, told).await;
    assert!(pair.replicas[1 - leader].log().contains("this replica writes no more"));
    both(&Race::start("nothing is undone", SOON), fleet.server(), SERVICE, &west, &east).await;
    let global = name(SERVICE, "");
    let span = Duration::from_secs(5);
    fleetdns_tests::dns::assert_stays(fleet.server(), &global, "A", &[&west, &east], span).await;

    // A cluster that dies while the leader is killed is out within the budget and the lease time.
    let mut in_east = in_east;
    assert_eq!(pair.leader().await, leader);
    pair.replicas[leader].kill();
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("what dies during the hand-over is out", REFUSED + LEASE);
    without_east(&race, fleet.server(), SERVICE, &west).await;
    race.done();
    tokio::task::block_in_place(|| in_east.recover());
    pair.replicas[leader].start_again();
    pair.replicas[leader].ready(SOON * 2).await;
    both(&Race::start("it returns", BACK), fleet.server(), SERVICE, &west, &east).await;
    pair
}

/// Nobody writes while the engine is away, and everybody says so.
async fn without_engine(pair: &Pair) {
    let told = |status: &serde_json::Value| {
        status["leads"] == false && status["replica"].as_str().unwrap_or_default().contains("does not write")
    };
    for replica in &pair.replicas {
        replica.status_shows("that nobody writes", LEASE, told).await;
        let refused = replica.command(&["drain", "eastus"]).await;
        assert!(refused.code != Some(0) && refused.err.contains("nothing is changed"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_elect_a_leader_by_a_lease() {
    let mut fleet = Fleet::start().await;
    fleet.west.create_namespace("fleetdns").await;
    let pair = hand_over(&fleet, "lease = fleetdns/fleetdns-ha\ncluster = westus").await;
    fleet.west.kill_api();
    without_engine(&pair).await;
    fleet.west.restart_api().await;
    pair.leader().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_elect_a_leader_by_etcd() {
    let fleet = Fleet::start().await;
    let mut engine = Etcd::start("replicas").await;
    let keys = format!("etcd-endpoints = {}", engine.endpoint());
    let pair = hand_over(&fleet, &keys).await;
    let [in_east] = [(); 1].map(|()| Endpoint::on_port(5001));
    let new = in_east.ip().to_string();
    // The clusters answer, and nobody writes.
    engine.process().stop();
    without_engine(&pair).await;
    fleet.east.patch_status("default", SERVICE, &[&new]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answer = fleetdns_tests::dns::query(fleet.server(), &name(SERVICE, "eastus"), "A").await.unwrap();
    assert!(!answer.values("A").contains(&new), "{answer:?}");
    engine.process().cont();
    pair.leader().await;
    let race = Race::start("what changed meanwhile is written", SOON);
    race.answers(fleet.server(), &name(SERVICE, "eastus"), "A", &[&new]).await;
}

/// Two replicas of which each reaches the engine by a road of its own.
async fn cut_off(fleet: &Fleet, roads: [&Road; 2], confs: [Conf; 2]) {
    let (one, other) = tokio::join!(Daemon::start(&confs[0]), Daemon::start(&confs[1]));
    let pair = Pair { replicas: [one, other] };
    pair.leader().await;
    let [in_west, in_east, moved] = [(); 3].map(|()| Endpoint::on_port(5001));
    let [west, east, new] = [&in_west, &in_east, &moved].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    both(&Race::start("published", BACK), fleet.server(), SERVICE, &west, &east).await;

    let leader = pair.leader().await;
    roads[leader].cut();
    let since = Instant::now();
    moves(fleet, "it writes while the lease is its own", Duration::from_secs(4), &new).await;
    moves(fleet, "it writes while the lease is its own", Duration::from_secs(4), &east).await;
    let told = |status: &serde_json::Value| status["leads"] == false;
    pair.replicas[leader].status_shows("that it writes no more", LEASE, told).await;
    let stopped = since.elapsed();
    let told = |status: &serde_json::Value| status["leads"] == true;
    pair.replicas[1 - leader].status_shows("that it leads", LEASE, told).await;
    let began = since.elapsed();
    eprintln!("cut off: the leader stopped after {stopped:.2?}, the other began after {began:.2?}");
    assert!(stopped < began, "{stopped:?} {began:?}");
    moves(fleet, "the other writes", SIGTERM, &new).await;
    roads[leader].mend();
    let told =
        |status: &serde_json::Value| status["replica"].as_str().unwrap_or_default().contains("follows");
    pair.replicas[leader].status_shows("that it follows", SOON, told).await;
    moves(fleet, "nothing is undone", SIGTERM, &east).await;
    // What a follower shows may be old, and it says how old.
    let follower = &pair.replicas[leader];
    let why = follower.command(&["why", &name(SERVICE, "eastus")]).await;
    assert!(why.out.contains("leads and writes; this replica last read the zone"), "{why:?}");
    let records = follower.command(&["records"]).await;
    assert!(records.err.contains("this replica follows, and last read its zones"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_from_etcd_stops_before_the_other_begins() {
    let fleet = Fleet::start().await;
    let engine = Etcd::start("replicas").await;
    let server: SocketAddr = engine.endpoint().trim_start_matches("http://").parse().unwrap();
    let roads = [Road::to(server).await, Road::to(server).await];
    let conf = |place: usize| {
        let address = roads[place].address;
        fleet.conf().more(&format!("[ha]\netcd-endpoints = http://{address}\nreplica = r{place}\n"))
    };
    cut_off(&fleet, roads.each_ref(), [conf(0), conf(1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_from_the_api_with_the_lease_stops_before_the_other_begins() {
    let fleet = Fleet::start().await;
    fleet.west.create_namespace("fleetdns").await;
    let ways = [ByRoad::to(&fleet.west).await, ByRoad::to(&fleet.west).await];
    let conf = |place: usize| {
        Conf::new(&fleet.dns.etcd_endpoint())
            .cluster("westus", ways[place].kubeconfig())
            .cluster("eastus", &fleet.east.kubeconfig())
            .more(&format!("[ha]\nlease = fleetdns/fleetdns-ha\ncluster = westus\nreplica = r{place}\n"))
    };
    let confs = [conf(0), conf(1)];
    cut_off(&fleet, ways.each_ref().map(|way| &way.road), confs).await;
}

/// So many Services change, twenty times a second all together.
const CHANGING: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_are_restarted_in_turn_and_no_change_is_lost() {
    let fleet = Fleet::start().await;
    let engine = Etcd::start("replicas").await;
    let conf = |replica: &str| {
        fleet.conf().more(&format!("[ha]\netcd-endpoints = {}\nreplica = {replica}\n", engine.endpoint()))
    };
    let confs = ["one", "two", "three"].map(conf);
    let (one, two, three) =
        tokio::join!(Daemon::start(&confs[0]), Daemon::start(&confs[1]), Daemon::start(&confs[2]));
    let mut replicas = [one, two, three];
    let service =
        |name: &str| NewService::new("default", name).port(5001).annotation("fleetdns.io/probe", "none");
    let names: Vec<String> = (0..CHANGING).map(|number| format!("changing{number}")).collect();
    for name in &names {
        fleet.east.create_published(&service(name), &["203.0.113.1"]).await;
    }
    fleet.east.create_published(&service("steady"), &["198.51.100.1"]).await;
    let server = fleet.server();
    let race = Race::start("published, after the first election", LEASE + SOON);
    for service in names.iter().map(String::as_str).chain(["steady"]) {
        let expected = if service == "steady" { "198.51.100.1" } else { "203.0.113.1" };
        race.answers(server, &name(service, "eastus"), "A", &[expected]).await;
    }

    let done = AtomicBool::new(false);
    let addresses = |count: usize| format!("203.0.113.{}", 1 + count / CHANGING % 200);
    let changes = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        let mut count = 0_usize;
        while !done.load(Ordering::Relaxed) {
            ticks.tick().await;
            let patch = async |number: usize| {
                let (name, address) = (&names[number % CHANGING], addresses(number));
                fleet.east.patch_status("default", name, &[&address]).await;
            };
            tokio::join!(patch(count), patch(count + 1), patch(count + 2), patch(count + 3));
            count += 4;
        }
        count
    };
    let steady = async {
        while !done.load(Ordering::Relaxed) {
            let answer = fleetdns_tests::dns::query(server, &name("steady", "eastus"), "A").await.unwrap();
            assert_eq!(answer.values("A"), ["198.51.100.1".to_owned()].into(), "nothing else is touched");
            let answer = fleetdns_tests::dns::query(server, &name(&names[0], "eastus"), "A").await.unwrap();
            // A replica that leads before it has read both clusters keeps the old address for a moment too.
            assert!(!answer.values("A").is_empty(), "a name that changes is never empty");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let restarts = async {
        for replica in &mut replicas {
            let (status, _) = replica.terminate().await;
            assert!(status.success(), "{status}");
            replica.start_again();
            replica.ready(SOON * 2).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (count, (), ()) = tokio::join!(changes, steady, restarts);
    // The last change of each.
    let race = Race::start(&format!("the last of {count} changes land"), SOON);
    for (place, service) in names.iter().enumerate() {
        let last = (0..count).rev().find(|number| number % CHANGING == place).unwrap();
        let address = addresses(last);
        race.answers(server, &name(service, "eastus"), "A", &[&address]).await;
    }
    race.done();
}
