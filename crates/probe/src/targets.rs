//! What has to be probed, kept up to date from the difference of two snapshots.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleetdns_core::member::{Inventory, MemberView, Snapshot};
use fleetdns_core::{MemberName, Published, ServiceKey, Target};
use fleetdns_health::Place;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use smallvec::SmallVec;

/// Which members want each target, and for which namespaces.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    snapshot: Snapshot,
    desired: HashMap<Target, Claims>,
}

/// Who wants one target.
#[derive(Debug, Default)]
struct Claims {
    /// Places, and how many of their services.
    places: SmallVec<[(Place, usize); 1]>,
    /// Wanted for its own sake.
    pinned: bool,
}

impl Claims {
    fn is_empty(&self) -> bool {
        self.places.is_empty() && !self.pinned
    }

    /// Returns whether the place wants it and did not, or no more.
    fn change(&mut self, place: &Place, change: isize) -> Option<bool> {
        let found = self.places.iter().position(|(known, _)| known == place);
        let before = found.and_then(|at| self.places.get(at)).map_or(0, |(_, count)| *count);
        let after = before.saturating_add_signed(change);
        match found {
            Some(at) if after == 0 => {
                self.places.swap_remove(at);
            }
            Some(at) => self.places.get_mut(at).into_iter().for_each(|(_, count)| *count = after),
            None if after > 0 => self.places.push((place.clone(), after)),
            None => {}
        }
        match (before, after) {
            (0, 1..) => Some(true),
            (1.., 0) => Some(false),
            _ => None,
        }
    }
}

/// What a snapshot changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<Target>,
    pub(crate) removed: Vec<Target>,
    /// Places that want a target and did not.
    pub(crate) joined: Vec<(Target, Place)>,
    /// Places that do not want a target any more.
    pub(crate) left: Vec<(Target, Place)>,
}

/// By target: how many services more of which places want it.
/// In order, so that a run in simulated time can be repeated.
type Delta = BTreeMap<Target, SmallVec<[(Place, isize); 1]>>;

impl Targets {
    /// The target is wanted whatever members want, until it is unpinned. Returns whether it was not wanted before.
    pub(crate) fn pin(&mut self, target: Target) -> bool {
        let claims = self.desired.entry(target).or_default();
        let new = claims.is_empty();
        claims.pinned = true;
        new
    }

    /// The target is wanted only as members want it. Returns whether it is not wanted any more.
    pub(crate) fn unpin(&mut self, target: &Target) -> bool {
        let Some(claims) = self.desired.get_mut(target).filter(|claims| claims.pinned) else { return false };
        claims.pinned = false;
        let gone = claims.is_empty();
        if gone {
            self.desired.remove(target);
        }
        gone
    }

    /// Places that want a target.
    pub(crate) fn places(&self, target: &Target) -> impl Iterator<Item = &Place> {
        self.desired.get(target).into_iter().flat_map(|claims| &claims.places).map(|(place, _)| place)
    }

    /// Takes in a snapshot. Costs what changed, not what there is.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) -> Changes {
        let none = OrdMap::new();
        let mut delta = Delta::new();
        for (name, member) in &snapshot.members {
            let old = self.snapshot.members.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, member)) {
                continue;
            }
            count(name, old.map_or(&none, |old| probed(old, &none)), probed(member, &none), &mut delta);
        }
        for (name, member) in &self.snapshot.members {
            if !snapshot.members.contains_key(name) {
                count(name, probed(member, &none), &none, &mut delta);
            }
        }
        self.snapshot = snapshot.clone();
        self.apply(delta)
    }

    fn apply(&mut self, delta: Delta) -> Changes {
        let mut changes = Changes::default();
        for (target, places) in delta {
            let claims = self.desired.entry(target.clone()).or_default();
            let was_empty = claims.is_empty();
            for (place, change) in places {
                match claims.change(&place, change) {
                    Some(true) => changes.joined.push((target.clone(), place)),
                    Some(false) => changes.left.push((target.clone(), place)),
                    None => {}
                }
            }
            let is_empty = claims.is_empty();
            if is_empty {
                self.desired.remove(&target);
            }
            match (was_empty, is_empty) {
                (true, false) => changes.added.push(target),
                (false, true) => changes.removed.push(target),
                _ => {}
            }
        }
        changes
    }
}

type Services = OrdMap<ServiceKey, Arc<Published>>;

fn probed<'a>(member: &'a MemberView, none: &'a Services) -> &'a Services {
    if member.inventory == Inventory::Removed { none } else { &member.services }
}

