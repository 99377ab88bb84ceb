//! Pauses between attempts, spread by the member's name so that a fleet does not knock all at once.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fleetdns_core::backoff;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubling pauses up to 30 s, each shortened by up to a half.
#[derive(Debug)]
pub(crate) struct Backoff {
    seed: String,
    whole: backoff::Backoff,
}

impl Backoff {
    pub(crate) fn new(seed: impl ToString) -> Self {
        Self { seed: seed.to_string(), whole: backoff::Backoff::new(FIRST, LONGEST) }
    }

    pub(crate) const fn reset(&mut self) {
        self.whole.reset();
    }

    /// How long to wait before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let share = self.share();
        self.whole.pause().mul_f64(1.0 - share / 2.0)
    }

    /// A timer's length, longer or shorter by up to a tenth.
    pub(crate) fn spread(&self, timer: Duration) -> Duration {
        timer.mul_f64(0.9 + self.share() / 5.0)
    }

    /// From 0 to 1, the same for the same name and step.
    fn share(&self) -> f64 {
        let mut hasher = DefaultHasher::new();
        (&self.seed, self.whole.faults()).hash(&mut hasher);
        f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new("westus");
        let mut whole = FIRST;
        for _ in 0..40 {
            let pause = backoff.pause();
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }

    #[test]
    fn members_knock_at_different_times() {
        let (mut one, mut other) = (Backoff::new("westus"), Backoff::new("eastus"));
        assert_ne!(one.pause(), other.pause());
        let timer = Duration::from_secs(300);
        assert_ne!(one.spread(timer), other.spread(timer));
        assert!(one.spread(timer) >= timer.mul_f64(0.9) && one.spread(timer) <= timer.mul_f64(1.1));
    }
}
