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
//! `points` kills a daemon once at each point of a list, and holds the same laws.
//!
//! And all the time: a Service that nobody changes, with endpoints that always answer, is never without one of its addresses.

use std::env;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fleetdns_tests::eventually;

use faults::Fault;
use world::World;

mod faults;
mod laws;
mod points;
mod stores;
mod world;

/// Lists that are doubted, leases that have to end, pauses that have grown.
const CONVERGED: Duration = Duration::from_secs(120);
/// When it takes longer, the daemons are asked why.
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
    let (start, mut told) = (Instant::now(), false);
    world.settle_override().await;
    let check = async || {
        let difference = world.difference().await;
        if start.elapsed() > SLOW && !std::mem::replace(&mut told, true) {
            world.explain(difference.as_ref().err()).await;
        }
        difference
    };
    eventually(what, budget, Duration::from_millis(200), check).await;
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_dns_becomes_what_it_should_be_and_the_living_stay() {
    let seed = number("CHAOS_SEED", 4);
    let services = usize::try_from(number("CHAOS_SERVICES", 60)).unwrap();
    let most = Duration::from_secs(number("CHAOS_SECONDS", 60));
    // Of their own: how many changes there are depends on the machine.
    let mut dice = Dice(seed);
    let mut world = World::start(seed, services).await;
    let mut report = format!("seed {seed}, {services} Services, {} daemons\n", world.daemons.len());
    let took =
        converged(&mut world, CONVERGED, &format!("seed {seed}: DNS to be right after the start")).await;
    writeln!(report, "start: right after {took:.1?}").unwrap();

    let watcher = world.watch_steady();
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < most {
        round += 1;
        let faults = Fault::draw(&mut dice);
        eprintln!("round {round}: {faults:?}");
        for fault in &faults {
            fault.begin(&mut world).await;
        }
        let longest = faults.iter().map(|fault| fault.lasts()).max().unwrap_or_default();
        let until = Instant::now() + dice.millis(2_000, 8_000).max(longest);
        while Instant::now() < until {
            world.change().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for fault in faults.iter().rev() {
            fault.end(&mut world).await;
        }
        let what = format!("seed {seed}: DNS to be right after round {round}, {faults:?}");
        let took = converged(&mut world, CONVERGED, &what).await;
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
