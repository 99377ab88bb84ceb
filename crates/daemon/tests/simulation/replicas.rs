//! Several replicas on one zone, with an engine that fails and clocks that drift.
//!
//! Laws: every write comes from the replica that the engine names at that moment; nothing that lives is taken out; what
//! a replica was told stays told, and comes to all of them; in the end the zone is right and one of them leads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Health, Ingress, Inventory, Listing, MemberView,
    ObservedSet, OverrideKind, Overrides, Port, ProbeKey, Provider, ProviderError, Published, RecordData,
    Service, Snapshot, Subject, Verdict,
};
use fleetdns_daemon::ha::{Document, Engine, Stored};
use fleetdns_daemon::overrides::OverrideRequest;
use fleetdns_planner::{PublishSettings, publish};
use futures::FutureExt;
use tokio::time::{Instant, sleep};

use crate::replica::Running;
use crate::rng::Rng;
use crate::zone::Backend;

pub(crate) const MEMBERS: [&str; 3] = ["east", "north", "west"];
/// The name at which all members stand.
const GLOBAL: &str = "web.default.fed.svc.example.com";
/// No replica learns of anything later than this.
const NEWS: Duration = Duration::from_secs(3);

/// What is broken on purpose, so that a law is seen to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    /// Everybody writes.
    Unfenced,
    /// What a replica was told stays with it.
    Forgets,
    /// They are no replicas, but daemons that know nothing of each other and have the same owner.
    Strangers,
}

/// What all replicas share, and what is true.
pub(crate) struct World {
    born: Instant,
    zone: Backend,
    documents: HashMap<Document, Stored>,
    versions: u64,
    rng: Rng,
    /// Who cannot reach the engine at the moment; everybody when the name is empty.
    cut: BTreeSet<String>,
    /// One of a hundred requests or answers is lost.
    loses: bool,
    /// Addresses that are dead, or came back to life at that time.
    dead: BTreeMap<IpAddr, Option<Duration>>,
    /// What is drained, or was until that time.
    drained: BTreeMap<String, Option<Duration>>,
    /// Members of which a replica is told something, or was told while it was frozen: nobody knows when it is done.
    unsure: BTreeMap<String, u32>,
    wrong: Vec<String>,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            born: Instant::now(),
            zone: Backend::new(seed),
            documents: HashMap::new(),
            versions: 0,
            rng: Rng::new(!seed),
            cut: BTreeSet::new(),
            loses: true,
            dead: BTreeMap::new(),
            drained: BTreeMap::new(),
            unsure: BTreeMap::new(),
            wrong: Vec::new(),
            log: Vec::new(),
        }
    }

    fn say(&mut self, what: &str) {
        let line = format!("{:>9.3} {what}", self.born.elapsed().as_secs_f64());
        self.log.push(line);
    }

    fn accuse(&mut self, what: &str) {
        self.say(&format!("WRONG {what}"));
        self.wrong.push(what.to_owned());
    }

    fn holder(&self) -> Option<String> {
        let lease = self.documents.get(&Document::Lease)?;
        serde_json::from_str::<serde_json::Value>(&lease.text).ok()?["holder"].as_str().map(str::to_owned)
    }

    fn is_cut(&self, name: &str) -> bool {
        self.cut.contains(name) || self.cut.contains("")
    }

    fn shared(&self) -> BTreeSet<String> {
        let text = self.documents.get(&Document::Overrides).map_or("{}", |stored| &stored.text);
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let entries = value["overrides"].as_array().cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry["subject"].as_str().map(str::to_owned)).collect()
    }

    /// The engine as one replica reaches it.
    pub(crate) fn engine(world: &Arc<Mutex<Self>>, name: &str) -> Engine {
        let (reading, writing, reader, writer) =
            (Arc::clone(world), Arc::clone(world), name.to_owned(), name.to_owned());
        Engine::new(
            "engine",
            move |document| {
                let (world, name) = (Arc::clone(&reading), reader.clone());
                async move {
                    travel(&world, &name).await?;
                    let found = world.lock().unwrap().documents.get(&document).cloned();
                    travel(&world, &name).await?;
                    Ok(found)
                }
                .boxed()
            },
            move |document, text, over| {
                let (world, name) = (Arc::clone(&writing), writer.clone());
                async move {
                    travel(&world, &name).await?;
                    let written = world.lock().unwrap().put(document, text, over.as_deref());
                    travel(&world, &name).await?;
                    Ok(written)
                }
                .boxed()
            },
        )
    }

    fn put(&mut self, document: Document, text: String, over: Option<&str>) -> Option<Arc<str>> {
        if self.documents.get(&document).map(|stored| &*stored.version) != over {
            return None;
        }
        self.versions += 1;
        let version: Arc<str> = self.versions.to_string().into();
        self.documents.insert(document, Stored { text, version: Arc::clone(&version) });
        Some(version)
    }

    /// What stands at the name of all members.
    fn values(&self) -> BTreeSet<IpAddr> {
        let sets = self.zone.observed.at(&GLOBAL.parse().unwrap());
        let values = sets.iter().filter_map(ObservedSet::ours).flat_map(RecordData::values);
        values.filter_map(|value| value.parse().ok()).collect()
    }

    fn is_unsure(&self, member: &str) -> bool {
        self.unsure.get(member).is_some_and(|orders| *orders > 0)
    }

    /// Whether an address may be taken out: it is dead or drained, or was until a moment ago.
    fn may_go(&self, address: IpAddr) -> bool {
        let now = self.born.elapsed();
        let lately = |until: Option<&Option<Duration>>| {
            until.is_some_and(|until| until.is_none_or(|until| now < until + NEWS * 3))
        };
        let member = member_of(address);
        lately(self.dead.get(&address)) || lately(self.drained.get(member)) || self.is_unsure(member)
    }

    /// Which addresses ought to stand there in the end.
    fn expected(&self) -> BTreeSet<IpAddr> {
        let drained = self.shared();
        let goes = |address: &IpAddr| {
            self.dead.get(address) == Some(&None)
                || drained.contains(&format!("cluster/{}", member_of(*address)))
        };
        addresses().filter(|address| !goes(address)).collect()
    }
}

