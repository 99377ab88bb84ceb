//! `tests/bench --storm`: thousands of changes a second, of one name most of all, and what they do to the change of another.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::api::Fleet;
use super::backend::{Backend, Kind};
use super::daemon::Daemon;
use super::{CHANGE_BUDGET, SETTLE, START_BUDGET, Size};
use crate::ask::Asker;
use crate::stats::percentile;
use crate::{report, say, usage};

const USAGE: &str = "usage: tests/bench --storm [--seconds N] [--backend NAME] [SERVICES]

  SERVICES        of the fleet, over 20 members; 10000 unless given, 2000 at least
  --seconds N     how long the storm lasts, 60 unless given
  --backend NAME  embedded (unless given), etcd (CoreDNS answers from it), or bind";

/// Changes of the one name, and other names that are changed once, in each second.
const HOT: usize = 4_000;
const OTHERS: usize = 1_000;
/// The object that changes most; those that change once a second; and the one whose change is timed. They are in all members.
const HOT_OBJECT: usize = 0;
const TIMED_OBJECT: usize = OTHERS + 1;
/// Changes are sent in so many bursts a second.
const BURSTS: usize = 100;
const BURST: Duration = Duration::from_millis(10);

/// What was measured.
struct Storm {
    size: Size,
    sent: usize,
    lasted: Duration,
    timed: Vec<Duration>,
    /// Resident KiB: before, the most, and after.
    resident: [u64; 3],
    cpu: Duration,
    /// From the last change until every name had its newest address.
    settled: Duration,
}

pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (mut seconds, mut services, mut backend) = (60, 10_000, Some(Kind::Embedded));
    let number = |text: Option<String>, least: usize| text?.parse().ok().filter(|number| *number >= least);
    while let Some(argument) = arguments.next() {
        let read = match argument.as_str() {
            "--seconds" => number(arguments.next(), 1).map(|number| seconds = number),
            "--backend" => {
                arguments.next().and_then(|name| name.parse().ok()).map(|kind| backend = Some(kind))
            }
            _ => number(Some(argument), 2 * OTHERS).map(|number| services = number),
        };
        if read.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let backend = backend.take().unwrap_or(Kind::Embedded);
    let machine = report::machine();
    let size = Size { services, members: 20, shared: false };
    let storm = measure(size, backend, seconds);
    print!("# fleetdns in a storm of changes, on {}\n\n{machine}\n\n{}", backend.name(), table(&storm));
    ExitCode::SUCCESS
}

fn measure(size: Size, backend: Kind, seconds: usize) -> Storm {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fleet = Fleet::new(size);
    let api = runtime.block_on(fleet.serve());
    let backend = Backend::start(backend, &runtime);
    let begin = Instant::now();
    let mut daemon = Daemon::start(folder.path(), size, (api, &backend), "");
    let mut asker = Asker::new(backend.dns());
    let names: Vec<String> =
        (0..=TIMED_OBJECT).chain([size.services - 1]).map(|object| size.global(object)).collect();
    let all = asker.wait_for_all(&names, begin + START_BUDGET);
    all.unwrap_or_else(|left| panic!("{} of {} names are not there", left.len(), names.len()));
    thread::sleep(SETTLE);
    let pid = daemon.pid();
    let ((before, _), cpu) = (usage::memory(pid), usage::cpu(pid));
    say(&format!("{} Services answer; the storm begins", size.services));
    let over = Arc::new(AtomicBool::new(false));
    let sender = {
        let (fleet, over) = (Arc::clone(&fleet), Arc::clone(&over));
        thread::spawn(move || send(&fleet, seconds, &over))
    };
    let (mut timed, mut most) = (Vec::new(), before);
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let (address, sent) = fleet.change(TIMED_OBJECT);
        timed.push(wait(&mut asker, size, TIMED_OBJECT, address, sent));
        most = most.max(usage::memory(pid).0);
        next += Duration::from_secs(1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let (sent, lasted) = sender.join().expect("the sender does not panic");
    let end = Instant::now();
    let cpu = usage::cpu(pid) - cpu;
    for object in 0..=TIMED_OBJECT {
        let address = fleet.address(object).expect("none was deleted");
        wait(&mut asker, size, object, address, end);
    }
    let settled = end.elapsed();
    daemon.process.assert_running();
    thread::sleep(SETTLE);
    let resident = [before, most, usage::memory(pid).0];
    Storm { size, sent: sent + timed.len(), lasted, timed, resident, cpu, settled }
}

fn wait(
    asker: &mut Asker,
    size: Size,
    object: usize,
    address: std::net::Ipv4Addr,
    since: Instant,
) -> Duration {
    let name = size.global(object);
    let answered = asker.wait_for(&name, address, since + CHANGE_BUDGET);
    let answered = answered.unwrap_or_else(|| panic!("{name} has no {address} after {CHANGE_BUDGET:?}"));
    answered.saturating_duration_since(since)
}

/// Sends for so many seconds; returns how many changes there were, and how long it took.
fn send(fleet: &Fleet, seconds: usize, over: &AtomicBool) -> (usize, Duration) {
    let begin = Instant::now();
    let mut others = (1..=OTHERS).cycle();
    let bursts = seconds * BURSTS;
    for (burst, due) in (0..bursts).zip(1..) {
        for _ in 0..HOT / BURSTS {
            fleet.change(HOT_OBJECT);
        }
        for object in others.by_ref().take(OTHERS / BURSTS) {
            fleet.change(object);
        }
        if burst % (10 * BURSTS) == 0 {
            say(&format!("{} s of the storm", burst / BURSTS));
        }
        thread::sleep((begin + BURST * due).saturating_duration_since(Instant::now()));
    }
    over.store(true, Ordering::Relaxed);
    (bursts * (HOT + OTHERS) / BURSTS, begin.elapsed())
}

fn table(storm: &Storm) -> String {
    let Storm { size, sent, lasted, timed, resident, cpu, settled } = storm;
    let mut text = format!(
        "{} Services over {} members; in each second one name changes {HOT} times and {OTHERS} others change once.\n\n\
         | | measured | budget |\n|---|---:|---:|\n",
        size.services, size.members
    );
    let mut line = |what: &str, value: String, budget: &str| {
        let _ = writeln!(text, "| {what} | {value} | {budget} |");
    };
    let ms = |percent| format!("{:.1} ms", percentile(timed.iter().copied(), percent).as_secs_f64() * 1e3);
    let mb = |kib: u64| format!("{:.0} MB", kib as f64 * 1_024.0 / 1e6);
    let rate = *sent as f64 / lasted.as_secs_f64();
    line(
        "changes sent",
        format!("{sent} in {:.1} s, {rate:.0} a second", lasted.as_secs_f64()),
        "5,000 a second",
    );
    line("another name's change → its answer, p50", ms(50), "");
    line(&format!("the same, p99 of {}", timed.len()), ms(99), "≤ 100 ms");
    line("the same, most", ms(100), "");
    line("last change → every name has its newest address", format!("{:.2} s", settled.as_secs_f64()), "");
    let [before, most, after] = resident.map(mb);
    line("RSS before / at most / after", format!("{before} / {most} / {after}"), "bounded");
    line("CPU of a core", format!("{:.0} %", cpu.as_secs_f64() / lasted.as_secs_f64() * 100.0), "");
    line("CPU a change", format!("{:.0} µs", cpu.as_secs_f64() / *sent as f64 * 1e6), "");
    text
}
