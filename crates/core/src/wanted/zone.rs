//! What a zone is set to.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::member::MemberName;
use crate::name::{DnsName, Label};
use crate::record::Ttl;
use crate::text::printable;

/// One zone as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSettings {
    /// The zone's apex.
    pub zone: DnsName,
    /// What federation names end in: the zone, or a name within it.
    pub suffix: DnsName,
    /// Zones that are configured too; a host name belongs to the longest zone that it fits.
    pub other_zones: Vec<DnsName>,
    /// Owner id in the evidence.
    pub owner: Label,
    /// Fleet whose federation names are published.
    pub fleet: Option<Label>,
    /// TTL of sets whose Service asks for none.
    pub ttl: Ttl,
    /// Which of the healthy members stand at a name, unless its Service says otherwise.
    pub routing: Routing,
    /// Priorities of members, lowest first; a member that is missing has [`DEFAULT_PRIORITY`].
    pub priorities: Arc<BTreeMap<MemberName, u16>>,
}

/// Which of the healthy members stand at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Routing {
    /// All of them.
    #[default]
    All,
    /// Those of the best priority that has any.
    Failover,
}

/// Priority of a member of which the config says none.
pub const DEFAULT_PRIORITY: u16 = 100;

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
#[error("'{0}' is none of all, failover")]
pub struct UnknownRouting(pub String);

impl ZoneSettings {
    /// The priority of a member; the lowest one comes first.
    pub fn priority(&self, member: &MemberName) -> u16 {
        self.priorities.get(member).copied().unwrap_or(DEFAULT_PRIORITY)
    }

    /// Whether a name belongs to this zone and to no longer one that is configured too.
    pub fn takes(&self, name: &DnsName) -> bool {
        name.is_within(&self.zone)
            && !self.other_zones.iter().any(|other| other.is_below(&self.zone) && name.is_within(other))
    }
}
