//! What a plan has to pass before it may be applied.

use std::collections::BTreeSet;

use crate::plan::{Cause, Change, Held, Hold, NameChange, Plan};
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
    /// Percent of the names we own that one plan may delete.
    pub max_delete: u8,
    /// Percent of a zone's addresses that may go within a minute because of what probes say; one member's worth always
    /// may.
    pub max_removals: u8,
    /// Whether anything is removed at all. Without, everything that would go is kept and said.
    pub removals: bool,
}

impl Default for Brakes {
    fn default() -> Self {
        Self { min_kept: 1, all_down: AllDown::Keep, max_delete: 50, max_removals: 20, removals: true }
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

    /// Takes the first changes out, as a plan of their own: a part of what was approved is approved too.
    #[must_use]
    pub fn take_first(&mut self, count: usize) -> Self {
        let rest = self.0.changes.split_off(count.min(self.0.changes.len()));
        let first = std::mem::replace(&mut self.0.changes, rest);
        let Plan { zone, owned, .. } = &self.0;
        let (zone, owned) = (zone.clone(), *owned);
        Self(Plan { zone, changes: first, held: Vec::new(), refused: Vec::new(), owned })
    }
}

/// Lets a plan pass, or empties it and says at each name why.
///
/// A plan is refused whole when it deletes more than `max_delete` percent of our names, in a zone in which we have at
/// least ten. Not counted is what goes because a person removed a cluster from the config, or when all that goes
/// belongs to a single Service.
pub fn approve(mut plan: Plan, brakes: &Brakes) -> ApprovedPlan {
    let counted = plan.changes.iter().filter(|change| counts(change)).count();
    let too_much = counted * 100 > plan.owned * usize::from(brakes.max_delete);
    if plan.owned >= SMALL_ZONE && too_much && !single_service(&plan.changes) {
        let reason = Hold::MaxDelete { deleted: counted, owned: plan.owned, percent: brakes.max_delete };
        let refused = std::mem::take(&mut plan.changes);
        plan.held
            .extend(refused.into_iter().map(|change| Held { name: change.name, reason: reason.clone() }));
    }
    ApprovedPlan(plan)
}

fn counts(change: &NameChange) -> bool {
    let asked_for = |change: &Change| matches!(change, Change::Delete { cause: Cause::MemberDeparted, .. });
    change.vanishes() && !change.changes.iter().all(asked_for)
}

/// Whether the ownership marks say that everything that goes belongs to one Service.
fn single_service(changes: &[NameChange]) -> bool {
    let mut services: BTreeSet<Option<ServiceKey>> = BTreeSet::new();
    for change in changes.iter().filter(|change| counts(change)).flat_map(|change| &change.changes) {
        services
            .insert(change.before().and_then(|set| set.claim.evidence()).map(|evidence| evidence.service));
    }
    services.len() == 1 && !services.contains(&None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::evidence::{Claim, Evidence, Mark};
    use crate::observed::{Content, ObservedSet, Version};
    use crate::record::{NonEmpty, RecordData, RecordType, Ttl};

    fn delete(name: &str, service: Option<&str>, cause: Cause) -> NameChange {
        let evidence = service.map(|service| Evidence {
            owner: "fed".parse().unwrap(),
            service: service.parse().unwrap(),
            members: std::collections::BTreeMap::new(),
            orphans: BTreeSet::new(),
            intents: crate::intent::Intents::default(),
        });
        let before = ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Known(RecordData::A(NonEmpty::new(["203.0.113.1".parse().unwrap()]).unwrap())),
            claim: Claim::Ours(evidence.as_ref().map(Mark::from)),
            version: Version(Arc::from("")),
        };
        let change = Change::Delete { before, record_type: RecordType::A, cause };
        NameChange { name: name.parse().unwrap(), changes: vec![change] }
    }

    fn held(owned: usize, changes: Vec<NameChange>, brakes: &Brakes) -> usize {
        let zone = "example.com".parse().unwrap();
        let count = changes.len();
        let plan = Plan { zone, changes, held: vec![], refused: vec![], owned };
        let approved = approve(plan, brakes);
        assert!(
            approved.plan().changes.is_empty() || approved.plan().changes.len() == count,
            "whole or not at all"
        );
        approved.plan().held.len()
    }

    fn many(count: usize, service: impl Fn(usize) -> Option<String>, cause: Cause) -> Vec<NameChange> {
        (0..count).map(|n| delete(&format!("n{n}.example.com"), service(n).as_deref(), cause)).collect()
    }

    #[test]
    fn more_than_max_delete_is_refused_whole() {
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
    fn one_service_or_a_departed_member_or_a_small_zone_may_go_whole() {
        let brakes = Brakes::default();
        assert_eq!(held(13, many(13, |_| Some("default/web".into()), Cause::ServiceGone), &brakes), 0);
        assert_eq!(held(13, many(13, |_| None, Cause::MemberDeparted), &brakes), 0);
        assert_eq!(held(9, many(9, |_| None, Cause::ServiceGone), &brakes), 0);
    }
}
