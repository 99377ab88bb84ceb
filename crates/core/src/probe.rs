//! What is probed, and what probing says of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::address::Address;

mod expect;
mod pace;
mod path;
mod spec;

pub use expect::{BadExpect, Expect};
pub use pace::{BadMillis, Millis, Pace, Thresholds, Timing};
pub use path::{is_path, is_service};
pub use spec::{BadProbeSpec, Check, GrpcCheck, Guard, GuessCheck, HttpCheck, ProbeSpec, Trust};

/// What is really probed. Many endpoints may share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeKey {
    /// The address that is connected to.
    pub address: IpAddr,
    /// What is asked there, and how often.
    pub spec: Arc<ProbeSpec>,
}

/// An endpoint as the prober gets it: a host name stands for several probe keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Address or host name.
    pub address: Address,
    /// How it is probed.
    pub spec: Arc<ProbeSpec>,
}

/// What probing says of a probe key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// Never probed to an end.
    #[default]
    Unknown,
    /// Answers.
    Healthy,
    /// Failed, but not often enough: still published.
    Suspect,
    /// Failed `fall` times in a row while probe results were distrusted, which does not count: stays as it is, in DNS or out,
    /// until it answers or has failed as often again.
    Suspended,
    /// Failed `fall` times in a row: taken out.
    Unhealthy,
    /// Has answered again, but not often enough: still out.
    Recovering,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Healthy, Self::Suspect, Self::Suspended, Self::Unhealthy, Self::Recovering];

    /// `unknown`, `healthy`, `suspect`, `suspended`, `unhealthy` or `recovering`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Suspended => "suspended",
            Self::Unhealthy => "unhealthy",
            Self::Recovering => "recovering",
        }
    }

    /// Whether an endpoint with this verdict belongs in DNS; `None` while there is no verdict. One that is held does not come
    /// in, and does not go either.
    pub const fn is_in(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Healthy | Self::Suspect => Some(true),
            Self::Suspended | Self::Unhealthy | Self::Recovering => Some(false),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What becomes of an endpoint that cannot be probed from here, such as one of an address family without a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnprobeablePolicy {
    /// It is published as its cluster says (default).
    #[default]
    Publish,
    /// It is neither added nor removed.
    Hold,
}

impl UnprobeablePolicy {
    /// `publish` or `hold`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Hold => "hold",
        }
    }
}

/// Not one of the six verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown '{0}'; expected one of unknown, healthy, suspect, suspended, unhealthy, recovering")]
pub struct UnknownVerdict(pub String);

impl FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, UnknownVerdict> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownVerdict(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspect_is_published_and_recovering_is_not() {
        let published = |text: &str| text.parse::<Verdict>().unwrap().is_in();
        assert_eq!(published("unknown"), None);
        assert_eq!(published("healthy"), Some(true));
        assert_eq!(published("SUSPECT"), Some(true));
        assert_eq!(published("unhealthy"), Some(false));
        assert_eq!(published("recovering"), Some(false));
        assert_eq!(published("suspended"), Some(false));
        assert!("dead".parse::<Verdict>().is_err());
    }
}
