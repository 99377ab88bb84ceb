//! The one task that owns the overrides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{DnsName, Observed, Override, OverrideKind, Overrides, Subject};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::Clock;
use super::store::{StateFile, StoreError, marked};
use crate::chain;
use fleetdns_core::stamp;

/// The clock on the wall may be set: the end of an override is looked at so often at least.
const LOOK: Duration = Duration::from_secs(30);

/// A change that a person asks for.
#[derive(Debug, Clone)]
pub struct OverrideRequest {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What is set; `None` takes back what was.
    pub kind: Option<OverrideKind>,
    /// Who asks.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// For how long; until it is taken back when it is `None`.
    pub span: Option<Duration>,
}

impl OverrideRequest {
    /// The overrides as they would be, and what changes.
    pub fn applied_to(&self, overrides: &Overrides, now: u64) -> (Overrides, Vec<OverrideChange>) {
        let mut next = overrides.clone();
        let until = self.span.map(|span| now.saturating_add(span.as_secs()));
        let mut change = Vec::new();
        for subject in &self.subjects {
            let after = self.kind.map(|kind| Override {
                subject: subject.clone(),
                kind,
                reason: self.reason.clone(),
                by: self.by.clone(),
                since: now,
                until,
            });
            let before = match &after {
                Some(entry) => next.set(entry.clone()),
                None => next.clear(subject),
            };
            change.push(OverrideChange { subject: subject.clone(), before, after });
        }
        (next, change)
    }
}

/// What became of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideChange {
    /// Which one.
    pub subject: Subject,
    /// What was set before.
    pub before: Option<Override>,
    /// What is set now.
    pub after: Option<Override>,
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum OverrideError {
    /// It could not be kept.
    #[error("nothing is changed")]
    StateFile(#[from] StoreError),
    /// The daemon is ending.
    #[error("the daemon is ending")]
    Ending,
}

#[derive(Debug)]
enum Request {
    Say(OverrideRequest, oneshot::Sender<Result<Vec<OverrideChange>, OverrideError>>),
    Adopt { zone: DnsName, changes: Overrides, done: oneshot::Sender<()> },
}

/// What the rest of the daemon has of the override store: the overrides in force, and a way to ask for others.
#[derive(Debug, Clone)]
pub struct OverrideSender {
    requests: mpsc::Sender<Request>,
    overrides: watch::Receiver<Overrides>,
    fault: watch::Receiver<Option<Arc<str>>>,
}

impl OverrideSender {
    /// A stand-in without an override store: nothing is ever set.
    pub fn none() -> Self {
        let overrides = watch::channel(Overrides::default()).1;
        Self { requests: mpsc::channel(1).0, overrides, fault: watch::channel(None).1 }
    }

    /// Why overrides cannot be kept in the state directory.
    pub fn state(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.fault.clone()
    }

    /// The overrides in force, for who only reads them.
    pub fn receiver(&self) -> watch::Receiver<Overrides> {
        self.overrides.clone()
    }

    /// The overrides in force; [`OverrideSender::changed`] waits for others than these.
    pub fn latest(&mut self) -> Overrides {
        self.overrides.borrow_and_update().clone()
    }

    /// Returns when other overrides are in force.
    ///
    /// # Errors
    /// When there is no override store any more.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.overrides.changed().await
    }

    /// Hands over what a zone's marks say, and returns when it counts, or when the daemon is ending.
    pub async fn adopt(&self, zone: &DnsName, observed: &Observed) {
        let changes = marked(observed);
        if changes.is_empty() {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.requests.send(Request::Adopt { zone: zone.clone(), changes, done }).await.is_ok() {
            // Gone without an answer: the daemon is ending.
            let _ = wait.await;
        }
    }

    /// Asks for a change; returns what became of each subject.
    ///
    /// # Errors
    /// [`OverrideError`]: nothing was changed.
    pub async fn request(&self, request: OverrideRequest) -> Result<Vec<OverrideChange>, OverrideError> {
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Say(request, done)).await.map_err(|_| OverrideError::Ending)?;
        wait.await.map_err(|_| OverrideError::Ending)?
    }
}

/// Owns the overrides, keeps them, and ends those whose time is over.
#[derive(Debug)]
pub struct OverrideStore {
    overrides: watch::Sender<Overrides>,
    requests: mpsc::Receiver<Request>,
    store: Option<StateFile>,
    /// Whether the marks of the zones count: only where no file says better.
    adopts: bool,
    /// When a person last took back what was set, since the start: a zone that comes late does not bring it back.
    taken_back: BTreeMap<Subject, u64>,
    clock: Clock,
    /// Why the state directory cannot be written, as far as was seen.
    fault: watch::Sender<Option<Arc<str>>>,
}

