//! A small fleet and its zone, for tests of what is shown of them.

use std::sync::Arc;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Brakes, Capabilities, Change, Content, DnsName, Finding, Health, Ingress,
    Inventory, Listing, MemberName, MemberView, Observed, ObservedSet, Overrides, Owner, Port, Provider,
    ProviderError, Routing, Service, Snapshot, Ttl, Version,
};
use fleetdns_planner::{
    Input, Planner, ProbeDefaults, Protocol, PublishSettings, Scope, ZoneSettings, publish,
};

use crate::zone::{Measures, ZoneStatus};

/// Nobody writes here: what orders do to a zone is worked out beforehand.
struct Nowhere;

#[async_trait]
impl Provider for Nowhere {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        Ok(Listing { observed: Observed::default(), unreadable: vec![] })
    }

    async fn apply(&self, _: &ApprovedPlan) -> Applied {
        Applied { names: vec![] }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        vec![]
    }
}

/// A zone of which nothing is known yet.
pub(crate) fn unread_zone() -> ZoneStatus {
    ZoneStatus::new(settings(), "none", Capabilities::default(), Measures(Arc::new(Nowhere)))
}

/// The settings of `example.com`.
pub(crate) fn settings() -> ZoneSettings {
    ZoneSettings {
        zone: "example.com".parse().unwrap(),
        suffix: "example.com".parse().unwrap(),
        other_zones: vec![],
        owner: "fed".parse().unwrap(),
        fleet: Some("fed".parse().unwrap()),
        ttl: Ttl::DEFAULT,
        routing: Routing::All,
        priorities: Arc::default(),
        policy: Arc::default(),
    }
}

/// A cluster with Services of namespace `default`, each with an address.
pub(crate) fn member(
    name: &str,
    protocol: Protocol,
    services: &[(&str, &str)],
) -> (MemberName, Arc<MemberView>) {
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![("example.com".parse().unwrap(), "example.com".parse().unwrap())],
        probe: ProbeDefaults { protocol: Some(protocol), ..ProbeDefaults::default() },
        ..PublishSettings::default()
    };
    let mut view = MemberView::pending(name.parse().unwrap());
    view.inventory = Inventory::Live;
    view.listed = true;
    for (name, ip) in services {
        let service = Service {
            namespace: "default".into(),
            name: (*name).into(),
            ports: vec![Port { port: 80, protocol: "TCP".into() }],
            ingress: Some(vec![Ingress { ip: Some((*ip).into()), hostname: None }]),
            ..Service::default()
        };
        let published = publish(&service, &settings).unwrap();
        view.services.insert(published.key.clone(), Arc::new(published));
    }
    (view.name.clone(), Arc::new(view))
}

/// The zone with everything written that is wanted.
pub(crate) fn written(snapshot: &Snapshot, health: &Health) -> Observed {
    let mut planner = Planner::new(settings(), Capabilities::default(), Brakes::default());
    planner.update(&Input::new(snapshot, health, &Overrides::default()));
    let mut observed = Observed::default();
    for change in planner.plan(&Scope::All, &Observed::default()).changes {
        for (set, mark) in change.changes.iter().filter_map(Change::after) {
            let set = ObservedSet {
                ttl: set.ttl,
                content: Content::Known(set.data.clone()),
                claim: mark.map_or(Owner::Foreign, Owner::of),
                version: Version::default(),
            };
            observed.push(change.name.clone(), set);
        }
    }
    observed
}
