//! Names that a backend refused lately, and the order in which a plan is written because of it.
//!
//! Invariant: a name that was refused lately never stands before one that was not, and of those that were refused the
//! one that waited longest comes first: no order of names can starve a name.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::DnsName;
use crate::observed::ObservedSet;
use crate::plan::{Cause, Change, NameChange};
use crate::record::RecordSet;

/// Most names that are remembered; with more, those that were refused longest ago are forgotten.
const MOST: usize = 10_000;

/// Names that a backend refused lately.
#[derive(Debug, Default)]
pub struct Refusals {
    /// When a name was refused last, as a count of refusals.
    names: BTreeMap<DnsName, u64>,
    count: u64,
}

/// A plan's names in the order in which they are written.
#[derive(Debug, Default)]
pub struct Order<'a> {
    /// Names that lose addresses and were not refused lately. To be written before all others, in batches of their own.
    pub removals: Vec<&'a NameChange>,
    /// All others that were not refused lately.
    pub others: Vec<&'a NameChange>,
    /// Names that were refused lately. To be written last, each by itself.
    pub refused: Vec<&'a NameChange>,
}

impl Refusals {
    /// Remembers that a name was refused.
    pub fn refuse(&mut self, name: &DnsName) {
        self.count += 1;
        self.names.insert(name.clone(), self.count);
        if self.names.len() > MOST {
            let since = self.count.saturating_sub(MOST as u64 / 2);
            self.names.retain(|_, count| *count > since);
        }
    }

    /// Forgets a name: it was written, or its fault was another one.
    pub fn forget(&mut self, name: &DnsName) {
        self.names.remove(name);
    }

    /// Whether a name was refused lately.
    pub fn contains(&self, name: &DnsName) -> bool {
        self.names.contains_key(name)
    }

    /// The order in which a plan is written.
    pub fn order<'a>(&self, changes: &'a [NameChange]) -> Order<'a> {
        let mut order = Order::default();
        for change in changes {
            let place = if self.contains(&change.name) {
                &mut order.refused
            } else if removes(change) {
                &mut order.removals
            } else {
                &mut order.others
            };
            place.push(change);
        }
        order.refused.sort_by_key(|change| self.names.get(&change.name));
        order
    }
}

/// Whether a name loses a value that its Service still has: what a dead endpoint does.
fn removes(change: &NameChange) -> bool {
    let loses = |before: &ObservedSet, set: &RecordSet| {
        let after = set.data.values();
        before.content.data().is_some_and(|data| data.values().iter().any(|value| !after.contains(value)))
    };
    change.changes.iter().any(|one| match one {
        Change::Create { .. } | Change::Adopt { .. } | Change::Release { .. } => false,
        Change::Update { before, set, .. } => loses(before, set),
        Change::Delete { cause, .. } => {
            !matches!(cause, Cause::ServiceGone | Cause::MemberDeparted | Cause::ZoneReleased)
        }
    })
}

/// How long one plan may be held up by names that are refused. Names that are left then are not tried: in the next plan
/// they come before those that were refused now.
#[derive(Debug, Clone, Copy)]
pub struct RefusalBudget {
    left: Duration,
}

impl Default for RefusalBudget {
    /// Four seconds: a dead address of another name, which waits for the plan that is under way, leaves in its time.
    fn default() -> Self {
        Self { left: Duration::from_secs(4) }
    }
}

impl RefusalBudget {
    /// Takes off how long a call took that was refused.
    pub fn spend(&mut self, took: Duration) {
        self.left = self.left.saturating_sub(took);
    }

    /// Whether nothing is left.
    pub const fn is_spent(&self) -> bool {
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Content, Version};
    use crate::ownership::{Owner, OwnershipRecord};
    use crate::record::{NonEmpty, RecordData, RecordType, Ttl};

    fn data(addresses: &[&str]) -> RecordData {
        RecordData::A(NonEmpty::new(addresses.iter().map(|text| text.parse().unwrap())).unwrap())
    }

    fn change(name: &str, before: &[&str], after: &[&str]) -> NameChange {
        let name: DnsName = name.parse().unwrap();
        let mark: OwnershipRecord = "v=1 owner=fed service=default/web".parse().unwrap();
        let read = || ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Known(data(before)),
            claim: Owner::Ours(Some(mark.clone())),
            version: Version::default(),
        };
        let set = || RecordSet { name: name.clone(), ttl: Ttl::DEFAULT, data: data(after) };
        let one = match (before, after) {
            ([], _) => Change::Create { set: set(), mark: mark.clone() },
            (_, []) => {
                Change::Delete { before: read(), record_type: RecordType::A, cause: Cause::ServiceGone }
            }
            _ => Change::Update { before: read(), set: set(), mark: mark.clone() },
        };
        NameChange { name, changes: vec![one] }
    }

    fn names(changes: &[&NameChange]) -> String {
        changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn removals_come_first_and_refused_names_last_the_longest_waiting_one_before_the_others() {
        let (one, two) = ("192.0.2.1", "192.0.2.2");
        let changes = [
            change("bad1.z", &[], &[one]),
            change("bad2.z", &[one, two], &[one]),
            change("gone.z", &[one], &[]),
            change("less.z", &[one, two], &[two]),
            change("more.z", &[one], &[one, two]),
            change("new.z", &[], &[one]),
        ];
        let mut refusals = Refusals::default();
        refusals.refuse(&"bad2.z".parse().unwrap());
        refusals.refuse(&"bad1.z".parse().unwrap());
        let order = refusals.order(&changes);
        assert_eq!(names(&order.removals), "less.z");
        assert_eq!(names(&order.others), "gone.z more.z new.z");
        assert_eq!(names(&order.refused), "bad2.z bad1.z");
        refusals.refuse(&"bad2.z".parse().unwrap());
        refusals.forget(&"bad1.z".parse().unwrap());
        assert_eq!(names(&refusals.order(&changes).refused), "bad2.z");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut refusals = Refusals::default();
        for index in 0..MOST + 3 {
            refusals.refuse(&format!("n{index}.z").parse().unwrap());
        }
        let has = |index: usize| refusals.contains(&format!("n{index}.z").parse().unwrap());
        assert!(refusals.names.len() <= MOST);
        assert!(!has(0) && has(MOST / 2 + 3) && has(MOST + 2));
    }
}
