//! What the prober can be sure to see.
//!
//! Two brakes. *Vantage*: most canaries are silent and hardly any endpoint of any member is heard, so we are the ones cut
//! off. *Correlation*: more than half of what was healthy failed together, in several members and in a way that could
//! be our own fault, and one cause on our side explains that better than many on theirs.
//!
//! Where a member has many keys, a sample of them speaks for all.
//!
//! Invariant: a key may go out only after canaries and speakers were asked again since it first failed.
//! Invariant: a key that was never healthy counts for nothing in a correlation, and is not held by one.
//! Invariant: what passed a probe since a correlation began is not held by it.
//! Invariant: a probe costs the same however many keys there are.

mod findings;
mod holding;
mod speakers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::canary::Canary;
use super::episode::Episode;
use super::key::{KeyId, KeyState, Membership, Place, Probed, Reachability, State};
use super::sample::FleetSample;
use super::sweep::{Said, Sweeps};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::Verdict;

/// How the prober watches itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VantageSettings {
    /// The least time from one round of questions to the next.
    pub gap: Duration,
    /// How long a round of questions may take.
    pub patience: Duration,
    /// How long a correlation holds; for ever without.
    pub hold: Option<Duration>,
}

/// What all probes together say of the prober.
#[derive(Debug)]
pub struct VantageMonitor {
    rows: Vec<KeyState>,
    sample: FleetSample,
    canaries: Vec<Canary>,
    /// Speakers and addresses of canaries.
    asked: BTreeSet<KeyId>,
    /// What went out, in order, for as long as it counts.
    outs: VecDeque<(Duration, KeyId)>,
    sweeps: Sweeps,
    episode: Episode,
    /// How long a correlation holds.
    hold: Option<Duration>,
    /// When the last failure ended.
    sure_since: Duration,
    /// Keys that went out and are distrusted from now on.
    taken_back: Vec<KeyId>,
    /// Keys whose failures up to now count for nothing.
    freed: Vec<KeyId>,
    dirty: bool,
}

impl VantageMonitor {
    /// Knows nothing, and of these canaries: the API of a member, or what belongs to none.
    pub fn new(settings: VantageSettings, canaries: impl IntoIterator<Item = Option<MemberName>>) -> Self {
        let mut sample = FleetSample::default();
        let canaries =
            canaries.into_iter().map(|member| Canary::new(member.map(|name| sample.member(&name))));
        Self {
            rows: Vec::new(),
            canaries: canaries.collect(),
            sample,
            asked: BTreeSet::new(),
            outs: VecDeque::new(),
            sweeps: Sweeps::new(settings.gap, settings.patience),
            episode: Episode::default(),
            hold: settings.hold,
            sure_since: Duration::ZERO,
            taken_back: Vec::new(),
            freed: Vec::new(),
            dirty: false,
        }
    }

    /// Watches itself in another way from now on.
    pub fn configure(&mut self, VantageSettings { gap, patience, hold }: VantageSettings) {
        self.sweeps.configure(gap, patience);
        self.hold = hold;
    }

    /// One more canary, which has no keys yet: the API of a member, or what belongs to none.
    pub fn add_canary(&mut self, member: Option<MemberName>) {
        self.canaries.push(Canary::new(member.map(|name| self.sample.member(&name))));
        self.dirty = true;
    }

    /// The canary of this number is one no longer; those after it move up.
    pub fn remove_canary(&mut self, canary: usize) {
        let keys = self.canaries.get(canary).map(|canary| canary.keys().to_vec()).unwrap_or_default();
        keys.into_iter().for_each(|key| self.set_canary(canary, key, false));
        if canary < self.canaries.len() {
            self.canaries.remove(canary);
        }
    }

