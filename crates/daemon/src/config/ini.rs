//! The INI dialect of `dns.conf`, strict, as a format of the `config` crate.
//!
//! A line is blank, a comment (`#` or `;` as its first character that is not a space), a section `[kind]` or
//! `[kind "label"]`, or `key = value`. A value is what stands between the `=` and the end of the line, without the
//! spaces around it: no quotes, no escapes, no comment behind it, no continuation on the next line.
//!
//! Invariant: a value is never changed, so that a secret reads as it was written, whatever characters it has.
//! Invariant: no value is part of a fault or of a Debug text.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::error::Error;
use std::fmt;

use config::{FileStoredFormat, Format, Map, Value, ValueKind};

use super::fault::{Fault, Place};
use super::schema::{HOSTNAMES, title};

/// Under this key of the root stand the sections. One key, because a path of the `config` crate splits at dots, which
/// sections have in their labels.
pub(super) const ROOT: &str = "sections";
/// In each section, under this key, stands its header.
pub(super) const HEADER: &str = "";

/// How a name of a section or key that was written is spelled inside: `resourceGroup` is `resource-group`.
pub(super) type Spelling = fn(&str) -> String;

/// The format.
#[derive(Debug, Clone)]
pub(super) struct Ini {
    /// Name of the file in faults and origins.
    pub(super) file: String,
    /// Spelling of names.
    pub(super) spelling: Spelling,
}

/// A text that breaks the rules, with what of it could be read, so that the rest can be checked too.
pub(super) struct Broken {
    pub(super) faults: Vec<Fault>,
    pub(super) readable: Map<String, Value>,
}

impl Format for Ini {
    fn parse(
        &self,
        uri: Option<&String>,
        text: &str,
    ) -> Result<Map<String, Value>, Box<dyn Error + Send + Sync>> {
        let file = uri.unwrap_or(&self.file);
        let mut parser = Parser {
            file,
            spelling: self.spelling,
            spelled: HashMap::new(),
            sections: Vec::new(),
            titles: HashMap::new(),
            current: 0,
            faults: Vec::new(),
        };
        for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
            parser.line(line.strip_suffix('\r').unwrap_or(line), index + 1);
        }
        let faults = std::mem::take(&mut parser.faults);
        let readable = parser.into_map();
        if faults.is_empty() { Ok(readable) } else { Err(Box::new(Broken { faults, readable })) }
    }
}

impl FileStoredFormat for Ini {
    fn file_extensions(&self) -> &'static [&'static str] {
        &["conf", "ini"]
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.faults).finish()
    }
}

impl Error for Broken {}

struct Parser<'a> {
    file: &'a str,
    spelling: Spelling,
    /// By what was typed.
    spelled: HashMap<String, String>,
    sections: Vec<Section>,
    /// Where a section is, by its title.
    titles: HashMap<String, usize>,
    /// The section that keys go to: the last one whose header was read.
    current: usize,
    faults: Vec<Fault>,
}

struct Section {
    title: String,
    line: usize,
    /// By key: of a fault in line 300,000 too, the line before is found at once.
    entries: HashMap<String, Entry>,
}

struct Entry {
    /// The key as it was typed.
    typed: String,
    value: String,
    line: usize,
}

const BLANK: [char; 2] = [' ', '\t'];

