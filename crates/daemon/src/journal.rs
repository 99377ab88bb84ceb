//! The journal: every change of state that an operator may ask about later, once.
//!
//! ```text
//! zone tasks ──┐                     ┌→ ring ──→ GET /v1/events, `fleetdns events`
//! snapshots ───┼→ record ─(no I/O)─→ ┤
//! verdicts ────┘                     └→ backlog ─audit task→ [admin] audit
//! ```
//!
//! Invariant: recording never waits for a file or a reader, and never holds up a write to DNS.
//! Invariant: what is kept in memory is bounded, fairly by namespace; what is lost for that is counted and said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetdns_core::stamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

pub mod audit;
mod event;
mod follow;
mod query;
mod recorder;
mod ring;

pub use event::{Event, Evidence, Kind, What};
pub use follow::follow;
pub use query::Query;
pub use recorder::EventRecorder;

pub(crate) use ring::Ring;

/// Events that can be read back.
pub const KEPT: usize = 10_000;
/// Events that wait for the audit file, at most.
const WAITING: usize = 50_000;
/// Events of one answer, at most: the reader asks again for the rest.
const AT_ONCE: usize = 1000;

/// `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which run of the daemon this is: when it started.
    pub run: String,
    /// The number of the last event that was looked at: `after` of the next question.
    pub last: u64,
    /// Events that were asked for and are no longer kept.
    pub lost: u64,
    /// The events, oldest first.
    pub events: Vec<Event>,
}

/// Numbers since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events by kind.
    pub events: BTreeMap<Kind, u64>,
    /// Events that never came to the audit file.
    pub lost: u64,
    /// Why the audit file cannot be written at the moment.
    pub fault: Option<String>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    /// What waits for the audit file; empty without one.
    backlog: Ring,
    audited: bool,
    next: u64,
    stats: Stats,
    /// Lost since the audit file said so last.
    unsaid: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            ring: Ring::new(KEPT),
            backlog: Ring::new(WAITING),
            audited: false,
            next: 0,
            stats: Stats::default(),
            unsaid: 0,
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    run: String,
    last: watch::Sender<u64>,
    /// Wakes the audit task.
    work: Notify,
    /// Whether the audit file has to be opened again.
    reopen: std::sync::atomic::AtomicBool,
}

/// A handle on the journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Shared>);

impl Default for Journal {
    fn default() -> Self {
        let run = now();
        Self(Arc::new(Shared {
            state: Mutex::default(),
            run,
            last: watch::channel(0).0,
            work: Notify::new(),
            reopen: false.into(),
        }))
    }
}

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes events down, in their order.
    pub fn record(&self, events: impl IntoIterator<Item = What>) {
        let mut state = self.state();
        let (before, time) = (state.next, now());
        for what in events {
            state.push(what, &time);
        }
        let last = state.next;
        drop(state);
        if last > before {
            self.0.last.send_replace(last);
            self.0.work.notify_one();
        }
    }

    /// What matches a question, without waiting.
    pub fn read(&self, query: &Query) -> Page {
        let state = self.state();
        let same_run = query.run.as_ref().is_none_or(|run| *run == self.0.run);
        let after = if same_run && query.after <= state.next { query.after } else { 0 };
        let mut page = Page { run: self.0.run.clone(), last: state.next, lost: 0, events: Vec::new() };
        for event in state.ring.after(after).filter(|event| event.what.matches(query)) {
            if page.events.len() == AT_ONCE {
                page.last = page.events.last().map_or(page.last, |event| event.seq);
                break;
            }
            page.events.push((**event).clone());
        }
        let kept = state.ring.after(after).take_while(|event| event.seq <= page.last).count();
        page.lost = (page.last - after).saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX));
        page
    }

    /// What matches a question; waits for it as long as the question says.
    pub async fn wait(&self, query: &Query) -> Page {
        let mut last = self.0.last.subscribe();
        let deadline = tokio::time::sleep(Duration::from_secs(query.wait.min(LONGEST_WAIT)));
        tokio::pin!(deadline);
        loop {
            last.mark_unchanged();
            let page = self.read(query);
            if !page.events.is_empty() {
                return page;
            }
            tokio::select! {
                changed = last.changed() => if changed.is_err() { return page },
                () = &mut deadline => return page,
            }
        }
    }

    /// All events that are kept, oldest first.
    pub(crate) fn kept(&self) -> Vec<Arc<Event>> {
        self.state().ring.after(0).cloned().collect()
    }

    /// The number of the last event, whenever there is another one.
    pub(crate) fn last(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    /// Follows what is recorded from now on.
    pub(crate) fn follower(&self) -> Follower {
        let last = self.0.last.subscribe();
        Follower { journal: self.clone(), seen: self.state().next, last }
    }

    /// Numbers since the start.
    pub fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    /// Has the audit file opened again, as after a rotation.
    pub fn reopen(&self) {
        self.0.reopen.store(true, std::sync::atomic::Ordering::Relaxed);
        self.0.work.notify_one();
    }
}

/// Reads each event once, of those that are kept.
pub(crate) struct Follower {
    journal: Journal,
    seen: u64,
    last: watch::Receiver<u64>,
}

impl Follower {
    /// What was recorded since this was last asked.
    pub(crate) fn news(&mut self) -> Vec<Arc<Event>> {
        self.last.mark_unchanged();
        let state = self.journal.state();
        let news = state.ring.after(self.seen).cloned().collect();
        self.seen = state.next;
        news
    }

    /// Returns when something was recorded.
    pub(crate) async fn changed(&mut self) {
        if self.last.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Seconds that a question may wait for.
const LONGEST_WAIT: u64 = 60;

impl State {
    fn push(&mut self, what: What, time: &str) {
        self.next += 1;
        *self.stats.events.entry(what.kind).or_default() += 1;
        let event = Arc::new(Event { seq: self.next, time: time.to_owned(), what });
        if self.audited && self.backlog.push(Arc::clone(&event)) {
            self.stats.lost += 1;
            self.unsaid += 1;
        }
        self.ring.push(event);
    }
}

fn now() -> String {
    stamp::millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
