//! The state file: the records of a zone over a restart, one record set in a line.
//!
//! ```text
//! fleetdns-zone 1 example.com serial 1790000000 changes 17
//! web.example.com 16 30 A 203.0.113.1,203.0.113.2 v=1 owner=fed service=default/web member=…
//! ```
//!
//! The first line ends with `incomplete` while the process that wrote it was starting without a state of its own. The fields
//! of the others are name, version, TTL in seconds, type, values, and the ownership text.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fleetdns_core::text::printable;
use fleetdns_core::{DnsName, NonEmpty, ObservedSet, OwnershipRecord, RecordData, RecordType, Ttl};
use thiserror::Error;

use crate::records::{stored, text};
use crate::zone::Zone;

/// What a state file holds.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) serial: u32,
    pub(crate) changes: u64,
    pub(crate) entries: BTreeMap<DnsName, Vec<ObservedSet>>,
    /// Whether it was written when start-up had converged.
    pub(crate) complete: bool,
    /// Why not all of the file could be read; the rest counts.
    pub(crate) damage: Option<Damage>,
}

/// What of a state file cannot be used. The daemon starts all the same: the file is set aside, and what was lost is
/// written again when the clusters are listed.
#[derive(Debug, Error)]
pub(crate) enum Damage {
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    #[error("line {line} cannot be read: {problem} ({} such lines)", .count)]
    Lines { line: usize, problem: String, count: usize },
}

/// Begins and ends the names of temporary files; what a crash leaves of them is found by both.
fn temporary(path: &Path) -> (String, &'static str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (format!(".{name}."), ".tmp")
}

