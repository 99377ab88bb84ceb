//! Doubt over time: when it begins and when it ends.

use std::time::Duration;

use super::votes::Scope;
use fleetdns_core::Doubt;

/// A change that has to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// There was no doubt.
    Began(Doubt),
    /// There was another doubt.
    Became(Doubt),
    /// There is no doubt any more; this was it.
    Ended(Doubt),
    /// It has stood for as long as it may, and what it held goes.
    Expired(Doubt),
    /// There was reason for doubt, which is gone already.
    Passed(Doubt),
}

/// A doubt, and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) doubt: Doubt,
    pub(super) scope: Scope,
    /// What was seen healthy since then is no part of it. Kept while one doubt follows another without a pause.
    pub(super) since: Duration,
    /// When the first correlation began of those doubts.
    correlated: Option<Duration>,
}

impl Standing {
    pub(super) const fn is_vantage(&self) -> bool {
        matches!(self.doubt, Doubt::Vantage { .. })
    }

    /// Since when it is a correlation; `None` when it is none.
    pub(super) fn correlated(&self) -> Option<Duration> {
        self.correlated.filter(|_| !self.is_vantage())
    }
}

/// The doubt that stands, and the one that stood last.
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

    /// Something speaks for doubt `now`, about what was not seen healthy `since`. Doubt of the same kind keeps the facts
    /// with which it began. Returns what has to be said, and whether the doubt is about something else than before.
    pub(super) fn stand(
        &mut self,
        (doubt, scope): (Doubt, Scope),
        (now, since): (Duration, Duration),
    ) -> (Option<Turn>, bool) {
        let correlates = matches!(doubt, Doubt::Correlation { .. });
        let Some(standing) = &mut self.now else {
            let correlated = correlates.then_some(now);
            self.now = Some(Standing { doubt: doubt.clone(), scope, since, correlated });
            return (Some(Turn::Began(doubt)), true);
        };
        if correlates {
            standing.correlated.get_or_insert(now);
        }
        let same = standing.doubt.kind() == doubt.kind();
        if same && standing.scope == scope {
            return (None, false);
        }
        standing.scope = scope;
        if same {
            return (None, true);
        }
        standing.doubt = doubt.clone();
        (Some(Turn::Became(doubt)), true)
    }

    pub(super) fn end(&mut self) -> Option<Doubt> {
        let standing = self.now.take()?;
        let doubt = standing.doubt.clone();
        self.last = Some(standing);
        Some(doubt)
    }
}
