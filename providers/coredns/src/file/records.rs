//! Statements become records: owner names, TTLs and types as RFC 1035 §5.1 has them, values as far as needed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use fleetdns_core::redact::backend_text;
use fleetdns_core::{DnsName, RecordType, Ttl, Unreadable, Unwritable};

use super::scan::{self, Statement, Unclosed, Word};
use super::{generate, plain};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: DnsName,
    pub(crate) ttl: Ttl,
    /// In capitals.
    pub(crate) kind: String,
    /// The only word of its data, made absolute when it is a name; empty otherwise.
    value: String,
}

impl Record {
    /// The type, when it is one that we write and the value is of that type.
    pub(crate) fn record_type(&self) -> Option<RecordType> {
        let kind = self.kind.parse().ok()?;
        let good = match kind {
            RecordType::A => self.v4().is_some(),
            RecordType::Aaaa => self.v6().is_some(),
            RecordType::Cname => self.target().is_some(),
        };
        good.then_some(kind)
    }

    pub(crate) fn v4(&self) -> Option<Ipv4Addr> {
        self.value.parse().ok()
    }

    pub(crate) fn v6(&self) -> Option<Ipv6Addr> {
        self.value.parse().ok()
    }

    pub(crate) fn target(&self) -> Option<DnsName> {
        self.value.parse().ok()
    }
}

/// Why there is no serial to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSerial {
    /// The zone has no SOA record.
    NoSoa,
    /// Its SOA record stands in this included file.
    Included(PathBuf),
    /// It is not written as a number.
    Unreadable,
}

/// Returns the text of a file that a zone file includes, or why there is none.
pub(crate) type Source<'s> = &'s dyn Fn(&Path) -> Result<String, String>;

/// Most files that one zone file includes, each other included.
const MOST_FILES: usize = 100;
/// Most records that all `$GENERATE` of a zone file make.
const MOST_GENERATED: usize = 65_536;

/// Reads statements in order.
pub(crate) struct Reader<'z> {
    zone: &'z DnsName,
    source: Source<'z>,
    /// The file that is read at the moment; included files are looked for beside it.
    file: PathBuf,
    /// How deep in included files we are, and how many there were.
    depth: usize,
    files: usize,
    generated: usize,
    /// Names that may be there and cannot be known.
    pub(crate) unwritable: Vec<Unwritable>,
    /// Absolute, without the final dot.
    origin: String,
    /// The name of the record before, absolute.
    last: Option<String>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    pub(crate) records: Vec<Record>,
    /// Serial of the zone's SOA and where it stands.
    pub(crate) serial: Result<(u32, Range<usize>), NoSerial>,
    pub(crate) unreadable: Unreadable,
}

impl<'z> Reader<'z> {
    pub(crate) fn new(zone: &'z DnsName, file: &Path, source: Source<'z>) -> Self {
        Self {
            zone,
            source,
            file: file.to_owned(),
            depth: 0,
            files: 0,
            generated: 0,
            unwritable: Vec::new(),
            origin: zone.to_string(),
            last: None,
            default_ttl: None,
            last_ttl: None,
            records: Vec::new(),
            serial: Err(NoSerial::NoSoa),
            unreadable: Unreadable::default(),
        }
    }

    pub(crate) fn read(&mut self, statement: &Statement<'_>) {
        let Some(first) = statement.words.first() else { return };
        if first.text.starts_with('$') && !statement.inherits && !first.quoted {
            self.directive(statement, first.text);
            return;
        }
        let mut words = statement.words.as_slice();
        if !statement.inherits {
            self.last = Some(self.absolute(first.text));
            words = words.get(1..).unwrap_or_default();
        }
        if let Err(problem) = self.record(words) {
            self.unreadable.push(&format!("line {}: {problem}", statement.line));
        }
    }

