//! Domain names, normalised once: lower case, A-labels, no final dot.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use arcstr::ArcStr;
use idna::AsciiDenyList;
use thiserror::Error;

use crate::text::printable;

/// Longest name as text without the final dot: 255 octets on the wire (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 253;
/// Longest label in octets (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// A domain name that DNS can carry: lower case, labels of 1 to 63 octets, at most 253 octets, no final dot.
///
/// Letters, digits, `-` and `_` are allowed, and `*` as the whole leftmost label (RFC 4592). Names given with
/// other letters become A-labels (RFC 5890). Names compare in canonical order (RFC 4034 §6.1), so that in an
/// ordered map a name is followed directly by everything below it.
#[derive(Clone)]
pub struct DnsName(
    /// The text, and after it as many octets that compare as names do: the labels from the top, a zero octet between two.
    ArcStr,
);

/// Why a text is not a domain name that can be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// No text, or only a dot.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("the name has {octets} octets, at most {MAX_NAME} are possible")]
    TooLong {
        /// Octets without the final dot.
        octets: usize,
    },
    /// Two dots in a row, or a leading dot.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// A label longer than [`MAX_LABEL`].
    #[error("the label '{label}' has {octets} octets, at most {MAX_LABEL} are possible")]
    LabelTooLong {
        /// The label, cut to what a log line bears.
        label: String,
        /// Its length in octets.
        octets: usize,
    },
    /// A character that a host name cannot have.
    #[error("the label '{label}' has the character {character:?}; letters, digits, '-' and '_' are possible")]
    BadCharacter {
        /// The label.
        label: String,
        /// The first such character.
        character: char,
    },
    /// A hyphen at an end of a label.
    #[error("the label '{label}' begins or ends with '-'")]
    Hyphen {
        /// The label.
        label: String,
    },
    /// `*` anywhere but as the whole leftmost label.
    #[error("'*' can only be the whole leftmost label")]
    Wildcard,
    /// Not convertible to A-labels.
    #[error("'{name}' is not a valid internationalised name")]
    Idna {
        /// The name as it was given.
        name: String,
    },
    /// All digits in the last label: an IPv4 address that is none, such as `999.1.1.1`.
    #[error("'{name}' looks like an IPv4 address and is none")]
    NumericTop {
        /// The name as it was given.
        name: String,
    },
}

impl DnsName {
    /// Takes a text that was checked.
    fn of(text: &str) -> Self {
        let mut both = String::with_capacity(2 * text.len());
        both.push_str(text);
        for label in text.rsplit('.') {
            if both.len() > text.len() {
                // Less than all that a label has, so that a name comes before what lies below it.
                both.push('\0');
            }
            both.push_str(label);
        }
        Self(both.into())
    }

    fn halves(&self) -> (&str, &str) {
        self.0.split_at(self.0.len() / 2)
    }

    /// The name as text, lower case, without the final dot.
    pub fn as_str(&self) -> &str {
        self.halves().0
    }

    /// Octets that compare as names do (RFC 4034 §6.1): the labels from the top, a zero octet between two.
    pub fn ordered(&self) -> &[u8] {
        self.halves().1.as_bytes()
    }

    /// Labels from the leftmost to the top.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_str().split('.')
    }

    /// Whether the leftmost label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.as_str().starts_with("*.") || self.as_str() == "*"
    }

    /// Whether this is `zone` or lies below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        self == zone || self.is_below(zone)
    }

    /// Whether this lies below `other`, and is not `other` itself.
    pub fn is_below(&self, other: &Self) -> bool {
        self.as_str().strip_suffix(other.as_str()).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
    }

    /// The part in front of `zone`: `None` outside of it, the empty text at its apex.
    pub fn relative_to(&self, zone: &Self) -> Option<&str> {
        if self == zone {
            return Some("");
        }
        self.as_str().strip_suffix(zone.as_str()).and_then(|rest| rest.strip_suffix('.'))
    }

    /// The name without its leftmost label.
    pub fn parent(&self) -> Option<Self> {
        self.as_str().split_once('.').map(|(_, rest)| Self::of(rest))
    }

    /// `labels.self`.
    ///
    /// # Errors
    /// When the result is not a name, most often because it is too long.
    pub fn prepend(&self, labels: &str) -> Result<Self, NameError> {
        [labels, ".", self.as_str()].concat().parse()
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(given: &str) -> Result<Self, NameError> {
        let text = given.strip_suffix('.').unwrap_or(given);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let plain = text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) && !text.contains("xn--");
        if plain {
            check(text)?;
            return Ok(Self::of(text));
        }
        let ascii = idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY)
            .map_err(|_| NameError::Idna { name: printable(text).into_owned() })?;
        check(&ascii)?;
        Ok(Self::of(&ascii))
    }
}

