//! Calls of the provider since the start, and their errors.

use std::sync::atomic::{AtomicU64, Ordering};

use fleetdns_core::{Applied, Outcome, ProviderError};

/// What went wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// The backend did not answer, or not as it should.
    Unavailable,
    /// It asked to wait.
    Throttled,
    /// It denied the call.
    Denied,
    /// It refused a record.
    Rejected,
    /// Another writer had changed a record.
    Conflict,
    /// A record was written by half, or it is not known whether it was written.
    Incomplete,
}

impl CallError {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unavailable, Self::Throttled, Self::Denied, Self::Rejected, Self::Conflict, Self::Incomplete];

    /// In small letters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Incomplete => "incomplete",
        }
    }

    const fn of(error: &ProviderError) -> Self {
        match error {
            ProviderError::Unavailable { .. } => Self::Unavailable,
            ProviderError::Throttled { .. } => Self::Throttled,
            ProviderError::Denied { .. } => Self::Denied,
            ProviderError::Rejected { .. } => Self::Rejected,
        }
    }

    const fn of_name(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done(_) | Outcome::NotTried => None,
            Outcome::Conflict => Some(Self::Conflict),
            Outcome::Incomplete { .. } => Some(Self::Incomplete),
            Outcome::Failed(error) => Some(Self::of(error)),
        }
    }
}

/// Calls of one kind.
#[derive(Debug, Default)]
pub struct Calls {
    calls: AtomicU64,
    /// In the order of [`CallError::ALL`].
    errors: [AtomicU64; CallError::ALL.len()],
}

impl Calls {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many of them had each error.
    pub fn errors(&self) -> impl Iterator<Item = (CallError, u64)> {
        CallError::ALL.into_iter().zip(self.errors.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn listed(&self, error: Option<&ProviderError>) {
        self.add(|one| error.is_some_and(|error| CallError::of(error) == one));
    }

    /// An error that several names had is one of the call.
    pub(super) fn applied(&self, applied: &Applied) {
        self.add(|one| applied.names.iter().any(|(_, outcome)| CallError::of_name(outcome) == Some(one)));
    }

    fn add(&self, had: impl Fn(CallError) -> bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        for (_, count) in CallError::ALL.iter().zip(&self.errors).filter(|(one, _)| had(**one)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
