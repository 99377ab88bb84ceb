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
    /// Our write of which nobody knows whether it took place, and when it was sent.
    sent: Option<(Record, Duration)>,
    /// The most take-overs that a record has counted.
    transitions: Option<u32>,
    /// When the record was last read or written.
    known_at: Option<Duration>,
}

impl Election {
    /// For a replica with a name that no other process ever has.
    pub const fn new(me: String, terms: Terms) -> Self {
        Self {
            me,
            terms,
            seen: None,
            unsure: true,
            until: None,
            sent: None,
            transitions: None,
            known_at: None,
        }
    }

    /// Until when this replica may write; `None`: it may not.
    pub fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Who leads, as far as it is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.found.as_ref()?.record.holder.as_deref()
    }

    fn leads(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether the record is what this replica wrote. That it names this replica does not say so: a record of a former time may
    /// have been put back from a backup, and another replica leads.
    fn is_mine(&self, now: Duration) -> bool {
        let record = self.seen.as_ref().and_then(|seen| seen.found.as_ref()).map(|found| &found.record);
        let wrote = |(sent, at): &(Record, Duration)| Some(sent) == record && now < *at + self.terms.hold;
        self.holder() == Some(&*self.me) && (self.leads(now) || self.sent.as_ref().is_some_and(wrote))
    }

    /// What to do at this turn, or after a read in it. Who does not lead reads before every write.
    pub fn next(&self, now: Duration) -> Next {
        let ended = self.until.is_some() && !self.leads(now);
        match &self.seen {
            Some(seen)
                if !self.unsure && !ended && (self.is_mine(now) || now >= seen.at + seen.respected) =>
            {
                let before = seen.found.as_ref().map(|found| &found.record);
                let transitions = match before {
                    Some(record) if self.is_mine(now) => record.transitions,
                    _ => self.transitions.map_or(0, |most| most.saturating_add(1)),
                };
                let record =
                    Record { holder: Some(self.me.clone()), seconds: self.terms.seconds, transitions };
                Next::Write(record, seen.found.as_ref().map(|found| Arc::clone(&found.version)))
            }
            _ => Next::Read,
        }
    }

    /// Ends a turn; returns the time from now to the next one.
    pub fn pause(&mut self, now: Duration) -> Duration {
        let over = self.seen.as_ref().filter(|_| self.until.is_none()).map(|seen| seen.at + seen.respected);
        self.unsure |= self.until.is_none();
        let left = over.map(|over| over.saturating_sub(now)).filter(|left| !left.is_zero());
        left.map_or(self.terms.period, |left| left.min(self.terms.period))
    }

    /// Takes in what a read returned that ended just now.
    pub fn found(&mut self, now: Duration, found: Option<Found>) {
        self.unsure = false;
        let record = found.as_ref().map(|found| &found.record);
        self.sent.take_if(|(sent, _)| Some(&*sent) != record);
        // What is as it was may have been changed and put back where nobody looked for a while: a backup may name this replica
        // too, while another one leads.
        let blind = self.known_at.is_none_or(|at| now > at + self.terms.period * 3);
        self.known_at = Some(now);
        if blind && !self.leads(now) || self.seen.as_ref().is_none_or(|seen| seen.found != found) {
            let respected = self.respected(now, record);
            self.transitions = self.transitions.max(record.map(|record| record.transitions));
            self.seen = Some(Seen { found, at: now, respected });
        }
        if !self.is_mine(now) || !self.leads(now) {
            self.until = None;
        }
    }

    /// For how long a record that is new is left alone. One that is missing or goes back in time does not show who leads.
    fn respected(&self, now: Duration, record: Option<&Record>) -> Duration {
        let usual = Duration::from_secs(self.terms.seconds.into());
        match record {
            Some(Record { holder: None, transitions, .. }) if self.transitions <= Some(*transitions) => {
                Duration::ZERO
            }
            Some(Record { holder: None, .. } | Record { seconds: 0, .. }) => usual,
            Some(record) => Duration::from_secs(record.seconds.into()).min(LONGEST),
            // Somebody deleted it: whoever leads writes it again at once.
            None if self.leads(now) => Duration::ZERO,
            None => self.seen.as_ref().map_or(usual, |seen| seen.respected.max(usual)),
        }
    }

    /// A write is sent now: whether it takes place is not known until [`Election::written`].
    pub fn sends(&mut self, now: Duration, record: &Record) {
        self.unsure = true;
        if self.sent.as_ref().is_none_or(|(sent, _)| sent != record) {
            self.sent = Some((record.clone(), now));
        }
    }

    /// Our write, sent at that time, took place.
    pub fn written(&mut self, sent: Duration, record: Record, version: Arc<str>) {
        if record.holder.as_deref() == Some(&*self.me) {
            self.until = Some(sent + self.terms.hold);
        }
        let respected = Duration::from_secs(record.seconds.into());
        (self.unsure, self.sent, self.known_at) = (false, None, Some(sent));
        self.transitions = self.transitions.max(Some(record.transitions));
        self.seen = Some(Seen { found: Some(Found { record, version }), at: sent, respected });
    }

    /// Our write did not take place, or nobody knows: another has written, or an earlier write of ours that was taken for
    /// lost.
    pub fn not_written(&mut self) {
        self.unsure = true;
    }

    /// What gives the lease back, to be written when nothing else is being written any more.
    pub fn release(&mut self) -> Option<(Record, Arc<str>)> {
        self.until.take()?;
        let found = self.seen.as_ref()?.found.as_ref()?;
        let record = Record { holder: None, ..found.record.clone() };
        (self.holder() == Some(&*self.me)).then(|| (record, Arc::clone(&found.version)))
    }
}

#[cfg(test)]
mod tests;
