//! How long a lease lasts, for its holder and for the others.

use std::time::Duration;

/// The longest time that a lease of another is respected, whatever its record says: it comes from outside.
pub(crate) const LONGEST: Duration = Duration::from_secs(600);

/// The times of an election, worked out from the one that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From one turn to the next.
    pub period: Duration,
    /// How long others respect a renewal after they have seen it; in whole seconds, as Kubernetes writes it.
    pub seconds: u32,
    /// How long the holder counts on a renewal after it was sent.
    pub hold: Duration,
    /// No write begins with less than this left.
    pub least: Duration,
}

impl Terms {
    /// From the time within which another replica takes over when the leader is gone.
    pub fn of(lease_time: Duration) -> Self {
        let period = (lease_time / 15).min(Duration::from_secs(1));
        // The last renewal is seen up to one period late, and the write that takes over needs some time too.
        let lasts = lease_time.saturating_sub(period * 2).max(Duration::from_secs(1));
        let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        let hold = Duration::from_secs(seconds.into()) * 4 / 5;
        Self { period, seconds, hold, least: hold / 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_stops_before_another_begins_and_another_begins_in_time() {
        for seconds in [3, 5, 15, 60, 600] {
            let time = Duration::from_secs(seconds);
            let terms = Terms::of(time);
            let lasts = Duration::from_secs(terms.seconds.into());
            assert!(lasts + terms.period * 2 <= time, "{seconds}: another takes over in time");
            assert!(
                terms.hold * 11 / 10 < lasts * 10 / 11,
                "{seconds}: with clocks that differ by a tenth each"
            );
            assert!(terms.hold > terms.period * 4 + terms.least, "{seconds}: some renewals may be lost");
        }
    }
}
