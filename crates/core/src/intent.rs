//! What a person says of a part of the fleet: out for maintenance, in or out whatever the probes say.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use imbl::OrdMap;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::address::Address;
use crate::member::MemberName;
use crate::service::ServiceKey;

/// What is wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wish {
    /// Out of DNS, as if it were dead, but without doubt or delay. The last address of a name stays.
    Drain,
    /// In DNS, whatever its probes say.
    ForceIn,
    /// Out of DNS, even when nothing is left at a name.
    ForceOut,
}

impl Wish {
    /// `drain`, `force-in` or `force-out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::ForceIn => "force-in",
            Self::ForceOut => "force-out",
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Wish {
    type Err = BadIntent;

    fn from_str(text: &str) -> Result<Self, BadIntent> {
        [Self::Drain, Self::ForceIn, Self::ForceOut]
            .into_iter()
            .find(|wish| wish.as_str() == text)
            .ok_or_else(|| BadIntent::Wish(text.to_owned()))
    }
}

/// What a wish is about. The order is from the general to the particular, and the most particular wish counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Everything that a member gives: `cluster/NAME`.
    Cluster(MemberName),
    /// A Service in all members: `service/NAMESPACE/NAME`.
    Service(ServiceKey),
    /// A Service in one member: `service/NAMESPACE/NAME@CLUSTER`.
    ServiceIn(ServiceKey, MemberName),
    /// One address, whoever gives it: `address/ADDRESS`.
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
    type Err = BadIntent;

    fn from_str(text: &str) -> Result<Self, BadIntent> {
        let bad = || BadIntent::Subject(text.to_owned());
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

/// A wish, with who, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What is wished.
    pub wish: Wish,
    /// Why, in a person's words; may be empty.
    pub reason: Arc<str>,
    /// Who said it.
    pub by: Arc<str>,
    /// When it was said, in seconds of Unix time.
    pub since: u64,
    /// When it ends, in seconds of Unix time; `None` until it is taken back.
    pub until: Option<u64>,
}

impl Intent {
    /// Whether it has ended at a time in seconds of Unix time.
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What cannot be read as an intent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadIntent {
    /// No known wish.
    #[error("'{0}' is none of drain, force-in, force-out")]
    Wish(String),
    /// Nothing that a wish can be about.
    #[error(
        "'{0}' is none of cluster/NAME, service/NAMESPACE/NAME, service/NAMESPACE/NAME@CLUSTER, address/ADDRESS"
    )]
    Subject(String),
    /// Not the one-line form.
    #[error("'{0}' is no intent in its one-line form")]
    Line(String),
}

/// Escaped where a space, `;` or `"` would be taken for something else.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b'%').add(b'"').add(b'\\').add(b',').add(b'=');

/// The one-line form `SUBJECT;WISH;SINCE;UNTIL;BY;REASON`: visible ASCII without spaces. `UNTIL` may be empty.
pub fn to_line(subject: &Subject, intent: &Intent) -> String {
    let until = intent.until.map(|until| until.to_string()).unwrap_or_default();
    format!(
        "{subject};{};{};{until};{};{}",
        intent.wish,
        intent.since,
        utf8_percent_encode(&intent.by, RESERVED),
        utf8_percent_encode(&intent.reason, RESERVED)
    )
}

/// Reads what [`to_line`] wrote.
///
/// # Errors
/// [`BadIntent`] with the part that cannot be read.
pub fn from_line(line: &str) -> Result<(Subject, Intent), BadIntent> {
    let bad = || BadIntent::Line(line.to_owned());
    let parts: Vec<&str> = line.split(';').collect();
    let [subject, wish, since, until, by, reason] = parts.as_slice() else { return Err(bad()) };
    let text = |part: &str| percent_decode_str(part).decode_utf8().map(|s| Arc::from(&*s)).map_err(|_| bad());
    let intent = Intent {
        wish: wish.parse()?,
        since: since.parse().map_err(|_| bad())?,
        until: if until.is_empty() { None } else { Some(until.parse().map_err(|_| bad())?) },
        by: text(by)?,
        reason: text(reason)?,
    };
    Ok((subject.parse()?, intent))
}

/// All that persons say of the fleet. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intents(OrdMap<Subject, Intent>);

