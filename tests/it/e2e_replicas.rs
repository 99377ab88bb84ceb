//! Two replicas on one zone: one leads and writes, the other takes over.

use std::time::{Duration, Instant};

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

/// What is left of a lease, for its holder and for the others.
const LEASE: Duration = Duration::from_secs(15);
/// After SIGTERM the next one writes within this; a second more for two busy cores.
const SIGTERM: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(10);
const SERVICE: &str = "calculatorlb";

/// Two replicas.
struct Pair {
    fleet: Fleet,
    replicas: [Daemon; 2],
}

impl Pair {
    async fn start(fleet: Fleet, ha: &str) -> Self {
        let conf = |replica: &str| fleet.conf().more(&format!("[ha]\n{ha}\nreplica = {replica}\n"));
        let (one, other) = (conf("one"), conf("other"));
        let (one, other) = tokio::join!(Daemon::start(&one), Daemon::start(&other));
        Self { fleet, replicas: [one, other] }
    }

    /// Waits until one leads, and the other follows it; returns the place of the leader.
    async fn leader(&mut self) -> usize {
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

    /// East publishes another address; says how long it takes to be answered.
    async fn moves(&self, what: &str, budget: Duration, address: &str) -> Duration {
        let start = Instant::now();
        self.fleet.east.patch_status("default", SERVICE, &[address]).await;
        let race = Race::start(what, budget);
        race.answers(self.fleet.server(), &name(SERVICE, "eastus"), "A", &[address]).await;
        race.done();
        start.elapsed()
    }
}

/// A leader that ends, is killed or frozen is followed; what is drained stays so.
async fn hand_over(fleet: Fleet, ha: &str) -> Pair {
    let mut pair = Pair::start(fleet, ha).await;
    let [in_west, in_east, moved] = [(); 3].map(|()| Endpoint::on_port(5001));
    let [west, east, new] = [&in_west, &in_east, &moved].map(|endpoint| endpoint.ip().to_string());
    pair.fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    both(&Race::start("published", BACK), pair.fleet.server(), SERVICE, &west, &east).await;

    // The one that follows takes orders, and what it was told outlives it.
    let leader = pair.leader().await;
    let drained = pair.replicas[1 - leader].command(&["drain", "eastus", "--reason", "kernel"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let race = Race::start("drained by the one that follows", SOON);
    without_east(&race, pair.fleet.server(), SERVICE, &west).await;

    pair.replicas[leader].ask_to_end();
    let leader = 1 - leader;
    let undrained = pair.replicas[leader].command(&["undrain", "eastus"]).await;
    assert_eq!(undrained.code, Some(0), "{undrained:?}");
    let race = Race::start("after SIGTERM the other writes", SIGTERM);
    both(&race, pair.fleet.server(), SERVICE, &west, &east).await;
    race.done();
    assert!(pair.replicas[1 - leader].log().contains("lease given back"));
    pair.replicas[1 - leader].start_again();
    pair.replicas[1 - leader].ready(SOON * 2).await;

    // A leader that is killed, and a change meanwhile.
    assert_eq!(pair.leader().await, leader);
    pair.replicas[leader].kill();
    pair.moves("after kill -9 the other writes", LEASE + Duration::from_secs(1), &new).await;
    pair.replicas[leader].start_again();
    pair.replicas[leader].ready(SOON * 2).await;

    // A leader that is frozen, while an endpoint dies: it writes nothing when it wakes.
    let leader = pair.leader().await;
    pair.replicas[leader].freeze();
    pair.moves("after SIGSTOP the other writes", LEASE + Duration::from_secs(1), &east).await;
    let leader = 1 - leader;
    pair.replicas[1 - leader].thaw();
    let told =
        |status: &serde_json::Value| status["replica"].as_str().unwrap_or_default().contains("follows");
    pair.replicas[1 - leader].status_shows("that it follows", SOON, told).await;
    assert!(pair.replicas[1 - leader].log().contains("this replica writes no more"));
    both(&Race::start("nothing is undone", SOON), pair.fleet.server(), SERVICE, &west, &east).await;

    // A cluster that dies while the leader is killed is out within the budget and the lease time.
    let mut in_east = in_east;
    assert_eq!(pair.leader().await, leader);
    pair.replicas[leader].kill();
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("what dies during the hand-over is out", REFUSED + LEASE);
    without_east(&race, pair.fleet.server(), SERVICE, &west).await;
    race.done();
    tokio::task::block_in_place(|| in_east.recover());
    pair.replicas[leader].start_again();
    pair.replicas[leader].ready(SOON * 2).await;
    both(&Race::start("it returns", BACK), pair.fleet.server(), SERVICE, &west, &east).await;
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
    let fleet = Fleet::start().await;
    fleet.west.create_namespace("fleetdns").await;
    let mut pair = hand_over(fleet, "lease = fleetdns/fleetdns-ha\ncluster = westus").await;
    pair.fleet.west.kill_api();
    without_engine(&pair).await;
    pair.fleet.west.restart_api().await;
    pair.leader().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_elect_a_leader_by_etcd() {
    let fleet = Fleet::start().await;
    let mut engine = Etcd::start("replicas").await;
    let keys = format!("etcd-endpoints = {}", engine.endpoint());
    let mut pair = hand_over(fleet, &keys).await;
    let [in_east] = [(); 1].map(|()| Endpoint::on_port(5001));
    let new = in_east.ip().to_string();
    // The clusters answer, and nobody writes.
    engine.process().stop();
    without_engine(&pair).await;
    pair.fleet.east.patch_status("default", SERVICE, &[&new]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answer =
        fleetdns_tests::dns::query(pair.fleet.server(), &name(SERVICE, "eastus"), "A").await.unwrap();
    assert!(!answer.values("A").contains(&new), "{answer:?}");
    engine.process().cont();
    pair.leader().await;
    let race = Race::start("what changed meanwhile is written", SOON);
    race.answers(pair.fleet.server(), &name(SERVICE, "eastus"), "A", &[&new]).await;
}
