//! The whole loop in a deterministic simulation: what the members' APIs say, what probes find, what the provider does,
//! persons, reloads of the configuration and time are drawn from one number, and the same number returns the same run again.
//!
//! Real are the loop of a zone (`ZoneTask`, with the planner and the brakes), the prober's engine (`Means`, with the
//! judge and its doubt) and the inventory (`Catalog`). In place of the network, the APIs, the DNS and the clock stand
//! models; the laws and what is expected in the end are worked out again here.
//!
//! - `cargo test -p fleetdns-daemon --test simulation` runs the kept seeds and some new ones.
//! - `SEEDS=10000 START=1 cargo test --release -p fleetdns-daemon --test simulation many -- --nocapture` runs more.
//! - `many_schedules`, `many_trials`, `many_outages` and `many_deletions` in place of `many` run one kind only: trials take
//!   the times of some Services, in the same world with and without what is broken elsewhere; in outages most of the fleet
//!   is really dead; in deletions many Services are deleted at once.
//! - `replicas_keep` in place of `many` runs several replicas on one zone, with an engine that fails.
//! - `SEED=7 cargo test -p fleetdns-daemon --test simulation many_schedules -- --nocapture` runs one and prints all that
//!   happens, and what the product says of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod chaos;
mod deletions;
mod discovery;
mod drive;
mod elsewhere;
mod expect;
mod fleet;
mod laws;
mod ledger;
mod names;
mod network;
mod orders;
mod outage;
mod process;
mod proof;
mod replicas;
mod rng;
mod scenarios;
mod schedule;
mod sim;
mod trial;
mod victim;
mod world;
mod zone;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::proof::Broken;
use crate::schedule::{Outcome, run};

/// Seeds that once found a fault, and what it was.
const KEPT: &str = include_str!("seeds.txt");
/// Seeds that every run of the tests tries.
const USUAL: u64 = 10;
const USUAL_TRIALS: u64 = 4;
const USUAL_OUTAGES: u64 = 4;
const USUAL_DELETIONS: u64 = 4;

/// The kept seeds of schedules, which have no letter before them, of trials, which have a `t`, of outages, with an
/// `o`, or of deletions, with a `d`.
pub(crate) fn kept(letter: &str) -> Vec<u64> {
    let seeds = KEPT.lines().filter_map(|line| line.split_whitespace().next()?.strip_prefix(letter));
    seeds.filter_map(|seed| seed.parse().ok()).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the kept seeds and those that are asked for, or the one that is asked for with all that happens in it.
fn many(letter: &str, usual: u64, run: fn(u64, Broken, bool) -> Outcome) {
    if let Some(seed) = number("SEED") {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        let _ = log.without_time().with_target(false).with_ansi(false).try_init();
        let outcome = run(seed, Broken::Nothing, true);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "seed {seed}");
        return;
    }
    let first = number("START").unwrap_or(1);
    let mut seeds = kept(letter);
    seeds.extend(first..first + number("SEEDS").unwrap_or(usual));
    let (next, wrong, total) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Outcome::default()));
    let started = Instant::now();
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let outcome = run(*seed, Broken::Nothing, false);
            if let Some(what) = outcome.wrong.first() {
                println!("seed {seed}: {what}");
                wrong.lock().unwrap().push(*seed);
            }
            total.lock().unwrap().add(&outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{} schedules, {}", seeds.len(), total.lock().unwrap().summary(started.elapsed()));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} seeds break a law: {wrong:?}", wrong.len(), seeds.len());
}

#[test]
fn many_schedules_keep_every_law() {
    many("", USUAL, run);
}

#[test]
fn many_trials_keep_every_time() {
    many("t", USUAL_TRIALS, trial::run);
}

#[test]
fn many_outages_hold_and_end() {
    many("o", USUAL_OUTAGES, outage::run);
}

#[test]
fn many_deletions_stay_within_the_limit() {
    many("d", USUAL_DELETIONS, deletions::run);
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 1..=3 {
        let (one, other) = (run(seed, Broken::Nothing, false), run(seed, Broken::Nothing, false));
        let first = one.log.iter().zip(&other.log).find(|(a, b)| a != b);
        assert_eq!(first, None, "seed {seed}");
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
    }
}

/// Of a few seeds at least one has to show that the law is broken.
fn breaks(broken: Broken, law: &str, first: u64) {
    breaks_in(run, broken, law, first);
}

/// The first seed is one that showed it before: the others are tried when it no longer does. `-- --nocapture` prints the one that
/// shows it then, to be put first.
fn breaks_in(run: fn(u64, Broken, bool) -> Outcome, broken: Broken, law: &str, first: u64) {
    let shows = |seed: &u64| run(*seed, broken, false).wrong.iter().any(|what| what.starts_with(law));
    let found = [first].into_iter().chain(1..=40).find(shows);
    println!("{broken:?} breaks the law of {law} with seed {found:?}");
    assert!(found.is_some(), "{broken:?} and no run breaks the law of {law}");
}

#[test]
fn without_the_last_set_a_name_is_seen_empty() {
    breaks(Broken::Empties, "empty", 2);
}

#[test]
fn a_verdict_without_evidence_is_seen() {
    breaks(Broken::Slanders, "evidence", 2);
}

#[test]
fn without_doubt_it_is_seen_that_we_were_cut_off() {
    breaks(Broken::Deaf, "vantage", 1);
}

#[test]
fn without_doubt_a_wall_is_seen_to_empty_the_zone() {
    breaks(Broken::Deaf, "correlation", 17);
}

#[test]
fn a_touched_foreign_name_is_seen() {
    breaks(Broken::Steals, "foreign", 3);
}

#[test]
fn a_mark_that_is_not_ours_is_seen() {
    breaks(Broken::Misnames, "mark", 1);
}

#[test]
fn a_cname_with_company_is_seen() {
    breaks(Broken::Blind, "alone", 3);
}

#[test]
fn a_removal_before_everything_was_listed_is_seen() {
    breaks(Broken::Hasty, "start-up", 1);
}

#[test]
fn a_rebuilt_cluster_that_is_believed_too_soon_is_seen() {
    breaks(Broken::Naive, "evidence", 9);
}

#[test]
fn writes_without_end_are_seen() {
    breaks(Broken::Restless, "idle", 24);
}

#[test]
fn a_zone_that_never_comes_right_is_seen() {
    breaks(Broken::Stuck, "converge", 3);
}

#[test]
fn an_override_that_is_not_carried_out_is_seen() {
    breaks(Broken::Ignores, "override", 4);
}

#[test]
fn a_doubt_that_cannot_end_is_seen_to_keep_the_dead() {
    breaks_in(trial::run, Broken::Latches, "budget", 2);
}

#[test]
fn verdicts_that_wait_for_others_are_seen() {
    breaks_in(trial::run, Broken::Queues, "neighbour", 18);
}

#[test]
fn a_correlation_that_never_ends_is_seen() {
    breaks_in(outage::run, Broken::Clings, "correlation-hold", 1);
}

#[test]
fn a_correlation_that_ends_too_soon_is_seen() {
    breaks_in(outage::run, Broken::Yields, "hold", 1);
}

#[test]
fn deletions_beyond_the_limit_are_seen() {
    breaks_in(deletions::run, Broken::Purges, "max-delete", 3);
}

#[test]
fn a_zone_that_rests_for_one_refused_name_is_seen() {
    breaks_in(trial::run, Broken::Rests, "refused", 12);
}
