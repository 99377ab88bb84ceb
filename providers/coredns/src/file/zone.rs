//! Zone file text becomes names and record sets, and a new block of ours becomes text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use fleetdns_core::{
    Content, DnsName, Label, Listing, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, RecordSet,
    RecordType, Ttl, Unreadable, Unwritable, Version,
};

use super::records::{NoSerial, Reader, Record, Source};
use super::scan::{self, Unclosed};
use super::serial;

/// Why a zone file can be neither listed nor written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Quotes or parentheses that began in this line are not closed.
    Unclosed(usize),
    /// The block of ours that begins in this line has no end.
    NoEnd(usize),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unclosed(line) => write!(f, "line {line}: quotes or parentheses are not closed"),
            Self::NoEnd(line) => write!(f, "line {line}: the block of fleetdns has no line that ends it"),
        }
    }
}

/// Our sets by name and type.
pub(crate) type Ours = BTreeMap<DnsName, BTreeMap<RecordType, OurSet>>;

/// A set in our block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OurSet {
    pub(crate) ttl: Ttl,
    pub(crate) data: RecordData,
    /// `None` when it cannot be read, or the set is not as we write it.
    pub(crate) mark: Option<OwnershipRecord>,
}

/// Sets that are ours no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Nobody's from now on.
    pub(crate) released: Ours,
    /// Another owner's.
    pub(crate) others: BTreeMap<Label, Ours>,
}

/// A record in our block and the mark above it.
type Marked = (Record, Option<OwnershipRecord>);

/// A zone file, taken apart.
#[derive(Debug)]
pub(crate) struct ZoneText {
    /// All that is not ours, as it was.
    foreign: String,
    /// Serial of the SOA in `foreign`, and where it stands.
    pub(crate) serial: Result<(u32, Range<usize>), NoSerial>,
    foreign_sets: Vec<(DnsName, ObservedSet)>,
    /// The name servers that NS records name.
    servers: BTreeSet<DnsName>,
    pub(crate) ours: Ours,
    pub(crate) unreadable: Unreadable,
    unwritable: Vec<Unwritable>,
}

