//! The configuration: `dns.conf`, the flags of kubefed over it, and environment variables.
//!
//! Reads: one INI file, what it refers to (files of secrets, kubeconfig contexts), flags, variables.
//! Returns: a [`Config`] in which everything is typed and normalised, or all [`Fault`]s at once.
//!
//! ```text
//! file ─ini→ ┐
//! variables ─┼→ Raw (what was written) ─from_raw→ Config (what it means)
//! flags ─────┘
//! ```
//!
//! Invariant: a fault says `FILE:LINE: [section] key: what is wrong, what would be right`, and all are found in one go.
//! Invariant: no secret stands in a fault, a warning or a Debug text.

mod absent;
mod addresses;
mod exposed;
mod fault;
mod flags;
mod hostnames;
mod ini;
mod limits;
mod locate;
mod members;
mod outside;
mod parse;
mod probing;
mod raw;
mod reader;
pub mod schema;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod unknown;
mod wiring;
mod zones;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use fleetdns_core::name::is_dns_label;
use fleetdns_core::{AddressPolicies, DnsName, HostnamePolicy, Label, Ttl, text};
use fleetdns_watch::MemberConfig;

pub use fault::{Fault, Place};
pub use flags::{DEFAULT_FILE, Flags};
pub use fleetdns_core::Limits;
pub use locate::Whereabouts;
pub use outside::Outside;
pub use probing::Probe;
pub use raw::{Raw, RawValue, Section};
pub use settings::{Admin, Brakes, LogFormat, Socket};
pub use zones::ZoneConfig;

use fault::sort;
pub(crate) use fault::suggestion;
use reader::Reader;

/// What a configuration means.
#[derive(Debug, Clone)]
pub struct Config {
    /// The fleet.
    pub fleet: Fleet,
    /// Zones that are written, at least one, in the order of the file.
    pub zones: Vec<ZoneConfig>,
    /// Members of the fleet, at least one, in the order of the file.
    pub members: Vec<MemberConfig>,
    /// Probing.
    pub probe: Probe,
    /// What a plan has to pass.
    pub brakes: Brakes,
    /// How much one tenant may have.
    pub limits: Limits,
    /// Which namespaces may ask for which host names.
    pub hostnames: Arc<HostnamePolicy>,
    /// Admin API and log.
    pub admin: Admin,
    /// Which addresses may be published and probed.
    pub addresses: Arc<AddressPolicies>,
    /// What works and may still not be what was meant.
    pub notes: Vec<Fault>,
}

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

impl Config {
    /// Reads the file that the flags name, and all that belongs to it. The default file need not be there: flags and
    /// environment may say all that is needed.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn load_from(flags: &Flags, outside: &Outside<'_>) -> Result<Self, Vec<Fault>> {
        let path = flags.file();
        let file = path.display().to_string();
        let error = match (outside.read)(path) {
            Ok(bytes) => return Self::parse(&file, &bytes, flags, outside),
            Err(error) => error,
        };
        let problem = format!("cannot be read: {error}; -c FILE names another file");
        let missing = Fault::new(&Place::whole(&file), "", "", problem);
        if flags.config.is_some() || error.kind() != std::io::ErrorKind::NotFound {
            return Err(vec![missing]);
        }
        Self::parse(&file, &[], flags, outside).map_err(|faults| [vec![missing], faults].concat())
    }

    /// Reads the text of a file, and all that belongs to it.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn parse(file: &str, bytes: &[u8], flags: &Flags, outside: &Outside<'_>) -> Result<Self, Vec<Fault>> {
        let (raw, mut faults) = Raw::read(file, bytes, &outside.variables);
        match Self::from_raw(file, raw, flags, outside) {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(more) => faults.extend(more),
        }
        sort(&mut faults);
        Err(faults)
    }

    /// From what was written to what it means.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn from_raw(
        file: &str,
        mut raw: Raw,
        flags: &Flags,
        outside: &Outside<'_>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut notes = Vec::new();
        flags.apply(&mut raw, &mut faults);
        unknown::find(&raw, &mut faults);
        let fleet = fleet(&mut Reader::new(&raw, "fleet", file, &mut faults), outside);
        let zones = zones::read(&mut raw, file, fleet.as_ref(), outside, &mut faults, &mut notes);
        if let Some(fleet) = &fleet {
            check_template(fleet, &zones, &mut Reader::new(&raw, "fleet", file, &mut faults));
        }
        let mut probe = probing::probe(&mut Reader::new(&raw, "probe", file, &mut faults), outside);
        let members = members::read(&raw, file, outside, &mut probe, &mut faults);
        let priorities = Arc::new(members::priorities(&raw, &mut faults));
        let with_priorities = |mut zone: ZoneConfig| {
            zone.settings.priorities = Arc::clone(&priorities);
            zone
        };
        let zones: Vec<ZoneConfig> = zones.into_iter().map(with_priorities).collect();
        let mut brakes = settings::brakes(&mut Reader::new(&raw, "brakes", file, &mut faults));
        let hostnames = Arc::new(hostnames::policy(&raw, &zones, &mut faults));
        let with_policy = |mut zone: ZoneConfig| {
            zone.settings.policy = Arc::clone(&hostnames);
            zone
        };
        let zones: Vec<ZoneConfig> = zones.into_iter().map(with_policy).collect();
        let limits = limits::limits(&mut Reader::new(&raw, "limits", file, &mut faults));
        brakes.brakes.max_addresses = limits.addresses;
        probe.settings.namespace_rate =
            limits::namespace_rate(&mut Reader::new(&raw, "limits", file, &mut faults))
                .unwrap_or(probe.settings.namespace_rate);
        let admin = settings::admin(&mut Reader::new(&raw, "admin", file, &mut faults), outside);
        let addresses = Arc::new(addresses::read(&raw, file, &zones, &admin, &mut faults));
        sort(&mut faults);
        sort(&mut notes);
        match fleet {
            Some(fleet) if faults.is_empty() => {
                Ok(Self { fleet, zones, members, probe, brakes, limits, hostnames, admin, addresses, notes })
            }
            _ => Err(faults),
        }
    }
}

fn fleet(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Option<Fleet> {
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

const TTL_RIGHT: &str = "a TTL; seconds from 1 to 2147483647 or a duration such as 5m is";

fn check_template(fleet: &Fleet, zones: &[ZoneConfig], reader: &mut Reader<'_>) {
    let Some(template) = &fleet.template else { return };
    let sample = template.replace("{name}", "name").replace("{namespace}", "namespace");
    let problem = if sample.contains(['{', '}']) {
        "has another placeholder than {name}, {namespace} and {fleet}".to_owned()
    } else if !template.contains("{name}") {
        "has no {name}, so that all Services would have one name; for example {name}.{namespace}.example.com"
            .to_owned()
    } else {
        match sample.parse::<DnsName>() {
            Err(error) => format!("gives no name, such as '{sample}': {error}"),
            Ok(name) if !zones.is_empty() && !zones.iter().any(|zone| name.is_below(&zone.settings.zone)) => {
                "gives names that lie in none of the zones; let it end in one".to_owned()
            }
            Ok(_) => return,
        }
    };
    reader.fault("name-template", problem);
}
