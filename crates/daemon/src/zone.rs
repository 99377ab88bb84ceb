//! One task for each zone: list → plan → approve → apply, again and again.
//!
//! Invariant: this is the only place that calls `Provider::apply`.
//! Invariant: no plan is made before what the zone itself says of its members is part of the snapshot.
//! Invariant: a fault of the provider never ends the task; it waits with growing pauses and lists afresh.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::adopt::adopt;
use fleetdns_core::plan::Hold;
use fleetdns_core::velocity::Velocity;
use fleetdns_core::{
    Address, ApprovedPlan, Brakes, DnsName, Health, Listing, MemberName, Move, MoveCause, Observed, Planner,
    Provider, ProviderError, Scope, Snapshot, ZoneSettings, approve,
};
use fleetdns_probe::Reports;
use fleetdns_watch::Adopted;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::chain;
use crate::intents::Wishes;
use crate::journal::{Journal, Scribe};

mod outcome;
mod status;
mod tell;

pub use status::{Gauges, ZoneStatus};

/// Pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Every so many lists the pass after it looks at all names.
const LISTS_TO_A_WHOLE_PASS: u32 = 10;

/// What the task of one zone needs.
pub struct ZoneTask {
    provider: Arc<dyn Provider>,
    planner: Planner,
    brakes: Brakes,
    drift: Duration,
    configured: BTreeSet<MemberName>,
    wishes: Wishes,
    says_clusters: bool,
    adopted: mpsc::Sender<Adopted>,
    status: watch::Sender<ZoneStatus>,
    scope: Scope,
    observed: Option<Observed>,
    /// Names that a plan had and that were not written, or beside which somebody wrote meanwhile.
    unwritten: BTreeSet<DnsName>,
    lists: u32,
    /// After the next fault. Grows until everything that is wanted is written.
    pause: Duration,
    /// Nothing is written before the zone was listed again.
    resting: bool,
    /// The last fault was a request to wait, which is said once.
    asked_to_wait: bool,
    /// When the zone has to be listed again.
    list_at: Instant,
    /// What left the zone lately because of its probes.
    velocity: Velocity,
    /// When what waits for its turn is looked at again.
    turn_at: Option<Instant>,
    started: Instant,
    scribe: Scribe,
}

/// How a zone is kept, besides what core needs.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// The brakes.
    pub brakes: Brakes,
    /// How often the zone is read again.
    pub drift: Duration,
    /// Members that the config names.
    pub configured: BTreeSet<MemberName>,
    /// What persons say of the fleet.
    pub wishes: Wishes,
    /// Whether this task says what becomes of clusters as a whole: one of all the zones' tasks does.
    pub says_clusters: bool,
    /// Where what happens is written down.
    pub journal: Journal,
    /// What the prober knows.
    pub reports: Reports,
}

impl ZoneTask {
    /// A task that has not started, and what it will say of itself.
    pub fn new(
        settings: ZoneSettings,
        provider_name: &str,
        provider: Box<dyn Provider>,
        upkeep: Upkeep,
        adopted: mpsc::Sender<Adopted>,
    ) -> (Self, watch::Receiver<ZoneStatus>) {
        let provider: Arc<dyn Provider> = provider.into();
        let capabilities = provider.capabilities();
        let gauges = Gauges(Arc::clone(&provider));
        let initial = ZoneStatus::new(settings.clone(), provider_name, capabilities.clone(), gauges);
        let (status, receiver) = watch::channel(initial);
        let scribe = Scribe::new(upkeep.journal, upkeep.reports, settings.zone.clone());
        let task = Self {
            provider,
            planner: Planner::new(settings, capabilities, upkeep.brakes.clone()),
            brakes: upkeep.brakes,
            drift: upkeep.drift,
            configured: upkeep.configured,
            wishes: upkeep.wishes,
            says_clusters: upkeep.says_clusters,
            adopted,
            status,
            scope: Scope::All,
            observed: None,
            unwritten: BTreeSet::new(),
            lists: 0,
            pause: FIRST_PAUSE,
            resting: false,
            asked_to_wait: false,
            list_at: Instant::now(),
            velocity: Velocity::default(),
            turn_at: None,
            started: Instant::now(),
            scribe,
        };
        (task, receiver)
    }

