//! Changes that were planned and are not written yet, counted by verb.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{DnsName, NameChange, Plan};
use fleetdns_planner::Scope;
use tokio::time::Instant;

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
    /// What becomes of a name, and since when.
    names: BTreeMap<DnsName, (ByVerb, Instant)>,
    total: ByVerb,
    /// Since when names wait to be planned, because something that they depend on has changed.
    changed: BTreeMap<DnsName, Instant>,
}

impl Unwritten {
    /// Something that these names depend on changed at this moment.
    pub(super) fn changed(&mut self, scope: &Scope, at: Instant) {
        if let Scope::Names(names) = scope {
            for name in names {
                self.changed.entry(name.clone()).or_insert(at);
            }
        }
    }

    /// These names were planned. A name that waits for the zone to be read stays as it was.
    pub(super) fn planned(&mut self, scope: &Scope, plan: &Plan, waits: &BTreeSet<DnsName>, now: Instant) {
        let over: Vec<DnsName> = match scope {
            Scope::All => self.names.keys().chain(self.changed.keys()).cloned().collect(),
            Scope::Names(names) => names.iter().cloned().collect(),
        };
        let mut since: BTreeMap<DnsName, Instant> = BTreeMap::new();
        for name in over.into_iter().filter(|name| !waits.contains(name)) {
            let changed = self.changed.remove(&name);
            if let Some(at) = self.remove(&name).or(changed) {
                since.insert(name, at);
            }
        }
        for change in &plan.changes {
            let verbs = ByVerb::of(change);
            let since = self.remove(&change.name).or_else(|| since.remove(&change.name)).unwrap_or(now);
            self.total.add(verbs);
            self.names.insert(change.name.clone(), (verbs, since));
        }
    }

    /// A name is written, or the backend refuses it. Returns since when it was to be written.
    pub(super) fn remove(&mut self, name: &DnsName) -> Option<Instant> {
        let (verbs, since) = self.names.remove(name)?;
        self.total.subtract(verbs);
        Some(since)
    }

    pub(super) const fn total(&self) -> ByVerb {
        self.total
    }
}
