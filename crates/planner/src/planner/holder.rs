//! Which Services have a name, of all that ask for it.
//!
//! Invariant: a name stays with those that have it while they ask for it, without addresses too, and until their absence
//! has lasted for so long that their cluster no longer tells of them.

use super::claims::HostnameClaim;
use super::*;
use crate::desired::{HealthInputs, Only, desired_at};
use fleetdns_core::hostnames::{Denied, Sharing};
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::plan::{Refusal, Title};

/// Who has a name.
pub(super) enum Ruling<'a> {
    /// These, one or several that share it; the first of them by this title.
    Held { claims: Vec<&'a HostnameClaim>, title: Title },
    /// One that had it, and has no address for it now.
    Kept(&'a HostnameClaim),
    /// Nobody.
    Free,
}

impl Planner {
    /// Says which Services have these names, as the zone's marks tell. What they do not tell any more stands.
    pub fn remember<'a>(&mut self, names: impl IntoIterator<Item = &'a DnsName>, observed: &Observed) {
        for name in names {
            self.claims.remember(name, || {
                Some(ownership(observed.at(name))?.services().into_iter().cloned().collect())
            });
        }
    }

    /// Says that a Service had a name.
    pub(crate) fn assume_had(&mut self, name: &DnsName, service: &ServiceKey) {
        self.claims.remember(name, || Some([service.clone()].into()));
    }

    /// Who has a name: the Service that it spells, otherwise who had it, otherwise the oldest; and all that share it
    /// with that one.
    pub(super) fn ruling(&self, name: &DnsName, observed: &Observed) -> Ruling<'_> {
        let claims = self.claims.at(name);
        if let Some(spelt) = claims.iter().find(|claim| claim.federation && !claim.removed) {
            return Ruling::Held { claims: vec![spelt], title: Title::Spelt };
        }
        let idle = self.claims.idle_at(name);
        if let ([only], [], false) = (claims, idle, observed.name_servers().contains(name)) {
            return Ruling::Held { claims: vec![only], title: Title::Had };
        }
        let claims: Vec<&HostnameClaim> =
            claims.iter().filter(|claim| self.denied(claim, name, observed).is_none()).collect();
        let marked = ownership(observed.at(name)).map(|mark| mark.services().into_iter().cloned().collect());
        let marked: BTreeSet<ServiceKey> = marked.unwrap_or_default();
        let had = |claim: &HostnameClaim| claim.had || marked.contains(&claim.service);
        let kept: Vec<&HostnameClaim> = idle.iter().filter(|claim| had(claim)).collect();
        let mut asking: Vec<&HostnameClaim> = claims.iter().copied().filter(|claim| !claim.removed).collect();
        asking.sort_by_cached_key(|claim| (!had(claim), self.age(claim), lot(name, &claim.service)));
        let title = match asking.as_slice() {
            [first, ..] if had(first) => Title::Had,
            [first, second, ..] if self.age(first) == self.age(second) => Title::Lot,
            _ => Title::Oldest,
        };
        let mut holders: Vec<&HostnameClaim> = Vec::new();
        for claim in asking {
            let first = holders.is_empty() && had(claim);
            if first || holders.iter().chain(&kept).all(|other| share(other, claim)) {
                holders.push(claim);
            }
        }
        match (holders.is_empty(), kept.first(), claims.first()) {
            (false, ..) => Ruling::Held { claims: holders, title },
            (true, Some(kept), _) => Ruling::Kept(kept),
            (true, None, Some(removed)) => Ruling::Held { claims: vec![removed], title: Title::Had },
            (true, None, None) => Ruling::Free,
        }
    }

    /// What those want who have a name, and whom that refuses. In each member one Service has the name.
    pub(super) fn holder(&self, name: &DnsName, observed: &Observed) -> (Option<Desired>, Vec<Refused>) {
        let refuse = |reason| Refused { name: name.as_str().into(), reason };
        let ruling = self.ruling(name, observed);
        let reason = |claim: &HostnameClaim| {
            let asked_by = claim.service.clone();
            if let Some(denied) = self.denied(claim, name, observed) {
                let why = format!("{asked_by}: the host name {name} is denied: {denied}");
                return Some(Refusal::Invalid(why.into()));
            }
            match &ruling {
                Ruling::Kept(kept) => Some(Refusal::Kept { holder: kept.service.clone(), asked_by }),
                Ruling::Held { claims, title } => {
                    let holder = claims.first()?.service.clone();
                    Some(Refusal::Claimed { holder, asked_by, title: *title })
                }
                Ruling::Free => None,
            }
        };
        let has =
            |claim: &HostnameClaim| matches!(&ruling, Ruling::Held { claims, .. } if claims.contains(&claim));
        let others = self.claims.at(name).iter().filter(|claim| !claim.removed && !has(claim));
        let mut refused: Vec<Refused> = others.filter_map(reason).map(refuse).collect();
        let Ruling::Held { claims: holders, .. } = ruling else { return (None, refused) };
        let Some(first) = holders.first() else { return (None, refused) };
        let inputs = HealthInputs { health: &self.input.health, overrides: &self.input.overrides };
        let at = |claim: &HostnameClaim, parts: &[Part<'_>]| {
            desired_at(&claim.service, parts, &self.zone, Only { name, asked: claim.asked, inputs })
        };
        if holders.len() == 1 {
            return (at(first, &self.input.parts(&first.service)), refused);
        }
        let mut desired: Option<Desired> = None;
        let seats = self.seats(name, &holders, observed.at(name));
        for claim in holders {
            let key = &claim.service;
            let (own, taken): (Vec<Part<'_>>, Vec<Part<'_>>) = self
                .input
                .parts(key)
                .into_iter()
                .filter(|(_, service)| service.hostnames.contains(name))
                .partition(|(member, _)| seats.get(&member.name) == Some(&key));
            for (member, _) in taken {
                let Some(holder) = seats.get(&member.name) else { continue };
                let (holder, asked_by) = ((*holder).clone(), key.clone());
                refused.push(refuse(Refusal::Shared { member: member.name.clone(), holder, asked_by }));
            }
            match (at(claim, &own), &mut desired) {
                (Some(more), Some(desired)) => desired.join(more),
                (Some(more), None) => desired = Some(more),
                (None, _) => {}
            }
        }
        (desired, refused)
    }

    /// Which of the Services that share a name has it in each member: the one that the zone's mark names, otherwise the
    /// first.
    fn seats<'a>(
        &'a self,
        name: &DnsName,
        holders: &[&'a HostnameClaim],
        there: &[ObservedSet],
    ) -> std::collections::BTreeMap<MemberName, &'a ServiceKey> {
        let marked = ownership(there);
        let mut seats = std::collections::BTreeMap::new();
        for claim in holders {
            let parts = self.input.parts(&claim.service);
            for (member, _) in parts.iter().filter(|(member, service)| {
                member.inventory != Inventory::Removed && service.hostnames.contains(name)
            }) {
                let share = marked.as_ref().and_then(|mark| Some((mark, mark.members.get(&member.name)?)));
                let had = share.is_some_and(|(mark, share)| *mark.service_of(share) == claim.service);
                if had || !seats.contains_key(&member.name) {
                    seats.insert(member.name.clone(), &claim.service);
                }
            }
        }
        seats
    }

    /// Why a Service may not have a name that the zone needs itself.
    fn denied(&self, claim: &HostnameClaim, name: &DnsName, observed: &Observed) -> Option<Denied> {
        if claim.federation || !observed.name_servers().contains(name) {
            return None;
        }
        self.zone.policy.check_name_server(claim.service.namespace(), name).err()
    }

    /// Orders Services by age, those of unknown age last.
    fn age(&self, claim: &HostnameClaim) -> (bool, Option<String>) {
        let parts = self.input.parts(&claim.service);
        let created = parts.iter().filter_map(|(_, service)| service.said().created).min();
        (created.is_none(), created)
    }
}

fn ownership(there: &[ObservedSet]) -> Option<Ownership> {
    there.iter().find_map(|set| set.claim.ownership())
}

fn share(one: &HostnameClaim, other: &HostnameClaim) -> bool {
    let side = |claim: &'_ HostnameClaim| (claim.service.namespace().to_string(), claim.sharing);
    let ((one, of_one), (other, of_other)) = (side(one), side(other));
    Sharing::allows((&one, of_one), (&other, of_other))
}

/// Decides between Services of one age, for each name in another way and always in the same (FNV-1a): no Service has the
/// names of others because it comes before them in the alphabet.
fn lot(name: &DnsName, service: &ServiceKey) -> (u64, ServiceKey) {
    let text = format!("{name} {service}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash, service.clone())
}
