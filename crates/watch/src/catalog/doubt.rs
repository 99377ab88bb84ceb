//! A list that misses half of the Services or more is not believed until another one misses them too.

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

/// Which of the Services that a list misses are taken for gone, and which ones stand until another list misses them.
/// `known`: how many Services there were. `due`: when another list would be due.
pub(super) fn believe(
    before: Option<Unconfirmed>,
    missing: BTreeSet<ServiceKey>,
    known: usize,
    (now, due): (Duration, Duration),
) -> (BTreeSet<ServiceKey>, Option<Unconfirmed>) {
    if !is_much(missing.len(), known) {
        return (missing, None);
    }
    let distrusted = |missing| Some(Unconfirmed { missing, known, due });
    let Some(before) = before else { return (BTreeSet::new(), distrusted(missing)) };
    let (twice, once): (BTreeSet<_>, BTreeSet<_>) =
        missing.into_iter().partition(|key| before.missing.contains(key));
    if twice.is_empty() {
        return (twice, distrusted(once));
    }
    if now < before.due {
        return (BTreeSet::new(), Some(Unconfirmed { missing: twice, ..before }));
    }
    if is_much(once.len(), known - twice.len()) {
        return (twice, distrusted(once));
    }
    (twice.into_iter().chain(once).collect(), None)
}

/// Half of what was known, or more: a cluster that lost its data says so, and so does an API that lies.
pub(super) const fn is_much(missing: usize, known: usize) -> bool {
    missing > 0 && missing * 2 >= known
}
