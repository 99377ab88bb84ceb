//! What waits to be written into one cluster: bounded, and fair by namespace.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetdns_core::ServiceKey;
use tokio::sync::Notify;

use crate::journal::{Event, Ring};

/// Events that wait, at most.
const MOST: usize = 2000;

/// What waits.
#[derive(Debug)]
struct Waiting {
    events: Ring,
    /// Services of which the addresses have changed. Each waits once, and the latest is written.
    services: BTreeSet<ServiceKey>,
    /// Events that were dropped since this was last asked.
    dropped: u64,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Something happened.
    Event(Arc<Event>),
    /// The addresses of a Service have changed.
    Service(ServiceKey),
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    work: Notify,
}

impl Default for Queue {
    fn default() -> Self {
        let waiting = Waiting { events: Ring::new(MOST), services: BTreeSet::new(), dropped: 0 };
        Self { waiting: Mutex::new(waiting), work: Notify::new() }
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where there is no room, the oldest event of the namespace with the most of them is dropped.
    pub(super) fn push_event(&self, event: Arc<Event>) {
        let mut waiting = self.waiting();
        waiting.dropped += u64::from(waiting.events.push(event));
        drop(waiting);
        self.work.notify_one();
    }

    pub(super) fn push_service(&self, service: ServiceKey) {
        self.waiting().services.insert(service);
        self.work.notify_one();
    }

    /// The next piece of work, events first; waits for it.
    pub(super) async fn next(&self) -> Job {
        loop {
            if let Some(job) = self.take() {
                return job;
            }
            self.work.notified().await;
        }
    }

    fn take(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        let event = waiting.events.take(1).pop().map(Job::Event);
        event.or_else(|| waiting.services.pop_first().map(Job::Service))
    }

    /// Events that were dropped since this was last asked.
    pub(super) fn dropped(&self) -> u64 {
        std::mem::take(&mut self.waiting().dropped)
    }
}
