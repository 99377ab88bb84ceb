//! `tests/bench --probes`: what probing costs, beside gdnsd.
//!
//! fleetdns' prober is the example `load` of its crate, as `tests/soak` starves it: a process with the prober alone. Each
//! prober has a server of its own, of the same kind, in a process beside it.

mod gdnsd;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::{report, say};
use gdnsd::Gdnsd;

const USAGE: &str = "usage: tests/bench --probes [--seconds N] [TARGETS]...

  TARGETS      measure so many HTTP targets, each probed every 10 s; 10000 100000 unless given. The first number is
               measured with gdnsd and over TLS too
  --seconds N  how long each is measured, 60 unless given; 25 s of start come on top";

/// The start, as the example has it, and the time until all targets are known.
const START: Duration = Duration::from_secs(25);
const SIZES: [u32; 2] = [10_000, 100_000];

/// What one prober took.
struct Row {
    prober: &'static str,
    targets: u32,
    /// Percent of one core, and the probes in each second that it was for.
    cpu: f64,
    rate: f64,
    /// KiB.
    resident: f64,
    /// Milliseconds, the upper end of its class, and full and resumed handshakes.
    lag: Option<f64>,
    handshakes: Option<(f64, f64)>,
    /// Probes that did not pass, and verdicts that were wrong.
    faults: f64,
}

impl Row {
    /// Microseconds of CPU for one probe.
    fn each(&self) -> f64 {
        self.cpu / 100.0 / self.rate * 1e6
    }
}

pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (mut seconds, mut sizes) = (60, Vec::new());
    while let Some(argument) = arguments.next() {
        let number = if argument == "--seconds" { arguments.next() } else { Some(argument.clone()) };
        match number.and_then(|text| text.parse::<u32>().ok()) {
            Some(number @ 1..) if argument == "--seconds" => seconds = number,
            Some(number @ 1..) => sizes.push(number),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let machine = report::machine();
    let first = sizes[0];
    let mut rows = vec![load(first, seconds, false), beside(first, seconds), load(first, seconds, true)];
    rows.extend(sizes.iter().skip(1).map(|&targets| load(targets, seconds, false)));
    print!("# fleetdns' prober beside gdnsd\n\n{machine}; {}\n\n{}", gdnsd::version(), table(&rows));
    ExitCode::SUCCESS
}

/// The example `load`, which stands in a folder beside this program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let path = own.with_file_name("examples").join("load");
    assert!(path.is_file(), "no {}: cargo build -p fleetdns-probe --example load", path.display());
    path
}

fn load(targets: u32, seconds: u32, tls: bool) -> Row {
    say(&format!("fleetdns: {targets} targets{}", if tls { " over TLS" } else { "" }));
    let mut command = Command::new(program());
    command.args([targets.to_string(), seconds.to_string(), "0".to_owned()]).args(tls.then_some("tls"));
    let output = command.output().expect("the example can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let facts = Facts::read(&text);
    Row {
        prober: if tls { "fleetdns, TLS" } else { "fleetdns" },
        targets,
        cpu: facts.of("CPU"),
        rate: facts.of("dead,"),
        resident: facts.of("RSS"),
        // Slower than the last class: it prints no number there.
        lag: Some(facts.0.get("p99 <=").copied().unwrap_or(f64::INFINITY)),
        handshakes: tls.then(|| (facts.of("handshakes"), facts.of("full,"))),
        faults: facts.of("failed") + facts.of("inconclusive") + facts.of("wrong"),
    }
}

fn beside(targets: u32, seconds: u32) -> Row {
    say(&format!("gdnsd: {targets} targets"));
    let gdnsd = Gdnsd::start(&program(), targets);
    let (cpu, resident) = gdnsd.measure(START, Duration::from_secs(seconds.into()));
    let faults = gdnsd.faults() as f64;
    let (cpu, resident) = (cpu * 100.0, resident as f64);
    // It starts a probe when its time has come, and does not count them.
    let rate = f64::from(targets) / 10.0;
    Row { prober: "gdnsd", targets, cpu, rate, resident, lag: None, handshakes: None, faults }
}

/// The numbers in the text that the example prints, by the words before them.
struct Facts(BTreeMap<String, f64>);

impl Facts {
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut facts = BTreeMap::new();
        for (at, word) in words.iter().enumerate().skip(1) {
            let Ok(number) = word.trim_end_matches(',').parse() else { continue };
            let mut name = words[at - 1].to_owned();
            if name == "<=" {
                name = format!("{} <=", words[at - 2]);
            }
            facts.entry(name).or_insert(number);
        }
        Self(facts)
    }

    fn of(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("the example prints no {name}: {:?}", self.0))
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "| prober | targets | probes a second | CPU of a core | budget | for one probe | RSS | budget | start lag p99 | budget | did not pass |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let Some((plain, peer)) = rows.first().zip(rows.get(1)) else { return text };
    for row in rows {
        let times = f64::from(row.targets) / f64::from(plain.targets);
        let (cpu, resident) = match row {
            Row { prober: "gdnsd", .. } => (String::new(), String::new()),
            Row { handshakes: Some(_), .. } => (format!("≤ {:.1} %", plain.cpu * 3.0), String::new()),
            // 20 MB at 10,000 and 120 MB at 100,000 lie on one line; fewer targets have what 10,000 have.
            _ => (
                format!("≤ {:.1} %", peer.cpu / 2.0 * times),
                format!("≤ {:.0} MB", 9.0 + 11.0 * f64::from(row.targets.max(10_000)) / 1e4),
            ),
        };
        let lag = row.lag.map_or(String::new(), |lag| match lag.is_finite() {
            true => format!("≤ {lag} ms"),
            false => "> 2.5 s".to_owned(),
        });
        let budget = row.lag.map_or("", |_| "≤ 20 ms");
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.1} % | {cpu} | {:.0} µs | {:.0} MB | {resident} | {lag} | {budget} | {} |",
            row.prober,
            row.targets,
            row.rate,
            row.cpu,
            row.each(),
            row.resident * 1_024.0 / 1e6,
            row.faults,
        );
    }
    let _ = write!(text, "\nfleetdns takes {:.2} × the CPU of gdnsd", plain.each() / peer.each());
    if let Some((row, (full, resumed))) = rows.iter().find_map(|row| Some((row, row.handshakes?))) {
        let _ = write!(
            text,
            "; TLS takes {:.1} × plain HTTP, {:.0} of {:.0} handshakes resumed a session",
            row.each() / plain.each(),
            resumed,
            full + resumed
        );
    }
    text.push_str(".\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_example_are_read() {
        let text = "targets 2000, 0 % of them dead, 201 probes/s\nCPU 7.7 % of a core, 382 us for each probe\n\
                    RSS 16932 KiB, of which 10060 KiB before\nstart lag p50 <= 1 ms, p99 <= 5 ms\n\
                    passed 9988, failed 0, inconclusive 7, stalls 0\nhandshakes 3 full, 17 resumed\nverdicts 2000, wrong 0\n";
        let facts = Facts::read(text);
        let names = ["CPU", "RSS", "p99 <=", "inconclusive", "handshakes", "full,", "wrong"];
        assert_eq!(names.map(|name| facts.of(name)), [7.7, 16932.0, 5.0, 7.0, 3.0, 17.0, 0.0]);
        assert_eq!(facts.of("dead,"), 201.0);
    }
}
