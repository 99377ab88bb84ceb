//! Changes that were planned and are not written yet, counted by verb.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{DnsName, NameChange, Plan};
use fleetdns_planner::Scope;

/// Record sets by what becomes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByVerb {
    /// To be created.
    pub create: u64,
    /// To be updated.
    pub update: u64,
    /// To be deleted.
    pub delete: u64,
}

impl ByVerb {
    fn of(change: &NameChange) -> Self {
        let count = |verb| change.changes.iter().filter(|one| one.verb() == verb).count() as u64;
        Self { create: count("create"), update: count("update"), delete: count("delete") }
    }

    const fn add(&mut self, other: Self) {
        self.create += other.create;
        self.update += other.update;
        self.delete += other.delete;
    }

    const fn subtract(&mut self, other: Self) {
        self.create -= other.create;
        self.update -= other.update;
        self.delete -= other.delete;
    }
}

/// The unwritten changes of a zone, without those that the backend refuses.
///
/// Invariant: `total` is the sum over `names`.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    names: BTreeMap<DnsName, ByVerb>,
    total: ByVerb,
}

impl Unwritten {
    /// These names were planned. A name that waits for the zone to be read stays as it was.
    pub(super) fn planned(&mut self, scope: &Scope, plan: &Plan, waits: &BTreeSet<DnsName>) {
        let over: Vec<DnsName> = match scope {
            Scope::All => self.names.keys().filter(|name| !waits.contains(*name)).cloned().collect(),
            Scope::Names(names) => names.difference(waits).cloned().collect(),
        };
        over.iter().for_each(|name| self.remove(name));
        for change in &plan.changes {
            self.remove(&change.name);
            let verbs = ByVerb::of(change);
            self.total.add(verbs);
            self.names.insert(change.name.clone(), verbs);
        }
    }

    /// A name is written, or the backend refuses it.
    pub(super) fn remove(&mut self, name: &DnsName) {
        if let Some(verbs) = self.names.remove(name) {
            self.total.subtract(verbs);
        }
    }

    pub(super) const fn total(&self) -> ByVerb {
        self.total
    }
}
