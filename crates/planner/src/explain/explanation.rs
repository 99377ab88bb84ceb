//! The answer: why one name holds what it holds.

use serde::{Deserialize, Serialize};

use crate::desired::ZoneSettings;
use crate::lines::HeldLine;
use crate::lines::SetLine;
use fleetdns_core::name::DnsName;
use fleetdns_core::overrides::Override;
use fleetdns_core::routing::Routing;

/// Why one name holds what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name.
    pub name: String,
    /// The zone of ours that it lies in; none when it lies in none.
    pub zone: Option<String>,
    /// Kind of the zone's provider, when it is known.
    #[serde(default)]
    pub provider: Option<String>,
    /// Namespace and name of the Service that has it; none when nobody asks for it.
    pub service: Option<String>,
    /// Services that share it with that one, each in members of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// Services that ask for it too and are refused.
    pub refused_services: Vec<String>,
    /// TTL in seconds that is wanted.
    pub ttl: Option<u32>,
    /// `all` or `failover`.
    pub routing: Option<String>,
    /// Where it points when none of its addresses is in: one level up.
    pub points_up: Option<String>,
    /// What DNS holds.
    pub holds: Vec<HeldSet>,
    /// Whether the zone has not been read yet: what DNS holds is unknown.
    #[serde(default)]
    pub unread: bool,
    /// What ought to stand there, what is kept by a brake included.
    pub desired: Vec<SetLine>,
    /// The brake that keeps something there.
    pub held: Option<HeldLine>,
    /// Why it is not written.
    pub refused: Vec<String>,
    /// Why it goes, when it goes as a whole.
    pub goes: Option<String>,
    /// Its addresses.
    pub addresses: Vec<AddressLine>,
    /// What else there is to know, a sentence each.
    pub notes: Vec<String>,
    /// Names that look like it, where nothing is known of it.
    pub similar: Vec<String>,
}

/// A record set that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSet {
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Values, as far as they can be read.
    pub values: Vec<String>,
    /// Whether it is ours.
    pub ours: bool,
}

/// One address that stands at the name, or could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressLine {
    /// An IP address, or the host name of a load balancer.
    pub address: String,
    /// Whether DNS holds it.
    pub in_dns: bool,
    /// Whether DNS ought to hold it.
    pub desired: bool,
    /// Why, in words.
    pub reason: String,
    /// Who returns it, and what probes say of it there.
    pub sources: Vec<Giver>,
    /// The override that counts for it.
    pub entry: Option<Override>,
    /// What a host name resolves to; none for an IP address and while it was never resolved.
    pub resolves_to: Option<Vec<String>>,
    /// Why it could not be resolved the last time.
    pub resolve_error: Option<String>,
}

/// One member that returns an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Giver {
    /// Its name.
    pub cluster: String,
    /// The Service that has the address there, where several share the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `pending`, `live`, `stale` or `removed`.
    pub inventory: String,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Its priority, where the routing asks for it.
    pub priority: Option<u16>,
    /// What it is probed with; one for each address of a host name.
    pub probes: Vec<ProbeLine>,
}

/// One probe key, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// The address that is connected to; none while a host name is not resolved.
    pub address: Option<String>,
    /// How, in one word.
    pub probe: String,
    /// The verdict.
    pub verdict: String,
    /// The last probe; none before the first has ended, or without a prober.
    pub last: Option<LastProbe>,
}

/// The last probe of a key, and how many ended like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastProbe {
    /// What went wrong; none after a success.
    pub error: Option<String>,
    /// Whether the error says something of the endpoint, and not of ourselves.
    pub conclusive: bool,
    /// Seconds since it ended.
    pub seconds_ago: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// Successes since the last failure.
    pub successes: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// Successes in a row that bring it back now: more after each time that it flapped.
    pub rise: u32,
}

impl Explanation {
    /// Of a name that lies in none of the zones.
    pub fn outside<'a>(name: &DnsName, zones: impl Iterator<Item = &'a ZoneSettings>) -> Self {
        let zones: Vec<&str> = zones.map(|zone| zone.zone.as_str()).collect();
        let note = format!("it lies in none of the zones that are written: {}", zones.join(", "));
        Self { name: name.to_string(), notes: vec![note], ..Self::default() }
    }

    /// Whether nothing is known of the name: nobody asks for it, and nothing of ours stands there.
    pub fn is_unknown(&self) -> bool {
        self.service.is_none() && self.refused.is_empty() && !self.holds.iter().any(|set| set.ours)
    }
}

/// `all healthy clusters`, or by priority.
pub(super) fn routing_in_words(routing: &str) -> &'static str {
    if routing == Routing::Failover.as_str() {
        "the healthy clusters of the best priority"
    } else {
        "all healthy clusters"
    }
}
