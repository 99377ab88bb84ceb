//! Which addresses may be published and probed: `address-deny` and `address-allow`, and our own listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use fleetdns_core::{AddressPolicies, AddressPolicy};

use super::fault::Fault;
use super::parse;
use super::raw::Raw;
use super::reader::Reader;
use super::settings::Admin;
use super::zones::ZoneConfig;

/// What `[fleet]` says for all members, and what sections of clusters say in its place.
pub(super) fn read(
    raw: &Raw,
    file: &str,
    zones: &[ZoneConfig],
    admin: &Admin,
    faults: &mut Vec<Fault>,
) -> AddressPolicies {
    let usual = policy(&mut Reader::new(raw, "fleet", file, faults), &AddressPolicy::default());
    let mut policies = AddressPolicies { listeners: listeners(zones, admin), ..AddressPolicies::default() };
    for section in raw.of_kind("cluster") {
        let mut reader = Reader::of(section, faults);
        let has_own = KEYS.iter().any(|key| reader.has(key));
        let own = policy(&mut reader, &usual);
        let name = section.label.as_deref().and_then(|label| label.parse().ok());
        policies.members.extend(name.filter(|_| has_own).map(|name| (name, Arc::new(own))));
    }
    policies.fleet = Arc::new(usual);
    policies
}

const KEYS: [&str; 2] = ["address-deny", "address-allow"];

fn policy(reader: &mut Reader<'_>, usual: &AddressPolicy) -> AddressPolicy {
    let right = "a network such as 10.0.0.0/8 or fd00::/8, or an address";
    let [deny, allow] = KEYS.map(|key| reader.has(key).then(|| reader.list(key, right, parse::network)));
    AddressPolicy::new(
        deny.unwrap_or_else(|| usual.deny.clone()),
        allow.unwrap_or_else(|| usual.allow.clone()),
    )
}

/// Where the daemon itself answers over TCP.
fn listeners(zones: &[ZoneConfig], admin: &Admin) -> Vec<SocketAddr> {
    let embedded = zones.iter().filter(|zone| zone.provider == "embedded");
    let dns = embedded.filter_map(|zone| match zone.keys.get("listen") {
        Some(text) => text.parse().ok(),
        None => Some(fleetdns_embedded::DEFAULT_LISTEN),
    });
    dns.chain(admin.listen).chain(admin.metrics).collect()
}
