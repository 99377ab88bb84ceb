//! One name that a service of the fleet wants.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, Claim, alive};
use super::zone::ZoneSettings;
use fleetdns_core::address::Address;
use fleetdns_core::hostnames::Sharing;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::{Contribution, Ownership};
use fleetdns_core::record::RecordData;
use fleetdns_core::record::Ttl;
use fleetdns_core::routing::Routing;
use fleetdns_core::service::ServiceKey;
use std::net::IpAddr;

/// A name that a service of the fleet wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) service: ServiceKey,
    pub(crate) ttl: Ttl,
    /// Where the name points when no address is in.
    pub(crate) up: Option<DnsName>,
    pub(crate) candidates: BTreeMap<Address, Candidate>,
    pub(crate) routing: Routing,
    /// Candidates that wait for those of a better priority to fail.
    pub(crate) standby: BTreeMap<Address, Candidate>,
    /// Members that give addresses, none of which can be used: a slip, and no override to be without.
    pub(crate) unreadable: BTreeSet<MemberName>,
    pub(crate) ownership: Ownership,
    /// Only members that were removed from the config have it: nothing is wanted, and why it goes is known.
    pub(crate) removed: bool,
    /// The name spells its Service, rather than being asked for.
    pub(crate) federation: bool,
    /// The Service asks for the name in some member, whether it spells it or not.
    pub(crate) asked: bool,
    /// With which other Services it may have the name.
    pub(crate) sharing: Sharing,
}

impl Desired {
    /// The Service that has the name in a member.
    pub(crate) fn service_in(&self, member: Option<&MemberName>) -> &ServiceKey {
        let share = member.and_then(|member| self.ownership.members.get(member));
        share.map_or(&self.service, |share| self.ownership.service_of(share))
    }

    /// Adds what another Service wants that shares the name, in other members than the first.
    pub(crate) fn join(&mut self, other: Self) {
        self.ttl = self.ttl.min(other.ttl);
        self.routing = self.routing.max(other.routing);
        self.unreadable.extend(other.unreadable);
        for (member, share) in other.ownership.members {
            let service = Some(other.service.clone());
            self.ownership.members.insert(member, Contribution { service, ..share });
        }
        for entry in other.ownership.overrides.iter() {
            self.ownership.overrides.set(entry.clone());
        }
        for (address, candidate) in other.candidates {
            let known = self.candidates.remove(&address).map(|known| known.claims);
            let claims = known.into_iter().flatten().chain(candidate.claims).collect();
            self.candidates.insert(address, Candidate::of(claims));
        }
    }

    /// Sets aside what stands by. A claim does while one of a better priority is in; and one of an address that is not
    /// published does while one of a better priority may turn out to be in.
    pub(crate) fn route<'a>(&mut self, zone: &ZoneSettings, there: impl FnOnce() -> &'a [ObservedSet]) {
        if self.routing == Routing::All {
            return;
        }
        let there = there();
        let best = |state: Option<bool>| {
            let claims = self.candidates.values().flat_map(|candidate| &candidate.claims);
            let such = claims.filter(|claim| alive(claim.verdict, claim.kind) == state);
            such.map(|claim| zone.priority(&claim.member)).min().unwrap_or(u16::MAX)
        };
        let (alive, unknown) = (best(Some(true)), best(None));
        let published = |address: &Address, candidate: &Candidate| {
            let resolved = candidate.resolved.iter().flatten().map(|(ip, _)| *ip);
            let ips: BTreeSet<IpAddr> = address.ip().into_iter().chain(resolved).collect();
            there.iter().filter_map(ObservedSet::ours).any(|data| match data {
                RecordData::A(set) => set.iter().any(|ip| ips.contains(&IpAddr::V4(*ip))),
                RecordData::Aaaa(set) => set.iter().any(|ip| ips.contains(&IpAddr::V6(*ip))),
                RecordData::Cname(target) => address.hostname() == Some(target),
            })
        };
        for (address, candidate) in std::mem::take(&mut self.candidates) {
            let published = published(&address, &candidate);
            let stands = |claim: &&Claim| {
                let mine = zone.priority(&claim.member);
                alive >= mine && (unknown >= mine || published)
            };
            let standing: Vec<Claim> = candidate.claims.iter().filter(stands).cloned().collect();
            if standing.is_empty() {
                self.standby.insert(address, candidate);
            } else {
                self.candidates
                    .insert(address, Candidate { members: candidate.members, ..Candidate::of(standing) });
            }
        }
    }
}
