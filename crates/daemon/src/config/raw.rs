//! What was written: sections, keys and values, each with its place, nothing understood yet.

use std::collections::BTreeMap;
use std::fmt;

use config::{Map, Source, Value, ValueKind};

use super::fault::{Fault, Place};
use super::ini::{Broken, HEADER, Ini, ROOT, shown};
use super::schema::{SECTIONS, spelling, title};
use crate::suggestion::suggestion;

/// Environment variables that begin so are read: `FLEETDNS__SECTION__KEY`.
pub(super) const PREFIX: &str = "FLEETDNS__";

/// A configuration as it was written.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// In the order of the file.
    pub(super) sections: Vec<Section>,
}

/// A section as it was written.
#[derive(Debug, Clone)]
pub struct Section {
    /// Kind, in its spelling inside.
    pub(super) kind: String,
    /// What stands in quotes.
    pub(super) label: Option<String>,
    /// Its header.
    pub(super) at: Place,
    /// Values by key, in its spelling inside.
    pub(super) values: BTreeMap<String, RawValue>,
}

/// A value as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct RawValue {
    pub(super) text: String,
    pub(super) at: Place,
}

/// Invariant: the text, which may be a secret, is never printed.
impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.at)
    }
}

impl Section {
    pub(super) fn new(kind: &str, label: Option<&str>, at: Place) -> Self {
        Self { kind: kind.to_owned(), label: label.map(str::to_owned), at, values: BTreeMap::new() }
    }

    /// What stands between the brackets.
    pub(super) fn title(&self) -> String {
        title(&self.kind, self.label.as_deref())
    }
}

impl Raw {
    /// Reads the text of a file, with what the environment says over it. What has a fault is left out.
    pub fn read(file: &str, bytes: &[u8], variables: &BTreeMap<String, String>) -> (Self, Vec<Fault>) {
        let (text, mut faults) = decode(file, bytes);
        let ini = Ini { file: file.to_owned(), spelling };
        let layer = match config::File::from_str(&text, ini).collect() {
            Ok(map) => map,
            Err(config::ConfigError::FileParse { cause, .. }) if cause.is::<Broken>() => {
                cause.downcast::<Broken>().map_or_else(
                    |_| Map::new(),
                    |broken| {
                        faults.extend(broken.faults);
                        broken.readable
                    },
                )
            }
            Err(error) => {
                faults.push(Fault::new(&Place::whole(file), "", "", error.to_string()));
                Map::new()
            }
        };
        let environment = environment(variables, &mut faults);
        let builder = config::Config::builder().add_source(Layer(layer)).add_source(Layer(environment));
        let sections = match builder.build() {
            Ok(merged) => sections(merged.cache),
            Err(error) => {
                faults.push(Fault::new(&Place::whole(file), "", "", error.to_string()));
                Vec::new()
            }
        };
        (Self { sections }, faults)
    }

    /// The section of a kind that stands once.
    pub(super) fn section(&self, kind: &str) -> Option<&Section> {
        self.of_kind(kind).find(|section| section.label.is_none())
    }

    /// All sections of a kind.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }
}

/// UTF-8, with a fault for each line that is not.
fn decode(file: &str, bytes: &[u8]) -> (String, Vec<Fault>) {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let problem = "the file is in UTF-16; save it as UTF-8";
        return (String::new(), vec![Fault::new(&Place::whole(file), "", "", problem)]);
    }
    let mut faults = Vec::new();
    let mut line = 1;
    for chunk in bytes.utf8_chunks() {
        line += chunk.valid().matches('\n').count();
        if !chunk.invalid().is_empty() {
            let problem = "has bytes that are not UTF-8; save the file as UTF-8";
            faults.push(Fault::new(&Place::line(file, line), "", "", problem));
        }
    }
    faults.dedup();
    (String::from_utf8_lossy(bytes).into_owned(), faults)
}

/// A layer of the `config` crate that is already read.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn environment(variables: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Map<String, Value> {
    let mut layer: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (variable, text) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let at = Place::whole(variable);
        let mut fault = |problem: String| faults.push(Fault::new(&at, "", "", problem));
        let Some((section, key)) = rest.split_once("__") else {
            fault("does not name a section and a key; FLEETDNS__SECTION__KEY would".to_owned());
            continue;
        };
        let kind = spelling(section);
        let unnamed: Vec<&str> = SECTIONS.iter().filter(|s| s.label.is_none()).map(|s| s.kind).collect();
        if !unnamed.contains(&kind.as_str()) {
            let near = suggestion(&kind, unnamed.iter().copied());
            let known = unnamed.join(", ");
            fault(format!("sets nothing: a variable can set keys of the sections {known}{near}"));
            continue;
        }
        if text.contains(char::REPLACEMENT_CHARACTER) {
            fault("is not UTF-8".to_owned());
        }
        let key = spelling(key);
        let value = Value::new(Some(&at.to_string()), ValueKind::String(text.clone()));
        if layer.entry(kind).or_default().insert(key.clone(), value).is_some() {
            fault(format!("sets '{}' once more; leave one of the variables out", shown(&key)));
        }
    }
    let table = |table: Map<String, Value>| Value::new(None, ValueKind::Table(table));
    let sections = layer.into_iter().map(|(kind, keys)| (kind, table(keys))).collect();
    Map::from_iter([(ROOT.to_owned(), table(sections))])
}

fn sections(root: Value) -> Vec<Section> {
    let mut sections: Vec<Section> = table(root)
        .remove(ROOT)
        .map(table)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| {
            let (kind, label) = match name.split_once(" \"") {
                Some((kind, label)) => (kind, Some(label.strip_suffix('"').unwrap_or(label))),
                None => (name.as_str(), None),
            };
            let mut section = Section::new(kind, label, Place::whole("the environment"));
            for (key, value) in table(value) {
                let at = Place::parse(value.origin().unwrap_or_default());
                if key == HEADER {
                    section.at = at;
                } else if let ValueKind::String(text) = value.kind {
                    section.values.insert(key, RawValue { text, at });
                }
            }
            section
        })
        .collect();
    sections.sort_by(|one, two| one.at.cmp(&two.at));
    sections
}

fn table(value: Value) -> Map<String, Value> {
    match value.kind {
        ValueKind::Table(map) => map,
        _ => Map::new(),
    }
}
