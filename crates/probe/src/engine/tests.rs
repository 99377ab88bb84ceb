//! The prober on a paused clock, over a network without sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fleetdns_core::Verdict::{Healthy, Recovering, Suspect, Suspended, Unhealthy};
use fleetdns_core::{Inventory, MemberView};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use imbl::OrdSet;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep, timeout};

use super::*;
use crate::answer::Failure;
use crate::resolve::Family;
use crate::testing::{Words, drop_service, fleet, key, member, put_service};

mod inconclusive;
mod limits;
mod resolving;
mod self_check;
mod setup;

const SECOND: Duration = Duration::from_secs(1);
const REFUSED: Answer = Answer::Fail(Failure::Refused);

/// A network without sockets: answers by address, and remembers when each was asked.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<Inner>>);

type Probes = Box<dyn Fn(ProbeKey) -> BoxFuture<'static, Answer> + Send>;
type Lookups = Box<dyn Fn(DnsName) -> BoxFuture<'static, (DnsName, Families)> + Send>;

#[derive(Default)]
struct Inner {
    answers: HashMap<String, (Duration, Answer)>,
    asked: Vec<(String, Instant)>,
    names: HashMap<String, Families>,
}

impl Network {
    fn set(&self, address: &str, after: Duration, answer: Answer) {
        self.0.lock().unwrap().answers.insert(address.to_owned(), (after, answer));
    }

    fn name(&self, name: &str, answer: Families) {
        self.0.lock().unwrap().names.insert(name.to_owned(), answer);
    }

    fn asked(&self, address: &str) -> Vec<Instant> {
        let inner = self.0.lock().unwrap();
        inner.asked.iter().filter(|(asked, _)| asked == address).map(|(_, at)| *at).collect()
    }

    fn setup(&self, settings: ProbeSettings, canaries: Vec<Canary>) -> Setup<Probes, Lookups> {
        let (probing, naming) = (self.clone(), self.clone());
        let probe: Probes = Box::new(move |key| Box::pin(probing.clone().probe(key)));
        let lookup: Lookups = Box::new(move |name| Box::pin(naming.clone().lookup(name)));
        Setup { settings, canaries, probe, lookup }
    }

    async fn probe(self, key: ProbeKey) -> Answer {
        let address = key.address.to_string();
        let (after, answer) = {
            let mut inner = self.0.lock().unwrap();
            inner.asked.push((address.clone(), Instant::now()));
            inner.answers.get(&address).cloned().unwrap_or((Duration::ZERO, Answer::Pass))
        };
        if after > Duration::ZERO {
            sleep(after).await;
        }
        answer
    }

    async fn lookup(self, name: DnsName) -> (DnsName, Families) {
        let answer = self.0.lock().unwrap().names.get(name.as_str()).cloned();
        match answer {
            Some(answer) => (name, answer),
            None => std::future::pending().await,
        }
    }
}

struct World {
    network: Network,
    snapshots: watch::Sender<Snapshot>,
    health: watch::Receiver<Health>,
    reports: Reports,
    confirm_outage: watch::Sender<u64>,
    setups: UnboundedSender<(ProbeSettings, Vec<Canary>)>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ProbeError>>,
}

fn settings() -> ProbeSettings {
    ProbeSettings { max_inflight: 100, ..ProbeSettings::default() }
}

fn world(network: &Network, settings: ProbeSettings, snapshot: Snapshot) -> World {
    world_with(network, settings, snapshot, Vec::new())
}

fn world_with(
    network: &Network,
    settings: ProbeSettings,
    snapshot: Snapshot,
    canaries: Vec<Canary>,
) -> World {
    let (snapshots, receiver) = watch::channel(snapshot);
    let (out, health) = watch::channel(Health::default());
    let (reports, shutdown) = (Reports::default(), CancellationToken::new());
    let engine = Engine::new(network.setup(settings, canaries), reports.clone());
    let token = shutdown.clone();
    let (confirm_outage, confirmed) = watch::channel(0);
    let (setups, later) = unbounded();
    let by = network.clone();
    let later = later.map(move |(settings, canaries)| by.setup(settings, canaries));
    let task = tokio::spawn(async move { engine.run(receiver, &out, confirmed, later, token).await });
    World { network: network.clone(), snapshots, health, reports, confirm_outage, setups, shutdown, task }
}

