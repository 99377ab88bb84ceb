//! From a Service as its cluster says it to what is published of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::{Address, AddressError};
use crate::name::{DnsName, Label};
use crate::record::Ttl;
use crate::service::{Ingress, Published, Service, ServiceFault, ServiceKey};
use crate::text::{self, printable};
use crate::wanted::Routing;

mod cloud;
mod probing;

pub(crate) use cloud::{is_read as is_cloud, port as cloud_port};
pub use probing::{ProbeDefaults, Protocol, UnknownProtocol, is_path, is_service};

/// What reading a Service depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishSettings {
    /// Fleet whose federation names are published; `None` publishes host names only.
    pub fleet: Option<Label>,
    /// Zones that are written, with the suffix of federation names in each.
    pub zones: Vec<(DnsName, DnsName)>,
    /// Host name for every Service, with `{name}`, `{namespace}` and `{fleet}` in it.
    pub template: Option<String>,
    /// Namespaces that are read; all when it is empty.
    pub namespaces: BTreeSet<String>,
    /// Probing.
    pub probe: ProbeDefaults,
    /// Octets of one annotation; a longer one is as if it were not there.
    pub max_annotation: usize,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            fleet: None,
            zones: Vec::new(),
            template: None,
            namespaces: BTreeSet::new(),
            probe: ProbeDefaults::default(),
            max_annotation: MAX_ANNOTATION,
        }
    }
}

/// Octets of one annotation, unless the config says otherwise.
pub const MAX_ANNOTATION: usize = 4096;

/// The global federation name of a Service: `svc.ns.fed.svc.suffix`.
///
/// # Errors
/// When the parts do not make a name, for example because it is too long.
pub fn global_name(
    key: &ServiceKey,
    fleet: &Label,
    suffix: &DnsName,
) -> Result<DnsName, crate::name::NameError> {
    suffix.prepend(&format!("{}.{}.{fleet}.svc", key.name(), key.namespace()))
}

/// Reads a Service that is within bounds. `None` when it is not ours to publish: its namespace is not selected, or it opts
/// out, or its controller annotation names somebody else, or its name is none of Kubernetes. What cannot be used is left out and said in `faults`.
pub fn publish(service: Arc<Service>, settings: &PublishSettings) -> Option<Published> {
    let selected = settings.namespaces.is_empty() || settings.namespaces.contains(&service.namespace);
    let mut faults = Vec::new();
    if !selected || is_excluded(&service, &mut faults) || is_foreign(&service) {
        return None;
    }
    let key = service.key().ok()?;
    let limit = settings.max_annotation;
    let too_long = |name: &String| ServiceFault::TooLong { annotation: printable(name).into_owned(), limit };
    faults.extend(service.too_long.iter().map(too_long));
    let hostnames = hostnames(&service, settings, &mut faults);
    let addresses = addresses(&service, &mut faults);
    let ttl = ttl(&service, &mut faults);
    let probe = Arc::new(probing::probe(&service, &key, &hostnames, settings, &mut faults));
    let routing = routing(&service, &mut faults);
    Some(Published { key, service, addresses, hostnames, ttl, probe, routing, faults })
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
    faults: &mut Vec<ServiceFault>,
) -> BTreeSet<DnsName> {
    let mut names = BTreeSet::new();
    let mut ask = |place: &'static str, text: &str| match text.parse::<DnsName>() {
        Ok(name) if settings.zones.iter().any(|(zone, _)| name.is_within(zone)) => {
            names.insert(name);
        }
        Ok(name) => faults.push(ServiceFault::NoZone { name }),
        Err(source) => {
            faults.push(ServiceFault::Hostname { place, text: printable(text).into_owned(), source });
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
    names
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn addresses(service: &Service, faults: &mut Vec<ServiceFault>) -> Option<BTreeSet<Address>> {
    let mut good = BTreeSet::new();
    let mut take = |place: &'static str, parsed: Result<Address, AddressError>| match parsed {
        Ok(address) => {
            good.insert(address);
        }
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