/// A request or an answer on its way: it takes its time, or is lost.
async fn travel(world: &Arc<Mutex<World>>, name: &str) -> Result<(), String> {
    let (pause, lost) = {
        let mut world = world.lock().unwrap();
        let dice = world.rng.below(100);
        let cut = world.is_cut(name);
        (Duration::from_millis(if dice < 5 { 1500 } else { dice }), cut || (world.loses && dice == 99))
    };
    sleep(pause).await;
    if lost || world.lock().unwrap().is_cut(name) {
        sleep(Duration::from_secs(60)).await;
        return Err("the engine does not answer".to_owned());
    }
    Ok(())
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    (0..MEMBERS.len() * 2).map(|number| format!("203.0.113.{}", number + 1).parse().unwrap())
}

fn member_of(address: IpAddr) -> &'static str {
    let IpAddr::V4(ip) = address else { unreachable!() };
    MEMBERS[(usize::from(ip.octets()[3]) - 1) / 2]
}

/// One replica's way to the zone.
pub(crate) struct Written {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) by: String,
}

#[async_trait]
impl Provider for Written {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        sleep(Duration::from_millis(50)).await;
        let observed = self.world.lock().unwrap().zone.observed.clone();
        Ok(Listing { observed, unreadable: Vec::new() })
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let mut names = Vec::new();
        for change in &plan.plan().changes {
            let pause = self.world.lock().unwrap().rng.below(400);
            sleep(Duration::from_millis(pause)).await;
            let mut world = self.world.lock().unwrap();
            if world.holder().as_ref() != Some(&self.by) {
                let holder = world.holder();
                world.accuse(&format!("writer: {} writes, and the leader is {holder:?}", self.by));
            }
            let before = world.values();
            let (outcome, sets) = world.zone.outcome(change, false);
            if let Some(sets) = sets {
                world.zone.observed.replace(change.name.clone(), sets);
                let after = world.values();
                world.say(&format!("{} writes {}: {after:?}", self.by, change.name));
                for address in before.difference(&after) {
                    if !world.may_go(*address) {
                        world.accuse(&format!("removal: {} takes out {address}, which lives", self.by));
                    }
                }
            }
            names.push((change.name.clone(), outcome));
        }
        Applied { names }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        Vec::new()
    }
}

