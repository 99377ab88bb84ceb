//! Which members have a Service, so that looking at one costs what has it, however many members there are.

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use smallvec::SmallVec;

use crate::desired::Part;
use fleetdns_core::member::Snapshot;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::service::ServiceKey;

/// A Service in a member.
pub(crate) type Place<'a> = (&'a MemberName, &'a ServiceKey);

/// Members by Service, in order. Cloning is cheap. No hash map of `imbl`: its nodes are mostly empty in a fleet of 100,000.
///
/// Invariant: a Service that any member of the snapshot has is here with each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(OrdMap<ServiceKey, SmallVec<[MemberName; 1]>>);

impl Holders {
    /// Takes in what differs between two snapshots.
    pub(crate) fn update(&mut self, before: &Snapshot, now: &Snapshot) {
        for difference in before.members.diff(&now.members) {
            match difference {
                DiffItem::Add(name, member) => member.services.keys().for_each(|key| self.add(key, name)),
                DiffItem::Remove(name, member) => {
                    member.services.keys().for_each(|key| self.remove(key, name));
                }
                DiffItem::Update { old: (name, old), new: (_, new) } => {
                    for service in old.services.diff(&new.services) {
                        match service {
                            DiffItem::Add(key, _) => self.add(key, name),
                            DiffItem::Remove(key, _) => self.remove(key, name),
                            DiffItem::Update { .. } => {}
                        }
                    }
                }
            }
        }
    }

    fn add(&mut self, key: &ServiceKey, name: &MemberName) {
        let members = self.0.entry(key.clone()).or_default();
        if let Err(place) = members.binary_search(name) {
            members.insert(place, name.clone());
        }
    }

    fn remove(&mut self, key: &ServiceKey, name: &MemberName) {
        let Some(members) = self.0.get_mut(key) else { return };
        members.retain(|one| one != name);
        if members.is_empty() {
            self.0.remove(key);
        }
    }

    /// A Service in each member that has it.
    pub(crate) fn places<'a>(&'a self, key: &'a ServiceKey) -> impl Iterator<Item = Place<'a>> {
        self.0.get(key).into_iter().flatten().map(move |name| (name, key))
    }

    /// The members of a snapshot that have a Service, with what they have of it, by name.
    pub(crate) fn parts<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        key: &'a ServiceKey,
    ) -> impl Iterator<Item = (&'a MemberName, Part<'a>)> {
        self.0.get(key).into_iter().flatten().filter_map(move |name| {
            let member = snapshot.members.get(name)?;
            Some((name, (&**member, member.services.get(key)?)))
        })
    }
}
