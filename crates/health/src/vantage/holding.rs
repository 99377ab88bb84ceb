//! What a failed self-check holds, from when and until when.

use std::time::Duration;

use super::VantageMonitor;
use super::findings::Seen;
use crate::canary::Answering;
use crate::episode::{Standing, Transition};
use crate::key::{KeyId, KeyState, Reachability, State, Weight};
use crate::votes::Scope;
use fleetdns_core::SelfCheckFailure;

/// What went out within this time went out together.
const TOGETHER: Duration = Duration::from_secs(60);

impl VantageMonitor {
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
        let in_round = self.in_round();
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

    pub(super) fn let_go(&mut self, now: Duration) -> Option<SelfCheckFailure> {
        let standing = self.episode.now().filter(|standing| !standing.is_vantage())?.clone();
        for index in 0..self.rows.len() {
            let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
            if self.row(key).is_some_and(|row| self.concerns(&standing, row)) {
                self.change(key, |row| row.state = State::Past);
            }
        }
        self.refill();
        self.end(now)
    }

    pub(super) fn end(&mut self, now: Duration) -> Option<SelfCheckFailure> {
        let self_check = self.episode.end()?;
        self.sure_since = now;
        self.hold_again();
        Some(self_check)
    }

    pub(super) fn pass(&mut self, found: (SelfCheckFailure, Scope), now: Duration) -> Transition {
        let self_check = found.0.clone();
        let _ = self.episode.stand(found, (now, now));
        self.hold_again();
        let _ = self.end(now);
        Transition::Passed(self_check)
    }

    pub(super) fn expires_at(&self) -> Option<Duration> {
        Some(self.episode.now()?.correlated()? + self.hold?)
    }

    /// Since when what was seen healthy does not belong to the failure that begins now. If none of those that fail was
    /// healthy since the last round began, whoever answered in it is well though they are not.
    pub(super) fn began(&self, now: Duration) -> Duration {
        let failing = self.asked.iter().filter_map(|key| self.row(*key));
        let last = failing.filter(|row| row.counts() && row.state.is_bad()).map(|row| row.passed).max();
        self.sweeps.started().filter(|sweep| last.is_none_or(|last| last < *sweep)).unwrap_or(now)
    }

    /// Works out again what the failure in force holds.
    pub(super) fn hold_again(&mut self) {
        let (standing, answering) = (self.episode.now().cloned(), self.answering());
        for index in 0..self.rows.len() {
            let Some(row) = self.rows.get(index) else { continue };
            let holds = |standing: &Standing| self.holds(standing, row, row.reachability, &answering);
            let held = !row.seats.is_empty() && standing.as_ref().is_some_and(holds);
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
    pub(super) fn concerns(&self, standing: &Standing, row: &KeyState) -> bool {
        let namespaces =
            row.seats.iter().filter_map(|membership| Some(self.sample.at(membership.cell)?.namespace));
        standing.is_vantage()
            || (row.was_healthy && row.passed < standing.since && standing.scope.covers(namespaces))
    }

    /// Whether the self-check holds a failed probe that ended so.
    pub(super) fn holds(
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
    pub(super) fn may_be_ours(
        &self,
        row: &KeyState,
        reachability: Option<Reachability>,
        answering: &Answering,
    ) -> bool {
        match reachability {
            Some(Reachability::Unreached | Reachability::Hung | Reachability::Inconclusive) => true,
            Some(Reachability::Refused) => !answering.vouch_for(self.sample.members(row)),
            Some(Reachability::Reached) | None => false,
        }
    }

    pub(super) fn answering(&self) -> Answering {
        Answering::of(&self.canaries, |key| self.row(key).and_then(|row| row.reachability))
    }

    /// What went out long ago did not go out together with what goes out now.
    pub(super) fn expire(&mut self, now: Duration) {
        let ago = self.outs.partition_point(|(since, _)| *since + TOGETHER <= now);
        if ago == 0 {
            return;
        }
        for (since, key) in self.outs.drain(..ago).collect::<Vec<_>>() {
            if self.row(key).is_some_and(|row| row.state == State::Out && row.since == since) {
                self.change(key, |row| row.state = State::Past);
            }
        }
        self.refill();
    }
}
