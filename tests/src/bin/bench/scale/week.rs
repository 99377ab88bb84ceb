//! `tests/bench --week`: the changes of a week, and whether memory grows with them.
//!
//! The changes are as many as in a week and as fast as the daemon takes them. Its clock is the machine's: timers (the
//! zone's re-reading, relists, leases, probes) fire as often as in the minutes that this takes.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::api::Fleet;
use super::backend::{Backend, Kind};
use super::daemon::Daemon;
use super::{CHANGE_BUDGET, SETTLE, START_BUDGET, Size};
use crate::ask::Asker;
use crate::{report, say, usage};

const USAGE: &str = "usage: tests/bench --week [--hours N] [SERVICES]

  SERVICES   of the fleet, over 20 members; 10000 unless given, 1000 at least
  --hours N  hours whose changes are sent, 168 unless given";

const MEMBERS: usize = 20;
/// What becomes of each Service in a day: so often it has another address, is deleted and made again, or makes way for one with
/// a name that was never there.
const ADDRESSES: usize = 6;
const REMADE: usize = 1;
const REPLACED: usize = 1;

/// An hour takes about a second: with the usual two minutes the host names of days would be kept.
const GRACE: &str = "[brakes]\nhostname-grace = 1s\n\n";

struct Week {
    size: Size,
    hours: usize,
    events: usize,
    /// Resident KiB, when nothing had happened for a while: at the start, after the first hour, and after each day.
    rests: Vec<(String, u64)>,
    /// The most that it was in between.
    busy: u64,
    took: Duration,
    cpu: Duration,
}

pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (mut hours, mut services) = (168, 10_000);
    let number = |text: Option<String>, least: usize| text?.parse().ok().filter(|number| *number >= least);
    while let Some(argument) = arguments.next() {
        let read = match argument.as_str() {
            "--hours" => number(arguments.next(), 1).map(|number| hours = number),
            _ => number(Some(argument), 1_000).map(|number| services = number),
        };
        if read.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let machine = report::machine();
    let week = measure(Size { services, members: MEMBERS, shared: false }, hours);
    print!("# The changes of a week\n\n{machine}\n\n{}", table(&week));
    ExitCode::SUCCESS
}

/// The changes of an hour, one after the other, and where they are.
struct Churn<'a> {
    fleet: &'a Fleet,
    /// Objects that are there.
    alive: Vec<usize>,
    /// The next name that was never there.
    fresh: usize,
    turn: usize,
}

impl Churn<'_> {
    /// Steps of a large prime go through all of them in no order.
    fn next(&mut self) -> usize {
        self.turn += 1;
        (self.turn * 48_271 + 11) % self.alive.len()
    }

    fn hour(&mut self) -> usize {
        let each = |times: usize| times * self.alive.len() / 24;
        let (addresses, remade, replaced) = (each(ADDRESSES), each(REMADE), each(REPLACED));
        for _ in 0..addresses {
            let at = self.next();
            self.fleet.change(self.alive[at]);
        }
        for _ in 0..remade {
            let at = self.next();
            self.fleet.delete(self.alive[at]);
            self.fleet.make(self.alive[at]);
        }
        for _ in 0..replaced {
            let at = self.next();
            self.fleet.delete(self.alive[at]);
            self.alive[at] = self.fresh;
            self.fleet.make(self.fresh);
            self.fresh += 1;
        }
        addresses + 2 * (remade + replaced)
    }
}

fn measure(size: Size, hours: usize) -> Week {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fleet = Fleet::with_room(size, hours * size.services * REPLACED / 24 + hours);
    let api = runtime.block_on(fleet.serve());
    let backend = Backend::start(Kind::Embedded, &runtime);
    let mut daemon = Daemon::start(folder.path(), size, (api, &backend), GRACE);
    let mut asker = Asker::new(backend.dns());
    let (mut churn, pid) = (
        Churn { fleet: &fleet, alive: (0..size.services).collect(), fresh: size.services, turn: 0 },
        daemon.pid(),
    );
    everywhere(&mut asker, size, &churn, START_BUDGET);
    let rest = |when: String| {
        thread::sleep(SETTLE);
        let resident = usage::memory(pid).0;
        say(&format!("{when}: RSS {resident} KiB"));
        (when, resident)
    };
    let mut rests = vec![rest("at the start".to_owned())];
    let (cpu, begin, mut events, mut busy) = (usage::cpu(pid), Instant::now(), 0, 0);
    for hour in 1..=hours {
        events += churn.hour();
        caught_up(&mut asker, size, &churn);
        busy = busy.max(usage::memory(pid).0);
        match hour {
            1 => rests.push(rest("after the first hour".to_owned())),
            _ if hour % 24 == 0 || hour == hours => {
                rests.push(rest(format!("after {hour} hours")));
            }
            _ => {}
        }
    }
    let (took, cpu) = (begin.elapsed(), usage::cpu(pid) - cpu);
    everywhere(&mut asker, size, &churn, CHANGE_BUDGET);
    daemon.process.assert_running();
    Week { size, hours, events, rests, busy, took, cpu }
}

/// Each member's last change is answered, and so all before it were read.
fn caught_up(asker: &mut Asker, size: Size, churn: &Churn<'_>) {
    let last = (0..size.members)
        .filter_map(|member| churn.alive.iter().copied().find(|object| object % size.members == member));
    let changed: Vec<_> = last.map(|object| (object, churn.fleet.change(object).0)).collect();
    for (object, address) in changed {
        let name = size.global(object);
        let answered = asker.wait_for(&name, address, Instant::now() + CHANGE_BUDGET);
        answered.unwrap_or_else(|| panic!("{name} has no {address} after {CHANGE_BUDGET:?}"));
    }
}

/// Every name that is there has its newest address.
fn everywhere(asker: &mut Asker, size: Size, churn: &Churn<'_>, budget: Duration) {
    let deadline = Instant::now() + budget;
    for &object in &churn.alive {
        let (name, address) = (size.global(object), churn.fleet.address(object).expect("it is there"));
        asker.wait_for(&name, address, deadline).unwrap_or_else(|| panic!("{name} has no {address}"));
    }
}

fn table(week: &Week) -> String {
    let Week { size, hours, events, rests, busy, took, cpu } = week;
    let mut text = format!(
        "{} Services over {} members, embedded zone, {hours} hours. In a day each has {ADDRESSES} other addresses, is deleted and made again {REMADE} \
         ×, and is replaced by one of another name {REPLACED} ×: {events} events in {:.0} s, {:.0} µs of CPU each. Not simulated: time \
         itself, so timers fire as often as in those seconds. Each measured {} s after the last event.\n\n\
         | | RSS | to the first hour | budget |\n|---|---:|---:|---:|\n",
        size.services,
        size.members,
        took.as_secs_f64(),
        cpu.as_secs_f64() / *events as f64 * 1e6,
        SETTLE.as_secs(),
    );
    let first = rests.get(1).map_or(0, |(_, resident)| *resident);
    let mut line = |what: &str, kib: u64, budget: &str| {
        let growth = (kib as f64 / first as f64 - 1.0) * 100.0;
        let _ =
            writeln!(text, "| {what} | {:.1} MB | {growth:+.1} % | {budget} |", kib as f64 * 1_024.0 / 1e6);
    };
    for (at, (when, resident)) in rests.iter().enumerate() {
        line(when, *resident, if at > 1 { "± 5 %" } else { "" });
    }
    line("most at the end of an hour", *busy, "");
    text
}
