//! The one task that owns the wishes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleetdns_core::{DnsName, Intent, Intents, Observed, Subject, Wish};
use thiserror::Error;
use tokio::sync::watch::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::store::{Store, StoreError, marked};
use crate::chain;
use fleetdns_core::stamp;

/// The clock on the wall may be set: the end of a wish is looked at so often at least.
const LOOK: Duration = Duration::from_secs(30);

/// Gives the time in seconds of Unix time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The clock of the system.
    pub fn system() -> Self {
        Self::new(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
        })
    }

    /// Another clock.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// A change that a person asks for.
#[derive(Debug, Clone)]
pub struct Saying {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What is wished; `None` takes back what was.
    pub wish: Option<Wish>,
    /// Who asks.
    pub by: Arc<str>,
    /// Why; may be empty.
    pub reason: Arc<str>,
    /// For how long; until it is taken back when it is `None`.
    pub span: Option<Duration>,
}

impl Saying {
    /// The wishes as they would be, and what changes.
    pub fn applied_to(&self, intents: &Intents, now: u64) -> (Intents, Vec<Told>) {
        let mut next = intents.clone();
        let until = self.span.map(|span| now.saturating_add(span.as_secs()));
        let mut told = Vec::new();
        for subject in &self.subjects {
            let after = self.wish.map(|wish| Intent {
                wish,
                reason: Arc::clone(&self.reason),
                by: Arc::clone(&self.by),
                since: now,
                until,
            });
            let before = match &after {
                Some(intent) => next.set(subject.clone(), intent.clone()),
                None => next.clear(subject),
            };
            told.push(Told { subject: subject.clone(), before, after });
        }
        (next, told)
    }
}

/// What became of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which one.
    pub subject: Subject,
    /// What was wished of it.
    pub before: Option<Intent>,
    /// What is wished of it now.
    pub after: Option<Intent>,
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum SayError {
    /// It could not be kept.
    #[error("nothing is changed")]
    Store(#[from] StoreError),
    /// The daemon is ending.
    #[error("the daemon is ending")]
    Ending,
}

#[derive(Debug)]
enum Request {
    Say(Saying, oneshot::Sender<Result<Vec<Told>, SayError>>),
    Adopt { zone: DnsName, said: Intents, done: oneshot::Sender<()> },
}

/// What the rest of the daemon has of the keeper: the wishes in force, and a way to ask for others.
#[derive(Debug, Clone)]
pub struct Wishes {
    requests: mpsc::Sender<Request>,
    intents: watch::Receiver<Intents>,
    fault: watch::Receiver<Option<Arc<str>>>,
}

impl Wishes {
    /// A stand-in without a keeper: nothing is ever wished.
    pub fn none() -> Self {
        let intents = watch::channel(Intents::default()).1;
        Self { requests: mpsc::channel(1).0, intents, fault: watch::channel(None).1 }
    }

    /// Why overrides cannot be kept in the state directory.
    pub fn state(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.fault.clone()
    }

    /// The wishes in force, for who only reads them.
    pub fn receiver(&self) -> watch::Receiver<Intents> {
        self.intents.clone()
    }

    /// The wishes in force; [`Wishes::changed`] waits for others than these.
    pub fn latest(&mut self) -> Intents {
        self.intents.borrow_and_update().clone()
    }

    /// Returns when other wishes are in force.
    ///
    /// # Errors
    /// When there is no keeper any more.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.intents.changed().await
    }

    /// Hands over what a zone's marks say, and returns when it counts, or when the daemon is ending.
    pub async fn adopt(&self, zone: &DnsName, observed: &Observed) {
        let said = marked(observed);
        if said.is_empty() {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.requests.send(Request::Adopt { zone: zone.clone(), said, done }).await.is_ok() {
            // Gone without an answer: the daemon is ending.
            let _ = wait.await;
        }
    }

    /// Asks for a change; gives what became of each subject.
    ///
    /// # Errors
    /// [`SayError`]: nothing was changed.
    pub async fn say(&self, saying: Saying) -> Result<Vec<Told>, SayError> {
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Say(saying, done)).await.map_err(|_| SayError::Ending)?;
        wait.await.map_err(|_| SayError::Ending)?
    }
}

