//! Overrides: what an operator sets for a part of the fleet, whatever the probes say.

use std::fmt;
use std::str::FromStr;

use imbl::OrdMap;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::address::Address;
use crate::member_name::MemberName;
use crate::service::ServiceKey;
use crate::stamp;
use crate::text::printable;

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverrideKind {
    /// Out of DNS, as if it were dead, but at once. The last address of a name stays.
    Drain,
    /// In DNS, whatever its probes say.
    ForceIn,
    /// Out of DNS, even when nothing is left at a name.
    ForceOut,
}

impl OverrideKind {
    /// `drain`, `force-in` or `force-out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::ForceIn => "force-in",
            Self::ForceOut => "force-out",
        }
    }
}

impl fmt::Display for OverrideKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for OverrideKind {
    type Err = BadOverride;

    fn from_str(text: &str) -> Result<Self, BadOverride> {
        [Self::Drain, Self::ForceIn, Self::ForceOut]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| BadOverride::OverrideKind(text.to_owned()))
    }
}

/// What an override is about. The order is from the general to the specific, and the most specific override counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Everything that a member publishes: `cluster/NAME`.
    Cluster(MemberName),
    /// A Service in all members: `service/NAMESPACE/NAME`.
    Service(ServiceKey),
    /// A Service in one member: `service/NAMESPACE/NAME@CLUSTER`.
    ServiceIn(ServiceKey, MemberName),
    /// One address, whoever publishes it: `address/ADDRESS`.
    Address(Address),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster/{name}"),
            Self::Service(key) => write!(f, "service/{key}"),
            Self::ServiceIn(key, member) => write!(f, "service/{key}@{member}"),
            Self::Address(address) => write!(f, "address/{address}"),
        }
    }
}

impl FromStr for Subject {
    type Err = BadOverride;

    fn from_str(text: &str) -> Result<Self, BadOverride> {
        let bad = || BadOverride::Subject(text.to_owned());
        let (kind, rest) = text.split_once('/').ok_or_else(bad)?;
        match (kind, rest.split_once('@')) {
            ("cluster", _) => rest.parse().map(Self::Cluster).map_err(|_| bad()),
            ("address", _) => rest.parse().map(Self::Address).map_err(|_| bad()),
            ("service", None) => rest.parse().map(Self::Service).map_err(|_| bad()),
            ("service", Some((key, member))) => {
                Ok(Self::ServiceIn(key.parse().map_err(|_| bad())?, member.parse().map_err(|_| bad())?))
            }
            _ => Err(bad()),
        }
    }
}

/// An override, with who, when and why: one shape in the state file, the socket, the admin API and scenarios.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// What it is about.
    pub subject: Subject,
    /// What is set.
    pub kind: OverrideKind,
    /// Who set it, [`printable`].
    #[serde(default, deserialize_with = "read_printable", skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Why, in a person's words, [`printable`]; may be empty.
    #[serde(default, deserialize_with = "read_printable", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was set, in seconds of Unix time; RFC 3339 in text.
    #[serde(default, with = "stamp::text")]
    pub since: u64,
    /// When it ends, in the same way; `None` until it is taken back.
    #[serde(default, with = "stamp::optional_text", skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A state file, a zone and a cluster may hold any text.
fn read_printable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| printable(&text).into_owned())
}

impl Override {
    /// Whether it has ended at a time in seconds of Unix time.
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// `drain of cluster/east by ada, since 2026-11-23T18:12:00Z until 2026-11-23T20:12:00Z: new kernel`.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, kind, by, reason, since, until } = self;
        write!(f, "{kind} of {subject}")?;
        if !by.is_empty() {
            write!(f, " by {by}")?;
        }
        write!(f, ", since {}", stamp::seconds(*since))?;
        if let Some(until) = until {
            write!(f, " until {}", stamp::seconds(*until))?;
        }
        if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
    }
}

/// By their text.
macro_rules! serde_by_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

serde_by_text!(OverrideKind, Subject);

/// What cannot be read as an override.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadOverride {
    /// No known override.
    #[error("unknown '{0}'; expected one of drain, force-in, force-out")]
    OverrideKind(String),
    /// Nothing that an override can be about.
    #[error(
        "unknown subject '{0}'; expected one of cluster/NAME, service/NAMESPACE/NAME, service/NAMESPACE/NAME@CLUSTER, address/ADDRESS"
    )]
    Subject(String),
    /// Not the one-line form.
    #[error("'{0}' is no override in its one-line form")]
    Line(String),
}

/// Escaped where a space, `;` or `"` would be taken for something else.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b'%').add(b'"').add(b'\\').add(b',').add(b'=');

