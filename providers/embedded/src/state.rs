//! The state file: the records of a zone over a restart, one record set in a line.
//!
//! ```text
//! fleetdns-zone 1 example.com serial 1790000000 changes 17
//! web.example.com 16 30 A 203.0.113.1,203.0.113.2 v=1 owner=fed service=default/web member=…
//! ```
//!
//! The fields of a line are name, version, TTL in seconds, type, values, and the ownership text.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::Path;

use fleetdns_core::{DnsName, Mark, NonEmpty, RecordData, RecordType, Ttl};
use thiserror::Error;

use crate::records::{Entry, Stored};
use crate::zone::Zone;

/// What a state file holds.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) serial: u32,
    pub(crate) changes: u64,
    pub(crate) entries: Vec<Entry>,
}

/// Why a state file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("line {line} cannot be read: {problem}")]
    Line { line: usize, problem: String },
}

/// Reads a state file; `None` when there is none yet.
pub(crate) fn load(path: &Path, zone: &DnsName) -> Result<Option<State>, StateError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, zone).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::Read(error)),
    }
}

/// Writes a state file, whole or not at all.
pub(crate) fn save(path: &Path, zone: &Zone) -> io::Result<()> {
    let text = print(zone).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Where the file is.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn print(zone: &Zone) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let Zone { settings, serial, changes, .. } = zone;
    writeln!(text, "fleetdns-zone 1 {} serial {serial} changes {changes}", settings.zone)?;
    for entry in zone.entries() {
        for Stored { ttl, data, mark, .. } in &entry.sets {
            let Some(mark) = mark else { continue };
            let (name, version, values) = (&entry.name, entry.version, data.values().join(","));
            writeln!(text, "{name} {version} {ttl} {} {values} {mark}", data.record_type())?;
        }
    }
    Ok(text)
}

fn parse(text: &str, zone: &DnsName) -> Result<State, StateError> {
    let mut lines = text.lines().enumerate();
    let head = lines.next().map_or("", |(_, line)| line);
    let wrong = || StateError::Line { line: 1, problem: format!("it is not the state of the zone {zone}") };
    let (serial, changes) = head
        .strip_prefix(&format!("fleetdns-zone 1 {zone} serial "))
        .and_then(|rest| rest.split_once(" changes "))
        .and_then(|(serial, changes)| Some((serial.parse().ok()?, changes.parse().ok()?)))
        .ok_or_else(wrong)?;
    let mut entries: BTreeMap<DnsName, Entry> = BTreeMap::new();
    for (index, line) in lines {
        let (name, version, set) =
            record_set(line, zone).map_err(|problem| StateError::Line { line: index + 1, problem })?;
        let entry = entries.entry(name.clone()).or_insert_with(|| Entry { name, version, sets: Vec::new() });
        entry.sets.push(set);
    }
    Ok(State { serial, changes, entries: entries.into_values().collect() })
}

fn record_set(line: &str, zone: &DnsName) -> Result<(DnsName, u64, Stored), String> {
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
    let mark: Mark = next("ownership text")?.parse().map_err(|e| format!("{e}"))?;
    Ok((name, version, Stored::new(ttl, data, Some(mark))?))
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
