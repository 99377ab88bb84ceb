//! Who wants which name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use smallvec::SmallVec;

use crate::desired::{Desired, Group};
use fleetdns_core::hostnames::Sharing;
use fleetdns_core::name::DnsName;
use fleetdns_core::plan::Refused;
use fleetdns_core::service::ServiceKey;

/// One service of the fleet wants a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostnameClaim {
    pub(super) service: ServiceKey,
    /// The name spells its Service, rather than being asked for.
    pub(super) federation: bool,
    /// The Service asks for the name in some member, whether it spells it or not.
    pub(super) asked: bool,
    /// Only members that were removed from the config have it.
    pub(super) removed: bool,
    /// The zone's marks said last that it has the name.
    pub(super) had: bool,
    /// With which other Services it may have the name.
    pub(super) sharing: Sharing,
}

/// Claims by name and by Service.
///
/// Small on purpose: a fleet has several names for each of its Services.
#[derive(Debug, Default)]
struct Index {
    /// By Service within a name; almost always there is one.
    by_name: BTreeMap<DnsName, SmallVec<[HostnameClaim; 1]>>,
    by_service: HashMap<ServiceKey, Box<[DnsName]>>,
}

impl Index {
    /// Takes out all claims of a Service. Returns its names, and whether it had each of them.
    fn take(&mut self, service: &ServiceKey) -> Vec<(DnsName, bool)> {
        let names = self.by_service.remove(service).unwrap_or_default().into_vec();
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            let mut had = false;
            if let Some(claims) = self.by_name.get_mut(&name) {
                if let Ok(place) = claims.binary_search_by(|claim| claim.service.cmp(service)) {
                    had = claims.remove(place).had;
                }
                if claims.is_empty() {
                    self.by_name.remove(&name);
                }
            }
            taken.push((name, had));
        }
        taken
    }

    /// Puts in all claims of a Service, of which there are none yet.
    fn put(&mut self, service: &ServiceKey, claims: impl Iterator<Item = (DnsName, HostnameClaim)>) {
        let mut names = Vec::new();
        for (name, claim) in claims {
            let known = self.by_name.entry(name.clone()).or_default();
            let place = known.partition_point(|other| other.service < claim.service);
            known.insert(place, claim);
            names.push(name);
        }
        if !names.is_empty() {
            self.by_service.insert(service.clone(), names.into());
        }
    }

    fn at(&self, name: &DnsName) -> &[HostnameClaim] {
        self.by_name.get(name).map_or(&[], |claims| claims)
    }

    fn had(&self, name: &DnsName, service: &ServiceKey) -> bool {
        self.at(name).iter().any(|claim| claim.had && claim.service == *service)
    }

    fn of(&self, service: &ServiceKey) -> &[DnsName] {
        self.by_service.get(service).map_or(&[], |names| names)
    }
}

/// All claims of a zone.
#[derive(Debug, Default)]
pub(super) struct Claims {
    desired: Index,
    /// Names for which there is no address now, of Services that ask for them or were deleted lately.
    idle: Index,
    /// What Services say that cannot be used.
    refused: BTreeMap<ServiceKey, Vec<Refused>>,
    /// Services of which that is something else since it was last taken.
    refused_changed: BTreeSet<ServiceKey>,
}

impl Claims {
    /// Replaces what a Service wants; returns the names that it wanted before or wants now.
    pub(super) fn replace(&mut self, service: &ServiceKey, group: Group) -> Vec<DnsName> {
        let mut old = self.desired.take(service);
        old.extend(self.idle.take(service));
        let had: BTreeSet<&DnsName> = old.iter().filter(|(_, had)| *had).map(|(name, _)| name).collect();
        let idle = group.idle.into_iter().map(|(name, sharing)| {
            let had = had.contains(&name);
            let (service, federation, asked, removed) = (service.clone(), false, true, false);
            (name, HostnameClaim { service, federation, asked, removed, had, sharing })
        });
        self.idle.put(service, idle);
        let desired = group.names.into_iter().map(|(name, desired)| {
            let Desired { federation, asked, removed, sharing, .. } = desired;
            let had = had.contains(&name);
            (name, HostnameClaim { service: service.clone(), federation, asked, removed, had, sharing })
        });
        self.desired.put(service, desired);
        let now = self.desired.of(service).iter().chain(self.idle.of(service)).cloned();
        let touched = now.chain(old.iter().map(|(name, _)| name.clone())).collect();
        let old = match group.refused.is_empty() {
            true => self.refused.remove(service),
            false => self.refused.insert(service.clone(), group.refused),
        };
        if old.as_ref() != self.refused.get(service) {
            self.refused_changed.insert(service.clone());
        }
        touched
    }

    /// Remembers which Services have a name that is asked for, where that is known.
    pub(super) fn remember(&mut self, name: &DnsName, having: impl Fn() -> Option<BTreeSet<ServiceKey>>) {
        for index in [&mut self.desired, &mut self.idle] {
            let Some(claims) = index.by_name.get_mut(name) else { continue };
            if claims.iter().all(|claim| claim.federation) {
                continue;
            }
            let Some(having) = having() else { return };
            claims.iter_mut().for_each(|claim| claim.had = having.contains(&claim.service));
        }
    }

    /// Takes over which Services have the names that they ask for.
    pub(super) fn take_over(&mut self, before: &Self) {
        for index in [&mut self.desired, &mut self.idle] {
            for (name, claims) in &mut index.by_name {
                for claim in claims.iter_mut().filter(|claim| !claim.federation) {
                    let service = &claim.service;
                    claim.had |= before.desired.had(name, service) || before.idle.had(name, service);
                }
            }
        }
    }

    /// Services of which other things are refused since this was last asked, with what is refused now.
    pub(super) fn changed_faults(&mut self) -> Vec<(ServiceKey, Vec<Refused>)> {
        let changed = std::mem::take(&mut self.refused_changed);
        let now = |key: &ServiceKey| self.refused.get(key).cloned().unwrap_or_default();
        changed.iter().map(|key| (key.clone(), now(key))).collect()
    }

    /// The names that a Service wants.
    pub(super) fn of(&self, service: &ServiceKey) -> &[DnsName] {
        self.desired.of(service)
    }

    /// Who wants a name, by Service.
    pub(super) fn at(&self, name: &DnsName) -> &[HostnameClaim] {
        self.desired.at(name)
    }

    /// Who asks for a name, or did lately, and has no address for it, by Service.
    pub(super) fn idle_at(&self, name: &DnsName) -> &[HostnameClaim] {
        self.idle.at(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.desired.by_name.keys()
    }

    /// The names that come after one in canonical order; all of them after none.
    pub(super) fn names_after(&self, last: Option<&DnsName>) -> impl Iterator<Item = &DnsName> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.desired.by_name.range::<DnsName, _>((from, Bound::Unbounded)).map(|(name, _)| name)
    }

    /// Names below a name with their claims.
    pub(super) fn below(&self, name: &DnsName) -> impl Iterator<Item = (&DnsName, &[HostnameClaim])> {
        // In canonical order whatever lies below a name follows it directly.
        self.desired
            .by_name
            .range::<DnsName, _>((Bound::Excluded(name), Bound::Unbounded))
            .take_while(|(below, _)| below.is_below(name))
            .map(|(below, claims)| (below, claims.as_slice()))
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.values().flatten()
    }
}
