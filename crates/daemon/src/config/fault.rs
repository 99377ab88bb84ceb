//! What is wrong with a configuration, and where.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use fleetdns_core::text::printable_within;

use super::schema::spelling;

/// Characters of a section and of a problem that are shown.
const LONGEST: usize = 4_000;

/// Where something was written: a line of a file, a whole file, a flag, or an environment variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    source: Arc<str>,
    line: Option<usize>,
    /// The key as it was typed there, such as `resourceGroup`.
    typed: Option<Arc<str>>,
}

/// Between a place and a typed key in the text of an origin; no key has it.
const TYPED: char = '\0';

impl Place {
    /// A line of a file, counted from 1.
    pub fn line(file: &str, line: usize) -> Self {
        Self { source: file.into(), line: Some(line), typed: None }
    }

    /// A file as a whole, a flag, or an environment variable.
    pub fn whole(source: &str) -> Self {
        Self { source: source.into(), line: None, typed: None }
    }

    /// The same place, of a key that was typed so.
    pub(super) fn of_key(self, typed: &str) -> Self {
        Self { typed: Some(typed.into()), ..self }
    }

    /// A text for [`Self::parse`].
    pub(super) fn origin(&self) -> String {
        self.typed.as_ref().map_or_else(|| self.to_string(), |typed| format!("{self}{TYPED}{typed}"))
    }

    /// Back from the text that [`Self::origin`] returns.
    pub(super) fn parse(text: &str) -> Self {
        let (place, typed) = text.split_once(TYPED).map_or((text, None), |(at, typed)| (at, Some(typed)));
        let parts = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let at = parts.map_or_else(|| Self::whole(place), |(file, line)| Self::line(file, line));
        typed.map_or_else(|| at.clone(), |typed| at.clone().of_key(typed))
    }

    /// Whether it stands in the file, and not in a flag or a variable.
    pub(super) const fn is_line(&self) -> bool {
        self.line.is_some()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing that is wrong: `FILE:LINE: [section] key: what is wrong, what would be right`.
///
/// Invariant: no secret value is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was written, or where it is missing.
    pub at: Place,
    /// Section without brackets; empty where there is none.
    pub section: String,
    /// Key as it was typed, or in kebab case where it is missing; empty where the section as a whole is meant.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(at: &Place, section: &str, key: &str, problem: impl Into<String>) -> Self {
        let typed = at.typed.as_deref().filter(|typed| spelling(typed) == key);
        let key = typed.unwrap_or(key).to_owned();
        let shown = |text: &str| printable_within(text, LONGEST).into_owned();
        Self {
            at: at.clone(),
            section: shown(section),
            key,
            problem: shown(&without_secrets(&problem.into())),
        }
    }
}

/// What looks like a secret is one that was written in the place of another value, most likely.
fn without_secrets(problem: &str) -> String {
    let apart = |c: char| c.is_whitespace() || "'\"`,;:@()[]{}<>".contains(c);
    let mut shown = String::with_capacity(problem.len());
    for word in problem.split_inclusive(apart) {
        let end = word.trim_end_matches(apart);
        let hidden = is_opaque(end);
        shown.push_str(if hidden { HIDDEN } else { end });
        shown.push_str(word.get(end.len()..).unwrap_or_default());
    }
    shown
}

/// What stands in the place of what looks like a secret.
const HIDDEN: &str = "[secret]";
/// Characters of the shortest that is generated.
const SHORTEST: usize = 20;

/// Whether a word looks generated: long, of small letters, capitals and digits. A path does not.
fn is_opaque(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    word.len() >= SHORTEST
        && !word.starts_with(['/', '.', '~', '-'])
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.at)?;
        if !self.section.is_empty() {
            write!(f, " [{}]", self.section)?;
        }
        match (self.section.is_empty(), self.key.is_empty()) {
            (true, true) => write!(f, " {}", self.problem),
            (_, false) => write!(f, " {}: {}", self.key, self.problem),
            (false, true) => write!(f, ": {}", self.problem),
        }
    }
}

impl Error for Fault {}

/// By line, what has none last; each fault once.
pub(crate) fn sort(faults: &mut Vec<Fault>) {
    faults.sort_by_cached_key(|fault| {
        let line = fault.at.line.unwrap_or(usize::MAX);
        (line, fault.at.clone(), fault.section.clone(), fault.key.clone(), fault.problem.clone())
    });
    faults.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_place_section_key_problem() {
        let line = Place::line("dns.conf", 7);
        assert_eq!(Place::parse(&line.to_string()), line);
        assert_eq!(Place::parse("C:\\dns.conf:7").to_string(), "C:\\dns.conf:7");
        assert_eq!(Place::parse("--dns-provider"), Place::whole("--dns-provider"));
        let typed = line.clone().of_key("fastInterval");
        assert_eq!(Place::parse(&typed.origin()), typed);
        let said = Fault::new(&typed, "probe", "fast-interval", "x").to_string();
        assert_eq!(said, "dns.conf:7: [probe] fastInterval: x");
        assert_eq!(Fault::new(&typed, "probe", "timeout", "x").to_string(), "dns.conf:7: [probe] timeout: x");
        assert_eq!(Fault::new(&line, "probe", "fall", "x").to_string(), "dns.conf:7: [probe] fall: x");
        assert_eq!(Fault::new(&line, "probe", "", "x").to_string(), "dns.conf:7: [probe]: x");
        assert_eq!(Fault::new(&line, "", "", "x").to_string(), "dns.conf:7: x");
    }

    #[test]
    fn a_fault_shows_nothing_that_a_terminal_would_act_on() {
        let fault =
            Fault::new(&Place::line("dns.conf", 7), "zone \"\u{202e}a\"", "ttl", "'\u{1b}[2J' is no TTL");
        let shown = r#"dns.conf:7: [zone "\u{202e}a"] ttl: '\u{1b}[2J' is no TTL"#;
        assert_eq!(fault.to_string(), shown);
    }
}
