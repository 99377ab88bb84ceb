//! The heartbeats of the tasks that matter: zone loops, prober, watch. `/livez` and systemd's watchdog depend on them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetdns_core::MemberName;
use fleetdns_core::heartbeat::{Hanging, LastBeats};
use fleetdns_watch::Turn;
use tokio::time::Instant;

/// How often a task that has nothing to do takes a turn all the same.
pub const TICK: Duration = Duration::from_secs(5);
/// How long the prober may take no turn: it has none that waits for anything. While a probe or a lookup outlasts its limit
/// by more than 10 s it takes none.
pub const PROBER: Duration = Duration::from_secs(30);
/// The same of the watch of one cluster: a list may take 100 s, and there are pauses before and after it.
pub const WATCH: Duration = Duration::from_secs(180);
/// The same of a zone's loop, whose turn lasts as long as the provider takes for a batch of names.
pub const ZONE: Duration = Duration::from_secs(300);

/// The heartbeats of all tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    epoch: Instant,
    beats: Arc<Mutex<LastBeats>>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { epoch: Instant::now(), beats: Arc::default() }
    }
}

impl Heartbeats {
    /// A handle for one task, which takes its first turn now.
    pub fn of(&self, task: impl Into<Arc<str>>, within: Duration) -> Heartbeat {
        let heartbeat = Heartbeat(Some(Inner { all: self.clone(), task: task.into(), within }));
        heartbeat.beat();
        heartbeat
    }

    /// A task has ended: it takes no turn any more.
    pub fn forget(&self, task: &str) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).forget(task);
    }

    /// Tasks whose turn is overdue.
    pub fn hanging(&self) -> Vec<Hanging> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).hanging(self.epoch.elapsed())
    }
}

/// The heartbeat of one task; of one that nobody watches by default.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Option<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    all: Heartbeats,
    task: Arc<str>,
    within: Duration,
}

impl Heartbeat {
    /// Records that the task takes a turn.
    pub fn beat(&self) {
        if let Some(Inner { all, task, within }) = &self.0 {
            let mut beats = all.beats.lock().unwrap_or_else(PoisonError::into_inner);
            beats.beat(task, all.epoch.elapsed(), *within);
        }
    }

    /// Returns when it is time for a turn though there is nothing to do.
    pub async fn tick(&self) {
        match self.0 {
            Some(_) => tokio::time::sleep(TICK).await,
            None => std::future::pending().await,
        }
    }
}

/// When a cluster was last heard of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contact {
    /// Its last complete list.
    pub listed_at: Option<Instant>,
    /// The last answer of its API.
    pub answered_at: Option<Instant>,
}

/// The heartbeats of the watch of each cluster that is configured, and when it was last heard of.
#[derive(Debug, Clone, Default)]
pub struct ClusterBeats {
    all: Heartbeats,
    watched: Arc<Mutex<BTreeMap<MemberName, Contact>>>,
}

impl ClusterBeats {
    /// Of no cluster yet.
    pub fn new(all: Heartbeats) -> Self {
        Self { all, watched: Arc::default() }
    }

    /// These clusters are watched, and no others.
    pub fn configure(&self, members: BTreeSet<MemberName>) {
        let mut watched = self.watched();
        watched.keys().filter(|name| !members.contains(*name)).for_each(|gone| {
            self.all.forget(&task_of(gone));
        });
        watched.retain(|name, _| members.contains(name));
        for member in members {
            if let Entry::Vacant(new) = watched.entry(member) {
                let _ = self.all.of(task_of(new.key()), WATCH);
                new.insert(Contact::default());
            }
        }
    }

    /// The watch of a cluster takes a turn. One that is ending, as it is configured no more, is not listened to.
    pub fn turn(&self, member: &MemberName, turn: Turn) {
        if let Some(contact) = self.watched().get_mut(member) {
            let _ = self.all.of(task_of(member), WATCH);
            let now = Some(Instant::now());
            match turn {
                Turn::Taken => {}
                Turn::Answered => contact.answered_at = now,
                Turn::Listed => *contact = Contact { listed_at: now, answered_at: now },
            }
        }
    }

    /// When each cluster was last heard of.
    pub fn contacts(&self) -> BTreeMap<MemberName, Contact> {
        self.watched().clone()
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<MemberName, Contact>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn task_of(member: &MemberName) -> String {
    format!("cluster {member}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_stops_ticking_hangs_by_name() {
        let heartbeats = Heartbeats::default();
        let (live, dead) = (heartbeats.of("live", PROBER), heartbeats.of("dead", PROBER));
        let until = Instant::now() + Duration::from_secs(31);
        while Instant::now() < until {
            live.tick().await;
            live.beat();
        }
        let hanging = heartbeats.hanging();
        assert_eq!(hanging.iter().map(|one| &*one.task).collect::<Vec<_>>(), ["dead"]);
        dead.beat();
        assert_eq!(heartbeats.hanging(), []);
    }
}
