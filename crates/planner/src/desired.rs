//! The names that one service of the fleet wants in one zone, with the addresses that could stand there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::federation::stem;
use fleetdns_core::address::Address;
use fleetdns_core::hostnames::Sharing;
use fleetdns_core::member::{Inventory, MemberView};
use fleetdns_core::name::{DnsName, Label, NameError};
use fleetdns_core::overrides::Overrides;
use fleetdns_core::ownership::{Contribution, Ownership};
use fleetdns_core::plan::{Refusal, Refused};
use fleetdns_core::service::{Published, ServiceKey};
use fleetdns_core::service_fault::ServiceFault;
use fleetdns_core::small_set::SmallSet;

mod candidate;
mod desired_name;
mod zone;

use candidate::Claim;
pub use candidate::address_verdict;
pub(crate) use candidate::{Candidate, HealthInputs, address_health, alive, rank, standing};
pub(crate) use desired_name::Desired;
pub use zone::{DEFAULT_PRIORITY, ZoneSettings};

/// All that one service of the fleet wants in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Without candidates and members, unless they were asked for.
    pub(crate) names: BTreeMap<DnsName, Desired>,
    /// Names that were asked for and for which there is no address now.
    pub(crate) idle: BTreeMap<DnsName, Sharing>,
    pub(crate) refused: Vec<Refused>,
}

/// A member that has the Service, and what it has of it.
pub(crate) type Part<'a> = (&'a MemberView, &'a Arc<Published>);

/// The names that a service of the fleet wants, without what could stand there: that is worked out when a name is
/// looked at, since a large fleet would not fit in memory with all of it.
pub(crate) fn names<'a>(
    key: &ServiceKey,
    parts: &[Part<'a>],
    absent: impl Iterator<Item = &'a Arc<Published>>,
    zone: &ZoneSettings,
) -> Group {
    let mut builder = Builder { key, zone, only: None, group: Group::default(), refused: HashSet::new() };
    builder.all(parts);
    builder.idle(parts.iter().map(|(_, service)| *service).chain(absent));
    let here = parts.iter().copied().filter(|(member, _)| member.inventory != Inventory::Removed);
    builder.faults(here);
    builder.group
}

/// The one name that is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Only<'a> {
    pub(crate) name: &'a DnsName,
    /// Whether the Service asks for it in any member, beside what it may spell.
    pub(crate) asked: bool,
    /// What its candidates are judged by.
    pub(crate) inputs: HealthInputs<'a>,
}

