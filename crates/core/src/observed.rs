//! What a provider says exists in a zone.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use smallvec::SmallVec;

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
    /// The same in a shape that its provider would not give it: half of what it writes for these values, or what an
    /// older version wrote. To be written anew even when the values are right.
    Misshapen(RecordData),
    /// Anything else: only the type is known. Never ours to change.
    Other(Arc<str>),
}

impl Content {
    /// The values, when they could be read.
    pub const fn data(&self) -> Option<&RecordData> {
        match self {
            Self::Known(data) | Self::Misshapen(data) => Some(data),
            Self::Other(_) => None,
        }
    }

    /// The type, when it is one that is written.
    pub const fn record_type(&self) -> Option<RecordType> {
        match self.data() {
            Some(data) => Some(data.record_type()),
            None => None,
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
        if self.claim.is_ours() { self.content.data() } else { None }
    }

    /// Type as text, for a person.
    pub fn type_name(&self) -> &str {
        match &self.content {
            Content::Known(data) | Content::Misshapen(data) => data.record_type().as_str(),
            Content::Other(name) => name,
        }
    }
}

impl fmt::Display for ObservedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Known(data) | Content::Misshapen(data) => {
                write!(f, "{} {} {}", self.ttl, data.record_type(), data.values().join(" "))
            }
            Content::Other(name) => write!(f, "{} {name} …", self.ttl),
        }
    }
}

/// A name that the backend can never hold, or that it would never answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// The name.
    pub name: DnsName,
    /// Whether all names below it are meant too.
    pub subtree: bool,
    /// Why, as a sentence for an operator.
    pub reason: Arc<str>,
}

/// Every record set of a zone, by name. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Almost always there is one set at a name.
    names: OrdMap<DnsName, Arc<SmallVec<[ObservedSet; 1]>>>,
    owned: usize,
    /// Names that only the provider knows to be impossible. Few.
    unwritable: Arc<[Unwritable]>,
}

impl Observed {
    /// Says which names cannot be written, in place of what was said before.
    pub fn set_unwritable(&mut self, unwritable: Vec<Unwritable>) {
        self.unwritable = unwritable.into();
    }

    /// Why a name cannot be written.
    pub fn unwritable(&self, name: &DnsName) -> Option<&Arc<str>> {
        let covers = |one: &&Unwritable| one.name == *name || (one.subtree && name.is_below(&one.name));
        self.unwritable.iter().find(covers).map(|one| &one.reason)
    }

    /// Adds one set.
    pub fn push(&mut self, name: DnsName, set: ObservedSet) {
        let sets = Arc::make_mut(self.names.entry(name).or_default());
        let before = owned(sets);
        sets.push(set);
        self.owned += usize::from(owned(sets)) - usize::from(before);
    }

    /// Replaces all sets of a name; none removes the name.
    pub fn replace(&mut self, name: DnsName, sets: Vec<ObservedSet>) {
        self.owned += usize::from(owned(&sets));
        let old = if sets.is_empty() {
            self.names.remove(&name)
        } else {
            self.names.insert(name, Arc::new(sets.into()))
        };
        self.owned -= usize::from(old.is_some_and(|sets| owned(&sets)));
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
        self.iter().filter(|(_, sets)| owned(sets)).map(|(name, _)| name)
    }

    /// How many names [`Observed::owned`] gives, without counting them.
    pub const fn owned_count(&self) -> usize {
        self.owned
    }

    /// Names whose sets differ, or that only one of the two has.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a DnsName> {
        self.names.diff(&other.names).map(|item| match item {
            DiffItem::Add(name, _) | DiffItem::Remove(name, _) | DiffItem::Update { new: (name, _), .. } => {
                name
            }
        })
    }

    /// The first name below `name` that exists.
    pub fn first_below(&self, name: &DnsName) -> Option<&DnsName> {
        // In canonical order whatever lies below a name follows it directly.
        let (next, _) = self.names.range::<_, DnsName>((Bound::Excluded(name), Bound::Unbounded)).next()?;
        next.is_below(name).then_some(next)
    }
}

fn owned(sets: &[ObservedSet]) -> bool {
    sets.iter().any(|set| set.claim.is_ours())
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
