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

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::canary::{Answering, Canary};
use super::episode::{Episode, Standing, Transition};
use super::key::{KeyId, KeyState, Membership, Place, Probed, Reachability, State, Weight};
use super::sample::{FleetSample, Rival};
use super::sweep::{Said, Sweeps};
use super::votes::{self, Ballot, Scope};
use fleetdns_core::SelfCheckFailure;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::Verdict;

/// What went out within this time went out together.
const TOGETHER: Duration = Duration::from_secs(60);

/// Below so many keys none may be heard for us to be cut off; above, one in so many.
const HARDLY: u32 = 10;

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

/// A key as it is seen at some moment.
#[derive(Clone, Copy)]
struct Seen {
    reachability: Option<Reachability>,
    fails: bool,
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
        let fails_first = fails && !row.fails && !row.is_out;
        let heard = probed.reachability == Reachability::Reached;
        if heard && !fails && matches!(probed.verdict, Verdict::Healthy | Verdict::Recovering) {
            row.passed = probed.started;
            row.held = false;
        }
        let news = (healthy && !row.was_healthy) || (heard && !row.was_heard);
        let same = (row.state, row.reachability, row.calm) == (state, Some(probed.reachability), probed.calm)
            && (row.fails, row.is_out, row.prompt) == (fails, is_out, probed.prompt);
        if !same || news {
            self.change(key, |row| {
                (row.state, row.reachability, row.calm) = (state, Some(probed.reachability), probed.calm);
                (row.fails, row.is_out, row.prompt) = (fails, is_out, probed.prompt);
                (row.was_heard, row.was_healthy) = (row.was_heard || heard, row.was_healthy || healthy);
                if state == State::Out && before != State::Out {
                    row.since = probed.ended;
                }
            });
            if state == State::Out && before != State::Out {
                self.outs.push_back((probed.ended, key));
            }
            if fails_first && self.is_endpoint(key) {
                self.sweeps.failed_first(key, probed.ended);
            } else if healthy {
                self.sweeps.decision(key);
            }
        }
        if news {
            self.make_room(key);
        }
        let calm = probed.calm && heard;
        let said = Said {
            reachability: probed.reachability,
            passed: !fails && probed.verdict != Verdict::Suspended,
        };
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

    /// Whether the key may go out now: nobody can be asked, or everybody was since it first failed.
    pub fn may_go_out(&self, key: KeyId) -> bool {
        !self.is_of_use() || self.sweeps.asked_since(key)
    }

    /// What a failure of a probe that began at this time is worth. To be called once for each, before its verdict.
    pub fn weigh(&mut self, key: KeyId, reachability: Reachability, started: Duration) -> Weight {
        let Some(row) = self.row(key) else { return Weight::Counts };
        let Some(standing) = self.episode.now() else {
            let old = |last: &Standing| started < self.sure_since && self.concerns(last, row);
            return if self.episode.last().is_some_and(old) { Weight::Void } else { Weight::Counts };
        };
        let holds = !row.seats.is_empty() && self.holds(standing, row, Some(reachability), &self.answering());
        let Some(row) = self.rows.get_mut(key.0 as usize) else { return Weight::Counts };
        match (std::mem::replace(&mut row.held, holds), holds) {
            (_, true) => Weight::Held,
            (true, false) => Weight::Fresh,
            (false, false) => Weight::Counts,
        }
    }

    /// When `VantageMonitor::ask` and `VantageMonitor::check` have something to do though no probe ended.
    pub fn next_turn(&self) -> Option<Duration> {
        let sweep = self.sweeps.due().filter(|_| self.is_of_use());
        sweep.into_iter().chain(self.sweeps.deadline()).chain(self.expires_at()).min()
    }

    /// Keys that have to be probed at once, because one has failed that was good.
    pub fn ask(&mut self, now: Duration) -> Vec<KeyId> {
        if !self.is_of_use() || self.sweeps.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let calm = |key: &&KeyId| {
            self.row(**key).is_some_and(|row| (row.calm && row.prompt) || row.reachability.is_none())
        };
        let keys: Vec<KeyId> = self.asked.iter().filter(calm).copied().collect();
        self.sweeps.start(now, keys.iter().copied());
        keys
    }

    /// Keys that went out so lately that a failure which has just begun holds them too. Each is returned once.
    pub fn take_back(&mut self) -> Vec<KeyId> {
        std::mem::take(&mut self.taken_back)
    }

