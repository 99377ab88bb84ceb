//! What a plan has to pass before it may be applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::hold::Hold;
use crate::name::DnsName;
use crate::plan::{Cause, Change, HeldChange, NameChange, Plan};
use crate::quota::Limits;
use crate::service::ServiceKey;

/// What to publish when every endpoint of a name is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllDown {
    /// The last set (default).
    #[default]
    Keep,
    /// All addresses.
    All,
    /// Nothing; has to be asked for.
    Empty,
}

impl AllDown {
    /// `keep`, `all` or `empty`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::All => "all",
            Self::Empty => "empty",
        }
    }
}

/// Settings of the brakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brakes {
    /// Health never leaves fewer addresses than this at a name that has them.
    pub min_kept: usize,
    /// What to publish when every endpoint of a name is down.
    pub all_down: AllDown,
    /// Percent of the names we own that one plan may delete; what is too much waits.
    pub max_delete: u8,
    /// Percent of a zone's addresses that may go within a minute because of what probes say; one member's worth always
    /// may.
    pub max_removals: u8,
    /// Addresses of one family at one name; those that were there before stay.
    pub max_addresses: usize,
    /// Whether anything is removed at all. Without, everything that would go is kept and said.
    pub removals: bool,
}

impl Default for Brakes {
    fn default() -> Self {
        Self {
            min_kept: 1,
            all_down: AllDown::Keep,
            max_delete: 50,
            max_removals: 20,
            max_addresses: Limits::default().addresses,
            removals: true,
        }
    }
}

/// Below so many names of ours `max-delete` says nothing: a fleet this small empties in the ordinary way.
const SMALL_ZONE: usize = 10;

/// A plan that passed the brakes: the only thing that a provider applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedPlan(Plan);

impl ApprovedPlan {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.0
    }

    /// Puts the changes in another order. Changes of the same rank keep theirs.
    pub fn sort_by_rank<R: Ord>(&mut self, rank: impl Fn(&NameChange) -> R) {
        self.0.changes.sort_by_cached_key(rank);
    }

    /// Leaves out what is planned for these names: fewer changes are approved too.
    pub fn leave_out(&mut self, names: &BTreeSet<DnsName>) {
        if !names.is_empty() {
            self.0.changes.retain(|change| !names.contains(&change.name));
        }
    }

    /// Takes the first changes out, as a plan of their own: a part of what was approved is approved too.
    #[must_use]
    pub fn take_first(&mut self, count: usize) -> Self {
        let first = self.0.changes.drain(..count.min(self.0.changes.len())).collect();
        let Plan { zone, owned, .. } = &self.0;
        let (zone, owned) = (zone.clone(), *owned);
        Self(Plan { zone, changes: first, held: Vec::new(), refused: Vec::new(), owned })
    }
}

/// Lets a plan pass. Where it deletes more than `max_delete` percent of our names, in a zone in which we have at least
/// ten, deletions are taken out and said to be held; everything else passes.
///
/// Each namespace counts by itself: one that deletes too much alone is held alone, unless all that goes belongs to one
/// Service. Of the others, when they are too much together, the one that deletes most is held, and all of them when they
/// are too much without it. So no namespace can hold the deletions of another, and never more goes than may. Not counted is
/// what goes because an operator forced it out or removed a cluster from the config, and what health takes out.
pub fn approve(mut plan: Plan, brakes: &Brakes) -> ApprovedPlan {
    if plan.owned >= SMALL_ZONE {
        let held = too_many(&plan, brakes.max_delete);
        let (owned, percent) = (plan.owned, brakes.max_delete);
        let deleted = |change: &NameChange| held.get(&namespace(change)).filter(|_| counts(change)).copied();
        let reason = |deleted| Hold::MaxDelete { deleted, owned, percent };
        let too_many = plan.changes.iter().filter_map(|change| Some((change, deleted(change)?)));
        let too_many = too_many
            .map(|(change, deleted)| HeldChange { name: change.name.clone(), reason: reason(deleted) });
        plan.held.extend(too_many);
        plan.changes.retain(|change| deleted(change).is_none());
    }
    ApprovedPlan(plan)
}

