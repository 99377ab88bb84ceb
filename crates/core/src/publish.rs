//! From a Service as its cluster says it to what is published of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::{Address, AddressError};
use crate::name::{DnsName, Label};
use crate::probe::ProbeSpec;
use crate::record::Ttl;
use crate::service::{Ingress, Published, Service, ServiceFault, ServiceKey};
use crate::wanted::Routing;

/// Which protocol a probe speaks when a Service does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// No probing: every endpoint is taken for healthy.
    None,
    /// A TCP connection.
    #[default]
    Tcp,
    /// An HTTP request.
    Http,
    /// An HTTPS request with a verified certificate.
    Https,
}

/// How endpoints are probed unless a Service says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeDefaults {
    /// Protocol.
    pub protocol: Protocol,
    /// Port; the Service's first TCP port when it is not given.
    pub port: Option<u16>,
    /// Path of HTTP probes.
    pub path: Arc<str>,
    /// Host header and SNI; the published name when it is not given.
    pub host: Option<DnsName>,
}

impl Default for ProbeDefaults {
    fn default() -> Self {
        Self { protocol: Protocol::Tcp, port: None, path: "/".into(), host: None }
    }
}

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
    let probe = Arc::new(probe(&service, &key, &hostnames, settings, &mut faults));
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

fn probe(
    service: &Service,
    key: &ServiceKey,
    hostnames: &BTreeSet<DnsName>,
    settings: &PublishSettings,
    faults: &mut Vec<ServiceFault>,
) -> ProbeSpec {
    let defaults = &settings.probe;
    let mut bad = |annotation, text: &str, expected| {
        faults.push(ServiceFault::Probe { annotation, text: text.to_owned(), expected });
    };
    let protocol = match service.annotation("probe") {
        None => defaults.protocol,
        Some("tcp") => Protocol::Tcp,
        Some("http") => Protocol::Http,
        Some("https") => Protocol::Https,
        Some("none") => Protocol::None,
        Some(text) => {
            bad("probe", text, "tcp, http, https or none");
            defaults.protocol
        }
    };
    let asked_port = service.annotation("probe-port").and_then(|text| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            bad("probe-port", text, "a port from 1 to 65535");
        }
        port
    });
    let first_tcp = service.ports.iter().find(|port| port.protocol.eq_ignore_ascii_case("TCP"));
    let Some(port) = asked_port.or(defaults.port).or(first_tcp.map(|port| port.port)) else {
        return ProbeSpec::None;
    };
    let tls = match protocol {
        Protocol::None => return ProbeSpec::None,
        Protocol::Tcp => return ProbeSpec::Tcp { port },
        Protocol::Http => false,
        Protocol::Https => true,
    };
    let path = match service.annotation("probe-path") {
        Some(text) if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) => text.into(),
        Some(text) => {
            bad("probe-path", text, "a path that begins with '/' and has no spaces");
            Arc::clone(&defaults.path)
        }
        None => Arc::clone(&defaults.path),
    };
    let asked_host = service.annotation("probe-host").and_then(|text| {
        let host = text.parse::<DnsName>().ok();
        if host.is_none() {
            bad("probe-host", text, "a host name");
        }
        host
    });
    match asked_host.or_else(|| published_name(key, hostnames, settings)) {
        Some(host) => ProbeSpec::Http { port, tls, path, host },
        None => ProbeSpec::Tcp { port },
    }
}

