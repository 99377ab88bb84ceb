//! Reads the keys of one section, and notes what is wrong with them.

use std::fmt::Display;

use fleetdns_core::text::is_blank;

use super::fault::{Fault, Place};
use super::raw::{Raw, RawValue, Section};
use super::schema::title;

/// Empty is not set: whoever wrote it may have meant either.
pub(super) const EMPTY: &str = "is empty; give it a value or leave the key out";

/// A section under the reader's eye; it may not be there.
pub(super) struct Reader<'a> {
    section: Option<&'a Section>,
    title: String,
    at: Place,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// The section of a kind that stands once.
    pub(super) fn new(raw: &'a Raw, kind: &str, file: &str, faults: &'a mut Vec<Fault>) -> Self {
        let section = raw.section(kind);
        let at = section.map_or_else(|| Place::whole(file), |section| section.at.clone());
        Self { section, title: title(kind, None), at, faults }
    }

    /// A section that is there.
    pub(super) fn of(section: &'a Section, faults: &'a mut Vec<Fault>) -> Self {
        Self { section: Some(section), title: section.title(), at: section.at.clone(), faults }
    }

    /// What was written, when it is not empty.
    pub(super) fn raw(&mut self, key: &str) -> Option<&'a RawValue> {
        let value = self.section?.values.get(key)?;
        if is_blank(&value.text) {
            self.fault(key, EMPTY);
            return None;
        }
        Some(value)
    }

    /// The text of a value.
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        self.raw(key).map(|value| value.text.as_str())
    }

    /// Whether the key is given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.section.is_some_and(|section| section.values.contains_key(key))
    }

    /// Notes that something is wrong with a key that is given, or with the section as a whole.
    pub(super) fn fault(&mut self, key: &str, problem: impl Into<String>) {
        let value = self.section.and_then(|section| section.values.get(key));
        let at = value.map_or(&self.at, |value| &value.at);
        self.faults.push(Fault::new(at, &self.title, key, problem));
    }

    /// Notes that a key is not given.
    pub(super) fn missing(&mut self, key: &str, example: &str) {
        self.fault(key, format!("is missing; for example {key} = {example}"));
    }

    /// A value that is read by a function, with words for what would be right.
    pub(super) fn parse<T>(
        &mut self,
        key: &str,
        right: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key)?;
        let value = read(text);
        if value.is_none() {
            self.wrong(key, text, right);
        }
        value
    }

    /// A value whose type says itself what is wrong.
    pub(super) fn typed<T: std::str::FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        match self.text(key)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, error.to_string());
                None
            }
        }
    }

    /// The items of a list that can be read; each that cannot is a fault of its own.
    pub(super) fn list<T>(&mut self, key: &str, right: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let mut values = Vec::new();
        for item in items(self.text(key).unwrap_or_default()) {
            match read(item) {
                Some(value) => values.push(value),
                None => self.wrong(key, item, right),
            }
        }
        values
    }

    fn wrong(&mut self, key: &str, text: &str, right: &str) {
        let hint = if has_comment(text) { "; a comment is a line of its own" } else { "" };
        self.fault(key, format!("'{text}' is not {right}{hint}"));
    }
}

/// The parts of a comma-separated list.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Whether other INI dialects would see a comment in the value.
pub(super) fn has_comment(text: &str) -> bool {
    [" #", " ;", "\t#", "\t;"].iter().any(|mark| text.contains(mark))
}
