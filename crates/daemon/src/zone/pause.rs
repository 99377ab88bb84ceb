//! How long to wait after a fault, and what is said of it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Duration;

use fleetdns_core::{DnsName, ProviderError};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::chain;

/// First pause after a fault of the zone.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause after a fault of the zone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait that a backend can ask for: its number comes from outside.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// A pause that doubles with each fault in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    least: Duration,
    most: Duration,
    faults: u32,
}

impl Pause {
    pub(super) const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, faults: 0 }
    }

    /// The pause after one more fault.
    pub(super) fn next(&mut self) -> Duration {
        let factor = 2_u32.saturating_pow(self.faults);
        self.faults = self.faults.saturating_add(1);
        self.least.saturating_mul(factor).min(self.most)
    }
}

/// One way to use a zone, to read it or to write it, with pauses of its own: a fault of one does not stop the other.
#[derive(Debug)]
pub(super) struct Access {
    /// `read` or `write`.
    action: &'static str,
    pause: Pause,
    /// Not used before this.
    until: Option<Instant>,
    fault: Option<String>,
    /// The last fault was a request to wait, which is said once.
    asked_to_wait: bool,
}

impl Access {
    pub(super) const fn new(action: &'static str) -> Self {
        let pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { action, pause, until: None, fault: None, asked_to_wait: false }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The end of the pause that it is in.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// The same, cut short to end at `longest`. A pause that the backend asked for is never cut short.
    pub(super) fn rests_until_at_most(&self, longest: Option<Instant>, now: Instant) -> Option<Instant> {
        let until = self.rests_until(now)?;
        Some(longest.filter(|_| !self.asked_to_wait).map_or(until, |longest| until.min(longest)))
    }

    /// Rests without a fault: nothing was achieved, and to go on at once would be of no use.
    pub(super) fn rest(&mut self, now: Instant) {
        self.until = now.checked_add(self.pause.next());
    }

    /// Takes in a fault of the zone; returns its text when it is news.
    pub(super) fn failed(&mut self, error: &ProviderError, zone: &DnsName, now: Instant) -> Option<String> {
        let growing = self.pause.next();
        let pause = match error {
            ProviderError::Throttled { seconds, .. } => {
                Duration::from_secs((*seconds).max(1)).min(LONGEST_ASKED)
            }
            _ => growing,
        };
        self.until = now.checked_add(pause);
        let asked = matches!(error, ProviderError::Throttled { .. });
        let asked_before = std::mem::replace(&mut self.asked_to_wait, asked);
        let (text, action, retry_ms) = (chain(error), self.action, pause.as_millis());
        if self.fault.as_deref() == Some(&text) {
            return None;
        }
        self.fault = Some(text.clone());
        match (asked, asked_before) {
            (false, _) => warn!(%zone, action, error = %text, retry_ms, "zone access failed"),
            (true, false) => warn!(%zone, action, error = %text, retry_ms, "provider throttles"),
            // The same wait, of which less is left.
            (true, true) => debug!(%zone, action, error = %text, retry_ms, "provider still throttling"),
        }
        (!(asked && asked_before)).then_some(text)
    }

    /// It works.
    pub(super) fn works(&mut self, zone: &DnsName) {
        if self.fault.is_some() {
            info!(%zone, action = self.action, "zone access restored");
        }
        *self = Self::new(self.action);
    }
}

/// Sleeps until then, not at all when that is over; for ever without a time.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) if time <= Instant::now() => {}
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_number_from_outside_closes_a_zone_for_longer_than_an_hour() {
        let zone: DnsName = "example.com".parse().unwrap();
        for (seconds, expected) in [(0, 1), (7, 7), (3600, 3600), (99_999_999_999, 3600), (u64::MAX, 3600)] {
            let mut access = Access::new("write");
            let now = Instant::now();
            access.failed(&ProviderError::Throttled { endpoint: "zone".into(), seconds }, &zone, now);
            assert_eq!(access.rests_until(now), Some(now + Duration::from_secs(expected)), "{seconds}");
        }
    }

    #[test]
    fn a_pause_doubles_up_to_its_longest() {
        let mut pause = Pause::new(Duration::from_secs(5), Duration::from_secs(300));
        let seconds: Vec<u64> = (0..9).map(|_| pause.next().as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        pause.faults = u32::MAX;
        assert_eq!(pause.next().as_secs(), 300);
    }
}
