//! The addresses that could stand at a name, and whose word counts for each.

use std::net::IpAddr;
use std::sync::Arc;

use super::zone::ZoneSettings;
use fleetdns_core::address::Address;
use fleetdns_core::member::{Health, MemberView};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::{OverrideKind, Overrides};
use fleetdns_core::probe::{Check, ProbeKey, ProbeSpec, Target, UnprobeablePolicy, Verdict};
use fleetdns_core::service::Published;
use fleetdns_core::small_set::SmallSet;

/// An address that could stand at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) verdict: Verdict,
    /// The override that counts.
    pub(crate) kind: Option<OverrideKind>,
    pub(crate) members: SmallSet<MemberName>,
    /// What a host name resolves to, each with its verdict; `None` while it was never resolved.
    pub(crate) resolved: Option<Vec<(IpAddr, Verdict)>>,
    /// What each member says of it, as far as that counts.
    pub(super) claims: Vec<Claim>,
}

/// What one member says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) member: MemberName,
    pub(super) verdict: Verdict,
    pub(super) kind: Option<OverrideKind>,
    resolved: Option<Vec<(IpAddr, Verdict)>>,
}

/// What a claim is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthInputs<'a> {
    pub(crate) health: &'a Health,
    pub(crate) overrides: &'a Overrides,
}

impl Claim {
    pub(super) fn of(
        member: &MemberView,
        service: &Published,
        address: &Address,
        inputs: HealthInputs<'_>,
    ) -> Self {
        let (verdict, resolved) = address_health(Some(&member.name), address, &service.probe, inputs.health);
        let kind =
            inputs.overrides.concerning(&member.name, &service.key, address).next().map(|entry| entry.kind);
        Self { member: member.name.clone(), verdict, kind, resolved }
    }
}

impl Candidate {
    /// An address stays while any claim of it answers: the best one speaks for it.
    pub(super) fn of(claims: Vec<Claim>) -> Self {
        let best = claims.iter().max_by_key(|claim| rank(claim.verdict, claim.kind));
        Self {
            verdict: best.map(|claim| claim.verdict).unwrap_or_default(),
            kind: best.and_then(|claim| claim.kind),
            members: claims.iter().map(|claim| claim.member.clone()).collect(),
            resolved: best.and_then(|claim| claim.resolved.clone()),
            claims,
        }
    }

    /// Whether it should be in; `None` while nobody knows.
    pub(crate) fn alive(&self) -> Option<bool> {
        alive(self.verdict, self.kind)
    }

    /// The best priority of those whose claims count.
    pub(crate) fn priority(&self, zone: &ZoneSettings) -> u16 {
        self.claims.iter().map(|claim| zone.priority(&claim.member)).min().unwrap_or(u16::MAX)
    }
}

/// An override counts before probe results.
pub(crate) fn alive(verdict: Verdict, kind: Option<OverrideKind>) -> Option<bool> {
    match kind {
        Some(OverrideKind::ForceIn) => Some(true),
        Some(OverrideKind::Drain | OverrideKind::ForceOut) => Some(false),
        None => verdict.is_in(),
    }
}

/// The verdict on an address of a member, and on each address that a host name resolves to (`None`: it was never
/// resolved). Without a member, what has no verdict of its own counts as healthy.
pub(crate) fn address_health(
    member: Option<&MemberName>,
    address: &Address,
    probe: &Arc<ProbeSpec>,
    health: &Health,
) -> (Verdict, Option<Vec<(IpAddr, Verdict)>>) {
    let name = match (address, address.ip()) {
        (_, Some(ip)) => return (verdict(member, ip, probe, health), None),
        (Address::Hostname(name), _) => name,
        _ => return (Verdict::Unknown, None),
    };
    let Some(ips) = health.resolved.get(name) else {
        let target = Target { address: address.clone(), spec: Arc::clone(probe) };
        let unresolvable = health.unresolvable.contains(name).then_some(Verdict::Suspect);
        return (health.named.get(&target).copied().or(unresolvable).unwrap_or_default(), None);
    };
    let allowed = ips.iter().filter(|ip| health.addresses.check(**ip, probe).is_ok());
    let judged: Vec<_> = allowed.map(|ip| (*ip, verdict(member, *ip, probe, health))).collect();
    // A host name answers while any of its addresses does; one without addresses is dead.
    let best = judged.iter().map(|(_, verdict)| *verdict).max_by_key(|v| standing(*v));
    (best.unwrap_or(Verdict::Unhealthy), Some(judged))
}

fn verdict(member: Option<&MemberName>, ip: IpAddr, probe: &Arc<ProbeSpec>, health: &Health) -> Verdict {
    match (&probe.check, member) {
        (Check::Cluster, Some(member)) => {
            return health.clusters.get(member).copied().unwrap_or_default().verdict();
        }
        (Check::None | Check::Cluster, _) => return Verdict::Healthy,
        _ => {}
    }
    let key = ProbeKey { address: ip, spec: Arc::clone(probe) };
    match health.verdict(&key) {
        // Published unprobed: it cannot be probed from here.
        Verdict::Unknown
            if health.unprobeable_policy == UnprobeablePolicy::Publish
                && health.unprobeable.contains(&key) =>
        {
            Verdict::Suspect
        }
        verdict => verdict,
    }
}

/// The verdict on an address of a member that is probed in some way; a host name answers while any of its addresses does.
pub fn address_verdict(
    health: &Health,
    member: &MemberName,
    address: &Address,
    probe: &Arc<ProbeSpec>,
) -> Verdict {
    address_health(Some(member), address, probe, health).0
}

/// Which of two verdicts on one address speaks for it.
pub(crate) const fn standing(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => 5,
        Verdict::Suspect => 4,
        Verdict::Unknown => 3,
        Verdict::Suspended => 2,
        Verdict::Recovering => 1,
        Verdict::Unhealthy => 0,
    }
}

/// Which of two claims of one address speaks for it.
pub(crate) const fn rank(verdict: Verdict, kind: Option<OverrideKind>) -> (u8, u8) {
    let kind = match kind {
        Some(OverrideKind::ForceIn) => 3,
        None => 2,
        Some(OverrideKind::Drain) => 1,
        Some(OverrideKind::ForceOut) => 0,
    };
    (kind, standing(verdict))
}
