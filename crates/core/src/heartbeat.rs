//! LastBeats: which task should have taken a turn by now and has not.
//!
//! Invariant: no clock is read; times are durations since a moment that the caller chooses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The last turn of each task, and when the next one is due.
#[derive(Debug, Clone, Default)]
pub struct LastBeats(BTreeMap<Arc<str>, Beat>);

#[derive(Debug, Clone, Copy)]
struct Beat {
    at: Duration,
    within: Duration,
}

/// A task that takes no turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hanging {
    /// Which one.
    pub task: Arc<str>,
    /// How long it has taken none.
    pub silent: Duration,
    /// How long it may take none.
    pub within: Duration,
}

impl LastBeats {
    /// Records that a task takes a turn now, and will take the next one within this time.
    pub fn beat(&mut self, task: &Arc<str>, now: Duration, within: Duration) {
        let beat = Beat { at: now, within };
        match self.0.get_mut(task) {
            Some(last) => *last = beat,
            None => drop(self.0.insert(Arc::clone(task), beat)),
        }
    }

    /// A task has ended: it takes no turn any more.
    pub fn forget(&mut self, task: &str) {
        self.0.remove(task);
    }

    /// Tasks whose turn is overdue, by name.
    pub fn hanging(&self, now: Duration) -> Vec<Hanging> {
        let overdue = |(task, beat): (&Arc<str>, &Beat)| {
            let silent = now.saturating_sub(beat.at);
            (silent > beat.within).then(|| Hanging { task: Arc::clone(task), silent, within: beat.within })
        };
        self.0.iter().filter_map(overdue).collect()
    }
}

impl fmt::Display for Hanging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, silent, within } = self;
        write!(f, "{task}: no turn for {} s ({} s at most)", silent.as_secs(), within.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_task_hangs_when_its_turn_is_overdue_and_no_longer_when_it_takes_one() {
        let mut beats = LastBeats::default();
        let (zone, prober): (Arc<str>, Arc<str>) = ("zone example.com".into(), "prober".into());
        assert_eq!(beats.hanging(s(1_000_000)), []);
        beats.beat(&zone, s(10), s(300));
        beats.beat(&prober, s(10), s(30));
        assert_eq!(beats.hanging(s(40)), []);
        let said: Vec<String> = beats.hanging(s(41)).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["prober: no turn for 31 s (30 s at most)"]);
        assert_eq!(beats.hanging(s(311)).len(), 2);
        beats.beat(&prober, s(311), s(30));
        assert_eq!(beats.hanging(s(311)).len(), 1);
        assert_eq!(beats.hanging(s(0)), [], "a clock that goes back makes nobody hang");
    }
}
