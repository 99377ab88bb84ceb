//! The probe keys, who wants them, and when each is due.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use fleetdns_core::{ProbeKey, Timing, Verdict};
use fleetdns_health::KeyId;
use fleetdns_health::state::HealthState;
use tokio::time::Instant;

/// So many new keys at once are probed without delay; more are spread.
const AT_ONCE: usize = 64;

/// First probes of many new keys are spread over this, or over the interval where that is shorter.
const FIRST_SPREAD: Duration = Duration::from_secs(2);

/// Starts at most so far apart fall together.
const GRAIN: Duration = Duration::from_millis(10);

/// Index of a key in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u32);

impl From<Slot> for KeyId {
    fn from(Slot(index): Slot) -> Self {
        Self(index)
    }
}

impl From<KeyId> for Slot {
    fn from(KeyId(index): KeyId) -> Self {
        Self(index)
    }
}

/// One probe key.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: ProbeKey,
    pub(crate) health_state: HealthState,
    /// Targets that want it; at zero it goes as soon as it is not in flight.
    desired: u32,
    state: State,
    /// Inconclusive probes in a row, up to now.
    pub(crate) unclear: u32,
    /// It cannot be probed from here.
    pub(crate) unprobeable: bool,
    /// Its next probe was put off, and is paid for.
    pub(crate) paid: bool,
    /// Probes in a row for which this machine had no route, and the start of the first.
    pub(crate) unrouted: Option<(u32, Instant)>,
    /// Whether a guess was right once: only then its failures count.
    pub(crate) proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in the time table yet.
    Fresh,
    Due(Instant),
    InFlight,
}

/// All probe keys and their time table.
#[derive(Debug)]
pub(crate) struct Schedule {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    index: HashMap<ProbeKey, u32>,
    /// An entry counts only while it agrees with its row: what is put off or dropped is not searched for here.
    due: BinaryHeap<Reverse<(Instant, Slot)>>,
    fresh: Vec<Slot>,
    epoch: Instant,
    /// Of keys that ask for no other.
    timing: Timing,
}

