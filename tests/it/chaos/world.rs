//! All servers, and what changes in them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fleetdns_tests::access::Access;
use fleetdns_tests::busy_api::BusyApi;
use fleetdns_tests::conf::Conf;
use fleetdns_tests::daemon::{Daemon, Printed, fleetdns};
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kill_point::Protocol;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::packets::Network;
use fleetdns_tests::preload::Preload;
use fleetdns_tests::road::{ByRoad, Road};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Dice;
use super::stores::Stores;

pub(super) const PORT: u16 = 5001;
/// Of each cluster.
const ENDPOINTS: usize = 12;
/// Nobody changes these.
const STEADY: usize = 3;
/// Its western address is forced out now and then; otherwise as steady as those.
pub(super) const TOGGLED: &str = "steady-toggled";
/// Its load balancers have host names; they are the first of the steady endpoints.
const NAMED: &str = "steady-named";
/// So many Services that change are there at least.
const FEWEST: usize = 4;
/// For the answer to a command while things change.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// For the answer to a command after all; commands give up after 30 s.
pub(super) const AT_LAST: Duration = Duration::from_secs(40);

/// In which clusters a Service is, and at which of their endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(pub(super) [Option<usize>; 2]);

/// What one daemon has for itself.
pub(super) struct Site {
    pub(super) etcd: Road,
    pub(super) bind: Road,
    pub(super) preload: Preload,
}

impl Site {
    /// Nothing comes through to what it reaches by a road of its own.
    pub(super) fn cut(&self) {
        self.etcd.cut();
        self.bind.cut();
    }

    pub(super) fn mend(&self) {
        self.etcd.mend();
        self.bind.mend();
    }
}

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) ways: [ByRoad; 2],
    /// Stand in for the API servers when those throttle.
    pub(super) busy_apis: [BusyApi; 2],
    pub(super) stores: Stores,
    pub(super) daemons: Vec<Daemon>,
    pub(super) sites: Vec<Site>,
    pub(super) endpoints: [Vec<Endpoint>; 2],
    pub(super) services: BTreeMap<String, Wanted>,
    pub(super) dice: Dice,
    /// There when packets can be lost.
    pub(super) network: Option<Network>,
    /// Packets that were lost or late, and calls that were throttled.
    pub(super) met: u64,
    /// Clusters that take no changes now.
    pub(super) away: [bool; 2],
    /// Whether the western address of [`TOGGLED`] is forced out; `None` when nobody knows, as a command failed.
    pub(super) forced_out: Option<bool>,
    /// A command without an answer so far, and what it asks for. A daemon that was frozen carries it out later.
    asked: Option<(bool, JoinHandle<Printed>)>,
    made: usize,
    deaths: usize,
}

/// The host name of [`NAMED`]'s load balancer.
fn load_balancer(cluster: usize) -> String {
    format!("lb{cluster}.cloud.example")
}

/// The addresses of [`NAMED`]'s load balancers.
fn load_balancers(endpoints: &[Vec<Endpoint>; 2]) -> BTreeMap<String, Ipv4Addr> {
    let address = |cluster: usize| endpoints[cluster][ENDPOINTS].ip().to_string().parse().unwrap();
    [0, 1].map(|cluster| (load_balancer(cluster), address(cluster))).into()
}

impl World {
    /// Two replicas where the seed is even.
    pub(super) async fn start(seed: u64, services: usize) -> Self {
        match seed.is_multiple_of(2) {
            true => Self::start_with(2, Some("15s"), seed, services).await,
            false => Self::start_with(1, None, seed, services).await,
        }
    }