/// Reads a state file, as far as it can be read; `None` when there is none yet.
pub(crate) fn load(path: &Path, zone: &DnsName) -> Option<State> {
    match std::fs::read(path) {
        Ok(bytes) => Some(parse(&String::from_utf8_lossy(&bytes), zone)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(State { damage: Some(Damage::Read(error)), ..State::default() }),
    }
}

/// Writes a state file, whole or not at all.
pub(crate) fn save(path: &Path, zone: &Zone) -> io::Result<()> {
    let text = print(zone).map_err(io::Error::other)?;
    let (prefix, suffix) = temporary(path);
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(&prefix).suffix(suffix).tempfile_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Moves a file that cannot be used out of the way, and returns where it is then.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".broken-{now}"));
    let aside = path.with_file_name(name);
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes the temporary files that a crash has left.
pub(crate) fn sweep(path: &Path) {
    let (prefix, suffix) = temporary(path);
    let Ok(folder) = std::fs::read_dir(directory(path)) else { return };
    for entry in folder.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(suffix) {
            // One that stays costs its room and nothing else.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Where the file is.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn print(zone: &Zone) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let Zone { settings, serial, changes, .. } = zone;
    let rest = if zone.complete { "" } else { INCOMPLETE };
    writeln!(text, "fleetdns-zone 1 {} serial {serial} changes {changes}{rest}", settings.zone)?;
    for (name, sets) in zone.entries() {
        for ObservedSet { ttl, content, claim, version } in sets.iter() {
            let (Some(data), Some(mark)) = (content.data(), claim.mark()) else { continue };
            let (kind, values) = (data.record_type(), data.values().join(","));
            writeln!(text, "{name} {} {ttl} {kind} {values} {mark}", version.0)?;
        }
    }
    Ok(text)
}

/// Ends the first line of a file that does not hold all that the zone should.
const INCOMPLETE: &str = " incomplete";

pub(crate) fn parse(text: &str, zone: &DnsName) -> State {
    let mut lines = text.lines().enumerate();
    let line = lines.next().map_or("", |(_, line)| line);
    let head = line.strip_suffix(INCOMPLETE).unwrap_or(line);
    let numbers = head
        .strip_prefix(&format!("fleetdns-zone 1 {zone} serial "))
        .and_then(|rest| rest.split_once(" changes "))
        .and_then(|(serial, changes)| Some((serial.parse().ok()?, changes.parse().ok()?)));
    let Some((serial, mut changes)) = numbers else {
        let problem = format!("it is not the state of the zone {zone}");
        return State { damage: Some(Damage::Lines { line: 1, problem, count: 1 }), ..State::default() };
    };
    let mut entries: BTreeMap<DnsName, Vec<ObservedSet>> = BTreeMap::new();
    let (mut first, mut count) = (None, 0);
    for (index, line) in lines {
        match record_set(line, zone) {
            Ok((name, version, set)) => {
                changes = version.max(changes);
                entries.entry(name).or_default().push(set);
            }
            Err(problem) => {
                count += 1;
                first.get_or_insert_with(|| (index + 1, printable(&problem).into_owned()));
            }
        }
    }
    let damage = first.map(|(line, problem)| Damage::Lines { line, problem, count });
    let complete = head == line && damage.is_none();
    State { serial, changes, entries, complete, damage }
}

fn record_set(line: &str, zone: &DnsName) -> Result<(DnsName, u64, ObservedSet), String> {
    let mut fields = line.splitn(6, ' ');
    let mut next = |what: &str| fields.next().ok_or_else(|| format!("it has no {what}"));
    let name: DnsName = next("name")?.parse().map_err(|e| format!("{e}"))?;
    if !name.is_within(zone) {
        return Err(format!("{name} lies outside of the zone {zone}"));
    }
    let version = next("version")?.parse().map_err(|e| format!("the version: {e}"))?;
    let seconds = next("TTL")?.parse().map_err(|e| format!("the TTL: {e}"))?;
    let ttl = Ttl::new(seconds).ok_or("the TTL has more than 31 bits")?;
    let record_type: RecordType = next("type")?.parse().map_err(|e| format!("{e}"))?;
    let data = data(record_type, next("values")?)?;
    let mark: OwnershipRecord = next("ownership text")?.parse().map_err(|e| format!("{e}"))?;
    Ok((name, version, stored(ttl, data, &mark, text(version))?))
}

fn data(record_type: RecordType, text: &str) -> Result<RecordData, String> {
    let wrong = || format!("'{text}' are no values of type {record_type}");
    let values = text.split(',');
    match record_type {
        RecordType::A => {
            let ips = values.map(str::parse).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
            NonEmpty::new(ips).map(RecordData::A).ok_or_else(wrong)
        }
        RecordType::Aaaa => {
            let ips = values.map(str::parse).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
            NonEmpty::new(ips).map(RecordData::Aaaa).ok_or_else(wrong)
        }
        RecordType::Cname => text.parse().map(RecordData::Cname).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetdns_core::Version;
    use fleetdns_core::keys::Keys;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_damaged_line_is_told_without_what_a_terminal_would_act_on() {
        let line = "a.example.com 1 30 CNAME \u{202e}\u{1b}[2Jx v=1 owner=fed service=a/b";
        let text = format!("fleetdns-zone 1 example.com serial 7 changes 9\n{line}\n");
        let damage = parse(&text, &"example.com".parse().unwrap()).damage.unwrap().to_string();
        assert!(!damage.contains(fleetdns_core::text::is_hidden), "{damage:?}");
    }

    proptest::proptest! {
        /// Whatever text asks to be a name, a target or a part of a mark: it is refused, or comes back as itself from a
        /// line of its own.
        #[test]
        fn no_text_breaks_out_of_its_line(
            text in r#"[a-z0-9*_./@;,="\\ \n\r\t\x0b\x0c\x7f\u{85}\u{2028}-]{1,20}|[a-z]{60,66}|x \d \d\d A 10.0.0.1|[a-c.]{1,8}"#,
            target in "(?s)[a-z.]{1,6}.{0,3}",
            path in "(?s)[a-z%0-9]{0,6}.{0,6}",
        ) {
            let zone: DnsName = "example.com".parse().unwrap();
            let Ok(name) = format!("{text}.example.com").parse::<DnsName>() else { return Ok(()) };
            let marks = [
                format!("v=1 owner=fed service=default/web member={text};;;none;10.0.0.1"),
                format!("v=1 owner=fed service=default/web member=west;;;http:80/{path};10.0.0.1"),
                "v=1 owner=fed service=default/web".to_owned(),
            ];
            let mark: OwnershipRecord = marks.iter().find_map(|mark| mark.parse().ok()).unwrap();
            let data = match format!("{target}.example.net").parse() {
                Ok(target) => RecordData::Cname(target),
                Err(_) => RecordData::A(NonEmpty::new(["10.0.0.1".parse().unwrap()]).unwrap()),
            };
            let settings = Settings::read(&zone, &Keys::default()).unwrap();
            let mut zone_of = Zone::new(Arc::new(settings), 7);
            let set = stored(Ttl::DEFAULT, data.clone(), &mark, Version("3".into())).unwrap();
            zone_of.restore(&name, [set].into());
            let written = print(&zone_of).unwrap();
            proptest::prop_assert_eq!(written.lines().count(), 2, "{}", written);
            proptest::prop_assert!(!written.chars().any(|c| c.is_control() && c != '\n'), "{:?}", written);
            let state = parse(&written, &zone);
            proptest::prop_assert!(state.damage.is_none(), "{:?}", state.damage);
            let Some((read, sets)) = state.entries.first_key_value() else { panic!("{written}") };
            proptest::prop_assert_eq!((state.entries.len(), read), (1, &name));
            proptest::prop_assert_eq!(sets[0].content.data(), Some(&data));
            proptest::prop_assert_eq!(sets[0].claim.mark(), Some(&mark));
        }

        /// Whatever stands in the file: it is read without harm, and nothing of another zone comes from it.
        #[test]
        fn no_file_harms_its_reader(lines in proptest::collection::vec(
            "(?s).{0,30}|[a-z.]{1,9}(.example.com|.example.net)? -?[0-9]{1,20} [0-9]{1,9} (A (10[.]0[.]0[.][0-9],?){1,2}|AAAA [0-9a-f:]{0,9}|(CNAME|TXT) [a-z.]{0,9}) v=1 owner=fed service=a/b",
            0..6,
        )) {
            let zone: DnsName = "example.com".parse().unwrap();
            let text = format!("fleetdns-zone 1 example.com serial 7 changes 9\n{}\n", lines.join("\n"));
            let state = parse(&text, &zone);
            proptest::prop_assert!(state.entries.keys().all(|name| name.is_within(&zone)));
            if let Some(damage) = state.damage {
                let shown = damage.to_string();
                proptest::prop_assert!(shown.len() < 1_000 && !shown.contains(char::is_control), "{:?}", shown);
            }
        }
    }
}
