//! A list that misses half of the Services or more is not believed until another one misses them too; nor is the first
//! list of a cluster that was rebuilt, whatever it misses.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::service::ServiceKey;

/// Services that a list missed, and that stand until another list misses them too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Which ones.
    pub missing: BTreeSet<ServiceKey>,
    /// How many Services there were.
    pub known: usize,
    /// When the list that confirms is due.
    pub due: Duration,
}

/// How a list is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// How many Services there were.
    pub(super) known: usize,
    /// The cluster is another one than before, and may be filled just now: nothing that it misses is gone yet.
    pub(super) rebuilt: bool,
    pub(super) now: Duration,
    /// When another list would be due.
    pub(super) due: Duration,
}

/// Which of the Services that a list misses are taken for gone, and which ones stand until another list misses them.
pub(super) fn believe(
    before: Option<Unconfirmed>,
    missing: BTreeSet<ServiceKey>,
    Reading { known, rebuilt, now, due }: Reading,
) -> (BTreeSet<ServiceKey>, Option<Unconfirmed>) {
    let was_missing = |key: &ServiceKey| before.as_ref().is_some_and(|before| before.missing.contains(key));
    let (mut twice, once): (BTreeSet<_>, BTreeSet<_>) = missing.into_iter().partition(was_missing);
    let doubted = (rebuilt && !once.is_empty()) || is_much(once.len(), known - twice.len());
    match before {
        // However few they are by now.
        Some(before) if now < before.due && !twice.is_empty() => {
            (BTreeSet::new(), Some(Unconfirmed { missing: twice, ..before }))
        }
        _ if doubted => (twice, Some(Unconfirmed { missing: once, known, due })),
        _ => {
            twice.extend(once);
            (twice, None)
        }
    }
}

/// Half of what was known, or more: a cluster that lost its data says so, and so does an API that lies.
pub(super) const fn is_much(missing: usize, known: usize) -> bool {
    missing > 0 && missing * 2 >= known
}