/// The name that clients use: the first host name without a wildcard, otherwise the first global name.
fn published_name(
    key: &ServiceKey,
    hostnames: &BTreeSet<DnsName>,
    settings: &PublishSettings,
) -> Option<DnsName> {
    let hostname = hostnames.iter().find(|name| !name.is_wildcard());
    settings.probe.host.as_ref().or(hostname).cloned().or_else(|| {
        let (_, suffix) = settings.zones.first()?;
        global_name(key, settings.fleet.as_ref()?, suffix).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Port;

    fn settings() -> PublishSettings {
        let zone: DnsName = "example.com".parse().unwrap();
        PublishSettings {
            fleet: Some("fed".parse().unwrap()),
            zones: vec![(zone.clone(), zone)],
            ..PublishSettings::default()
        }
    }

    fn service(annotations: &[(&str, &str)]) -> Service {
        Service {
            namespace: "default".into(),
            name: "web".into(),
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ports: vec![
                Port { port: 53, protocol: "UDP".into() },
                Port { port: 8080, protocol: "TCP".into() },
            ],
            ingress: Some(vec![Ingress { ip: Some("203.0.113.10".into()), hostname: None }]),
        }
    }

    fn read(annotations: &[(&str, &str)]) -> Published {
        publish(Arc::new(service(annotations)), &settings()).unwrap()
    }

    #[track_caller]
    fn fault(annotations: &[(&str, &str)], part: &str) -> Published {
        let read = read(annotations);
        assert_eq!(read.faults.len(), 1, "{:?}", read.faults);
        assert!(read.faults[0].to_string().contains(part), "{}", read.faults[0]);
        read
    }

    #[test]
    fn all_three_prefixes_are_read_and_our_own_wins() {
        for prefix in crate::service::PREFIXES {
            let read = read(&[(&format!("{prefix}hostname"), "a.example.com, b.example.com.")]);
            assert_eq!(read.hostnames.len(), 2, "{prefix}");
        }
        let both = read(&[("external-dns.alpha.kubernetes.io/ttl", "60"), ("fleetdns.io/ttl", "10m")]);
        assert_eq!(both.ttl, Ttl::new(600));
    }

    #[test]
    fn ttl_is_seconds_or_a_duration() {
        for (text, seconds) in [("1", 1), ("600", 600), ("10m", 600), ("1h30m", 5400), ("45s", 45)] {
            assert_eq!(read(&[("fleetdns.io/ttl", text)]).ttl, Ttl::new(seconds), "{text}");
        }
        for text in ["foo", "-10", "0", "", "10x", "m", "99999999999", "2147483648", "1.5h"] {
            assert_eq!(fault(&[("fleetdns.io/ttl", text)], "no TTL").ttl, None, "{text}");
        }
    }

    #[test]
    fn one_bad_hostname_or_target_leaves_the_others() {
        let one = fault(&[("fleetdns.io/hostname", "good.example.com,bad..example.com")], "empty label");
        assert_eq!(one.hostnames.len(), 1);
        fault(&[("fleetdns.io/hostname", "www.elsewhere.org")], "none of the zones");
        fault(&[("fleetdns.io/hostname", "notexample.com")], "none of the zones");
        let one = fault(&[("fleetdns.io/target", "203.0.113.1, 999.1.1.1")], "target annotation");
        assert_eq!(one.addresses.unwrap().len(), 1);
    }

    #[test]
    fn the_target_annotation_replaces_the_load_balancer() {
        let read = read(&[("external-dns.kubernetes.io/target", "2001:db8::1,lb.example.net")]);
        let texts: Vec<String> = read.addresses.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["2001:db8::1", "lb.example.net"]);
    }

    #[test]
    fn no_load_balancer_yet_is_not_an_emptied_one() {
        let mut one = service(&[]);
        one.ingress = None;
        assert_eq!(publish(Arc::new(one.clone()), &settings()).unwrap().addresses, None);
        one.ingress = Some(vec![]);
        assert_eq!(publish(Arc::new(one), &settings()).unwrap().addresses, Some(BTreeSet::new()));
    }

    #[test]
    fn opting_out_and_other_controllers_and_namespaces_are_not_read() {
        let out = |pairs: &[(&str, &str)]| publish(Arc::new(service(pairs)), &settings()).is_none();
        assert!(out(&[("fleetdns.io/exclude", "true")]));
        assert!(!out(&[("fleetdns.io/exclude", "false")]));
        assert!(out(&[("external-dns.alpha.kubernetes.io/controller", "other")]));
        assert!(!out(&[("external-dns.alpha.kubernetes.io/controller", "dns-controller")]));
        let elsewhere = PublishSettings { namespaces: ["prod".to_owned()].into(), ..settings() };
        assert!(publish(Arc::new(service(&[])), &elsewhere).is_none());
    }

    #[test]
    fn the_probe_is_tcp_on_the_first_tcp_port_unless_said_otherwise() {
        assert_eq!(read(&[]).probe.to_string(), "tcp:8080");
        assert_eq!(read(&[("fleetdns.io/probe-port", "9090")]).probe.to_string(), "tcp:9090");
        assert_eq!(read(&[("fleetdns.io/probe", "none")]).probe.to_string(), "none");
        let named = [
            ("fleetdns.io/probe", "https"),
            ("fleetdns.io/probe-path", "/ok"),
            ("fleetdns.io/hostname", "www.example.com"),
        ];
        assert_eq!(read(&named).probe.to_string(), "https:8080@www.example.com/ok");
        let global = read(&[("fleetdns.io/probe", "http")]);
        assert_eq!(global.probe.to_string(), "http:8080@web.default.fed.svc.example.com/");
        assert_eq!(fault(&[("fleetdns.io/probe", "icmp")], "tcp, http").probe.to_string(), "tcp:8080");
        assert_eq!(fault(&[("fleetdns.io/probe-port", "0")], "65535").probe.to_string(), "tcp:8080");
        let mut udp = service(&[]);
        udp.ports.truncate(1);
        assert_eq!(publish(Arc::new(udp), &settings()).unwrap().probe.to_string(), "none");
    }

    #[test]
    fn a_template_names_every_service() {
        let settings =
            PublishSettings { template: Some("{name}-{namespace}.{fleet}.example.com".into()), ..settings() };
        let read = publish(Arc::new(service(&[])), &settings).unwrap();
        assert_eq!(read.hostnames.first().unwrap().as_str(), "web-default.fed.example.com");
    }

    #[test]
    fn nonsense_addresses_are_left_out_with_a_reason() {
        let mut one = service(&[]);
        let item = |ip: &str| Ingress { ip: Some(ip.into()), hostname: None };
        one.ingress = Some(vec![item("0.0.0.0"), item("203.0.113.1"), Ingress::default()]);
        let read = publish(Arc::new(one), &settings()).unwrap();
        assert_eq!(read.addresses.unwrap().len(), 1);
        assert_eq!(read.faults.len(), 2);
    }
}
