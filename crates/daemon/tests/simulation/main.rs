//! The whole loop in a deterministic simulation: what the members' APIs say, what probes find, what the provider does,
//! persons and time are drawn from one number, and the same number gives the same run again.
//!
//! Real are the loop of a zone (`ZoneTask`, with the planner and the brakes), the prober's engine (`Means`, with the
//! judge and its doubt) and the inventory (`Catalog`). In place of the network, the APIs, the DNS and the clock stand
//! models; the laws and what is expected in the end are worked out anew here.
//!
//! - `cargo test -p fleetdns --test simulation` runs the kept seeds and some new ones.
//! - `SEEDS=10000 START=1 cargo test --release -p fleetdns --test simulation many -- --nocapture` runs more.
//! - `SEED=7 cargo test -p fleetdns --test simulation many -- --nocapture` runs one and prints all that happens, and
//!   what the product says of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod chaos;
mod drive;
mod expect;
mod fleet;
mod laws;
mod ledger;
mod names;
mod network;
mod proof;
mod rng;
mod scenarios;
mod schedule;
mod sim;
mod zone;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::proof::Broken;
use crate::schedule::{Outcome, run};

/// Seeds that once found a fault, and what it was.
const KEPT: &str = include_str!("seeds.txt");
/// Seeds that every run of the tests tries.
const USUAL: u64 = 100;

fn kept() -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn many_schedules_keep_every_law() {
    if let Some(seed) = number("SEED") {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        log.without_time().with_target(false).with_ansi(false).init();
        let outcome = run(seed, Broken::Nothing, true);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "seed {seed}");
        return;
    }
    let first = number("START").unwrap_or(1);
    let mut seeds = kept();
    seeds.extend(first..first + number("SEEDS").unwrap_or(USUAL));
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
fn a_seed_gives_the_same_run_again() {
    for seed in 1..=10 {
        let (one, other) = (run(seed, Broken::Nothing, false), run(seed, Broken::Nothing, false));
        let first = one.log.iter().zip(&other.log).find(|(a, b)| a != b);
        assert_eq!(first, None, "seed {seed}");
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
    }
}

/// Of a few seeds at least one has to show that the law is broken; gives how many did.
fn breaks(broken: Broken, law: &str) {
    let found =
        (1..=40).find(|seed| run(*seed, broken, false).wrong.iter().any(|what| what.starts_with(law)));
    assert!(found.is_some(), "{broken:?} and no run breaks the law of {law}");
}

#[test]
fn without_the_last_set_a_name_is_seen_empty() {
    breaks(Broken::Empties, "empty");
}

#[test]
fn a_verdict_without_evidence_is_seen() {
    breaks(Broken::Slanders, "evidence");
}

#[test]
fn without_doubt_it_is_seen_that_we_were_cut_off() {
    breaks(Broken::Deaf, "vantage");
}

#[test]
fn without_doubt_a_wall_is_seen_to_empty_the_zone() {
    breaks(Broken::Deaf, "correlation");
}

#[test]
fn a_touched_foreign_name_is_seen() {
    breaks(Broken::Steals, "foreign");
}

#[test]
fn a_mark_that_is_not_ours_is_seen() {
    breaks(Broken::Misnames, "mark");
}

#[test]
fn a_cname_with_company_is_seen() {
    breaks(Broken::Blind, "alone");
}

#[test]
fn a_removal_before_everything_was_listed_is_seen() {
    breaks(Broken::Hasty, "start-up");
}

#[test]
fn writes_without_end_are_seen() {
    breaks(Broken::Restless, "idle");
}

#[test]
fn a_zone_that_never_comes_right_is_seen() {
    breaks(Broken::Stuck, "converge");
}
