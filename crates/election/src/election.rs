//! The election, as one replica sees it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::terms::{LONGEST, Terms};

/// What the replicas share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who leads; nobody when the last leader has gone in good order.
    pub holder: Option<String>,
    /// How long others respect it after they have seen it.
    pub seconds: u32,
    /// How often another has taken over.
    pub transitions: u32,
}

/// A record that was read, with a version that changes with every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// Its version.
    pub version: Arc<str>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Read the record.
    Read,
    /// Write this, if the record still has that version; `None`: if there is none.
    Write(Record, Option<Arc<str>>),
}

/// The record as it was when it was last seen to change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// `None`: there was none.
    found: Option<Found>,
    /// When this was first seen.
    at: Duration,
    /// For how long from then on it is left alone.
    respected: Duration,
}

/// The election, as one replica sees it. Times are those of one clock that runs on while the machine sleeps.
#[derive(Debug)]
pub struct Election {
    me: String,
    terms: Terms,
    seen: Option<Seen>,
    /// What was seen is to be read again before it is built on.
    unsure: bool,
    until: Option<Duration>,
}

impl Election {
    /// For a replica with a name that no other process ever has.
    pub const fn new(me: String, terms: Terms) -> Self {
        Self { me, terms, seen: None, unsure: true, until: None }
    }

    /// Until when this replica may write; `None`: it may not.
    pub fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Who leads, as far as it is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.found.as_ref()?.record.holder.as_deref()
    }

    fn is_mine(&self) -> bool {
        self.holder() == Some(&*self.me)
    }

    /// What to do at this turn, or after a read in it.
    pub fn next(&self, now: Duration) -> Next {
        match &self.seen {
            Some(seen) if !self.unsure && (self.is_mine() || now >= seen.at + seen.respected) => {
                let before = seen.found.as_ref().map(|found| &found.record);
                let transitions = before.map_or(0, |record| record.transitions);
                let record = Record {
                    holder: Some(self.me.clone()),
                    seconds: self.terms.seconds,
                    transitions: transitions.saturating_add((before.is_some() && !self.is_mine()).into()),
                };
                Next::Write(record, seen.found.as_ref().map(|found| Arc::clone(&found.version)))
            }
            _ => Next::Read,
        }
    }

    /// From now to the next turn.
    pub fn pause(&self, now: Duration) -> Duration {
        let over = self.seen.as_ref().filter(|_| !self.is_mine()).map(|seen| seen.at + seen.respected);
        let left = over.map(|over| over.saturating_sub(now)).filter(|left| !left.is_zero());
        left.map_or(self.terms.period, |left| left.min(self.terms.period))
    }

    /// Takes in what a read returned that ended just now.
    pub fn found(&mut self, now: Duration, found: Option<Found>) {
        self.unsure = false;
        if self.seen.as_ref().is_none_or(|seen| seen.found != found) {
            let respected = match (&found, &self.seen) {
                (Some(Found { record: Record { holder: None, .. }, .. }), _) => Duration::ZERO,
                (Some(found), _) => Duration::from_secs(found.record.seconds.into()).min(LONGEST),
                // Somebody deleted it: whoever leads writes it again at once.
                (None, Some(_)) if self.is_mine() => Duration::ZERO,
                (None, Some(seen)) => seen.respected,
                (None, None) => self.terms.period * 2,
            };
            self.seen = Some(Seen { found, at: now, respected });
        }
        if !self.is_mine() {
            self.until = None;
        }
    }

    /// Our write, sent at that time, took place.
    pub fn written(&mut self, sent: Duration, record: Record, version: Arc<str>) {
        if record.holder.as_deref() == Some(&*self.me) {
            self.until = Some(sent + self.terms.hold);
        }
        let respected = Duration::from_secs(record.seconds.into());
        self.seen = Some(Seen { found: Some(Found { record, version }), at: sent, respected });
        self.unsure = false;
    }

    /// Our write did not take place, or nobody knows: another has written, or an earlier write of ours that was taken for
    /// lost.
    pub fn not_written(&mut self) {
        self.unsure = true;
    }

    /// What gives the lease back, to be written when nothing else is being written any more.
    pub fn release(&mut self) -> Option<(Record, Arc<str>)> {
        self.until = None;
        let found = self.seen.as_ref()?.found.as_ref().filter(|_| self.is_mine())?;
        Some((Record { holder: None, ..found.record.clone() }, Arc::clone(&found.version)))
    }
}

#[cfg(test)]
mod tests;
