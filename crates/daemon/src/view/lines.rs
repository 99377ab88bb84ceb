//! The rows of the admin API.

use std::collections::BTreeMap;

use fleetdns_core::Override;
use fleetdns_planner::{HeldLine, Reason};
use fleetdns_probe::PutOff;
use serde::{Deserialize, Serialize};

/// Addresses of one family that cannot be probed from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnprobeableLine {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// How many.
    pub addresses: usize,
    /// `publish`: they are published as their clusters say; `hold`: they stay as they are.
    pub unprobeable: String,
}

/// A namespace of which probes were put off within the last minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOffLine {
    /// The namespace.
    pub namespace: String,
    /// Probes that waited, since the limit began to act.
    pub probes: u64,
    /// The longest that one waited, in milliseconds.
    pub longest_ms: u64,
    /// The limit that acts.
    pub limit: String,
}

impl From<PutOff> for PutOffLine {
    fn from(of: PutOff) -> Self {
        Self {
            namespace: of.namespace.to_string(),
            probes: of.probes,
            longest_ms: u64::try_from(of.longest.as_millis()).unwrap_or(u64::MAX),
            limit: of.limit.as_str().to_owned(),
        }
    }
}

/// An endpoint that never answered since it appeared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeverAnsweredLine {
    /// The member.
    pub cluster: String,
    /// The Service.
    pub service: String,
    /// The address that is probed.
    pub address: String,
    /// How it is probed.
    pub probe: String,
    /// How the last probe ended.
    pub error: String,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLine {
    /// Its name.
    pub name: String,
    /// `pending`, `live`, `stale` or `removed`.
    pub inventory: String,
    /// Its region, empty when it is not known.
    pub region: String,
    /// Its zones.
    pub zones: Vec<String>,
    /// Services of type LoadBalancer that are published.
    pub services: usize,
    /// Addresses of these Services.
    pub endpoints: usize,
    /// Addresses by verdict.
    pub verdicts: BTreeMap<String, usize>,
    /// The verdict on it as a whole: `in` while an endpoint is, `out`, `unknown`, or `unprobed` where nothing can be.
    #[serde(default)]
    pub health: String,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Seconds since it joined; those that were there at the start joined then.
    #[serde(default)]
    pub age_seconds: u64,
    /// Where it comes from: `dns.conf`, or what discovery found it in; empty once it is removed.
    #[serde(default)]
    pub source: String,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneLine {
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Names that are ours.
    pub owned: usize,
    /// Names written since the start.
    pub written: u64,
    /// Names that could not be written since the start.
    pub failed: u64,
    /// Seconds since it was last listed; `None` before the first list.
    pub listed_seconds_ago: Option<u64>,
    /// What start-up waits for.
    pub startup: Option<String>,
    /// Why it cannot be read or written.
    pub fault: Option<String>,
    /// Another daemon that writes it with the same owner, and which of the two stops.
    #[serde(default)]
    pub other_writer: Option<String>,
    /// What is kept by a brake.
    pub held: Vec<HeldLine>,
    /// What is wanted and not written.
    pub refused: Vec<Reason>,
}

/// An override in force; one item of `GET /v1/overrides`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideLine {
    /// The override.
    #[serde(flatten)]
    pub entry: Override,
    /// Addresses that it is about.
    pub addresses: usize,
    /// Names in the zones that could hold one of them.
    pub names: usize,
}

/// One item of `GET /v1/records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLine {
    /// The zone.
    pub zone: String,
    /// Owner name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Values.
    pub values: Vec<String>,
    /// Whether it is ours.
    pub ours: bool,
    /// The Service for which it stands, or several with commas that share the name.
    pub service: Option<String>,
    /// Members that gave it.
    pub members: Vec<String>,
}
