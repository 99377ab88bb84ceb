//! A change of overrides that a person asks for, and what became of it.

use std::time::Duration;

use fleetdns_core::{Override, OverrideKind, Overrides, Subject};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::store::StoreError;

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
