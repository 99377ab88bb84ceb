//! Rounds of questions: before an endpoint goes out, those who can tell whether we see are asked again.
//!
//! Probes are spread over time, so the first endpoint to reach its last failure does so while others have not been
//! probed since the network went. A round asks canaries and speakers after its first failure; what they said before
//! does not count.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::key::{KeyId, Reachability};

/// What one who was asked said in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) reachability: Reachability,
    pub(super) fails: bool,
}

/// Rounds, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// The least time from the start of one to the start of the next.
    gap: Duration,
    /// How long one may take: whoever has not answered by then is not waited for.
    patience: Duration,
    /// The last first failure.
    desired: Option<Duration>,
    started: Option<Duration>,
    /// Who has not been asked yet in the round that is open.
    missing: HashSet<KeyId>,
    /// What the others said in it.
    said: HashMap<KeyId, Said>,
    open: bool,
    /// The last round is complete, and nobody has looked at what was said in it.
    unread: bool,
    /// Start of the last round that is complete.
    complete: Option<Duration>,
    /// When each key that fails now failed first.
    failing: HashMap<KeyId, Duration>,
}

impl Sweeps {
    pub(super) fn new(gap: Duration, patience: Duration) -> Self {
        Self { gap, patience, ..Self::default() }
    }

    pub(super) const fn configure(&mut self, gap: Duration, patience: Duration) {
        self.gap = gap;
        self.patience = patience;
    }

    /// When the last one started.
    pub(super) const fn started(&self) -> Option<Duration> {
        self.started
    }

    /// When the one that is open ends at the latest.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.started.filter(|_| self.open).map(|started| started + self.patience)
    }

    /// Ends a round that has taken too long.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.missing.clear();
            self.close_when_complete();
        }
    }

    /// A key that was good has failed.
    pub(super) fn failed_first(&mut self, key: KeyId, now: Duration) {
        self.failing.insert(key, now);
        self.desired = Some(now);
    }

    /// A key does not fail any more.
    pub(super) fn decision(&mut self, key: KeyId) {
        self.failing.remove(&key);
    }

    /// Whether others were asked since the key failed first.
    pub(super) fn asked_since(&self, key: KeyId) -> bool {
        self.failing.get(&key).is_none_or(|first| self.complete.is_some_and(|start| start >= *first))
    }

    /// When the next round should start.
    pub(super) fn due(&self) -> Option<Duration> {
        let desired =
            self.desired.filter(|desired| !self.open && self.started.is_none_or(|at| at < *desired))?;
        Some(self.started.map_or(desired, |started| desired.max(started + self.gap)))
    }

    pub(super) fn start(&mut self, now: Duration, ask: impl Iterator<Item = KeyId>) {
        self.started = Some(now);
        self.open = true;
        self.missing.clear();
        self.said.clear();
        self.missing.extend(ask);
        self.close_when_complete();
    }

    /// A probe has ended. Returns whether its key has to be asked once more: it answered, but may have done so before the
    /// round began. `may_be_old` is asked with the start of the round.
    pub(super) fn reported(
        &mut self,
        key: KeyId,
        said: Said,
        may_be_old: impl FnOnce(Duration) -> bool,
    ) -> bool {
        if !self.open || !self.missing.contains(&key) {
            return false;
        }
        if self.started.is_some_and(may_be_old) {
            return true;
        }
        self.said.insert(key, said);
        self.missing.remove(&key);
        self.close_when_complete();
        false
    }

    pub(super) fn remove(&mut self, key: KeyId) {
        self.missing.remove(&key);
        self.said.remove(&key);
        self.close_when_complete();
    }

    /// Whether a round was completed since this was last asked.
    pub(super) fn read(&mut self) -> bool {
        std::mem::take(&mut self.unread)
    }

    pub(super) const fn is_unread(&self) -> bool {
        self.unread
    }

    /// What one said in the last round.
    pub(super) fn said(&self, key: KeyId) -> Option<Said> {
        self.said.get(&key).copied()
    }

    fn close_when_complete(&mut self) {
        if self.open && self.missing.is_empty() {
            self.open = false;
            self.complete = self.started;
            self.unread = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const PASSED: Said = Said { reachability: Reachability::Reached, fails: false };

    /// A round that began at second 10, in which two keys are asked.
    fn round() -> Sweeps {
        let mut sweeps = Sweeps::new(at(2), at(4));
        sweeps.failed_first(KeyId(0), at(9));
        assert_eq!(sweeps.due(), Some(at(9)));
        sweeps.start(at(10), [KeyId(1), KeyId(2)].into_iter());
        assert_eq!((sweeps.started(), sweeps.deadline(), sweeps.due()), (Some(at(10)), Some(at(14)), None));
        sweeps
    }

    fn report(sweeps: &mut Sweeps, key: u32) {
        assert!(!sweeps.reported(KeyId(key), PASSED, |_| false));
    }

    #[test]
    fn a_key_waits_until_all_who_are_asked_have_said_something() {
        let mut sweeps = round();
        assert!(sweeps.reported(KeyId(1), PASSED, |began| began == at(10)), "it has to be asked once more");
        report(&mut sweeps, 7);
        report(&mut sweeps, 1);
        assert!(!sweeps.asked_since(KeyId(0)) && sweeps.asked_since(KeyId(7)));
        assert_eq!([1, 2, 7].map(|key| sweeps.said(KeyId(key))), [Some(PASSED), None, None]);
        assert!(!sweeps.is_unread());
        report(&mut sweeps, 2);
        assert!(sweeps.asked_since(KeyId(0)));
        assert_eq!(
            [sweeps.is_unread(), sweeps.read(), sweeps.read(), sweeps.is_unread()],
            [true, true, false, false]
        );
        assert_eq!((sweeps.deadline(), sweeps.due()), (None, None), "nothing failed since");
        // What fails later has to wait for the next round, which comes no sooner than the gap.
        sweeps.failed_first(KeyId(3), at(11));
        assert!(!sweeps.asked_since(KeyId(3)) && sweeps.asked_since(KeyId(0)));
        assert_eq!(sweeps.due(), Some(at(12)));
        sweeps.configure(at(5), at(1));
        assert_eq!(sweeps.due(), Some(at(15)));
        sweeps.decision(KeyId(3));
        assert!(sweeps.asked_since(KeyId(3)), "it fails no more");
        sweeps.start(at(15), [KeyId(1)].into_iter());
        assert_eq!((sweeps.deadline(), sweeps.said(KeyId(1))), (Some(at(16)), None));
    }

    #[test]
    fn nobody_waits_for_a_key_that_is_gone_or_takes_too_long() {
        let mut sweeps = round();
        report(&mut sweeps, 1);
        sweeps.remove(KeyId(1));
        assert_eq!(sweeps.said(KeyId(1)), None);
        assert!(!sweeps.asked_since(KeyId(0)));
        sweeps.remove(KeyId(2));
        assert!(sweeps.asked_since(KeyId(0)));
        let mut sweeps = round();
        sweeps.expire(at(13));
        assert!(!sweeps.asked_since(KeyId(0)));
        sweeps.expire(at(14));
        assert!(sweeps.asked_since(KeyId(0)));
    }

    #[test]
    fn what_fails_at_the_start_of_a_round_was_asked_in_it() {
        let mut sweeps = round();
        sweeps.failed_first(KeyId(3), at(10));
        report(&mut sweeps, 1);
        report(&mut sweeps, 2);
        assert!(sweeps.asked_since(KeyId(3)));
        assert_eq!(sweeps.due(), None);
    }
}
