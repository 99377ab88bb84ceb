//! A failed self-check of the prober: why its results must not remove anything at the moment.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::member_name::MemberName;

/// Members that are named one by one; of more, their number is printed.
const NAMED: usize = 5;

/// Why what fails must not be removed: in a vantage all of it, in a correlation what failed together.
///
/// The facts are those of the moment at which it began, so that a failure which lasts stays equal to itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SelfCheckFailure {
    /// We are the ones cut off: neither the canaries nor hardly any endpoint is heard. Ends by itself.
    Vantage {
        /// Canaries: API servers of members, and anchors.
        canaries: usize,
        /// Canaries that did not answer when last probed.
        silent: usize,
        /// Probe keys that were asked: all of them, or a sample of each member's.
        keys: usize,
        /// Of those the ones that were heard when last probed, whatever they said.
        heard: usize,
    },
    /// More than half of what was healthy failed together, in several members. Ends when fewer fail, when an
    /// operator confirms it, or after the time that is set.
    Correlation {
        /// Probe keys that were healthy.
        keys: usize,
        /// Probe keys that went bad, or are about to; an estimate where members have many.
        bad: usize,
        /// Members of whose namespaces at least half are hit, in order.
        members: Arc<[MemberName]>,
    },
}

impl SelfCheckFailure {
    /// `vantage` or `correlation`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Vantage { .. } => "vantage",
            Self::Correlation { .. } => "correlation",
        }
    }
}

impl fmt::Display for SelfCheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vantage { canaries, silent, keys, heard } => write!(
                f,
                "vantage: {silent} of {canaries} canaries and {} of {keys} endpoints asked are silent, this prober \
                 seems to be cut off",
                keys.saturating_sub(*heard)
            ),
            Self::Correlation { keys, bad, members } => {
                let named: Vec<&str> = members.iter().take(NAMED).map(MemberName::as_str).collect();
                write!(
                    f,
                    "correlation: {bad} of {keys} endpoints went bad together, in {}",
                    named.join(", ")
                )?;
                if members.len() > NAMED {
                    write!(f, " and {} more", members.len() - NAMED)?;
                }
                f.write_str("; if the outage is real, run 'fleetdns confirm-outage'")
            }
        }
    }
}

/// As its text.
impl Serialize for SelfCheckFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_states_its_facts() {
        let vantage = SelfCheckFailure::Vantage { canaries: 4, silent: 3, keys: 100, heard: 2 };
        assert_eq!(
            vantage.to_string(),
            "vantage: 3 of 4 canaries and 98 of 100 endpoints asked are silent, this prober seems to be cut off"
        );
        let correlation = |count: usize| SelfCheckFailure::Correlation {
            keys: 100,
            bad: 60,
            members: (0..count).map(|member| format!("m{member}").parse().unwrap()).collect(),
        };
        assert_eq!(
            correlation(2).to_string(),
            "correlation: 60 of 100 endpoints went bad together, in m0, m1; if the outage is real, run \
             'fleetdns confirm-outage'"
        );
        assert!(correlation(7).to_string().contains("in m0, m1, m2, m3, m4 and 2 more; if"));
        let json = serde_json::to_string(&vantage).unwrap();
        assert_eq!(json, format!("\"{vantage}\""));
        assert_eq!((vantage.kind(), correlation(2).kind()), ("vantage", "correlation"));
    }
}
