//! Faults on real servers, drawn from a seed, while Services change: two API servers, one daemon or two, and three zones: in
//! CoreDNS's etcd, in BIND, and in an Azure of our own.
//!
//! `tests/chaos [MINUTES] [SEED] [SERVICES]` runs it for longer; the gate runs a few rounds. Each round breaks one or two
//! things, changes Services, endpoints and an override meanwhile, mends what it broke, and then holds these laws:
//!
//! - Each zone becomes what the Services and endpoints say, by itself: no dead address, none missing, no name of a deleted
//!   Service.
//! - What others wrote is as it was.
//! - An override that was taken is in force, and one that was taken back is not.
//!
//! `points` kills a daemon once at each point of a list, `packets` loses packets and lets them arrive late, and `throttles` has
//! servers that refuse calls; each holds the same laws. Where this machine allows a network namespace of its own, the driver runs
//! in one, and draws lost and late packets too.
//!
//! And all the time: a Service that nobody changes, with endpoints that always answer, is never without one of its addresses.

use std::env;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fleetdns_tests::eventually;
use fleetdns_tests::packets::{Network, run_again};

use faults::Fault;
use world::World;

mod faults;
mod laws;
mod packets;
mod points;
mod stores;
mod throttles;
mod world;

/// Lists that are doubted, leases that have to end, pauses that have grown.
const CONVERGED: Duration = Duration::from_secs(120);
/// A fault that lasts so long is followed by as long a wait: endpoints have died so often meanwhile that they have to answer for up
/// to four minutes before they are back.
const LONG: Duration = Duration::from_secs(300);
/// When it takes longer, the daemons are asked why, and after each such time again.
const SLOW: Duration = Duration::from_secs(20);

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

fn number(key: &str, usual: u64) -> u64 {
    env::var(key).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{key}={text}")))
}

/// Waits until all zones are right; returns how long that took.
///
/// # Panics
/// When it takes longer than `budget`.
async fn converged(world: &mut World, budget: Duration, what: &str) -> Duration {
    let (start, mut ask_at) = (Instant::now(), SLOW);
    world.settle_override().await;
    let check = async || {
        let difference = world.difference().await;
        if start.elapsed() > ask_at {
            ask_at += SLOW;
            world.explain(difference.as_ref().err()).await;
        }
        difference
    };
    eventually(what, budget, Duration::from_millis(200), check).await;
    start.elapsed()
}

/// Begins these faults, changes things for so long, and ends them.
async fn suffer(world: &mut World, faults: &[Fault], lasts: Duration) {
    for fault in faults {
        fault.begin(world).await;
    }
    let start = Instant::now();
    while start.elapsed() < lasts {
        world.change().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for fault in faults.iter().rev() {
        fault.end(world).await;
    }
}

/// Has each of these faults once, and waits until all zones are right again. Packets and calls have to have met each.
async fn each_once(world: &mut World, faults: &[Fault], budget: Duration) {
    converged(world, budget, "DNS to be right after the start").await;
    let watcher = world.watch_steady();
    for fault in faults {
        let met = world.met;
        suffer(world, &[*fault], Duration::from_secs(7)).await;
        let met = world.met - met;
        assert_ne!(met, 0, "{fault:?}: nothing met it");
        let took = converged(world, budget, &format!("DNS to be right after {fault:?}")).await;
        eprintln!("{fault:?}, met {met} times: right after {took:.1?}");
        assert!(!watcher.is_finished(), "{fault:?}: {}", watcher.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_dns_becomes_what_it_should_be_and_the_living_stay() {
    let test = "chaos::whatever_fails_dns_becomes_what_it_should_be_and_the_living_stay";
    if run_again(test, "loss and reordering of packets among the faults of tests/it/chaos").await {
        return;
    }
    let seed = number("CHAOS_SEED", 4);
    let services = usize::try_from(number("CHAOS_SERVICES", 60)).unwrap();
    let most = Duration::from_secs(number("CHAOS_SECONDS", 60));
    // Of their own: how many changes there are depends on the machine.
    let mut dice = Dice(seed);
    let mut world = World::start(seed, services).await;
    world.network = Network::own();
    let packets = if world.network.is_some() { "with" } else { "without" };
    let daemons = world.daemons.len();
    let mut report =
        format!("seed {seed}, {services} Services, {daemons} daemons, {packets} loss of packets\n");
    let took =
        converged(&mut world, CONVERGED, &format!("seed {seed}: DNS to be right after the start")).await;
    writeln!(report, "start: right after {took:.1?}").unwrap();

    let watcher = world.watch_steady();
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < most {
        round += 1;
        // An outage whose length somebody has chosen is not left to the dice.
        let faults = match round {
            1 if env::var_os("CHAOS_OUTAGE").is_some() => vec![Fault::Outage],
            _ => Fault::draw(&mut dice, world.network.is_some()),
        };
        eprintln!("round {round}: {faults:?}");
        let longest = faults.iter().map(|fault| fault.lasts()).max().unwrap_or_default();
        suffer(&mut world, &faults, dice.millis(2_000, 8_000).max(longest)).await;
        let what = format!("seed {seed}: DNS to be right after round {round}, {faults:?}");
        let budget = if longest < LONG { CONVERGED } else { LONG };
        let took = converged(&mut world, budget, &what).await;
        eprintln!("round {round}: right after {took:.1?}");
        writeln!(report, "{faults:?}: right after {took:.1?}").unwrap();
        if watcher.is_finished() {
            break;
        }
    }
    eprintln!("{report}");
    if watcher.is_finished() {
        panic!("seed {seed}, round {round}: {}", watcher.await.unwrap());
    }
    world.end();
}
