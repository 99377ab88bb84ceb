//! What stands before every write: it is open as long as this replica leads.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fleetdns_core::Capabilities;
use fleetdns_core::text::printable;
use tokio::sync::{RwLock, watch};
use tokio::time::{sleep, timeout};

use super::clock::Uptime;

/// What this replica is to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// There are no others.
    #[default]
    Alone,
    /// It writes.
    Leads,
    /// Another one writes, as far as this one knows.
    Follows(Arc<str>),
    /// Nobody is known to write, and why.
    Waits(Arc<str>),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => f.write_str("there is one replica"),
            Self::Leads => f.write_str("this replica leads and writes"),
            Self::Follows(leader) => {
                write!(f, "{} leads and writes; this replica follows", printable(leader))
            }
            Self::Waits(why) => write!(f, "this replica does not write: {why}"),
        }
    }
}

impl Standing {
    /// Whether it writes.
    pub const fn writes(&self) -> bool {
        matches!(self, Self::Alone | Self::Leads)
    }
}

/// The lease as the writers see it.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) standing: watch::Sender<Standing>,
    pub(super) until: watch::Sender<Option<Duration>>,
    /// Every write holds it for reading.
    pub(super) writing: Arc<RwLock<()>>,
}

/// Stands before every write of a zone.
#[derive(Debug, Clone)]
pub struct Fence(Option<Fenced>);

#[derive(Debug, Clone)]
struct Fenced {
    standing: watch::Receiver<Standing>,
    until: watch::Receiver<Option<Duration>>,
    writing: Arc<RwLock<()>>,
    clock: Uptime,
    /// No write begins with less than this left.
    least: Duration,
}

impl Fence {
    /// Always open: there is one replica, or each has a copy of its own.
    pub const fn open() -> Self {
        Self(None)
    }

    /// For a zone of a backend that can do this.
    #[must_use]
    pub fn of_zone(&self, capabilities: &Capabilities) -> Self {
        if capabilities.own_copy { Self::open() } else { self.clone() }
    }

    pub(super) fn of(lease: &Lease, clock: Uptime, least: Duration) -> Self {
        let (standing, until) = (lease.standing.subscribe(), lease.until.subscribe());
        Self(Some(Fenced { standing, until, writing: Arc::clone(&lease.writing), clock, least }))
    }

    /// Whether a write may begin.
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_none_or(|fenced| fenced.left().is_some_and(|left| left >= fenced.least))
    }

    /// What this replica is to the others.
    pub fn standing(&self) -> Standing {
        self.0.as_ref().map_or(Standing::Alone, |fenced| fenced.standing.borrow().clone())
    }

    /// Returns when this replica begins or ends to lead, or follows another one.
    pub async fn changed(&mut self) {
        if let Some(fenced) = &mut self.0
            && fenced.standing.changed().await.is_ok()
        {
            return;
        }
        // Without a sender nothing changes any more: the daemon is ending.
        std::future::pending::<()>().await;
    }

    /// Writes, unless and until this replica no longer leads; `None`: the write was cut off, or did not begin.
    pub async fn write<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Some(fenced) = &self.0 else { return Some(work.await) };
        let _writing = fenced.writing.read().await;
        if !self.is_open() {
            return None;
        }
        let mut work = pin!(work);
        // A process that was frozen looks at the clock before it takes the next step.
        let steps = poll_fn(|context| match fenced.left() {
            Some(_) => work.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        });
        tokio::select! {
            biased;
            () = fenced.ended() => None,
            done = steps => done,
        }
    }
}

impl Fenced {
    /// How long this replica still leads.
    fn left(&self) -> Option<Duration> {
        (*self.until.borrow())?.checked_sub(self.clock.now()).filter(|left| !left.is_zero())
    }

    /// Returns when this replica no longer leads.
    async fn ended(&self) {
        let mut until = self.until.clone();
        while let Some(left) = self.left() {
            let _ = timeout(left, until.changed()).await;
            if until.has_changed().is_err() {
                // Nobody renews it any more.
                sleep(self.left().unwrap_or_default()).await;
            }
        }
    }
}