    /// Keys that were held and are not any more: their failures up to now count for nothing. Each is returned once.
    pub fn take_freed(&mut self) -> Vec<KeyId> {
        std::mem::take(&mut self.freed)
    }

    /// Finds whether the self-check begins to fail or passes again. To be called after every probe, before its result is
    /// passed on.
    pub fn check(&mut self, now: Duration) -> Option<Transition> {
        self.sweeps.expire(now);
        if self.episode.now().is_none() {
            self.expire(now);
        } else if self.expires_at().is_some_and(|at| at <= now) {
            return self.let_go(now).map(Transition::Expired);
        }
        if !self.dirty && !self.sweeps.is_unread() {
            return None;
        }
        self.dirty = false;
        // Read at once: what it says is old as soon as others answer again.
        let in_round = self.in_round().filter(|_| self.sample.unwell > 0);
        let latest =
            |_: KeyId, row: &KeyState| Seen { reachability: row.reachability, fails: row.state.is_bad() };
        match self.reason(latest) {
            Some(found) => {
                let since = self.began(now);
                let (turn, changed) = self.episode.stand(found, (now, since));
                if changed {
                    self.hold_again();
                }
                turn
            }
            None if self.episode.now().is_some() => self.end(now).map(Transition::Ended),
            None => in_round.map(|found| self.pass(found, now)),
        }
    }

    /// The failure in force, as `VantageMonitor::check` last saw it.
    pub fn self_check(&self) -> Option<&SelfCheckFailure> {
        self.episode.now().map(|standing| &standing.self_check)
    }

    /// An operator confirms it: what failed together counts no more until it has been healthy, and goes when it
    /// fails on. Does nothing but in a correlation, since being cut off is nothing to agree to.
    pub fn confirm_outage(&mut self, now: Duration) -> Option<Transition> {
        self.let_go(now).map(Transition::Ended)
    }

    fn let_go(&mut self, now: Duration) -> Option<SelfCheckFailure> {
        let standing = self.episode.now().filter(|standing| !standing.is_vantage())?.clone();
        for index in 0..self.rows.len() {
            let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
            if self.row(key).is_some_and(|row| row.counts() && self.concerns(&standing, row)) {
                self.change(key, |row| row.state = State::Past);
            }
        }
        self.refill();
        self.end(now)
    }

    fn end(&mut self, now: Duration) -> Option<SelfCheckFailure> {
        let self_check = self.episode.end()?;
        self.sure_since = now;
        self.hold_again();
        Some(self_check)
    }

    fn pass(&mut self, found: (SelfCheckFailure, Scope), now: Duration) -> Transition {
        let self_check = found.0.clone();
        let _ = self.episode.stand(found, (now, now));
        self.hold_again();
        let _ = self.end(now);
        Transition::Passed(self_check)
    }

    fn expires_at(&self) -> Option<Duration> {
        Some(self.episode.now()?.correlated()? + self.hold?)
    }

    /// Since when what was seen healthy does not belong to the failure that begins now. If none of those that fail was
    /// healthy since the last round began, whoever answered in it is well though they are not.
    fn began(&self, now: Duration) -> Duration {
        let failing = self.asked.iter().filter_map(|key| self.row(*key));
        let last = failing.filter(|row| row.counts() && row.state.is_bad()).map(|row| row.passed).max();
        self.sweeps.started().filter(|sweep| last.is_none_or(|last| last < *sweep)).unwrap_or(now)
    }

    /// Works out again what the failure in force holds.
    fn hold_again(&mut self) {
        let (standing, answering) = (self.episode.now().cloned(), self.answering());
        for index in 0..self.rows.len() {
            let Some(row) = self.rows.get(index) else { continue };
            let fails = !row.seats.is_empty() && (row.fails || row.state == State::Out);
            let holds = |standing: &Standing| self.holds(standing, row, row.reachability, &answering);
            let held = fails && standing.as_ref().is_some_and(holds);
            let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(row) = self.rows.get_mut(index) else { continue };
            match (std::mem::replace(&mut row.held, held), held) {
                (false, true) if row.state == State::Out => {
                    row.is_out = false;
                    self.taken_back.push(key);
                }
                (true, false) => {
                    row.fails &= row.is_out;
                    self.freed.push(key);
                }
                _ => {}
            }
        }
    }

