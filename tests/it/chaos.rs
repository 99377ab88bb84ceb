//! Faults on real servers, drawn from a seed, while Services change: two API servers, CoreDNS with its etcd, one daemon or two.
//!
//! `tests/chaos [MINUTES] [SEED] [SERVICES]` runs it for longer; the gate runs a few rounds. Each round breaks one or two
//! things, changes Services and endpoints meanwhile, mends what it broke, and then holds these laws:
//!
//! - DNS becomes what the Services and endpoints say, by itself: no dead address, none missing, no name of a deleted Service.
//! - What others wrote is as it was.
//!
//! And all the time: a Service that nobody changes, with endpoints that always answer, is never without one of its addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_client::GetOptions;
use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::road::{ByRoad, Road};
use fleetdns_tests::{dns, eventually};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use hickory_proto::op::ResponseCode;
use tokio::task::JoinHandle;

use faults::Fault;

mod faults;

const PORT: u16 = 5001;
/// Of each cluster.
const ENDPOINTS: usize = 12;
/// Nobody changes these.
const STEADY: usize = 3;
/// Lists that are doubted, leases that have to end, pauses that have grown.
const CONVERGED: Duration = Duration::from_secs(120);
/// When it takes longer, the daemons are asked why.
const SLOW: Duration = Duration::from_secs(20);
const FOREIGN: [(&str, &str); 2] = [
    ("/skydns/com/syncweek/mail", r#"{"host":"198.51.100.25","ttl":300}"#),
    ("/skydns/com/syncweek/svc/myfederation/default/foreign/x", r#"{"host":"198.51.100.26"}"#),
];

/// The same seed makes the same choices (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(usize::try_from(to - from).unwrap()) as u64)
    }
}

/// In which clusters a Service is, and at which of their endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted([Option<usize>; 2]);

struct World {
    fleet: Fleet,
    ways: [ByRoad; 2],
    etcd: Road,
    daemons: Vec<Daemon>,
    endpoints: [Vec<Endpoint>; 2],
    services: BTreeMap<String, Wanted>,
    dice: Dice,
    /// Clusters that take no changes now.
    away: [bool; 2],
    made: usize,
    deaths: usize,
}

impl World {
    async fn start(seed: u64, services: usize) -> Self {
        let fleet = Fleet::start().await;
        let mut client = fleet_etcd(&fleet).await;
        for (key, value) in FOREIGN {
            client.put(key, value, None).await.unwrap();
        }
        let ways = [ByRoad::to(&fleet.west).await, ByRoad::to(&fleet.east).await];
        let etcd = Road::to(fleet.dns.etcd_endpoint().trim_start_matches("http://").parse().unwrap()).await;
        let at = format!("http://{}", etcd.address);
        let mut conf = Conf::new(&at)
            .cluster("westus", ways[0].kubeconfig())
            .cluster("eastus", ways[1].kubeconfig())
            .more("[brakes]\nstartup-timeout = 5s\nmax-removals = 100%\nmax-delete = 100%");
        let replicas = 1 + usize::from(seed.is_multiple_of(2));
        if replicas > 1 {
            conf = conf.more(&format!("[ha]\netcd-endpoints = {at}\n"));
        }
        let endpoints = [(); 2].map(|()| (0..ENDPOINTS + STEADY).map(|_| Endpoint::on_port(PORT)).collect());
        let daemons = (0..replicas).map(|_| Daemon::spawn(&conf, &[])).collect();
        let mut world = Self {
            fleet,
            ways,
            etcd,
            daemons,
            endpoints,
            services: BTreeMap::new(),
            dice: Dice(seed),
            away: [false; 2],
            made: 0,
            deaths: 0,
        };
        for number in 0..STEADY {
            let at = Some(ENDPOINTS + number);
            world.services.insert(format!("steady{number}"), Wanted([at, at]));
        }
        while world.services.len() < services {
            world.add();
        }
        for cluster in [0, 1] {
            world.publish_all(cluster).await;
        }
        world
    }

    fn member(&self, cluster: usize) -> &Member {
        if cluster == 0 { &self.fleet.west } else { &self.fleet.east }
    }

    fn member_mut(&mut self, cluster: usize) -> &mut Member {
        if cluster == 0 { &mut self.fleet.west } else { &mut self.fleet.east }
    }

    fn daemon(&mut self, number: usize) -> &mut Daemon {
        let count = self.daemons.len();
        &mut self.daemons[number % count]
    }

