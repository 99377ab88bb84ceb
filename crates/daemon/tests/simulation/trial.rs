//! Trials: the times of some Services, in the same world with and without what is broken elsewhere.
//!
//! The laws: a cluster that dies leaves DNS within the budget whatever else is broken in the fleet; what one namespace
//! does, and what the backend refuses of one name, changes no other's times.

use std::time::Duration;

use crate::drive::Driver;
use crate::elsewhere::{Elsewhere, Kind};
use crate::proof::Broken;
use crate::rng::{Rng, mix};
use crate::schedule::Outcome;
use crate::sim::Sim;
use crate::victim::{Expected, LASTS, Step, World};

/// Start-up is over by then, and the minute in which what died before counts.
const FIRST: Duration = Duration::from_secs(100);
/// From one step to the next: the minute of the speed limit is over.
const APART: Duration = Duration::from_secs(90);
const STEPS: u64 = 4;
/// How much later something may come than without the others: before an endpoint goes out the prober asks around once
/// more, and a question that was just asked has to end first.
const SLACK: Duration = Duration::from_millis(4500);

/// How long something took, if it came true at all.
pub(crate) struct Took {
    pub(crate) expected: Expected,
    pub(crate) took: Option<Duration>,
}

/// The plan of a trial: all of it follows from the seed.
struct Trial {
    kind: Kind,
    world: World,
    steps: Vec<(Duration, Step)>,
    elsewhere: Elsewhere,
    /// Percent of our names that one plan may delete.
    max_delete: u8,
}

impl Trial {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(mix(seed ^ 0x7472_6961_6c00));
        let kind = *rng.pick(&[Kind::Fleet, Kind::Tenant, Kind::Refused, Kind::All]).unwrap();
        let world = World::draw(&mut rng);
        let mut at = FIRST;
        let steps = world.steps(&mut rng, STEPS).into_iter().map(|step| {
            let when = at + Duration::from_millis(rng.below(5000));
            at += APART;
            (when, step)
        });
        let steps: Vec<_> = steps.collect();
        let elsewhere = Elsewhere::draw(&mut rng, kind, &world, &steps);
        let max_delete = *Rng::new(mix(seed ^ 0x6d61_7864)).pick(&[20, 50, 100]).unwrap();
        Self { kind, world, steps, elsewhere, max_delete }
    }
}

pub(crate) fn run(seed: u64, broken: Broken, talks: bool) -> Outcome {
    let trial = Trial::draw(seed);
    let (mut outcome, with) = timed(&trial, seed, broken, true, talks);
    let (other, without) = timed(&trial, seed, broken, false, false);
    outcome.wrong.extend(other.wrong.iter().map(|what| format!("with all else in order: {what}")));
    outcome.add(&other);
    let compared = with.iter().zip(&without).filter_map(|(with, without)| compare(&trial, with, without));
    outcome.wrong.extend(compared);
    if talks {
        outcome.wrong.iter().for_each(|what| println!("WRONG {what}"));
    }
    outcome
}

fn compare(trial: &Trial, with: &Took, without: &Took) -> Option<String> {
    let (slow, quick) = (with.took.unwrap_or(Duration::MAX), without.took?);
    let law = match trial.kind {
        Kind::Fleet | Kind::All => return None,
        Kind::Tenant => "neighbour",
        Kind::Refused => "refused",
    };
    let what = &with.expected.what;
    (slow > quick + SLACK)
        .then(|| format!("{law}: {what}, in DNS after {slow:?}, without the others {quick:?}"))
}

fn timed(trial: &Trial, seed: u64, broken: Broken, afflicted: bool, talks: bool) -> (Outcome, Vec<Took>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(course(trial, seed, broken, afflicted, talks))
}

async fn course(
    trial: &Trial,
    seed: u64,
    broken: Broken,
    afflicted: bool,
    talks: bool,
) -> (Outcome, Vec<Took>) {
    let mut driver = Driver::new(seed, talks);
    driver.with(|sim| {
        sim.broken = broken;
        trial.world.build(sim);
        sim.zone.slow_name = trial.elsewhere.slow_name;
        sim.brakes.max_delete = trial.max_delete;
    });
    if afflicted {
        driver.elsewhere(&trial.elsewhere);
    }
    driver.start();
    let mut all = Vec::new();
    for (at, step) in &trial.steps {
        driver.until_then(*at).await;
        let expected = driver.take(&trial.world, step).await;
        all.extend(expected);
        driver.until_then(*at + LASTS).await;
        let expected = driver.undo(step).await;
        all.extend(expected);
    }
    driver.pass(LASTS).await;
    driver.stop(false).await;
    if let Some(at) = trial.elsewhere.loses_route().filter(|_| afflicted) {
        all.iter_mut().for_each(|expected| expected.loses_route(at));
    }
    let took: Vec<Took> = driver.with(|sim| {
        let took = |expected| Took { took: sim.took(&expected), expected };
        let took: Vec<Took> = all.into_iter().map(took).collect();
        took.iter().for_each(|one| sim.judge_time(one));
        took
    });
    (driver.outcome(), took)
}

impl Driver {
    pub(crate) async fn until_then(&mut self, at: Duration) {
        let now = self.now();
        self.pass(at.saturating_sub(now)).await;
    }
}

impl Sim {
    /// How long it took until something came true at a name, before what follows on it.
    pub(crate) fn took(&self, expected: &Expected) -> Option<Duration> {
        let good = |values: &std::collections::BTreeSet<String>| {
            values.is_disjoint(&expected.gone) && values.is_superset(&expected.there)
        };
        let here = self.written.iter().filter(|one| one.name == expected.name);
        let (before, after): (Vec<_>, Vec<_>) = here.partition(|one| one.at < expected.from);
        if before.last().is_some_and(|one| good(&one.values)) {
            return Some(Duration::ZERO);
        }
        let first = after.into_iter().find(|one| good(&one.values))?;
        Some(first.at - expected.from).filter(|took| *took <= LASTS)
    }

    pub(crate) fn judge_time(&mut self, one: &Took) {
        let Expected { what, from, budget, name, .. } = &one.expected;
        self.say(format!(
            "{what} at {:.3}: in DNS after {:?}, budget {budget:?}",
            from.as_secs_f64(),
            one.took
        ));
        if one.took.is_none_or(|took| took > *budget) {
            let took = one.took.map_or("not at all".to_owned(), |took| format!("after {took:?}"));
            self.accuse(format!("budget: {what}, {name} says so {took}, and {budget:?} are the budget"));
        }
    }
}
