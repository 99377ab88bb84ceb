//! From a Service as its cluster says it to what is published of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::{Address, AddressError};
use crate::name::{DnsName, Label};
use crate::record::Ttl;
use crate::service::{Ingress, Published, Service, ServiceFault, ServiceKey};
use crate::wanted::Routing;

mod cloud;
mod probing;

pub(crate) use cloud::is_read as is_cloud;
pub use probing::{ProbeDefaults, Protocol, UnknownProtocol, is_path, is_service};

/// What reading a Service depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

/// The global federation name of a Service: `svc.ns.fed.svc.suffix`.
///
/// # Errors
/// When the parts do not make a name, for example because it is too long.
pub fn global_name(
    key: &ServiceKey,
    fleet: &Label,
    suffix: &DnsName,
) -> Result<DnsName, crate::name::NameError> {
    suffix.prepend(&format!("{}.{}.{fleet}.svc", key.name, key.namespace))
}

/// Reads a Service. `None` when it is not ours to publish: its namespace is not selected, or it opts out, or its
/// controller annotation names somebody else. What cannot be used is left out and said in `faults`.
pub fn publish(service: Arc<Service>, settings: &PublishSettings) -> Option<Published> {
    let selected = settings.namespaces.is_empty() || settings.namespaces.contains(&service.namespace);
    if !selected || opted_out(&service) {
        return None;
    }
    let mut faults = Vec::new();
    let key = service.key();
    let hostnames = hostnames(&service, settings, &mut faults);
    let addresses = addresses(&service, &mut faults);
    let ttl = service.annotation("ttl").and_then(|text| {
        let ttl = parse_ttl(text);
        if ttl.is_none() {
            faults.push(ServiceFault::Ttl { text: text.to_owned() });
        }
        ttl
    });
    let probe = Arc::new(probing::probe(&service, &key, &hostnames, settings, &mut faults));
    let routing = routing(&service, &mut faults);
    Some(Published { key, service, addresses, hostnames, ttl, probe, routing, faults })
}

fn routing(service: &Service, faults: &mut Vec<ServiceFault>) -> Option<Routing> {
    let asked = service.annotation("routing")?.parse();
    asked.map_err(|error| faults.push(ServiceFault::Routing(error))).ok()
}

fn opted_out(service: &Service) -> bool {
    let excluded = service.annotation("exclude").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let foreign = service
        .annotation("controller")
        .is_some_and(|controller| !["dns-controller", "fleetdns"].contains(&controller));
    excluded || foreign
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
        Err(source) => faults.push(ServiceFault::Hostname { place, text: text.to_owned(), source }),
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
    let ip = ingress.ip.as_deref().filter(|text| !text.is_empty());
    let text = ip.or(ingress.hostname.as_deref()).unwrap_or_default();
    text.parse()
}

/// Seconds, or a duration of `h`, `m` and `s` such as `1h30m`; 1 s at least.
fn parse_ttl(text: &str) -> Option<Ttl> {
    let text = text.trim();
    let seconds = match text.parse::<u32>() {
        Ok(seconds) => seconds,
        Err(_) => parse_duration(text)?,
    };
    Ttl::new(seconds).filter(|ttl| ttl.seconds() >= 1)
}

fn parse_duration(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut number: Option<u32> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests;
