//! How long to wait after a fault, and what is said of it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Duration;

use fleetdns_core::backoff::Backoff;
use fleetdns_core::stamp::span_ms;
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

/// One way to use a zone, to read it or to write it, with pauses of its own: a fault of one does not stop the other.
#[derive(Debug)]
pub(super) struct Access {
    /// `read` or `write`.
    action: &'static str,
    pause: Backoff,
    /// Not used before this.
    until: Option<Instant>,
    fault: Option<String>,
    /// The last fault was a request to wait, which is said once.
    asked_to_wait: bool,
}

impl Access {
    pub(super) const fn new(action: &'static str) -> Self {
        let pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
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
        self.until = now.checked_add(self.pause.pause());
    }

    /// Takes in a fault of the zone; returns its text when it is news.
    pub(super) fn failed(&mut self, error: &ProviderError, zone: &DnsName, now: Instant) -> Option<String> {
        let growing = self.pause.pause();
        let pause = match error {
            ProviderError::Throttled { seconds, .. } => {
                Duration::from_secs((*seconds).max(1)).min(LONGEST_ASKED)
            }
            _ => growing,
        };
        self.until = now.checked_add(pause);
        let asked = matches!(error, ProviderError::Throttled { .. });
        let asked_before = std::mem::replace(&mut self.asked_to_wait, asked);
        let (text, action, retry_ms) = (chain(error), self.action, span_ms(pause));
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
}
