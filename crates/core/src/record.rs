//! Record sets as they can exist: typed values, never empty, one TTL for each set (RFC 2181 §5).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::name::DnsName;
use crate::small_set::SmallSet;
use crate::text::{duration, printable};

/// The record types that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// An alias; alone at its name (RFC 1034 §3.6.2).
    Cname,
}

impl RecordType {
    /// `A`, `AAAA` or `CNAME`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not one of the record types that are written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a record type; expected A, AAAA or CNAME")]
pub struct UnknownType(pub String);

impl FromStr for RecordType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        match text.to_ascii_uppercase().as_str() {
            "A" => Ok(Self::A),
            "AAAA" => Ok(Self::Aaaa),
            "CNAME" => Ok(Self::Cname),
            _ => Err(UnknownType(text.to_owned())),
        }
    }
}

/// Seconds that a resolver may keep a record set, 0 to 2^31-1 (RFC 2181 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Ttl {
    /// 30 s: short enough that an answer is soon forgotten, long enough to be cached at all.
    pub const DEFAULT: Self = Self(30);
    /// The longest TTL there is.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// `None` above 2^31-1.
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// The TTL in seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// Not a [`Ttl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid TTL '{0}'; expected seconds from 1 to 2147483647 or a duration such as 5m")]
pub struct BadTtl(pub String);

/// Seconds, or a duration, of which the part of a second is dropped; 1 s at least.
impl FromStr for Ttl {
    type Err = BadTtl;

    fn from_str(text: &str) -> Result<Self, BadTtl> {
        let seconds = match text.parse::<u32>() {
            Ok(seconds) => Some(seconds),
            Err(_) => duration(text).and_then(|time| time.as_secs().try_into().ok()),
        };
        let ttl = seconds.filter(|seconds| *seconds >= 1).and_then(Self::new);
        ttl.ok_or_else(|| BadTtl(printable(text).into_owned()))
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set with at least one value.
///
/// Invariant: an empty record set cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NonEmpty<T: Ord>(SmallSet<T>);

impl<T: Ord> NonEmpty<T> {
    /// `None` for an empty set.
    pub fn new(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let values: SmallSet<T> = values.into_iter().collect();
        (!values.is_empty()).then_some(Self(values))
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter()
    }

    /// How many values; never 0.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the value is in the set.
    pub fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }
}

/// The values of one record set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordData {
    /// IPv4 addresses.
    A(NonEmpty<Ipv4Addr>),
    /// IPv6 addresses.
    Aaaa(NonEmpty<Ipv6Addr>),
    /// The canonical name.
    Cname(DnsName),
}

impl RecordData {
    /// The type that these values have.
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
        }
    }

    /// The values as text, in order; IPv6 as in RFC 5952, names without the final dot.
    pub fn values(&self) -> Vec<String> {
        match self {
            Self::A(set) => set.iter().map(ToString::to_string).collect(),
            Self::Aaaa(set) => set.iter().map(ToString::to_string).collect(),
            Self::Cname(name) => vec![name.to_string()],
        }
    }

    /// How many values.
    pub fn count(&self) -> usize {
        match self {
            Self::A(set) => set.len(),
            Self::Aaaa(set) => set.len(),
            Self::Cname(_) => 1,
        }
    }
}

/// All values of one type at one name, with their TTL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordSet {
    /// Owner name (RFC 9499).
    pub name: DnsName,
    /// One TTL for the whole set.
    pub ttl: Ttl,
    /// Type and values.
    pub data: RecordData,
}

impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.ttl, self.data.record_type(), self.data.values().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_set_cannot_be_written_down() {
        assert_eq!(NonEmpty::<Ipv4Addr>::new([]), None);
        assert_eq!(NonEmpty::new([2, 1, 2]).map(|set| set.len()), Some(2));
    }

    #[test]
    fn sets_compare_as_sets_and_print_in_order() {
        let one = NonEmpty::new(["10.0.0.2", "10.0.0.1"].map(|a| a.parse::<Ipv4Addr>().unwrap())).unwrap();
        let two = NonEmpty::new(["10.0.0.1", "10.0.0.2"].map(|a| a.parse::<Ipv4Addr>().unwrap())).unwrap();
        assert_eq!(one, two);
        let set =
            RecordSet { name: "a.example".parse().unwrap(), ttl: Ttl::DEFAULT, data: RecordData::A(one) };
        assert_eq!(set.to_string(), "a.example 30 A 10.0.0.1 10.0.0.2");
    }

    #[test]
    fn a_ttl_has_31_bits() {
        assert_eq!(Ttl::new(2_147_483_647), Some(Ttl::MAX));
        assert_eq!(Ttl::new(2_147_483_648), None);
    }
}
