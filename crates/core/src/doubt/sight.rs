//! What the prober can be sure to see.
//!
//! Two brakes. *Vantage*: most canaries are silent and hardly any endpoint is heard, so we are the ones cut off.
//! *Correlation*: half of everything went bad together, in several members, and one cause on our side explains that
//! better than many on theirs.
//!
//! Where a member has many keys, a sample of them speaks for all.
//!
//! Invariant: a key may go out only after canaries and speakers were asked anew since it first failed.
//! Invariant: a probe costs the same however many keys there are.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::Doubt;
use super::canary::Canary;
use super::crowd::Crowd;
use super::episode::{Episode, Turn};
use super::key::{KeyId, Probed, Row, Seat, Sound, State};
use super::round::{Rounds, Said};
use crate::member::MemberName;
use crate::probe::Verdict;

/// What went out within this time went out together.
const TOGETHER: Duration = Duration::from_secs(60);

/// Below so many keys none may be heard for us to be cut off; above, one in so many.
const HARDLY: u32 = 10;

/// What all probes together say of the prober.
#[derive(Debug)]
pub struct Sight {
    rows: Vec<Row>,
    crowd: Crowd,
    canaries: Vec<Canary>,
    /// Speakers and addresses of canaries.
    asked: BTreeSet<KeyId>,
    /// What went out, in order, for as long as it counts.
    outs: VecDeque<(Duration, KeyId)>,
    rounds: Rounds,
    episode: Episode,
    /// When doubt ended last.
    sure_since: Duration,
    /// Correlation stands until what went out recovers.
    latched: bool,
    dirty: bool,
}

impl Sight {
    /// Knows nothing, and of so many canaries. `gap`: the least time from one round of questions to the next.
    pub fn new(gap: Duration, canaries: usize) -> Self {
        Self {
            rows: Vec::new(),
            crowd: Crowd::default(),
            canaries: std::iter::repeat_with(Canary::default).take(canaries).collect(),
            asked: BTreeSet::new(),
            outs: VecDeque::new(),
            rounds: Rounds::new(gap),
            episode: Episode::default(),
            sure_since: Duration::ZERO,
            latched: false,
            dirty: false,
        }
    }

    /// An endpoint of a member has the key. Gives whether that makes the key an endpoint's.
    pub fn join(&mut self, key: KeyId, member: &MemberName) -> bool {
        let group = self.crowd.group(member);
        let mut first = false;
        self.change(key, |row| {
            first = row.seats.is_empty();
            match row.seats.iter_mut().find(|seat| seat.group == group) {
                Some(seat) => seat.claims += 1,
                None => row.seats.push(Seat { group, claims: 1, speaks: false }),
            }
        });
        first
    }

