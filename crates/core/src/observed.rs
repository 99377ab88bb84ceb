//! What a provider says exists in a zone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};

use crate::name::DnsName;

mod set;
pub mod shared_listing;

pub use set::{Content, ObservedSet, Version};

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

/// The record sets of one name, almost always one: shared by all that know them.
pub type Sets = Arc<[ObservedSet]>;

/// Every record set of a zone, by name. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    names: OrdMap<DnsName, Sets>,
    owned: usize,
    /// Names that only the provider knows to be impossible: whether all below them are too, and why.
    unwritable: Arc<BTreeMap<DnsName, (bool, Arc<str>)>>,
    /// Names with an NS or DNAME record, the apex among them.
    cuts: OrdSet<DnsName>,
    /// The name servers that NS records of the zone name.
    servers: Arc<BTreeSet<DnsName>>,
}

impl Observed {
    /// Says which names cannot be written, in place of what was said before.
    pub fn set_unwritable(&mut self, unwritable: Vec<Unwritable>) {
        let by_name = unwritable.into_iter().map(|one| (one.name, (one.subtree, one.reason)));
        self.unwritable = Arc::new(by_name.collect());
    }

    /// Says which name servers the NS records of the zone name, in place of what was said before.
    pub fn set_name_servers(&mut self, servers: BTreeSet<DnsName>) {
        self.servers = Arc::new(servers);
    }

    /// The name servers that NS records of the zone name: its own, and those of zones that it delegates.
    pub fn name_servers(&self) -> &BTreeSet<DnsName> {
        &self.servers
    }

    /// Why a name cannot be written.
    pub fn unwritable(&self, name: &DnsName) -> Option<&Arc<str>> {
        if self.unwritable.is_empty() {
            return None;
        }
        let at = |one: &DnsName| self.unwritable.get(one).filter(|(subtree, _)| *subtree || one == name);
        lineage(name).find_map(|one| at(&one)).map(|(_, reason)| reason)
    }

    /// The NS or DNAME record of a zone because of which nobody is ever answered with a record at `name`: that of `name`
    /// itself or of a name above it (RFC 1034 §4.2.1, RFC 6672 §2.4). Returns its name and type.
    pub fn cut(&self, zone: &DnsName, name: &DnsName) -> Option<(DnsName, &str)> {
        if self.cuts.iter().all(|cut| cut == zone) && !self.has_type(zone, DNAME) {
            return None;
        }
        let cuts_off = |cut: &DnsName| -> Option<&str> {
            let by_ns = cut != zone && self.has_type(cut, NS);
            let by_dname = cut != name && self.has_type(cut, DNAME);
            if by_ns { Some(NS) } else { by_dname.then_some(DNAME) }
        };
        // The highest one is the one that a query meets.
        let above = lineage(name).take_while(|one| one.is_within(zone));
        above.filter_map(|one| cuts_off(&one).map(|kind| (one, kind))).last()
    }

    fn has_type(&self, name: &DnsName, desired: &str) -> bool {
        self.cuts.contains(name) && self.at(name).iter().any(|set| set.type_name() == desired)
    }

    /// Whether both have the same names that cannot be written, the same delegations and the same name servers.
    pub fn same_limits(&self, other: &Self) -> bool {
        self.unwritable == other.unwritable && self.cuts == other.cuts && self.servers == other.servers
    }

    /// Adds one set.
    pub fn push(&mut self, name: DnsName, set: ObservedSet) {
        if is_cut(&set) {
            self.cuts.insert(name.clone());
        }
        let sets = self.names.entry(name).or_default();
        let before = owned(sets);
        *sets = sets.iter().cloned().chain([set]).collect();
        self.owned += usize::from(owned(sets)) - usize::from(before);
    }

    /// Replaces all sets of a name; none removes the name.
    pub fn replace(&mut self, name: DnsName, sets: impl Into<Sets>) {
        let sets = sets.into();
        if sets.iter().any(is_cut) {
            self.cuts.insert(name.clone());
        } else {
            self.cuts.remove(&name);
        }
        self.owned += usize::from(owned(&sets));
        let old = if sets.is_empty() { self.names.remove(&name) } else { self.names.insert(name, sets) };
        self.owned -= usize::from(old.is_some_and(|sets| owned(&sets)));
    }

    /// The sets of a name.
    pub fn at(&self, name: &DnsName) -> &[ObservedSet] {
        self.names.get(name).map_or(&[], |sets| sets)
    }

    /// All names with their sets, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&DnsName, &[ObservedSet])> {
        self.names.iter().map(|(name, sets)| (name, &**sets))
    }

    /// Names at which at least one set is ours.
    pub fn owned(&self) -> impl Iterator<Item = &DnsName> {
        self.iter().filter(|(_, sets)| owned(sets)).map(|(name, _)| name)
    }

    /// Those that come after a name in canonical order; all of them after none.
    pub fn owned_after<'a>(&'a self, last: Option<&DnsName>) -> impl Iterator<Item = &'a DnsName> + use<'a> {
        let from = last.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        let names = self.names.range::<_, DnsName>((from, Bound::Unbounded));
        names.filter(|(_, sets)| owned(sets)).map(|(name, _)| name)
    }

    /// How many names [`Observed::owned`] returns, without counting them.
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

const NS: &str = "NS";
const DNAME: &str = "DNAME";

fn is_cut(set: &ObservedSet) -> bool {
    matches!(set.type_name(), NS | DNAME)
}

/// A name and the names above it.
fn lineage(name: &DnsName) -> impl Iterator<Item = DnsName> {
    std::iter::successors(Some(name.clone()), DnsName::parent)
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

#[cfg(test)]
mod tests;