    fn address(&self, cluster: usize, endpoint: usize) -> String {
        self.endpoints[cluster][endpoint].ip().to_string()
    }

    fn add(&mut self) -> String {
        let at = [(); 2].map(|()| Some(self.dice.below(ENDPOINTS)));
        let service = format!("s{}", self.made);
        self.made += 1;
        self.services.insert(service.clone(), Wanted(at));
        service
    }

    /// Everything that one cluster has, written into it.
    async fn publish_all(&self, cluster: usize) {
        let all = self.services.iter().filter_map(|(name, wanted)| Some((name, wanted.0[cluster]?)));
        let publish = all.map(|(name, at)| self.publish(cluster, name.clone(), at));
        stream::iter(publish).buffer_unordered(16).collect::<()>().await;
    }

    async fn publish(&self, cluster: usize, service: String, at: usize) {
        let object = NewService::new("default", &service).port(PORT);
        self.member(cluster).create_published(&object, &[&self.address(cluster, at)]).await;
    }

    /// Changes one Service, or an endpoint, where the clusters are there.
    async fn change(&mut self) {
        let cluster = self.dice.below(2);
        let changing: Vec<String> =
            self.services.keys().filter(|name| !name.starts_with("steady")).cloned().collect();
        let service = changing[self.dice.below(changing.len())].clone();
        match self.dice.below(32) {
            0 if self.away == [false; 2] => {
                let service = self.add();
                let Wanted([west, east]) = self.services[&service];
                tokio::join!(
                    self.publish(0, service.clone(), west.unwrap()),
                    self.publish(1, service.clone(), east.unwrap())
                );
            }
            1 if self.away == [false; 2] => {
                self.services.remove(&service);
                let delete = [0, 1].map(|cluster| self.member(cluster).delete_service("default", &service));
                join_all(delete).await;
            }
            2 => self.turn(cluster),
            _ if self.away[cluster] => {}
            _ => {
                let at = self.dice.below(ENDPOINTS);
                let Some(Wanted(places)) = self.services.get_mut(&service) else { return };
                places[cluster] = Some(at);
                let address = self.address(cluster, at);
                self.member(cluster).patch_status("default", &service, &[&address]).await;
            }
        }
    }