fn published(member: usize) -> Published {
    let apex: DnsName = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(apex.clone(), apex)],
        ..PublishSettings::default()
    };
    let of_member = addresses().filter(|address| member_of(*address) == MEMBERS[member]);
    let ingress = of_member.map(|ip| Ingress { ip: Some(ip.to_string()), hostname: None });
    let service = Service {
        namespace: "default".into(),
        name: "web".into(),
        ports: vec![Port { port: 80, protocol: "TCP".into() }],
        ingress: Some(ingress.collect()),
        ..Service::default()
    };
    publish(Arc::new(service), &settings).unwrap()
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (number, name) in MEMBERS.iter().enumerate() {
        let (name, published) = (name.parse::<fleetdns_core::MemberName>().unwrap(), published(number));
        let mut view = MemberView::pending(name.clone());
        (view.inventory, view.listed) = (Inventory::Live, true);
        view.services.insert(published.key.clone(), Arc::new(published));
        snapshot.members.insert(name, Arc::new(view));
    }
    snapshot
}

fn health(world: &World) -> Health {
    let mut health = Health::default();
    for (number, _) in MEMBERS.iter().enumerate() {
        let published = published(number);
        for address in published.addresses.iter().flatten().filter_map(fleetdns_core::Address::ip) {
            let dead = world.dead.get(&address) == Some(&None);
            let verdict = if dead { Verdict::Unhealthy } else { Verdict::Healthy };
            let key = ProbeKey { address, spec: Arc::clone(&published.probe) };
            health.verdicts.insert(key, verdict);
        }
    }
    health
}

/// The replicas and what happens to them.
pub(crate) struct Group {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) replicas: Vec<Running>,
    rng: Rng,
    started: u64,
    broken: Broken,
}

impl Group {
    pub(crate) fn new(seed: u64, count: u64, broken: Broken) -> Self {
        let world = Arc::new(Mutex::new(World::new(seed)));
        let mut group = Self { world, replicas: Vec::new(), rng: Rng::new(seed), started: 0, broken };
        (0..count).for_each(|_| group.start());
        group
    }

    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.world.lock().unwrap())
    }

    pub(crate) fn start(&mut self) {
        self.started += 1;
        let rate = u32::try_from(self.rng.between(950, 1050)).unwrap();
        let replica = Running::start(&self.world, &format!("r{}", self.started), rate, self.broken);
        replica.snapshots.send_replace(snapshot());
        replica.health.send_replace(self.with(|world| health(world)));
        self.replicas.push(replica);
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        self.replicas.iter().position(Running::leads)
    }

    /// Every replica's prober sees it, each in its own time.
    fn tell_health(&mut self) {
        for replica in &self.replicas {
            let (world, health_out) = (Arc::clone(&self.world), replica.health.clone());
            let pause = Duration::from_millis(self.rng.below(3000));
            tokio::spawn(async move {
                sleep(pause).await;
                let now = health(&world.lock().unwrap());
                health_out.send_replace(now);
            });
        }
    }

    pub(crate) fn set_dead(&mut self, address: IpAddr, dead: bool) {
        self.with(|world| {
            world.say(&format!("{address} {}", if dead { "dies" } else { "lives" }));
            let until = (!dead).then(|| world.born.elapsed());
            world.dead.insert(address, until);
        });
        self.tell_health();
    }

    /// Tells one replica to drain a member, or to take that back.
    pub(crate) async fn order(&mut self, replica: usize, member: &'static str, drain: bool) -> bool {
        let subject = format!("cluster/{member}");
        let request = OverrideRequest {
            subjects: vec![subject.parse::<Subject>().unwrap()],
            kind: drain.then_some(OverrideKind::Drain),
            by: "root".into(),
            reason: String::new(),
            span: None,
        };
        // Also when the answer is lost it may be in force.
        self.with(|world| {
            *world.unsure.entry(member.to_owned()).or_default() += 1;
        });
        let overrides = self.replicas[replica].overrides.clone();
        let done = tokio::time::timeout(Duration::from_secs(20), overrides.request(request)).await;
        let done = matches!(done, Ok(Ok(_)));
        self.with(|world| {
            let now = world.born.elapsed();
            world.say(&format!("order {drain} {member}: {done}"));
            if done && world.shared().contains(&subject) != drain && self.broken == Broken::Nothing {
                world.accuse("override: accepted and not in the engine");
            }
            if done {
                *world.unsure.entry(member.to_owned()).or_default() -= 1;
                world.drained.insert(member.to_owned(), if drain { None } else { Some(now) });
            }
        });
        done
    }

    async fn chaos(&mut self) {
        let count = self.replicas.len();
        let one = usize::try_from(self.rng.below(count as u64)).unwrap();
        match self.rng.below(12) {
            0 if count > 2 => {
                let gone = self.replicas.remove(one);
                self.with(|world| world.say(&format!("{} is killed", gone.name)));
                gone.kill();
            }
            1 if count > 2 => {
                let gone = self.replicas.remove(one);
                self.with(|world| world.say(&format!("{} is stopped", gone.name)));
                gone.freezer.thaw();
                gone.stop();
            }
            2 if count < 4 => self.start(),
            3 | 4 => {
                let (freezer, name) = (self.replicas[one].freezer.clone(), self.replicas[one].name.clone());
                let longest = if self.rng.chance(20) { 300 } else { 60 };
                let span = Duration::from_secs(self.rng.between(1, longest));
                self.with(|world| world.say(&format!("{name} freezes for {span:?}")));
                freezer.freeze();
                tokio::spawn(async move {
                    sleep(span).await;
                    freezer.thaw();
                });
            }
            5 | 6 => {
                let name = if self.rng.chance(30) { String::new() } else { self.replicas[one].name.clone() };
                let (world, span) = (Arc::clone(&self.world), Duration::from_secs(self.rng.between(1, 60)));
                self.with(|world| {
                    world.say(&format!("the engine is away for '{name}' for {span:?}"));
                    world.cut.insert(name.clone());
                });
                tokio::spawn(async move {
                    sleep(span).await;
                    world.lock().unwrap().cut.remove(&name);
                });
            }
            7..=9 => {
                let all: Vec<IpAddr> = addresses().collect();
                let address = *self.rng.pick(&all).unwrap();
                let dead = self.with(|world| world.dead.get(&address) == Some(&None));
                self.set_dead(address, !dead);
            }
            _ => {
                let member = *self.rng.pick(&MEMBERS).unwrap();
                let drain = self.rng.chance(50);
                self.order(one, member, drain).await;
            }
        }
    }

    /// Nothing fails any more.
    async fn calm(&mut self) {
        self.with(|world| {
            world.say("calm");
            world.cut.clear();
            world.loses = false;
        });
        for replica in &self.replicas {
            replica.freezer.thaw();
        }
        self.tell_health();
        sleep(Duration::from_secs(150)).await;
        let leaders = self.replicas.iter().filter(|replica| replica.leads()).count();
        let told: Vec<BTreeSet<String>> =
            self.replicas.iter().map(|replica| subjects(&replica.overrides.receiver().borrow())).collect();
        self.with(|world| {
            if leaders != 1 {
                world.accuse(&format!("leader: {leaders} replicas lead"));
            }
            let shared = world.shared();
            if told.iter().any(|told| *told != shared) {
                world.accuse(&format!("override: the replicas have {told:?}, the engine {shared:?}"));
            }
            for (member, state) in world.drained.clone() {
                let told = state.is_none();
                if told != shared.contains(&format!("cluster/{member}")) && !world.is_unsure(&member) {
                    world.accuse(&format!("override: {member} was told {state:?} and that is lost"));
                }
            }
            let (expected, values) = (world.expected(), world.values());
            if !expected.is_empty() && expected != values {
                world.accuse(&format!("converge: {values:?} and not {expected:?}"));
            }
        });
    }
}

