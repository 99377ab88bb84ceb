//! Pauses that double with each fault in a row.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Duration;

/// `first`, doubled so many times, and `longest` at most.
pub fn doubled(first: Duration, longest: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest)
}

/// Doubling pauses after faults in a row.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    faults: u32,
}

impl Backoff {
    /// Before the first fault.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, faults: 0 }
    }

    /// The pause after one more fault.
    pub fn pause(&mut self) -> Duration {
        let pause = doubled(self.first, self.longest, self.faults);
        self.faults = self.faults.saturating_add(1);
        pause
    }

    /// Faults in a row.
    pub const fn faults(&self) -> u32 {
        self.faults
    }

    /// It works: the next pause is the first one.
    pub const fn reset(&mut self) {
        self.faults = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_longest_and_begins_again() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
        let seconds: Vec<u64> = (0..9).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        backoff.faults = u32::MAX;
        assert_eq!((backoff.pause().as_secs(), backoff.faults()), (300, u32::MAX));
        backoff.reset();
        assert_eq!(backoff.pause().as_secs(), 5);
    }
}
