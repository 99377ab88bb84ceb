//! What has to be probed, kept up to date from the difference of two snapshots.

use std::collections::HashMap;
use std::sync::Arc;

use fleetdns_core::member::{Inventory, MemberView, Snapshot};
use fleetdns_core::{Published, ServiceKey, Target};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

/// How many services of how many members want each target.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    snapshot: Snapshot,
    wanted: HashMap<Target, usize>,
}

/// What a snapshot changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<Target>,
    pub(crate) removed: Vec<Target>,
}

impl Demand {
    /// Takes in a snapshot. Costs what changed, not what there is.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) -> Changes {
        let none = OrdMap::new();
        let mut delta = HashMap::new();
        for (name, member) in &snapshot.members {
            let old = self.snapshot.members.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, member)) {
                continue;
            }
            count(old.map_or(&none, |old| probed(old, &none)), probed(member, &none), &mut delta);
        }
        for (name, member) in &self.snapshot.members {
            if !snapshot.members.contains_key(name) {
                count(probed(member, &none), &none, &mut delta);
            }
        }
        self.snapshot = snapshot.clone();
        self.apply(delta)
    }

    fn apply(&mut self, delta: HashMap<Target, isize>) -> Changes {
        let mut changes = Changes::default();
        for (target, change) in delta {
            let before = self.wanted.get(&target).copied().unwrap_or(0);
            let after = before.saturating_add_signed(change);
            match (before, after) {
                (0, 0) => {}
                (_, 0) => {
                    self.wanted.remove(&target);
                    changes.removed.push(target);
                }
                (0, _) => {
                    self.wanted.insert(target.clone(), after);
                    changes.added.push(target);
                }
                _ => {
                    self.wanted.insert(target, after);
                }
            }
        }
        changes
    }
}

type Services = OrdMap<ServiceKey, Arc<Published>>;

fn probed<'a>(member: &'a MemberView, none: &'a Services) -> &'a Services {
    if member.inventory == Inventory::Departed { none } else { &member.services }
}

fn count(old: &Services, new: &Services, delta: &mut HashMap<Target, isize>) {
    let mut add = |service: &Published, change: isize| {
        for target in service.targets() {
            *delta.entry(target).or_default() += change;
        }
    };
    for difference in old.diff(new) {
        match difference {
            DiffItem::Add(_, service) => add(service, 1),
            DiffItem::Remove(_, service) => add(service, -1),
            DiffItem::Update { old: (_, old), new: (_, new) } => {
                add(old, -1);
                add(new, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{drop_service, fleet, member, put_service, targets_of};

    fn changes(demand: &mut Demand, snapshot: &Snapshot) -> (Vec<String>, Vec<String>) {
        let changes = demand.update(snapshot);
        (targets_of(&changes.added), targets_of(&changes.removed))
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_difference_is_told() {
        let mut demand = Demand::default();
        let mut snapshot =
            fleet(&[member("west", &[("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80")])]);
        assert_eq!(
            changes(&mut demand, &snapshot),
            (texts(&["10.0.0.1 tcp:80", "10.0.0.2 tcp:80"]), texts(&[]))
        );
        assert_eq!(demand.update(&snapshot), Changes::default());
        put_service(&mut snapshot, "west", ("a", "10.0.0.3", "tcp:80"));
        assert_eq!(
            changes(&mut demand, &snapshot),
            (texts(&["10.0.0.3 tcp:80"]), texts(&["10.0.0.1 tcp:80"]))
        );
    }

    #[test]
    fn a_target_lives_while_any_member_wants_it() {
        let mut demand = Demand::default();
        let shared = ("a", "10.0.0.1", "tcp:80");
        let mut snapshot = fleet(&[member("west", &[shared]), member("east", &[shared])]);
        assert_eq!(changes(&mut demand, &snapshot), (texts(&["10.0.0.1 tcp:80"]), texts(&[])));
        drop_service(&mut snapshot, "west", "a");
        assert_eq!(demand.update(&snapshot), Changes::default());
        // It moves to another service within one snapshot: nothing stops.
        drop_service(&mut snapshot, "east", "a");
        put_service(&mut snapshot, "west", ("b", "10.0.0.1", "tcp:80"));
        assert_eq!(demand.update(&snapshot), Changes::default());
        snapshot.members.clear();
        assert_eq!(changes(&mut demand, &snapshot), (texts(&[]), texts(&["10.0.0.1 tcp:80"])));
        assert!(demand.wanted.is_empty());
    }

    #[test]
    fn what_is_departed_or_not_probed_is_left_alone() {
        let mut demand = Demand::default();
        let mut west = member("west", &[("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "none")]);
        let mut snapshot = fleet(std::slice::from_ref(&west));
        assert_eq!(changes(&mut demand, &snapshot).0, ["10.0.0.1 tcp:80"]);
        west.inventory = Inventory::Departed;
        snapshot.members.insert(west.name.clone(), Arc::new(west));
        assert_eq!(changes(&mut demand, &snapshot).1, ["10.0.0.1 tcp:80"]);
    }

    #[test]
    fn a_host_name_is_resolved_even_when_it_is_not_probed() {
        let mut demand = Demand::default();
        let snapshot = fleet(&[member("west", &[("a", "lb.example.com", "none")])]);
        assert_eq!(changes(&mut demand, &snapshot).0, ["lb.example.com none"]);
    }
}
