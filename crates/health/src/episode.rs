//! Failures of the self-check over time: when one begins and when it ends.

use std::time::Duration;

use super::votes::Scope;
use fleetdns_core::SelfCheckFailure;

/// A change that has to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The self-check passed before.
    Began(SelfCheckFailure),
    /// It failed for another reason before.
    Became(SelfCheckFailure),
    /// It passes again; this was the failure.
    Ended(SelfCheckFailure),
    /// It has stood for as long as it may, and what it held goes.
    Expired(SelfCheckFailure),
    /// It would have failed, and passes again already.
    Passed(SelfCheckFailure),
}

/// A failure, and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) self_check: SelfCheckFailure,
    pub(super) scope: Scope,
    /// What was seen healthy since then is no part of it. Kept while one failure follows another without a pause.
    pub(super) since: Duration,
    /// When the first correlation of those failures began.
    correlated: Option<Duration>,
}

impl Standing {
    pub(super) const fn is_vantage(&self) -> bool {
        matches!(self.self_check, SelfCheckFailure::Vantage { .. })
    }

    /// Since when it is a correlation; `None` when it is none.
    pub(super) fn correlated(&self) -> Option<Duration> {
        self.correlated.filter(|_| !self.is_vantage())
    }
}

/// The failure in force, and the last one.
#[derive(Debug, Default)]
pub(super) struct Episode {
    now: Option<Standing>,
    last: Option<Standing>,
}

impl Episode {
    pub(super) const fn now(&self) -> Option<&Standing> {
        self.now.as_ref()
    }

    pub(super) const fn last(&self) -> Option<&Standing> {
        self.last.as_ref()
    }

    /// The self-check fails `now`, for what was not seen healthy `since`. A failure of the same kind keeps the facts with
    /// which it began. Returns what has to be reported, and whether it holds something else than before.
    pub(super) fn stand(
        &mut self,
        (self_check, scope): (SelfCheckFailure, Scope),
        (now, since): (Duration, Duration),
    ) -> (Option<Transition>, bool) {
        let correlates = matches!(self_check, SelfCheckFailure::Correlation { .. });
        let Some(standing) = &mut self.now else {
            let correlated = correlates.then_some(now);
            self.now = Some(Standing { self_check: self_check.clone(), scope, since, correlated });
            return (Some(Transition::Began(self_check)), true);
        };
        if correlates {
            standing.correlated.get_or_insert(now);
        }
        let same = standing.self_check.kind() == self_check.kind();
        // What is held stays held while it lasts: a key that vanishes meanwhile, such as an address that a host name no
        // longer resolves to, proves nothing of the others.
        if same && (standing.scope == scope || standing.scope == Scope::All) {
            return (None, false);
        }
        standing.scope = scope;
        if same {
            return (None, true);
        }
        standing.self_check = self_check.clone();
        (Some(Transition::Became(self_check)), true)
    }

    pub(super) fn end(&mut self) -> Option<SelfCheckFailure> {
        let standing = self.now.take()?;
        let self_check = standing.self_check.clone();
        self.last = Some(standing);
        Some(self_check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_that_loses_a_key_does_not_let_go_of_the_others() {
        let correlation = || SelfCheckFailure::Correlation { keys: 4, bad: 3, members: [].into() };
        let at = (Duration::from_secs(1), Duration::ZERO);
        let mut episode = Episode::default();
        episode.stand((correlation(), Scope::Only(0)), at);
        assert_eq!(episode.stand((correlation(), Scope::All), at), (None, true), "it may grow");
        assert_eq!(episode.stand((correlation(), Scope::Only(0)), at), (None, false));
        assert_eq!(episode.now().map(|standing| standing.scope), Some(Scope::All));
        // Another failure has a scope of its own.
        episode.end();
        episode.stand((correlation(), Scope::Only(1)), at);
        assert_eq!(episode.now().map(|standing| standing.scope), Some(Scope::Only(1)));
    }
}
