//! The names of a world, spelt again from what they mean.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{DnsName, Label, ServiceKey};

use crate::fleet::{Fleet, Member};

/// Which members a name speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Level {
    Global,
    Region(Label),
    Zone(Label, Label),
    /// A host name that was asked for.
    Asked(DnsName),
}

#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    pub(crate) service: ServiceKey,
    pub(crate) level: Level,
    /// One level up.
    pub(crate) up: Option<DnsName>,
}

impl Meaning {
    pub(crate) fn speaks_of(&self, member: &Member) -> bool {
        match &self.level {
            Level::Global => true,
            Level::Region(region) => member.region.as_ref() == Some(region),
            Level::Zone(zone, region) => {
                member.region.as_ref() == Some(region) && member.zones.contains(zone)
            }
            Level::Asked(name) => {
                let asks = member.was_heard_of(&self.service)
                    && member.services.get(&self.service).is_some_and(|truth| truth.asked.contains(name));
                // What a list misses, and another one has to miss too, asks on.
                let seen = member.published(&self.service).is_some_and(|one| one.hostnames.contains(name));
                asks || seen
            }
        }
    }
}

/// The name of a Service in all members.
pub(crate) fn global(service: &ServiceKey) -> DnsName {
    format!("{}.{}.fed.svc.example.com", service.name(), service.namespace()).parse().unwrap()
}

/// The host name that a Service of a random world asks for.
pub(crate) fn www(service: &ServiceKey) -> DnsName {
    format!("www-{}.example.com", service.name()).parse().unwrap()
}

/// Every name that could ever stand in this world.
pub(crate) fn all(fleet: &Fleet, services: &BTreeSet<ServiceKey>) -> BTreeMap<DnsName, Meaning> {
    services.iter().flat_map(|service| of(fleet, service)).collect()
}

/// Every name that could ever stand for this Service.
pub(crate) fn of(fleet: &Fleet, service: &ServiceKey) -> BTreeMap<DnsName, Meaning> {
    let mut names = BTreeMap::new();
    let stem = format!("{}.{}.fed.svc", service.name(), service.namespace());
    let mut add = |text: String, level, up: Option<&DnsName>| {
        let name: DnsName = text.parse().unwrap();
        names.insert(name.clone(), Meaning { service: service.clone(), level, up: up.cloned() });
        name
    };
    let global = add(format!("{stem}.example.com"), Level::Global, None);
    let truths = fleet.members.iter().filter_map(|member| member.services.get(service));
    for asked in truths.flat_map(|truth| &truth.asked).cloned().chain([www(service)]) {
        add(asked.to_string(), Level::Asked(asked), None);
    }
    for member in &fleet.members {
        let Some(region) = &member.region else { continue };
        let regional =
            add(format!("{stem}.{region}.example.com"), Level::Region(region.clone()), Some(&global));
        for zone in &member.zones {
            let level = Level::Zone(zone.clone(), region.clone());
            add(format!("{stem}.{zone}.{region}.example.com"), level, Some(&regional));
        }
    }
    names
}
