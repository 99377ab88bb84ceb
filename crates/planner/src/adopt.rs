//! What a zone says of the members that gave its records: all there is to go on when a member's API is away at start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::ZoneSettings;
use fleetdns_core::address::Address;
use fleetdns_core::hostnames::Sharing;
use fleetdns_core::member::{Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::ownership::Contribution;
use fleetdns_core::record::Ttl;
use fleetdns_core::routing::Routing;
use fleetdns_core::service::{Ingress, Port, Published, Service, ServiceKey, ServiceText};
use fleetdns_core::small_set::SmallSet;

/// Reads members back from the ownership records of a zone. Members that are configured come back `pending`, to be
/// replaced by their first own list; all others `removed`, to be drained.
pub fn adopt(zone: &ZoneSettings, observed: &Observed, configured: &BTreeSet<MemberName>) -> Vec<MemberView> {
    let mut members: BTreeMap<MemberName, MemberView> = BTreeMap::new();
    for (name, sets) in observed.iter().filter(|(name, _)| zone.takes(name)) {
        for set in sets {
            let Some(ownership) = set.claim.ownership() else { continue };
            let several = ownership.services().len() > 1;
            for (member, share) in &ownership.members {
                let view = members
                    .entry(member.clone())
                    .or_insert_with(|| adopted_view(member.clone(), share, configured));
                let service = ownership.service_of(share);
                let hostname = (!is_federation_name(name, service, zone)).then_some(name);
                // What stood together was allowed to.
                let sharing = if several { Sharing::Namespaces } else { Sharing::None };
                let ttl = (set.ttl != zone.ttl).then_some(set.ttl);
                // What another Service at this name asks for stands in the mark of its own.
                let routing = ownership.routing.filter(|_| *service == ownership.service);
                add_service(view, service, share, hostname.map(|name| (name, sharing)), (ttl, routing));
            }
        }
    }
    members.into_values().collect()
}

/// Puts together what several zones say of one member.
pub fn merge(mut one: MemberView, other: &MemberView) -> MemberView {
    for (key, theirs) in &other.services {
        let merged = both(one.services.get(key), theirs);
        one.services.insert(key.clone(), merged);
    }
    one
}

/// Puts together what several zones say of one Service of a member.
pub fn both(mine: Option<&Arc<Published>>, theirs: &Arc<Published>) -> Arc<Published> {
    let Some(mine) = mine else { return Arc::clone(theirs) };
    let mut both = (**mine).clone();
    both.hostnames.extend(theirs.hostnames.iter().cloned());
    both.shared.extend(theirs.shared.iter().map(|(name, sharing)| (name.clone(), *sharing)));
    both.routing = both.routing.max(theirs.routing);
    both.addresses.get_or_insert_default().extend(theirs.addresses.iter().flatten().cloned());
    both.service = (&as_service(&both)).into();
    Arc::new(both)
}

/// Returns the members of a snapshot that were never listed what a zone says of them.
pub(crate) fn fill(snapshot: &mut Snapshot, zone: &ZoneSettings, observed: &Observed) {
    let configured = snapshot.members.keys().cloned().collect();
    for adopted in adopt(zone, observed, &configured) {
        let Some(view) = snapshot.members.get(&adopted.name).filter(|view| awaited(view)) else { continue };
        let mut filled = merge((**view).clone(), &adopted);
        filled.region = filled.region.or(adopted.region);
        if filled.zones.is_empty() {
            filled.zones = adopted.zones;
        }
        snapshot.members.insert(adopted.name, Arc::new(filled));
    }
}

fn awaited(view: &MemberView) -> bool {
    !view.listed && view.inventory != Inventory::Removed
}

fn adopted_view(name: MemberName, share: &Contribution, configured: &BTreeSet<MemberName>) -> MemberView {
    let inventory = if configured.contains(&name) { Inventory::Pending } else { Inventory::Removed };
    let mut view = MemberView::pending(name);
    view.inventory = inventory;
    view.region = share.region.clone();
    view.zones = share.zones.clone();
    view
}

fn is_federation_name(name: &DnsName, key: &ServiceKey, zone: &ZoneSettings) -> bool {
    let Some(fleet) = &zone.fleet else { return false };
    let stem = format!("{}.{}.{fleet}.svc.", key.name(), key.namespace()).to_ascii_lowercase();
    name.as_str().starts_with(&stem) && name.is_within(&zone.suffix)
}

fn add_service(
    view: &mut MemberView,
    key: &ServiceKey,
    share: &Contribution,
    hostname: Option<(&DnsName, Sharing)>,
    (ttl, routing): (Option<Ttl>, Option<Routing>),
) {
    let mut published = match view.services.get(key) {
        Some(known) => (**known).clone(),
        None => Published {
            key: key.clone(),
            service: ServiceText::default(),
            addresses: Some(SmallSet::default()),
            hostnames: SmallSet::default(),
            shared: BTreeMap::new(),
            ttl,
            probe: Arc::new(share.probe.clone()),
            routing,
            faults: Vec::new(),
        },
    };
    published.addresses.get_or_insert_default().extend(share.addresses.iter().cloned());
    published.routing = published.routing.max(routing);
    if let Some((name, sharing)) = hostname {
        published.hostnames.insert(name.clone());
        if sharing != Sharing::None {
            published.shared.insert(name.clone(), sharing);
        }
    }
    published.service = (&as_service(&published)).into();
    view.services.insert(key.clone(), Arc::new(published));
}

/// The Service as it must have been.
fn as_service(published: &Published) -> Service {
    let ingress = |address: &Address| match address {
        Address::Hostname(name) => Ingress { ip: None, hostname: Some(name.to_string()) },
        ip => Ingress { ip: Some(ip.to_string()), hostname: None },
    };
    let port = published.probe.port();
    let hostnames: Vec<&str> = published.hostnames.iter().map(DnsName::as_str).collect();
    let mut annotations = BTreeMap::new();
    if !hostnames.is_empty() {
        annotations.insert("fleetdns.io/hostname".to_owned(), hostnames.join(","));
    }
    if let Some(routing) = published.routing {
        annotations.insert("fleetdns.io/routing".to_owned(), routing.as_str().to_owned());
    }
    if let Some(ttl) = published.ttl {
        annotations.insert("fleetdns.io/ttl".to_owned(), ttl.to_string());
    }
    Service {
        namespace: published.key.namespace().to_string(),
        name: published.key.name().to_owned(),
        annotations,
        ports: port.map(|port| Port { port, protocol: "TCP".to_owned() }).into_iter().collect(),
        ingress: Some(published.addresses.iter().flatten().map(ingress).collect()),
        ..Service::default()
    }
}
