//! Whether the prober itself keeps up.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);

/// A wake-up later than this shows that the prober was starved.
pub(crate) const LAG: Duration = Duration::from_millis(250);

/// A beat that runs in one queue with the probes, and so waits as long as they do for their turn.
///
/// Invariant: a probe during which a beat came more than [`LAG`] late is told of it, whichever of the two is looked at
/// first.
#[derive(Debug)]
pub(crate) struct Stall {
    due: Option<Instant>,
    /// When the last late beat came, and how late it was.
    stall: Option<(Instant, Duration)>,
}

impl Stall {
    pub(crate) const fn new() -> Self {
        Self { due: None, stall: None }
    }

    /// To be called when a probe starts: returns the time of a beat that is to be queued.
    pub(crate) fn arm(&mut self, now: Instant) -> Option<Instant> {
        if self.due.is_some() {
            return None;
        }
        self.due = Some(now + BEAT);
        self.due
    }

    /// The beat that was queued has come. Returns how late, when that is a stall.
    pub(crate) fn beat(&mut self, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.due.take()?);
        if late <= LAG {
            return None;
        }
        self.stall = Some((now, late));
        Some(late)
    }

    /// How long the prober stalled at some time since `start`.
    pub(crate) fn stalled_since(&self, start: Instant, now: Instant) -> Option<Duration> {
        let overdue = self.due.map(|due| now.saturating_duration_since(due)).filter(|late| *late > LAG);
        overdue.or_else(|| self.stall.filter(|(end, _)| *end >= start).map(|(_, late)| late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_late_beat_is_told_to_every_probe_that_was_under_way() {
        let start = Instant::now();
        let mut stall = Stall::new();
        assert_eq!(stall.arm(start), Some(start + ms(100)));
        assert_eq!(stall.arm(start + ms(10)), None, "one beat at a time");
        assert_eq!(stall.stalled_since(start, start + ms(350)), None);
        // The probe is looked at before the beat.
        assert_eq!(stall.stalled_since(start, start + ms(400)), Some(ms(300)));
        // The beat is looked at before the probe.
        assert_eq!(stall.beat(start + ms(400)), Some(ms(300)));
        assert_eq!(stall.stalled_since(start, start + ms(401)), Some(ms(300)));
        // A probe that started later knows nothing of it.
        assert_eq!(stall.stalled_since(start + ms(401), start + ms(402)), None);
    }

    #[test]
    fn a_beat_in_time_is_no_stall() {
        let start = Instant::now();
        let mut stall = Stall::new();
        stall.arm(start);
        assert_eq!(stall.beat(start + ms(350)), None);
        assert_eq!(stall.stalled_since(start, start + ms(360)), None);
    }
}