    /// One endpoint dies or comes back; never more than two are dead, all in one cluster. They take turns: one that dies again
    /// and again has to answer longer each time before it is back.
    fn turn(&mut self, cluster: usize) {
        let dead = |cluster: usize| {
            let all = self.endpoints[cluster].iter().enumerate();
            all.filter(|(_, one)| one.mode() != Mode::Ok).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let (here, there) = (dead(cluster), dead(1 - cluster));
        let (cluster, at, mode) = match (here.as_slice(), there.as_slice()) {
            (_, [at, ..]) => (1 - cluster, *at, Mode::Ok),
            ([_, at, ..], []) => (cluster, *at, Mode::Ok),
            _ => {
                let mode = [Mode::Refuse, Mode::BlackHole][self.dice.below(2)];
                self.deaths += 1;
                (cluster, self.deaths % ENDPOINTS, mode)
            }
        };
        tokio::task::block_in_place(|| self.endpoints[cluster][at].set(mode));
    }

    /// What DNS has to hold: the living addresses of each Service.
    fn expected(&self) -> BTreeMap<String, BTreeSet<String>> {
        let living = |wanted: &Wanted| -> BTreeSet<String> {
            let places = wanted.0.iter().enumerate().filter_map(|(cluster, at)| Some((cluster, (*at)?)));
            let living = places.filter(|(cluster, at)| self.endpoints[*cluster][*at].mode() == Mode::Ok);
            living.map(|(cluster, at)| self.address(cluster, at)).collect()
        };
        self.services.iter().map(|(service, wanted)| (name(service, ""), living(wanted))).collect()
    }

    /// The first thing that is not as it has to be.
    async fn difference(&self) -> Result<(), String> {
        let expected = self.expected();
        let server = self.fleet.server();
        let ask = expected.iter().map(|(name, addresses)| async move {
            let found = dns::query(server, name, "A").await.map_err(|error| format!("{name}: {error}"))?;
            let found = found.values("A");
            if found == *addresses { Ok(()) } else { Err(format!("{name}: {found:?}, not {addresses:?}")) }
        });
        let answers: Vec<Result<(), String>> = stream::iter(ask).buffer_unordered(8).collect().await;
        answers.into_iter().collect::<Result<(), String>>()?;

        let mut client = fleet_etcd(&self.fleet).await;
        let found = client.get("/skydns/com/syncweek/", Some(GetOptions::new().with_prefix())).await;
        let found = found.map_err(|error| error.to_string())?;
        let keys: BTreeMap<&str, &str> =
            found.kvs().iter().map(|kv| (kv.key_str().unwrap(), kv.value_str().unwrap())).collect();
        for (key, value) in FOREIGN {
            assert_eq!(keys.get(key), Some(&value), "what another wrote");
        }
        let known = |key: &&&str| {
            FOREIGN.iter().any(|(foreign, _)| foreign == *key)
                || key.split('/').any(|part| self.services.contains_key(part))
                || !key.contains("/svc/")
        };
        match keys.keys().find(|key| !known(key)) {
            None => Ok(()),
            Some(orphan) => Err(format!("{orphan} is of no Service")),
        }
    }
}

impl World {
    /// Prints what is wrong, and each daemon's explanation.
    async fn explain(&self, difference: Option<&String>) {
        let Some(difference) = difference else { return };
        let name = difference.split(':').next().unwrap_or_default();
        eprintln!("{difference}");
        for daemon in &self.daemons {
            let why = daemon.command(&["why", name]).await;
            eprintln!("{}{}", why.out, why.err);
        }
    }
}

async fn fleet_etcd(fleet: &Fleet) -> etcd_client::Client {
    etcd_client::Client::connect([fleet.dns.etcd_endpoint()], None).await.unwrap()
}

/// Asks for the Services that nobody changes, again and again; ends with what was missing.
fn watch_steady(server: SocketAddr, expected: BTreeMap<String, BTreeSet<String>>) -> JoinHandle<String> {
    tokio::spawn(async move {
        loop {
            for (name, addresses) in &expected {
                // No answer says nothing: CoreDNS has one when its etcd has.
                let Ok(answer) = dns::query(server, name, "A").await else { continue };
                let known = [ResponseCode::NoError, ResponseCode::NXDomain].contains(&answer.rcode);
                if known && !answer.values("A").is_superset(addresses) {
                    return format!("{name} lost an address that lives: {answer}");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

fn number(key: &str, usual: u64) -> u64 {
    env::var(key).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{key}={text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_dns_becomes_what_it_should_be_and_the_living_stay() {
    let seed = number("CHAOS_SEED", 4);
    let services = usize::try_from(number("CHAOS_SERVICES", 60)).unwrap();
    let most = Duration::from_secs(number("CHAOS_SECONDS", 60));
    // Of their own: how many changes there are depends on the machine.
    let mut dice = Dice(seed);
    let mut world = World::start(seed, services).await;
    let converged = async |world: &World, what: &str| {
        let what = format!("seed {seed}: DNS to be right {what}");
        let (start, mut told) = (Instant::now(), false);
        let check = async || {
            let difference = world.difference().await;
            if start.elapsed() > SLOW && !std::mem::replace(&mut told, true) {
                world.explain(difference.as_ref().err()).await;
            }
            difference
        };
        eventually(&what, CONVERGED, Duration::from_millis(200), check).await.1
    };
    let mut report = format!("seed {seed}, {services} Services, {} daemons\n", world.daemons.len());
    let took = converged(&world, "after the start").await;
    writeln!(report, "start: right after {took:.1?}").unwrap();

    let steady = world.expected().into_iter().filter(|(name, _)| name.starts_with("steady")).collect();
    let watcher = watch_steady(world.fleet.server(), steady);
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < most {
        round += 1;
        let faults = Fault::draw(&mut dice);
        eprintln!("round {round}: {faults:?}");
        for fault in &faults {
            fault.begin(&mut world).await;
        }
        let until = Instant::now() + dice.millis(2_000, 8_000);
        while Instant::now() < until {
            world.change().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for fault in faults.iter().rev() {
            fault.end(&mut world).await;
        }
        let took = converged(&world, &format!("after round {round}, {faults:?}")).await;
        writeln!(report, "{faults:?}: right after {took:.1?}").unwrap();
        if watcher.is_finished() {
            break;
        }
    }
    eprintln!("{report}");
    if watcher.is_finished() {
        panic!("seed {seed}, round {round}: {}", watcher.await.unwrap());
    }
    for daemon in &mut world.daemons {
        daemon.assert_running();
    }
    tokio::task::block_in_place(|| drop(world));
}