/// Owns the wishes, keeps them, and ends those whose time is over.
#[derive(Debug)]
pub struct Keeper {
    intents: watch::Sender<Intents>,
    requests: mpsc::Receiver<Request>,
    store: Option<Store>,
    /// Whether the marks of the zones count: only where no file says better.
    adopts: bool,
    /// When a person last took back what was wished, since the start: a zone that comes late does not bring it back.
    taken_back: BTreeMap<Subject, u64>,
    clock: Clock,
    /// Why the state directory cannot be written, as far as was seen.
    fault: watch::Sender<Option<Arc<str>>>,
}

impl Keeper {
    /// Reads what was kept. A directory that cannot be written stops nothing: what is there counts, and orders are
    /// refused with the reason.
    pub fn new(store: Option<Store>, clock: Clock) -> (Self, Wishes) {
        let fault = store.as_ref().and_then(|store| store.prepare().err()).map(|error| chain(&error));
        if let Some(error) = &fault {
            warn!(error, "orders such as drain are refused: they cannot be kept");
        }
        let (fault, faulty) = watch::channel(fault.map(Arc::from));
        let kept = store.as_ref().map(Store::take_over).unwrap_or_default();
        let adopts = kept.intents.is_none() || kept.damage.is_some();
        let (intents, receiver) = watch::channel(kept.intents.unwrap_or_default());
        let (sender, requests) = mpsc::channel(16);
        let keeper = Self { intents, requests, store, adopts, taken_back: BTreeMap::new(), clock, fault };
        (keeper, Wishes { requests: sender, intents: receiver, fault: faulty })
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.end().await;
            let next_end = self.intents.borrow().next_end();
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
            Request::Say(saying, done) => {
                let answer = self.say(&saying).await;
                // Whoever asked has gone away: the change stands all the same.
                let _ = done.send(answer);
            }
            Request::Adopt { zone, said, done } => {
                if self.adopts {
                    self.adopt(&zone, said).await;
                }
                let _ = done.send(());
            }
        }
    }

    async fn say(&mut self, saying: &Saying) -> Result<Vec<Told>, SayError> {
        let now = self.clock.now();
        let (next, told) = saying.applied_to(&self.intents.borrow(), now);
        self.keep(&next).await?;
        if saying.wish.is_none() {
            self.taken_back.extend(saying.subjects.iter().map(|subject| (subject.clone(), now)));
        }
        self.intents.send_replace(next);
        for one in &told {
            match (&one.before, &one.after) {
                (_, Some(intent)) => log("set", &one.subject, intent, &intent.by, &intent.reason),
                (Some(before), None) => {
                    log("taken back", &one.subject, before, &saying.by, &saying.reason);
                }
                (None, None) => {}
            }
        }
        Ok(told)
    }

    /// Takes over what a zone's marks say, as far as nobody has said anything newer and its time is not over.
    async fn adopt(&mut self, zone: &DnsName, said: Intents) {
        let (now, mut next) = (self.clock.now(), self.intents.borrow().clone());
        let mut adopted = Vec::new();
        for (subject, intent) in said.iter() {
            let undone = self.taken_back.get(subject).is_some_and(|back| *back >= intent.since);
            if !undone && !intent.is_over(now) && next.set_newer(subject, intent) {
                adopted.push((subject, intent));
            }
        }
        if adopted.is_empty() {
            return;
        }
        if let Err(error) = self.keep(&next).await {
            warn!(%zone, error = %chain(&error), "what the zone says is heeded and not kept");
        }
        self.intents.send_replace(next);
        for (subject, intent) in adopted {
            info!(%zone, %subject, wish = %intent.wish, by = %intent.by, "intent read back from the zone");
        }
    }

    /// Ends what has ended.
    async fn end(&mut self) {
        let mut next = self.intents.borrow().clone();
        let over = next.expire(self.clock.now());
        if over.is_empty() {
            return;
        }
        if let Err(error) = self.keep(&next).await {
            // It ends again at the next start.
            warn!(error = %chain(&error), "an intent that has ended is still in its file");
        }
        self.intents.send_replace(next);
        for (subject, intent) in &over {
            log("ended", subject, intent, &intent.by, &intent.reason);
        }
    }

    async fn keep(&self, next: &Intents) -> Result<(), StoreError> {
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
fn log(change: &'static str, subject: &Subject, intent: &Intent, by: &str, reason: &str) {
    let until = intent.until.map_or_else(|| "taken back".to_owned(), stamp::seconds);
    info!(change, %subject, wish = %intent.wish, by, until, reason, "intent changed");
}

#[cfg(test)]
mod tests;
