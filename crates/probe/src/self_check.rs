//! The engine's sight: who is asked whether we see, and which verdicts wait for the answer.

use std::collections::HashMap;
use std::time::Duration;

use fleetdns_core::probe::Thresholds;
use fleetdns_core::{DnsName, ProbeKey, SelfCheckFailure, Target, Timing, Verdict};
use fleetdns_health::state::HealthState;
use fleetdns_health::{Probed, Transition, VantageMonitor, VantageSettings, Weight};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::answer::Answer;
use crate::canary::{Canary, KnownCanary};
use crate::changes::Changes;
use crate::report::Reports;
use crate::schedule::{Schedule, Slot};

/// A verdict that takes an endpoint out, until others have been asked.
#[derive(Debug)]
struct Waiting {
    before: Verdict,
    answer: Answer,
}

/// What [`VantageMonitor`] needs of the engine, and what it decides there.
///
/// Invariant: a verdict that takes an endpoint out is published together with the failed self-check of that moment, or after
/// it.
pub(crate) struct Watcher {
    self_check: VantageMonitor,
    epoch: Instant,
    /// A probe takes no longer than this, unless its Service says otherwise.
    timeout: Duration,
    waiting: HashMap<Slot, Waiting>,
    canaries: Vec<KnownCanary>,
    reports: Reports,
}

impl Watcher {
    /// Without canaries. `hold`: how long a correlation holds.
    pub(crate) fn new((timing, hold): (&Timing, Option<Duration>), epoch: Instant, reports: Reports) -> Self {
        let self_check = VantageMonitor::new(vantage(timing, hold), []);
        let (waiting, canaries) = (HashMap::new(), Vec::new());
        Self { self_check, epoch, timeout: timing.timeout, waiting, canaries, reports }
    }

    pub(crate) fn configure(&mut self, timing: &Timing, hold: Option<Duration>) {
        self.self_check.configure(vantage(timing, hold));
        self.timeout = timing.timeout;
    }

    /// Makes these the canaries. Returns targets that have to be probed from now on, and those that need not be.
    pub(crate) fn set_canaries(&mut self, canaries: &[Canary]) -> (Vec<Target>, Vec<Target>) {
        let mut gone = Vec::new();
        while let Some(at) = self.canaries.iter().position(|known| !canaries.contains(&known.canary)) {
            self.self_check.remove_canary(at);
            gone.push(self.canaries.remove(at).target);
        }
        let mut new = Vec::new();
        for canary in canaries {
            let known = self.canaries.iter().any(|known| known.canary == *canary);
            let Some(target) = canary.target().ok().filter(|_| !known) else { continue };
            self.self_check.add_canary(canary.member.clone());
            new.push(target.clone());
            self.canaries.push(KnownCanary { canary: canary.clone(), target, keys: Vec::new() });
        }
        gone.retain(|target| self.canaries.iter().all(|known| known.target != *target));
        self.reports.set_canaries(&self.canaries);
        (new, gone)
    }

    pub(crate) const fn self_check(&mut self) -> &mut VantageMonitor {
        &mut self.self_check
    }

    pub(crate) fn is_endpoint(&self, slot: Slot) -> bool {
        self.self_check.is_endpoint(slot.into())
    }

    /// A key comes or goes for a target.
    pub(crate) fn set_canary(&mut self, target: &Target, key: &ProbeKey, slot: Slot, is: bool) {
        let mut changed = false;
        for (index, canary) in self.canaries.iter_mut().enumerate().filter(|(_, one)| one.target == *target) {
            canary.keys.retain(|known| known != key);
            if is {
                canary.keys.push(key.clone());
            }
            self.self_check.set_canary(index, slot.into(), is);
            changed = true;
        }
        if changed {
            self.reports.set_canaries(&self.canaries);
        }
    }

    /// A host name has no address, or has some.
    pub(crate) fn set_unresolved(&mut self, name: &DnsName, is: bool) {
        for (index, canary) in self.canaries.iter().enumerate() {
            if canary.canary.address.hostname() == Some(name) {
                self.self_check.set_unresolved(index, is);
            }
        }
    }

    /// What a failure of a probe that began at this time is worth.
    pub(crate) fn weigh(&mut self, slot: Slot, answer: &Answer, started: Instant) -> Weight {
        self.self_check.weigh(slot.into(), answer.reachability(), self.at(started))
    }

