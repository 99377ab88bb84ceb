//! When probe results are distrusted.

use fleetdns_core::SelfCheckFailure;

use super::*;
use crate::report::CanaryReport;

/// Half of the fleet, and a canary for each member.
pub(super) const WEST: [Words<'_>; 2] = [("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80")];
pub(super) const EAST: [Words<'_>; 2] = [("a", "10.0.1.1", "tcp:80"), ("b", "10.0.1.2", "tcp:80")];
const CANARIES: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

fn canary(address: &str) -> Canary {
    Canary { what: "anchor".into(), member: None, address: address.parse().unwrap(), port: 6443 }
}

/// The APIs of both members.
pub(super) fn apis() -> Vec<Canary> {
    let of = |member: &str, address| Canary { member: Some(member.parse().unwrap()), ..canary(address) };
    vec![of("west", CANARIES[0]), of("east", CANARIES[1])]
}

pub(super) fn two_members(network: &Network) -> World {
    let snapshot = fleet(&[member("west", &WEST), member("east", &EAST)]);
    world_with(network, settings(), snapshot, apis())
}

pub(super) fn silent() -> Answer {
    Answer::Fail(Failure::NoConnection(SECOND * 2))
}

impl World {
    pub(super) fn all_are(&self, words: &[Words<'_>], verdict: Verdict) -> bool {
        words.iter().all(|(_, address, _)| self.verdict(address) == verdict)
    }

    fn self_check(&self) -> Option<&'static str> {
        self.health.borrow().self_check.as_ref().map(SelfCheckFailure::kind)
    }

    pub(super) fn set_all(&self, addresses: &[&str], after: Duration, answer: &Answer) {
        for address in addresses {
            self.network.set(address, after, answer.clone());
        }
    }

    /// Waits for a publication.
    pub(super) async fn until(&mut self, good: impl Fn(&Health) -> bool) {
        let seen = timeout(SECOND * 600, self.health.wait_for(|health| good(health))).await.is_ok();
        assert!(seen, "{:?}", self.health.borrow());
    }

    /// Looks at every publication for a while: what must not be seen in any.
    async fn never(&mut self, time: Duration, bad: impl Fn(&Health) -> bool) -> Vec<Option<&'static str>> {
        let end = Instant::now() + time;
        let mut self_checks = vec![self.self_check()];
        loop {
            tokio::select! {
                changed = self.health.changed() => changed.unwrap(),
                () = sleep_until(end) => return self_checks,
            }
            let health = self.health.borrow_and_update().clone();
            assert!(!bad(&health), "{health:?}");
            if self_checks.last() != Some(&self.self_check()) {
                self_checks.push(self.self_check());
            }
        }
    }
}

fn out(health: &Health) -> bool {
    health.verdicts.values().any(|verdict| matches!(verdict, Unhealthy | Recovering))
}

fn out_without_doubt(health: &Health) -> bool {
    out(health) && health.self_check.is_none()
}

const ALL: [&str; 4] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"];

#[tokio::test(start_paused = true)]
async fn cut_off_at_any_moment_it_doubts_before_it_takes_anything_out() {
    for moment in 0..50 {
        let network = Network::default();
        let mut world = two_members(&network);
        sleep(SECOND * 30 + Duration::from_millis(100 * moment)).await;
        world.set_all(&ALL, SECOND * 2, &silent());
        world.set_all(&CANARIES, SECOND * 2, &silent());
        world.health.mark_unchanged();
        world.never(SECOND * 60, out_without_doubt).await;
        assert_eq!(world.self_check(), Some("vantage"));
        assert!(world.all_are(&WEST, Suspended) && world.all_are(&EAST, Suspended));
        world.set_all(&ALL, Duration::ZERO, &Answer::Pass);
        world.set_all(&CANARIES, Duration::ZERO, &Answer::Pass);
        world.never(SECOND * 60, out_without_doubt).await;
        assert_eq!(world.self_check(), None);
        assert!(world.all_are(&WEST, Healthy) && world.all_are(&EAST, Healthy));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_route_nothing_changes_but_that_it_is_said() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 30).await;
    world.set_all(&ALL, Duration::ZERO, &Answer::Unclear(Snag::NoRoute));
    world.set_all(&CANARIES, Duration::ZERO, &Answer::Unclear(Snag::NoRoute));
    world.health.mark_unchanged();
    assert_eq!(world.never(SECOND * 60, out).await, [None, Some("vantage")]);
    assert!(world.all_are(&WEST, Healthy) && world.all_are(&EAST, Healthy));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_new_while_we_are_cut_off_is_not_taken_on_trust() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 30).await;
    let new = ("new", "10.0.2.1", "tcp:80");
    let set = |world: &World, answer: &Answer| {
        [&ALL[..], &CANARIES[..], &[new.1]].iter().for_each(|all| world.set_all(all, Duration::ZERO, answer));
    };
    set(&world, &Answer::Unclear(Snag::NoRoute));
    sleep(SECOND * 10).await;
    assert_eq!(world.self_check(), Some("vantage"));
    world.change(|snapshot| put_service(snapshot, "east", new));
    world.health.mark_unchanged();
    world.never(SECOND * 60, |health| !health.unprobeable.is_empty()).await;
    set(&world, &Answer::Pass);
    world.network.set(new.1, Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    world.until(|health| health.self_check.is_none() && health.unprobeable.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_firewall_before_all_targets_is_a_correlation() {
    // One that drops leaves the canaries alone; one that refuses is told from the endpoints by refusing for canaries too.
    for answer in [REFUSED, silent()] {
        let after = if answer == REFUSED { Duration::ZERO } else { SECOND * 2 };
        let network = Network::default();
        let snapshot = fleet(&[member("west", &WEST), member("east", &EAST)]);
        let anchors = ["192.0.2.11", "192.0.2.12"].map(canary);
        let settings = ProbeSettings { correlation_hold: None, ..settings() };
        let canaries = apis().into_iter().chain(anchors).collect();
        let mut world = world_with(&network, settings, snapshot, canaries);
        sleep(SECOND * 32).await;
        world.set_all(&ALL, after, &answer);
        if answer == REFUSED {
            world.set_all(&CANARIES, after, &answer);
        }
        world.health.mark_unchanged();
        assert_eq!(world.never(SECOND * 600, out_without_doubt).await, [None, Some("correlation")]);
        let self_check = world.health.borrow().self_check.clone();
        let members = ["east", "west"].map(|name| name.parse().unwrap());
        assert!(
            matches!(&self_check, Some(SelfCheckFailure::Correlation { keys: 4, members: found, .. }) if **found == members),
            "{self_check:?}"
        );
        // It stands until most are back.
        world.set_all(&ALL[..1], Duration::ZERO, &Answer::Pass);
        assert_eq!(world.never(SECOND * 60, out_without_doubt).await, [Some("correlation")]);
        world.set_all(&ALL[1..], Duration::ZERO, &Answer::Pass);
        assert_eq!(world.never(SECOND * 60, out_without_doubt).await, [Some("correlation"), None]);
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_never_answered_bring_no_doubt_and_a_dead_cluster_is_out_in_time() {
    // A load balancer of two families of which one has no route on the way, a Service that is rolled out broken, internal
    // load balancers, one whose pods answer with errors; in both members, from the start or later.
    let never = [silent(), REFUSED, Answer::Fail(Failure::Status(503)), Answer::Unclear(Snag::NoRoute)];
    for (answer, later) in never.iter().flat_map(|answer| [(answer, false), (answer, true)]) {
        let network = Network::default();
        let mut world = two_members(&network);
        let after = if *answer == silent() { SECOND * 2 } else { Duration::ZERO };
        let new =
            [("west", "2001:db8::1"), ("east", "2001:db8::2"), ("west", "10.1.0.1"), ("east", "10.1.0.2")];
        for (_, address) in new {
            network.set(address, after, answer.clone());
        }
        if later {
            sleep(SECOND * 10).await;
        }
        for (number, (member, address)) in new.into_iter().enumerate() {
            let name = format!("new{number}");
            world.change(|snapshot| put_service(snapshot, member, (&name, address, "tcp:80")));
        }
        sleep(SECOND * 18).await;
        world.set_all(&ALL[2..], Duration::ZERO, &REFUSED);
        world.health.mark_unchanged();
        assert_eq!(
            world.never(SECOND * 11, |health| health.self_check.is_some()).await,
            [None],
            "{answer:?}"
        );
        assert!(world.all_are(&EAST, Unhealthy) && world.all_are(&WEST, Healthy), "{answer:?} {later}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_a_host_name_that_never_answered_bring_no_doubt() {
    let network = Network::default();
    for (name, v4, v6) in
        [("lb-w.example.net", "10.0.0.1", "2001:db8::1"), ("lb-e.example.net", "10.0.1.1", "2001:db8::2")]
    {
        network.name(name, (found(&[v4], 60), found(&[v6], 60)));
        network.set(v6, SECOND * 2, silent());
    }
    let west = member("west", &[("web", "lb-w.example.net", "tcp:80")]);
    let east = member("east", &[("web", "lb-e.example.net", "tcp:80")]);
    let mut world = world_with(&network, settings(), fleet(&[west, east]), apis());
    sleep(SECOND * 18).await;
    network.set("10.0.1.1", Duration::ZERO, REFUSED);
    world.health.mark_unchanged();
    assert_eq!(world.never(SECOND * 11, |health| health.self_check.is_some()).await, [None]);
    assert_eq!((world.verdict("10.0.0.1"), world.verdict("10.0.1.1")), (Healthy, Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn what_one_namespace_loses_holds_nothing_of_another() {
    let network = Network::default();
    let words = |n: usize| (format!("big/s{n}"), format!("10.1.0.{n}"));
    let many: Vec<(String, String)> = (1..=60).map(words).collect();
    let big: Vec<Words<'_>> =
        many.iter().map(|(name, address)| (name.as_str(), address.as_str(), "tcp:80")).collect();
    let small = ["small/a", "small/b", "small/c"];
    let mine = [(small[0], "10.0.0.1", "tcp:80"), (small[1], "10.0.0.2", "tcp:80")];
    let theirs = [(small[0], "10.0.1.1", "tcp:80"), (small[1], "10.0.1.2", "tcp:80")];
    let mut west = member("west", &mine);
    west.services.extend(member("west", &big).services);
    let mut world = world_with(&network, settings(), fleet(&[west, member("east", &theirs)]), apis());
    sleep(SECOND * 30).await;
    for (_, address) in &many {
        network.set(address, SECOND * 2, silent());
    }
    network.set("10.0.1.1", SECOND * 2, silent());
    world.health.mark_unchanged();
    assert_eq!(world.never(SECOND * 12, |health| health.self_check.is_some()).await, [None]);
    assert_eq!((world.verdict("10.0.1.1"), world.verdict("10.1.0.9")), (Unhealthy, Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn what_failed_together_goes_when_the_time_is_over() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 31).await;
    world.set_all(&ALL[..3], SECOND * 2, &silent());
    world.health.mark_unchanged();
    let self_checks = world.never(crate::CORRELATION_HOLD, out_without_doubt).await;
    assert_eq!(self_checks, [None, Some("correlation")]);
    // What dies by itself meanwhile went in its time; here the fourth lives.
    world.until(|health| health.self_check.is_none()).await;
    sleep(SECOND * 12).await;
    assert!(world.all_are(&WEST, Unhealthy) && world.all_are(&EAST[..1], Unhealthy));
    assert!(world.all_are(&EAST[1..], Healthy));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_dies_with_its_api_is_out_in_time_and_without_doubt() {
    for after in [Duration::ZERO, SECOND * 2] {
        let network = Network::default();
        let mut world = two_members(&network);
        sleep(SECOND * 31).await;
        let answer = if after.is_zero() { REFUSED } else { silent() };
        world.set_all(&ALL[2..], after, &answer);
        world.set_all(&CANARIES[..1], after, &answer);
        world.health.mark_unchanged();
        assert_eq!(world.never(SECOND * 11, |health| health.self_check.is_some()).await, [None]);
        assert!(world.all_are(&EAST, Unhealthy) && world.all_are(&WEST, Healthy));
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_releases_what_is_held_and_only_what_fails_on_goes() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 31).await;
    world.set_all(&ALL, SECOND * 2, &silent());
    sleep(SECOND * 30).await;
    assert_eq!(world.self_check(), Some("correlation"));
    // One is back by then, and nobody has seen it yet.
    next_probe(&network, "10.0.0.1").await;
    world.set_all(&ALL[..1], Duration::ZERO, &Answer::Pass);
    world.confirm_outage.send_modify(|count| *count += 1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.self_check(), None);
    assert!(world.all_are(&WEST, Suspended) && world.all_are(&EAST, Suspended));
    world.health.mark_unchanged();
    let west = key("10.0.0.1", "tcp:80");
    world.never(SECOND * 12, |health| matches!(health.verdict(&west), Unhealthy | Recovering)).await;
    assert!(world.all_are(&WEST[..1], Healthy));
    assert!(world.all_are(&WEST[1..], Unhealthy) && world.all_are(&EAST, Unhealthy));
    assert_eq!(world.never(SECOND * 600, |health| health.self_check.is_some()).await, [None]);
}

#[tokio::test(start_paused = true)]
async fn outage_after_outage_of_ours_takes_nothing_out() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 30).await;
    for _ in 0..8 {
        world.set_all(&ALL, SECOND * 2, &silent());
        world.set_all(&CANARIES, SECOND * 2, &silent());
        world.health.mark_unchanged();
        world.never(SECOND * 25, out_without_doubt).await;
        assert_eq!(world.self_check(), Some("vantage"));
        world.set_all(&ALL, Duration::ZERO, &Answer::Pass);
        world.set_all(&CANARIES, Duration::ZERO, &Answer::Pass);
        world.never(SECOND * 20, out_without_doubt).await;
        assert_eq!(world.self_check(), None);
        assert!(world.all_are(&WEST, Healthy) && world.all_are(&EAST, Healthy));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_probed_seldom_is_not_taken_out_before_it_is_probed_again() {
    let network = Network::default();
    let slow = ("slow", "10.0.2.1", "tcp!interval=120s:80");
    let snapshot = fleet(&[member("west", &WEST), member("east", &[EAST[0], EAST[1], slow])]);
    let mut world = world_with(&network, settings(), snapshot, apis());
    sleep(SECOND * 30).await;
    let key = key(slow.1, slow.2);
    let silence = |world: &World, answer: &Answer, after| {
        world.set_all(&ALL, after, answer);
        world.set_all(&CANARIES, after, answer);
        world.set_all(&[slow.1], after, answer);
    };
    silence(&world, &silent(), SECOND * 2);
    world.until(|health| health.verdict(&key) == Suspended).await;
    silence(&world, &Answer::Pass, Duration::ZERO);
    world.health.mark_unchanged();
    world.never(SECOND * 30, out_without_doubt).await;
    assert_eq!((world.self_check(), world.health.borrow().verdict(&key)), (None, Suspended));
    world.never(SECOND * 100, out_without_doubt).await;
    assert_eq!(world.health.borrow().verdict(&key), Healthy);
}

#[tokio::test(start_paused = true)]
async fn what_died_in_an_outage_of_ours_goes_soon_after_it() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 30).await;
    world.set_all(&ALL, SECOND * 2, &silent());
    world.set_all(&CANARIES, SECOND * 2, &silent());
    sleep(SECOND * 30).await;
    world.set_all(&ALL[1..], Duration::ZERO, &Answer::Pass);
    world.set_all(&CANARIES, Duration::ZERO, &Answer::Pass);
    world.until(|health| health.self_check.is_none()).await;
    let (ended, dead) = (Instant::now(), key(ALL[0], "tcp:80"));
    world.until(|health| health.verdict(&dead) == Unhealthy).await;
    assert!(ended.elapsed() <= SECOND * 12, "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn with_one_failure_to_go_by_it_asks_before_it_says_so() {
    let network = Network::default();
    let at_once = ProbeSettings { fall: 1, ..settings() };
    let snapshot = fleet(&[member("west", &WEST), member("east", &EAST)]);
    let mut world = world_with(&network, at_once, snapshot, apis());
    sleep(SECOND * 31).await;
    let died = next_probe(&network, "10.0.0.1").await;
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    // The others take their time to answer.
    world.set_all(&ALL[1..], SECOND, &Answer::Pass);
    world.health.mark_unchanged();
    world.until(|health| health.verdict(&key("10.0.0.1", "tcp:80")) == Unhealthy).await;
    let took = died.elapsed();
    assert!(took > SECOND * 5 && took < SECOND * 8, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn canaries_are_probed_and_are_no_endpoints() {
    let network = Network::default();
    network.name("api.example.com", (found(&["192.0.2.9"], 60), Family::Empty));
    network.set("192.0.2.1", Duration::ZERO, REFUSED);
    let canaries = vec![canary("192.0.2.1"), canary("api.example.com"), canary("10.0.0.1")];
    let mut shared = ONE;
    shared.2 = "tcp:6443";
    let world = world_with(&network, settings(), west(&[]), canaries);
    sleep(SECOND * 60).await;
    let heard: Vec<_> = world.reports.canaries().iter().map(CanaryReport::heard).collect();
    assert_eq!(heard, [Some(false), Some(true), Some(true)], "a refusal may be a firewall's");
    let asked = world.network.asked("192.0.2.9").len();
    assert!((12..=13).contains(&asked), "{asked} probes in a minute");
    assert!(world.health.borrow().verdicts.is_empty());
    // One that is an endpoint too is known at once, and stays a canary afterwards.
    world.change(|snapshot| put_service(snapshot, "west", shared));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.health.borrow().verdict(&key("10.0.0.1", "tcp:6443")), Healthy);
    world.change(|snapshot| snapshot.members.clear());
    sleep(Duration::from_millis(1)).await;
    assert!(world.health.borrow().verdicts.is_empty());
    let asked = world.network.asked("10.0.0.1").len();
    sleep(SECOND * 60).await;
    assert!(world.network.asked("10.0.0.1").len() >= asked + 12);
}