impl ZoneText {
    /// # Errors
    /// When it cannot be told what is ours and what is not.
    pub(crate) fn read(
        text: &str,
        zone: &DnsName,
        owner: &Label,
        (file, source): (&Path, Source<'_>),
    ) -> Result<Self, Damage> {
        let (mut foreign, block) = split(text, owner)?;
        let (ours, strays) = read_block(&block, zone, owner);
        if !strays.is_empty() && !foreign.is_empty() && !foreign.ends_with('\n') {
            foreign.push('\n');
        }
        foreign.push_str(&strays);
        let reader = match scan::statements(&foreign) {
            Ok(statements) => {
                let mut reader = Reader::new(zone, file, source);
                for statement in &statements {
                    reader.read(statement);
                }
                reader
            }
            Err(Unclosed { line }) => return Err(Damage::Unclosed(line)),
        };
        let foreign_sets = foreign_sets(&reader.records);
        let name_servers = reader.records.iter().filter(|record| record.kind == "NS");
        let servers = name_servers.filter_map(Record::target).collect();
        let (serial, unreadable, unwritable) = (reader.serial, reader.unreadable, reader.unwritable);
        Ok(Self { serial, foreign_sets, servers, ours, unreadable, unwritable, foreign })
    }

    /// The start of a zone that has no file yet.
    pub(crate) fn new_zone(zone: &DnsName, name_servers: &[DnsName], now: u64) -> String {
        let first = name_servers.first().unwrap_or(zone);
        let serial = serial::first(now);
        let mut text =
            format!("{zone}.\t3600\tIN\tSOA\t{first}. hostmaster.{zone}. {serial} 3600 600 604800 30\n");
        for server in name_servers {
            let _ = writeln!(text, "{zone}.\t3600\tIN\tNS\t{server}.");
        }
        text
    }

    pub(crate) fn listing(&self) -> Listing {
        let mut listing = Listing { unreadable: self.unreadable.sentences(), ..Listing::default() };
        // What others have at the name is part of what was read of it: whoever adds to it has changed it.
        let mut beside: BTreeMap<&DnsName, String> = BTreeMap::new();
        for (name, set) in &self.foreign_sets {
            let _ = write!(beside.entry(name).or_default(), "{set};");
        }
        for (name, sets) in &self.ours {
            let version = Version(beside.get(name).map_or("", String::as_str).into());
            for set in sets.values() {
                let observed = ObservedSet { version: version.clone(), ..set.observed() };
                listing.observed.push(name.clone(), observed);
            }
        }
        for (name, set) in &self.foreign_sets {
            listing.observed.push(name.clone(), set.clone());
        }
        listing.observed.set_name_servers(self.servers.clone());
        listing.observed.set_unwritable(self.unwritable.clone());
        listing
    }

    /// The text with other sets of ours and those that leave, and with a serial that tells of it.
    pub(crate) fn render(&self, ours: &Ours, leaving: &Leaving, owner: &Label, now: u64) -> String {
        let mut text = self.foreign.clone();
        if let Ok((old, at)) = &self.serial {
            text.replace_range(at.clone(), &serial::next(*old, now).to_string());
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        write_sets(&mut text, &leaving.released);
        let blocks = leaving.others.iter().chain([(owner, ours)]);
        for (owner, sets) in blocks.filter(|(_, sets)| !sets.is_empty()) {
            let _ = writeln!(text, "{}", begin(owner));
            let _ = writeln!(
                text,
                "; what stands between these two lines is replaced; write above or below them"
            );
            write_sets(&mut text, sets);
            let _ = writeln!(text, "{}", end(owner));
        }
        text
    }
}

fn write_sets(text: &mut String, ours: &Ours) {
    let mut above = false;
    for (name, sets) in ours {
        let mut last: Option<&OwnershipRecord> = None;
        for OurSet { ttl, data, mark } in sets.values() {
            if let Some(mark) = mark.as_ref().filter(|mark| last != Some(*mark)) {
                let _ = writeln!(text, "; {}", mark.as_str());
            } else if mark.is_none() && above {
                // Without a line between them it would be read with the mark of the set above.
                text.push_str("; no ownership record\n");
            }
            last = mark.as_ref();
            above = mark.is_some();
            let dot = if matches!(data, RecordData::Cname(_)) { "." } else { "" };
            for value in data.values() {
                let _ = writeln!(text, "{name}.\t{ttl}\tIN\t{}\t{value}{dot}", data.record_type());
            }
        }
    }
}

impl OurSet {
    pub(crate) fn new(set: &RecordSet, mark: Option<&OwnershipRecord>) -> Self {
        Self { ttl: set.ttl, data: set.data.clone(), mark: mark.cloned() }
    }

    pub(crate) fn observed(&self) -> ObservedSet {
        ObservedSet {
            ttl: self.ttl,
            content: Content::Known(self.data.clone()),
            claim: Owner::Ours(self.mark.clone()),
            version: Version::default(),
        }
    }
}

fn begin(owner: &Label) -> String {
    format!("; fleetdns begin owner={owner}")
}

fn end(owner: &Label) -> String {
    format!("; fleetdns end owner={owner}")
}

/// What is not ours, and the lines of our block. Blocks of other owners are not ours.
fn split(text: &str, owner: &Label) -> Result<(String, String), Damage> {
    let (begin, end) = (begin(owner), end(owner));
    let (mut foreign, mut block) = (String::with_capacity(text.len()), String::new());
    let mut inside: Option<usize> = None;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match (line.trim_end(), inside) {
            (trimmed, None) if trimmed == begin => inside = Some(index + 1),
            (trimmed, Some(_)) if trimmed == end => inside = None,
            (_, None) => foreign.push_str(line),
            (_, Some(_)) => block.push_str(line),
        }
    }
    match inside {
        Some(line) => Err(Damage::NoEnd(line)),
        None => Ok((foreign, block)),
    }
}

/// Our sets, and the lines that are no record of ours: those become foreign text.
fn read_block(block: &str, zone: &DnsName, owner: &Label) -> (Ours, String) {
    let mut found: BTreeMap<(DnsName, RecordType), Vec<Marked>> = BTreeMap::new();
    let mut strays = String::new();
    let mut mark: Option<OwnershipRecord> = None;
    let mut last = zone.clone();
    for line in block.lines() {
        if let Some(comment) = line.strip_prefix("; ") {
            mark = Owner::read(Some(comment), owner).mark().cloned();
            continue;
        }
        // Outside of the block it would inherit another name.
        let named = line.starts_with([' ', '\t']).then(|| format!("{last}.{line}"));
        let line = named.as_deref().unwrap_or(line);
        let record = read_line(line, zone);
        if let Some(record) = &record {
            last = record.name.clone();
        }
        match record.as_ref().map(|record| (record, record.record_type())) {
            Some((_, Some(kind))) => {
                if let Some(record) = record {
                    found.entry((record.name.clone(), kind)).or_default().push((record, mark.clone()));
                }
            }
            _ if line.split_once(char::is_whitespace).is_none() => {}
            _ => {
                strays.push_str(line);
                strays.push('\n');
            }
        }
    }
    let mut ours = Ours::new();
    for ((name, kind), records) in found {
        if let Some(set) = our_set(kind, &records) {
            ours.entry(name).or_default().insert(kind, set);
        }
    }
    (ours, strays)
}

fn read_line(line: &str, zone: &DnsName) -> Option<Record> {
    let statements = scan::statements(line).ok()?;
    let [statement] = statements.as_slice() else { return None };
    let mut reader = Reader::new(zone, Path::new(""), &|_| Err("not in our block".to_owned()));
    reader.read(statement);
    let record = reader.records.pop().filter(|_| reader.unreadable.is_empty() && reader.serial.is_err())?;
    record.name.is_within(zone).then_some(record)
}

fn our_set(kind: RecordType, records: &[Marked]) -> Option<OurSet> {
    let (first, mark) = records.first()?;
    let data = data(kind, records.iter().map(|(record, _)| record))?;
    let uniform = records.iter().all(|(record, other)| record.ttl == first.ttl && other == mark);
    // A set that is not as we write it has no mark, and so is written again.
    let mark = mark.clone().filter(|_| uniform && data.count() == records.len());
    Some(OurSet { ttl: first.ttl, data, mark })
}

/// The values of records of one type; `None` when they do not make a set.
fn data<'a>(kind: RecordType, records: impl Iterator<Item = &'a Record>) -> Option<RecordData> {
    let mut records = records.peekable();
    match kind {
        RecordType::A => NonEmpty::new(records.filter_map(Record::v4)).map(RecordData::A),
        RecordType::Aaaa => NonEmpty::new(records.filter_map(Record::v6)).map(RecordData::Aaaa),
        RecordType::Cname => records.peek()?.target().map(RecordData::Cname),
    }
}

fn foreign_sets(records: &[Record]) -> Vec<(DnsName, ObservedSet)> {
    let mut found: BTreeMap<(&DnsName, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        found.entry((&record.name, record.kind.as_str())).or_default().push(record);
    }
    let set = |((name, kind), records): ((&DnsName, &str), Vec<&Record>)| {
        let single = records.len() == 1 || kind != "CNAME";
        let known = kind.parse().ok().filter(|_| single).and_then(|kind| data(kind, records.iter().copied()));
        let content = known.map_or_else(|| Content::other(kind), Content::Known);
        let ttl = records.first().map_or(Ttl::DEFAULT, |record| record.ttl);
        (name.clone(), ObservedSet { ttl, content, claim: Owner::Foreign, version: Version::default() })
    };
    found.into_iter().map(set).collect()
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
