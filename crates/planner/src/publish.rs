//! From a Service as its cluster says it to what is published of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetdns_core::address::{Address, AddressError};
use fleetdns_core::hostnames::{Sharing, Territory};
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::probe::ProbeSpec;
use fleetdns_core::quota::Limits;
use fleetdns_core::record::Ttl;
use fleetdns_core::routing::Routing;
use fleetdns_core::service::{Ingress, Published, Service};
use fleetdns_core::service_fault::ServiceFault;
use fleetdns_core::small_set::SmallSet;
use fleetdns_core::text::{self, printable};

mod cloud;
mod probe_defaults;
mod probing;
mod settings;

pub use probe_defaults::{Ports, ProbeDefaults, Protocol, UnknownProtocol};
pub use settings::PublishSettings;

/// What a Service had before, and how much more there is room for in its namespace.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// Host names that it had.
    pub hostnames: &'a SmallSet<DnsName>,
    /// Host names that it may have for its namespace's sake.
    pub room: usize,
}

/// Reads a Service that is within bounds. `None` when it is not ours to publish: its namespace is not selected, or it opts
/// out, or its controller annotation names somebody else, or its name is none of Kubernetes. What cannot be used is left out and said in `faults`.
pub fn publish(service: &Service, settings: &PublishSettings) -> Option<Published> {
    publish_after(service, settings, Before { hostnames: &SmallSet::default(), room: usize::MAX })
}

/// The same for a Service that is known: where it asks for more than it may have, it keeps what it had.
pub fn publish_after(service: &Service, settings: &PublishSettings, before: Before<'_>) -> Option<Published> {
    let selected = settings.namespaces.is_empty() || settings.namespaces.contains(&service.namespace);
    let mut faults = Vec::new();
    if !selected || is_excluded(service, &mut faults) || is_foreign(service) {
        return None;
    }
    let key = service.key().ok()?;
    let limit = settings.limits.annotation;
    let too_long = |name: &String| ServiceFault::TooLong { annotation: printable(name).into_owned(), limit };
    faults.extend(service.too_long.iter().map(too_long));
    let (hostnames, shared) = hostnames(service, settings, before, &mut faults);
    let probe = Arc::new(probing::probe(service, &key, &hostnames, settings, &mut faults));
    let addresses = addresses(service, &probe, settings, &mut faults);
    let ttl = ttl(service, &mut faults);
    let routing = routing(service, &mut faults);
    let service = service.into();
    Some(Published { key, service, addresses, hostnames, shared, ttl, probe, routing, faults })
}

fn is_excluded(service: &Service, faults: &mut Vec<ServiceFault>) -> bool {
    let Some(text) = service.own_annotation("exclude") else { return false };
    let switch = text::switch(text);
    if switch.is_none() {
        faults.push(ServiceFault::annotation("exclude", text, "true or false; the Service is published"));
    }
    switch == Some(true)
}

/// Whether another controller has to publish it.
fn is_foreign(service: &Service) -> bool {
    let ours = |controller| ["dns-controller", "fleetdns"].contains(&controller);
    !service.annotation("controller").is_none_or(ours)
}

fn ttl(service: &Service, faults: &mut Vec<ServiceFault>) -> Option<Ttl> {
    let text = service.annotation("ttl")?;
    let ttl = text.parse().ok();
    if ttl.is_none() {
        faults.push(ServiceFault::annotation("ttl", text, TTL));
    }
    ttl
}

const TTL: &str = "seconds from 1 to 2147483647 or a duration such as 5m; the zone's TTL counts";

fn routing(service: &Service, faults: &mut Vec<ServiceFault>) -> Option<Routing> {
    let text = service.own_annotation("routing")?;
    let routing = text.parse().ok();
    if routing.is_none() {
        faults.push(ServiceFault::annotation("routing", text, "all or failover; the zone's routing counts"));
    }
    routing
}

