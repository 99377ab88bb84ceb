//! What a zone is set to.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetdns_core::hostnames::HostnamePolicy;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::record::Ttl;
use fleetdns_core::routing::Routing;

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
    /// Which namespaces may have the names of the zone's name servers.
    pub policy: Arc<HostnamePolicy>,
}

/// Priority of a member of which the config says none.
pub const DEFAULT_PRIORITY: u16 = 100;

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
