//! The section `[fleet]`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fleetdns_core::name::is_dns_label;
use fleetdns_core::{DnsName, Label, Ttl, text};

use super::outside::Outside;
use super::parse;
use super::reader::Reader;

/// The `[fleet]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Name of the fleet.
    pub name: Label,
    /// Owner id of our records.
    pub owner: Label,
    /// Whether federation names are written.
    pub federation_names: bool,
    /// Namespaces that are read; all when it is empty.
    pub namespaces: BTreeSet<String>,
    /// Label selector of the Services that are read.
    pub selector: Option<String>,
    /// Host name for every Service, with `{name}` and `{namespace}` in it.
    pub template: Option<String>,
    /// TTL of records whose zone and Service ask for none.
    pub ttl: Ttl,
    /// Where overrides are kept over a restart; the ownership records of the zones keep them when it is `None`.
    pub state_dir: Option<PathBuf>,
}

/// `[fleet]`.
pub(super) fn read(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Option<Fleet> {
    if !reader.has("name") {
        reader.missing("name", "myfederation, or --federation-name myfederation");
    }
    let right = "a name of letters a to z, digits and '-', at most 63 of them";
    let label = |text: &str| {
        let text = text.to_ascii_lowercase();
        is_dns_label(&text).then(|| text.parse::<Label>().ok()).flatten()
    };
    let name = reader.parse("name", right, label);
    let owner = reader.parse("owner", right, label);
    let federation_names = reader.parse("federation-names", "on or off", text::switch).unwrap_or(true);
    let namespaces = reader
        .list("namespaces", "the name of a namespace", |text| is_dns_label(text).then(|| text.to_owned()));
    let right = "a label selector, such as app=web,tier in (front, edge)";
    let selector = reader.parse("selector", right, |text| parse::is_selector(text).then(|| text.to_owned()));
    let ttl = reader.parse("ttl", TTL_RIGHT, |text| text.parse().ok());
    let template = reader.text("name-template").map(str::to_owned);
    let state_dir = reader.text("state-dir").map(|text| outside.path(text));
    let name = name?;
    Some(Fleet {
        owner: owner.unwrap_or_else(|| name.clone()),
        federation_names,
        namespaces: namespaces.into_iter().collect(),
        selector,
        // Federation names may be off, and the fleet still has its name here.
        template: template.map(|text| text.replace("{fleet}", name.as_str())),
        ttl: ttl.unwrap_or(Ttl::DEFAULT),
        state_dir: state_dir.or_else(|| outside.directory("STATE_DIRECTORY")),
        name,
    })
}

pub(super) const TTL_RIGHT: &str = "a TTL; seconds from 1 to 2147483647 or a duration such as 5m is";

/// Notes a name template whose names would lie in none of the zones.
pub(super) fn check_template(fleet: &Fleet, zones: &[&DnsName], reader: &mut Reader<'_>) {
    let Some(template) = &fleet.template else { return };
    let sample = template.replace("{name}", "name").replace("{namespace}", "namespace");
    let problem = if sample.contains(['{', '}']) {
        "has another placeholder than {name}, {namespace} and {fleet}".to_owned()
    } else if !template.contains("{name}") {
        "has no {name}, so that all Services would have one name; for example {name}.{namespace}.example.com"
            .to_owned()
    } else {
        match sample.parse::<DnsName>() {
            Err(error) => format!("makes no valid name, such as '{sample}': {error}"),
            Ok(name) if !zones.is_empty() && !zones.iter().any(|zone| name.is_below(zone)) => {
                "makes names that lie in none of the zones; let it end in one".to_owned()
            }
            Ok(_) => return,
        }
    };
    reader.fault("name-template", problem);
}