fn hostnames(
    service: &Service,
    settings: &PublishSettings,
    before: Before<'_>,
    faults: &mut Vec<ServiceFault>,
) -> (SmallSet<DnsName>, BTreeMap<DnsName, Sharing>) {
    let (mut names, mut shared, mut bad) = (Vec::new(), BTreeMap::new(), Vec::new());
    let land = Territory { zones: &settings.zones, fleet: settings.fleet.as_ref() };
    let mut ask = |place: &'static str, text: &str| match text.parse::<DnsName>() {
        Ok(name) if !settings.zones.iter().any(|(zone, _)| name.is_within(zone)) => {
            bad.push(ServiceFault::NoZone { name });
        }
        Ok(name) => match settings.policy.check(&service.namespace, &name, land) {
            Ok(sharing) => {
                if sharing != Sharing::None {
                    shared.insert(name.clone(), sharing);
                }
                names.push(name);
            }
            Err(denied) => bad.push(ServiceFault::Denied { name, denied }),
        },
        Err(source) => {
            bad.push(ServiceFault::Hostname { place, text: printable(text).into_owned(), source });
        }
    };
    for text in list(service.annotation("hostname").unwrap_or_default()) {
        ask("the hostname annotation", text);
    }
    if let Some(template) = &settings.template {
        let fleet = settings.fleet.as_ref().map_or("", Label::as_str);
        let text = template
            .replace("{name}", &service.name)
            .replace("{namespace}", &service.namespace)
            .replace("{fleet}", fleet);
        ask("the name template", &text);
    }
    let rest = bad.split_off(MANY.min(bad.len()));
    faults.extend(bad);
    let denied = rest.iter().filter(|fault| matches!(fault, ServiceFault::Denied { .. })).count();
    faults.extend((!rest.is_empty()).then_some(ServiceFault::MoreHostnames { more: rest.len(), denied }));
    let kept = within(names, settings.limits, before, faults);
    shared.retain(|name, _| kept.contains(name));
    (kept, shared)
}

/// Host names of one Service that are named when they cannot be used; of more there is a count.
const MANY: usize = 10;

/// As many of the names as the limits allow: those that the Service had before, then the others in their order.
fn within(
    names: Vec<DnsName>,
    limits: Limits,
    before: Before<'_>,
    faults: &mut Vec<ServiceFault>,
) -> SmallSet<DnsName> {
    let limit = limits.service_hostnames.min(before.room);
    let (had, new): (Vec<DnsName>, Vec<DnsName>) =
        names.into_iter().partition(|name| before.hostnames.contains(name));
    let mut kept = SmallSet::default();
    let mut refused = BTreeSet::new();
    for name in had.into_iter().chain(new) {
        if kept.len() < limit || kept.contains(&name) {
            kept.insert(name);
        } else {
            refused.insert(name);
        }
    }
    let key = if limit < limits.service_hostnames { "namespace-hostnames" } else { "service-hostnames" };
    let allowed = if limit < limits.service_hostnames { limits.namespace_hostnames } else { limit };
    if let Some(first) = refused.pop_first() {
        faults.push(ServiceFault::TooManyHostnames { first, more: refused.len(), key, allowed });
    }
    kept
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn addresses(
    service: &Service,
    probe: &ProbeSpec,
    settings: &PublishSettings,
    faults: &mut Vec<ServiceFault>,
) -> Option<SmallSet<Address>> {
    let mut good = SmallSet::default();
    let mut take = |place: &'static str, parsed: Result<Address, AddressError>| match parsed {
        Ok(address) => match address.ip().map_or(Ok(()), |ip| settings.addresses.check(ip, probe)) {
            Ok(()) => {
                good.insert(address);
            }
            Err(denied) => faults.push(ServiceFault::DeniedAddress { place, denied }),
        },
        Err(source) => faults.push(ServiceFault::Address { place, source }),
    };
    if let Some(targets) = service.annotation("target") {
        for text in list(targets) {
            take("the target annotation", text.parse());
        }
        return Some(good);
    }
    for ingress in service.ingress.as_ref()? {
        take("status.loadBalancer", ingress_address(ingress));
    }
    Some(good)
}

fn ingress_address(ingress: &Ingress) -> Result<Address, AddressError> {
    let given = |text: &'_ Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    given(&ingress.ip).or_else(|| given(&ingress.hostname)).unwrap_or_default().parse()
}

#[cfg(test)]
mod tests;
