//! The names of a world, spelt anew from what they mean.

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
    Asked,
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
            Level::Asked => {
                let asks = member.was_heard_of(&self.service)
                    && member.services.get(&self.service).is_some_and(|truth| truth.asked.is_some());
                // What a list misses, and another one has to miss too, asks on.
                let seen =
                    member.view().services.get(&self.service).is_some_and(|one| !one.hostnames.is_empty());
                asks || seen
            }
        }
    }
}

/// Every name that could ever stand in this world.
pub(crate) fn all(fleet: &Fleet, services: &BTreeSet<ServiceKey>) -> BTreeMap<DnsName, Meaning> {
    let mut names = BTreeMap::new();
    for service in services {
        let stem = format!("{}.default.fed.svc", service.name());
        let mut add = |text: String, level, up: Option<&DnsName>| {
            let name: DnsName = text.parse().unwrap();
            names.insert(name.clone(), Meaning { service: service.clone(), level, up: up.cloned() });
            name
        };
        let global = add(format!("{stem}.example.com"), Level::Global, None);
        add(format!("www-{}.example.com", service.name()), Level::Asked, None);
        for member in &fleet.members {
            let Some(region) = &member.region else { continue };
            let regional =
                add(format!("{stem}.{region}.example.com"), Level::Region(region.clone()), Some(&global));
            for zone in &member.zones {
                let level = Level::Zone(zone.clone(), region.clone());
                add(format!("{stem}.{zone}.{region}.example.com"), level, Some(&regional));
            }
        }
    }
    names
}
