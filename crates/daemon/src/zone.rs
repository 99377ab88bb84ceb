//! One task for each zone: list → plan → approve → apply, again and again.
//!
//! Invariant: this is the only place that calls `Provider::apply`.
//! Invariant: no plan is made before what the zone itself says of its members is part of the snapshot.
//! Invariant: a fault of the provider never ends the task; reading and writing wait with growing pauses of their own.
//! Invariant: a fault of one name never makes another name wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::Hold;
use fleetdns_core::lines::Lines;
use fleetdns_core::ownership::Writer;
use fleetdns_core::{Brakes, MemberName, Observed, Provider};
use fleetdns_planner::{Memory, Planner, Scope, ZoneSettings};
use fleetdns_probe::Reports;
use fleetdns_watch::Adopted;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ha::Fence;
use crate::heartbeats::Heartbeat;
use crate::inputs::Inputs;
use crate::journal::{EventRecorder, Journal};
use crate::overrides::OverrideSender;

mod batch;
mod calls;
mod configure;
mod dead;
mod listed;
mod name_servers;
mod other_writer;
mod outcome;
mod pass;
mod pause;
mod pending;
mod reading;
mod report;
mod start_up;
mod status;
mod unwritten;
mod write;

pub use calls::{CallError, Calls};
pub use configure::{ZoneChange, ZoneTerms};
pub use dead::{Dead, DeadNames};
pub use name_servers::NameServers;
pub use status::{CallsByKind, Measures, Times, ZoneStatus};
pub use unwritten::ByVerb;

use batch::Batch;
use other_writer::OtherWriter;
use pause::{Access, at};
use pending::Pending;
use reading::Reading;
use start_up::StartUp;
use unwritten::Unwritten;

/// What the task of one zone needs.
pub struct ZoneTask {
    provider: Arc<dyn Provider>,
    planner: Planner,
    drift: Duration,
    configured: BTreeSet<MemberName>,
    overrides: OverrideSender,
    says_clusters: bool,
    adopted: mpsc::Sender<Adopted>,
    status: watch::Sender<ZoneStatus>,
    /// Names to look at.
    scope: Scope,
    /// Names at which dead addresses are looked for.
    changed: Scope,
    /// When a change came in that the loop has not taken in yet.
    changed_at: Option<Instant>,
    /// The zone as it was last read, with what was written since.
    observed: Option<Observed>,
    reading: Reading,
    writing: Access,
    pending: Pending,
    /// Changes that were planned and are not written yet.
    unwritten: Unwritten,
    /// How many names are handed to the provider at once.
    batch: Batch,
    /// How many names are planned before what has changed meanwhile has its turn.
    at_once: usize,
    /// How often in a row a long pass had to begin again.
    restarts: u8,
    /// What the brakes remember.
    memory: Memory,
    /// When what waits for its turn is looked at again.
    turn_at: Option<Instant>,
    /// When the deletions that `max-delete` holds are looked at again.
    recheck_at: Option<Instant>,
    started: Instant,
    /// Until the provider is told that start-up has converged.
    start_up: Option<StartUp>,
    startup_timeout: Duration,
    recorder: EventRecorder,
    heartbeat: Heartbeat,
    /// What each namespace may put into the log.
    lines: Lines,
    /// Entries of the zone that cannot be read.
    unreadable: BTreeSet<String>,
    /// What a reload changes.
    changes: Option<mpsc::UnboundedReceiver<ZoneChange>>,
    name_servers: NameServers,
    /// What the replicas share.
    shared_fence: Fence,
    /// What stands before the writes of this zone.
    fence: Fence,
    /// This process, in the marks of what it writes.
    writer: Option<Writer>,
    other_writer: Option<OtherWriter>,
}

/// How a zone is kept, besides what core needs.
#[derive(Debug, Clone)]
pub struct ZoneOptions {
    /// The brakes.
    pub brakes: Brakes,
    /// How often the zone is read again.
    pub drift: Duration,
    /// Members that the config names.
    pub configured: BTreeSet<MemberName>,
    /// The override store.
    pub overrides: OverrideSender,
    /// Whether this task says what becomes of clusters as a whole: one of all the zones' tasks does.
    pub says_clusters: bool,
    /// Where what happens is written down.
    pub journal: Journal,
    /// What the prober knows.
    pub reports: Reports,
    /// The name servers of all zones.
    pub name_servers: NameServers,
    /// What stands before every write.
    pub fence: Fence,
    /// This process, as the marks of what it writes name it.
    pub writer: Option<Writer>,
    /// How long start-up waits for a member.
    pub startup_timeout: Duration,
}

