//! The flags of `kubefed init` that say what a section of the file may say too.

#![allow(rustdoc::broken_intra_doc_links, reason = "help for a terminal, where brackets are not links")]

use std::path::{Path, PathBuf};

use clap::Args;
use fleetdns_core::DnsName;

use super::fault::{Fault, Place};
use super::raw::{Raw, RawValue, Section};

/// Where the file is when no flag says so.
pub const DEFAULT_FILE: &str = "/etc/fleetdns/dns.conf";

/// Flags with the names that they have in kubefed. What a flag says wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Flags {
    /// Configuration file [default: /etc/fleetdns/dns.conf, which need not exist where flags and environment say enough].
    #[arg(long = "dns-provider-config", visible_alias = "config", short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the fleet; [fleet] name in the file.
    #[arg(long, value_name = "NAME")]
    pub federation_name: Option<String>,
    /// A zone to write; [zone "NAME"] in the file.
    #[arg(long, visible_alias = "zone-name", value_name = "ZONE")]
    pub dns_zone_name: Option<String>,
    /// The provider's id of the zone; zone-id in the file.
    #[arg(long, value_name = "ID")]
    pub zone_id: Option<String>,
    /// Who serves the zone: coredns, embedded, azure-azuredns, ...; provider in the file.
    #[arg(long, value_name = "PROVIDER")]
    pub dns_provider: Option<String>,
    /// What federation names end in, unless it is the zone; suffix in the file.
    #[arg(long, value_name = "SUFFIX")]
    pub service_dns_suffix: Option<String>,
}

const NAME: &str = "--federation-name";
const ZONE: &str = "--dns-zone-name";
const ZONE_ID: &str = "--zone-id";
const PROVIDER: &str = "--dns-provider";
const SUFFIX: &str = "--service-dns-suffix";

impl Flags {
    /// The configuration file: the one that is named, or the default one.
    pub fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// Writes what the flags say over what the file says.
    pub(super) fn apply(&self, raw: &mut Raw, faults: &mut Vec<Fault>) {
        if let Some(name) = &self.federation_name {
            let index = position(raw, "fleet", None, NAME);
            set(raw, index, "name", name, NAME);
        }
        let zone = self.zone(raw);
        for (key, value, flag) in [
            ("provider", &self.dns_provider, PROVIDER),
            ("suffix", &self.service_dns_suffix, SUFFIX),
            ("zone-id", &self.zone_id, ZONE_ID),
        ] {
            match (value, zone) {
                (Some(value), Some(index)) => set(raw, index, key, value, flag),
                // `zones` of kubefed's file names them.
                (Some(value), None) if key == "provider" && raw.of_kind("zone").next().is_none() => {
                    let index = position(raw, "global", None, flag);
                    set(raw, index, key, value, flag);
                }
                (Some(_), None) => {
                    let problem = format!("does not say which zone is meant; add {ZONE}");
                    faults.push(Fault::new(&Place::whole(flag), "", "", problem));
                }
                (None, _) => {}
            }
        }
    }

    /// The section of the zone that the flags are about: the one they name, or the only one there is.
    fn zone(&self, raw: &mut Raw) -> Option<usize> {
        if let Some(zone) = &self.dns_zone_name {
            return Some(position(raw, "zone", Some(zone), ZONE));
        }
        let mut zones = raw.sections.iter().enumerate().filter(|(_, section)| section.kind == "zone");
        match (zones.next(), zones.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }
}

/// The section, added if it is not there; the label of a zone is compared as a name.
fn position(raw: &mut Raw, kind: &str, label: Option<&str>, flag: &str) -> usize {
    let name =
        |label: &str| label.parse::<DnsName>().map_or_else(|_| label.to_owned(), |name| name.to_string());
    let desired = label.map(name);
    let same = |section: &Section| section.kind == kind && section.label.as_deref().map(name) == desired;
    raw.sections.iter().position(same).unwrap_or_else(|| {
        raw.sections.push(Section::new(kind, label, Place::whole(flag)));
        raw.sections.len() - 1
    })
}

fn set(raw: &mut Raw, index: usize, key: &str, value: &str, flag: &str) {
    let value = RawValue { text: value.to_owned(), at: Place::whole(flag) };
    if let Some(section) = raw.sections.get_mut(index) {
        section.values.insert(key.to_owned(), value);
    }
}