    /// `lease`: how long the leader's lease is; without, overrides are kept in a state file.
    pub(super) async fn start_with(replicas: usize, lease: Option<&str>, seed: u64, services: usize) -> Self {
        let fleet = Fleet::start().await;
        let endpoints = [(); 2].map(|()| (0..=ENDPOINTS + STEADY).map(|_| Endpoint::on_port(PORT)).collect());
        let stores = Stores::start(&fleet.dns, load_balancers(&endpoints)).await;
        let ways = [
            ByRoad::to_with(&fleet.west, Access::Reader).await,
            ByRoad::to_with(&fleet.east, Access::Reader).await,
        ];
        let busy_apis = [BusyApi::like(&fleet.west), BusyApi::like(&fleet.east)];
        let mut world = Self {
            fleet,
            busy_apis,
            ways,
            stores,
            daemons: Vec::new(),
            sites: Vec::new(),
            endpoints,
            services: BTreeMap::new(),
            dice: Dice(seed),
            network: None,
            met: 0,
            away: [false; 2],
            forced_out: Some(false),
            asked: None,
            made: 0,
            deaths: 0,
        };
        for _ in 0..replicas {
            world.add_daemon(lease).await;
        }
        for number in 0..=STEADY {
            let at = Some(ENDPOINTS + number);
            let name = match number {
                STEADY => TOGGLED.to_owned(),
                0 => NAMED.to_owned(),
                _ => format!("steady{number}"),
            };
            world.services.insert(name, Wanted([at, at]));
        }
        while world.services.len() < services {
            world.add();
        }
        for cluster in [0, 1] {
            world.publish_all(cluster).await;
        }
        world
    }

    async fn add_daemon(&mut self, lease: Option<&str>) {
        let etcd = Road::speaking(Protocol::Grpc, self.etcd()).await;
        let bind = Road::speaking(Protocol::Dns, self.stores.bind.address()).await;
        let preload = Preload::new();
        let at = format!("http://{}", etcd.address);
        let mut conf = Conf::new(&at)
            .cluster("westus", self.ways[0].kubeconfig())
            .cluster("eastus", self.ways[1].kubeconfig())
            .more(&self.stores.conf(bind.address))
            .more("[brakes]\nstartup-timeout = 5s\nmax-removals = 100%\nmax-delete = 100%");
        conf = match lease {
            Some(time) => conf.more(&format!("[ha]\nlease-time = {time}\netcd-endpoints = {at}\n")),
            None => conf.fleet(&format!("state-dir = {}", preload.state_dir().display())),
        };
        let environment = preload.environment();
        let environment = environment.each_ref().map(|(key, value)| (*key, value.as_str()));
        self.daemons.push(Daemon::spawn(&conf, &environment));
        self.sites.push(Site { etcd, bind, preload });
    }

    /// Ends all of it.
    pub(super) fn end(mut self) {
        for daemon in &mut self.daemons {
            daemon.assert_running();
        }
        tokio::task::block_in_place(|| drop(self));
    }

    /// Where the etcd of the zone listens.
    pub(super) fn etcd(&self) -> SocketAddr {
        self.fleet.dns.etcd_endpoint().trim_start_matches("http://").parse().unwrap()
    }

    pub(super) fn member(&self, cluster: usize) -> &Member {
        if cluster == 0 { &self.fleet.west } else { &self.fleet.east }
    }

    pub(super) fn member_mut(&mut self, cluster: usize) -> &mut Member {
        if cluster == 0 { &mut self.fleet.west } else { &mut self.fleet.east }
    }

    pub(super) fn daemon(&mut self, number: usize) -> &mut Daemon {
        let count = self.daemons.len();
        &mut self.daemons[number % count]
    }

    pub(super) fn site(&self, number: usize) -> &Site {
        &self.sites[number % self.sites.len()]
    }

    pub(super) fn address(&self, cluster: usize, endpoint: usize) -> String {
        self.endpoints[cluster][endpoint].ip().to_string()
    }

    pub(super) fn toggled_address(&self) -> String {
        self.address(0, ENDPOINTS + STEADY)
    }

    fn add(&mut self) -> String {
        let at = [(); 2].map(|()| Some(self.dice.below(ENDPOINTS)));
        let service = format!("s{}", self.made);
        self.made += 1;
        self.services.insert(service.clone(), Wanted(at));
        service
    }