    /// Works until `shutdown`.
    pub async fn run(
        mut self,
        mut snapshots: watch::Receiver<Snapshot>,
        mut health: watch::Receiver<Health>,
        shutdown: CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Ok(()) = snapshots.changed() => {}
                Ok(()) = health.changed() => {}
                Ok(()) = self.wishes.changed() => {}
                () = tokio::time::sleep_until(self.list_at) => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        () = self.list() => {}
                    }
                }
                () = turn(self.turn_at) => {
                    let waiting = self.waiting();
                    self.scope.extend(waiting);
                }
                // Both senders are gone: the daemon is ending.
                else => return,
            }
            let (snapshot, verdicts) =
                (snapshots.borrow_and_update().clone(), health.borrow_and_update().clone());
            let changed = self.planner.update(&snapshot, &verdicts);
            self.scope.extend(changed);
            let heeded = self.planner.heed(&self.wishes.latest());
            self.scope.extend(heeded);
            self.tell_clusters();
            self.pass().await;
        }
    }

    /// Reads the zone. On failure the next try is due after a pause.
    async fn list(&mut self) {
        let Listing { observed, unreadable } = match self.provider.list().await {
            Ok(listing) => listing,
            Err(error) => return self.wait_after(&error),
        };
        for entry in &unreadable {
            warn!(zone = %self.planner.zone().zone, entry = %entry, "the zone has an entry that cannot be read");
        }
        if self.observed.is_none() {
            let members = adopt(self.planner.zone(), &observed, &self.configured);
            debug!(zone = %self.planner.zone().zone, members = members.len(), "adopted what the zone says");
            let (adopted, taken) = Adopted::new(members);
            // Whoever takes it is gone only when the daemon is ending. Planned is on a snapshot that has it.
            if self.adopted.send(adopted).await.is_ok() {
                let _ = taken.await;
            }
            self.wishes.adopt(&self.planner.zone().zone, &observed).await;
        }
        self.resting = false;
        let looked_at = self.look_again(&observed);
        self.scope.extend(looked_at);
        self.observed = Some(observed);
        self.planner.forget();
        self.list_at = Instant::now() + self.drift;
        self.status.send_modify(|status| status.listed_at = Some(Instant::now()));
    }

    /// The names that a list gives cause to look at: those that are not as we left them, and those that are held, refused
    /// or failed. All of them at the start, after a fault and now and then, should anything have slipped.
    fn look_again(&mut self, listed: &Observed) -> Scope {
        self.lists = self.lists.wrapping_add(1);
        let status = self.status.borrow();
        let whole =
            self.lists % LISTS_TO_A_WHOLE_PASS == 1 || !self.unwritten.is_empty() || status.fault.is_some();
        match self.observed.as_ref().filter(|_| !whole) {
            None => Scope::All,
            Some(before) => {
                let refused = status.refused.keys().filter_map(|name| name.parse().ok());
                let stuck = status.held.keys().cloned().chain(refused);
                Scope::Names(before.changed(listed).cloned().chain(stuck).collect())
            }
        }
    }

    /// The whole zone was read and everything that is wanted is there. A list alone proves nothing: a zone that can be
    /// read and not written would be asked again and again without a pause.
    fn recovered(&mut self) {
        self.pause = FIRST_PAUSE;
        self.asked_to_wait = false;
        self.scribe.forget_unwritten();
        let mended = self.status.borrow().fault.is_some();
        if mended {
            info!(zone = %self.planner.zone().zone, "the zone can be read and written again");
            self.status.send_modify(|status| status.fault = None);
            self.scribe.mended();
        }
    }

    fn wait_after(&mut self, error: &ProviderError) {
        let pause = match error {
            ProviderError::Throttled { seconds, .. } => Duration::from_secs((*seconds).max(1)),
            _ => self.pause,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.list_at = Instant::now() + pause;
        self.resting = true;
        let text = chain(error);
        let asked = matches!(error, ProviderError::Throttled { .. });
        if self.status.borrow().fault.as_deref() != Some(&text) {
            let (zone, retry_ms) = (&self.planner.zone().zone, pause.as_millis());
            match (asked, self.asked_to_wait) {
                (false, _) => warn!(%zone, error = %text, retry_ms, "the zone cannot be read or written"),
                (true, false) => warn!(%zone, error = %text, retry_ms, "the provider asks to wait"),
                // The same wait, of which less is left.
                (true, true) => debug!(%zone, error = %text, retry_ms, "the provider asks to wait on"),
            }
            if !(asked && self.asked_to_wait) {
                self.scribe.fault(&text);
            }
            self.status.send_modify(|status| status.fault = Some(text));
        }
        self.asked_to_wait = asked;
    }

    /// Plans and writes what is in scope. Nothing happens while the zone waits to be listed after a fault.
    async fn pass(&mut self) {
        let Some(observed) = self.observed.as_ref().filter(|_| !self.scope.is_empty()) else {
            return self.tell_startup();
        };
        if self.resting {
            return;
        }
        let scope = std::mem::replace(&mut self.scope, Scope::Names(BTreeSet::new()));
        let observed = observed.clone();
        let (approved, moves) = self.plan(&scope, &observed);
        self.tell(&scope, &approved.plan().held, &approved.plan().refused);
        if scope == Scope::All {
            // What is still to be written is in the plan.
            self.unwritten.clear();
        }
        let mut settled = true;
        if !approved.plan().is_empty() {
            let started = Instant::now();
            let applied = self.provider.apply(&approved).await;
            self.scribe.moves(&moves, &applied);
            settled = self.take_in(&approved.plan().changes, &moves, applied, started.elapsed());
        }
        if settled && scope == Scope::All {
            self.recovered();
        }
        let observed = self.observed.clone();
        self.status.send_modify(|status| status.observed = observed);
        self.tell_startup();
    }

    /// Plans what is in scope. When more would leave because of probes than may within a minute, the rest waits: it is
    /// planned again with that, until nothing leaves that was not let go.
    fn plan(&mut self, scope: &Scope, observed: &Observed) -> (ApprovedPlan, Vec<Move>) {
        let mut waiting = BTreeSet::new();
        loop {
            self.planner.hold_back(waiting.clone());
            let plan = self.planner.plan(scope, observed);
            let moves = self.planner.moves(&plan, observed);
            let dead = |one: &&Move| one.cause == MoveCause::Unhealthy && !waiting.contains(&one.address);
            let leaving: BTreeSet<Address> =
                moves.iter().filter(dead).map(|one| one.address.clone()).collect();
            let more = if leaving.is_empty() {
                BTreeSet::new()
            } else {
                let budget = self.planner.removal_budget();
                self.velocity.admit(self.started.elapsed(), &leaving, budget)
            };
            if more.is_empty() {
                return (approve(plan, &self.brakes), moves);
            }
            self.turn_at = self.velocity.room_at().map(|at| self.started + at);
            waiting.extend(more);
        }
    }

    /// The names at which something waits for its turn.
    fn waiting(&mut self) -> Scope {
        self.turn_at = None;
        let status = self.status.borrow();
        let waits = status.held.values().filter(|held| held.reason == Hold::Velocity);
        Scope::Names(waits.map(|held| held.name.clone()).collect())
    }
}

/// The moment at which it is the turn of what waits; never when nothing does.
async fn turn(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