/// Names that would go from one namespace.
#[derive(Default)]
struct Deletions {
    names: usize,
    services: BTreeSet<Option<ServiceKey>>,
}

impl Deletions {
    /// Whether the ownership records say that everything that goes belongs to one Service.
    fn is_one_service(&self) -> bool {
        self.services.len() == 1 && !self.services.contains(&None)
    }
}

/// The namespaces that are held, each with the deletions that are too many.
fn too_many(plan: &Plan, percent: u8) -> BTreeMap<Option<Arc<str>>, usize> {
    let is_too_much =
        |names: usize| names.saturating_mul(100) > plan.owned.saturating_mul(usize::from(percent));
    let mut all: BTreeMap<Option<Arc<str>>, Deletions> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| counts(change)) {
        let service = service(change);
        let deletions = all.entry(service.as_ref().map(|key| key.namespace().into())).or_default();
        deletions.names += 1;
        deletions.services.insert(service);
    }
    let mut held = BTreeMap::new();
    all.retain(|namespace, deletions| {
        let alone = is_too_much(deletions.names);
        if alone && !deletions.is_one_service() {
            held.insert(namespace.clone(), deletions.names);
        }
        !alone
    });
    let together: usize = all.values().map(|deletions| deletions.names).sum();
    if let Some((largest, most)) =
        all.iter().max_by_key(|(_, most)| most.names).filter(|_| is_too_much(together))
    {
        let rest = is_too_much(together - most.names);
        held.extend(all.keys().filter(|one| rest || *one == largest).map(|one| (one.clone(), together)));
    }
    held
}

/// Whether a name goes because nobody wants it any more.
fn counts(change: &NameChange) -> bool {
    let gone = |change: &Change| matches!(change, Change::Delete { cause: Cause::ServiceGone, .. });
    change.vanishes() && change.changes.iter().any(gone)
}

/// The Service that had a name, as its ownership records say.
fn service(change: &NameChange) -> Option<ServiceKey> {
    change.changes.iter().find_map(|change| Some(change.before()?.claim.ownership()?.service))
}

