//! The brake on how much may leave a zone within a minute because of what probes say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::address::Address;

/// How far back removals count.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that would leave, each with the namespaces whose Services it leaves.
pub(crate) type Leaving = BTreeMap<Address, BTreeSet<Arc<str>>>;

/// The addresses that left one zone lately, and whose they were.
///
/// Invariant: of one namespace no more different addresses are let go within any minute than the largest budget that
/// was given in it; of several, no more when each counts with no more addresses than the one that is let go.
/// Invariant: nothing waits while the budget is not used up, and a namespace that had less than its fair share never
/// waits for another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Velocity {
    /// In order of time.
    gone: VecDeque<Gone>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Gone {
    at: Duration,
    namespace: Arc<str>,
    address: Address,
    /// It did leave, rather than being let go.
    left: bool,
}

impl Velocity {
    /// Lets as many addresses go as there is room for; returns those that have to wait. `budget` is how many may go
    /// within a minute; `now` is any clock that does not run backwards. What left already does not count again.
    ///
    /// The budget is shared by namespace (max-min fairness): a namespace gets one address more as long as all of them fit
    /// when each counts with no more than that. What one does not need goes to the others, and what one has used before
    /// takes nothing from the share of another.
    pub(crate) fn admit(&mut self, now: Duration, leaving: &Leaving, budget: usize) -> BTreeSet<Address> {
        while self.gone.front().is_some_and(|one| now.saturating_sub(one.at) >= WINDOW) {
            self.gone.pop_front();
        }
        let (mut again, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.gone).into_iter().partition(|one| leaving.contains_key(&one.address));
        // What leaves again is in the window for as long again.
        again.iter_mut().for_each(|one| one.at = now);
        let known: BTreeSet<Address> = again.iter().map(|one| one.address.clone()).collect();
        self.gone = others.into_iter().chain(again).collect();
        let mut waiting: BTreeSet<Address> =
            leaving.keys().filter(|address| !known.contains(address)).cloned().collect();
        for (namespace, address) in self.shares(leaving, &waiting, budget) {
            waiting.remove(&address);
            self.gone.push_back(Gone { at: now, namespace, address, left: false });
        }
        waiting
    }

    /// Which of the addresses that are not in the window yet may go.
    fn shares(
        &self,
        leaving: &Leaving,
        fresh: &BTreeSet<Address>,
        budget: usize,
    ) -> Vec<(Arc<str>, Address)> {
        let mut used: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for one in &self.gone {
            *used.entry(&one.namespace).or_default() += 1;
        }
        // How many namespaces have used more than so many.
        let mut users: Vec<usize> = vec![0; used.values().max().copied().unwrap_or_default()];
        for count in used.values() {
            users.iter_mut().take(*count).for_each(|users| *users += 1);
        }
        let mut wants: BTreeMap<&Arc<str>, VecDeque<&Address>> = BTreeMap::new();
        for address in fresh {
            for namespace in leaving.get(address).into_iter().flatten() {
                wants.entry(namespace).or_default().push_back(address);
            }
        }
        let mut by_use: BTreeMap<usize, Vec<&Arc<str>>> = BTreeMap::new();
        for namespace in wants.keys().copied() {
            by_use.entry(used.get(namespace).copied().unwrap_or_default()).or_default().push(namespace);
        }
        let (mut let_go, mut taken) = (Vec::new(), BTreeSet::new());
        // All that is used when each namespace counts with no more than `level`.
        let (mut counted, mut level) = (0, 0);
        while let Some((count, namespaces)) = by_use.pop_first() {
            counted += users.iter().take(count).skip(level).sum::<usize>();
            level = count;
            users.resize(users.len().max(level + 1), 0);
            for namespace in namespaces {
                if counted + users[level] >= budget {
                    return let_go;
                }
                let desired = wants.get_mut(namespace).and_then(|wants| {
                    std::iter::from_fn(|| wants.pop_front()).find(|address| !taken.contains(*address))
                });
                let Some(address) = desired else { continue };
                taken.insert(address);
                let_go.push((Arc::clone(namespace), address.clone()));
                users[level] += 1;
                by_use.entry(level + 1).or_default().push(namespace);
            }
        }
        let_go
    }

    /// Says which of the addresses that were let go did leave, and which did not: those count no longer. Returns whether
    /// that makes room.
    pub fn finish(&mut self, left: &BTreeSet<&Address>, stayed: &BTreeSet<&Address>) -> bool {
        for one in self.gone.iter_mut().filter(|one| left.contains(&one.address)) {
            one.left = true;
        }
        let before = self.gone.len();
        self.gone.retain(|one| one.left || !stayed.contains(&one.address));
        self.gone.len() < before
    }

    /// When there is room again for what waits.
    pub(crate) fn room_at(&self) -> Option<Duration> {
        self.gone.front().map(|one| one.at + WINDOW)
    }
}

