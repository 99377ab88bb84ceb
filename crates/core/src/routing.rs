//! Which of the healthy members are published at a name.

use std::str::FromStr;

use thiserror::Error;

use crate::text::printable;

/// Which of the healthy members stand at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Routing {
    /// All of them.
    #[default]
    All,
    /// Those of the best priority that has any.
    Failover,
}

impl Routing {
    /// `all` or `failover`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failover => "failover",
        }
    }
}

impl FromStr for Routing {
    type Err = UnknownRouting;

    fn from_str(text: &str) -> Result<Self, UnknownRouting> {
        [Self::All, Self::Failover]
            .into_iter()
            .find(|routing| routing.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownRouting(printable(text).into_owned()))
    }
}

/// Not a [`Routing`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown '{0}'; expected one of all, failover")]
pub struct UnknownRouting(pub String);