impl Parser<'_> {
    fn fault(&mut self, line: usize, key: &str, problem: impl Into<String>) {
        let section =
            self.sections.get(self.current).map_or_else(String::new, |section| title(&section.title, None));
        self.faults.push(Fault::new(&Place::line(self.file, line), &section, key, problem));
    }

    fn line(&mut self, text: &str, line: usize) {
        let cleaned = text.replace('\0', "");
        if cleaned.len() < text.len() {
            self.fault(line, "", "has a NUL character, which no value can have; take it out");
        }
        let text = cleaned.trim_matches(BLANK);
        match text.chars().next() {
            None | Some('#' | ';') => {}
            Some('[') => self.header(text, line),
            Some(_) => self.entry(text, line),
        }
    }

    fn header(&mut self, text: &str, line: usize) {
        let header = Header::read(text);
        let title = match &header.label {
            Some(label) => format!("{} \"{label}\"", (self.spelling)(&header.kind)),
            None => (self.spelling)(&header.kind),
        };
        // The keys of a repeated one join the first one's, so that nothing seems to be missing.
        let earlier = self.titles.get(&title).copied();
        self.current = earlier.unwrap_or(self.sections.len());
        let repeated = earlier.and_then(|index| self.sections.get(index)).map(|section| section.line);
        if earlier.is_none() {
            self.titles.insert(title.clone(), self.current);
            self.sections.push(Section { title, line, entries: HashMap::new() });
        }
        if let Some(problem) = header.problem {
            self.fault(line, "", problem);
        }
        if let Some(first) = repeated {
            self.fault(line, "", format!("stands in line {first} already; put both together"));
        }
    }

    fn entry(&mut self, text: &str, line: usize) {
        // What stands here may be a piece of a secret: it is not repeated.
        let Some((key, value)) = text.split_once('=') else {
            return self.fault(
                line,
                "",
                "is neither 'key = value' nor a section nor a comment; a value ends with its line, a comment is a \
                 line that begins with '#' or ';'",
            );
        };
        let key = key.trim_end_matches(BLANK);
        let free = self.sections.get(self.current).is_some_and(|section| section.title == HOSTNAMES.kind);
        if !(is_name(key) || free && key == "*") {
            let problem = "what stands before '=' is not a key; a key has letters, digits, '-' and '_'";
            return self.fault(line, "", problem);
        }
        let (typed, key) = (key, if free { key.to_owned() } else { self.spelled(key) });
        let Some(section) = self.sections.get_mut(self.current) else {
            let problem = "stands before any section; put it under one, such as [Global]";
            return self.fault(line, shown(typed), problem);
        };
        let value = value.trim_start_matches(BLANK).to_owned();
        match section.entries.entry(key) {
            MapEntry::Vacant(place) => {
                place.insert(Entry { typed: typed.to_owned(), value, line });
            }
            MapEntry::Occupied(first) => {
                let problem = format!("stands in line {} already; leave one of them out", first.get().line);
                self.fault(line, shown(typed), problem);
            }
        }
    }

    /// The spelling inside of a key; most keys are typed more than once.
    fn spelled(&mut self, typed: &str) -> String {
        if let Some(known) = self.spelled.get(typed) {
            return known.clone();
        }
        let key = (self.spelling)(typed);
        self.spelled.insert(typed.to_owned(), key.clone());
        key
    }

    fn into_map(self) -> Map<String, Value> {
        let file = self.file;
        let value = |text: String, at: &Place| Value::new(Some(&at.origin()), ValueKind::String(text));
        let of_key =
            |Entry { typed, value: text, line }| value(text, &Place::line(file, line).of_key(&typed));
        let table = |section: Section| {
            let mut table: Map<String, Value> =
                section.entries.into_iter().map(|(key, entry)| (key, of_key(entry))).collect();
            table.insert(HEADER.to_owned(), value(section.title.clone(), &Place::line(file, section.line)));
            (section.title, Value::new(None, ValueKind::Table(table)))
        };
        let sections: Map<String, Value> = self.sections.into_iter().map(table).collect();
        Map::from_iter([(ROOT.to_owned(), Value::new(None, ValueKind::Table(sections)))])
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A key as far as it can be shown: a longer one may be a piece of a secret.
pub(super) fn shown(key: &str) -> &str {
    if key.len() <= 24 { key } else { "" }
}

/// The header of a section.
pub(super) struct Header {
    pub(super) kind: String,
    pub(super) label: Option<String>,
    problem: Option<&'static str>,
}

impl Header {
    /// Reads as much as there is, so that the keys that follow find their section even if its header has a fault.
    pub(super) fn read(text: &str) -> Self {
        let rest = text.trim_start_matches('[').trim_start_matches(BLANK);
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
        let (kind, rest) = rest.split_at(end);
        let (label, rest, problem) = Self::label(rest.trim_start_matches(BLANK));
        let rest = rest.trim_start_matches(BLANK);
        let end = match rest.strip_prefix(']') {
            _ if kind.is_empty() => Some("the section has no name; write [fleet] or [zone \"example.com\"]"),
            None => Some("the section has no ']' at its end"),
            Some(rest) if !rest.trim_matches(BLANK).is_empty() => {
                Some("something follows the section's ']'; a comment is a line of its own")
            }
            Some(_) => None,
        };
        Self { kind: kind.to_owned(), label, problem: problem.or(end) }
    }

    fn label(rest: &str) -> (Option<String>, &str, Option<&'static str>) {
        if let Some(rest) = rest.strip_prefix('"') {
            return match rest.split_once('"') {
                Some(("", rest)) => {
                    (None, rest, Some("the section's name in quotes is empty; write [zone \"example.com\"]"))
                }
                Some((label, rest)) => (Some(label.to_owned()), rest, None),
                None => (
                    Some(rest.trim_end_matches(']').to_owned()),
                    "]",
                    Some("the section's name has no closing quote; write [zone \"example.com\"]"),
                ),
            };
        }
        let end = rest.find(']').unwrap_or(rest.len());
        let (label, rest) = rest.split_at(end);
        let label = label.trim_start_matches('.').trim_matches(BLANK);
        if label.is_empty() {
            return (None, rest, None);
        }
        let problem =
            "the section's name is not in quotes, as in [zone \"example.com\"] and [cluster \"eastus\"]";
        (Some(label.to_owned()), rest, Some(problem))
    }
}

#[cfg(test)]
mod tests;