fn subjects(overrides: &Overrides) -> BTreeSet<String> {
    overrides.iter().map(|entry| entry.subject.to_string()).collect()
}

/// What went wrong in one run.
pub(crate) fn run(seed: u64, broken: Broken) -> (Vec<String>, Vec<String>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut group = Group::new(seed, 3, broken);
        sleep(Duration::from_secs(group.rng.between(1, 30))).await;
        let end = Duration::from_secs(group.rng.between(60, 400));
        while group.with(|world| world.born.elapsed() < end && world.wrong.is_empty()) {
            group.chaos().await;
            let pause = group.rng.between(1, 20_000);
            sleep(Duration::from_millis(pause)).await;
        }
        group.calm().await;
        group.with(|world| (std::mem::take(&mut world.wrong), std::mem::take(&mut world.log)))
    })
}

#[test]
fn replicas_keep_every_law() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("SEED") {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        let _ = log.without_time().with_target(false).with_ansi(false).try_init();
        let (wrong, log) = run(seed, Broken::Nothing);
        println!("{}", log.join("\n"));
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
        return;
    }
    let first = number("START").unwrap_or(1);
    let seeds = crate::kept("r").into_iter().chain(first..first + number("SEEDS").unwrap_or(60));
    let wrong: Vec<(u64, String)> =
        seeds.filter_map(|seed| Some((seed, run(seed, Broken::Nothing).0.into_iter().next()?))).collect();
    assert_eq!(wrong, vec![]);
}