fn count(member: &MemberName, old: &Services, new: &Services, delta: &mut Delta) {
    let mut add = |service: &Published, change: isize| {
        let place = Place { member: member.clone(), namespace: service.key.namespace().into() };
        for target in service.targets() {
            let changes = delta.entry(target).or_default();
            match changes.iter_mut().find(|(known, _)| *known == place) {
                Some((_, sum)) => *sum += change,
                None => changes.push((place.clone(), change)),
            }
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

    fn changes(targets: &mut Targets, snapshot: &Snapshot) -> (Vec<String>, Vec<String>) {
        let changes = targets.update(snapshot);
        (targets_of(&changes.added), targets_of(&changes.removed))
    }

    /// Members of the places that joined and left, where no target came or went.
    fn moves(targets: &mut Targets, snapshot: &Snapshot) -> (Vec<String>, Vec<String>) {
        let Changes { added, removed, joined, left } = targets.update(snapshot);
        assert!(added.is_empty() && removed.is_empty(), "{added:?} {removed:?}");
        let names =
            |all: Vec<(Target, Place)>| all.iter().map(|(_, place)| place.member.to_string()).collect();
        (names(joined), names(left))
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_difference_is_told() {
        let mut targets = Targets::default();
        let mut snapshot =
            fleet(&[member("west", &[("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "tcp:80")])]);
        assert_eq!(
            changes(&mut targets, &snapshot),
            (texts(&["10.0.0.1 tcp:80", "10.0.0.2 tcp:80"]), texts(&[]))
        );
        assert_eq!(targets.update(&snapshot), Changes::default());
        put_service(&mut snapshot, "west", ("a", "10.0.0.3", "tcp:80"));
        assert_eq!(
            changes(&mut targets, &snapshot),
            (texts(&["10.0.0.3 tcp:80"]), texts(&["10.0.0.1 tcp:80"]))
        );
    }

    #[test]
    fn a_target_lives_while_any_member_wants_it() {
        let mut targets = Targets::default();
        let shared = ("a", "10.0.0.1", "tcp:80");
        let mut snapshot = fleet(&[member("west", &[shared]), member("east", &[shared])]);
        assert_eq!(changes(&mut targets, &snapshot), (texts(&["10.0.0.1 tcp:80"]), texts(&[])));
        drop_service(&mut snapshot, "west", "a");
        assert_eq!(moves(&mut targets, &snapshot), (texts(&[]), texts(&["west"])));
        // It moves to another service within one snapshot: nothing stops.
        drop_service(&mut snapshot, "east", "a");
        put_service(&mut snapshot, "west", ("b", "10.0.0.1", "tcp:80"));
        assert_eq!(moves(&mut targets, &snapshot), (texts(&["west"]), texts(&["east"])));
        snapshot.members.clear();
        assert_eq!(changes(&mut targets, &snapshot), (texts(&[]), texts(&["10.0.0.1 tcp:80"])));
        assert!(targets.desired.is_empty());
    }

    #[test]
    fn what_is_pinned_neither_comes_nor_goes() {
        let mut targets = Targets::default();
        let mut snapshot = fleet(&[member("west", &[("a", "10.0.0.1", "tcp:80")])]);
        let target = snapshot.targets().into_iter().next().unwrap();
        targets.pin(target.clone());
        assert_eq!(moves(&mut targets, &snapshot), (texts(&["west"]), texts(&[])));
        assert_eq!(targets.places(&target).count(), 1);
        snapshot.members.clear();
        assert_eq!(moves(&mut targets, &snapshot), (texts(&[]), texts(&["west"])));
        assert_eq!(targets.places(&target).count(), 0);
    }

    #[test]
    fn each_namespace_of_a_member_counts_for_itself() {
        let mut targets = Targets::default();
        let mut snapshot = fleet(&[member("west", &[("a/web", "10.0.0.1", "tcp:80")])]);
        targets.update(&snapshot);
        put_service(&mut snapshot, "west", ("b/web", "10.0.0.1", "tcp:80"));
        assert_eq!(moves(&mut targets, &snapshot), (texts(&["west"]), texts(&[])));
        put_service(&mut snapshot, "west", ("b/shop", "10.0.0.1", "tcp:80"));
        assert_eq!(moves(&mut targets, &snapshot), (texts(&[]), texts(&[])));
    }

    #[test]
    fn what_is_removed_or_not_probed_is_left_alone() {
        let mut targets = Targets::default();
        let mut west = member("west", &[("a", "10.0.0.1", "tcp:80"), ("b", "10.0.0.2", "none")]);
        let mut snapshot = fleet(std::slice::from_ref(&west));
        assert_eq!(changes(&mut targets, &snapshot).0, ["10.0.0.1 tcp:80"]);
        west.inventory = Inventory::Removed;
        snapshot.members.insert(west.name.clone(), Arc::new(west));
        assert_eq!(changes(&mut targets, &snapshot).1, ["10.0.0.1 tcp:80"]);
    }

    #[test]
    fn a_host_name_is_resolved_even_when_it_is_not_probed() {
        let mut targets = Targets::default();
        let snapshot = fleet(&[member("west", &[("a", "lb.example.com", "none")])]);
        assert_eq!(changes(&mut targets, &snapshot).0, ["lb.example.com none"]);
    }
}