fn west(services: &[Words<'_>]) -> Snapshot {
    fleet(&[member("west", services)])
}

impl World {
    fn verdict(&self, address: &str) -> Verdict {
        self.health.borrow().verdict(&key(address, "tcp:80"))
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshots.send_modify(change);
    }
}

/// Waits until the address is asked again, to a millisecond.
async fn next_probe(network: &Network, address: &str) -> Instant {
    let before = network.asked(address);
    loop {
        sleep(Duration::from_millis(1)).await;
        let asked = network.asked(address);
        if let Some(at) = asked.last().filter(|_| asked.len() > before.len()) {
            return *at;
        }
    }
}

fn found(addresses: &[&str], ttl: u32) -> Family {
    Family::Found(addresses.iter().map(|text| text.parse().unwrap()).collect(), SECOND * ttl)
}

const ONE: Words<'_> = ("a", "10.0.0.1", "tcp:80");

#[tokio::test(start_paused = true)]
async fn a_new_key_is_probed_and_published_within_a_millisecond() {
    let mut world = world(&Network::default(), settings(), west(&[]));
    sleep(SECOND).await;
    let start = Instant::now();
    world.change(|snapshot| put_service(snapshot, "west", ONE));
    world.health.changed().await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(1), "{:?}", start.elapsed());
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_out_within_eleven_seconds_of_its_last_good_answer() {
    for (after, answer, bound) in
        [(Duration::ZERO, REFUSED, 9), (SECOND * 2, Answer::Fail(Failure::NoConnection(SECOND * 2)), 11)]
    {
        let network = Network::default();
        let mut world = world(&network, settings(), west(&[ONE]));
        sleep(SECOND * 30).await;
        // Right after a good answer, the worst time to die.
        let died = next_probe(&network, "10.0.0.1").await;
        network.set("10.0.0.1", after, answer);
        world.health.mark_unchanged();
        let mut seen = Vec::new();
        while world.verdict("10.0.0.1") != Unhealthy {
            world.health.changed().await.unwrap();
            seen.push(world.verdict("10.0.0.1"));
        }
        assert_eq!(seen, [Suspect, Unhealthy], "each change once");
        let bound = SECOND * bound + Duration::from_millis(10);
        assert!(died.elapsed() <= bound, "{:?} > {bound:?}", died.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_comes_back_after_rise_answers() {
    let network = Network::default();
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    let mut world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND * 30).await;
    assert_eq!(world.verdict("10.0.0.1"), Unhealthy);
    let report = world.reports.get(&key("10.0.0.1", "tcp:80")).unwrap();
    assert_eq!(report.last.error().as_deref(), Some("connection refused"));
    assert!(report.failures > 3);
    network.set("10.0.0.1", Duration::ZERO, Answer::Pass);
    world.health.mark_unchanged();
    world.health.changed().await.unwrap();
    assert_eq!(world.verdict("10.0.0.1"), Recovering);
    let recovering = Instant::now();
    world.health.changed().await.unwrap();
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    assert!(recovering.elapsed() <= SECOND * 2 + Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_when_nothing_changed() {
    let mut world = world(&Network::default(), settings(), west(&[ONE]));
    sleep(SECOND).await;
    world.health.mark_unchanged();
    sleep(SECOND * 600).await;
    assert!(!world.health.has_changed().unwrap());
    let asked = world.network.asked("10.0.0.1").len();
    assert!((120..=122).contains(&asked), "{asked} probes in 601 s");
    // A snapshot with the same targets changes nothing either.
    world.change(|snapshot| put_service(snapshot, "west", ("b", "10.0.0.1", "tcp:80")));
    sleep(SECOND).await;
    assert!(!world.health.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_probe_serves_all_who_share_the_key() {
    let members: Vec<MemberView> =
        ["west", "east"].map(|name| member(name, &[ONE, ("b", "10.0.0.1", "tcp:80")])).into();
    let world = world(&Network::default(), settings(), fleet(&members));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.network.asked("10.0.0.1").len(), 1);
    assert_eq!(world.health.borrow().verdicts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_goes_leaves_health_and_reports_after_its_probe() {
    let network = Network::default();
    let world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND).await;
    world.change(|snapshot| drop_service(snapshot, "west", "a"));
    sleep(Duration::from_millis(1)).await;
    assert!(world.health.borrow().verdicts.is_empty());
    assert_eq!(world.reports.all(), []);
    // The same with a probe under way: its answer comes first.
    network.set("10.0.0.1", SECOND, Answer::Pass);
    world.change(|snapshot| put_service(snapshot, "west", ONE));
    sleep(Duration::from_millis(1)).await;
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND * 2).await;
    assert!(world.health.borrow().verdicts.is_empty());
    assert_eq!(world.reports.all(), []);
    let asked = network.asked("10.0.0.1").len();
    sleep(SECOND * 60).await;
    assert_eq!(network.asked("10.0.0.1").len(), asked, "nobody wants it probed");
}

#[tokio::test(start_paused = true)]
async fn removed_members_are_not_probed() {
    let mut gone = member("west", &[ONE]);
    gone.inventory = Inventory::Removed;
    let world = world(&Network::default(), settings(), fleet(&[gone]));
    sleep(SECOND * 60).await;
    assert_eq!(world.network.asked("10.0.0.1").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_ends_on_shutdown_and_complains_when_its_source_ends() {
    let first = world(&Network::default(), settings(), west(&[ONE]));
    sleep(SECOND).await;
    first.shutdown.cancel();
    assert!(first.task.await.unwrap().is_ok());
    let second = world(&Network::default(), settings(), west(&[ONE]));
    sleep(SECOND).await;
    drop(second.snapshots);
    assert!(matches!(second.task.await.unwrap(), Err(ProbeError::NoSnapshots)));
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_own_times_and_thresholds() {
    let network = Network::default();
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    let slow = "tcp!interval=30s!fall=5:80";
    let world = world(
        &network,
        settings(),
        west(&[("a", "10.0.0.1", slow), ("b", "10.0.0.2", slow), ("c", "10.0.0.3", "tcp:80")]),
    );
    // Two seconds apart while in doubt, as for all; five of them, as it asked for itself.
    let verdict = |address| world.health.borrow().verdict(&key(address, slow));
    sleep(SECOND * 7).await;
    assert_eq!((network.asked("10.0.0.1").len(), verdict("10.0.0.1")), (4, Verdict::Unknown));
    sleep(SECOND * 2).await;
    assert_eq!((network.asked("10.0.0.1").len(), verdict("10.0.0.1")), (5, Unhealthy));
    sleep(SECOND * 291).await;
    let asked = ["10.0.0.2", "10.0.0.3"].map(|address| network.asked(address).len());
    assert!((10..=11).contains(&asked[0]) && (60..=61).contains(&asked[1]), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_guess_counts_from_the_first_time_that_it_holds() {
    let network = Network::default();
    let open = Answer::Open(Failure::Status(404));
    network.set("10.0.0.1", Duration::ZERO, open.clone());
    let guess = "guess:80/healthz";
    let world = world(&network, settings(), west(&[("a", "10.0.0.1", guess)]));
    let state = || {
        let report = world.reports.get(&key("10.0.0.1", guess)).unwrap();
        (report.verdict, report.last)
    };
    // A path that nobody answers takes nothing out, and is to be seen.
    sleep(SECOND * 60).await;
    assert_eq!(state(), (Healthy, open.clone()));
    assert!(state().1.error().unwrap().ends_with("never answered yet: status 404"));
    // A connection that fails does.
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    sleep(SECOND * 12).await;
    assert_eq!(state(), (Unhealthy, REFUSED));
    network.set("10.0.0.1", Duration::ZERO, open.clone());
    sleep(SECOND * 12).await;
    assert_eq!(state(), (Healthy, open.clone()));
    network.set("10.0.0.1", Duration::ZERO, Answer::Pass);
    sleep(SECOND * 6).await;
    network.set("10.0.0.1", Duration::ZERO, open);
    sleep(SECOND * 12).await;
    assert_eq!(state(), (Unhealthy, Answer::Fail(Failure::Status(404))));
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_never_answered_are_told_with_their_last_error() {
    let network = Network::default();
    network.set("10.0.0.2", Duration::ZERO, REFUSED);
    let world = world(&network, settings(), west(&[ONE, ("b", "10.0.0.2", "tcp:80")]));
    sleep(SECOND * 20).await;
    network.set(ONE.1, Duration::ZERO, REFUSED);
    sleep(SECOND * 20).await;
    assert_eq!((world.verdict(ONE.1), world.verdict("10.0.0.2")), (Unhealthy, Unhealthy));
    let never = world.reports.never_answered();
    assert_eq!(never, HashMap::from([(key("10.0.0.2", "tcp:80"), "connection refused".to_owned())]));
}
