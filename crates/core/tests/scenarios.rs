//! Each `tests/scenarios/NAME.json` has to give the transcript `NAME.out`; `tests/scenarios/README.md` says how to add
//! one. `UPDATE=1` writes the answers anew and keeps commands and comments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fleetdns_core::simulate::{Scenario, simulate};

#[test]
fn every_scenario_gives_its_transcript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|text| text.to_str()) {
            Some("json" | "out") => drop(names.insert(path.with_extension(""))),
            Some("md") => {}
            _ => faults.push(format!("{}: neither .json nor .out", path.display())),
        }
    }
    assert!(!names.is_empty(), "no scenario in {}", folder.display());
    let update = std::env::var_os("UPDATE").is_some();
    faults.extend(names.iter().filter_map(|stem| check(stem, update).err()));
    assert!(faults.is_empty(), "{} of {} scenarios:\n\n{}", faults.len(), names.len(), faults.join("\n"));
}

/// Compares one transcript; says what is wrong with it.
fn check(stem: &Path, update: bool) -> Result<(), String> {
    let (json, out) = (with(stem, "json"), with(stem, "out"));
    let read =
        |path: &PathBuf| fs::read_to_string(path).map_err(|error| format!("{}: {error}\n", path.display()));
    let text = read(&json)?;
    let expected = read(&out)?;
    let file = json.file_name().unwrap().to_str().unwrap();
    let given = answer(file, &text, &expected).map_err(|fault| format!("{}: {fault}\n", out.display()))?;
    if given == expected {
        return Ok(());
    }
    if update {
        return fs::write(&out, given).map_err(|error| format!("{}: {error}\n", out.display()));
    }
    Err(format!("{}:\n{}", out.display(), difference(&expected, &given)))
}

fn with(stem: &Path, extension: &str) -> PathBuf {
    // Not `with_extension`: a name may have a dot in it.
    PathBuf::from(format!("{}.{extension}", stem.display()))
}

/// The transcript as it has to be: the commands and comments of `old`, each command with its answer.
fn answer(file: &str, text: &str, old: &str) -> Result<String, String> {
    let mut new = String::new();
    let mut commands = 0;
    let mut answered = false;
    for line in old.lines().filter(|line| line.starts_with(['#', '$'])) {
        if answered {
            new.push('\n');
        }
        writeln!(new, "{line}").unwrap();
        answered = line.starts_with('$');
        if answered {
            commands += 1;
            new.push_str(&run(file, text, line)?);
        }
    }
    if commands == 0 { Err(format!("has no line '$ simulate {file}'")) } else { Ok(new) }
}

fn run(file: &str, text: &str, command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace();
    if [words.next(), words.next(), words.next()] != [Some("$"), Some("simulate"), Some(file)] {
        return Err(format!("'{command}' does not begin with '$ simulate {file}'"));
    }
    let mut down = Vec::new();
    while let Some(word) = words.next() {
        match (word, words.next()) {
            ("--down", Some(member)) => down.push(member.to_owned()),
            _ => return Err(format!("'{command}': only '--down MEMBER' is known")),
        }
    }
    let scenario: Scenario = match serde_json::from_str(text) {
        Ok(scenario) => scenario,
        Err(error) => return Ok(format!("error: {error}\n")),
    };
    Ok(match simulate(&scenario, &down) {
        Ok(report) => report.to_string(),
        Err(error) => format!("error: {error}\n"),
    })
}

/// Line by line from the first difference to the last.
fn difference(expected: &str, given: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), given.lines().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut old.iter().zip(&new));
    let tail = same(&mut old[head..].iter().rev().zip(new[head..].iter().rev()));
    let mut text = String::new();
    let context = old[..head].iter().rfind(|line| line.starts_with('$')).into_iter().map(|line| (' ', line));
    let gone = old[head..old.len() - tail].iter().map(|line| ('-', line));
    let come = new[head..new.len() - tail].iter().map(|line| ('+', line));
    for (sign, line) in context.chain(gone).chain(come) {
        writeln!(text, "  {sign} {line}").unwrap();
    }
    text
}