    /// Who is asked in a round.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> Vec<KeyId> {
        self.asked.iter().copied().collect()
    }

    /// An endpoint of a place has the key. Returns whether that makes the key an endpoint's.
    pub fn join(&mut self, key: KeyId, place: &Place) -> bool {
        let cell = self.sample.cell(place);
        let mut first = false;
        self.change(key, |row| {
            first = row.seats.is_empty();
            match row.seats.iter_mut().find(|membership| membership.cell == cell) {
                Some(membership) => membership.claims += 1,
                None => row.seats.push(Membership { cell, claims: 1, speaks: false }),
            }
        });
        self.make_room(key);
        first
    }

    /// An endpoint of a place has the key no longer. Returns whether the key is no endpoint's any more.
    pub fn leave(&mut self, key: KeyId, place: &Place) -> bool {
        let cell = self.sample.cell(place);
        let mut last = false;
        self.change(key, |row| {
            for membership in row.seats.iter_mut().filter(|membership| membership.cell == cell) {
                membership.claims = membership.claims.saturating_sub(1);
            }
            let before = row.seats.len();
            row.seats.retain(|membership| membership.claims > 0);
            last = before > 0 && row.seats.is_empty();
        });
        self.refill();
        last
    }

    /// Namespaces of the endpoints that have the key; one of several members may stand there more than once.
    pub fn namespaces(&self, key: KeyId) -> impl Iterator<Item = Arc<str>> {
        let seats = self.row(key).into_iter().flat_map(|row| &row.seats);
        seats.filter_map(|membership| self.sample.namespace(membership.cell))
    }

    /// Whether any endpoint has the key.
    pub fn is_endpoint(&self, key: KeyId) -> bool {
        self.row(key).is_some_and(|row| !row.seats.is_empty())
    }

    /// The key is an address of a canary, or no longer.
    pub fn set_canary(&mut self, canary: usize, key: KeyId, is: bool) {
        let Some(canary) = self.canaries.get_mut(canary) else { return };
        if canary.set(key, is) {
            self.change(key, |row| {
                row.canaries = if is { row.canaries + 1 } else { row.canaries.saturating_sub(1) };
            });
        }
        self.dirty = true;
    }

    /// A canary's host name does not resolve, so that there is no address to ask.
    pub fn set_unresolved(&mut self, canary: usize, is: bool) {
        if let Some(canary) = self.canaries.get_mut(canary) {
            canary.set_unresolved(is);
        }
        self.dirty = true;
    }

    /// The key is not probed any more.
    pub fn remove(&mut self, key: KeyId) {
        for canary in &mut self.canaries {
            canary.set(key, false);
        }
        self.sweeps.decision(key);
        self.change(key, |row| *row = KeyState::default());
        self.refill();
    }

    /// Takes in a probe. Returns whether the key has to be probed again at once.
    pub fn take(&mut self, key: KeyId, probed: &Probed) -> bool {
        let Some(row) = self.rows.get_mut(key.0 as usize) else { return false };
        let (before, state) = (row.state, probed.state(row.state));
        let (fails, is_out, healthy) = (probed.failures > 0, probed.is_out(), state == State::Good);
        let fails_first = fails && !row.fails;
        let goes_out = state == State::Out && before != State::Out;
        let heard = probed.reachability == Reachability::Reached;
        if heard && !fails && matches!(probed.verdict, Verdict::Healthy | Verdict::Recovering) {
            row.passed = probed.started;
            row.held = false;
        }
        let same = (row.state, row.reachability, row.calm) == (state, Some(probed.reachability), probed.calm)
            && (row.fails, row.is_out, row.prompt) == (fails, is_out, probed.prompt);
        if !same {
            self.change(key, |row| {
                (row.state, row.reachability, row.calm) = (state, Some(probed.reachability), probed.calm);
                (row.fails, row.is_out, row.prompt) = (fails, is_out, probed.prompt);
                (row.was_heard, row.was_healthy) = (row.was_heard || heard, row.was_healthy || healthy);
                if goes_out {
                    row.since = probed.ended;
                }
            });
            if goes_out {
                self.outs.push_back((probed.ended, key));
            }
            if fails_first && self.is_endpoint(key) {
                self.sweeps.failed_first(key, probed.ended);
            } else if healthy {
                self.sweeps.decision(key);
            }
            self.make_room(key);
        }
        let calm = probed.calm && heard;
        let said = Said { reachability: probed.reachability, fails: state.is_bad() };
        self.sweeps.reported(key, said, |sweep| calm && probed.started < sweep)
    }

    /// The key cannot be probed any more as things are: nothing is known of it.
    pub fn unjudge(&mut self, key: KeyId) {
        self.sweeps.decision(key);
        self.modify(key, false, |row| {
            row.seats.iter_mut().for_each(|membership| membership.speaks = false);
            let (seats, canaries) = (std::mem::take(&mut row.seats), row.canaries);
            *row = KeyState { seats, canaries, reachability: row.reachability, ..KeyState::default() };
        });
        self.refill();
    }

    fn row(&self, key: KeyId) -> Option<&KeyState> {
        self.rows.get(key.0 as usize)
    }

    /// Changes a row, lets it speak where it is needed, and changes all numbers with it.
    fn change(&mut self, key: KeyId, change: impl FnOnce(&mut KeyState)) {
        let index = key.0 as usize;
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, KeyState::default);
        }
        self.modify(key, true, change);
    }

    fn modify(&mut self, key: KeyId, appoint: bool, change: impl FnOnce(&mut KeyState)) {
        let Some(row) = self.rows.get_mut(key.0 as usize) else { return };
        self.sample.count(row, false);
        change(row);
        if appoint {
            self.sample.appoint(row);
        }
        self.sample.count(row, true);
        let asked = row.is_asked();
        let changed = if asked { self.asked.insert(key) } else { self.asked.remove(&key) };
        if !asked {
            self.sweeps.remove(key);
        }
        self.dirty |= asked || changed;
    }
}