    /// Whether a key belongs to what a failure holds.
    fn concerns(&self, standing: &Standing, row: &KeyState) -> bool {
        let namespaces =
            row.seats.iter().filter_map(|membership| Some(self.sample.at(membership.cell)?.namespace));
        standing.is_vantage()
            || (row.was_healthy && row.passed < standing.since && standing.scope.covers(namespaces))
    }

    /// Whether the self-check holds a failed probe that ended so.
    fn holds(
        &self,
        standing: &Standing,
        row: &KeyState,
        reachability: Option<Reachability>,
        answering: &Answering,
    ) -> bool {
        let ours = || row.counts() && self.may_be_ours(row, reachability, answering);
        self.concerns(standing, row) && (standing.is_vantage() || ours())
    }

    /// Whether a failure that ended so could be our own fault.
    fn may_be_ours(&self, row: &KeyState, reachability: Option<Reachability>, answering: &Answering) -> bool {
        match reachability {
            Some(Reachability::Unreached | Reachability::Hung | Reachability::Inconclusive) => true,
            Some(Reachability::Refused) => !answering.vouch_for(self.sample.members(row)),
            Some(Reachability::Reached) | None => false,
        }
    }

    fn answering(&self) -> Answering {
        Answering::of(&self.canaries, |key| self.row(key).and_then(|row| row.reachability))
    }

    /// Why the self-check fails, if it does.
    fn reason(&self, seen: impl Fn(KeyId, &KeyState) -> Seen) -> Option<(SelfCheckFailure, Scope)> {
        let reachability = |key: KeyId| self.row(key).and_then(|row| seen(key, row).reachability);
        let answering = Answering::of(&self.canaries, reachability);
        self.vantage(&seen, &answering).or_else(|| self.correlation(&seen, &answering))
    }

    fn vantage(
        &self,
        seen: &impl Fn(KeyId, &KeyState) -> Seen,
        answering: &Answering,
    ) -> Option<(SelfCheckFailure, Scope)> {
        if !answering.most_are_silent() {
            return None;
        }
        let mut members: Vec<(u32, u32)> = vec![(0, 0); self.sample.members_count()];
        let (mut keys, mut all_heard) = (0, 0);
        for key in &self.asked {
            let Some(row) = self.row(*key).filter(|row| row.speaks()) else { continue };
            let heard = match seen(*key, row).reachability {
                Some(Reachability::Reached | Reachability::Hung) => true,
                Some(Reachability::Refused) => answering.vouch_for(self.sample.members(row)),
                _ => false,
            };
            keys += 1;
            all_heard += usize::from(heard);
            for membership in row.seats.iter().filter(|membership| membership.speaks) {
                let member =
                    self.sample.at(membership.cell).and_then(|cell| members.get_mut(cell.member as usize));
                if let Some((speakers, reached)) = member {
                    *speakers += 1;
                    *reached += u32::from(heard);
                }
            }
        }
        let dark = |&(speakers, heard): &(u32, u32)| match speakers < HARDLY {
            true => heard == 0,
            false => heard * HARDLY < speakers,
        };
        let (canaries, silent) = (self.canaries.len(), answering.silent);
        let self_check = SelfCheckFailure::Vantage { canaries, silent, keys, heard: all_heard };
        members.iter().all(dark).then_some((self_check, Scope::All))
    }

    fn correlation(
        &self,
        seen: &impl Fn(KeyId, &KeyState) -> Seen,
        answering: &Answering,
    ) -> Option<(SelfCheckFailure, Scope)> {
        let standing = self.episode.now();
        let bad = |key: KeyId, row: &KeyState| {
            let seen = seen(key, row);
            let ours = seen.fails && self.may_be_ours(row, seen.reachability, answering);
            ours && standing.is_none_or(|standing| row.passed < standing.since)
        };
        let voices: Vec<(&KeyState, bool)> = self
            .asked
            .iter()
            .filter_map(|key| Some((*key, self.row(*key)?)))
            .filter(|(_, row)| row.counts() && row.speaks())
            .map(|(key, row)| (row, bad(key, row)))
            .collect();
        // One key of several members is one key.
        if voices.iter().filter(|(_, bad)| *bad).count() < 2 {
            return None;
        }
        let mut ballots: BTreeMap<u32, Ballot> = BTreeMap::new();
        for (row, bad) in voices {
            for membership in row.seats.iter().filter(|membership| membership.speaks) {
                let Some(cell) = self.sample.at(membership.cell) else { continue };
                let ballot = ballots.entry(membership.cell).or_default();
                (ballot.member, ballot.namespace, ballot.keys) = (cell.member, cell.namespace, cell.keys);
                ballot.speakers += 1;
                ballot.bad += u32::from(bad);
            }
        }
        let ballots: Vec<Ballot> = ballots.into_values().collect();
        let scope = votes::correlation(&ballots)?;
        Some((self.facts(&ballots), scope))
    }

