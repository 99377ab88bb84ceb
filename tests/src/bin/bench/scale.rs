//! What `tests/bench --scale` runs: how far one daemon goes. The daemon is a process of its own; the API servers of all
//! members are in this one, so that memory and CPU are the daemon's alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::ask::Asker;
use crate::stats::percentile;
use crate::{report, say, usage};

mod api;
mod backend;
mod daemon;
pub(crate) mod storm;
pub(crate) mod week;

use api::Fleet;
use backend::{Backend, Kind};
use daemon::Daemon;

const USAGE: &str = "usage: tests/bench --scale [--backend NAME] [--changes COUNT] [--logs FOLDER] [SERVICES MEMBERS [shared]]...

  SERVICES MEMBERS  measure so many Services over so many members; shared: each name has a Service in every member.
                    1000 20, 10000 20, 100000 20, 100000 200 and 100000 20 shared unless given
  --backend NAME    embedded (unless given), etcd (CoreDNS answers from it), or bind
  --changes COUNT   changes of addresses that are timed, 300 unless given
  --logs FOLDER     keep dns.conf and the daemon's log there";

const ZONE: &str = "scale.example.org";
const NAMESPACES: usize = 50;
/// Names that are asked for until each has an answer, spread over all.
const SAMPLE: usize = 1_000;
const START_BUDGET: Duration = Duration::from_secs(600);
const CHANGE_BUDGET: Duration = Duration::from_secs(60);
/// What start-up leaves behind is done by then.
const SETTLE: Duration = Duration::from_secs(10);
/// Between two changes: with the default number of them they go on for longer than the zone is left unread.
const PAUSE: Duration = Duration::from_millis(200);
/// Changes during a pass over every name, and between two of them.
const MEANWHILE: (usize, Duration) = (20, Duration::from_millis(50));

/// A process that takes a fifth of a core in so short a time is busy, and rests when it does not for so long.
const WINDOW: Duration = Duration::from_millis(50);
const RESTS: Duration = Duration::from_secs(1);

/// How large a fleet is. Each Service has a global and a regional name, and every second one a host name.
#[derive(Clone, Copy, Debug)]
struct Size {
    services: usize,
    members: usize,
    shared: bool,
}

const SIZES: [Size; 5] = [
    Size { services: 1_000, members: 20, shared: false },
    Size { services: 10_000, members: 20, shared: false },
    Size { services: 100_000, members: 20, shared: false },
    Size { services: 100_000, members: 200, shared: false },
    Size { services: 100_000, members: 20, shared: true },
];

impl Size {
    fn global(self, number: usize) -> String {
        format!("svc-{number}.ns-{}.scale.svc.{ZONE}", number % NAMESPACES)
    }

    fn regional(self, object: usize) -> String {
        let (number, member) = (self.number(object), object % self.members);
        format!("svc-{number}.ns-{}.scale.svc.r{member}.{ZONE}", number % NAMESPACES)
    }
}

/// What was measured of one fleet.
struct Row {
    size: Size,
    started: Duration,
    started_cpu: Duration,
    /// Resident KiB when nothing happens after the start, and the most that it was until then and until the end.
    rest: u64,
    start_peak: u64,
    peak: u64,
    changes: Vec<Duration>,
    cpu: Duration,
    /// How long the daemon is busy with a pass over every name, and what CPU that takes.
    pass: (Duration, Duration),
    /// How long changes take that come during such a pass.
    meanwhile: Vec<Duration>,
    /// `why`, `status`, the status page, `simulate`.
    commands: [Duration; 4],
}

pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (mut changes, mut logs, mut numbers, mut sizes) = (300, None, Vec::new(), Vec::<Size>::new());
    let mut backend = Some(Kind::Embedded);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.parse::<usize>(), sizes.last_mut()) {
            ("--backend", ..) => backend = arguments.next().and_then(|name| name.parse().ok()),
            ("--changes", ..) => changes = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(300),
            ("--logs", ..) => logs = arguments.next().map(PathBuf::from),
            ("shared", _, Some(size)) => size.shared = true,
            (_, Ok(number @ 1..), _) => numbers.push(number),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
        if let [services, members] = numbers[..] {
            sizes.push(Size { services, members, shared: false });
            numbers.clear();
        }
    }
    let Some(backend) = backend else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let machine = report::machine();
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = logs.unwrap_or_else(|| temporary.path().to_owned());
    let rows: Vec<Row> = sizes.into_iter().map(|size| measure(size, backend, changes, &folder)).collect();
    print!("# fleetdns at scale, on {}\n\n{machine}\n\n{}", backend.name(), table(&rows));
    ExitCode::SUCCESS
}

fn measure(size: Size, backend: Kind, changes: usize, folder: &Path) -> Row {
    let Size { services, members, shared } = size;
    let folder = folder.join(format!("{services}-{members}{}", if shared { "-shared" } else { "" }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let fleet = Fleet::new(size);
    let api = runtime.block_on(fleet.serve());
    say(&format!("{services} Services over {members} members{}", if shared { ", shared names" } else { "" }));
    let backend = Backend::start(backend, &runtime);
    let begin = Instant::now();
    let mut daemon = Daemon::start(&folder, size, (api, &backend), "");
    let mut asker = Asker::new(backend.dns());
    let step = (services / SAMPLE).max(1);
    let last = services - 1;
    let sample = (0..services).step_by(step).chain([last]);
    let names: Vec<String> =
        sample.flat_map(|object| [size.global(size.number(object)), size.regional(object)]).collect();
    let all = asker.wait_for_all(&names, begin + START_BUDGET);
    daemon.process.assert_running();
    let started =
        all.unwrap_or_else(|left| panic!("{} of {} names are not there", left.len(), names.len())) - begin;
    let (pid, started_cpu) = (daemon.pid(), usage::cpu(daemon.pid()));
    say(&format!("all names answer after {started:.1?}"));
    std::thread::sleep(SETTLE);
    let (rest, start_peak) = usage::memory(pid);
    let before = usage::cpu(pid);
    let changes = change(size, (changes, PAUSE), &fleet, &mut asker);
    let cpu = usage::cpu(pid) - before;
    daemon.process.assert_running();
    let (pass, meanwhile) = whole_pass(&daemon, size, &fleet, &mut asker);
    let name = size.global(0);
    let commands = [
        daemon.command(&["why", &name]),
        daemon.command(&["status"]),
        daemon.page(),
        daemon.command(&["simulate", "--down", "m0"]),
    ];
    let (_, peak) = usage::memory(pid);
    Row { size, started, started_cpu, rest, start_peak, peak, changes, cpu, pass, meanwhile, commands }
}

/// An override has every name planned: how long that keeps the daemon busy and what CPU it takes, and how long changes take
/// that come meanwhile.
fn whole_pass(
    daemon: &Daemon,
    size: Size,
    fleet: &Fleet,
    asker: &mut Asker,
) -> ((Duration, Duration), Vec<Duration>) {
    // Of no Service: the names are planned, and nothing becomes of it.
    daemon.order(&["drain", "service/ns-0/nobody", "--anyway"]);
    let pass = busy(daemon.pid());
    daemon.order(&["undrain", "service/ns-0/nobody"]);
    let took = change(size, MEANWHILE, fleet, asker);
    std::thread::sleep(SETTLE);
    (pass, took)
}

/// From now until a process rests again, and the CPU that it takes until then.
fn busy(pid: u32) -> (Duration, Duration) {
    let (begin, before) = (Instant::now(), usage::cpu(pid));
    let (mut rested_at, mut cpu) = (begin, before);
    while rested_at.elapsed() < RESTS {
        let here = usage::cpu(pid);
        std::thread::sleep(WINDOW);
        let now = usage::cpu(pid);
        if now - here > WINDOW / 5 {
            (rested_at, cpu) = (Instant::now(), now);
        }
    }
    (rested_at - begin, cpu - before)
}

/// Gives Services all over the fleet another address, one after the other; returns how long each took to be answered.
fn change(
    size: Size,
    (changes, pause): (usize, Duration),
    fleet: &Fleet,
    asker: &mut Asker,
) -> Vec<Duration> {
    let mut took = Vec::new();
    for turn in 0..changes {
        // Steps of a large prime go through all of them in no order.
        let object = (turn * 48_271 + 11) % size.services;
        let (address, sent) = fleet.change(object);
        let name = size.global(size.number(object));
        let answered = asker.wait_for(&name, address, sent + CHANGE_BUDGET);
        let answered = answered.unwrap_or_else(|| panic!("{name} has no {address} after {CHANGE_BUDGET:?}"));
        took.push(answered.saturating_duration_since(sent));
        std::thread::sleep(pause);
    }
    say(&format!(
        "changes: p50 {:.1?}, p99 {:.1?}",
        percentile(took.clone(), 50),
        percentile(took.clone(), 99)
    ));
    took
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("| |{} budget at 100,000 |\n|---|{}---|\n", headings(rows), "---:|".repeat(rows.len()));
    let mut line = |what: &str, budget: &str, value: &dyn Fn(&Row) -> String| {
        let values: String = rows.iter().map(|row| format!(" {} |", value(row))).collect();
        let _ = writeln!(text, "| {what} |{values} {budget} |");
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let mb = |kib: u64| format!("{:.0} MB", kib as f64 * 1_024.0 / 1e6);
    let at = |row: &Row, percent| percentile(row.changes.iter().copied(), percent);
    line("start → every name answers", "≤ 8 s; 4,000 Services ≤ 2 s (etcd), 5 s (BIND)", &|row| {
        format!("{:.1} s", row.started.as_secs_f64())
    });
    line("CPU until then", "", &|row| format!("{:.1} s", row.started_cpu.as_secs_f64()));
    line("RSS at rest", "≤ 150 MB", &|row| mb(row.rest));
    line("RSS at most, at the start / at all", "≤ 1.5 × rest", &|row| {
        let times = row.peak as f64 / row.rest as f64;
        format!("{} / {} ({times:.2} ×)", mb(row.start_peak), mb(row.peak))
    });
    line("watch event → answer, p50", "≤ 3 ms", &|row| ms(at(row, 50)));
    line("watch event → answer, p99", "≤ 10 ms", &|row| ms(at(row, 99)));
    line("watch event → answer, most", "", &|row| ms(at(row, 100)));
    line("CPU a change", "", &|row| ms(row.cpu / u32::try_from(row.changes.len()).unwrap_or(1).max(1)));
    line("pass over every name: time / CPU", "≤ 1 s", &|row| {
        let (took, cpu) = row.pass;
        format!("{:.2} / {:.2} s", took.as_secs_f64(), cpu.as_secs_f64())
    });
    line("change during such a pass, p50 / most", "≤ 100 ms", &|row| {
        let at = |percent| ms(percentile(row.meanwhile.iter().copied(), percent));
        format!("{} / {}", at(50), at(100))
    });
    for (index, (what, budget)) in [
        ("`why`", "≤ 200 ms"),
        ("`status`", "≤ 200 ms"),
        ("status page", "≤ 500 ms"),
        ("`simulate --down`", "≤ 5 s"),
    ]
    .into_iter()
    .enumerate()
    {
        line(what, budget, &|row| ms(row.commands[index]));
    }
    text
}

fn headings(rows: &[Row]) -> String {
    let heading = |Size { services, members, shared }: Size| {
        format!(" {services} / {members}{} |", if shared { " shared" } else { "" })
    };
    rows.iter().map(|row| heading(row.size)).collect()
}
