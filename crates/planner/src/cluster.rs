//! The verdict on a member as a whole, over its endpoints: what an endpoint that cannot be probed itself goes by.
//!
//! Invariant: counting what changed returns the same as counting everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;

use fleetdns_core::address::Address;
use fleetdns_core::member::{ClusterVerdict, Health, Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::{ProbeKey, Target, Verdict};
use fleetdns_core::service::{Published, ServiceKey};

/// The verdict on one member, from all of its endpoints.
#[cfg(test)]
fn verdict(member: &MemberView, health: &Health) -> ClusterVerdict {
    let mut tally = Tally::default();
    for service in member.services.values() {
        tally.add(&Tally::of(member, service, health));
    }
    tally.verdict()
}

/// Endpoints by what probing says of them; those of which nothing can be said from here are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    alive: usize,
    out: usize,
    unknown: usize,
}

impl Tally {
    fn of(member: &MemberView, service: &Arc<Published>, health: &Health) -> Self {
        let mut tally = Self::default();
        if member.inventory == Inventory::Removed || !service.probe.is_probed() {
            return tally;
        }
        for address in service.addresses.iter().flatten() {
            match (address, address.ip()) {
                (_, Some(ip)) => tally.key(ip, service, health),
                (Address::Hostname(name), _) => match health.resolved.get(name) {
                    Some(ips) => {
                        let allowed = |ip: &&IpAddr| health.addresses.check(**ip, &service.probe).is_ok();
                        let mut allowed = ips.iter().filter(allowed).peekable();
                        // A host name without addresses is dead.
                        tally.out += usize::from(allowed.peek().is_none());
                        allowed.for_each(|ip| tally.key(*ip, service, health));
                    }
                    None if health.unresolvable.contains(name) => {}
                    None => {
                        let target = Target { address: address.clone(), spec: Arc::clone(&service.probe) };
                        tally.count(health.named.get(&target).copied().unwrap_or_default());
                    }
                },
                _ => {}
            }
        }
        tally
    }

    fn key(&mut self, address: IpAddr, service: &Published, health: &Health) {
        let key = ProbeKey { address, spec: Arc::clone(&service.probe) };
        let verdict = health.verdict(&key);
        if verdict != Verdict::Unknown || !health.unprobeable.contains(&key) {
            self.count(verdict);
        }
    }

    const fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Healthy | Verdict::Suspect => self.alive += 1,
            Verdict::Unhealthy | Verdict::Recovering => self.out += 1,
            Verdict::Unknown | Verdict::Suspended => self.unknown += 1,
        }
    }

    const fn add(&mut self, other: &Self) {
        self.alive += other.alive;
        self.out += other.out;
        self.unknown += other.unknown;
    }

    const fn subtract(&mut self, other: &Self) {
        self.alive = self.alive.saturating_sub(other.alive);
        self.out = self.out.saturating_sub(other.out);
        self.unknown = self.unknown.saturating_sub(other.unknown);
    }

    const fn verdict(&self) -> ClusterVerdict {
        match self {
            Self { alive: 1.., .. } => ClusterVerdict::In,
            Self { unknown: 1.., .. } => ClusterVerdict::Unknown,
            Self { out: 1.., .. } => ClusterVerdict::Out,
            _ => ClusterVerdict::Unprobed,
        }
    }
}

/// A snapshot, and what probing says of it.
pub(crate) type Moment<'a> = (&'a Snapshot, &'a Health);

/// The verdicts on all members, kept up to date from one moment to the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters(BTreeMap<MemberName, Tally>);

impl Clusters {
    /// Counts the services again that are not as they were, or of which an endpoint has another verdict.
    pub(crate) fn update(&mut self, before: Moment<'_>, after: Moment<'_>, services: &BTreeSet<&ServiceKey>) {
        self.recount(before, services, Tally::subtract);
        self.recount(after, services, Tally::add);
        self.0.retain(|_, tally| *tally != Tally::default());
    }

    fn recount(
        &mut self,
        (snapshot, health): Moment<'_>,
        services: &BTreeSet<&ServiceKey>,
        by: impl Fn(&mut Tally, &Tally),
    ) {
        for (name, member) in &snapshot.members {
            let mut sum = Tally::default();
            for service in services.iter().filter_map(|key| member.services.get(*key)) {
                sum.add(&Tally::of(member, service, health));
            }
            if sum != Tally::default() {
                by(self.0.entry(name.clone()).or_default(), &sum);
            }
        }
    }

    /// The verdicts as they stand; a member that is missing has no endpoint that can be probed.
    pub(crate) fn verdicts(&self) -> OrdMap<MemberName, ClusterVerdict> {
        self.0.iter().map(|(name, tally)| (name.clone(), tally.verdict())).collect()
    }
}

#[cfg(test)]
mod tests;
