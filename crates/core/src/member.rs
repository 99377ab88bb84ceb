//! Members of the fleet and what they publish.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::member_name::MemberName;
use crate::name::{DnsName, Label};
use crate::policy::AddressPolicies;
use crate::probe::{ProbeKey, Target, UnprobeablePolicy, Verdict};
use crate::self_check::SelfCheckFailure;
use crate::service::{Published, ServiceKey};

/// What a member's API last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Inventory {
    /// Not listed yet, and start-up still waits for it.
    Pending,
    /// Listed, and the watch is fresh.
    #[default]
    Live,
    /// The API is away: the last inventory stands.
    Stale,
    /// Removed from the config: to be drained.
    Removed,
}

impl Inventory {
    /// `pending`, `live`, `stale` or `removed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Everything known of one member.
///
/// Invariant: a member whose list is not complete is never "empty": `listed` stays false until a whole list came in,
/// and what `services` holds before that was adopted from the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its name.
    pub name: MemberName,
    /// Freshness of `services`.
    pub inventory: Inventory,
    /// Whether `services` is a complete list of this process's own.
    pub listed: bool,
    /// Region, when it is known.
    pub region: Option<Label>,
    /// Zones of the region, as far as they are known.
    pub zones: BTreeSet<Label>,
    /// Services of type LoadBalancer, read and checked.
    pub services: OrdMap<ServiceKey, Arc<Published>>,
    /// Services that were deleted lately: the host names that they had are kept for them.
    pub absent: OrdMap<ServiceKey, Arc<Published>>,
    /// Why it is not live, or what is missing, in words for a person.
    pub fault: Option<Arc<str>>,
}

impl MemberView {
    /// A member of which nothing is known yet.
    pub fn pending(name: MemberName) -> Self {
        Self {
            name,
            inventory: Inventory::Pending,
            listed: false,
            region: None,
            zones: BTreeSet::new(),
            services: OrdMap::new(),
            absent: OrdMap::new(),
            fault: None,
        }
    }
}

/// All members at one moment. Cloning is cheap; two snapshots share what did not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Members by name.
    pub members: OrdMap<MemberName, Arc<MemberView>>,
}

impl Snapshot {
    /// Everything that has to be probed.
    pub fn targets(&self) -> BTreeSet<Target> {
        self.members
            .values()
            .filter(|member| member.inventory != Inventory::Removed)
            .flat_map(|member| member.services.values())
            .flat_map(|service| service.targets())
            .collect()
    }
}

/// What probing says of a member as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterVerdict {
    /// No endpoint of it can be probed, and nothing speaks against its own word.
    #[default]
    Unprobed,
    /// Some endpoints have no verdict that counts, none yet or one that is held, and none of the others is in; or none of
    /// those that are out was ever healthy.
    Unknown,
    /// At least one endpoint is in.
    In,
    /// Every endpoint that is probed is out, and one of them was healthy once.
    Out,
}

impl ClusterVerdict {
    /// `unprobed`, `unknown`, `in` or `out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unprobed => "unprobed",
            Self::Unknown => "unknown",
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The verdict on an endpoint that goes by it.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Unprobed | Self::In => Verdict::Healthy,
            Self::Unknown => Verdict::Unknown,
            Self::Out => Verdict::Unhealthy,
        }
    }
}

impl fmt::Display for ClusterVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What probing says at one moment. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Verdicts; a key that is missing is [`Verdict::Unknown`].
    pub verdicts: OrdMap<ProbeKey, Verdict>,
    /// Keys that are out and were never healthy since they are probed: they say nothing of the cluster that they are in.
    pub never_healthy: OrdSet<ProbeKey>,
    /// What load balancer host names resolve to; the last good answer while resolving fails. A name that is missing was
    /// never resolved; an empty set means that the name has no addresses.
    pub resolved: OrdMap<DnsName, OrdSet<IpAddr>>,
    /// Keys that cannot be probed from here, again and again, though others can: those of an address family without a
    /// route, and those of which no probe ever said anything because of a fault on our side. They have no verdict.
    pub unprobeable: OrdSet<ProbeKey>,
    /// What becomes of these.
    pub unprobeable_policy: UnprobeablePolicy,
    /// Host names that could never be resolved, again and again. A CNAME to one is published on the word of its cluster.
    pub unresolvable: OrdSet<DnsName>,
    /// The verdict on a host name as a whole, where what it resolves to is not known: only a scenario from a file has
    /// such.
    pub named: OrdMap<Target, Verdict>,
    /// The verdict on each member as a whole; one that is missing is [`ClusterVerdict::Unprobed`]. It follows from the rest
    /// and the snapshot: a planner works it out for itself, and takes what stands here for given.
    pub clusters: OrdMap<MemberName, ClusterVerdict>,
    /// Which of the addresses that host names resolve to may be published.
    pub addresses: Arc<AddressPolicies>,
    /// Why none of the above must take anything out at the moment. Stands no later here than the verdicts that it is about.
    pub self_check: Option<SelfCheckFailure>,
}

impl Health {
    /// The verdict of a probe key.
    pub fn verdict(&self, key: &ProbeKey) -> Verdict {
        self.verdicts.get(key).copied().unwrap_or_default()
    }

    /// A probe key has this verdict from now on.
    pub fn judge(&mut self, key: ProbeKey, verdict: Verdict) {
        match (self.verdict(&key), verdict) {
            (Verdict::Unknown, Verdict::Unhealthy) => drop(self.never_healthy.insert(key.clone())),
            (_, Verdict::Healthy) => drop(self.never_healthy.remove(&key)),
            _ => {}
        }
        self.verdicts.insert(key, verdict);
    }

    /// A probe key has no verdict any more.
    pub fn forget(&mut self, key: &ProbeKey) {
        self.verdicts.remove(key);
        self.never_healthy.remove(key);
    }
}
