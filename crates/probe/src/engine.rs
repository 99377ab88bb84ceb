//! The loop: what is due is started, what has landed is judged, what changed is published.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::stamp::span_ms;
use fleetdns_core::{AddressPolicies, DnsName, Health, ProbeKey, Snapshot, Timing, Verdict};
use fleetdns_health::Weight;
use fleetdns_health::state::{HealthState, Outcome};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answer::{Answer, Snag};
use crate::budget::{Budget, Later};
use crate::canary::Canary;
use crate::changes::Changes;
use crate::error::ProbeError;
use crate::flight::{Due, Flight};
use crate::names::Names;
use crate::put_off::Limit;
use crate::report::{Report, Reports};
use crate::resolve::{Families, Resolver};
use crate::routes::Routes;
use crate::schedule::{Row, Schedule, Slot};
use crate::self_check::Watcher;
use crate::settings::{ProbeSettings, Turns};
use crate::stall::Stall;
use crate::targets::Targets;

mod targets;

/// A stall that goes on is said again after this.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What happens in the queue of probes.
enum Event {
    Beat,
    Landed(Landed),
}

struct Landed {
    slot: Slot,
    started: Instant,
    due: Due,
    /// Started so much too late that a failure says nothing.
    late: Option<Duration>,
    answer: Answer,
}

/// How to probe: what a configuration says.
pub(crate) struct Setup<P, L> {
    pub(crate) settings: ProbeSettings,
    pub(crate) canaries: Vec<Canary>,
    pub(crate) probe: P,
    pub(crate) lookup: L,
}

pub(crate) struct Engine<P, L, G> {
    /// Of keys that ask for no other.
    timing: Timing,
    room: usize,
    probe: P,
    resolver: Resolver<L, G>,
    reports: Reports,
    epoch: Instant,
    targets: Targets,
    names: Names,
    schedule: Schedule,
    queue: FuturesUnordered<BoxFuture<'static, Event>>,
    in_flight: usize,
    flight: Flight,
    stall: Stall,
    stall_said: Option<Instant>,
    /// Keys whose last probe was inconclusive.
    unclear: usize,
    budget: Budget,
    routes: Routes,
    watcher: Watcher,
    changes: Changes,
    turns: Option<Turns>,
    policies: Arc<AddressPolicies>,
}

