//! Who may call when, and how many calls are under way: learnt from Azure's answers alone, since what it documents of
//! its limits changes, and others use them up too.
//!
//! Invariant: between an answer that asks to wait and the end of that wait, no call of its kind is let through.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetdns_core::Pause;
use fleetdns_core::backoff::doubled;
use tokio::time::Instant;

/// Most writes under way at once.
pub(crate) const WIDEST: usize = 8;
/// Successes after which one more write may be under way.
const STEP: usize = 20;
/// First wait where Azure does not say how long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Azure counts these apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A page of a listing.
    List,
    /// One resource.
    Get,
    /// Anything that changes one.
    Write,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lane {
    closed_until: Option<Instant>,
    /// How often in a row we were asked to wait without being told how long.
    unsaid: u32,
}

#[derive(Debug)]
struct State {
    lists: Lane,
    gets: Lane,
    writes: Lane,
    width: usize,
    successes: usize,
}

/// The pace of one zone.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<State>);

impl Default for Pace {
    fn default() -> Self {
        let lane = Lane::default();
        Self(Mutex::new(State { lists: lane, gets: lane, writes: lane, width: WIDEST, successes: 0 }))
    }
}

impl State {
    fn lane(&mut self, operation: Operation) -> &mut Lane {
        match operation {
            Operation::List => &mut self.lists,
            Operation::Get => &mut self.gets,
            Operation::Write => &mut self.writes,
        }
    }
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long no call may be made; `None` when it may be made now.
    pub(crate) fn wait(&self, operation: Operation, now: Instant) -> Option<Pause> {
        let until = self.state().lane(operation).closed_until?;
        until.checked_duration_since(now).filter(|wait| !wait.is_zero()).map(Pause::new)
    }

    /// Writes that may be under way at once.
    pub(crate) fn width(&self) -> usize {
        self.state().width
    }

    /// Azure asked to wait. Returns how long that is.
    pub(crate) fn throttled(&self, operation: Operation, said: Option<Pause>, now: Instant) -> Pause {
        let mut state = self.state();
        // Several calls that were under way are refused at once; that is one refusal.
        let first = state.lane(operation).closed_until.is_none_or(|until| until <= now);
        if operation == Operation::Write && first {
            state.width = (state.width / 2).max(1);
            state.successes = 0;
        }
        let lane = state.lane(operation);
        let unsaid = || doubled(FIRST_WAIT, LONGEST_WAIT, lane.unsaid);
        let wait = said.map_or_else(unsaid, Pause::duration);
        lane.unsaid = lane.unsaid.saturating_add(u32::from(said.is_none() && first));
        let until = lane.closed_until.map_or(now + wait, |until| until.max(now + wait));
        lane.closed_until = Some(until);
        Pause::new(until - now)
    }

    /// A call was answered.
    pub(crate) fn answered(&self, operation: Operation) {
        let mut state = self.state();
        state.lane(operation).unsaid = 0;
        if operation == Operation::Write && state.width < WIDEST {
            state.successes += 1;
            if state.successes.is_multiple_of(STEP) {
                state.width += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn d(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn s(seconds: u64) -> Pause {
        Pause::new(d(seconds))
    }

    #[test]
    fn a_lane_is_closed_for_as_long_as_azure_says_and_the_other_is_not() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.wait(Operation::Write, now), None);
        assert_eq!(pace.throttled(Operation::Write, Some(s(307)), now), s(307));
        assert_eq!(pace.throttled(Operation::Write, Some(s(10)), now), s(307), "the longer wait stays");
        assert_eq!(pace.wait(Operation::Write, now + d(306)), Some(s(1)));
        assert_eq!(pace.wait(Operation::Write, now + d(307)), None);
        assert_eq!(pace.wait(Operation::List, now), None);
        pace.throttled(Operation::List, Some(s(60)), now);
        assert_eq!(pace.wait(Operation::Get, now), None);
    }

    #[test]
    fn waits_that_are_not_said_grow() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = pace.throttled(Operation::List, None, now);
            waits.push(wait.seconds());
            now += wait.duration();
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        pace.answered(Operation::List);
        assert_eq!(pace.throttled(Operation::List, None, now), s(5));
    }

    #[test]
    fn writes_become_fewer_at_once_and_more_again_slowly() {
        let (pace, now) = (Pace::default(), Instant::now());
        for _ in 0..8 {
            pace.throttled(Operation::Write, Some(s(1)), now);
        }
        assert_eq!(pace.width(), WIDEST / 2, "one storm is one refusal");
        for round in 1..9 {
            pace.throttled(Operation::Write, Some(s(1)), now + d(round));
        }
        assert_eq!(pace.width(), 1);
        for _ in 0..STEP * 20 {
            pace.answered(Operation::Write);
        }
        assert_eq!(pace.width(), WIDEST);
    }
}
