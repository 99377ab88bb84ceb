//! The one task that owns the overrides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{DnsName, Override, Overrides, Subject};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::Clock;
use super::request::{OverrideChange, OverrideError, OverrideRequest};
use super::sender::{OverrideSender, Request};
use super::storage::Storage;
use super::store::{StateFile, StoreError};
use crate::chain;
use fleetdns_core::stamp;

/// The clock on the wall may be set: the end of an override is looked at so often at least.
const LOOK: Duration = Duration::from_secs(30);
/// So often what another replica was told is looked at.
const LOOK_AT_SHARED: Duration = Duration::from_secs(1);

/// How often an outage was confirmed, as far as this replica knows, and who listens here.
#[derive(Debug, Default)]
struct Confirmed {
    count: Option<u64>,
    listener: Option<watch::Sender<u64>>,
}

impl Confirmed {
    /// Takes in how often it was confirmed. What was confirmed before this replica started concerned something else.
    fn hear(&mut self, count: Option<u64>, concerns_us: bool) {
        if count <= self.count {
            return;
        }
        self.count = count;
        if let Some(listener) = self.listener.as_ref().filter(|_| concerns_us) {
            info!("mass failure confirmed at another replica");
            listener.send_modify(|turn| *turn = turn.wrapping_add(1));
        }
    }
}

/// Owns the overrides, keeps them, and ends those whose time is over.
#[derive(Debug)]
pub struct OverrideStore {
    overrides: watch::Sender<Overrides>,
    requests: mpsc::Receiver<Request>,
    storage: Storage,
    /// Whether the marks of the zones count: only where no file says better.
    adopts: bool,
    /// When a person last took back what was set, since the start: a zone that comes late does not bring it back.
    taken_back: BTreeMap<Subject, u64>,
    clock: Clock,
    /// Why the state directory cannot be written, as far as was seen.
    fault: watch::Sender<Option<Arc<str>>>,
    /// Whether what is kept has been read.
    known: watch::Sender<bool>,
    confirmed: Confirmed,
}

impl OverrideStore {
    /// Reads what was kept. A directory that cannot be written stops nothing: what is there counts, and orders are
    /// refused with the reason.
    pub fn new(storage: Storage, clock: Clock) -> (Self, OverrideSender) {
        let file = if let Storage::File(file) = &storage { Some(file) } else { None };
        let fault = file.and_then(|file| file.prepare().err()).map(|error| chain(&error));
        if let Some(error) = &fault {
            warn!(error, "orders such as drain are refused: they cannot be kept");
        }
        let (fault, faulty) = watch::channel(fault.map(Arc::from));
        let kept = file.map(StateFile::take_over).unwrap_or_default();
        let (known, is_known) = watch::channel(!matches!(storage, Storage::Shared(_)));
        let adopts = kept.overrides.is_none() || kept.damage.is_some();
        let (overrides, receiver) = watch::channel(kept.overrides.unwrap_or_default());
        let (sender, requests) = mpsc::channel(16);
        let taken_back = BTreeMap::new();
        let confirmed = Confirmed::default();
        let store_task =
            Self { overrides, requests, storage, adopts, taken_back, clock, fault, known, confirmed };
        let sender = OverrideSender { requests: sender, overrides: receiver, fault: faulty, known: is_known };
        (store_task, sender)
    }

