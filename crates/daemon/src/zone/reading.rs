//! Reading the zone, beside the writing and never in its way.
//!
//! Invariant: a list never overwrites what is known of a name that was written while the list was made.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{DnsName, Listing, Observed, Provider, ProviderError, SharedListing};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::pause::{Access, FIRST_PAUSE, at};

/// While a name waits for a read, no pause is longer than this, however long or often reading has failed.
const ASKED_PAUSE: Duration = Duration::from_secs(2);
/// Names that are compared before other tasks have their turn.
const AT_ONCE: usize = 1000;
/// A list that takes longer has failed.
const LONGEST_LIST: Duration = Duration::from_secs(600);

/// When the zone is read, and the list that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) access: Access,
    /// When the zone has to be read again, whatever happens.
    pub(super) drift_at: Instant,
    /// Not before this: two lists never follow each other closer than one takes.
    earliest: Instant,
    /// The same while a name waits for a read.
    earliest_asked: Instant,
    running: Option<Running>,
    pub(super) lists: u32,
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
    pub(super) result: Result<Listing, ProviderError>,
    pub(super) began: Instant,
    pub(super) written: BTreeSet<DnsName>,
    pub(super) outdated: bool,
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

    /// Starts a list when it is time, and returns when it has ended. Can be dropped at any moment: the list goes on. Where it
    /// is as `known` is, it has its memory, so that the zone's task pays for what differs alone.
    pub(super) async fn next(
        &mut self,
        provider: &Arc<dyn Provider>,
        known: Option<&Observed>,
        asked: Option<Instant>,
    ) -> Listed {
        if self.running.is_none() {
            let drift = self.drift_at.max(self.earliest);
            let due = asked.map_or(drift, |asked| asked.max(self.earliest_asked).min(drift));
            let longest = asked.map(|_| self.earliest_asked + ASKED_PAUSE);
            let rests = self.access.rests_until_at_most(longest, Instant::now());
            at(Some(rests.map_or(due, |until| until.max(due)))).await;
            let task = list(Arc::clone(provider), known.cloned());
            let task = AbortOnDropHandle::new(tokio::spawn(task));
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

async fn list(provider: Arc<dyn Provider>, known: Option<Observed>) -> Result<Listing, ProviderError> {
    let listing = provider.list().await?;
    let Some(known) = known else { return Ok(listing) };
    let mut sharing = SharedListing::new(listing.observed, known);
    while sharing.step(AT_ONCE) {
        yield_now().await;
    }
    let (observed, memory) = sharing.finish();
    drop(spawn_blocking(move || drop(memory)));
    Ok(Listing { observed, ..listing })
}
