//! What `tests/bench --clouds` runs: calls and seconds that fleetdns and external-dns take for the same changes, against
//! the strict servers of Azure DNS and Route 53, which have the rate limits of the real ones.
//!
//! Reads: the fleetdns binary beside it, and the servers that `tests/setup --bench` builds.
//! Returns: a Markdown table on stdout, progress on stderr.
//!
//! Each program has a member cluster and a server of its own, and both run at the same time: what takes time is limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark: without its servers there is nothing to measure"
)]

mod fleet;
mod ours;
mod theirs;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fleet::{Fleet, NAMES, hostname};
use fleetdns_tests::cloud::{Azure, Calls, Cloud, Route53};

const USAGE: &str = "usage: tests/bench --clouds [NAME]

  NAME   only the service whose name contains this: azure (about 25 minutes, as its limits are) or route53 (about 2)";

/// What is changed.
const STEPS: [&str; 3] = ["first sync", "one address changes", "one cluster of ten dies"];

/// What a change took.
struct Row {
    service: &'static str,
    program: &'static str,
    step: usize,
    took: Duration,
    calls: Calls,
    /// Runs of external-dns until the zone was right; nothing for a daemon that stays.
    runs: Option<usize>,
}

fn say(text: &str) {
    eprintln!("clouds: {text}");
}

/// Whether each name has exactly these addresses.
fn has(cloud: &impl Cloud, desired: &[BTreeSet<String>]) -> bool {
    let names: Vec<String> = (0..desired.len()).map(hostname).collect();
    cloud.addresses(names.iter().map(String::as_str)) == desired
}

/// Waits until the zone has these addresses at each name; returns when that was.
async fn complete(cloud: &impl Cloud, desired: &[BTreeSet<String>]) -> Instant {
    loop {
        if has(cloud, desired) {
            return Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn measure<C: Cloud>(rows: &mut Vec<Row>) {
    let (a, b) = tokio::join!(Fleet::start("ours"), Fleet::start("theirs"));
    let (ours, theirs) = tokio::join!(ours::run::<C>(a), theirs::run::<C>(b));
    rows.extend(ours.into_iter().chain(theirs));
}

fn table(rows: &[Row], load: &str) -> String {
    let mut text = format!(
        "## {NAMES} names with ten addresses each, on Azure DNS and Route 53\n\nLoad of the machine before and after: {load}\n\n\
         | service | change | program | seconds | calls | writes | refused by a limit | runs |\n\
         |---|---|---|---:|---:|---:|---:|---:|\n"
    );
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| (row.service, row.step, row.program == "external-dns"));
    for Row { service, program, step, took, calls, runs } in sorted {
        let runs = runs.map_or_else(|| "–".to_owned(), |runs| runs.to_string());
        let _ = writeln!(
            text,
            "| {service} | {} | {program} | {:.1} | {} | {} | {} | {runs} |",
            STEPS[*step],
            took.as_secs_f64(),
            calls.all,
            calls.writes,
            calls.refused
        );
    }
    text
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[tokio::main]
async fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    if only.starts_with('-') {
        println!("{USAGE}");
        return ExitCode::from(u8::from(!["-h", "--help"].contains(&only.as_str())) * 2);
    }
    let before = load();
    let mut rows = Vec::new();
    if Route53::NAME.to_lowercase().replace(' ', "").contains(&only) {
        measure::<Route53>(&mut rows).await;
    }
    if Azure::NAME.to_lowercase().contains(&only) {
        measure::<Azure>(&mut rows).await;
    }
    print!("{}", table(&rows, &format!("{before}, {}", load())));
    ExitCode::SUCCESS
}