    /// Estimate of the bad keys, each counted once, and the members that are hit.
    fn facts(&self, ballots: &[Ballot]) -> SelfCheckFailure {
        let keys = u64::from(self.sample.keys);
        let all: u64 = ballots.iter().map(|ballot| u64::from(ballot.keys)).sum();
        let bad = ballots.iter().map(Ballot::estimate).sum::<u64>() * keys / all.max(1);
        let hit =
            votes::hit_members(ballots).into_iter().filter_map(|member| self.sample.name(member).cloned());
        let members: BTreeSet<MemberName> = hit.collect();
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        SelfCheckFailure::Correlation {
            keys: number(keys),
            bad: number(bad),
            members: members.into_iter().collect(),
        }
    }

    /// What a whole round says, though who was asked first may have recovered before the last one answered: an outage of
    /// ours may end between.
    fn in_round(&mut self) -> Option<(SelfCheckFailure, Scope)> {
        if !self.sweeps.read() {
            return None;
        }
        let seen = |key: KeyId, row: &KeyState| match self.sweeps.said(key) {
            Some(said) => Seen { reachability: Some(said.reachability), fails: !said.passed },
            None => Seen { reachability: row.reachability, fails: row.state.is_bad() },
        };
        self.reason(seen)
    }

    /// Whether the self-check can fail at all: there is something to compare with.
    fn is_of_use(&self) -> bool {
        !self.canaries.is_empty() || self.sample.populated() > 1
    }

    /// What went out long ago did not go out together with what goes out now.
    fn expire(&mut self, now: Duration) {
        let mut spoke = false;
        while let Some((since, key)) = self.outs.front().copied().filter(|(at, _)| *at + TOGETHER <= now) {
            self.outs.pop_front();
            if let Some(row) = self.row(key).filter(|row| row.state == State::Out && row.since == since) {
                spoke |= row.speaks();
                self.change(key, |row| row.state = State::Past);
            }
        }
        if spoke {
            self.refill();
        }
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
        if changed && !asked {
            self.sweeps.remove(key);
        }
        self.dirty |= asked || changed;
    }

    /// Finds new speakers for members of whose speakers half are gone, or do not count.
    fn refill(&mut self) {
        if self.sample.lacks_speakers() {
            for index in 0..self.rows.len() {
                let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
                self.change(key, |_| {});
                self.make_room(key);
            }
        }
    }

    /// A key that counts speaks in place of one that does not, and a namespace of a member is heard as much as the
    /// others.
    fn make_room(&mut self, key: KeyId) {
        let Some(row) = self.row(key).filter(|row| row.counts()) else { return };
        let mute: Vec<u32> = row
            .seats
            .iter()
            .filter(|membership| !membership.speaks)
            .map(|membership| membership.cell)
            .collect();
        for cell in mute {
            let Some((rival, theirs)) = self.sample.rival(cell).and_then(|rival| self.find(rival)) else {
                continue;
            };
            let set = |cell: u32, speaks: bool| {
                move |row: &mut KeyState| {
                    row.seats
                        .iter_mut()
                        .filter(|membership| membership.cell == cell)
                        .for_each(|membership| membership.speaks = speaks);
                }
            };
            self.modify(rival, false, set(theirs, false));
            self.modify(key, false, set(cell, true));
        }
    }

    /// A speaker of this kind, and the cell for which it speaks.
    fn find(&self, rival: Rival) -> Option<(KeyId, u32)> {
        let of_member = |membership: &Membership, member: u32| {
            self.sample.at(membership.cell).is_some_and(|cell| cell.member == member)
        };
        self.asked.iter().rev().find_map(|key| {
            let row = self.row(*key)?;
            let mut speaking = row.seats.iter().filter(|membership| membership.speaks);
            let membership = match rival {
                Rival::Mute(member) if !row.counts() => {
                    speaking.find(|membership| of_member(membership, member))
                }
                Rival::Mute(_) => None,
                Rival::OfCell(cell) => speaking.find(|membership| membership.cell == cell && row.counts()),
            };
            membership.map(|membership| (*key, membership.cell))
        })
    }
}
