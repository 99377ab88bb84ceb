//! Which members have a Service, and what they have of it, so that looking at one costs what has it, however many members
//! there are.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use smallvec::SmallVec;

use crate::desired::Part;
use fleetdns_core::member::Snapshot;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::service::{Published, ServiceKey};

/// A Service in a member.
pub(crate) type Place<'a> = (&'a MemberName, &'a ServiceKey);

/// What members have of a Service, by member in order; almost always there is one.
type Held = SmallVec<[(MemberName, Arc<Published>); 1]>;

/// Members by Service. Cloning is cheap. No hash map of `imbl`: its nodes are mostly empty in a fleet of 100,000.
///
/// Invariant: a Service that any member of the snapshot has is here with each of them, as that has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(OrdMap<ServiceKey, Held>);

impl Holders {
    /// Takes in what differs between two snapshots.
    pub(crate) fn update(&mut self, before: &Snapshot, now: &Snapshot) {
        for difference in before.members.diff(&now.members) {
            match difference {
                DiffItem::Add(name, member) => {
                    member.services.iter().for_each(|(key, service)| self.set(key, name, service));
                }
                DiffItem::Remove(name, member) => {
                    member.services.keys().for_each(|key| self.remove(key, name));
                }
                DiffItem::Update { old: (name, old), new: (_, new) } => {
                    for service in old.services.diff(&new.services) {
                        match service {
                            DiffItem::Remove(key, _) => self.remove(key, name),
                            DiffItem::Add(key, service) | DiffItem::Update { new: (key, service), .. } => {
                                self.set(key, name, service);
                            }
                        }
                    }
                }
            }
        }
    }

    fn set(&mut self, key: &ServiceKey, name: &MemberName, service: &Arc<Published>) {
        let held = self.0.entry(key.clone()).or_default();
        let (place, old) = match held.binary_search_by(|(member, _)| member.cmp(name)) {
            Ok(place) => (place, true),
            Err(place) => (place, false),
        };
        if old {
            held.remove(place);
        }
        held.insert(place, (name.clone(), Arc::clone(service)));
    }

    fn remove(&mut self, key: &ServiceKey, name: &MemberName) {
        let Some(held) = self.0.get_mut(key) else { return };
        held.retain(|(member, _)| member != name);
        if held.is_empty() {
            self.0.remove(key);
        }
    }

    /// Those of these Services alone.
    pub(crate) fn only<'a>(&self, services: impl IntoIterator<Item = &'a ServiceKey>) -> Self {
        Self(services.into_iter().filter_map(|key| Some((key.clone(), self.0.get(key)?.clone()))).collect())
    }

    /// A Service in each member that has it.
    pub(crate) fn places<'a>(&'a self, key: &'a ServiceKey) -> impl Iterator<Item = Place<'a>> {
        self.0.get(key).into_iter().flatten().map(move |(name, _)| (name, key))
    }

    /// The members of a snapshot that have a Service, with what they have of it, by name.
    pub(crate) fn parts<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        key: &ServiceKey,
    ) -> impl Iterator<Item = Part<'a>> {
        let held = self.0.get(key).into_iter().flatten();
        held.filter_map(|(name, service)| Some((&**snapshot.members.get(name)?, service)))
    }
}
