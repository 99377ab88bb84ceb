//! The numbered scenarios: clusters A, B and C with one load balancer each, at the addresses a, b and c. Virtual time
//! from the cause to the write is held against the budgets of the design, from whatever moment of the prober's round.
//!
//! What 7 and 9 leave open, that an answer or a certificate really is taken
//! for a failure, is tested on real sockets in `crates/probe`.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::{
    AllDown, Content, DnsName, NonEmpty, ObservedSet, Owner, RecordData, ServiceKey, Ttl, Version,
};

use crate::drive::Driver;
use crate::fleet::{Member, Truth};
use crate::names;
use crate::network::{Cut, Life};
use crate::proof::Broken;
use crate::sim::Sim;
use crate::world::{foreign, key};
use crate::zone::Trouble;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const NAME: &str = "web.default.fed.svc.example.com";
/// A refused connection is out within this, by the design; a silent one within [`SILENT`].
const REFUSED: Duration = Duration::from_secs(10);
const SILENT: Duration = Duration::from_secs(12);

fn ip(letter: char) -> String {
    format!("203.0.113.{}", u32::from(letter) - u32::from('a') + 1)
}

/// Three clusters that are published, half a minute after the start.
async fn three(shape: impl FnOnce(&mut Sim)) -> Driver {
    clusters('c', shape).await
}

pub(crate) async fn clusters(last: char, shape: impl FnOnce(&mut Sim)) -> Driver {
    let mut driver = Driver::new(1, false);
    driver.with(|sim| {
        for (number, letter) in ('a'..=last).enumerate() {
            let api = format!("192.0.2.{}", number + 1).parse().unwrap();
            let mut member = Member::new(&letter.to_ascii_uppercase().to_string(), None, None, 100, api);
            member.services.insert(key("web"), Truth::of([ip(letter).parse().unwrap()]));
            sim.fleet.members.push(member);
        }
        sim.services = [key("web")].into();
        sim.names = names::all(&sim.fleet, &sim.services);
        shape(sim);
    });
    driver.start();
    driver.pass(SECOND * 30).await;
    driver
}

impl Driver {
    /// Letters of the addresses at the name.
    pub(crate) fn letters(&self) -> String {
        let name: DnsName = NAME.parse().unwrap();
        let values: BTreeSet<String> = self.with(|sim| sim.values(&name));
        ('a'..='z').filter(|letter| values.contains(&ip(*letter))).collect()
    }

    fn life(&self, letter: char, life: Life) {
        self.with(|sim| sim.net.set(ip(letter).parse().unwrap(), life));
    }

    /// Waits until these letters stand there and nothing breaks a law; returns how long that took.
    async fn until(&mut self, letters: &str, bound: Duration) -> Duration {
        let start = self.now();
        while self.letters() != letters {
            let took = self.now() - start;
            assert!(took <= bound, "after {took:?} there is {} and not {letters}", self.letters());
            self.pass(Duration::from_millis(10)).await;
        }
        self.now() - start
    }

    /// Lets time pass in which nothing is written.
    async fn quiet(&mut self, span: Duration) {
        let before = self.writes();
        self.pass(span).await;
        assert_eq!(self.writes(), before, "writes while nothing should change: {:?}", self.letters());
    }

    fn writes(&self) -> u64 {
        self.with(|sim| sim.zone.writes)
    }

    fn held(&self) -> Vec<String> {
        let status = self.run.as_ref().unwrap().status.borrow();
        status.held.values().map(|held| held.reason.to_string()).collect()
    }

    fn truth(&mut self, letter: char, change: impl FnOnce(&mut Member, &ServiceKey)) {
        self.with(|sim| {
            let now = sim.now();
            let member = &mut sim.fleet.members[u32::from(letter) as usize - 'a' as usize];
            change(member, &key("web"));
            member.tell(&key("web"), now);
        });
        self.publish();
    }

    async fn end(mut self) {
        self.stop(false).await;
        assert_eq!(self.with(|sim| sim.wrong.clone()), Vec::<String>::new());
    }
}

