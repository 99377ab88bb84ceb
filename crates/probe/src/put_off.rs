//! Which namespaces asked for more probes than they may have lately, for people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long it is shown, and from one log line of a namespace to the next.
const LATELY: Duration = Duration::from_secs(60);

/// A limit of a namespace's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// At one address; fixed.
    Address,
    /// In all; `namespace-probes`.
    Namespace,
}

impl Limit {
    /// How it is called in the log and the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "100 probes a second of a namespace at one address",
            Self::Namespace => "namespace-probes in [limits]",
        }
    }
}

/// A namespace of which probes waited lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The limit that acted.
    pub limit: Limit,
    /// Probes that waited, since the limit began to act.
    pub probes: u64,
    /// The longest that one waited.
    pub longest: Duration,
}

/// All namespaces of which probes wait.
#[derive(Debug, Default)]
pub(crate) struct Waits(BTreeMap<(Arc<str>, Limit), Wait>);

#[derive(Debug)]
struct Wait {
    probes: u64,
    longest: Duration,
    last: Instant,
    logged: Instant,
}

impl Waits {
    /// Counts one probe. Returns whether it is to be logged: the first one, and one a minute.
    pub(crate) fn add(&mut self, namespace: &Arc<str>, limit: Limit, wait: Duration, now: Instant) -> bool {
        let account = (Arc::clone(namespace), limit);
        match self.0.get_mut(&account).filter(|old| now < old.last + LATELY) {
            Some(old) => {
                (old.probes, old.longest, old.last) = (old.probes + 1, old.longest.max(wait), now);
                let due = now >= old.logged + LATELY;
                old.logged = if due { now } else { old.logged };
                due
            }
            None => {
                self.0.retain(|_, old| now < old.last + LATELY);
                self.0.insert(account, Wait { probes: 1, longest: wait, last: now, logged: now });
                true
            }
        }
    }

    pub(crate) fn lately(&self, now: Instant) -> Vec<PutOff> {
        let lately = self.0.iter().filter(|(_, wait)| now < wait.last + LATELY);
        let shown = |((namespace, limit), wait): (&(Arc<str>, Limit), &Wait)| PutOff {
            namespace: Arc::clone(namespace),
            limit: *limit,
            probes: wait.probes,
            longest: wait.longest,
        };
        lately.map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_logged_once_a_minute_and_shown_for_as_long() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let (name, s): (Arc<str>, _) = ("big".into(), Duration::from_secs);
        let logged: Vec<u64> =
            (0..=150).filter(|at| waits.add(&name, Limit::Namespace, s(at % 7), start + s(*at))).collect();
        assert_eq!(logged, [0, 60, 120]);
        let shown = PutOff { namespace: name.clone(), limit: Limit::Namespace, probes: 151, longest: s(6) };
        assert_eq!(waits.lately(start + s(209)), [shown]);
        assert_eq!(waits.lately(start + s(210)), []);
        assert!(waits.add(&name, Limit::Address, s(1), start + s(211)));
        assert_eq!(waits.lately(start + s(211)).len(), 1);
        assert_eq!(waits.0.len(), 1, "what is over is forgotten");
    }
}
