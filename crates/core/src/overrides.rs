//! What a person says of a part of the fleet: out for maintenance, in or out whatever the probes say.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use imbl::OrdMap;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::address::Address;
use crate::member_name::MemberName;
use crate::service::ServiceKey;

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverrideKind {
    /// Out of DNS, as if it were dead, but without doubt or delay. The last address of a name stays.
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

/// What an override is about. The order is from the general to the particular, and the most particular override counts.
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

/// An override, with who, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What is set.
    pub kind: OverrideKind,
    /// Why, in a person's words; may be empty.
    pub reason: Arc<str>,
    /// Who said it.
    pub by: Arc<str>,
    /// When it was said, in seconds of Unix time.
    pub since: u64,
    /// When it ends, in seconds of Unix time; `None` until it is taken back.
    pub until: Option<u64>,
}

impl Override {
    /// Whether it has ended at a time in seconds of Unix time.
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What cannot be read as an override.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadOverride {
    /// No known override.
    #[error("'{0}' is none of drain, force-in, force-out")]
    OverrideKind(String),
    /// Nothing that an override can be about.
    #[error(
        "'{0}' is none of cluster/NAME, service/NAMESPACE/NAME, service/NAMESPACE/NAME@CLUSTER, address/ADDRESS"
    )]
    Subject(String),
    /// Not the one-line form.
    #[error("'{0}' is no override in its one-line form")]
    Line(String),
}

/// Escaped where a space, `;` or `"` would be taken for something else.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b'%').add(b'"').add(b'\\').add(b',').add(b'=');

/// The one-line form `SUBJECT;WISH;SINCE;UNTIL;BY;REASON`: visible ASCII without spaces. `UNTIL` may be empty.
pub fn to_line(subject: &Subject, entry: &Override) -> String {
    let until = entry.until.map(|until| until.to_string()).unwrap_or_default();
    format!(
        "{subject};{};{};{until};{};{}",
        entry.kind,
        entry.since,
        utf8_percent_encode(&entry.by, RESERVED),
        utf8_percent_encode(&entry.reason, RESERVED)
    )
}

/// Reads what [`to_line`] wrote.
///
/// # Errors
/// [`BadOverride`] with the part that cannot be read.
pub fn from_line(line: &str) -> Result<(Subject, Override), BadOverride> {
    let bad = || BadOverride::Line(line.to_owned());
    let parts: Vec<&str> = line.split(';').collect();
    let [subject, kind, since, until, by, reason] = parts.as_slice() else { return Err(bad()) };
    let text = |part: &str| percent_decode_str(part).decode_utf8().map(|s| Arc::from(&*s)).map_err(|_| bad());
    let entry = Override {
        kind: kind.parse()?,
        since: since.parse().map_err(|_| bad())?,
        until: if until.is_empty() { None } else { Some(until.parse().map_err(|_| bad())?) },
        by: text(by)?,
        reason: text(reason)?,
    };
    Ok((subject.parse()?, entry))
}

/// All that persons say of the fleet. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(OrdMap<Subject, Override>);

impl Overrides {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the general ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Override)> {
        self.0.iter()
    }

    /// What is set of exactly this.
    pub fn get(&self, subject: &Subject) -> Option<&Override> {
        self.0.get(subject)
    }

    /// Sets an override; returns the one that it takes the place of.
    pub fn set(&mut self, subject: Subject, entry: Override) -> Option<Override> {
        self.0.insert(subject, entry)
    }

    /// Takes in an override that was said elsewhere, unless one that is as new is known; returns whether it was taken in.
    pub fn set_newer(&mut self, subject: &Subject, entry: &Override) -> bool {
        let newer = self.get(subject).is_none_or(|known| known.since < entry.since);
        if newer {
            self.set(subject.clone(), entry.clone());
        }
        newer
    }

    /// Takes an override back.
    pub fn clear(&mut self, subject: &Subject) -> Option<Override> {
        self.0.remove(subject)
    }

    /// Drops what has ended; returns it.
    pub fn expire(&mut self, now: u64) -> Vec<(Subject, Override)> {
        let over: Vec<(Subject, Override)> = self
            .iter()
            .filter(|(_, entry)| entry.is_over(now))
            .map(|(subject, entry)| (subject.clone(), entry.clone()))
            .collect();
        for (subject, _) in &over {
            self.0.remove(subject);
        }
        over
    }

    /// When the next one ends, in seconds of Unix time.
    pub fn next_end(&self) -> Option<u64> {
        self.0.values().filter_map(|entry| entry.until).min()
    }

    /// All that is said of an address which a member publishes for a Service; the particular before the general.
    pub fn concerning<'a>(
        &'a self,
        member: &MemberName,
        service: &ServiceKey,
        address: &Address,
    ) -> impl Iterator<Item = (Subject, &'a Override)> {
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
        subjects.into_iter().filter_map(|subject| self.0.get(&subject).map(|entry| (subject, entry)))
    }

    /// The override that counts for an address which a member publishes for a Service, and what it was said of.
    pub fn of(
        &self,
        member: &MemberName,
        service: &ServiceKey,
        address: &Address,
    ) -> Option<(Subject, &Override)> {
        self.concerning(member, service, address).next()
    }
}