    /// Everything that one cluster has, written into it.
    pub(super) async fn publish_all(&self, cluster: usize) {
        let all = self.services.iter().filter_map(|(name, wanted)| Some((name, wanted.0[cluster]?)));
        let publish = all.map(|(name, at)| self.publish(cluster, name.clone(), at));
        stream::iter(publish).buffer_unordered(16).collect::<()>().await;
    }

    async fn publish(&self, cluster: usize, service: String, at: usize) {
        let object = NewService::new("default", &service).port(PORT);
        let target = if service == NAMED { load_balancer(cluster) } else { self.address(cluster, at) };
        self.member(cluster).create_published(&object, &[&target]).await;
    }

    /// Changes one Service, an endpoint or an override, where the clusters are there.
    pub(super) async fn change(&mut self) {
        let cluster = self.dice.below(2);
        let changing: Vec<String> =
            self.services.keys().filter(|name| !name.starts_with("steady")).cloned().collect();
        let service = changing[self.dice.below(changing.len())].clone();
        match self.dice.below(64) {
            0 | 1 if self.away == [false; 2] => self.create().await,
            // Chance would leave none within an hour.
            2 | 3 if self.away == [false; 2] && changing.len() > FEWEST => self.delete(&service).await,
            4 | 5 => self.turn(cluster),
            6 => self.toggle(SOON).await,
            _ if self.away[cluster] => {}
            _ => self.relocate(cluster, &service).await,
        }
    }

    pub(super) async fn create(&mut self) {
        let service = self.add();
        let Wanted([west, east]) = self.services[&service];
        tokio::join!(
            self.publish(0, service.clone(), west.unwrap()),
            self.publish(1, service.clone(), east.unwrap())
        );
    }

    async fn delete(&mut self, service: &str) {
        self.services.remove(service);
        join_all([0, 1].map(|cluster| self.member(cluster).delete_service("default", service))).await;
    }

    async fn relocate(&mut self, cluster: usize, service: &str) {
        let at = self.dice.below(ENDPOINTS);
        let Some(Wanted(places)) = self.services.get_mut(service) else { return };
        places[cluster] = Some(at);
        let address = self.address(cluster, at);
        self.member(cluster).patch_status("default", service, &[&address]).await;
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

    /// Forces an address out, or takes that back; not while nobody knows which of the two counts.
    pub(super) async fn toggle(&mut self, patience: Duration) {
        let _ = self.hear(Duration::ZERO).await;
        if let Some(forced_out) = self.forced_out {
            let _ = self.force_out(!forced_out, patience).await;
        }
    }

    async fn force_out(&mut self, out: bool, patience: Duration) -> Result<(), String> {
        self.forced_out = None;
        let subject = format!("address/{}", self.toggled_address());
        let daemon = self.dice.below(self.daemons.len());
        let conf = self.daemons[daemon].conf_path().display().to_string();
        let (verb, sure) = if out { ("force-out", "--yes") } else { ("undrain", "--anyway") };
        let ask = async move { fleetdns(&[verb, &subject, sure, "-c", &conf]).await };
        self.asked = Some((out, tokio::spawn(ask)));
        self.hear(patience).await
    }

    /// Waits for the answer to the last command.
    async fn hear(&mut self, patience: Duration) -> Result<(), String> {
        let Some((out, answer)) = &mut self.asked else { return Ok(()) };
        let out = *out;
        let printed = timeout(patience, answer).await.map_err(|_| "no answer yet".to_owned())?;
        self.asked = None;
        match printed {
            Ok(Printed { code: Some(0), .. }) => {
                self.forced_out = Some(out);
                Ok(())
            }
            failed => Err(format!("{failed:?}")),
        }
    }

    /// After a command that failed: repeats it until it is known what counts.
    pub(super) async fn settle_override(&mut self) {
        let _ = self.hear(AT_LAST).await;
        if self.forced_out.is_some() {
            return;
        }
        let out = self.dice.below(2) == 0;
        let again = async || self.force_out(out, AT_LAST).await;
        eventually("an override to be taken", 2 * AT_LAST, Duration::from_millis(200), again).await;
    }
}
