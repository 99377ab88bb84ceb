//! The section `[hostnames]`: which namespaces may ask for which host names.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetdns_core::hostnames::{HostnamePolicy, Pattern};
use fleetdns_core::name::is_dns_label;

use super::fault::Fault;
use super::raw::Raw;
use super::reader::{EMPTY, items};
use super::schema::HOSTNAMES;
use super::zones::ZoneConfig;

/// `[hostnames]`, and the name servers that the zones' sections name.
pub(super) fn policy(raw: &Raw, zones: &[ZoneConfig], faults: &mut Vec<Fault>) -> HostnamePolicy {
    let mut rules = Vec::new();
    for (namespace, value) in raw.section(HOSTNAMES.kind).into_iter().flat_map(|section| &section.values) {
        let mut fault =
            |problem: String| faults.push(Fault::new(&value.at, HOSTNAMES.kind, namespace, problem));
        if namespace != "*" && !is_dns_label(namespace) {
            fault("is not the name of a namespace, nor '*' for all that have no rule".to_owned());
            continue;
        }
        let mut patterns = Vec::new();
        for item in items(&value.text) {
            match item.parse::<Pattern>() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => fault(error.to_string()),
            }
        }
        if items(&value.text).next().is_none() {
            fault(EMPTY.to_owned());
        }
        rules.push(((namespace != "*").then(|| Arc::from(namespace.as_str())), patterns));
    }
    HostnamePolicy::new(rules, servers(zones))
}

/// The first word of each item of the zones' `ns` keys is the name of a server.
fn servers(zones: &[ZoneConfig]) -> BTreeSet<fleetdns_core::DnsName> {
    let named = zones.iter().flat_map(|zone| zone.keys.list("ns"));
    named.filter_map(|item| item.split_whitespace().next()?.parse().ok()).collect()
}