fn check(text: &str) -> Result<(), NameError> {
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong { octets: text.len() });
    }
    for (index, label) in text.split('.').enumerate() {
        if index == 0 && label == "*" {
            continue;
        }
        check_label(label)?;
    }
    let top = text.rsplit('.').next().unwrap_or(text);
    if top.bytes().all(|b| b.is_ascii_digit()) && text.contains('.') {
        return Err(NameError::NumericTop { name: text.to_owned() });
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), NameError> {
    let bytes = label.as_bytes();
    let plain = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain && bytes.len() <= MAX_LABEL && !matches!(bytes, [] | [b'-', ..] | [.., b'-']) {
        return Ok(());
    }
    // What is wrong with it.
    if label.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if label.len() > MAX_LABEL {
        let cut = label.chars().take(20).collect::<String>();
        return Err(NameError::LabelTooLong {
            label: format!("{}…", printable(&cut)), octets: label.len()
        });
    }
    if label.contains('*') {
        return Err(NameError::Wildcard);
    }
    if let Some(character) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-' && *c != '_') {
        return Err(NameError::BadCharacter { label: printable(label).into_owned(), character });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::Hyphen { label: label.to_owned() });
    }
    Ok(())
}

/// Whether a text is a DNS label as Kubernetes takes it for names (RFC 1123): 1 to 63 letters a to z, digits and `-`,
/// the latter not at an end.
pub fn is_dns_label(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_LABEL).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl PartialEq for DnsName {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for DnsName {}

impl Hash for DnsName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Ord for DnsName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.halves().1.cmp(other.halves().1)
    }
}

impl PartialOrd for DnsName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One label of a name: a region, a zone of a region, or a fleet. Lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Arc<str>);

impl Label {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('.') {
            return Err(NameError::BadCharacter { label: printable(text).into_owned(), character: '.' });
        }
        check_label(text)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn names_are_in_the_order_of_their_labels_from_the_right(
            one in proptest::collection::vec("[ab_]{1,2}(-[ab])?", 1..9),
            other in proptest::collection::vec("[ab_]{1,2}(-[ab])?", 1..9),
            shared in proptest::collection::vec("[ab_]{1,2}(-[ab])?", 0..9),
        ) {
            let labels = |own: Vec<String>| -> Vec<String> { own.into_iter().chain(shared.clone()).collect() };
            let (one, other) = (labels(one), labels(other));
            let expected = one.iter().rev().cmp(other.iter().rev());
            let name = |labels: &[String]| labels.join(".").parse::<DnsName>().unwrap();
            prop_assert_eq!(name(&one).cmp(&name(&other)), expected);
        }
    }

    #[track_caller]
    fn check(input: &str, expected: Result<&str, &str>) {
        let got = input.parse::<DnsName>();
        match (got, expected) {
            (Ok(name), Ok(text)) => assert_eq!(name.as_str(), text),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{input:?}: {error}");
            }
            (got, _) => panic!("{input:?}: got {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn names_are_normalised_or_refused_with_a_reason() {
        check("Example.COM.", Ok("example.com"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        check("xn--bcher-kva.example", Ok("xn--bcher-kva.example"));
        check("_fleetdns.www.example.com", Ok("_fleetdns.www.example.com"));
        check("*.example.com", Ok("*.example.com"));
        check("1.svc.example", Ok("1.svc.example"));
        check("", Err("empty"));
        check(".", Err("empty"));
        check("a..b", Err("empty label"));
        check(".a", Err("empty label"));
        check("a.*.b", Err("leftmost"));
        check("a*.b", Err("leftmost"));
        check("a b.example", Err("character ' '"));
        check("a/b.example", Err("character '/'"));
        check("-a.example", Err("'-'"));
        check("999.1.1.1", Err("IPv4"));
        check(&format!("{}.example", "a".repeat(63)), Ok(&format!("{}.example", "a".repeat(63))));
        check(&format!("{}.example", "a".repeat(64)), Err("64 octets"));
        let long = [["a"; 63].concat().as_str(); 4].join(".");
        check(&long, Err("255 octets"));
        check(&long[2..], Ok(&long[2..]));
    }

    #[test]
    fn below_is_by_label_and_not_by_letter() {
        let name = |text: &str| text.parse::<DnsName>().unwrap();
        assert!(name("www.example.com").is_below(&name("example.com")));
        assert!(!name("notexample.com").is_within(&name("example.com")));
        assert!(!name("example.com").is_below(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert_eq!(name("a.b.example.com").relative_to(&name("example.com")), Some("a.b"));
        assert_eq!(name("example.com").relative_to(&name("example.com")), Some(""));
        assert_eq!(name("notexample.com").relative_to(&name("example.com")), None);
    }

    #[test]
    fn a_name_sorts_directly_before_what_lies_below_it() {
        let mut names: Vec<DnsName> =
            ["b.example", "a.b.example", "b-c.example", "example", "z.a.example", "a.example"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        names.sort();
        let sorted: Vec<&str> = names.iter().map(DnsName::as_str).collect();
        assert_eq!(
            sorted,
            ["example", "a.example", "z.a.example", "b.example", "a.b.example", "b-c.example"]
        );
    }
}
