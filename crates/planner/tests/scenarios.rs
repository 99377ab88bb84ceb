//! Each `tests/scenarios/NAME.json` has to give the transcript `NAME.out`; `tests/scenarios/README.md` says how to add
//! one. `UPDATE=1` writes the answers again and keeps commands and comments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fleetdns_planner::HeldLine;
use fleetdns_planner::simulate::{Scenario, simulate, why};

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

/// What is said of one name is what the planner of everything makes of it, with each member down too.
#[test]
fn why_says_of_each_name_what_the_whole_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut asked = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Ok(scenario) = serde_json::from_str::<Scenario>(&text) else { continue };
        let mut downs = vec![Vec::new()];
        downs.extend(scenario.members.iter().map(|member| vec![member.name.clone()]));
        // The velocity brake lets one member's worth go at once.
        downs.push(scenario.members.iter().map(|member| member.name.clone()).collect());
        for down in downs {
            let Ok(report) = simulate(&scenario, &down) else { continue };
            let there = scenario.zones.iter().flat_map(|zone| &zone.observed).map(|set| &set.name);
            let names: BTreeSet<&String> = report.desired.iter().map(|set| &set.name).chain(there).collect();
            for name in names {
                let said = why(&scenario, &name.parse().unwrap(), &down).unwrap();
                let of_name = |other: &str| other.eq_ignore_ascii_case(name);
                let mut desired: Vec<_> =
                    report.desired.iter().filter(|set| of_name(&set.name)).cloned().collect();
                desired.dedup(); // A zone may be written down twice.
                assert_eq!(said.desired, desired, "{name} in {} without {down:?}", path.display());
                let held: Vec<&HeldLine> = report.held.iter().filter(|line| of_name(&line.name)).collect();
                assert_eq!(
                    said.held.as_ref(),
                    held.first().copied(),
                    "{name} in {} without {down:?}",
                    path.display()
                );
                let (claims, refused): (BTreeSet<&String>, BTreeSet<&String>) = report
                    .refused
                    .iter()
                    .filter(|line| of_name(&line.name))
                    .map(|line| &line.reason)
                    .partition(|reason| reason.starts_with("claimed:"));
                let said_refused: BTreeSet<&String> = said.refused.iter().collect();
                assert_eq!(said_refused, refused, "{name} in {} without {down:?}", path.display());
                assert_eq!(said.refused_services.len(), claims.len(), "{name} in {}", path.display());
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
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
    if commands == 0 {
        Err(format!("has no line '$ simulate {file}' or '$ why {file} NAME'"))
    } else {
        Ok(new)
    }
}

fn run(file: &str, text: &str, command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace().skip(1);
    let name = match (words.next(), words.next()) {
        (Some("simulate"), Some(given)) if given == file => None,
        (Some("why"), Some(given)) if given == file => Some(words.next().unwrap_or_default()),
        _ => return Err(format!("'{command}' does not begin with '$ simulate {file}' or '$ why {file}'")),
    };
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
    let answer = match name {
        None => simulate(&scenario, &down).map(|report| report.to_string()),
        Some(name) => {
            let name = name.parse().map_err(|error| format!("'{command}': {error}"))?;
            why(&scenario, &name, &down).map(|said| said.to_string())
        }
    };
    Ok(answer.unwrap_or_else(|error| format!("error: {error}\n")))
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
