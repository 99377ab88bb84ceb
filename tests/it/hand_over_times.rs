//! How long it takes until another replica has written a change, by what became of the leader. A measurement:
//! `cargo test -p fleetdns-tests --test it hand_over_times -- --ignored --nocapture`, with `HAND_OVERS=50` for more, and with
//! `HAND_OVER_ENGINE=lease` for a Lease in place of etcd.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use etcd_client::GetOptions;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::road::{ByRoad, Road};
use futures::future::join_all;

use crate::e2e_replicas::Pair;

/// Pairs that are measured at one time, each with a zone and a lease of its own.
const PAIRS: usize = 5;
const LONGEST: Duration = Duration::from_secs(30);

/// What becomes of the leader.
#[derive(Debug, Clone, Copy)]
enum Event {
    Terminated,
    Killed,
    Frozen,
    CutOff,
}

/// By which a replica reaches the engine.
enum Way {
    Etcd(Road),
    Lease(ByRoad),
}

impl Way {
    async fn to(fleet: &Fleet, engine: Option<&Etcd>) -> Self {
        match engine {
            Some(etcd) => {
                Self::Etcd(Road::to(etcd.endpoint().trim_start_matches("http://").parse().unwrap()).await)
            }
            None => Self::Lease(ByRoad::to(&fleet.west).await),
        }
    }

    const fn road(&self) -> &Road {
        match self {
            Self::Etcd(road) => road,
            Self::Lease(way) => &way.road,
        }
    }

    /// The keys of `[ha]` for one pair, and the kubeconfig of west.
    fn keys(&self, fleet: &Fleet, number: usize) -> (String, PathBuf) {
        match self {
            Self::Etcd(road) => {
                let keys =
                    format!("etcd-endpoints = http://{}\netcd-prefix = /ha/pair{number}", road.address);
                (keys, fleet.west.kubeconfig())
            }
            Self::Lease(way) => {
                (format!("lease = fleetdns/pair{number}\ncluster = westus"), way.kubeconfig().to_owned())
            }
        }
    }
}

struct Measured {
    pair: Pair,
    ways: [Way; 2],
    path: String,
}

impl Measured {
    async fn start(fleet: &Fleet, engine: Option<&Etcd>, number: usize) -> Self {
        let path = format!("/pair{number}");
        let ways = [Way::to(fleet, engine).await, Way::to(fleet, engine).await];
        let conf = |place: usize| {
            let (ha, west) = ways[place].keys(fleet, number);
            let zone = format!(
                "provider = coredns\netcd-endpoints = {}\netcd-path = {path}",
                fleet.dns.etcd_endpoint()
            );
            fleetdns_tests::conf::Conf::with_zone(&zone)
                .cluster("westus", &west)
                .cluster("eastus", &fleet.east.kubeconfig())
                .more(&format!("[ha]\n{ha}\nreplica = r{place}\n"))
        };
        let (one, other) = (conf(0), conf(1));
        let (one, other) = tokio::join!(Daemon::start(&one), Daemon::start(&other));
        Self { pair: Pair { replicas: [one, other] }, ways, path }
    }

    /// How long after `since` the zone has an address.
    async fn lands(&self, client: &etcd_client::Client, address: &str, since: Instant) -> Duration {
        let mut kv = client.kv_client();
        loop {
            let found = kv.get(self.path.as_str(), Some(GetOptions::new().with_prefix())).await.unwrap();
            let host = format!("\"{address}\"");
            if found.kvs().iter().any(|pair| String::from_utf8_lossy(pair.value()).contains(&host)) {
                return since.elapsed();
            }
            assert!(since.elapsed() < LONGEST, "{} has no {address}", self.path);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn begin(&mut self, event: Event, leader: usize) {
        let replica = &mut self.pair.replicas[leader];
        match event {
            Event::Terminated => replica.ask_to_end(),
            Event::Killed => replica.kill(),
            Event::Frozen => replica.freeze(),
            Event::CutOff => self.ways[leader].road().cut(),
        }
    }

    async fn end(&mut self, event: Event, leader: usize) {
        let replica = &mut self.pair.replicas[leader];
        match event {
            Event::Terminated | Event::Killed => {
                if matches!(event, Event::Terminated) {
                    replica.terminated().await;
                }
                replica.start_again();
            }
            Event::Frozen => replica.thaw(),
            Event::CutOff => self.ways[leader].road().mend(),
        }
        replica.ready(LONGEST).await;
        self.pair.leader().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of some minutes"]
async fn hand_over_times() {
    let rounds =
        std::env::var("HAND_OVERS").ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(PAIRS);
    let fleet = Fleet::start().await;
    let lease = std::env::var("HAND_OVER_ENGINE").is_ok_and(|engine| engine == "lease");
    let engine = if lease { None } else { Some(Etcd::start("replicas").await) };
    fleet.west.create_namespace("fleetdns").await;
    let client = fleetdns_tests::within(
        "client",
        LONGEST,
        etcd_client::Client::connect([fleet.dns.etcd_endpoint()], None),
    );
    let client = client.await.unwrap();
    let service = NewService::new("default", "moves").port(5001).annotation("fleetdns.io/probe", "none");
    fleet.east.create_published(&service, &["198.51.100.1"]).await;
    let mut all = join_all((0..PAIRS).map(|number| Measured::start(&fleet, engine.as_ref(), number))).await;
    let mut moved = 0;
    for event in [Event::Terminated, Event::Killed, Event::Frozen, Event::CutOff] {
        let mut times = Vec::new();
        while times.len() < rounds {
            let leaders = join_all(all.iter_mut().map(|one| one.pair.leader())).await;
            moved += 1;
            let address = format!("203.0.113.{}", 1 + moved % 250);
            let since = Instant::now();
            all.iter_mut().zip(&leaders).for_each(|(one, leader)| one.begin(event, *leader));
            if matches!(event, Event::CutOff) {
                // Until then the leader writes: its lease is still its own.
                tokio::time::sleep(Duration::from_secs(11)).await;
            }
            fleet.east.patch_status("default", "moves", &[&address]).await;
            times.extend(join_all(all.iter().map(|one| one.lands(&client, &address, since))).await);
            join_all(all.iter_mut().zip(&leaders).map(|(one, leader)| one.end(event, *leader))).await;
        }
        times.sort();
        let (count, at) =
            (times.len(), |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1]);
        eprintln!(
            "{event:?}: {count} hand-overs, p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
            at(50),
            at(99),
            at(100)
        );
    }
}
