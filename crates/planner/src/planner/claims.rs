//! Who wants which name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use smallvec::SmallVec;

use crate::wanted::Group;
use fleetdns_core::name::DnsName;
use fleetdns_core::plan::Refused;
use fleetdns_core::service::ServiceKey;

/// One service of the fleet wants a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) service: ServiceKey,
    /// The name spells its Service, rather than being asked for.
    pub(super) federation: bool,
    /// Only members that were removed from the config have it.
    pub(super) departed: bool,
}

/// All claims of a zone, by name and by Service.
///
/// Small on purpose: a fleet has several names for each of its Services.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By Service within a name; almost always there is one.
    by_name: BTreeMap<DnsName, SmallVec<[Claim; 1]>>,
    by_service: HashMap<ServiceKey, Box<[DnsName]>>,
    /// What Services say that cannot be used.
    refused: BTreeMap<ServiceKey, Vec<Refused>>,
    /// Services of which that is something else since it was last taken.
    refused_changed: BTreeSet<ServiceKey>,
}

impl Claims {
    /// Replaces what a Service wants; gives the names that it wanted before or wants now.
    pub(super) fn replace(&mut self, service: &ServiceKey, group: Group) -> Vec<DnsName> {
        let old = self.by_service.remove(service).unwrap_or_default();
        for name in &old {
            let Some(claims) = self.by_name.get_mut(name) else { continue };
            if let Ok(place) = claims.binary_search_by(|claim| claim.service.cmp(service)) {
                claims.remove(place);
            }
            if claims.is_empty() {
                self.by_name.remove(name);
            }
        }
        let mut touched = old.into_vec();
        let mut new = Vec::with_capacity(group.names.len());
        for (name, wanted) in group.names {
            let claim =
                Claim { service: service.clone(), federation: wanted.federation, departed: wanted.departed };
            let claims = self.by_name.entry(name.clone()).or_default();
            let place = claims.partition_point(|other| other.service < claim.service);
            claims.insert(place, claim);
            new.push(name);
        }
        touched.extend(new.iter().cloned());
        if !new.is_empty() {
            self.by_service.insert(service.clone(), new.into());
        }
        let old = match group.refused.is_empty() {
            true => self.refused.remove(service),
            false => self.refused.insert(service.clone(), group.refused),
        };
        if old.as_ref() != self.refused.get(service) {
            self.refused_changed.insert(service.clone());
        }
        touched
    }

    /// Services of which other things are refused since this was last asked, with what is refused now.
    pub(super) fn changed_faults(&mut self) -> Vec<(ServiceKey, Vec<Refused>)> {
        let changed = std::mem::take(&mut self.refused_changed);
        let now = |key: &ServiceKey| self.refused.get(key).cloned().unwrap_or_default();
        changed.iter().map(|key| (key.clone(), now(key))).collect()
    }

    /// The names that a Service wants.
    pub(super) fn of(&self, service: &ServiceKey) -> &[DnsName] {
        self.by_service.get(service).map_or(&[], |names| names)
    }

    /// Who wants a name, by Service.
    pub(super) fn at(&self, name: &DnsName) -> &[Claim] {
        self.by_name.get(name).map_or(&[], |claims| claims)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.by_name.keys()
    }

    /// Names below a name with their claims.
    pub(super) fn below(&self, name: &DnsName) -> impl Iterator<Item = (&DnsName, &[Claim])> {
        // In canonical order whatever lies below a name follows it directly.
        self.by_name
            .range::<DnsName, _>((Bound::Excluded(name), Bound::Unbounded))
            .take_while(|(below, _)| below.is_below(name))
            .map(|(below, claims)| (below, claims.as_slice()))
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.values().flatten()
    }
}
