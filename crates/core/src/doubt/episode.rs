//! Doubt over time: when it begins and when it ends.

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
    /// There was reason for doubt, which is gone already.
    Passed(Doubt),
}

impl Turn {
    /// Whether what went out lately is doubted from now on.
    pub const fn begins(&self) -> bool {
        matches!(self, Self::Began(_) | Self::Passed(_))
    }

    /// Whether all failures up to now are void.
    pub const fn ends(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Passed(_))
    }
}

/// The doubt that stands.
#[derive(Debug, Default)]
pub(super) struct Episode {
    doubt: Option<Doubt>,
}

impl Episode {
    pub(super) const fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Something speaks for doubt. Doubt of the same kind keeps the facts with which it began.
    pub(super) fn stand(&mut self, doubt: Doubt) -> Option<Turn> {
        match &self.doubt {
            Some(standing) if standing.kind() == doubt.kind() => None,
            standing => {
                let turn = if standing.is_some() { Turn::Became } else { Turn::Began };
                self.doubt = Some(doubt.clone());
                Some(turn(doubt))
            }
        }
    }

    pub(super) fn end(&mut self) -> Option<Turn> {
        self.doubt.take().map(Turn::Ended)
    }
}
