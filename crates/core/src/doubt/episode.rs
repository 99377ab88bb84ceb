//! Doubt over time: when it begins, what keeps it up, when it ends.

use std::time::Duration;

use super::Doubt;

/// A change that has to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// There was no doubt.
    Began(Doubt),
    /// There was another doubt.
    Became(Doubt),
    /// There is no doubt any more; this was it.
    Ended(Doubt),
}

/// The doubt that stands.
#[derive(Debug, Default)]
pub(super) struct Episode {
    doubt: Option<Doubt>,
    /// Since when nothing speaks for it.
    calm_since: Option<Duration>,
}

impl Episode {
    pub(super) const fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// When the doubt ends, if nothing happens until then.
    pub(super) fn ends_at(&self, linger: Duration) -> Option<Duration> {
        self.calm_since.map(|since| since + linger)
    }

    /// Something speaks for doubt. Doubt of the same kind keeps the facts with which it began.
    pub(super) fn stand(&mut self, doubt: Doubt) -> Option<Turn> {
        self.calm_since = None;
        match &self.doubt {
            Some(standing) if standing.kind() == doubt.kind() => None,
            standing => {
                let turn = if standing.is_some() { Turn::Became } else { Turn::Began };
                self.doubt = Some(doubt.clone());
                Some(turn(doubt))
            }
        }
    }

    /// Nothing speaks for doubt any more. What failed in its course gets `linger` to show that it is well, and then is
    /// believed; when there is nothing such, doubt ends at once.
    pub(super) fn calm(&mut self, now: Duration, linger: Duration, wait: bool) -> Option<Turn> {
        self.doubt.as_ref()?;
        let since = *self.calm_since.get_or_insert(now);
        if wait && now < since + linger { None } else { self.end() }
    }

    pub(super) fn end(&mut self) -> Option<Turn> {
        self.calm_since = None;
        self.doubt.take().map(Turn::Ended)
    }
}
