//! Names that wait by themselves: the backend refuses them, or the zone has to be read before they are written again.
//!
//! Invariant: a fault of one name changes nothing for the other names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::backoff::Backoff;
use fleetdns_core::{DnsName, NameChange};
use tokio::time::Instant;

use super::pause::FIRST_PAUSE;

/// Pauses between two tries of a change that the backend refuses.
const REFUSED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// Pauses between two reads for a name that is never as it was read; the first read is at once.
const CONTESTED: Backoff = Backoff::new(FIRST_PAUSE, Duration::from_secs(30));

#[derive(Debug)]
enum Wait {
    /// The backend refuses this change.
    Refused { change: NameChange, reason: Arc<str>, due: Instant },
    /// The zone has to be read, not before `due`.
    Unread { since: Instant, due: Instant, reason: Option<Arc<str>> },
    /// The zone was read: the name is written again.
    Read { reason: Option<Arc<str>> },
}

#[derive(Debug)]
struct Entry {
    wait: Wait,
    pause: Backoff,
}

/// All names of a zone that wait.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<DnsName, Entry>);

impl Pending {
    /// The backend refused a change; returns whether that is news.
    pub(super) fn refused(&mut self, change: &NameChange, reason: Arc<str>, now: Instant) -> bool {
        let known = self
            .0
            .remove(&change.name)
            .filter(|entry| matches!(&entry.wait, Wait::Refused { change: before, .. } if before == change));
        let news = known.is_none();
        let mut pause = known.map_or(REFUSED, |entry| entry.pause);
        let wait = Wait::Refused { change: change.clone(), reason, due: now + pause.pause() };
        self.0.insert(change.name.clone(), Entry { wait, pause });
        news
    }

    /// A name is not as it was read, for a reason when its change was done by half; returns whether that is news.
    pub(super) fn unread(&mut self, name: &DnsName, reason: Option<Arc<str>>, now: Instant) -> bool {
        let known = self.0.remove(name).filter(|entry| !matches!(entry.wait, Wait::Refused { .. }));
        let news = known.is_none();
        let (mut pause, mut due) = (CONTESTED, now);
        if let Some(entry) = known {
            pause = entry.pause;
            due += pause.pause();
        }
        self.0.insert(name.clone(), Entry { wait: Wait::Unread { since: now, due, reason }, pause });
        news
    }

    /// The name is written; returns whether it was refused before.
    pub(super) fn written(&mut self, name: &DnsName) -> bool {
        self.0.remove(name).is_some_and(|entry| matches!(entry.wait, Wait::Refused { .. }))
    }

    /// The zone was read, beginning at `began`; returns the names that waited for that.
    pub(super) fn read(&mut self, began: Instant) -> BTreeSet<DnsName> {
        let mut names = BTreeSet::new();
        for (name, entry) in &mut self.0 {
            match &mut entry.wait {
                Wait::Unread { since, reason, .. } if *since <= began => {
                    entry.wait = Wait::Read { reason: reason.take() };
                    names.insert(name.clone());
                }
                _ => {}
            }
        }
        names
    }

    /// Forgets a name of which nothing has to be written any more, unless nobody knows what is there.
    pub(super) fn finish(&mut self, name: &DnsName) {
        if self.0.get(name).is_some_and(|entry| !matches!(entry.wait, Wait::Unread { .. })) {
            self.0.remove(name);
        }
    }

    /// Whether a change has to wait. One that is not the refused one need not.
    pub(super) fn holds_back(&self, change: &NameChange, now: Instant) -> bool {
        match self.0.get(&change.name).map(|entry| &entry.wait) {
            Some(Wait::Refused { change: refused, due, .. }) => *due > now && refused == change,
            Some(Wait::Unread { .. }) => true,
            Some(Wait::Read { .. }) | None => false,
        }
    }

    /// Whether the backend has refused this very change before.
    pub(super) fn was_refused(&self, change: &NameChange) -> bool {
        let wait = self.0.get(&change.name).map(|entry| &entry.wait);
        matches!(wait, Some(Wait::Refused { change: refused, .. }) if refused == change)
    }

    /// What the backend said when it did not write a name.
    pub(super) fn refusal(&self, name: &DnsName) -> Option<&Arc<str>> {
        match &self.0.get(name)?.wait {
            Wait::Refused { reason, .. } => Some(reason),
            Wait::Unread { reason, .. } | Wait::Read { reason } => reason.as_ref(),
        }
    }

    /// Names that wait for anything.
    pub(super) fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.0.keys()
    }

    /// Refused names whose pause is over.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = &DnsName> {
        let due = move |entry: &Entry| matches!(entry.wait, Wait::Refused { due, .. } if due <= now);
        self.0.iter().filter(move |(_, entry)| due(entry)).map(|(name, _)| name)
    }

    /// When the pause of a refused name is over.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let due = |entry: &Entry| if let Wait::Refused { due, .. } = entry.wait { Some(due) } else { None };
        self.0.values().filter_map(due).min()
    }

    /// When the zone has to be read for a name.
    pub(super) fn next_read(&self) -> Option<Instant> {
        let due = |entry: &Entry| if let Wait::Unread { due, .. } = entry.wait { Some(due) } else { None };
        self.0.values().filter_map(due).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