impl Override {
    /// The form in ownership records, `SUBJECT;KIND;SINCE;UNTIL;BY;REASON`: visible ASCII without spaces, times in
    /// RFC 3339. `UNTIL` may be empty.
    pub fn to_line(&self) -> String {
        let Self { subject, kind, by, reason, since, until } = self;
        let (since, until) = (stamp::seconds(*since), until.map(stamp::seconds).unwrap_or_default());
        let text = |text| utf8_percent_encode(text, RESERVED);
        format!("{subject};{kind};{since};{until};{};{}", text(by), text(reason))
    }

    /// Reads what [`Override::to_line`] wrote.
    ///
    /// # Errors
    /// [`BadOverride`] with the part that cannot be read.
    pub fn from_line(line: &str) -> Result<Self, BadOverride> {
        let bad = || BadOverride::Line(line.to_owned());
        let parts: Vec<&str> = line.split(';').collect();
        let [subject, kind, since, until, by, reason] = parts.as_slice() else { return Err(bad()) };
        let text = |part: &str| {
            percent_decode_str(part)
                .decode_utf8()
                .map(|text| printable(&text).into_owned())
                .map_err(|_| bad())
        };
        let time = |part: &str| stamp::parse(part).ok_or_else(bad);
        Ok(Self {
            subject: subject.parse()?,
            kind: kind.parse()?,
            by: text(by)?,
            reason: text(reason)?,
            since: time(since)?,
            until: if until.is_empty() { None } else { Some(time(until)?) },
        })
    }
}

/// All overrides in force. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(OrdMap<Subject, Override>);

