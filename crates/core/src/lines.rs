//! How many log lines each namespace may cause: a noisy one does not push the others' lines out of the log.
//!
//! Invariant: no clock is read; times are durations since a moment that the caller chooses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Lines that one namespace may cause at once, and how long it takes until it may cause one more.
const BURST: u32 = 100;
const EACH: Duration = Duration::from_secs(1);
/// From one word about lines that were left out to the next.
const SAY: Duration = Duration::from_secs(60);

/// What each namespace has caused lately.
#[derive(Debug, Clone, Default)]
pub struct Lines(HashMap<Arc<str>, LogShare>);

#[derive(Debug, Clone, Copy)]
struct LogShare {
    /// When all of its lines are free again.
    free_at: Duration,
    left_out: u64,
    /// When lines were first left out since the last word about it.
    since: Duration,
}

impl Lines {
    /// Whether a line that this namespace causes may be written; counts it otherwise.
    pub fn admit(&mut self, namespace: &str, now: Duration) -> bool {
        let new = LogShare { free_at: now, left_out: 0, since: now };
        let share = self.0.entry(namespace.into()).or_insert(new);
        let free_at = share.free_at.max(now).saturating_add(EACH);
        if free_at.saturating_sub(now) <= EACH * BURST {
            share.free_at = free_at;
            return true;
        }
        if share.left_out == 0 {
            share.since = now;
        }
        share.left_out = share.left_out.saturating_add(1);
        false
    }

    /// Namespaces whose lines were left out for a while, with their number; each is said once. Forgets who is quiet.
    pub fn left_out(&mut self, now: Duration) -> Vec<(Arc<str>, u64)> {
        let mut due = Vec::new();
        self.0.retain(|namespace, share| {
            if share.left_out > 0 && now.saturating_sub(share.since) >= SAY {
                due.push((Arc::clone(namespace), std::mem::take(&mut share.left_out)));
            }
            share.left_out > 0 || share.free_at > now
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_namespace_has_its_share_and_the_others_theirs() {
        let mut lines = Lines::default();
        let (noisy, quiet): (Arc<str>, Arc<str>) = ("noisy".into(), "quiet".into());
        let s = Duration::from_secs;
        let written = |lines: &mut Lines, at| (0..1000).filter(|_| lines.admit(&noisy, s(at))).count();
        assert_eq!(written(&mut lines, 0), 100);
        assert_eq!(written(&mut lines, 10), 10);
        assert!(lines.admit(&quiet, s(10)));
        assert_eq!(lines.left_out(s(59)), []);
        assert_eq!(lines.left_out(s(60)), [(Arc::clone(&noisy), 900 + 990)]);
        assert_eq!(lines.left_out(s(61)), [], "it is said once");
        assert_eq!(lines.left_out(s(500)), []);
        assert!(lines.0.is_empty(), "who is quiet is forgotten");
        assert_eq!(written(&mut lines, 500), 100);
    }
}
