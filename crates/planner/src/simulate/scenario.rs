//! What a scenario file says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use fleetdns_core::overrides::Override;
use fleetdns_core::service::Service;

/// The whole file. Zones and members are of other types where a scenario is only written: see [`Capture`](super::Capture).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario<Z = ZoneState, M = MemberState> {
    /// Name of the fleet.
    pub fleet: String,
    /// Owner id, when it is not the fleet's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether federation names are written; they are when it is not given.
    #[serde(default, rename = "federation-names", skip_serializing_if = "Option::is_none")]
    pub federation_names: Option<bool>,
    /// Host name for every Service, with `{name}`, `{namespace}` and `{fleet}` in it.
    #[serde(default, rename = "name-template", skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Which namespaces may ask for which host names, as in `[hostnames]`: patterns with commas between them, by namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hostnames: BTreeMap<String, String>,
    /// Name servers of the zones.
    #[serde(default, rename = "name-servers", skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<String>,
    /// Zones that are written.
    pub zones: Vec<Z>,
    /// Members of the fleet.
    #[serde(default = "Vec::new")]
    pub members: Vec<M>,
    /// Verdicts other than healthy.
    #[serde(default)]
    pub verdicts: Vec<VerdictState>,
    /// What load balancer host names resolve to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    /// Overrides in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// `vantage` or `correlation`: why probe results are distrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<String>,
    /// Brakes other than the default ones.
    #[serde(default, skip_serializing_if = "BrakeState::is_default")]
    pub brakes: BrakeState,
    /// Addresses that are published though the built-in list denies them.
    #[serde(rename = "address-allow", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub address_allow: BTreeSet<IpAddr>,
}

impl<Z, M> Default for Scenario<Z, M> {
    fn default() -> Self {
        Self {
            fleet: String::new(),
            owner: None,
            federation_names: None,
            template: None,
            hostnames: BTreeMap::new(),
            name_servers: Vec::new(),
            zones: Vec::new(),
            members: Vec::new(),
            verdicts: Vec::new(),
            resolved: BTreeMap::new(),
            overrides: Vec::new(),
            self_check: None,
            brakes: BrakeState::default(),
            address_allow: BTreeSet::new(),
        }
    }
}

/// A zone and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneState<O = Vec<SetState>> {
    /// The apex.
    pub name: String,
    /// What federation names end in; the zone when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// TTL of sets whose Service asks for none; 30 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// `all` (when it is not given) or `failover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<String>,
    /// What the provider can represent; everything when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilityState>,
    /// Record sets that exist.
    #[serde(default)]
    pub observed: O,
}

/// What a provider can represent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapabilityState {
    /// `*` as leftmost label.
    pub wildcards: bool,
    /// Records at the apex.
    pub apex: bool,
    /// Whether a name is answered with the records below it too.
    #[serde(rename = "answers-subtree")]
    pub answers_subtree: bool,
    /// Most values in one set.
    #[serde(rename = "max-values", skip_serializing_if = "Option::is_none")]
    pub max_values: Option<usize>,
    /// A CNAME to a name below one of these is served as an alias of the provider's own.
    #[serde(rename = "alias-below", skip_serializing_if = "Vec::is_empty")]
    pub alias_below: Vec<String>,
    /// Smallest TTL in seconds; 0 when it is not given.
    #[serde(rename = "min-ttl", skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<u32>,
    /// Largest TTL in seconds; none when it is not given.
    #[serde(rename = "max-ttl", skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<u32>,
}

impl Default for CapabilityState {
    fn default() -> Self {
        Self {
            wildcards: true,
            apex: true,
            answers_subtree: false,
            max_values: None,
            alias_below: Vec::new(),
            min_ttl: None,
            max_ttl: None,
        }
    }
}

/// A record set that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    /// Owner name.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, or another type, which is never ours.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds; 30 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Values as text.
    #[serde(default)]
    pub values: Vec<String>,
    /// The fleet's name: ours. Another or none: foreign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The whole ownership record, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
}

/// A member and its Services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberState<S = Vec<Service>> {
    /// Its name.
    pub name: String,
    /// `pending`, `live` (when it is not given), `stale` or `removed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Its priority, lowest first; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its zones.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Its Services. A pending or stale member without this field was never listed: it has what the zones' ownership
    /// marks say that it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<S>,
    /// How Services are probed, by `NAMESPACE/NAME` and in the form that marks have (`https:443@www.example.com/healthz`),
    /// where that follows neither from their ports nor from their annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, String>,
}

/// What probing says of one address of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictState {
    /// The member.
    pub member: String,
    /// IP address or host name.
    pub address: String,
    /// `unknown`, `healthy`, `suspect`, `held`, `unhealthy` or `recovering`.
    pub verdict: String,
}

/// Brakes, each at its default when it is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BrakeState {
    /// See `Brakes::min_kept`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_kept: Option<usize>,
    /// `keep`, `all` or `empty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_down: Option<String>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<u8>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_removals: Option<u8>,
    /// See `Brakes::max_addresses`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_addresses: Option<usize>,
    /// `false`: shadow mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removals: Option<bool>,
}

impl BrakeState {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
