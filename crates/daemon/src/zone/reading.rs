//! Reading the zone, beside the writing and never in its way.
//!
//! Invariant: a list never overwrites what is known of a name that was written while the list was made.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{DnsName, Listing, Observed, Provider, ProviderError};
use fleetdns_planner::Scope;
use fleetdns_planner::adopt::adopt;
use fleetdns_watch::Adopted;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::pause::{Access, FIRST_PAUSE};
use super::{ZoneTask, at};

/// Every so many lists the pass after it looks at all names.
const LISTS_TO_A_WHOLE_PASS: u32 = 10;
/// While a name waits for a read, no pause is longer than this, however long or often reading has failed.
const ASKED_PAUSE: Duration = Duration::from_secs(2);
/// A list that takes longer has failed.
const LONGEST_LIST: Duration = Duration::from_secs(600);

/// When the zone is read, and the list that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) access: Access,
    /// When the zone has to be read again, whatever happens.
    drift_at: Instant,
    /// Not before this: two lists never follow each other closer than one takes.
    earliest: Instant,
    /// The same while a name waits for a read.
    earliest_asked: Instant,
    running: Option<Running>,
    lists: u32,
}

#[derive(Debug)]
struct Running {
    task: AbortOnDropHandle<Result<Listing, ProviderError>>,
    began: Instant,
    /// Names that were written since.
    written: BTreeSet<DnsName>,
    /// A list was requested since: this one does not show what it has to show.
    outdated: bool,
}

/// A list that has ended.
#[derive(Debug)]
pub(super) struct Listed {
    result: Result<Listing, ProviderError>,
    began: Instant,
    written: BTreeSet<DnsName>,
    outdated: bool,
}

impl Reading {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let access = Access::new("read");
        Self { access, drift_at: now, earliest: now, earliest_asked: now, running: None, lists: 0 }
    }

    /// Requests a list that begins after now.
    pub(super) fn soon(&mut self) {
        self.drift_at = self.drift_at.min(Instant::now());
        if let Some(running) = &mut self.running {
            running.outdated = true;
        }
    }

    /// Notes names that are written now.
    pub(super) fn note_written<'a>(&mut self, names: impl Iterator<Item = &'a DnsName>) {
        if let Some(running) = &mut self.running {
            running.written.extend(names.cloned());
        }
    }

    /// Starts a list when it is time, and returns when it has ended. Can be dropped at any moment: the list goes on.
    pub(super) async fn next(&mut self, provider: &Arc<dyn Provider>, asked: Option<Instant>) -> Listed {
        if self.running.is_none() {
            let drift = self.drift_at.max(self.earliest);
            let due = asked.map_or(drift, |asked| asked.max(self.earliest_asked).min(drift));
            let longest = asked.map(|_| self.earliest_asked + ASKED_PAUSE);
            let rests = self.access.rests_until_at_most(longest, Instant::now());
            at(Some(rests.map_or(due, |until| until.max(due)))).await;
            let provider = Arc::clone(provider);
            let task = AbortOnDropHandle::new(tokio::spawn(async move { provider.list().await }));
            let began = Instant::now();
            self.running = Some(Running { task, began, written: BTreeSet::new(), outdated: false });
        }
        let Some(running) = &mut self.running else { return pending().await };
        let ended = timeout_at(running.began + LONGEST_LIST, &mut running.task).await;
        let Some(Running { began, written, outdated, .. }) = self.running.take() else {
            return pending().await;
        };
        let now = Instant::now();
        let took = now.duration_since(began).max(FIRST_PAUSE);
        (self.earliest, self.earliest_asked) = (now + took, now + took.min(ASKED_PAUSE));
        let result = match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it.
                Err(_) => pending().await,
            },
            Err(_) => Err(ProviderError::Unavailable {
                endpoint: "the provider".into(),
                action: "list the zone within ten minutes",
                source: None,
            }),
        };
        Listed { result, began, written, outdated }
    }
}

impl ZoneTask {
    /// Takes in a list that has ended.
    pub(super) async fn take_list(&mut self, listed: Listed) {
        let Listed { result, began, written, outdated } = listed;
        let zone = self.planner.zone().zone.clone();
        let Listing { mut observed, unreadable } = match result {
            Ok(listing) => listing,
            Err(error) => {
                let news = self.reading.access.failed(&error, &zone, Instant::now());
                return self.report_fault(news);
            }
        };
        self.report_unreadable(unreadable);
        match &self.observed {
            None => self.adopt(&observed).await,
            Some(known) => {
                for name in written {
                    let sets = known.at(&name).to_vec();
                    observed.replace(name, sets);
                }
            }
        }
        self.reading.access.works(&zone);
        let drift = if outdated { Duration::ZERO } else { self.drift };
        self.reading.drift_at = Instant::now() + drift;
        self.reading.lists = self.reading.lists.wrapping_add(1);
        let looked_at = self.names_to_recheck(&observed);
        self.scope.extend(looked_at);
        self.scope.extend(Scope::Names(self.pending.read(began)));
        self.observed = Some(observed.clone());
        self.planner.reset_memory();
        self.status.send_modify(|status| {
            status.listed_at = Some(Instant::now());
            // Shown though writing rests: no pass may follow for long.
            status.observed = Some(observed);
        });
        self.report_fault(None);
    }

    /// Hands over what the zone says of members and of persons, before the first plan.
    async fn adopt(&self, observed: &Observed) {
        let members = adopt(self.planner.zone(), observed, &self.configured);
        debug!(zone = %self.planner.zone().zone, members = members.len(), "adopted what the zone says");
        let (adopted, taken) = Adopted::new(members);
        // Whoever takes it is gone only when the daemon is ending. Planned is on a snapshot that has it.
        if self.adopted.send(adopted).await.is_ok() {
            let _ = taken.await;
        }
        self.overrides.adopt(&self.planner.zone().zone, observed).await;
    }

    /// The names that a list returns cause to look at: those that are not as we left them, and those that are held or
    /// refused. All of them at the start, when what can be written at all is something else, and now and then, should
    /// anything have slipped.
    fn names_to_recheck(&self, listed: &Observed) -> Scope {
        let whole = self.reading.lists % LISTS_TO_A_WHOLE_PASS == 1;
        let same_rules = |before: &&Observed| before.same_limits(listed);
        match self.observed.as_ref().filter(|_| !whole).filter(same_rules) {
            None => Scope::All,
            Some(before) => {
                let status = self.status.borrow();
                let refused = status.refused.keys().filter_map(|name| name.parse().ok());
                let stuck = status.held.keys().cloned().chain(refused);
                Scope::Names(before.changed(listed).cloned().chain(stuck).collect())
            }
        }
    }
}