    /// Tells the prober of an outage that was confirmed at another replica.
    #[must_use]
    pub fn with_listener(mut self, listener: watch::Sender<u64>) -> Self {
        self.confirmed.listener = Some(listener);
        self
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.look_at_shared().await;
            self.end().await;
            let next_end = self.overrides.borrow().next_end();
            let pause =
                next_end.map(|end| Duration::from_secs(end.saturating_sub(self.clock.now())).min(LOOK));
            let look = matches!(self.storage, Storage::Shared(_)).then_some(LOOK_AT_SHARED);
            let pause = [pause, look].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = tokio::time::sleep(pause.unwrap_or(LOOK)), if pause.is_some() => {}
                else => shutdown.cancelled().await,
            }
        }
    }

    /// Takes over what other replicas were told.
    async fn look_at_shared(&mut self) {
        let Storage::Shared(shared) = &mut self.storage else { return };
        let now = self.clock.now();
        let kept = match shared.news().await {
            Ok(None) => {
                shared.agree(shared.changes(), now);
                return self.tell_fault(Ok(()));
            }
            Ok(Some(kept)) => kept,
            Err(error) => return self.tell_fault(Err(&error)),
        };
        let first = !self.known.send_replace(true);
        let follows = first || shared.follows(&kept, &self.overrides.borrow());
        if follows {
            shared.agree(kept.changes, now);
        }
        let is_whole = kept.damage.is_none();
        self.tell_fault(kept.damage.as_ref().map_or(Ok(()), Err));
        self.confirmed.hear(kept.confirmed, !first);
        match kept.overrides {
            Some(overrides) if follows => {
                self.adopts &= !(first && is_whole);
                self.take_over(overrides);
            }
            None if self.overrides.borrow().is_empty() => {}
            // Somebody deleted it, or put back an old one, or nobody has written it yet.
            _ if is_whole => {
                if let Err(error) = self.change(|known| (known.clone(), ())).await {
                    self.tell_fault(Err(&error));
                }
            }
            _ => {}
        }
    }

    /// Publishes what another replica has changed.
    fn take_over(&self, mut next: Overrides) {
        next.expire(self.clock.now());
        let before = self.overrides.borrow().clone();
        for entry in next.iter().filter(|entry| before.get(&entry.subject) != Some(entry)) {
            log("set", entry, &entry.by, &entry.reason);
        }
        for entry in before.iter().filter(|entry| next.get(&entry.subject).is_none()) {
            log("taken back", entry, &entry.by, &entry.reason);
        }
        if before != next {
            self.overrides.send_replace(next);
        }
    }

    /// Says why orders cannot be kept, each reason once.
    fn tell_fault(&self, result: Result<(), &StoreError>) {
        let fault: Option<Arc<str>> = result.err().map(|error| chain(error).into());
        self.fault.send_if_modified(|known| {
            if *known == fault {
                return false;
            }
            if let Some(error) = &fault {
                warn!(%error, "orders such as drain are refused: they cannot be kept");
            }
            *known = fault;
            true
        });
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Say(request, done) => {
                let answer = self.request(&request).await;
                // Whoever asked has gone away: the change stands all the same.
                let _ = done.send(answer);
            }
            Request::Confirm(done) => {
                let known = self.overrides.borrow().clone();
                let result = self.storage.confirm(&known, self.clock.now()).await;
                self.tell_fault(result.as_ref().map(drop));
                let count = result.map(|count| self.confirmed.count = count.max(self.confirmed.count));
                let _ = done.send(count.map_err(OverrideError::from));
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
        let change = self.change(|known| request.applied_to(known, now)).await?;
        if request.kind.is_none() {
            self.taken_back.extend(request.subjects.iter().map(|subject| (subject.clone(), now)));
        }
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
        let now = self.clock.now();
        let undone =
            |entry: &Override| self.taken_back.get(&entry.subject).is_some_and(|back| *back >= entry.since);
        let alive: Vec<Override> =
            changes.iter().filter(|entry| !undone(entry) && !entry.is_over(now)).cloned().collect();
        let merge = |known: &Overrides| {
            let mut next = known.clone();
            let adopted: Vec<Override> =
                alive.iter().filter(|entry| next.set_newer(entry)).cloned().collect();
            (next, adopted)
        };
        let known = self.overrides.borrow().clone();
        let (next, adopted) = merge(&known);
        if adopted.is_empty() {
            return;
        }
        if let Err(error) = self.change(merge).await {
            warn!(%zone, error = %chain(&error), "override in force but not saved");
            self.overrides.send_replace(next);
        }
        for entry in adopted {
            info!(%zone, subject = %entry.subject, kind = %entry.kind, by = %entry.by, "override read back from the zone");
        }
    }

    /// Ends what has ended.
    async fn end(&mut self) {
        let now = self.clock.now();
        let ending = |known: &Overrides| {
            let mut next = known.clone();
            let over = next.expire(now);
            (next, over)
        };
        let (next, over) = ending(&self.overrides.borrow());
        if over.is_empty() {
            return;
        }
        // In a shared document the next change ends it.
        if !matches!(self.storage, Storage::Shared(_))
            && let Err(error) = self.change(ending).await
        {
            // It ends again at the next start.
            warn!(error = %chain(&error), "an override that has ended is still in its file");
        }
        self.overrides.send_replace(next);
        for entry in &over {
            log("ended", entry, &entry.by, &entry.reason);
        }
    }

    /// Changes what is kept, and publishes it then.
    async fn change<T>(&mut self, change: impl Fn(&Overrides) -> (Overrides, T)) -> Result<T, StoreError> {
        let known = self.overrides.borrow().clone();
        let now = self.clock.now();
        let alive = |known: &Overrides| {
            let mut known = known.clone();
            known.expire(now);
            change(&known)
        };
        let result = match &self.storage {
            Storage::Shared(_) => self.storage.change(&known, now, alive).await,
            _ => self.storage.change(&known, now, change).await,
        };
        self.tell_fault(result.as_ref().map(drop));
        // A change reads what others have written on its way.
        self.confirmed.hear(self.storage.confirmed(), *self.known.borrow());
        let (next, said) = result?;
        self.overrides.send_if_modified(|known| {
            let other = *known != next;
            *known = next;
            other
        });
        Ok(said)
    }
}

/// The one place where a change is said, once.
fn log(change: &'static str, entry: &Override, by: &str, reason: &str) {
    let subject = &entry.subject;
    let until = entry.until.map(stamp::seconds);
    info!(change, %subject, kind = %entry.kind, by, until, reason, "override changed");
}

#[cfg(test)]
mod tests;