impl ZoneTask {
    /// A task that has not started, and what it will say of itself.
    pub fn new(
        settings: ZoneSettings,
        provider_name: &str,
        provider: Box<dyn Provider>,
        options: ZoneOptions,
        adopted: mpsc::Sender<Adopted>,
    ) -> (Self, watch::Receiver<ZoneStatus>) {
        let provider: Arc<dyn Provider> = provider.into();
        let capabilities = provider.capabilities();
        let measures = Measures(Arc::clone(&provider));
        let fence = options.fence.of_zone(&capabilities);
        let start_up = StartUp::of(&capabilities, options.startup_timeout);
        let initial = ZoneStatus::new(settings.clone(), provider_name, capabilities.clone(), measures);
        let (status, receiver) = watch::channel(initial);
        let recorder = EventRecorder::new(options.journal, options.reports, settings.zone.clone());
        let task = Self {
            provider,
            planner: Planner::new(settings, capabilities, options.brakes).with_writer(options.writer),
            drift: options.drift,
            configured: options.configured,
            overrides: options.overrides,
            says_clusters: options.says_clusters,
            adopted,
            status,
            scope: Scope::All,
            changed: Scope::All,
            changed_at: None,
            observed: None,
            reading: Reading::new(),
            writing: Access::new("write"),
            pending: Pending::default(),
            unwritten: Unwritten::default(),
            batch: Batch::default(),
            at_once: pass::AT_ONCE,
            restarts: 0,
            memory: Memory::default(),
            turn_at: None,
            recheck_at: None,
            started: Instant::now(),
            start_up,
            startup_timeout: options.startup_timeout,
            recorder,
            heartbeat: Heartbeat::default(),
            lines: Lines::default(),
            unreadable: BTreeSet::new(),
            changes: None,
            name_servers: options.name_servers,
            shared_fence: options.fence,
            fence,
            writer: options.writer,
            other_writer: None,
        };
        (task, receiver)
    }

    /// With a heartbeat, by which others see that it takes its turns.
    #[must_use]
    pub fn with_heartbeat(self, heartbeat: Heartbeat) -> Self {
        Self { heartbeat, ..self }
    }

    /// With a channel for what a reload changes.
    #[must_use]
    pub fn with_changes(self, changes: mpsc::UnboundedReceiver<ZoneChange>) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Plans so many names before what has changed meanwhile has its turn.
    #[must_use]
    pub fn with_parts(self, names: usize) -> Self {
        Self { at_once: names.max(1), ..self }
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, mut inputs: Inputs, shutdown: CancellationToken) {
        loop {
            self.heartbeat.beat();
            let (wake_at, asked) = (self.wake_at(), self.pending.next_read());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                listed = self.reading.next(&self.provider, self.observed.as_ref(), asked) => {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        () = self.take_list(listed) => {}
                    }
                }
                Some(change) = configure::next(&mut self.changes) => self.configure(change),
                Some(()) = inputs.changed() => {}
                () = self.name_servers.changed() => self.take_name_servers(),
                () = self.fence.changed() => self.take_standing(),
                () = at(wake_at) => {}
                () = self.heartbeat.tick() => {}
                // Both senders are gone: the daemon is ending.
                else => return,
            }
            self.forget_other_writer();
            self.collect_due();
            self.take_changes(&mut inputs);
            self.report_clusters();
            self.report_left_out();
            self.pass(&mut inputs).await;
            self.look_for_dead().await;
            self.end_start_up().await;
        }
    }

    /// Takes in what is known now.
    fn take_changes(&mut self, inputs: &mut Inputs) {
        let changed = self.planner.update(&inputs.latest());
        self.unwritten.changed(&changed, self.changed_at.take().unwrap_or_else(Instant::now));
        self.changed.extend(changed.clone());
        self.scope.extend(changed);
    }

    /// Another replica has written until now: everything is planned, and what it has changed is read.
    fn take_standing(&mut self) {
        if self.fence.standing().writes() {
            self.scope = Scope::All;
            self.reading.soon();
            self.record_refused();
        }
    }

    /// When there is something to do although nothing has changed.
    fn wake_at(&self) -> Option<Instant> {
        self.observed.as_ref()?;
        let now = Instant::now();
        if let Some(until) = self.writing.rests_until(now) {
            return Some(until);
        }
        if !self.scope.is_empty() {
            return Some(now);
        }
        let start_up = self.start_up.as_ref().map(|start_up| start_up.look_at);
        [self.pending.next_try(), self.turn_at, self.recheck_at, self.other_writer_until(), start_up]
            .into_iter()
            .flatten()
            .min()
    }

    /// Puts into the scope what was to be looked at by now.
    fn collect_due(&mut self) {
        let now = Instant::now();
        if self.observed.is_none() || self.writing.rests_until(now).is_some() {
            return;
        }
        let due = self.pending.due(now).cloned().collect();
        self.scope.extend(Scope::Names(due));
        let is_over = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if is_over(&mut self.turn_at) {
            let status = self.status.borrow();
            let held = status.held.values().filter(|held| held.reason == Hold::Velocity);
            self.scope.extend(Scope::Names(held.map(|held| held.name.clone()).collect()));
        }
        if is_over(&mut self.recheck_at) {
            self.scope.extend(Scope::Names(self.memory.undeleted.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