    fn directive(&mut self, statement: &Statement<'_>, directive: &str) {
        let argument = statement.words.get(1).map(|word| word.text);
        match (directive.to_ascii_uppercase().as_str(), argument) {
            ("$ORIGIN", Some(name)) => self.origin = self.absolute(name),
            ("$TTL", Some(text)) if seconds(text).is_some() => self.default_ttl = seconds(text),
            ("$INCLUDE", Some(file)) => self.include(statement, file),
            ("$GENERATE", _) => {
                if let Err(problem) = self.generate(statement) {
                    let made = statement.words.get(2).map_or("", |word| generate::fixed_part(word.text));
                    let origin = if made.is_empty() { self.origin.clone() } else { self.absolute(made) };
                    self.unknown(statement, &origin, &problem);
                }
            }
            (other, _) => {
                let problem = format!("{other} is not known");
                self.unknown(statement, &self.zone.to_string(), &problem);
            }
        }
    }

    /// Names at and below `origin` may be there: nothing is written beside what cannot be seen.
    fn unknown(&mut self, statement: &Statement<'_>, origin: &str, problem: &str) {
        let reason = backend_text(&format!("line {}: {problem}", statement.line), &[]);
        let name = origin.parse().ok().filter(|name: &DnsName| name.is_within(self.zone));
        self.unwritable.push(Unwritable {
            name: name.unwrap_or_else(|| self.zone.clone()),
            subtree: true,
            reason: format!("{reason}; the zone file may have the name there").into(),
        });
        self.unreadable.push(&reason);
    }

    /// The records of another file; name, origin and TTL of this one go on behind it.
    fn include(&mut self, statement: &Statement<'_>, file: &str) {
        let origin = statement.words.get(2).map(|word| self.absolute(word.text));
        let path = self.file.parent().unwrap_or(Path::new("")).join(file);
        self.files += 1;
        let text = match (self.files <= MOST_FILES, self.depth < MOST_FILES) {
            (true, true) => (self.source)(&path),
            _ => Err(format!("more than {MOST_FILES} files are included")),
        };
        let statements = text.as_ref().map_err(String::clone).and_then(|text| {
            scan::statements(text).map_err(|Unclosed { line }| format!("line {line} of it is not closed"))
        });
        let origin = origin.unwrap_or_else(|| self.origin.clone());
        let statements = match statements {
            Ok(statements) => statements,
            Err(why) => {
                let problem = format!("$INCLUDE {} cannot be read: {why}", path.display());
                return self.unknown(statement, &origin, &problem);
            }
        };
        let before = (std::mem::replace(&mut self.origin, origin), std::mem::replace(&mut self.file, path));
        let kept = (self.last.clone(), self.default_ttl, self.last_ttl);
        self.depth += 1;
        for statement in &statements {
            self.read(statement);
        }
        self.depth -= 1;
        (self.origin, self.file) = before;
        (self.last, self.default_ttl, self.last_ttl) = kept;
    }