    /// Whether we seem to be cut off.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self.self_check.self_check(), Some(SelfCheckFailure::Vantage { .. }))
    }

    /// A probe has ended. Returns whether its key has to be probed again at once.
    pub(crate) fn landed(
        &mut self,
        slot: Slot,
        (health_state, thresholds, timeout): (&HealthState, &Thresholds, Duration),
        answer: &Answer,
        (started, ended): (Instant, Instant),
    ) -> bool {
        let probed = Probed {
            started: started.saturating_duration_since(self.epoch),
            ended: ended.saturating_duration_since(self.epoch),
            reachability: answer.reachability(),
            verdict: health_state.verdict(),
            failures: health_state.failures(),
            calm: !health_state.is_turning(thresholds),
            prompt: timeout <= self.timeout,
        };
        self.self_check.take(slot.into(), &probed)
    }

    /// A verdict has changed: passes it on, or lets it wait.
    pub(crate) fn verdict(
        &mut self,
        (slot, key): (Slot, &ProbeKey),
        (before, after): (Verdict, Verdict),
        answer: &Answer,
        changes: &mut Changes,
    ) {
        if !self.is_endpoint(slot) {
            return self.tell_of_canary(key, after, answer);
        }
        if let Some(waiting) = self.waiting.get(&slot) {
            // Nobody was told yet that it failed.
            if after == Verdict::Healthy {
                if waiting.before != after {
                    changes.verdict(
                        (key, &mut self.self_check.namespaces(slot.into())),
                        (waiting.before, after),
                        answer,
                    );
                }
                self.waiting.remove(&slot);
            }
            return;
        }
        if after == Verdict::Unhealthy && !self.self_check.may_go_out(slot.into()) {
            self.waiting.insert(slot, Waiting { before, answer: answer.clone() });
        } else {
            changes.verdict((key, &mut self.self_check.namespaces(slot.into())), (before, after), answer);
        }
    }

    fn tell_of_canary(&self, key: &ProbeKey, verdict: Verdict, answer: &Answer) {
        let Some(known) = self.canaries.iter().find(|known| known.keys.contains(key)) else { return };
        let (canary, address) = (&known.canary, key.address);
        match verdict {
            Verdict::Unhealthy => info!(%canary, %address, error = answer.error(), "canary does not answer"),
            Verdict::Recovering => info!(%canary, %address, "canary answers again"),
            _ => {}
        }
    }

    /// A key is no endpoint's any more.
    pub(crate) fn hide(&mut self, slot: Slot) {
        self.waiting.remove(&slot);
    }

    /// A key cannot be probed as things are.
    pub(crate) fn unjudge(&mut self, slot: Slot) {
        self.waiting.remove(&slot);
        self.self_check.unjudge(slot.into());
    }

    /// A key is not probed any more.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.waiting.remove(&slot);
        self.self_check.remove(slot.into());
    }

    /// Keys that have to be probed at once.
    pub(crate) fn ask(&mut self, now: Instant) -> impl Iterator<Item = Slot> {
        self.self_check.ask(self.at(now)).into_iter().map(Slot::from)
    }

    /// Says whether the self-check fails or passes again, and then lets go what waited for that.
    pub(crate) fn look(&mut self, now: Instant, schedule: &mut Schedule, changes: &mut Changes) {
        let turn = self.self_check.check(self.at(now));
        self.apply_distrust(schedule, changes);
        turn.into_iter().for_each(|turn| Self::report(turn, changes));
        let self_check = &self.self_check;
        self.waiting.retain(|slot, waiting| {
            if !self_check.may_go_out((*slot).into()) {
                return true;
            }
            if let Some(row) = schedule.row(*slot) {
                let namespaces = &mut self_check.namespaces((*slot).into());
                let verdicts = (waiting.before, row.health_state.verdict());
                changes.verdict((&row.key, namespaces), verdicts, &waiting.answer);
            }
            false
        });
    }

    /// When there is something to do though no probe ended.
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        self.self_check.next_turn().map(|at| self.epoch + at)
    }

    /// A person says that what went bad together is really bad.
    pub(crate) fn confirm_outage(&mut self, now: Instant, schedule: &mut Schedule, changes: &mut Changes) {
        let turn = self.self_check.confirm_outage(self.at(now));
        self.apply_distrust(schedule, changes);
        match turn {
            Some(turn) => Self::report(turn, changes),
            None => info!("confirm-outage ignored: no correlation in force"),
        }
    }

    /// Takes back what is distrusted, and lets what failed meanwhile fail again.
    fn apply_distrust(&mut self, schedule: &mut Schedule, changes: &mut Changes) {
        for slot in self.self_check.take_back().into_iter().map(Slot::from) {
            let Some(row) = schedule.row_mut(slot) else { continue };
            let before = row.health_state.verdict();
            if row.health_state.hold() && !self.waiting.contains_key(&slot) {
                let namespaces = &mut self.self_check.namespaces(slot.into());
                changes.taken_back((&row.key, namespaces), (before, row.health_state.verdict()));
            }
        }
        for slot in self.self_check.take_freed().into_iter().map(Slot::from) {
            schedule.row_mut(slot).into_iter().for_each(|row| row.health_state.reset_failures());
        }
    }

    fn report(turn: Transition, changes: &mut Changes) {
        match turn {
            Transition::Began(self_check) | Transition::Became(self_check) => {
                warn!(%self_check, "probe results distrusted; removals of what failed suspended");
                changes.self_check(Some(self_check));
            }
            Transition::Ended(self_check) => {
                info!(kind = self_check.kind(), "probe results trusted again");
                changes.self_check(None);
            }
            Transition::Expired(self_check) => {
                warn!(%self_check, "correlation-hold is over; what still fails is removed");
                changes.self_check(None);
            }
            Transition::Passed(self_check) => info!(%self_check, "probe results distrusted for a moment"),
        }
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

fn vantage(timing: &Timing, hold: Option<Duration>) -> VantageSettings {
    // Who answered may be asked once more.
    VantageSettings { gap: timing.fast_interval, patience: timing.timeout * 2, hold }
}