/// The address a dies in every tenth of a round, and is out in time.
async fn goes_within(life: Life, budget: Duration) {
    let mut longest = Duration::ZERO;
    for tenth in 0..10 {
        let mut driver = three(|_| {}).await;
        driver.pass(SECOND / 2 * tenth).await;
        driver.life('a', life);
        longest = longest.max(driver.until("bc", budget).await);
        driver.quiet(MINUTE * 5).await;
        driver.end().await;
    }
    println!("{life:?}: out after {longest:?} at most, budget {budget:?}");
}

#[tokio::test(start_paused = true)]
async fn s01_a_refuses_connections() {
    goes_within(Life::Refuses, REFUSED).await;
}

#[tokio::test(start_paused = true)]
async fn s02_a_is_black_holed() {
    goes_within(Life::Silent, SILENT).await;
}

#[tokio::test(start_paused = true)]
async fn s03_one_probe_of_a_is_lost() {
    let mut driver = three(|_| {}).await;
    driver.life('a', Life::Misses(1, 1000));
    driver.quiet(MINUTE * 10).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s04_a_fails_twice_and_answers_once_for_ever() {
    let mut driver = three(|_| {}).await;
    driver.life('a', Life::Misses(2, 3));
    driver.quiet(MINUTE * 10).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s05_a_accepts_and_never_answers() {
    goes_within(Life::Hangs, SILENT).await;
}

/// That a tcp probe is content with it, and which statuses are good, is up to the probe itself.
#[tokio::test(start_paused = true)]
async fn s07_a_answers_503() {
    goes_within(Life::Status(503), REFUSED).await;
}

/// That an insecure probe is content with it is up to the probe itself.
#[tokio::test(start_paused = true)]
async fn s09_the_certificate_of_a_has_expired() {
    goes_within(Life::BadCertificate, REFUSED).await;
}

/// On purpose after 2 answers in a row, not 3: our `rise` is 2.
#[tokio::test(start_paused = true)]
async fn s10_a_recovers_after_five_minutes() {
    let mut driver = three(|_| {}).await;
    driver.life('a', Life::Silent);
    driver.until("bc", SILENT).await;
    driver.quiet(MINUTE * 5).await;
    driver.life('a', Life::Alive);
    driver.until("abc", SECOND * 12).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s11_a_goes_down_and_up_every_minute() {
    let mut driver = three(|_| {}).await;
    let before = driver.writes();
    for _ in 0..5 {
        driver.life('a', Life::Silent);
        driver.pass(MINUTE).await;
        driver.life('a', Life::Alive);
        driver.pass(MINUTE).await;
    }
    let writes = driver.writes() - before;
    println!("{writes} writes in 10 minutes of flapping");
    assert!(writes <= 4, "{writes} writes in 10 minutes of flapping");
    driver.end().await;
}

/// In place of a fraction our floor is a number: `min-kept`.
#[tokio::test(start_paused = true)]
async fn s12_a_and_then_b_go_down() {
    for (kept, left) in [(1, "c"), (2, "bc")] {
        let mut driver = three(|sim| sim.brakes.min_kept = kept).await;
        driver.life('a', Life::Silent);
        driver.until("bc", SILENT).await;
        driver.pass(SECOND * 90).await;
        driver.life('b', Life::Silent);
        driver.until(left, SILENT).await;
        driver.pass(MINUTE).await;
        assert_eq!(driver.letters(), left);
        assert_eq!(driver.held().iter().any(|reason| reason.starts_with("floor")), kept == 2);
        driver.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s13_all_go_down_one_after_another() {
    for (all_down, left) in [(AllDown::Keep, "c"), (AllDown::All, "abc"), (AllDown::Empty, "")] {
        let mut driver = three(|sim| sim.brakes.all_down = all_down).await;
        for letter in ['a', 'b', 'c'] {
            driver.life(letter, Life::Silent);
            driver.pass(SECOND * 90).await;
        }
        assert_eq!(driver.letters(), left, "{all_down:?}");
        driver.quiet(MINUTE * 10).await;
        driver.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s14_the_prober_is_cut_off() {
    for no_route in [false, true] {
        let mut driver = three(|_| {}).await;
        driver.with(|sim| sim.net.cut = Some(Cut { no_route }));
        driver.pass(SECOND * 20).await;
        assert_eq!(driver.held().iter().any(|reason| reason.starts_with("vantage")), !no_route);
        driver.quiet(MINUTE * 30).await;
        driver.with(|sim| sim.net.cut = None);
        driver.quiet(MINUTE * 30).await;
        driver.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s16_all_targets_drop_at_once_and_the_canaries_do_not() {
    let mut driver = three(|_| {}).await;
    driver.with(|sim| (sim.net.wall, sim.strict_wall) = (Some(sim.now()), ["default".into()].into()));
    driver.pass(SECOND * 20).await;
    assert!(driver.held().iter().any(|reason| reason.starts_with("correlation")), "{:?}", driver.held());
    // It may hold for ten minutes, and then it is taken for true.
    driver.quiet(MINUTE * 9).await;
    assert_eq!(driver.letters(), "abc");
    driver.with(|sim| sim.net.wall = None);
    driver.quiet(MINUTE * 30).await;
    assert!(driver.held().is_empty());
    driver.end().await;
}

/// Ten clusters, of which four die within a minute: a fifth of all addresses may go, and the others wait. Without the
/// limit it is seen that they do not.
#[tokio::test(start_paused = true)]
async fn more_than_may_go_within_a_minute_waits_for_its_turn() {
    for broken in [Broken::Nothing, Broken::Hurries] {
        let mut driver = clusters('j', |sim| sim.broken = broken).await;
        for letter in ['a', 'b', 'c', 'd'] {
            driver.life(letter, Life::Silent);
        }
        driver.pass(SECOND * 20).await;
        assert_eq!(driver.letters().len(), if broken == Broken::Nothing { 8 } else { 6 });
        driver.pass(MINUTE * 2).await;
        assert_eq!(driver.letters(), "efghij");
        let wrong = driver.with(|sim| sim.wrong.iter().any(|what| what.starts_with("velocity")));
        assert_eq!(wrong, broken == Broken::Hurries);
        driver.stop(false).await;
    }
}

/// In place of a path it is the port that changes: to the brake it is the same.
#[tokio::test(start_paused = true)]
async fn s17_the_probe_changes_to_one_that_no_endpoint_passes() {
    let mut driver = three(|sim| sim.net.ports = [(81, Life::Refuses)].into()).await;
    for letter in ['a', 'b', 'c'] {
        driver.truth(letter, |member, key| member.services.get_mut(key).unwrap().port = 81);
    }
    driver.pass(MINUTE * 10).await;
    assert_eq!(driver.letters(), "abc");
    let reason = |kind: &str| driver.held().iter().any(|reason| reason.starts_with(kind));
    assert!(reason("correlation") || reason("new-probe") || reason("all-down"), "{:?}", driver.held());
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s18_the_api_of_a_is_down_and_a_serves() {
    let mut driver = three(|_| {}).await;
    driver.with(|sim| sim.fleet.members[0].lose(sim.born.elapsed()));
    driver.publish();
    driver.quiet(MINUTE * 60 * 6).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s19_the_api_of_a_is_down_and_a_too() {
    let mut driver = three(|_| {}).await;
    driver.with(|sim| sim.fleet.members[0].lose(sim.born.elapsed()));
    driver.publish();
    driver.life('a', Life::Silent);
    driver.until("bc", SILENT).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s21_the_service_is_deleted_in_a() {
    let mut driver = three(|_| {}).await;
    driver.truth('a', |member, key| drop(member.services.remove(key)));
    driver.until("bc", SECOND * 3).await;
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s22_the_address_of_a_changes() {
    let mut driver = three(|_| {}).await;
    driver.with(|sim| sim.written.clear());
    driver.truth('a', |member, key| {
        member.services.get_mut(key).unwrap().addresses = [ip('d').parse().unwrap()].into();
    });
    driver.until("bcd", SECOND * 15).await;
    let without: Vec<_> = driver.with(|sim| {
        let of_a = |values: &BTreeSet<String>| values.contains(&ip('a')) || values.contains(&ip('d'));
        sim.written.iter().filter(|one| !of_a(&one.values)).cloned().collect()
    });
    assert!(without.is_empty(), "it passed through {without:?}");
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s23_a_is_removed_from_the_config() {
    let mut driver = three(|_| {}).await;
    driver.stop(false).await;
    driver.with(|sim| sim.fleet.members[0].configured = false);
    driver.start();
    driver.until("bc", SECOND * 10).await;
    let marks = driver.with(|sim| format!("{:?}", sim.zone.observed));
    assert!(!marks.contains(&ip('a')), "nothing tells of a any more: {marks}");
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s24_fleetdns_restarts_while_a_is_down() {
    let mut driver = three(|_| {}).await;
    driver.life('a', Life::Silent);
    driver.until("bc", SILENT).await;
    for crash in [false, true] {
        driver.stop(crash).await;
        driver.start();
        driver.quiet(MINUTE * 5).await;
    }
    assert_eq!(driver.letters(), "bc");
    driver.end().await;
}

/// There is no lease: a write is bound to what was read, whoever writes. The old process decides, stands still for a
/// minute in the middle of its write, and goes on when the new one has written.
#[tokio::test(start_paused = true)]
async fn s26_an_old_process_writes_late() {
    let mut driver = three(|_| {}).await;
    driver.with(|sim| sim.zone.slow = MINUTE);
    driver.life('a', Life::Silent);
    driver.pass(SECOND * 15).await;
    assert_eq!(driver.letters(), "abc", "the write is under way");
    let old = driver.run.take();
    driver.with(|sim| sim.zone.slow = Duration::ZERO);
    driver.start();
    driver.until("bc", SECOND * 20).await;
    driver.life('a', Life::Alive);
    driver.until("abc", SECOND * 12).await;
    let before = driver.writes();
    driver.pass(MINUTE * 3).await;
    assert_eq!((driver.letters().as_str(), driver.writes()), ("abc", before), "the old plan is refused");
    driver.end().await;
    drop(old);
}

#[tokio::test(start_paused = true)]
async fn s27_the_provider_throttles_while_a_dies_and_b_recovers() {
    let mut driver = three(|sim| sim.net.set(ip('b').parse().unwrap(), Life::Silent)).await;
    assert_eq!(driver.letters(), "ac");
    driver.with(|sim| sim.zone.trouble = Trouble::Throttled(30));
    driver.life('a', Life::Silent);
    driver.pass(MINUTE * 2).await;
    driver.life('b', Life::Alive);
    driver.pass(MINUTE * 3).await;
    let before = driver.writes();
    driver.with(|sim| sim.zone.trouble = Trouble::None);
    driver.until("bc", SECOND * 31).await;
    driver.quiet(MINUTE * 5).await;
    assert_eq!(driver.writes(), before + 1, "one write, with the latest set");
    driver.end().await;
}

#[tokio::test(start_paused = true)]
async fn s28_a_person_edits_the_zone_by_hand() {
    let mail: DnsName = "mail.example.com".parse().unwrap();
    let mut driver = three(|sim| foreign(sim, &mail, "A")).await;
    let name: DnsName = NAME.parse().unwrap();
    let values = NonEmpty::new(["198.51.100.99".parse().unwrap()]).unwrap();
    for edit in [None, Some(values)] {
        driver.with(|sim| {
            let mut sets: Vec<ObservedSet> = sim.zone.observed.at(&name).to_vec();
            match &edit {
                None => sets.clear(),
                Some(values) => {
                    sets[0].content = Content::Known(RecordData::A(values.clone()));
                    sets[0].version = Version("by hand".into());
                }
            }
            sim.zone.observed.replace(name.clone(), sets);
        });
        driver.until("abc", SECOND * 61).await;
    }
    let left = driver.with(|sim| sim.zone.observed.at(&mail).to_vec());
    assert_eq!((left.len(), &left[0].claim, left[0].ttl), (1, &Owner::Foreign, Ttl::DEFAULT));
    driver.end().await;
}