impl Overrides {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the general ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        self.0.values()
    }

    /// What is set of exactly this.
    pub fn get(&self, subject: &Subject) -> Option<&Override> {
        self.0.get(subject)
    }

    /// Sets an override; returns the one that it takes the place of.
    pub fn set(&mut self, entry: Override) -> Option<Override> {
        self.0.insert(entry.subject.clone(), entry)
    }

    /// Sets an override from elsewhere, unless one that is as new is known; returns whether it was set.
    pub fn set_newer(&mut self, entry: &Override) -> bool {
        let newer = self.get(&entry.subject).is_none_or(|known| known.since < entry.since);
        if newer {
            self.set(entry.clone());
        }
        newer
    }

    /// Takes an override back.
    pub fn clear(&mut self, subject: &Subject) -> Option<Override> {
        self.0.remove(subject)
    }

    /// Drops what has ended; returns it.
    pub fn expire(&mut self, now: u64) -> Vec<Override> {
        let over: Vec<Override> = self.iter().filter(|entry| entry.is_over(now)).cloned().collect();
        for entry in &over {
            self.0.remove(&entry.subject);
        }
        over
    }

    /// When the next one ends, in seconds of Unix time.
    pub fn next_end(&self) -> Option<u64> {
        self.iter().filter_map(|entry| entry.until).min()
    }

    /// All overrides of an address which a member publishes for a Service; the specific before the general. The first
    /// one counts.
    pub fn concerning<'a>(
        &'a self,
        member: &MemberName,
        service: &ServiceKey,
        address: &Address,
    ) -> impl Iterator<Item = &'a Override> {
        let subjects = if self.0.is_empty() {
            Vec::new()
        } else {
            vec![
                Subject::Address(address.clone()),
                Subject::ServiceIn(service.clone(), member.clone()),
                Subject::Service(service.clone()),
                Subject::Cluster(member.clone()),
            ]
        };
        subjects.into_iter().filter_map(|subject| self.0.get(&subject))
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        Self(overrides.into_iter().map(|entry| (entry.subject.clone(), entry)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_two_overrides_the_later_counts_and_of_two_as_new_the_first() {
        let subject: Subject = "cluster/east".parse().unwrap();
        let at = |kind, since| Override { since, ..entry(subject.clone(), kind, None) };
        let mut overrides = Overrides::default();
        for (kind, since, taken) in [
            (OverrideKind::Drain, 5, true),
            (OverrideKind::ForceIn, 4, false),
            (OverrideKind::ForceIn, 5, false),
            (OverrideKind::ForceOut, 6, true),
        ] {
            assert_eq!(overrides.set_newer(&at(kind, since)), taken, "{kind} {since}");
        }
        assert_eq!(overrides.get(&subject).unwrap().kind, OverrideKind::ForceOut);
    }

    fn entry(subject: Subject, kind: OverrideKind, until: Option<u64>) -> Override {
        Override { subject, kind, reason: "".into(), by: "root".into(), since: 1, until }
    }

    #[test]
    fn subjects_are_read_as_they_are_written() {
        for text in [
            "cluster/arn:aws:eks:us-east-1:1:cluster/prod",
            "cluster/kind@home",
            "service/default/web",
            "service/default/web@arn:aws:eks:us-east-1:1:cluster/prod",
            "address/203.0.113.1",
            "address/2001:db8::1",
            "address/lb.example.net",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        for bad in
            ["", "cluster", "cluster/", "cluster/a b", "service/web", "service/a/b@", "address/x y", "pod/a"]
        {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_most_particular_override_counts() {
        let (east, key): (MemberName, ServiceKey) = ("east".parse().unwrap(), "default/web".parse().unwrap());
        let address: Address = "203.0.113.1".parse().unwrap();
        let mut overrides = Overrides::default();
        assert_eq!(overrides.concerning(&east, &key, &address).next(), None);
        let steps = [
            ("cluster/east", OverrideKind::Drain),
            ("service/default/web", OverrideKind::ForceIn),
            ("service/default/web@east", OverrideKind::ForceOut),
            ("address/203.0.113.1", OverrideKind::Drain),
        ];
        for (subject, kind) in steps {
            let subject: Subject = subject.parse().unwrap();
            overrides.set(entry(subject.clone(), kind, None));
            let counts = overrides.concerning(&east, &key, &address).next().unwrap();
            assert_eq!((&counts.subject, counts.kind), (&subject, kind));
        }
        let west = "west".parse().unwrap();
        let (api, other) = ("default/api".parse().unwrap(), "203.0.113.2".parse().unwrap());
        assert_eq!(overrides.concerning(&west, &api, &other).next(), None);
    }

    #[test]
    fn an_override_ends_at_its_time() {
        let mut overrides: Overrides =
            [("cluster/a", Some(10)), ("cluster/b", Some(20)), ("cluster/c", None)]
                .into_iter()
                .map(|(subject, until)| entry(subject.parse().unwrap(), OverrideKind::Drain, until))
                .collect();
        assert_eq!(overrides.next_end(), Some(10));
        assert_eq!(overrides.expire(9), vec![]);
        assert_eq!(overrides.expire(10).len(), 1);
        assert_eq!(overrides.next_end(), Some(20));
        assert_eq!(overrides.expire(u64::MAX).len(), 1);
        assert_eq!((overrides.next_end(), overrides.iter().count()), (None, 1));
    }

    #[test]
    fn people_and_programs_read_its_times_in_rfc_3339() {
        let entry = Override {
            reason: "new kernel".into(),
            since: 1_700_000_000,
            ..entry("cluster/east".parse().unwrap(), OverrideKind::Drain, Some(1_700_007_200))
        };
        let text = "drain of cluster/east by root, since 2023-11-14T22:13:20Z until 2023-11-15T00:13:20Z: new kernel";
        assert_eq!(entry.to_string(), text);
        let json = r#"{"subject":"cluster/east","kind":"drain","by":"root","reason":"new kernel","since":"2023-11-14T22:13:20Z","until":"2023-11-15T00:13:20Z"}"#;
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
        assert_eq!(serde_json::from_str::<Override>(json).unwrap(), entry);
        for (good, bad) in
            [("drain", "stop"), ("cluster/east", "pod/a"), ("2023-11-14T22:13:20Z", "1700000000")]
        {
            assert!(serde_json::from_str::<Override>(&json.replace(good, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_of_a_person_reach_no_terminal_unescaped() {
        let raw = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\nb";
        let said = Override {
            reason: raw.into(),
            by: raw.into(),
            ..entry("cluster/east".parse().unwrap(), OverrideKind::Drain, None)
        };
        let of_line = Override::from_line(&said.to_line()).unwrap();
        let of_json: Override = serde_json::from_str(&serde_json::to_string(&said).unwrap()).unwrap();
        for read in [of_line, of_json] {
            assert!(!read.by.chars().chain(read.reason.chars()).any(crate::text::is_hidden), "{read:?}");
        }
        let long = Override { reason: "x".repeat(5000), ..said };
        let read = Override::from_line(&long.to_line()).unwrap().reason;
        assert_eq!(read, printable(&long.reason));
        assert!(read.len() < 300, "{read}");
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_as_it_was_written(
            reason in ".{0,40}",
            by in ".{0,20}",
            until in proptest::option::of(0..200_000_000_000_u64),
        ) {
            let subject: Subject = "service/default/web@east".parse().unwrap();
            let (reason, by) = (printable(&reason).into_owned(), printable(&by).into_owned());
            let said = Override { reason, by, ..entry(subject, OverrideKind::ForceOut, until) };
            let line = said.to_line();
            prop_assert!(line.bytes().all(|b| b.is_ascii_graphic()), "{}", line);
            prop_assert_eq!(Override::from_line(&line), Ok(said));
        }
    }
}
