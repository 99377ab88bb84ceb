//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::BTreeSet;

use fleetdns_core::service::{Ingress, Port, Published, Service};
use fleetdns_core::text::is_hidden;
use fleetdns_core::{ProbeSpec, annotations};

use crate::publish::{Before, PublishSettings, publish, publish_after};
use crate::simulate::{Scenario, simulate};

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[("annotations", 3_000, annotations), ("snapshot", 4_000, snapshot)];

/// A Service whose annotations are the lines `NAME: VALUE`; `ip`, `host` and `port` are of its status and spec.
fn service(data: &[u8]) -> Service {
    let text = String::from_utf8_lossy(data);
    let mut service =
        Service { namespace: "default".to_owned(), name: "web".to_owned(), ..Service::default() };
    for line in text.split('\n') {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let ingress = service.ingress.get_or_insert_default();
        match name {
            "ip" => ingress.push(Ingress { ip: Some(value.to_owned()), hostname: None }),
            "host" => ingress.push(Ingress { ip: None, hostname: Some(value.to_owned()) }),
            "port" => {
                let (port, protocol) = value.split_once('/').unwrap_or((value, "TCP"));
                service.ports.push(Port { port: port.parse().unwrap_or(0), protocol: protocol.to_owned() });
            }
            name if annotations::is_read(name) => {
                service.annotations.insert(name.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    service.bound(PublishSettings::default().limits.annotation);
    service
}

/// The same with the items of each list in the other order.
fn turned(service: &Service) -> Service {
    let mut turned = service.clone();
    for (name, value) in &mut turned.annotations {
        if name.ends_with("/hostname") || name.ends_with("/target") {
            *value = value.split(',').rev().collect::<Vec<_>>().join(",");
        }
    }
    turned.ingress.iter_mut().for_each(|all| all.reverse());
    turned
}

/// Whatever a Service asks for is bounded, lies in our zones, and is the same in any order and when it is read again; what
/// cannot be used is told in short sentences.
fn annotations(data: &[u8]) {
    let service = service(data);
    let zone = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: "fed".parse().ok(),
        zones: vec![(zone, "example.com".parse().unwrap())],
        template: Some("{name}.{namespace}.example.com".to_owned()),
        ..PublishSettings::default()
    };
    let Some(published) = publish(&service, &settings) else { return };
    assert_eq!(published.said(), service, "it is kept whole");
    let Published { hostnames, addresses, probe, faults, .. } = &published;
    assert!(hostnames.len() <= settings.limits.service_hostnames);
    assert!(hostnames.iter().all(|name| settings.zones.iter().any(|(zone, _)| name.is_within(zone))));
    let ips = addresses.iter().flatten().filter_map(fleetdns_core::Address::ip);
    assert!(ips.into_iter().all(|ip| settings.addresses.check(ip, probe).is_ok()));
    assert_eq!(probe.to_string().parse::<ProbeSpec>().as_ref(), Ok(&**probe), "{probe}");
    for fault in faults {
        let text = fault.to_string();
        assert!(text.len() < 3_000 && !text.contains(is_hidden), "{text:?}");
    }
    let again = publish(&turned(&service), &settings).unwrap();
    assert_eq!(&again.addresses, addresses);
    let kept = hostnames.len() < settings.limits.service_hostnames;
    assert!(!kept || again.hostnames == *hostnames, "{:?} {hostnames:?}", again.hostnames);
    let before = Before { hostnames, room: hostnames.len() };
    let after = publish_after(&service, &settings, before).unwrap();
    assert_eq!(after.hostnames, *hostnames);
}

/// A snapshot is read back as it is printed; what it leads to is text that harms no terminal, and does not depend on the
/// order of the members.
fn snapshot(data: &[u8]) {
    let Ok(mut scenario) = serde_json::from_slice::<Scenario>(data) else { return };
    let printed = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&printed).unwrap(), scenario);
    let report = simulate(&scenario, &[]);
    let text = report.as_ref().map_or_else(ToString::to_string, ToString::to_string);
    assert!(!text.split('\n').any(|line| line.contains(is_hidden)), "{text:?}");
    let names: BTreeSet<&String> = scenario.members.iter().map(|member| &member.name).collect();
    if report.is_ok() && names.len() == scenario.members.len() {
        scenario.members.reverse();
        assert_eq!(simulate(&scenario, &[]), report);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