impl Intents {
    /// Whether nothing is wished.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the general ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Intent)> {
        self.0.iter()
    }

    /// What is wished of exactly this.
    pub fn get(&self, subject: &Subject) -> Option<&Intent> {
        self.0.get(subject)
    }

    /// Sets a wish; gives the one that it takes the place of.
    pub fn set(&mut self, subject: Subject, intent: Intent) -> Option<Intent> {
        self.0.insert(subject, intent)
    }

    /// Takes in a wish that was said elsewhere, unless one that is as new is known; gives whether it was taken in.
    pub fn set_newer(&mut self, subject: &Subject, intent: &Intent) -> bool {
        let newer = self.get(subject).is_none_or(|known| known.since < intent.since);
        if newer {
            self.set(subject.clone(), intent.clone());
        }
        newer
    }

    /// Takes a wish back.
    pub fn clear(&mut self, subject: &Subject) -> Option<Intent> {
        self.0.remove(subject)
    }

    /// Drops what has ended; gives it.
    pub fn expire(&mut self, now: u64) -> Vec<(Subject, Intent)> {
        let over: Vec<(Subject, Intent)> = self
            .iter()
            .filter(|(_, intent)| intent.is_over(now))
            .map(|(subject, intent)| (subject.clone(), intent.clone()))
            .collect();
        for (subject, _) in &over {
            self.0.remove(subject);
        }
        over
    }

    /// When the next one ends, in seconds of Unix time.
    pub fn next_end(&self) -> Option<u64> {
        self.0.values().filter_map(|intent| intent.until).min()
    }

    /// All that is said of an address which a member gives for a Service; the particular before the general.
    pub fn concerning<'a>(
        &'a self,
        member: &MemberName,
        service: &ServiceKey,
        address: &Address,
    ) -> impl Iterator<Item = (Subject, &'a Intent)> {
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
        subjects.into_iter().filter_map(|subject| self.0.get(&subject).map(|intent| (subject, intent)))
    }

    /// The wish that counts for an address which a member gives for a Service, and what it was said of.
    pub fn of(
        &self,
        member: &MemberName,
        service: &ServiceKey,
        address: &Address,
    ) -> Option<(Subject, &Intent)> {
        self.concerning(member, service, address).next()
    }
}

impl FromIterator<(Subject, Intent)> for Intents {
    fn from_iter<I: IntoIterator<Item = (Subject, Intent)>>(intents: I) -> Self {
        Self(intents.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_two_wishes_the_later_counts_and_of_two_as_new_the_first() {
        let subject: Subject = "cluster/east".parse().unwrap();
        let at = |wish, since| Intent { since, ..intent(wish, None) };
        let mut intents = Intents::default();
        for (wish, since, taken) in [
            (Wish::Drain, 5, true),
            (Wish::ForceIn, 4, false),
            (Wish::ForceIn, 5, false),
            (Wish::ForceOut, 6, true),
        ] {
            assert_eq!(intents.set_newer(&subject, &at(wish, since)), taken, "{wish} {since}");
        }
        assert_eq!(intents.get(&subject).unwrap().wish, Wish::ForceOut);
    }

    fn intent(wish: Wish, until: Option<u64>) -> Intent {
        Intent { wish, reason: "".into(), by: "root".into(), since: 1, until }
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
    fn the_most_particular_wish_counts() {
        let (east, key): (MemberName, ServiceKey) = ("east".parse().unwrap(), "default/web".parse().unwrap());
        let address: Address = "203.0.113.1".parse().unwrap();
        let mut intents = Intents::default();
        assert_eq!(intents.of(&east, &key, &address), None);
        let steps = [
            ("cluster/east", Wish::Drain),
            ("service/default/web", Wish::ForceIn),
            ("service/default/web@east", Wish::ForceOut),
            ("address/203.0.113.1", Wish::Drain),
        ];
        for (subject, wish) in steps {
            let subject: Subject = subject.parse().unwrap();
            intents.set(subject.clone(), intent(wish, None));
            let (found, counts) = intents.of(&east, &key, &address).unwrap();
            assert_eq!((found, counts.wish), (subject, wish));
        }
        let west = "west".parse().unwrap();
        let elsewhere = intents.of(&west, &"default/api".parse().unwrap(), &"203.0.113.2".parse().unwrap());
        assert_eq!(elsewhere, None);
    }

    #[test]
    fn a_wish_ends_at_its_time() {
        let mut intents: Intents = [("cluster/a", Some(10)), ("cluster/b", Some(20)), ("cluster/c", None)]
            .into_iter()
            .map(|(subject, until)| (subject.parse().unwrap(), intent(Wish::Drain, until)))
            .collect();
        assert_eq!(intents.next_end(), Some(10));
        assert_eq!(intents.expire(9), vec![]);
        assert_eq!(intents.expire(10).len(), 1);
        assert_eq!(intents.next_end(), Some(20));
        assert_eq!(intents.expire(u64::MAX).len(), 1);
        assert_eq!((intents.next_end(), intents.iter().count()), (None, 1));
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_as_it_was_written(reason in ".{0,40}", by in ".{0,20}", until: Option<u64>) {
            let subject: Subject = "service/default/web@east".parse().unwrap();
            let said = Intent { wish: Wish::ForceOut, reason: reason.into(), by: by.into(), since: 7, until };
            let line = to_line(&subject, &said);
            prop_assert!(line.bytes().all(|b| b.is_ascii_graphic()), "{}", line);
            prop_assert_eq!(from_line(&line), Ok((subject, said)));
        }
    }
}
