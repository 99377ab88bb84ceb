//! How long a backend asks to wait: read and bounded where it enters.
//!
//! Invariant: no pause is longer than [`Pause::LONGEST`], whatever a backend says.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::{Duration, SystemTime};

/// A pause that a backend asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pause(Duration);

impl Pause {
    /// The longest pause that a backend can ask for: an hour. A longer one is cut to it, so that no answer can close a
    /// zone for good, and no sum of an instant and a pause overflows.
    pub const LONGEST: Self = Self(Duration::from_secs(3600));

    /// A pause, cut to [`Pause::LONGEST`].
    pub fn new(pause: Duration) -> Self {
        Self(pause.min(Self::LONGEST.0))
    }

    /// Reads a `Retry-After` header: seconds, or an HTTP date (RFC 9110 §10.2.3). A date in the past is no pause at all.
    /// Returns `None` for anything else.
    pub fn retry_after(value: &str, now: SystemTime) -> Option<Self> {
        let value = value.trim();
        Self::seconds_in(value).or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(Self::new(date.duration_since(now).unwrap_or_default()))
        })
    }

    /// Reads a whole number of seconds, however large.
    pub fn seconds_in(text: &str) -> Option<Self> {
        number(text).map(|seconds| Self::new(Duration::from_secs(seconds)))
    }

    /// Reads a whole number of milliseconds, however large.
    pub fn milliseconds_in(text: &str) -> Option<Self> {
        number(text).map(|milliseconds| Self::new(Duration::from_millis(milliseconds)))
    }

    /// The pause as a duration.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The pause in seconds, rounded up.
    pub const fn seconds(self) -> u64 {
        self.0.as_millis().div_ceil(1000) as u64
    }
}

/// Digits and nothing else. A number that is too large for the type is its largest.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, seconds: Option<u64>) {
        let now = httpdate::parse_http_date("Sun, 29 Nov 2026 00:00:00 GMT").unwrap();
        assert_eq!(Pause::retry_after(value, now).map(Pause::seconds), seconds, "{value}");
    }

    #[test]
    fn a_retry_after_of_any_size_and_form_is_read_and_is_an_hour_at_most() {
        check("0", Some(0));
        check(" 7 ", Some(7));
        check("3600", Some(3600));
        check("99999999999", Some(3600));
        check("18446744073709551615", Some(3600));
        check("184467440737095516150000", Some(3600));
        check("Sun, 29 Nov 2026 00:00:30 GMT", Some(30));
        check("Sunday, 29-Nov-26 00:01:00 GMT", Some(60));
        check("Sat, 28 Nov 2026 00:00:00 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600));
        for nothing in ["", "-1", "+1", "1.5", "1e9", "soon", "\u{661}", "Sun, 29 Nov 99999 00:00:00 GMT"] {
            check(nothing, None);
        }
    }

    #[test]
    fn milliseconds_are_rounded_up_to_seconds() {
        let seconds = |text| Pause::milliseconds_in(text).map(Pause::seconds);
        assert_eq!(seconds("1"), Some(1));
        assert_eq!(seconds("1500"), Some(2));
        assert_eq!(seconds("18446744073709551616"), Some(3600));
        assert_eq!(seconds("x"), None);
        assert_eq!(Pause::new(Duration::MAX), Pause::LONGEST);
    }
}