impl OverrideStore {
    /// Reads what was kept. A directory that cannot be written stops nothing: what is there counts, and orders are
    /// refused with the reason.
    pub fn new(store: Option<StateFile>, clock: Clock) -> (Self, OverrideSender) {
        let fault = store.as_ref().and_then(|store| store.prepare().err()).map(|error| chain(&error));
        if let Some(error) = &fault {
            warn!(error, "orders such as drain are refused: they cannot be kept");
        }
        let (fault, faulty) = watch::channel(fault.map(Arc::from));
        let kept = store.as_ref().map(StateFile::take_over).unwrap_or_default();
        let adopts = kept.overrides.is_none() || kept.damage.is_some();
        let (overrides, receiver) = watch::channel(kept.overrides.unwrap_or_default());
        let (sender, requests) = mpsc::channel(16);
        let store_task =
            Self { overrides, requests, store, adopts, taken_back: BTreeMap::new(), clock, fault };
        (store_task, OverrideSender { requests: sender, overrides: receiver, fault: faulty })
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.end().await;
            let next_end = self.overrides.borrow().next_end();
            let pause =
                next_end.map(|end| Duration::from_secs(end.saturating_sub(self.clock.now())).min(LOOK));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = tokio::time::sleep(pause.unwrap_or(LOOK)), if pause.is_some() => {}
                else => shutdown.cancelled().await,
            }
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Say(request, done) => {
                let answer = self.request(&request).await;
                // Whoever asked has gone away: the change stands all the same.
                let _ = done.send(answer);
            }
            Request::Adopt { zone, changes, done } => {
                if self.adopts {
                    self.adopt(&zone, changes).await;
                }
                let _ = done.send(());
            }
        }
    }

    async fn request(&mut self, request: &OverrideRequest) -> Result<Vec<OverrideChange>, OverrideError> {
        let now = self.clock.now();
        let (next, change) = request.applied_to(&self.overrides.borrow(), now);
        self.keep(&next).await?;
        if request.kind.is_none() {
            self.taken_back.extend(request.subjects.iter().map(|subject| (subject.clone(), now)));
        }
        self.overrides.send_replace(next);
        for one in &change {
            match (&one.before, &one.after) {
                (_, Some(entry)) => log("set", entry, &entry.by, &entry.reason),
                (Some(before), None) => log("taken back", before, &request.by, &request.reason),
                (None, None) => {}
            }
        }
        Ok(change)
    }

    /// Takes over what a zone's marks say, as far as nobody has said anything newer and its time is not over.
    async fn adopt(&mut self, zone: &DnsName, changes: Overrides) {
        let (now, mut next) = (self.clock.now(), self.overrides.borrow().clone());
        let mut adopted = Vec::new();
        for entry in changes.iter() {
            let undone = self.taken_back.get(&entry.subject).is_some_and(|back| *back >= entry.since);
            if !undone && !entry.is_over(now) && next.set_newer(entry) {
                adopted.push(entry);
            }
        }
        if adopted.is_empty() {
            return;
        }
        if let Err(error) = self.keep(&next).await {
            warn!(%zone, error = %chain(&error), "override in force but not saved");
        }
        self.overrides.send_replace(next);
        for entry in adopted {
            info!(%zone, subject = %entry.subject, kind = %entry.kind, by = %entry.by, "override read back from the zone");
        }
    }

    /// Ends what has ended.
    async fn end(&mut self) {
        let mut next = self.overrides.borrow().clone();
        let over = next.expire(self.clock.now());
        if over.is_empty() {
            return;
        }
        if let Err(error) = self.keep(&next).await {
            // It ends again at the next start.
            warn!(error = %chain(&error), "an override that has ended is still in its file");
        }
        self.overrides.send_replace(next);
        for entry in &over {
            log("ended", entry, &entry.by, &entry.reason);
        }
    }

    async fn keep(&self, next: &Overrides) -> Result<(), StoreError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let next = next.clone();
        let written = tokio::task::spawn_blocking(move || store.write(&next)).await;
        // The thread ends without an answer only when the runtime does.
        let written = written.unwrap_or(Ok(()));
        self.fault.send_replace(written.as_ref().err().map(|error| chain(error).into()));
        written
    }
}

/// The one place where a change is said, once.
fn log(change: &'static str, entry: &Override, by: &str, reason: &str) {
    let subject = &entry.subject;
    let until = entry.until.map_or_else(|| "taken back".to_owned(), stamp::seconds);
    info!(change, %subject, kind = %entry.kind, by, until, reason, "override changed");
}

#[cfg(test)]
mod tests;
