//! What a provider says exists in a zone.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::evidence::Claim;
use crate::name::DnsName;
use crate::record::{RecordData, RecordType, Ttl};

/// What a provider needs to prove that a record set is still as it was read: an etag, revisions, the exact values.
/// Only the provider that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version(pub Arc<str>);

/// The values of a record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One of the types that are written, with values that could be read.
    Known(RecordData),
    /// Anything else: only the type is known. Never ours to change.
    Other(Arc<str>),
}

impl Content {
    /// The type, when it is one that is written.
    pub const fn record_type(&self) -> Option<RecordType> {
        match self {
            Self::Known(data) => Some(data.record_type()),
            Self::Other(_) => None,
        }
    }
}

/// A record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSet {
    /// TTL as it is stored.
    pub ttl: Ttl,
    /// Type and values.
    pub content: Content,
    /// Whose it is.
    pub claim: Claim,
    /// Proof for conditional writes.
    pub version: Version,
}

impl ObservedSet {
    /// The values, when the set is ours.
    pub const fn ours(&self) -> Option<&RecordData> {
        match (&self.content, self.claim.is_ours()) {
            (Content::Known(data), true) => Some(data),
            _ => None,
        }
    }

    /// Type as text, for a person.
    pub fn type_name(&self) -> &str {
        match &self.content {
            Content::Known(data) => data.record_type().as_str(),
            Content::Other(name) => name,
        }
    }
}

impl fmt::Display for ObservedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Known(data) => {
                write!(f, "{} {} {}", self.ttl, data.record_type(), data.values().join(" "))
            }
            Content::Other(name) => write!(f, "{} {name} …", self.ttl),
        }
    }
}

/// Every record set of a zone, by name. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    names: OrdMap<DnsName, Arc<Vec<ObservedSet>>>,
}

impl Observed {
    /// Adds one set.
    pub fn push(&mut self, name: DnsName, set: ObservedSet) {
        Arc::make_mut(self.names.entry(name).or_default()).push(set);
    }

    /// Replaces all sets of a name; none removes the name.
    pub fn replace(&mut self, name: DnsName, sets: Vec<ObservedSet>) {
        if sets.is_empty() {
            self.names.remove(&name);
        } else {
            self.names.insert(name, Arc::new(sets));
        }
    }

    /// The sets of a name.
    pub fn at(&self, name: &DnsName) -> &[ObservedSet] {
        self.names.get(name).map_or(&[], |sets| sets)
    }

    /// All names with their sets, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&DnsName, &[ObservedSet])> {
        self.names.iter().map(|(name, sets)| (name, sets.as_slice()))
    }

    /// Names at which at least one set is ours.
    pub fn owned(&self) -> impl Iterator<Item = &DnsName> {
        self.iter().filter(|(_, sets)| sets.iter().any(|set| set.claim.is_ours())).map(|(name, _)| name)
    }

    /// The first name below `name` that exists.
    pub fn first_below(&self, name: &DnsName) -> Option<&DnsName> {
        // In canonical order whatever lies below a name follows it directly.
        let (next, _) = self.names.range::<_, DnsName>((Bound::Excluded(name), Bound::Unbounded)).next()?;
        next.is_below(name).then_some(next)
    }
}

impl FromIterator<(DnsName, ObservedSet)> for Observed {
    fn from_iter<I: IntoIterator<Item = (DnsName, ObservedSet)>>(sets: I) -> Self {
        let mut observed = Self::default();
        for (name, set) in sets {
            observed.push(name, set);
        }
        observed
    }
}