impl Schedule {
    pub(crate) fn new(epoch: Instant, timing: Timing) -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            due: BinaryHeap::new(),
            fresh: Vec::new(),
            epoch,
            timing: bounded(timing),
        }
    }

    /// Each key keeps to what it was planned for, and to these times after that.
    pub(crate) fn set_timing(&mut self, timing: Timing) {
        self.timing = bounded(timing);
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn row_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.rows.get_mut(slot.0 as usize).and_then(Option::as_mut)
    }

    pub(crate) fn slot(&self, key: &ProbeKey) -> Option<Slot> {
        self.index.get(key).copied().map(Slot)
    }

    pub(crate) fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot.0 as usize).and_then(Option::as_ref)
    }

    /// One more target wants the key.
    pub(crate) fn want(&mut self, key: ProbeKey) {
        let (index, row) = match self.index.entry(key) {
            Entry::Occupied(entry) => {
                let slot = Slot(*entry.get());
                if let Some(row) = self.row_mut(slot) {
                    row.desired += 1;
                }
                return;
            }
            Entry::Vacant(entry) => {
                let key = entry.key().clone();
                let index =
                    self.free.pop().unwrap_or_else(|| u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
                entry.insert(index);
                self.fresh.push(Slot(index));
                let row = Row {
                    key,
                    health_state: HealthState::default(),
                    desired: 1,
                    state: State::Fresh,
                    unclear: 0,
                    unprobeable: false,
                    paid: false,
                    unrouted: None,
                    proven: false,
                };
                (index, row)
            }
        };
        match self.rows.get_mut(index as usize) {
            Some(place) => *place = Some(row),
            None => self.rows.push(Some(row)),
        }
    }

    /// One target less wants the key. Returns the row if that was the last and no probe of it is in flight.
    pub(crate) fn unwant(&mut self, key: &ProbeKey) -> Option<Row> {
        let slot = Slot(*self.index.get(key)?);
        let row = self.row_mut(slot)?;
        row.desired = row.desired.saturating_sub(1);
        if row.desired > 0 || row.state == State::InFlight { None } else { self.take(slot) }
    }

    /// Puts the keys that are new into the time table: a few at once, many spread.
    pub(crate) fn schedule_fresh(&mut self, now: Instant) {
        let fresh = std::mem::take(&mut self.fresh);
        let many = fresh.len() > AT_ONCE;
        let all = self.timing;
        for slot in fresh {
            // One that came and went and came again stands here twice.
            let Some(row) = self.row_mut(slot).filter(|row| row.state == State::Fresh) else { continue };
            let spread = all.with(&row.key.spec.pace).interval.min(FIRST_SPREAD);
            let delay = if many { phase(&row.key, spread) } else { Duration::ZERO };
            self.set_due(slot, now + delay);
        }
    }

    /// The probe of a key has ended: plans the next. Returns the row if nobody wants the key any more.
    pub(crate) fn landed(&mut self, slot: Slot, started: Instant, now: Instant) -> Option<Row> {
        let all = self.timing;
        let row = self.row_mut(slot)?;
        let Timing { interval, fast_interval: fast, thresholds, .. } = all.with(&row.key.spec.pace);
        if row.desired == 0 {
            return self.take(slot);
        }
        // A key of which nothing is known yet is tried again soon, whatever the first probe came to.
        let unheard = row.unclear > 0 && row.health_state.verdict() == Verdict::Unknown;
        let pause = if unheard || row.health_state.is_turning(&thresholds) { fast } else { interval };
        let phase = phase(&row.key, interval);
        let due = if pause < interval { started + pause } else { self.aligned(phase, interval, started) };
        let due = if due >= now { due } else { now };
        self.set_due(slot, due);
        None
    }

    /// Makes a key due now, unless it is under way.
    pub(crate) fn hasten(&mut self, slot: Slot, now: Instant) {
        if self.row(slot).is_some_and(|row| matches!(row.state, State::Due(due) if due > now)) {
            self.set_due(slot, now);
        }
    }

    /// Takes out a key that is due, with the time at which it was.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Slot, Instant)> {
        while let Some(Reverse((due, slot))) = self.due.peek().copied() {
            if due > now {
                return None;
            }
            self.due.pop();
            if let Some(row) = self.row_mut(slot).filter(|row| row.state == State::Due(due)) {
                row.state = State::InFlight;
                return Some((slot, due));
            }
        }
        None
    }

    /// Puts off a key that was taken out.
    pub(crate) fn defer(&mut self, slot: Slot, due: Instant) {
        self.set_due(slot, due);
    }

    /// When the next key is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    fn set_due(&mut self, slot: Slot, due: Instant) {
        if let Some(row) = self.row_mut(slot) {
            row.state = State::Due(due);
            self.due.push(Reverse((due, slot)));
        }
    }

    fn take(&mut self, slot: Slot) -> Option<Row> {
        let row = self.rows.get_mut(slot.0 as usize)?.take()?;
        self.index.remove(&row.key);
        self.free.push(slot.0);
        Some(row)
    }

    /// The first time after `start` at which a key of this phase is due: at most one interval away.
    fn aligned(&self, phase: Duration, interval: Duration, start: Instant) -> Instant {
        let first = self.epoch + phase;
        let Some(since) = start.checked_duration_since(first) else { return first };
        let rounds = since.as_nanos() / interval.as_nanos().max(1) + 1;
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        first + interval.saturating_mul(rounds)
    }
}

/// Where within a span of time a key has its place: always the same for one key, evenly spread over many.
fn phase(key: &ProbeKey, span: Duration) -> Duration {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    let nanos = (u128::from(hash) * span.as_nanos()) >> 64;
    // Starts come in small groups: one wake-up then serves several.
    let grain = (span / 500).min(GRAIN).as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos - nanos % grain).unwrap_or(u64::MAX))
}

