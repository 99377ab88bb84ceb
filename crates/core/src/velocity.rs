//! The brake on how much may leave a zone within a minute because of what probes say.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::address::Address;

/// How far back removals count.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The addresses that left one zone lately.
///
/// Invariant: within any [`WINDOW`] no more different addresses are let go than the largest budget that was given in it.
#[derive(Debug, Clone, Default)]
pub struct Velocity {
    gone: VecDeque<(Duration, Address)>,
}

impl Velocity {
    /// Lets as many addresses go as there is room for; gives those that have to wait. `budget` is how many may go within
    /// a [`WINDOW`]; `now` is any clock that does not run backwards. What left already does not count again.
    pub fn admit(&mut self, now: Duration, leaving: &BTreeSet<Address>, budget: usize) -> BTreeSet<Address> {
        while self.gone.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.gone.pop_front();
        }
        let (mut again, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.gone).into_iter().partition(|(_, address)| leaving.contains(address));
        let known: BTreeSet<&Address> = again.iter().map(|(_, address)| address).collect();
        let mut fresh: Vec<Address> =
            leaving.iter().filter(|address| !known.contains(address)).cloned().collect();
        // What leaves again is in the window for as long again.
        again.iter_mut().for_each(|(at, _)| *at = now);
        self.gone = others.into_iter().chain(again).collect();
        let room = budget.saturating_sub(self.gone.len()).min(fresh.len());
        let waiting = fresh.split_off(room);
        self.gone.extend(fresh.into_iter().map(|address| (now, address)));
        waiting.into_iter().collect()
    }

    /// When there is room again for what waits.
    pub fn room_at(&self) -> Option<Duration> {
        self.gone.front().map(|(at, _)| *at + WINDOW)
    }
}

/// How many addresses may leave within a [`WINDOW`]: a percentage of all, but always the worth of the largest member,
/// and one.
pub fn budget(all: usize, largest_member: usize, percent: u8) -> usize {
    (all * usize::from(percent)).div_ceil(100).max(largest_member).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Address> {
        numbers.into_iter().map(|n| format!("203.0.113.{n}").parse().unwrap()).collect()
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
        assert_eq!(velocity.admit(at(0), &addresses(1..=3), 2), addresses([3]));
        assert_eq!(velocity.room_at(), Some(at(60)));
        // The same addresses leave at another name: that is one removal.
        assert_eq!(velocity.admit(at(1), &addresses(1..=2), 2), addresses([]));
        assert_eq!(velocity.admit(at(60), &addresses([3]), 2), addresses([3]));
        assert_eq!(velocity.admit(at(61), &addresses([3]), 2), addresses([]));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_its_budget(
            steps in proptest::collection::vec((0..40_u64, proptest::collection::btree_set(1..30_u8, 0..8)), 0..40),
            budget in 1..10_usize,
        ) {
            let (mut velocity, mut now, mut left) = (Velocity::default(), 0, Vec::new());
            for (pause, leaving) in steps {
                now += pause;
                let leaving = addresses(leaving);
                let waits = velocity.admit(at(now), &leaving, budget);
                prop_assert!(waits.is_subset(&leaving));
                left.extend(leaving.difference(&waits).map(|address| (now, address.clone())));
                let recent: BTreeSet<&Address> =
                    left.iter().filter(|(at, _)| now - at < 60).map(|(_, address)| address).collect();
                prop_assert!(recent.len() <= budget, "{} within a minute", recent.len());
                // Nothing waits while there is room.
                prop_assert!(waits.is_empty() || recent.len() == budget);
            }
        }
    }
}