    /// The records of a `$GENERATE`, each as if it stood there.
    fn generate(&mut self, statement: &Statement<'_>) -> Result<(), String> {
        let lines = generate::lines(statement)?;
        if self.generated.saturating_add(lines.len()) > MOST_GENERATED {
            return Err(format!("all $GENERATE together make more than {MOST_GENERATED} records"));
        }
        self.generated += lines.len();
        self.depth += 1;
        for line in &lines {
            let Ok(statements) = scan::statements(line) else { continue };
            for made in &statements {
                self.read(&Statement { line: statement.line, ..made.clone() });
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Without the final dot and without escapes that need not be; the empty text is the root.
    fn absolute(&self, text: &str) -> String {
        let text = &*plain::name(text);
        match text.strip_suffix('.') {
            _ if text == "@" => self.origin.clone(),
            Some(absolute) => absolute.to_owned(),
            None if self.origin.is_empty() => text.to_owned(),
            None => format!("{text}.{}", self.origin),
        }
    }

    /// The serial in the data of an SOA record.
    fn serial(&self, data: &[Word<'_>]) -> Result<(u32, Range<usize>), NoSerial> {
        if self.depth > 0 {
            return Err(NoSerial::Included(self.file.clone()));
        }
        match data {
            // In the generic form (RFC 3597 §5) the words are other parts of it.
            [first, _, word, ..] if first.text != "\\#" => {
                let serial = word.text.parse().map_err(|_| NoSerial::Unreadable)?;
                Ok((serial, word.at.clone()))
            }
            _ => Err(NoSerial::Unreadable),
        }
    }

    fn record(&mut self, mut words: &[Word<'_>]) -> Result<(), String> {
        let mut ttl = None;
        let kind = loop {
            let Some((word, rest)) = words.split_first() else {
                return Err("a record without a type".to_owned());
            };
            words = rest;
            let upper = word.text.to_ascii_uppercase();
            if let Some(seconds) = seconds(word.text) {
                ttl = Some(seconds);
            } else if !plain::is_class(&upper) {
                break plain::kind(upper);
            }
        };
        self.last_ttl = ttl.or(self.last_ttl);
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).unwrap_or(3600);
        let last = self.last.as_deref().ok_or("a record before which no name stands")?;
        let name: DnsName =
            last.parse().map_err(|error| format!("'{last}' is not a name we know: {error}"))?;
        if kind == "SOA" && name == *self.zone && self.serial.is_err() {
            self.serial = self.serial(words);
        }
        let value = match words {
            [word] if kind == "CNAME" || kind == "NS" => self.absolute(word.text),
            [word] => word.text.to_owned(),
            _ => String::new(),
        };
        let ttl = Ttl::new(ttl).unwrap_or(Ttl::MAX);
        self.records.push(Record { name, ttl, kind, value });
        Ok(())
    }
}

/// `3600`, `1h`, `1h30m`: seconds, or numbers with the units of BIND.
fn seconds(text: &str) -> Option<u32> {
    let mut total = 0_u32;
    let mut number: Option<u32> = None;
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match character.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(rest) => total.checked_add(rest),
        None => (!text.is_empty()).then_some(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::scan::statements;

    #[test]
    fn a_ttl_may_have_units() {
        for (text, expected) in [
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1W2d3H4m5s", Some(788_645)),
            ("1h30", Some(3630)),
            ("", None),
            ("h", None),
            ("A", None),
            ("1x", None),
            ("99999999999", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn names_and_ttls_are_inherited() {
        let zone: DnsName = "example.com".parse().unwrap();
        let text = "$TTL 5m\n@ SOA ns hostmaster (7 1 1 1 1)\n  NS ns.example.net.\nWWW IN 60 A 10.0.0.1\n\t AAAA ::1\n\
            $ORIGIN eu\n60 IN CNAME www.example.com.\nx CNAME @\n$INCLUDE other sub\n$INCLUDE missing far.eu\n!bad A 10.0.0.1\ny TYPE65534 \\# 0\nz 5\n";
        let source = |path: &Path| match path.to_str() {
            Some("/etc/other") => Ok("deep A 10.0.0.9\n@ SOA a b 9 9 9 9 9\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        let mut reader = Reader::new(&zone, Path::new("/etc/db"), &source);
        for statement in statements(text).unwrap() {
            reader.read(&statement);
        }
        let records: Vec<String> = reader
            .records
            .iter()
            .map(|record| format!("{} {} {} {}", record.name, record.ttl, record.kind, record.value))
            .collect();
        assert_eq!(
            records,
            [
                "example.com 300 SOA ",
                "example.com 300 NS ns.example.net",
                "www.example.com 60 A 10.0.0.1",
                "www.example.com 300 AAAA ::1",
                "60.eu.example.com 300 CNAME www.example.com",
                "x.eu.example.com 300 CNAME eu.example.com",
                "deep.sub.eu.example.com 300 A 10.0.0.9",
                "sub.eu.example.com 300 SOA ",
                "y.eu.example.com 300 TYPE65534 ",
            ]
        );
        assert_eq!(reader.serial.as_ref().map(|(serial, _)| *serial), Ok(7));
        let unreadable = reader.unreadable.sentences();
        assert_eq!(unreadable.len(), 3, "{unreadable:?}");
        assert!(unreadable[0].starts_with("line 10: $INCLUDE /etc/missing cannot be read: no such file"));
        let unknown: Vec<_> = reader.unwritable.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(unknown, ["far.eu.eu.example.com"]);
    }
}
