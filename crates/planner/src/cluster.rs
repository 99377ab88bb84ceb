//! The verdict on a member as a whole, over its endpoints: what an endpoint that cannot be probed itself goes by. And its
//! addresses, counted by verdict.
//!
//! Invariant: counting what changed returns the same as counting everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;

use fleetdns_core::address::Address;
use fleetdns_core::member::{ClusterVerdict, Health, Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::{Check, ProbeKey, Target, Verdict};
use fleetdns_core::service::Published;

use crate::desired::address_health;
use crate::holders::Place;

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
    /// Out, and never seen alive: what never worked is no proof that the cluster is gone.
    never: usize,
    unknown: usize,
    addresses: Addresses,
}

/// Addresses of a member, as its Services publish them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Addresses {
    /// In the order of [`Verdict::ALL`].
    by_verdict: [usize; Verdict::ALL.len()],
    /// Those that go by the verdict on the member.
    following: usize,
}

impl Addresses {
    fn of(service: &Arc<Published>, health: &Health) -> Self {
        let mut counts = Self::default();
        for address in service.addresses.iter().flatten() {
            let (verdict, _) = address_health(None, address, &service.probe, health);
            if service.probe.check == Check::Cluster && verdict == Verdict::Healthy {
                counts.following += 1;
            } else {
                counts.count(verdict, 1);
            }
        }
        counts
    }

    fn count(&mut self, verdict: Verdict, addresses: usize) {
        let all = Verdict::ALL.iter().zip(&mut self.by_verdict);
        all.filter(|(one, _)| **one == verdict).for_each(|(_, count)| *count += addresses);
    }

    fn zip(&mut self, other: &Self, by: impl Fn(usize, usize) -> usize) {
        self.following = by(self.following, other.following);
        for (mine, theirs) in self.by_verdict.iter_mut().zip(other.by_verdict) {
            *mine = by(*mine, theirs);
        }
    }
}

impl Tally {
    fn of(member: &MemberView, service: &Arc<Published>, health: &Health) -> Self {
        let mut tally = Self { addresses: Addresses::of(service, health), ..Self::default() };
        if member.inventory == Inventory::Removed || !service.probe.is_probed() {
            return tally;
        }
        for address in service.addresses.iter().flatten() {
            match (address, address.ip()) {
                (_, Some(ip)) => tally.key(ip, (member, service), health),
                (Address::Hostname(name), _) => match health.resolved.get(name) {
                    Some(ips) => {
                        let allowed = |ip: &&IpAddr| health.addresses.check(**ip, &service.probe).is_ok();
                        let mut allowed = ips.iter().filter(allowed).peekable();
                        // A host name without addresses is dead, or so new that its cloud does not serve it yet.
                        tally.never += usize::from(allowed.peek().is_none());
                        allowed.for_each(|ip| tally.key(*ip, (member, service), health));
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

    fn key(&mut self, address: IpAddr, (member, service): (&MemberView, &Published), health: &Health) {
        let key = ProbeKey { address, spec: Arc::clone(&service.probe) };
        match health.verdict(&key) {
            Verdict::Unknown if health.unprobeable.contains(&key) => {}
            // What is known from a zone was healthy once.
            Verdict::Unhealthy | Verdict::Recovering
                if member.listed && health.never_healthy.contains(&key) =>
            {
                self.never += 1;
            }
            verdict => self.count(verdict),
        }
    }

    const fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Healthy | Verdict::Suspect => self.alive += 1,
            Verdict::Unhealthy | Verdict::Recovering => self.out += 1,
            Verdict::Unknown | Verdict::Suspended => self.unknown += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.addresses.zip(&other.addresses, usize::wrapping_add);
        self.alive += other.alive;
        self.out += other.out;
        self.never += other.never;
        self.unknown += other.unknown;
    }

    fn subtract(&mut self, other: &Self) {
        self.addresses.zip(&other.addresses, usize::saturating_sub);
        self.alive = self.alive.saturating_sub(other.alive);
        self.out = self.out.saturating_sub(other.out);
        self.never = self.never.saturating_sub(other.never);
        self.unknown = self.unknown.saturating_sub(other.unknown);
    }

    const fn verdict(&self) -> ClusterVerdict {
        match self {
            Self { alive: 1.., .. } => ClusterVerdict::In,
            Self { unknown: 1.., .. } => ClusterVerdict::Unknown,
            Self { out: 1.., .. } => ClusterVerdict::Out,
            Self { never: 1.., .. } => ClusterVerdict::Unknown,
            _ => ClusterVerdict::Unprobed,
        }
    }
}

/// A snapshot and its probe verdicts.
pub(crate) type Moment<'a> = (&'a Snapshot, &'a Health);

/// The verdicts on all members and their addresses, kept up to date from one moment to the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters(BTreeMap<MemberName, Tally>);

impl Clusters {
    /// Counts the Services of members again that are not as they were, or of which an endpoint has another verdict.
    pub(crate) fn update(&mut self, before: Moment<'_>, after: Moment<'_>, places: &BTreeSet<Place<'_>>) {
        let ((_, old), (snapshot, new)) = (before, after);
        if old.unprobeable_policy != new.unprobeable_policy || old.addresses != new.addresses {
            // Any of them may have another verdict.
            self.0.clear();
            let members = snapshot.members.iter();
            let all = members.flat_map(|(name, member)| member.services.keys().map(move |key| (name, key)));
            return self.recount(after, all, Tally::add);
        }
        self.recount(before, places.iter().copied(), Tally::subtract);
        self.recount(after, places.iter().copied(), Tally::add);
        self.0.retain(|_, tally| *tally != Tally::default());
    }

    fn recount<'a>(
        &mut self,
        (snapshot, health): Moment<'_>,
        places: impl Iterator<Item = Place<'a>>,
        by: impl Fn(&mut Tally, &Tally),
    ) {
        let mut sums: BTreeMap<&MemberName, Tally> = BTreeMap::new();
        for (name, key) in places {
            let Some(member) = snapshot.members.get(name) else { continue };
            let Some(service) = member.services.get(key) else { continue };
            sums.entry(name).or_default().add(&Tally::of(member, service, health));
        }
        for (name, sum) in sums.into_iter().filter(|(_, sum)| *sum != Tally::default()) {
            by(self.0.entry(name.clone()).or_default(), &sum);
        }
    }

    /// The verdicts as they stand; a member that is missing has no endpoint that can be probed.
    pub(crate) fn verdicts(&self) -> OrdMap<MemberName, ClusterVerdict> {
        self.0.iter().map(|(name, tally)| (name.clone(), tally.verdict())).collect()
    }

    /// The addresses of a member by verdict, every verdict once.
    pub(crate) fn addresses(&self, member: &MemberName) -> [(Verdict, usize); Verdict::ALL.len()] {
        let tally = self.0.get(member).copied().unwrap_or_default();
        let mut counts = tally.addresses;
        counts.count(tally.verdict().verdict(), counts.following);
        let mut all = Verdict::ALL.map(|verdict| (verdict, 0));
        all.iter_mut().zip(counts.by_verdict).for_each(|(one, count)| one.1 = count);
        all
    }
}

#[cfg(test)]
mod tests;