/// What a service of the fleet wants at one name. Costs what this one name costs, however many the Service asks for.
pub(crate) fn desired_at(
    key: &ServiceKey,
    parts: &[Part<'_>],
    zone: &ZoneSettings,
    only: Only<'_>,
) -> Option<Desired> {
    let name = only.name;
    let only = Some(only);
    let mut builder = Builder { key, zone, only, group: Group::default(), refused: HashSet::new() };
    builder.all(parts);
    builder.group.names.remove(name)
}

#[cfg(test)]
thread_local! {
    /// Names that were worked out on this thread, each time counted.
    pub(crate) static PREVIEWS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

struct Builder<'a> {
    key: &'a ServiceKey,
    zone: &'a ZoneSettings,
    /// The one name that is looked at; otherwise just all names.
    only: Option<Only<'a>>,
    group: Group,
    /// What is in the group's list already.
    refused: HashSet<Refused>,
}

impl<'a> Builder<'a> {
    fn all(&mut self, parts: &[Part<'a>]) {
        let (gone, here): (Vec<Part<'_>>, Vec<Part<'_>>) =
            parts.iter().copied().partition(|(member, _)| member.inventory == Inventory::Removed);
        for (parts, removed) in [(here, false), (gone, true)] {
            self.federation(&parts, removed);
            self.hostnames(&parts, removed);
        }
    }

    /// Federation names: global, region, zone; each points one level up where it has no address.
    fn federation(&mut self, parts: &[Part<'a>], removed: bool) {
        let Some(fleet) = &self.zone.fleet else { return };
        // A load balancer that was never there says nothing, unless another member can serve in its place.
        let any_address = parts.iter().any(|(_, service)| gives(service));
        let listed: Vec<Part<'_>> =
            parts.iter().copied().filter(|(_, service)| any_address || service.addresses.is_some()).collect();
        if listed.is_empty() {
            return;
        }
        let stem = stem(self.key, fleet);
        let Some(place) = Place::of(self.only.map(|only| only.name), &stem, &self.zone.suffix) else {
            return;
        };
        let Some(global) = self.level(&stem, matches!(place, Place::Global)) else { return };
        if any_address {
            self.want(&global, (true, None), &listed, removed);
        }
        let regions = listed.iter().filter_map(|(member, _)| member.region.as_ref());
        let regions: BTreeSet<&Label> = regions.filter(|region| place.is_in_region(region)).collect();
        for region in regions {
            let here: Vec<Part<'_>> =
                listed.iter().copied().filter(|(member, _)| member.region.as_ref() == Some(region)).collect();
            let labels = [&stem, ".", region.as_str()].concat();
            let Some(regional) = self.level(&labels, matches!(place, Place::Region(_))) else { continue };
            self.want(&regional, (true, Some(&global)), &here, removed);
            let zones = here.iter().flat_map(|(member, _)| &member.zones);
            let zones: BTreeSet<&Label> = zones.filter(|zone| place.is_in_zone(zone)).collect();
            for zone in zones {
                let there: Vec<Part<'_>> =
                    here.iter().copied().filter(|(member, _)| member.zones.contains(zone)).collect();
                let labels = [&stem, ".", zone.as_str(), ".", region.as_str()].concat();
                if let Some(zonal) = self.level(&labels, matches!(place, Place::Zone(..))) {
                    self.want(&zonal, (true, Some(&regional)), &there, removed);
                }
            }
        }
    }

    fn hostnames(&mut self, parts: &[Part<'a>], removed: bool) {
        let asked: BTreeSet<&DnsName> = match self.only {
            Some(only) if !only.asked => return,
            Some(only) => [only.name].into(),
            None => parts.iter().flat_map(|(_, service)| &service.hostnames).collect(),
        };
        for name in asked.into_iter().filter(|name| self.zone.takes(name)) {
            let asking: Vec<Part<'_>> =
                parts.iter().copied().filter(|(_, service)| service.hostnames.contains(name)).collect();
            if asking.iter().any(|(_, service)| gives(service)) {
                self.want(name, (false, None), &asking, removed);
                let sharing = asking.iter().map(|(_, service)| sharing(service, name)).min();
                if let Some(desired) = self.group.names.get_mut(name) {
                    desired.asked = true;
                    if !desired.federation {
                        desired.sharing = sharing.unwrap_or_default();
                    }
                }
            }
        }
    }

    /// Names that these ask for, or asked for, and that are not wanted at the moment.
    fn idle<'b>(&mut self, services: impl Iterator<Item = &'b Arc<Published>>) {
        for service in services {
            for name in service.hostnames.iter().filter(|name| self.zone.takes(name)) {
                if !self.group.names.contains_key(name) {
                    self.group.idle.insert(name.clone(), sharing(service, name));
                }
            }
        }
    }

    /// A federation name; the one that is looked at is there already.
    fn level(&mut self, labels: &str, is_looked_at: bool) -> Option<DnsName> {
        match self.only.filter(|_| is_looked_at) {
            Some(only) => self.named(labels, Ok(only.name.clone())),
            None => self.named(labels, self.zone.suffix.prepend(labels)),
        }
    }

    fn named(&mut self, text: &str, name: Result<DnsName, NameError>) -> Option<DnsName> {
        let why = match name {
            Ok(name) if self.zone.takes(&name) => return Some(name),
            Ok(_) => "the name belongs to another zone that is configured".to_owned(),
            Err(error) => error.to_string(),
        };
        self.refuse(&format!("{text}.{}", self.zone.suffix), &format!("{}: {why}", self.key));
        None
    }

    fn refuse(&mut self, name: &str, why: &str) {
        let refused = Refused { name: name.into(), reason: Refusal::Invalid(why.into()) };
        if self.refused.insert(refused.clone()) {
            self.group.refused.push(refused);
        }
    }

    fn faults<'b>(&mut self, parts: impl Iterator<Item = Part<'b>>) {
        for (member, service) in parts {
            for fault in &service.faults {
                let why = format!("{} in {}: {fault}", self.key, member.name);
                match fault {
                    ServiceFault::Denied { name, .. } if self.zone.takes(name) => {
                        self.refuse(name.as_str(), &why);
                    }
                    ServiceFault::Denied { .. } => {}
                    _ => self.refuse(&self.key.to_string(), &why),
                }
            }
        }
    }

    /// Adds a name, or further candidates to it.
    fn want(
        &mut self,
        name: &DnsName,
        (federation, up): (bool, Option<&DnsName>),
        parts: &[Part<'_>],
        removed: bool,
    ) {
        #[cfg(test)]
        PREVIEWS.with(|looks| looks.set(looks.get() + 1));
        let other = self.only.is_some_and(|only| only.name != name);
        if other || (removed && self.group.names.contains_key(name)) {
            return;
        }
        let asked_ttl = parts.iter().filter_map(|(_, service)| service.ttl).min();
        let asked_routing = parts.iter().filter_map(|(_, service)| service.routing).max();
        let desired = self.group.names.entry(name.clone()).or_insert_with(|| Desired {
            service: self.key.clone(),
            ttl: asked_ttl.unwrap_or(self.zone.ttl),
            up: up.cloned(),
            candidates: BTreeMap::new(),
            routing: asked_routing.unwrap_or(self.zone.routing),
            standby: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            ownership: Ownership {
                owner: self.zone.owner.clone(),
                service: self.key.clone(),
                routing: asked_routing,
                members: BTreeMap::new(),
                unattributed: BTreeSet::new(),
                overrides: Overrides::default(),
            },
            removed,
            federation,
            asked: false,
            sharing: Sharing::None,
        });
        let Some(Only { inputs, .. }) = self.only else { return };
        let known = std::mem::take(&mut desired.candidates).into_iter();
        let mut claims: Vec<(Address, Claim)> = known
            .flat_map(|(address, known)| known.claims.into_iter().map(move |claim| (address.clone(), claim)))
            .collect();
        for (member, service) in parts {
            desired.ownership.members.insert(member.name.clone(), share(member, service));
            if unreadable(service) {
                desired.unreadable.insert(member.name.clone());
            }
            for address in service.addresses.iter().flatten() {
                for entry in inputs.overrides.concerning(&member.name, self.key, address) {
                    desired.ownership.overrides.set(entry.clone());
                }
                let claim = Claim::of(member, service, address, inputs);
                claims.push((address.clone(), claim));
            }
        }
        claims.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut claims = claims.into_iter().peekable();
        while let Some((address, first)) = claims.next() {
            let more = std::iter::from_fn(|| claims.next_if(|(next, _)| *next == address));
            let all = std::iter::once(first).chain(more.map(|(_, claim)| claim)).collect();
            desired.candidates.insert(address, Candidate::of(all));
        }
    }
}

/// Where in the federation tree the one name stands that is looked at.
enum Place<'a> {
    /// All names are.
    Anywhere,
    Global,
    Region(&'a str),
    Zone(&'a str, &'a str),
}

impl<'a> Place<'a> {
    /// `None` for a name that is none of the Service's names in the tree.
    fn of(only: Option<&'a DnsName>, stem: &str, suffix: &DnsName) -> Option<Self> {
        let Some(name) = only else { return Some(Self::Anywhere) };
        let rest = name.relative_to(suffix)?.strip_prefix(stem)?;
        if rest.is_empty() {
            return Some(Self::Global);
        }
        let rest = rest.strip_prefix('.')?;
        Some(rest.split_once('.').map_or(Self::Region(rest), |(zone, region)| Self::Zone(zone, region)))
    }

    fn is_in_region(&self, region: &Label) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Global => false,
            Self::Region(own) | Self::Zone(_, own) => *own == region.as_str(),
        }
    }

    fn is_in_zone(&self, zone: &Label) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Global | Self::Region(_) => false,
            Self::Zone(own, _) => *own == zone.as_str(),
        }
    }
}

fn gives(service: &Published) -> bool {
    service.addresses.as_ref().is_some_and(|all| !all.is_empty()) || unreadable(service)
}

fn sharing(service: &Published, name: &DnsName) -> Sharing {
    service.shared.get(name).copied().unwrap_or_default()
}

fn unreadable(service: &Published) -> bool {
    let bad = |fault: &ServiceFault| matches!(fault, ServiceFault::Address { .. });
    service.addresses.as_ref().is_some_and(SmallSet::is_empty) && service.faults.iter().any(bad)
}

fn share(member: &MemberView, service: &Published) -> Contribution {
    Contribution {
        region: member.region.clone(),
        zones: member.zones.clone(),
        probe: (*service.probe).clone(),
        addresses: service.addresses.clone().unwrap_or_default(),
        service: None,
    }
}
