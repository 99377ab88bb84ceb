//! What was measured, as Markdown.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use crate::outage::{Outages, Way};
use crate::patches::Run;
use crate::peer::{self, Peer};
use crate::stats::percentile;

/// Budgets of `fleetdns`.
const P50: Duration = Duration::from_millis(10);
const P99: Duration = Duration::from_millis(50);

/// How endpoints die beside 1,000 Services; `--failover` has all ways.
pub(crate) const WAYS: [Way; 2] = [Way::Refused, Way::Silent];

/// The machine, and how busy it is before anything starts.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!("{cores} cores ({model}), Linux {}, load average {load} at the start", kernel.trim())
}

/// The whole report.
pub(crate) fn report(machine: &str, runs: &[Run], outages: &Outages) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# fleetdns benchmark\n\n{machine}; {}\n", peer::versions().join(", "));
    latency(&mut text, runs);
    ratios(&mut text, runs);
    start_up(&mut text, runs);
    if runs.iter().any(|run| run.peer == Peer::Fleetdns) {
        dead(&mut text, outages);
        budgets(&mut text, runs, outages);
    }
    text
}

/// By size, and ours first.
fn sorted(runs: &[Run]) -> Vec<&Run> {
    let rank = |peer: Peer| Peer::ALL.iter().position(|&other| other == peer);
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by_key(|run| (run.services, rank(run.peer)));
    sorted
}

fn answered(run: &Run, percent: usize) -> Duration {
    percentile(run.patches.iter().map(|patch| patch.answered), percent)
}

/// The part that is not the API server's. Its watch may be faster than its response.
fn after_api(run: &Run, percent: usize) -> Duration {
    percentile(run.patches.iter().map(|patch| patch.answered.saturating_sub(patch.api)), percent)
}

fn cpu_per_patch(run: &Run) -> Duration {
    run.cpu / u32::try_from(run.patches.len()).unwrap_or(u32::MAX).max(1)
}

fn latency(text: &mut String, runs: &[Run]) {
    let _ = writeln!(
        text,
        "## Status patch in a member → CoreDNS answers the new address\n\n\
         From just before the PATCH is sent to the first DNS answer (UDP) with the address, for the Service's host name. \
         The API server's own part, until its response, is in that time; beside it stands what comes after the response.\n\
         fleetdns does more for it: it probes the new address (tcp) before it publishes it, and writes the Service's \
         global and regional federation names as well; all {} addresses are probed every 5 s throughout.\n\
         CPU is that of the measured process from before the first patch to after the last, pauses included.\n\n\
         | Services | | patches | p50 | p99 | max | API p50 | after API p50 | p99 | CPU / wall | CPU per patch | RSS |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        runs.iter().map(|run| run.services).max().unwrap_or(0),
    );
    for run in sorted(runs) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} s / {:.1} s | {} | {} |",
            run.services,
            run.peer.name(),
            run.patches.len(),
            time(answered(run, 50)),
            time(answered(run, 99)),
            time(answered(run, 100)),
            time(percentile(run.patches.iter().map(|patch| patch.api), 50)),
            time(after_api(run, 50)),
            time(after_api(run, 99)),
            run.cpu.as_secs_f64(),
            run.wall.as_secs_f64(),
            time(cpu_per_patch(run)),
            size(run.resident.0),
        );
    }
}

fn ratios(text: &mut String, runs: &[Run]) {
    let _ = writeln!(
        text,
        "\nHow many times what fleetdns takes:\n\n\
         | Services | | p50 | p99 | CPU per patch | RSS | first sync |\n|---:|---|---:|---:|---:|---:|---:|"
    );
    let sorted = sorted(runs);
    for run in sorted.iter().filter(|run| run.peer != Peer::Fleetdns) {
        let same = |other: &&&Run| other.peer == Peer::Fleetdns && other.services == run.services;
        let Some(ours) = sorted.iter().find(same) else { continue };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            run.services,
            run.peer.name(),
            times(answered(run, 50).as_secs_f64(), answered(ours, 50).as_secs_f64()),
            times(answered(run, 99).as_secs_f64(), answered(ours, 99).as_secs_f64()),
            times(cpu_per_patch(run).as_secs_f64(), cpu_per_patch(ours).as_secs_f64()),
            times(kib(run.resident.0), kib(ours.resident.0)),
            times(run.started.as_secs_f64(), ours.started.as_secs_f64()),
        );
    }
}

fn start_up(text: &mut String, runs: &[Run]) {
    let _ = writeln!(
        text,
        "\n## Start-up with an empty zone\n\nFrom exec to the answer for the last of all host names.\n\n\
         | Services | | first sync | CPU | RSS at most, until the end of the run |\n|---:|---|---:|---:|---:|"
    );
    for run in sorted(runs) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            run.services,
            run.peer.name(),
            time(run.started),
            time(run.started_cpu),
            size(run.resident.1),
        );
    }
}

fn dead(text: &mut String, outages: &Outages) {
    let _ = writeln!(
        text,
        "\n## Dead endpoint → out of the zone\n\n\
         fleetdns with default settings and all the other Services; one of two addresses dies, and the global name loses \
         it. external-dns has no row: it does not look at endpoints and never takes one out.\n\n\
         | | runs | min | median | max | budget | met |\n|---|---:|---:|---:|---:|---:|---|"
    );
    for way in WAYS {
        let values = outages.out(way);
        let at = |percent| percentile(values.iter().copied(), percent);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | ≤ {} | {} |",
            way.name(),
            values.len(),
            time(at(0)),
            time(at(50)),
            time(at(100)),
            time(way.budget()),
            met(at(100) <= way.budget()),
        );
    }
}

fn budgets(text: &mut String, runs: &[Run], outages: &Outages) {
    let _ = writeln!(text, "\n## Budgets\n\n| what | measured | budget | met |\n|---|---:|---:|---|");
    let mut line = |what: String, measured: Duration, budget: Duration| {
        let _ = writeln!(
            text,
            "| {what} | {} | ≤ {} | {} |",
            time(measured),
            time(budget),
            met(measured <= budget)
        );
    };
    for run in sorted(runs).into_iter().filter(|run| run.peer == Peer::Fleetdns) {
        for (percent, budget) in [(50, P50), (99, P99)] {
            let what = format!("patch → answer, {} Services, p{percent}", run.services);
            line(what, answered(run, percent), budget);
        }
    }
    for way in WAYS {
        line(format!("{} endpoint → out, max", way.name()), percentile(outages.out(way), 100), way.budget());
    }
}

fn met(yes: bool) -> &'static str {
    if yes { "yes" } else { "**no**" }
}

/// Three digits, in the unit that suits.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        10.0.. => format!("{seconds:.1} s"),
        1.0.. => format!("{seconds:.2} s"),
        0.1.. => format!("{:.0} ms", seconds * 1e3),
        0.01.. => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.2} ms", seconds * 1e3),
    }
}

/// Seconds, with one digit after the point.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

fn kib(kib: u64) -> f64 {
    Duration::from_secs(kib).as_secs_f64()
}

fn size(resident: u64) -> String {
    format!("{:.1} MB", kib(resident) * 1_024.0 / 1e6)
}

fn times(theirs: f64, ours: f64) -> String {
    match theirs / ours {
        ratio if !ratio.is_finite() => "–".to_owned(),
        ratio if ratio >= 10.0 => format!("{ratio:.0} ×"),
        ratio => format!("{ratio:.1} ×"),
    }
}