/// How many addresses may leave within a minute: a percentage of all, but always the worth of the largest member,
/// and one.
pub(crate) fn budget(all: usize, largest_member: usize, percent: u8) -> usize {
    (all * usize::from(percent)).div_ceil(100).max(largest_member).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(namespace: &str, numbers: impl IntoIterator<Item = u8>) -> Leaving {
        let one = |n| (format!("203.0.113.{n}").parse().unwrap(), BTreeSet::from([Arc::from(namespace)]));
        numbers.into_iter().map(one).collect()
    }

    fn addresses(numbers: impl IntoIterator<Item = u8>) -> Leaving {
        of("default", numbers)
    }

    fn numbers(numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Address> {
        addresses(numbers).into_keys().collect()
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_members_worth_may_always_go() {
        for (all, largest, percent, may) in [
            (0, 0, 20, 1),
            (3, 1, 20, 1),
            (100, 10, 20, 20),
            (100, 60, 20, 60),
            (100, 1, 0, 1),
            (9, 1, 20, 2),
        ] {
            assert_eq!(budget(all, largest, percent), may, "{all} {largest} {percent}");
        }
    }

    #[test]
    fn what_is_too_much_waits_for_its_turn() {
        let mut velocity = Velocity::default();
        assert_eq!(velocity.room_at(), None);
        assert_eq!(velocity.admit(at(0), &addresses(1..=3), 2), numbers([3]));
        assert_eq!(velocity.room_at(), Some(at(60)));
        // The same addresses leave at another name: that is one removal.
        assert_eq!(velocity.admit(at(1), &addresses(1..=2), 2), numbers([]));
        assert_eq!(velocity.admit(at(60), &addresses([3]), 2), numbers([3]));
        assert_eq!(velocity.admit(at(61), &addresses([3]), 2), numbers([]));
    }

    #[test]
    fn one_namespace_whose_addresses_die_makes_no_other_wait() {
        let mut velocity = Velocity::default();
        let noisy = of("noisy", 1..=60);
        assert_eq!(velocity.admit(at(0), &noisy, 20).len(), 40, "alone it has all of the budget");
        for (second, n) in (1..).zip(100..110) {
            let waits = velocity.admit(at(second), &of(&format!("quiet{n}"), [n]), 20);
            assert_eq!(waits, numbers([]), "the {second}. of the others");
        }
        let mut both = of("noisy", 21..=60);
        both.extend(of("quiet100", [100].into_iter().chain(120..=125)));
        let waits = velocity.admit(at(20), &both, 20);
        assert_eq!(
            waits,
            numbers((21..=60).chain(124..=125)),
            "five each, and one of each of the other nine, are 19"
        );
    }

    #[test]
    fn several_namespaces_share_what_there_is() {
        let mut velocity = Velocity::default();
        let mut all = of("large", 1..=50);
        all.extend(of("small", 100..=102));
        all.extend(of("middle", 150..=159));
        let waits = velocity.admit(at(0), &all, 20);
        let left = |range: std::ops::RangeInclusive<u8>| numbers(range).difference(&waits).count();
        assert_eq!((left(1..=50), left(100..=102), left(150..=159)), (9, 3, 8));
        // An address that two namespaces have counts once, for the one that has used less.
        let mut shared = Velocity::default();
        shared.admit(at(0), &of("large", 1..=50), 20);
        let two =
            Leaving::from([("203.0.113.200".parse().unwrap(), ["large".into(), "small".into()].into())]);
        assert_eq!(shared.admit(at(1), &two, 20), numbers([]));
    }

    #[test]
    fn what_was_let_go_and_did_not_leave_takes_nobodys_place() {
        let mut velocity = Velocity::default();
        assert_eq!(velocity.admit(at(0), &addresses([1, 2]), 2), numbers([]));
        let all = numbers([1, 2]);
        let (one, two) = (all.first().unwrap(), all.last().unwrap());
        assert!(velocity.finish(&[one].into(), &[two].into()), "there is room now");
        assert_eq!(velocity.admit(at(1), &addresses([3, 4]), 2), numbers([4]));
        assert!(!velocity.finish(&[].into(), &[one].into()), "what has left has left");
        assert_eq!(velocity.admit(at(2), &addresses([5]), 2), numbers([5]));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_its_budget(
            steps in proptest::collection::vec((0..40_u64, proptest::collection::btree_set(1..30_u8, 0..8)), 0..40),
            budget in 1..10_usize,
            namespaces in 1..4_u8,
        ) {
            let (mut velocity, mut now, mut left) = (Velocity::default(), 0, Vec::new());
            for (pause, leaving) in steps {
                now += pause;
                let mut all = Leaving::new();
                for n in leaving {
                    all.extend(of(&format!("ns{}", n % namespaces), [n]));
                }
                let waits = velocity.admit(at(now), &all, budget);
                prop_assert!(waits.iter().all(|address| all.contains_key(address)));
                left.extend(all.into_iter().filter(|(address, _)| !waits.contains(address)).map(|one| (now, one)));
                let recent: Leaving =
                    left.iter().filter(|(at, _)| now - at < 60).map(|(_, one)| one.clone()).collect();
                let mut used: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
                for namespace in recent.values().flatten() {
                    *used.entry(namespace).or_default() += 1;
                }
                for count in used.values() {
                    prop_assert!(*count <= budget, "{count} of one namespace");
                }
                if namespaces == 1 {
                    prop_assert!(recent.len() <= budget, "{} within a minute", recent.len());
                }
                // Nothing waits while there is room.
                prop_assert!(waits.is_empty() || recent.len() >= budget);
            }
        }
    }
}