impl FromIterator<(Subject, Override)> for Overrides {
    fn from_iter<I: IntoIterator<Item = (Subject, Override)>>(overrides: I) -> Self {
        Self(overrides.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_two_overrides_the_later_counts_and_of_two_as_new_the_first() {
        let subject: Subject = "cluster/east".parse().unwrap();
        let at = |kind, since| Override { since, ..entry(kind, None) };
        let mut overrides = Overrides::default();
        for (kind, since, taken) in [
            (OverrideKind::Drain, 5, true),
            (OverrideKind::ForceIn, 4, false),
            (OverrideKind::ForceIn, 5, false),
            (OverrideKind::ForceOut, 6, true),
        ] {
            assert_eq!(overrides.set_newer(&subject, &at(kind, since)), taken, "{kind} {since}");
        }
        assert_eq!(overrides.get(&subject).unwrap().kind, OverrideKind::ForceOut);
    }

    fn entry(kind: OverrideKind, until: Option<u64>) -> Override {
        Override { kind, reason: "".into(), by: "root".into(), since: 1, until }
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
        assert_eq!(overrides.of(&east, &key, &address), None);
        let steps = [
            ("cluster/east", OverrideKind::Drain),
            ("service/default/web", OverrideKind::ForceIn),
            ("service/default/web@east", OverrideKind::ForceOut),
            ("address/203.0.113.1", OverrideKind::Drain),
        ];
        for (subject, kind) in steps {
            let subject: Subject = subject.parse().unwrap();
            overrides.set(subject.clone(), entry(kind, None));
            let (found, counts) = overrides.of(&east, &key, &address).unwrap();
            assert_eq!((found, counts.kind), (subject, kind));
        }
        let west = "west".parse().unwrap();
        let elsewhere = overrides.of(&west, &"default/api".parse().unwrap(), &"203.0.113.2".parse().unwrap());
        assert_eq!(elsewhere, None);
    }

    #[test]
    fn an_override_ends_at_its_time() {
        let mut overrides: Overrides =
            [("cluster/a", Some(10)), ("cluster/b", Some(20)), ("cluster/c", None)]
                .into_iter()
                .map(|(subject, until)| (subject.parse().unwrap(), entry(OverrideKind::Drain, until)))
                .collect();
        assert_eq!(overrides.next_end(), Some(10));
        assert_eq!(overrides.expire(9), vec![]);
        assert_eq!(overrides.expire(10).len(), 1);
        assert_eq!(overrides.next_end(), Some(20));
        assert_eq!(overrides.expire(u64::MAX).len(), 1);
        assert_eq!((overrides.next_end(), overrides.iter().count()), (None, 1));
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_as_it_was_written(reason in ".{0,40}", by in ".{0,20}", until: Option<u64>) {
            let subject: Subject = "service/default/web@east".parse().unwrap();
            let said = Override { kind: OverrideKind::ForceOut, reason: reason.into(), by: by.into(), since: 7, until };
            let line = to_line(&subject, &said);
            prop_assert!(line.bytes().all(|b| b.is_ascii_graphic()), "{}", line);
            prop_assert_eq!(from_line(&line), Ok((subject, said)));
        }
    }
}
