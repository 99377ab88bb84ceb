//! One schedule from its seed to its end: chaos, calm, convergence, idleness.

use std::time::Duration;

use crate::drive::{Do, Driver};
use crate::proof::Broken;
use crate::rng::Rng;
use crate::zone::Trouble;

/// After the last fault everything has to be in order within this: pauses of the provider up to 5 min, `rise` doubled up
/// to 4 min, a few turns of the speed limit; up to 10 min of a correlation that no person ends.
const BOUND: Duration = Duration::from_secs(30 * 60);

/// What became of a schedule, or of many.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) wrong: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) steps: u64,
    pub(crate) writes: u64,
    pub(crate) time: Duration,
    /// The longest way to convergence.
    pub(crate) slowest: Duration,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.writes += other.writes;
        self.time += other.time;
        self.slowest = self.slowest.max(other.slowest);
    }

    pub(crate) fn summary(&self, took: Duration) -> String {
        let hours = self.time.as_secs_f64() / 3600.0;
        format!(
            "{} steps, {} writes, {hours:.1} virtual hours in {:.1} s ({:.0} virtual hours and {:.0} steps a second); \
             slowest convergence {:.0} s",
            self.steps,
            self.writes,
            took.as_secs_f64(),
            hours / took.as_secs_f64(),
            self.steps as f64 / took.as_secs_f64(),
            self.slowest.as_secs_f64()
        )
    }
}

pub(crate) fn run(seed: u64, broken: Broken, talks: bool) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(schedule(seed, broken, talks))
}

async fn schedule(seed: u64, broken: Broken, talks: bool) -> Outcome {
    let mut driver = Driver::new(seed, talks);
    driver.with(|sim| {
        sim.broken = broken;
        sim.fleet.hasty = broken == Broken::Hasty;
        sim.fleet.naive = broken == Broken::Naive;
    });
    driver.populate();
    driver.start();
    driver.chaos_until = Duration::from_secs(driver.rng.between(60, 600));
    let quiet = Duration::from_secs(driver.rng.between(1, 90));
    driver.after(quiet, Do::Chaos);
    while driver.now() < driver.chaos_until + quiet && is_right(&driver) {
        driver.pass(Duration::from_secs(5)).await;
    }
    driver.calm().await;
    if broken == Broken::Stuck {
        driver.with(|sim| sim.zone.trouble = Trouble::Unavailable);
    }
    let calm = driver.now();
    if is_right(&driver) {
        converge(&mut driver, Rng::new(seed ^ 2).chance(50)).await;
    }
    let slowest = driver.now() - calm;
    if is_right(&driver) {
        idle(&mut driver, seed).await;
    }
    driver.alone();
    driver.stop(false).await;
    Outcome { slowest, ..driver.outcome() }
}

impl Driver {
    /// Whatever persons and processes before this one did to the zone, it is not taken for another daemon.
    fn alone(&self) {
        let other = self.run.as_ref().and_then(|run| run.status.borrow().other_writer.clone());
        if let Some(other) = other {
            self.with(|sim| sim.accuse(format!("other-writer: {other}")));
        }
    }

    /// What became of it.
    pub(crate) fn outcome(&self) -> Outcome {
        self.with(|sim| Outcome {
            wrong: std::mem::take(&mut sim.wrong),
            log: std::mem::take(&mut sim.log),
            steps: sim.steps,
            writes: sim.zone.writes,
            time: sim.now(),
            slowest: Duration::ZERO,
        })
    }
}

fn is_right(driver: &Driver) -> bool {
    driver.with(|sim| sim.wrong.is_empty())
}

/// With or without persons who confirm what is held.
async fn converge(driver: &mut Driver, confirmed: bool) {
    let end = driver.now() + BOUND;
    let mut right_since = None;
    while is_right(driver) {
        driver.pass(Duration::from_secs(10)).await;
        let now = driver.now();
        let different = driver.with(|sim| {
            sim.apply_overrides();
            sim.differences()
        });
        if different.is_empty() {
            // It has to stay so, for as long as anything may still be on its way.
            if now - *right_since.get_or_insert(now) >= Duration::from_secs(300) {
                return;
            }
            continue;
        }
        right_since = None;
        if now >= end {
            driver.with(|sim| sim.accuse(format!("converge: {}", different.join("; "))));
        }
        // Half of the fleet may really be dead: a person says so, or the hold ends.
        if confirmed && now.as_secs() % 60 < 10 {
            driver.confirm_outage();
        }
    }
}

/// When nothing happens nothing is written, and the zone is read no more often than it has to be.
async fn idle(driver: &mut Driver, seed: u64) {
    let hour = Rng::new(seed ^ 1).chance(10);
    let span = Duration::from_secs(if hour { 3600 } else { 300 });
    let before = driver.with(|sim| (sim.zone.writes, sim.zone.lists));
    driver.pass(span).await;
    driver.with(|sim| {
        let (writes, lists) = (sim.zone.writes - before.0, sim.zone.lists - before.1);
        if writes > 0 {
            sim.accuse(format!("idle: {writes} writes in {span:?}"));
        }
        if lists > span.as_secs() / 60 + 1 {
            sim.accuse(format!("idle: {lists} lists in {span:?}"));
        }
    });
}