fn namespace(change: &NameChange) -> Option<Arc<str>> {
    service(change).map(|service| service.namespace().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Content, ObservedSet, Version};
    use crate::ownership::{Owner, Ownership, OwnershipRecord};
    use crate::record::{NonEmpty, RecordData, RecordType, Ttl};

    fn delete(name: &str, service: Option<&str>, cause: Cause) -> NameChange {
        let ownership = service.map(|service| Ownership {
            owner: "fed".parse().unwrap(),
            service: service.parse().unwrap(),
            routing: None,
            members: BTreeMap::new(),
            unattributed: BTreeSet::new(),
            overrides: crate::overrides::Overrides::default(),
        });
        let before = ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Known(RecordData::A(NonEmpty::new(["203.0.113.1".parse().unwrap()]).unwrap())),
            claim: Owner::Ours(ownership.as_ref().map(OwnershipRecord::from)),
            version: Version::default(),
        };
        let change = Change::Delete { before, record_type: RecordType::A, cause };
        NameChange { name: name.parse().unwrap(), changes: vec![change] }
    }

    fn held(owned: usize, changes: Vec<NameChange>, brakes: &Brakes) -> usize {
        let zone = "example.com".parse().unwrap();
        let count = changes.len();
        let plan = Plan { zone, changes, held: vec![], refused: vec![], owned };
        let approved = approve(plan, brakes);
        let held = approved.plan().held.len();
        assert_eq!(approved.plan().changes.len() + held, count, "each name goes or is held");
        held
    }

    fn many(count: usize, service: impl Fn(usize) -> Option<String>, cause: Cause) -> Vec<NameChange> {
        (0..count).map(|n| delete(&format!("n{n}.example.com"), service(n).as_deref(), cause)).collect()
    }

    #[test]
    fn more_than_max_delete_is_held() {
        let own = |n| Some(format!("default/s{n}"));
        let brakes = Brakes::default();
        assert_eq!(held(20, many(10, own, Cause::ServiceGone), &brakes), 0);
        assert_eq!(held(20, many(11, own, Cause::ServiceGone), &brakes), 11);
        assert_eq!(held(20, many(20, |_| None, Cause::ServiceGone), &brakes), 20);
        let all = Brakes { max_delete: 100, ..Brakes::default() };
        assert_eq!(held(20, many(20, own, Cause::ServiceGone), &all), 0);
        let none = Brakes { max_delete: 0, ..Brakes::default() };
        assert_eq!(held(20, many(2, own, Cause::ServiceGone), &none), 2);
    }

    #[test]
    fn one_service_or_a_removed_member_or_a_small_zone_may_go_whole() {
        let brakes = Brakes::default();
        assert_eq!(held(13, many(13, |_| Some("default/web".into()), Cause::ServiceGone), &brakes), 0);
        assert_eq!(held(13, many(13, |_| None, Cause::MemberDeparted), &brakes), 0);
        assert_eq!(held(9, many(9, |_| None, Cause::ServiceGone), &brakes), 0);
    }

    #[test]
    fn the_words_for_all_down_are_those_of_the_configuration() {
        let words = [AllDown::default(), AllDown::All, AllDown::Empty].map(AllDown::as_str);
        assert_eq!(words, ["keep", "all", "empty"]);
    }

    #[test]
    fn what_is_approved_may_be_put_in_order_and_names_left_out() {
        let zone = "example.com".parse().unwrap();
        let changes = many(3, |_| None, Cause::MemberDeparted);
        let plan = Plan { zone, changes, held: vec![], refused: vec![], owned: 3 };
        let mut approved = approve(plan, &Brakes::default());
        let names = |approved: &ApprovedPlan| -> Vec<String> {
            approved.plan().changes.iter().map(|change| change.name.to_string()).collect()
        };
        approved.sort_by_rank(|change| std::cmp::Reverse(change.name.to_string()));
        approved.leave_out(&BTreeSet::new());
        assert_eq!(names(&approved), ["n2.example.com", "n1.example.com", "n0.example.com"]);
        approved.leave_out(&["n1.example.com".parse().unwrap()].into());
        assert_eq!(names(&approved), ["n2.example.com", "n0.example.com"]);
    }

    /// So many deletions of each namespace, of two Services where there are two.
    fn of(namespaces: &[(&str, usize)]) -> Vec<NameChange> {
        let one = |(namespace, count): &(&str, usize)| {
            let namespace = (*namespace).to_owned();
            (0..*count).map(move |n| {
                let service = format!("{namespace}/s{}", n % 2);
                delete(&format!("n{n}.{namespace}.example.com"), Some(&service), Cause::ServiceGone)
            })
        };
        namespaces.iter().flat_map(one).collect()
    }

    #[test]
    fn no_namespace_holds_the_deletions_of_another() {
        let brakes = Brakes::default();
        for (namespaces, expected) in [
            (&[("big", 60), ("one", 1)][..], 60),
            (&[("big", 40), ("a", 12), ("b", 12), ("c", 12), ("d", 12)], 40),
            (&[("a", 40), ("b", 40), ("one", 1)], 40),
            (&[("a", 30), ("b", 30), ("c", 30)], 90),
            (&[("a", 25), ("b", 25)], 0),
        ] {
            assert_eq!(held(100, of(namespaces), &brakes), expected, "{namespaces:?}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
        let all: Vec<(&str, usize)> = many.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(held(100, of(&all), &brakes), 100, "what goes everywhere at once is nobody's override");
    }

    #[test]
    fn only_what_nobody_wants_any_more_is_held() {
        let brakes = Brakes::default();
        let own = |n| Some(format!("default/s{n}"));
        for cause in [Cause::ForcedOut, Cause::AllDown, Cause::MemberDeparted] {
            let mut changes = many(15, own, cause);
            assert_eq!(held(20, changes.clone(), &brakes), 0, "{cause}");
            changes.extend(of(&[("gone", 16)]));
            assert_eq!(held(31, changes, &brakes), 16, "{cause} goes beside what is held");
        }
    }
}
