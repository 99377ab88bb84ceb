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
async fn no_more_probes_than_allowed_are_in_flight_and_late_failures_say_nothing() {
    let network = Network::default();
    let names: Vec<String> = (1..=60).map(|host| format!("10.0.0.{host}")).collect();
    for name in &names {
        network.set(name, SECOND * 2, Answer::Fail(Failure::NoConnection(SECOND * 2)));
    }
    let services: Vec<Words<'_>> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    let start = Instant::now();
    let narrow = ProbeSettings { max_inflight: 10, ..settings() };
    let world = world(&network, narrow, west(&services));
    sleep(Duration::from_millis(100)).await;
    let asked = |world: &World| names.iter().map(|name| world.network.asked(name).len()).sum::<usize>();
    assert_eq!(asked(&world), 10);
    sleep(SECOND * 2).await;
    assert_eq!(asked(&world), 20);
    sleep(SECOND * 120).await;
    // 10 at a time, 2 s each, for 60 keys: each waits 12 s, all failures come late and count for nothing.
    let late = names.iter().filter(|name| world.verdict(name) == Verdict::Unknown).count();
    assert!(late >= 50, "{late} after {:?}", start.elapsed());
    let [_, _, inconclusive] = world.reports.stats().totals();
    assert!(inconclusive > 0);
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_stood_still_blames_nobody() {
    let network = Network::default();
    let world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND * 30).await;
    network.set("10.0.0.1", SECOND * 2, Answer::Fail(Failure::NoAnswer(SECOND * 2)));
    for _ in 0..20 {
        // Each probe is caught by a stop of the whole process.
        next_probe(&network, "10.0.0.1").await;
        advance(SECOND * 3).await;
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    let stats = world.reports.stats();
    assert!(stats.stalls >= 20, "{stats:?}");
    // Without stops the same failures count.
    sleep(SECOND * 15).await;
    assert_eq!(world.verdict("10.0.0.1"), Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn inconclusive_probes_leave_the_verdict() {
    let network = Network::default();
    let world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND * 30).await;
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    sleep(SECOND * 60).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    let report = world.reports.get(&key("10.0.0.1", "tcp:80")).unwrap();
    assert_eq!(report.last, Answer::Unclear(Snag::NoRoute));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_probed_from_here_is_said_to_be_so_until_a_probe_ends() {
    let network = Network::default();
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    let world = world(&network, settings(), west(&[ONE]));
    let unprobeable = |world: &World| world.health.borrow().unprobeable.contains(&key("10.0.0.1", "tcp:80"));
    sleep(SECOND * 3).await;
    assert!(!unprobeable(&world), "two probes do not say enough");
    sleep(SECOND * 3).await;
    assert!(unprobeable(&world), "three do, and they come fast");
    assert_eq!(world.verdict("10.0.0.1"), Verdict::Unknown);
    network.set("10.0.0.1", Duration::ZERO, Answer::Pass);
    sleep(SECOND * 6).await;
    assert!(!unprobeable(&world));
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    sleep(SECOND * 60).await;
    assert!(!unprobeable(&world), "a verdict that was reached stands");
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND * 6).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_never_resolves_is_said_to_be_so() {
    let network = Network::default();
    let name: DnsName = "lb.example.com".parse().unwrap();
    let failed = || Family::Failed("the name servers answered SERVFAIL".to_owned());
    network.name("lb.example.com", (failed(), failed()));
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND * 120).await;
    assert!(world.health.borrow().unresolvable.contains(&name));
    network.name("lb.example.com", (found(&["10.0.0.1"], 60), Family::Empty));
    sleep(SECOND * 120).await;
    assert!(world.health.borrow().unresolvable.is_empty());
    network.name("lb.example.com", (failed(), failed()));
    sleep(SECOND * 600).await;
    assert!(world.health.borrow().unresolvable.is_empty(), "it did resolve once");
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND * 6).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn many_new_keys_are_spread_and_few_are_not() {
    let network = Network::default();
    let names: Vec<String> =
        (0..1000).map(|host| format!("10.0.{}.{}", host / 250, host % 250 + 1)).collect();
    let services: Vec<Words<'_>> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    let world = world(&network, settings(), west(&services));
    sleep(Duration::from_millis(100)).await;
    let first = names.iter().filter(|name| !network.asked(name).is_empty()).count();
    assert!((20..100).contains(&first), "{first} of 1000 in the first 5 % of the time");
    sleep(SECOND * 2).await;
    assert_eq!(world.health.borrow().verdicts.len(), 1000);
}

fn found(addresses: &[&str], ttl: u32) -> Family {
    Family::Found(addresses.iter().map(|text| text.parse().unwrap()).collect(), SECOND * ttl)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_by_its_ttl_and_each_address_is_probed() {
    let network = Network::default();
    network.name("lb.example.com", (found(&["10.0.0.1", "10.0.0.2"], 60), Family::Empty));
    network.set("10.0.0.2", Duration::ZERO, REFUSED);
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND * 20).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    assert_eq!(world.verdict("10.0.0.2"), Unhealthy);
    network.name("lb.example.com", (found(&["10.0.0.1", "10.0.0.3"], 60), Family::Empty));
    sleep(SECOND * 39).await;
    assert_eq!(network.asked("10.0.0.3").len(), 0, "the TTL is not over");
    sleep(SECOND * 2).await;
    assert_eq!(world.verdict("10.0.0.3"), Healthy);
    let name: DnsName = "lb.example.com".parse().unwrap();
    let expected: OrdSet<IpAddr> =
        ["10.0.0.1", "10.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap()).into_iter().collect();
    assert_eq!(world.health.borrow().resolved.get(&name), Some(&expected));
    assert!(!world.health.borrow().verdicts.contains_key(&key("10.0.0.2", "tcp:80")));
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn a_name_keeps_its_addresses_while_resolving_fails_and_loses_them_when_told_twice() {
    let network = Network::default();
    let name: DnsName = "lb.example.com".parse().unwrap();
    network.name("lb.example.com", (found(&["10.0.0.1"], 5), found(&["2001:db8::1"], 5)));
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND).await;
    let resolved = |world: &World| world.health.borrow().resolved.get(&name).map(OrdSet::len);
    assert_eq!(resolved(&world), Some(2));
    let failed = || Family::Failed("the name servers answered SERVFAIL".to_owned());
    network.name("lb.example.com", (failed(), failed()));
    sleep(SECOND * 600).await;
    assert_eq!(resolved(&world), Some(2));
    assert!(world.reports.resolve_error(&name).unwrap().contains("SERVFAIL"));
    // One family fails, the other says that it has none: neither is believed.
    network.name("lb.example.com", (Family::Empty, failed()));
    sleep(SECOND * 600).await;
    assert_eq!(resolved(&world), Some(2));
    // One family is gone beside a good answer for the other.
    network.name("lb.example.com", (found(&["10.0.0.1"], 60), Family::Empty));
    sleep(SECOND * 61).await;
    assert_eq!(resolved(&world), Some(1));
    assert_eq!(world.reports.resolve_error(&name), None);
    network.name("lb.example.com", (Family::Empty, Family::Empty));
    sleep(SECOND * 62).await;
    assert_eq!(resolved(&world), Some(0));
    assert!(world.health.borrow().verdicts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_delays_nobody() {
    let network = Network::default();
    let services: Vec<String> = (0..300).map(|index| format!("lb{index}.example.com")).collect();
    let mut words: Vec<Words<'_>> =
        services.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    words.push(ONE);
    let world = world(&network, settings(), west(&words));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    assert_eq!(world.health.borrow().resolved.len(), 0);
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
mod self_check;
mod setup;

#[tokio::test(start_paused = true)]
async fn a_family_without_a_route_has_no_verdict_until_there_is_one_and_again_when_it_is_gone() {
    let network = Network::default();
    let six = "2001:db8::1";
    let no_route = Answer::Unclear(Snag::NoRoute);
    network.set(six, Duration::ZERO, no_route.clone());
    let world = world(&network, settings(), west(&[ONE, ("b", six, "tcp:80")]));
    let unprobeable = |world: &World| world.health.borrow().unprobeable.contains(&key(six, "tcp:80"));
    let known = |world: &World| world.health.borrow().verdicts.contains_key(&key(six, "tcp:80"));
    sleep(SECOND * 10).await;
    assert!(unprobeable(&world) && !known(&world));
    // A route appears, and nothing answers there.
    network.set(six, SECOND * 2, Answer::Fail(Failure::NoConnection(SECOND * 2)));
    sleep(SECOND * 20).await;
    assert_eq!((unprobeable(&world), world.verdict(six)), (false, Unhealthy));
    // The route is gone again: what was seen then says nothing now.
    network.set(six, Duration::ZERO, no_route.clone());
    sleep(SECOND * 20).await;
    assert!(unprobeable(&world) && !known(&world));
    network.set(six, Duration::ZERO, Answer::Pass);
    sleep(SECOND * 10).await;
    assert_eq!((unprobeable(&world), world.verdict(six)), (false, Healthy));
    // Without a route to anything it is this machine that is cut off: verdicts stand.
    network.set(six, Duration::ZERO, no_route.clone());
    network.set(ONE.1, Duration::ZERO, no_route);
    sleep(SECOND * 60).await;
    assert_eq!((unprobeable(&world), world.verdict(six), world.verdict(ONE.1)), (false, Healthy, Healthy));
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

#[tokio::test(start_paused = true)]
async fn many_services_of_one_namespace_do_not_flood_an_address_and_others_keep_their_times() {
    let network = Network::default();
    let specs: Vec<String> = (0..300).map(|port| format!("tcp!interval=1s:{}", 1000 + port)).collect();
    let names: Vec<String> = (0..300).map(|index| format!("hostile/s{index}")).collect();
    let mut services: Vec<Words<'_>> =
        names.iter().zip(&specs).map(|(name, spec)| (name.as_str(), "10.0.0.9", spec.as_str())).collect();
    services.push(("shop/same", "10.0.0.9", "tcp:80"));
    services.push(("shop/other", "10.0.0.1", "tcp:80"));
    let world = world(&network, settings(), west(&services));
    sleep(SECOND * 3).await;
    assert_eq!((world.verdict("10.0.0.9"), world.verdict("10.0.0.1")), (Healthy, Healthy));
    let before = [network.asked("10.0.0.9").len(), network.asked("10.0.0.1").len()];
    sleep(SECOND * 20).await;
    let asked = [network.asked("10.0.0.9").len() - before[0], network.asked("10.0.0.1").len() - before[1]];
    let most = 21 * crate::budget::RATE as usize;
    assert!(asked[0] > 1500 && asked[0] <= most, "{asked:?}");
    assert_eq!(asked[1], 4);
    let put_off = world.reports.put_offs();
    assert_eq!(
        put_off.iter().map(|of| (&*of.namespace, of.limit)).collect::<Vec<_>>(),
        [("hostile", Limit::Address)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_thousands_is_probed_at_its_rate_and_who_shares_an_endpoint_keeps_its_times() {
    let network = Network::default();
    let names: Vec<(String, String)> =
        (0..2000).map(|n| (format!("big/s{n}"), format!("10.9.{}.{}", n / 250, n % 250))).collect();
    let mut services: Vec<Words<'_>> =
        names.iter().map(|(name, address)| (name.as_str(), address.as_str(), "tcp!interval=1s:80")).collect();
    // The first namespace by name takes the endpoint of the last one for its own.
    services.extend([("big/thief", "10.0.0.1", "tcp:80"), ("shop/web", "10.0.0.1", "tcp:80")]);
    let rate = std::num::NonZeroU32::new(500).unwrap();
    let settings = ProbeSettings { namespace_rate: rate, max_inflight: 10_000, ..settings() };
    let world = world(&network, settings, west(&services));
    sleep(SECOND * 10).await;
    let total = || network.0.lock().unwrap().asked.len();
    let before = (total(), network.asked("10.0.0.1").len());
    sleep(SECOND * 20).await;
    let asked = (total() - before.0, network.asked("10.0.0.1").len() - before.1);
    assert!((9_000..=10_510).contains(&asked.0), "{asked:?}");
    assert_eq!(asked.1, 4);
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    sleep(SECOND * 9).await;
    assert_eq!(world.verdict("10.0.0.1"), Unhealthy);
    let put_off = world.reports.put_offs();
    assert_eq!(
        put_off.iter().map(|of| (&*of.namespace, of.limit)).collect::<Vec<_>>(),
        [("big", Limit::Namespace)]
    );
}

/// The beats of a prober, a second apart, in the hour after it started.
async fn beats(network: &Network, snapshot: Snapshot) -> Vec<Duration> {
    let (snapshots, receiver) = watch::channel(snapshot);
    let (out, _health) = watch::channel(Health::default());
    let engine = Engine::new(network.setup(settings(), Vec::new()), Reports::default());
    let (heard, start) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
    let told = Arc::clone(&heard);
    let beat = move || told.lock().unwrap().push(start.elapsed());
    let engine = engine.with_turns(Some((SECOND, Arc::new(beat))));
    let (_release, confirmed) = watch::channel(0);
    let running = engine.run(receiver, &out, confirmed, futures::stream::pending(), CancellationToken::new());
    assert!(timeout(SECOND * 3600, running).await.is_err());
    drop(snapshots);
    let heard = heard.lock().unwrap();
    heard.clone()
}

#[tokio::test(start_paused = true)]
async fn a_probe_or_a_lookup_that_never_ends_is_a_prober_that_hangs() {
    let network = Network::default();
    let services = west(&[ONE, ("b", "10.0.0.2", "tcp:80")]);
    assert!(*beats(&network, services.clone()).await.last().unwrap() >= SECOND * 3599);
    network.set("10.0.0.1", SECOND * 100_000, Answer::Pass);
    let last = *beats(&network, services).await.last().unwrap();
    assert!((SECOND * 10..SECOND * 15).contains(&last), "{last:?}");
    // Its name server never answers.
    let last = *beats(&network, west(&[("c", "lb.example.net", "tcp:80")])).await.last().unwrap();
    assert!((SECOND * 18..SECOND * 22).contains(&last), "{last:?}");
}
