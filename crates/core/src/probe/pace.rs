//! How often a key is probed, and how many probes turn its verdict.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::text::{duration, printable};

/// How many probes in a row turn a verdict. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures in a row until an endpoint is unhealthy.
    pub fall: u32,
    /// Successes in a row until an unhealthy endpoint is healthy again; many more when it flaps.
    pub rise: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { fall: 3, rise: 2 }
    }
}

/// A span of time in whole milliseconds, at least one and at most an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millis(NonZeroU32);

/// No probe waits longer.
const HOUR: u32 = 3_600_000;

/// Not a [`Millis`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no span of time from 1ms to 1h, such as 5s, 500ms or 1m30s")]
pub struct BadMillis(pub String);

impl Millis {
    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0.get() as u64)
    }
}

impl TryFrom<Duration> for Millis {
    type Error = BadMillis;

    fn try_from(time: Duration) -> Result<Self, BadMillis> {
        let ms = u32::try_from(time.as_millis()).ok().filter(|ms| *ms <= HOUR).and_then(NonZeroU32::new);
        ms.map(Self).ok_or_else(|| BadMillis(format!("{time:?}")))
    }
}

/// `5s`, `500ms`, `1.5m`, `1h`: whole milliseconds.
impl FromStr for Millis {
    type Err = BadMillis;

    fn from_str(text: &str) -> Result<Self, BadMillis> {
        let whole = duration(text).filter(|time| time.subsec_nanos() % 1_000_000 == 0);
        whole.and_then(|time| time.try_into().ok()).ok_or_else(|| BadMillis(printable(text).into_owned()))
    }
}

/// Seconds where they are whole, milliseconds otherwise.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get() {
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// What a Service or its cluster asks for in place of the prober's own times and thresholds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pace {
    /// From the start of one probe to the start of the next.
    pub interval: Option<Millis>,
    /// For a whole probe.
    pub timeout: Option<Millis>,
    /// Failures in a row that take an endpoint out.
    pub fall: Option<NonZeroU8>,
    /// Successes in a row that bring it back.
    pub rise: Option<NonZeroU8>,
}

impl Pace {
    /// This, and what it leaves open from another one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            interval: self.interval.or(other.interval),
            timeout: self.timeout.or(other.timeout),
            fall: self.fall.or(other.fall),
            rise: self.rise.or(other.rise),
        }
    }
}

/// Times and thresholds of one probe key, all of them known.
///
/// Invariant: what [`Timing::with`] returns has `timeout` <= `fast_interval` <= `interval` when what it is called on has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// The same while a verdict may change.
    pub fast_interval: Duration,
    /// For a whole probe.
    pub timeout: Duration,
    /// How many probes in a row turn a verdict.
    pub thresholds: Thresholds,
}

impl Timing {
    /// With what a key asks for itself; what it leaves open is made to fit that.
    #[must_use]
    pub fn with(&self, pace: &Pace) -> Self {
        if *pace == Pace::default() {
            return *self;
        }
        let asked = pace.timeout.map(Millis::duration);
        let interval =
            pace.interval.map_or_else(|| self.interval.max(asked.unwrap_or_default()), Millis::duration);
        let timeout = asked.unwrap_or(self.timeout).min(interval);
        let Thresholds { fall, rise } = self.thresholds;
        Self {
            interval,
            fast_interval: self.fast_interval.min(interval).max(timeout),
            timeout,
            thresholds: Thresholds {
                fall: pace.fall.map_or(fall, |fall| fall.get().into()),
                rise: pace.rise.map_or(rise, |rise| rise.get().into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Timing = Timing {
        interval: Duration::from_secs(5),
        fast_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        thresholds: Thresholds { fall: 3, rise: 2 },
    };

    #[test]
    fn spans_of_time_have_units() {
        for (text, shown) in
            [("5s", "5s"), ("500ms", "500ms"), ("1m30s", "90s"), ("1h", "3600s"), ("1.5s", "1500ms")]
        {
            assert_eq!(text.parse::<Millis>().unwrap().to_string(), shown, "{text}");
        }
        for bad in
            ["", "5", "s", "0s", "5 s", "-5s", "5S", "1.5ms", "1h1ms", "2h", "5d", "99999999999s", "4294968s"]
        {
            assert!(bad.parse::<Millis>().is_err(), "{bad}");
        }
        assert!(Millis::try_from(Duration::ZERO).is_err());
        assert_eq!(Millis::try_from(Duration::from_secs(7)).unwrap().to_string(), "7s");
    }

    #[test]
    fn what_is_left_open_fits_what_is_asked_for() {
        let ms = |ms: u64| Millis::try_from(Duration::from_millis(ms)).ok();
        for (interval, timeout, expected) in [
            (None, None, (5000, 2000, 2000)),
            (ms(30_000), None, (30_000, 2000, 2000)),
            (ms(1000), None, (1000, 1000, 1000)),
            (None, ms(100), (5000, 2000, 100)),
            (None, ms(3000), (5000, 3000, 3000)),
            (None, ms(9000), (9000, 9000, 9000)),
            (ms(1000), ms(9000), (1000, 1000, 1000)),
        ] {
            let with = BASE.with(&Pace { interval, timeout, ..Pace::default() });
            let ms = |time: Duration| time.as_millis();
            assert_eq!((ms(with.interval), ms(with.fast_interval), ms(with.timeout)), expected);
        }
        let one = Pace { fall: NonZeroU8::new(7), ..Pace::default() };
        let both = one.or(Pace { fall: NonZeroU8::new(1), rise: NonZeroU8::new(9), ..Pace::default() });
        assert_eq!(BASE.with(&both).thresholds, Thresholds { fall: 7, rise: 9 });
    }

    proptest! {
        #[test]
        fn a_probe_ends_before_the_next_begins(
            base in [1..60_000_u64, 1..60_000, 1..60_000],
            interval in proptest::option::of(1..3_600_000_u64),
            timeout in proptest::option::of(1..3_600_000_u64),
        ) {
            let mut base = base;
            base.sort_unstable();
            let [timeout_of_all, fast, slow] = base.map(Duration::from_millis);
            let base = Timing { interval: slow, fast_interval: fast, timeout: timeout_of_all, ..BASE };
            let ms = |ms: Option<u64>| ms.and_then(|ms| Millis::try_from(Duration::from_millis(ms)).ok());
            let pace = Pace { interval: ms(interval), timeout: ms(timeout), ..Pace::default() };
            let with = base.with(&pace);
            prop_assert!(with.timeout <= with.fast_interval && with.fast_interval <= with.interval);
            if let Some(interval) = interval {
                prop_assert_eq!(with.interval, Duration::from_millis(interval));
            }
        }
    }
}
