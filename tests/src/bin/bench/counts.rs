//! What `tests/bench --counts` runs: how many instructions the pure crates need for a Service, a name or a probe, in fleets of
//! three sizes. Instructions are the same on a busy machine, so growth with the fleet can be seen where times cannot.
//!
//! Each work runs twice under cachegrind, once only prepared and once done; the difference counts.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::say;

mod work;

use work::Work;

const USAGE: &str = "usage: tests/bench --counts [SERVICES]...

  SERVICES  sizes of the fleet; 1000, 10000 and 100000 unless given";

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

pub(crate) fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--run", work, size, done] = words[..] {
        let (Some(work), Ok(size)) = (Work::named(work), size.parse()) else { return usage() };
        println!("{}", run(work, size, done == "done").as_nanos());
        return ExitCode::SUCCESS;
    }
    let sizes: Result<Vec<usize>, _> = words.iter().map(|word| word.parse()).collect();
    let sizes = match sizes {
        Ok(sizes) if sizes.is_empty() => SIZES.to_vec(),
        Ok(sizes) if !sizes.contains(&0) => sizes,
        _ => return usage(),
    };
    print!("{}", report(&sizes));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// How long the work took, when it is done and not only prepared.
fn run(work: Work, size: usize, done: bool) -> Duration {
    let mut prepared = work.prepare(size);
    let begin = Instant::now();
    if done {
        prepared.run();
    }
    let took = begin.elapsed();
    // Freeing it is not part of the work.
    std::mem::forget(prepared);
    took
}

fn report(sizes: &[usize]) -> String {
    let heads: String = sizes.iter().map(|size| format!(" {size} Services |")).collect();
    let mut text = format!("| instructions (time of all) |{heads}\n|---|{}\n", "---:|".repeat(sizes.len()));
    for work in Work::ALL {
        let cells: String = sizes.iter().map(|size| cell(work, *size)).collect();
        text += &format!("| {} |{cells}\n", work.title());
    }
    text
}

fn cell(work: Work, size: usize) -> String {
    say(&format!("{} of {size} Services", work.name()));
    let instructions = instructions(work, size, true).saturating_sub(instructions(work, size, false));
    let took = timed(work, size);
    format!(" {} ({:.1} ms) |", instructions / work.units(size) as u64, took.as_secs_f64() * 1e3)
}

fn words(work: Work, size: usize, done: bool) -> [String; 5] {
    let done = if done { "done" } else { "prepared" };
    ["--counts", "--run", work.name(), &size.to_string(), done].map(str::to_owned)
}

/// Best of three, without cachegrind.
fn timed(work: Work, size: usize) -> Duration {
    let once = || {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        let output = command.args(words(work, size, true)).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Duration::from_nanos(text.trim().parse().expect("it prints its time"))
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

fn instructions(work: Work, size: usize, done: bool) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(words(work, size, done))
        .output()
        .expect("valgrind can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    // `==123== I refs:      1,234,567`, with more blanks in older versions.
    let line = text.lines().find(|line| line.contains("refs:"));
    let number = line.and_then(|line| line.rsplit(':').next()).map(|number| number.replace(',', ""));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {text}"))
}