fn breaks(broken: Broken, law: &str) {
    let found = (1..=40).find(|seed| run(*seed, broken).0.iter().any(|wrong| wrong.starts_with(law)));
    assert!(found.is_some(), "{broken:?} and no run breaks the law of {law}");
}

#[test]
fn replicas_without_a_fence_are_seen() {
    breaks(Broken::Unfenced, "writer");
}

#[test]
fn an_override_that_stays_with_one_replica_is_seen() {
    breaks(Broken::Forgets, "override");
}

/// A group that leads, and its leader.
async fn settled(seed: u64) -> (Group, usize) {
    let group = Group::new(seed, 3, Broken::Nothing);
    sleep(Duration::from_secs(60)).await;
    let leader = group.leader().unwrap();
    (group, leader)
}

/// How long an address that dies now stays.
async fn time_to_removal(group: &mut Group, address: IpAddr) -> Duration {
    let since = Instant::now();
    group.set_dead(address, true);
    while group.with(|world| world.values().contains(&address)) {
        sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}

#[tokio::test(start_paused = true)]
async fn after_sigterm_the_next_writes_within_two_seconds() {
    for seed in 0..10 {
        let (mut group, leader) = settled(seed).await;
        let gone = group.replicas.remove(leader);
        gone.stop();
        let took = time_to_removal(&mut group, "203.0.113.1".parse().unwrap()).await;
        // What the probers need is no part of it, nor what the zone does.
        assert!(took <= NEWS + Duration::from_millis(2000 + 3 * 400), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_kill_the_next_writes_within_the_lease_time() {
    for seed in 0..10 {
        let (mut group, leader) = settled(seed).await;
        group.replicas.remove(leader).kill();
        let took = time_to_removal(&mut group, "203.0.113.1".parse().unwrap()).await;
        assert!(took > Duration::from_secs(8), "{took:?}: the lease was respected");
        assert!(took <= crate::replica::LEASE_TIME + Duration::from_millis(3 * 400), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_daemons_with_one_owner_the_later_one_stops_and_both_say_so() {
    let mut group = Group::new(1, 2, Broken::Strangers);
    sleep(Duration::from_secs(60)).await;
    // What one is told the other undoes, until it knows better.
    group.order(1, "west", true).await;
    sleep(Duration::from_secs(70)).await;
    group.order(0, "east", true).await;
    sleep(Duration::from_secs(400)).await;
    let written = |group: &Group| {
        let log = group.with(|world| std::mem::take(&mut world.log));
        [1, 2].map(|number| log.iter().filter(|line| line.contains(&format!(" r{number} writes "))).count())
    };
    written(&group);
    let told = |group: &Group, number: usize| group.replicas[number].status.borrow().other_writer.clone();
    let (first, second) = (told(&group, 0).unwrap(), told(&group, 1).unwrap());
    assert!(first.contains("this one goes on") && second.contains("writes no more"), "{first} {second}");
    let stands = |member| group.with(|world| world.values().into_iter().any(|one| member_of(one) == member));
    assert!(!stands("east") && stands("west"), "what the first was told is in force");
    // As long as the first writes, the second does not.
    for round in 0..20 {
        group.set_dead("203.0.113.5".parse().unwrap(), round % 2 == 0);
        sleep(Duration::from_secs(120)).await;
    }
    let [first, second] = written(&group);
    assert!(first > 5 && second == 0, "{first} {second}");
    // Then it takes over.
    group.replicas.remove(0).kill();
    sleep(Duration::from_secs(700)).await;
    assert_eq!(told(&group, 0), None);
    group.set_dead("203.0.113.6".parse().unwrap(), true);
    sleep(Duration::from_secs(60)).await;
    assert!(!group.with(|world| world.values()).contains(&"203.0.113.6".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_confirmed_at_one_replica_is_confirmed_at_all() {
    let (mut group, _) = settled(1).await;
    group.order(1, "east", true).await;
    group.replicas[0].overrides.confirm().await.unwrap();
    // What one is told of members leaves it as it is.
    group.order(2, "east", false).await;
    group.start();
    sleep(Duration::from_secs(5)).await;
    let told: Vec<u64> = group.replicas.iter().map(|replica| *replica.confirmed.borrow()).collect();
    assert_eq!(
        told,
        [0, 1, 1, 0],
        "the one that was asked tells its own prober; one that starts later has no part"
    );
}