fn bounded(timing: Timing) -> Timing {
    Timing { interval: timing.interval.max(Duration::from_millis(1)), ..timing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;
    use fleetdns_core::probe::Thresholds;
    use fleetdns_health::state::Outcome;

    const INTERVAL: Duration = Duration::from_secs(5);
    const FAST: Duration = Duration::from_secs(2);

    fn timing() -> Timing {
        Timing { interval: INTERVAL, fast_interval: FAST, timeout: FAST, thresholds: Thresholds::default() }
    }

    fn schedule(count: usize) -> (Schedule, Instant) {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, timing());
        for host in 0..count {
            schedule.want(key(&format!("10.0.{}.{}", host / 256, host % 256), "tcp:80"));
        }
        schedule.schedule_fresh(start);
        (schedule, start)
    }

    fn health_state(schedule: &mut Schedule, slot: Slot, outcome: Outcome) {
        schedule.row_mut(slot).unwrap().health_state.record(
            outcome,
            Duration::ZERO,
            &Thresholds::default(),
            false,
        );
    }

    #[test]
    fn few_new_keys_are_due_at_once_and_many_are_spread() {
        let (mut few, start) = schedule(64);
        assert_eq!(std::iter::from_fn(|| few.pop_due(start)).count(), 64);
        let (mut many, start) = schedule(2000);
        let mut counts = Vec::new();
        for quarter in 1..=4 {
            let now = start + FIRST_SPREAD * quarter / 4;
            counts.push(std::iter::from_fn(|| many.pop_due(now)).count());
        }
        assert_eq!(counts.iter().sum::<usize>(), 2000);
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
    }

    #[test]
    fn healthy_keys_keep_to_their_phase_and_doubtful_ones_hurry() {
        let (mut schedule, start) = schedule(1);
        let (slot, _) = schedule.pop_due(start).unwrap();
        health_state(&mut schedule, slot, Outcome::Pass);
        schedule.landed(slot, start, start);
        let second = schedule.next_due().unwrap();
        assert!(second > start && second <= start + INTERVAL);
        for _ in 0..3 {
            let (slot, due) = schedule.pop_due(schedule.next_due().unwrap()).unwrap();
            // A little late each time: that must not add up.
            schedule.landed(slot, due + Duration::from_millis(3), due + Duration::from_millis(9));
            assert_eq!(schedule.next_due().unwrap(), due + INTERVAL);
        }
        let (slot, due) = schedule.pop_due(schedule.next_due().unwrap()).unwrap();
        health_state(&mut schedule, slot, Outcome::Fail);
        schedule.landed(slot, due, due + Duration::from_millis(1));
        assert_eq!(schedule.next_due().unwrap(), due + FAST);
    }

    #[test]
    fn a_key_may_have_a_pace_of_its_own() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, timing());
        schedule.want(key("10.0.0.1", "tcp!interval=30s:80"));
        schedule.want(key("10.0.0.1", "tcp:80"));
        schedule.schedule_fresh(start);
        let mut probes = [0, 0];
        let end = start + Duration::from_secs(300);
        while let Some(due) = schedule.next_due().filter(|due| *due < end) {
            let (slot, _) = schedule.pop_due(due).unwrap();
            let own = schedule.row_mut(slot).unwrap().key.spec.pace.interval.is_some();
            probes[usize::from(own)] += 1;
            health_state(&mut schedule, slot, Outcome::Pass);
            schedule.landed(slot, due, due);
        }
        // The first one at once, and then each in its phase.
        assert!((60..=61).contains(&probes[0]) && (10..=11).contains(&probes[1]), "{probes:?}");
    }

    #[test]
    fn a_probe_longer_than_the_pause_is_followed_at_once() {
        let (mut schedule, start) = schedule(1);
        let (slot, _) = schedule.pop_due(start).unwrap();
        health_state(&mut schedule, slot, Outcome::Fail);
        let end = start + FAST + Duration::from_millis(1);
        schedule.landed(slot, start, end);
        assert_eq!(schedule.next_due(), Some(end));
    }

    #[test]
    fn a_key_that_nobody_wants_goes_when_it_has_landed() {
        let (mut schedule, start) = schedule(0);
        let desired = key("10.0.0.1", "tcp:80");
        schedule.want(desired.clone());
        schedule.want(desired.clone());
        schedule.schedule_fresh(start);
        assert!(schedule.unwant(&desired).is_none());
        let (slot, _) = schedule.pop_due(start).unwrap();
        assert!(schedule.unwant(&desired).is_none(), "it is in flight");
        assert_eq!(schedule.landed(slot, start, start).unwrap().key, desired);
        assert_eq!((schedule.len(), schedule.next_due()), (0, None));
    }

    #[test]
    fn a_key_that_comes_back_in_flight_or_in_another_row_is_due_once() {
        let (mut schedule, start) = schedule(0);
        let desired = key("10.0.0.1", "tcp:80");
        schedule.want(desired.clone());
        schedule.schedule_fresh(start);
        let (slot, _) = schedule.pop_due(start).unwrap();
        assert!(schedule.unwant(&desired).is_none());
        schedule.want(desired.clone());
        schedule.schedule_fresh(start);
        assert_eq!(schedule.pop_due(start), None, "it is still in flight");
        assert!(schedule.landed(slot, start, start).is_none());
        assert!(schedule.unwant(&desired).is_some());
        schedule.want(key("10.0.0.2", "tcp:80"));
        schedule.schedule_fresh(start);
        let later = start + INTERVAL * 2;
        assert_eq!(std::iter::from_fn(|| schedule.pop_due(later)).count(), 1);
    }
}
