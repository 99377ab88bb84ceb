//! The part of a fleet that has to do with one name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::desired::ZoneSettings;
use crate::federation::global_name;
use crate::input::Input;
use fleetdns_core::member::Snapshot;
use fleetdns_core::name::DnsName;
use fleetdns_core::provider::Capabilities;
use fleetdns_core::service::{Published, ServiceKey};
use fleetdns_core::service_fault::ServiceFault;

/// The same with those Services alone that decide what stands at the name.
pub(super) fn input(
    whole: &Input,
    zone: &ZoneSettings,
    capabilities: &Capabilities,
    name: &DnsName,
) -> Input {
    let keys = keys(whole.fleet(), zone, capabilities, name);
    whole.only(&keys, |absent| absent.hostnames.contains(name))
}

fn keys(
    whole: &Snapshot,
    zone: &ZoneSettings,
    capabilities: &Capabilities,
    name: &DnsName,
) -> BTreeSet<ServiceKey> {
    let mut keys: BTreeSet<ServiceKey> = spelt_by(name, zone).into_iter().collect();
    let all = || whole.members.values().flat_map(|member| member.services.values());
    let denied =
        |fault: &ServiceFault| matches!(fault, ServiceFault::Denied { name: asked, .. } if asked == name);
    let asked =
        |service: &&Arc<Published>| service.hostnames.contains(name) || service.faults.iter().any(denied);
    keys.extend(all().filter(asked).map(|service| service.key.clone()));
    if capabilities.answers_subtree {
        // What stands above or below may take the name's place.
        let related = |other: &DnsName| other.is_below(name) || name.is_below(other);
        let uppers: BTreeSet<&DnsName> =
            all().flat_map(|service| &service.hostnames).filter(|other| name.is_below(other)).collect();
        let spells = |service: &Published| {
            let spelt = zone.fleet.as_ref().and_then(|fleet| {
                // Regions and zones stand within the global name's parent as well.
                let global = global_name(&service.key, fleet, &zone.suffix).ok()?;
                Some(related(&global) || uppers.iter().any(|upper| global.is_below(upper)))
            });
            spelt.unwrap_or(false)
        };
        let near = |service: &&Arc<Published>| service.hostnames.iter().any(related) || spells(service);
        keys.extend(all().filter(near).map(|service| service.key.clone()));
    }
    keys
}

/// The Service whose federation name this is, at any level.
fn spelt_by(name: &DnsName, zone: &ZoneSettings) -> Option<ServiceKey> {
    let fleet = zone.fleet.as_ref()?;
    let labels: Vec<&str> = name.relative_to(&zone.suffix)?.split('.').collect();
    match labels.as_slice() {
        [service, namespace, middle, "svc", rest @ ..] if *middle == fleet.as_str() && rest.len() <= 2 => {
            ServiceKey::new(namespace, service).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetdns_core::member::Health;
    use fleetdns_core::member_name::MemberName;
    use fleetdns_core::overrides::Overrides;

    /// Three Services of which the first alone spells the name.
    fn scenario() -> crate::simulate::Scenario {
        let text = r#"{"fleet": "fed", "zones": [{"name": "example.com"}],
            "hostnames": {"shop": "*, web.default.fed.svc.example.com"}, "members": [{"name": "west", "region": "w",
            "services": [
            {"namespace": "default", "name": "web", "ports": [{"port": 80}], "ingress": [{"ip": "203.0.113.1"}]},
            {"namespace": "shop", "name": "api", "ports": [{"port": 80}], "ingress": [{"ip": "203.0.113.2"}],
             "annotations": {"fleetdns.io/hostname": "web.default.fed.svc.example.com"}},
            {"namespace": "default", "name": "other", "ports": [{"port": 80}], "ingress": [{"ip": "203.0.113.3"}]}]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_name_has_to_do_with_who_spells_it_and_who_asks_for_it() {
        let (zone, snapshot) = crate::simulate::parts_of(&scenario());
        let whole = Input::new(&snapshot, &Health::default(), &Overrides::default());
        let few = |name: &str| {
            let few = input(&whole, &zone, &Capabilities::default(), &name.parse().unwrap());
            let west: MemberName = "west".parse().unwrap();
            few.snapshot.members[&west].services.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(few("web.default.fed.svc.example.com"), "default/web shop/api");
        assert_eq!(few("web.default.fed.svc.w.example.com"), "default/web");
        assert_eq!(few("web.default.fed.svc.1.w.example.com"), "default/web");
        for none in
            ["web.default.fed.svc.0.1.w.example.com", "web.default.other.svc.example.com", "example.com"]
        {
            assert_eq!(few(none), "", "{none}");
        }
        let subtree = Capabilities { answers_subtree: true, ..Capabilities::default() };
        let near = input(&whole, &zone, &subtree, &"default.fed.svc.example.com".parse().unwrap());
        assert_eq!(near.snapshot.members.values().next().unwrap().services.len(), 3);
    }
}