    /// An endpoint of a member has the key no longer. Gives whether the key is no endpoint's any more.
    pub fn leave(&mut self, key: KeyId, member: &MemberName) -> bool {
        let group = self.crowd.group(member);
        let mut last = false;
        self.change(key, |row| {
            for seat in row.seats.iter_mut().filter(|seat| seat.group == group) {
                seat.claims = seat.claims.saturating_sub(1);
            }
            let before = row.seats.len();
            row.seats.retain(|seat| seat.claims > 0);
            last = before > 0 && row.seats.is_empty();
        });
        self.refill();
        last
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
    pub fn forget(&mut self, key: KeyId) {
        for canary in &mut self.canaries {
            canary.set(key, false);
        }
        self.rounds.settled(key);
        self.change(key, |row| *row = Row::default());
        self.refill();
    }

    /// Takes in a probe. Gives whether the key has to be probed again at once.
    pub fn take(&mut self, key: KeyId, probed: &Probed) -> bool {
        let Some(row) = self.row(key) else { return false };
        let (before, state) = (row.state, probed.state(row.state));
        let (fails, is_out) = (probed.failures > 0, probed.is_out());
        let fails_first = fails && !row.fails && !row.is_out;
        let same = (row.state, row.sound, row.calm) == (state, Some(probed.sound), probed.calm)
            && (row.fails, row.is_out) == (fails, is_out);
        if !same {
            self.change(key, |row| {
                (row.state, row.sound, row.calm) = (state, Some(probed.sound), probed.calm);
                (row.fails, row.is_out) = (fails, is_out);
                if state == State::Out && before != State::Out {
                    row.since = probed.ended;
                }
            });
            if state == State::Out && before != State::Out {
                self.outs.push_back((probed.ended, key));
            }
            if fails_first && self.is_endpoint(key) {
                self.rounds.failed_first(key, probed.ended);
            } else if state == State::Good {
                self.rounds.settled(key);
            }
        }
        let heard = probed.calm && probed.sound == Sound::Heard;
        let said = Said { sound: probed.sound, passed: !fails && probed.verdict != Verdict::Held };
        self.rounds.reported(key, said, |round| heard && probed.started < round)
    }

    /// Whether the key may go out now: nobody can be asked, or everybody was since it first failed.
    pub fn may_go_out(&self, key: KeyId) -> bool {
        !self.is_of_use() || self.rounds.asked_since(key)
    }

    /// Whether a failure of a probe that began at this time says nothing: doubt was there then, and is over.
    pub fn is_void(&self, started: Duration) -> bool {
        self.episode.doubt().is_none() && started < self.sure_since
    }

    /// When [`Sight::ask`] and [`Sight::look`] have something to do though no probe ended.
    pub fn next_turn(&self) -> Option<Duration> {
        self.rounds.due().filter(|_| self.is_of_use())
    }

    /// Keys that have to be probed at once, because one has failed that was good.
    pub fn ask(&mut self, now: Duration) -> Vec<KeyId> {
        if !self.is_of_use() || self.rounds.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let calm = |key: &&KeyId| self.row(**key).is_some_and(|row| row.calm || row.sound.is_none());
        let keys: Vec<KeyId> = self.asked.iter().filter(calm).copied().collect();
        self.rounds.start(now, keys.iter().copied());
        keys
    }

    /// Whether the key went out so lately that a doubt which begins now is about it too.
    pub fn went_out_lately(&self, key: KeyId) -> bool {
        self.row(key).is_some_and(|row| row.state == State::Out)
    }

    /// Looks whether doubt begins or ends. To be called after every probe, before what it says is passed on.
    pub fn look(&mut self, now: Duration) -> Option<Turn> {
        if self.episode.doubt().is_none() {
            self.expire(now);
        }
        if !self.dirty && !self.rounds.is_unread() {
            return None;
        }
        self.dirty = false;
        let together = if self.latched { self.crowd.half_is_bad() } else { self.crowd.went_bad_together() };
        self.latched = together && (self.latched || self.crowd.went_out_together());
        // Read at once: what it says is old as soon as others answer anew.
        let in_round = self.in_round().filter(|_| self.crowd.totals.unwell > 0);
        let turn = match self.cut_off().or_else(|| together.then(|| self.correlation())) {
            Some(doubt) => self.episode.stand(doubt),
            None => self.episode.end().or_else(|| in_round.map(Turn::Passed)),
        };
        self.take_back(turn.as_ref(), now);
        turn
    }

    /// The doubt that stands, as [`Sight::look`] last saw it.
    pub const fn doubt(&self) -> Option<&Doubt> {
        self.episode.doubt()
    }

    /// A person says that it is true: what is bad now counts no more until it has been healthy, and goes when it fails on.
    /// Does nothing but in a correlation, since being cut off is nothing to agree to.
    pub fn release(&mut self, now: Duration) -> Option<Turn> {
        if !matches!(self.episode.doubt(), Some(Doubt::Correlation { .. })) {
            return None;
        }
        for index in 0..self.rows.len() {
            let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
            if self.row(key).is_some_and(|row| row.state.is_bad()) {
                self.change(key, |row| row.state = State::Past);
            }
        }
        self.outs.clear();
        self.latched = false;
        let turn = self.episode.end();
        self.take_back(turn.as_ref(), now);
        turn
    }

    /// What goes out shortly before a doubt is doubted too; and when doubt is over, what fails on fails for the first time.
    fn take_back(&mut self, turn: Option<&Turn>, now: Duration) {
        let Some(turn) = turn else { return };
        for row in &mut self.rows {
            row.is_out &= !(turn.begins() && row.state == State::Out);
            row.fails &= row.is_out || !turn.ends();
        }
        if turn.ends() {
            self.sure_since = now;
        }
    }

    fn correlation(&self) -> Doubt {
        let (bad, members) = self.crowd.facts();
        Doubt::Correlation { keys: self.crowd.totals.keys as usize, bad, members: members.into() }
    }

    fn cut_off(&self) -> Option<Doubt> {
        let sound = |key| self.row(key).and_then(|row| row.sound);
        let silent = self.canaries.iter().filter(|canary| canary.is_silent(sound)).count();
        self.vantage(silent, self.crowd.totals.heard)
    }

    fn vantage(&self, silent: usize, heard: u32) -> Option<Doubt> {
        let speakers = self.crowd.totals.speakers;
        let hardly = if speakers < HARDLY { heard == 0 } else { heard * HARDLY < speakers };
        (silent * 2 > self.canaries.len() && hardly).then_some(Doubt::Vantage {
            canaries: self.canaries.len(),
            silent,
            keys: speakers as usize,
            heard: heard as usize,
        })
    }

    /// What a whole round says, though who was asked first may have recovered before the last one answered: an outage of
    /// ours may end between.
    fn in_round(&mut self) -> Option<Doubt> {
        if !self.rounds.read() {
            return None;
        }
        let sound =
            |key| self.rounds.said(key).map(|said| said.sound).or(self.row(key).and_then(|row| row.sound));
        let silent = self.canaries.iter().filter(|canary| canary.is_silent(sound)).count();
        let (mut heard, mut bad_keys, mut failed) = (0, 0, HashMap::new());
        for key in &self.asked {
            let Some(row) = self.row(*key) else { continue };
            let said = self.rounds.said(*key);
            let bad = said.map_or(row.state.is_bad(), |said| !said.passed) && row.state != State::Past;
            let speaks: Vec<&Seat> = row.seats.iter().filter(|seat| seat.speaks).collect();
            bad_keys += usize::from(bad && !speaks.is_empty());
            heard += u32::from(!speaks.is_empty() && sound(*key) == Some(Sound::Heard));
            for seat in speaks.into_iter().filter(|_| bad) {
                *failed.entry(seat.group).or_insert(0) += 1;
            }
        }
        let together = || (bad_keys >= 2 && self.crowd.failed_together(&failed)).then(|| self.correlation());
        self.vantage(silent, heard).or_else(together)
    }

    /// Whether doubt is possible at all: there are others who can tell.
    fn is_of_use(&self) -> bool {
        !self.canaries.is_empty() || self.crowd.populated() > 1
    }

    /// What went out long ago did not go out together with what goes out now.
    fn expire(&mut self, now: Duration) {
        while let Some((since, key)) = self.outs.front().copied().filter(|(at, _)| *at + TOGETHER <= now) {
            self.outs.pop_front();
            if self.row(key).is_some_and(|row| row.state == State::Out && row.since == since) {
                self.change(key, |row| row.state = State::Past);
            }
        }
    }

    fn row(&self, key: KeyId) -> Option<&Row> {
        self.rows.get(key.0 as usize)
    }

    /// Changes a row, and all numbers with it.
    fn change(&mut self, key: KeyId, change: impl FnOnce(&mut Row)) {
        let index = key.0 as usize;
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, Row::default);
        }
        let Some(row) = self.rows.get_mut(index) else { return };
        self.crowd.count(row, false);
        change(row);
        self.crowd.appoint(row);
        self.crowd.count(row, true);
        let asked = row.is_asked();
        let changed = if asked { self.asked.insert(key) } else { self.asked.remove(&key) };
        if changed && !asked {
            self.rounds.forget(key);
        }
        self.dirty |= asked || changed;
    }

    /// Finds new speakers for members that have lost half of theirs.
    fn refill(&mut self) {
        if self.crowd.lacks_speakers() {
            for index in 0..self.rows.len() {
                self.change(KeyId(u32::try_from(index).unwrap_or(u32::MAX)), |_| {});
            }
        }
    }
}