impl<P, F, L, G> Engine<P, L, G>
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer> + Send + 'static,
    L: Fn(DnsName) -> G,
    G: Future<Output = (DnsName, Families)>,
{
    pub(crate) fn new(setup: Setup<P, L>, reports: Reports) -> Self {
        let Setup { settings, canaries, probe, lookup } = setup;
        let epoch = Instant::now();
        let mut engine = Self {
            timing: settings.timing(),
            room: settings.room(),
            schedule: Schedule::new(epoch, settings.timing()),
            watcher: Watcher::new((&settings.timing(), settings.correlation_hold), epoch, reports.clone()),
            probe,
            resolver: Resolver::new(lookup),
            reports,
            epoch,
            targets: Targets::default(),
            names: Names::new(Arc::clone(&settings.addresses)),
            queue: FuturesUnordered::new(),
            in_flight: 0,
            flight: Flight::default(),
            stall: Stall::new(),
            stall_said: None,
            unclear: 0,
            budget: Budget::new(settings.namespace_rate),
            routes: Routes::default(),
            changes: Changes::new(settings.unprobeable_policy),
            turns: None,
            policies: settings.addresses,
        };
        engine.set_canaries(&canaries);
        engine
    }

    /// Before it runs.
    pub(crate) fn with_turns(self, turns: Option<Turns>) -> Self {
        Self { turns, ..self }
    }

    /// Probes in another way from now on. What is known of each key stands.
    fn configure(&mut self, Setup { settings, canaries, probe, lookup }: Setup<P, L>) {
        self.timing = settings.timing();
        self.room = settings.room();
        self.schedule.set_timing(self.timing);
        self.watcher.configure(&self.timing, settings.correlation_hold);
        self.budget.set_rate(settings.namespace_rate);
        self.changes.set_unprobeable_policy(settings.unprobeable_policy);
        self.probe = probe;
        self.resolver.set_lookup(lookup);
        self.policies = Arc::clone(&settings.addresses);
        for (name, keys) in self.names.set_policies(settings.addresses) {
            self.take_keys(&name, keys);
        }
        self.set_canaries(&canaries);
    }

    pub(crate) async fn run(
        mut self,
        mut snapshots: watch::Receiver<Snapshot>,
        out: &watch::Sender<Health>,
        mut confirm_outage: watch::Receiver<u64>,
        mut setups: impl Stream<Item = Setup<P, L>> + Unpin,
        shutdown: CancellationToken,
    ) -> Result<(), ProbeError> {
        let mut alarm = pin!(sleep_until(self.epoch));
        let mut stop = pin!(shutdown.cancelled());
        let mut turn = pin!(sleep_until(self.epoch));
        snapshots.mark_changed();
        self.changes.configured(&self.policies, out);
        loop {
            self.look();
            self.start_due();
            self.changes.publish(out);
            let due = self.schedule.next_due().filter(|_| self.in_flight < self.room);
            let next = due.into_iter().chain(self.watcher.next_turn()).min();
            if let Some(next) = next.filter(|next| *next != alarm.deadline()) {
                alarm.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                () = &mut turn, if self.turns.is_some() => {
                    if let Some((tick, beat)) = &self.turns {
                        let now = Instant::now();
                        if !self.flight.hangs(now) && !self.resolver.hangs(now) {
                            beat();
                        }
                        turn.as_mut().reset(now + *tick);
                    }
                }
                changed = snapshots.changed() => {
                    changed.map_err(|_| ProbeError::NoSnapshots)?;
                    let snapshot = snapshots.borrow_and_update().clone();
                    self.take_snapshot(&snapshot);
                }
                Ok(()) = confirm_outage.changed() => {
                    self.watcher.confirm_outage(Instant::now(), &mut self.schedule, &mut self.changes);
                }
                Some(setup) = setups.next() => {
                    self.configure(setup);
                    self.changes.configured(&self.policies, out);
                }
                resolved = self.resolver.next() => self.take_resolved(resolved),
                Some(event) = self.queue.next() => self.take_event(event),
                () = &mut alarm, if next.is_some() => {}
            }
        }
    }

    /// Asks whom has to be asked, and says what follows for all.
    fn look(&mut self) {
        let now = Instant::now();
        for slot in self.watcher.ask(now) {
            self.schedule.hasten(slot, now);
        }
        self.watcher.look(now, &mut self.schedule, &mut self.changes);
        self.changes.tell_left_out();
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.in_flight < self.room {
            let Some((slot, due)) = self.schedule.pop_due(now) else { return };
            let Some(row) = self.schedule.row_mut(slot) else { continue };
            if !std::mem::take(&mut row.paid) {
                let payers = self.watcher.self_check().namespaces(slot.into());
                if let Some(later) = self.budget.reserve(row.key.address, payers, now) {
                    row.paid = true;
                    self.schedule.defer(slot, later.start);
                    self.put_off(&later, now);
                    continue;
                }
            }
            let lag = now.saturating_duration_since(due);
            self.reports.count_start(lag);
            let timing = self.timing.with(&row.key.spec.pace);
            let late = (lag > timing.interval / 2).then_some(lag);
            let probe = (self.probe)(row.key.clone());
            let due = self.flight.began(now, timing.timeout);
            self.queue.push(Box::pin(async move {
                Event::Landed(Landed { slot, started: now, due, late, answer: probe.await })
            }));
            self.in_flight += 1;
            self.arm(now);
        }
    }

    /// Counts a probe that waits, and logs its namespace once a minute.
    fn put_off(&self, later: &Later, now: Instant) {
        let limit = if later.of_address { Limit::Address } else { Limit::Namespace };
        let wait = later.start.saturating_duration_since(now);
        if self.reports.put_off(&later.namespace, limit, wait, now) {
            warn!(namespace = %later.namespace, limit = limit.as_str(), wait_ms = span_ms(wait), "probes of a namespace put off");
        }
    }

    fn arm(&mut self, now: Instant) {
        if let Some(beat) = self.stall.arm(now) {
            self.queue.push(Box::pin(async move {
                sleep_until(beat).await;
                Event::Beat
            }));
        }
    }

    fn take_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Landed(landed) => self.take_landed(landed, now),
            Event::Beat => {
                if let Some(late) = self.stall.beat(now) {
                    self.reports.count_stall();
                    if self.stall_said.is_none_or(|said| now.duration_since(said) >= SAY_AGAIN) {
                        self.stall_said = Some(now);
                        warn!(
                            ?late,
                            in_flight = self.in_flight,
                            "prober stalled; failures in that time ignored"
                        );
                    }
                }
                if self.in_flight > 0 {
                    self.arm(now);
                }
            }
        }
    }

    fn take_landed(&mut self, landed: Landed, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.flight.ended(landed.due);
        let Some(row) = self.schedule.row_mut(landed.slot) else { return };
        let answer = weigh(row, landed.answer);
        let answer = self.excuse(answer, landed.started, landed.late, now);
        let unclear = answer.outcome() == Outcome::Inconclusive;
        let Some(row) = self.schedule.row_mut(landed.slot) else { return };
        let was_unclear = row.unclear > 0;
        row.unclear = if unclear { row.unclear.saturating_add(1) } else { 0 };
        let before = row.health_state.verdict();
        let Timing { thresholds, timeout, .. } = self.timing.with(&row.key.spec.pace);
        let weight = match answer.outcome() {
            Outcome::Fail => self.watcher.weigh(landed.slot, &answer, landed.started),
            Outcome::Pass | Outcome::Inconclusive => Weight::Counts,
        };
        let outcome = if weight == Weight::Void { Outcome::Inconclusive } else { answer.outcome() };
        if weight == Weight::Fresh {
            row.health_state.reset_failures();
        }
        let change = row.health_state.record(outcome, now - self.epoch, &thresholds, weight == Weight::Held);
        let (health_state, times) = (&row.health_state, (landed.started, now));
        let again = self.watcher.landed(landed.slot, (health_state, &thresholds, timeout), &answer, times);
        if let Some(after) = change {
            self.watcher.verdict((landed.slot, &row.key), (before, after), &answer, &mut self.changes);
        }
        let unprobeable = self.routes.is_blind(row, &answer, landed.started, thresholds.fall.max(1));
        // While we are cut off, it is more than this endpoint that cannot be probed.
        let unprobeable = unprobeable && (row.unprobeable || !self.watcher.is_cut_off());
        if std::mem::replace(&mut row.unprobeable, unprobeable) != unprobeable {
            let had_verdict = row.health_state.verdict() != Verdict::Unknown;
            if unprobeable {
                row.health_state = HealthState::default();
                self.watcher.unjudge(landed.slot);
            }
            if self.watcher.is_endpoint(landed.slot) {
                self.changes.unprobeable(row.key.clone(), (unprobeable, had_verdict && unprobeable), &answer);
            }
        }
        let report = Report::new(
            &row.health_state,
            &thresholds,
            answer,
            now.saturating_duration_since(landed.started),
        );
        let address = row.key.address;
        let error = if unclear && !was_unclear { report.last.error().map(|e| (address, e)) } else { None };
        self.reports.put(&row.key, report);
        self.set_unclear(was_unclear, unclear, error);
        if let Some(row) = self.schedule.landed(landed.slot, landed.started, now) {
            self.drop_row(landed.slot, &row);
        } else if again {
            self.schedule.hasten(landed.slot, now);
        }
    }

    /// A failure that our own slowness may have made is none. A success is one however slow we were, and so is a
    /// refusal: no delay of ours brings it about.
    fn excuse(&self, answer: Answer, started: Instant, late: Option<Duration>, now: Instant) -> Answer {
        match &answer {
            Answer::Fail(failure) if !failure.is_proof() => {}
            _ => return answer,
        }
        let stall = || self.stall.stalled_since(started, now).map(Snag::Stalled);
        late.map(Snag::Late).or_else(stall).map_or(answer, Answer::Unclear)
    }

    /// Says the first and the last of them only: a fault on our side hits many keys.
    fn set_unclear(&mut self, was: bool, is: bool, error: Option<(IpAddr, String)>) {
        let before = self.unclear;
        self.unclear = (before + usize::from(is)).saturating_sub(usize::from(was));
        match (before, self.unclear, error) {
            (0, 1.., Some((address, error))) => {
                warn!(%address, error, "probes fail locally; verdicts frozen");
            }
            (1.., 0, _) => info!("probes do not fail on this side any more"),
            _ => {}
        }
    }
}

/// A guess that held once has to hold on; until then a connection is enough.
fn weigh(row: &mut Row, answer: Answer) -> Answer {
    match answer {
        Answer::Open(failure) if row.proven => Answer::Fail(failure),
        Answer::Pass => {
            row.proven = true;
            Answer::Pass
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
