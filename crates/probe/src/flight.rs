//! What is under way, by the time at which it has to have ended.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How much later than its own limit something may end before it counts as one that never ends.
const GRACE: Duration = Duration::from_secs(10);

/// The second in which something has to have ended, counted from the first thing that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due(u64);

/// Counts what is under way by the second in which it is due, so that what never ends is seen at no cost.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    epoch: Option<Instant>,
    counts: BTreeMap<Due, usize>,
}

impl Flight {
    /// Something begins now that ends by itself within `limit`. Returns what [`Flight::ended`] has to be told.
    pub(crate) fn began(&mut self, now: Instant, limit: Duration) -> Due {
        let epoch = *self.epoch.get_or_insert(now);
        let due = Due(now.saturating_duration_since(epoch).saturating_add(limit).as_secs());
        let count = self.counts.entry(due).or_default();
        *count = count.saturating_add(1);
        due
    }

    /// It has ended.
    pub(crate) fn ended(&mut self, due: Due) {
        if let Some(count) = self.counts.get_mut(&due) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&due);
            }
        }
    }

    /// Whether something should have ended long ago.
    pub(crate) fn hangs(&self, now: Instant) -> bool {
        let (Some(epoch), Some((Due(due), _))) = (self.epoch, self.counts.first_key_value()) else {
            return false;
        };
        now.saturating_duration_since(epoch) > Duration::from_secs(*due).saturating_add(GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_seen_whatever_ends_beside_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut flight = Flight::default();
        assert!(!flight.hangs(at(1_000_000)));
        let stuck = flight.began(at(0), Duration::from_secs(2));
        let long = flight.began(at(0), Duration::from_secs(3600));
        for second in 0..12 {
            let quick = flight.began(at(second), Duration::from_secs(2));
            assert!(!flight.hangs(at(second)));
            flight.ended(quick);
        }
        assert!(flight.hangs(at(13)));
        flight.ended(stuck);
        assert!(!flight.hangs(at(3600)), "another may take an hour");
        assert!(flight.hangs(at(3611)));
        flight.ended(long);
        assert!(!flight.hangs(at(1_000_000)));
    }
}
