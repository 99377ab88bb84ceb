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
mod differences;
mod directory;
mod discovery;
mod draft;
pub mod edit;
mod exposed;
mod fault;
mod files;
mod flags;
mod fleet;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod ha;
mod hostnames;
mod ini;
mod limits;
mod locate;
mod members;
mod membership;
mod outside;
mod parse;
mod probing;
mod raw;
mod reader;
mod remote;
pub mod schema;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod unknown;
mod wiring;
mod zones;

use std::sync::Arc;

use fleetdns_core::{AddressPolicies, DnsName, HostnamePolicy};
use fleetdns_watch::{Completeness, MemberConfig};

pub use draft::{Draft, DraftError};
pub use fault::{Fault, Place};
pub use flags::{DEFAULT_FILE, Flags};
pub use fleet::Fleet;
pub use fleetdns_core::Limits;
pub use ha::{Ha, HaEngine};
pub use locate::Whereabouts;
pub use outside::{DirectoryFile, Outside};
pub use probing::Probe;
pub use raw::{Raw, RawValue, Section};
pub use settings::{Admin, Brakes, LogFormat, Socket};
pub use zones::ZoneConfig;

pub(crate) use files::{Stamps, stamp};
pub(crate) use remote::{Heard, Remote};

use crate::kubernetes;
use fault::sort;
use membership::Listing;
use reader::Reader;

/// What a configuration means.
#[derive(Debug, Clone)]
pub struct Config {
    /// The fleet.
    pub fleet: Fleet,
    /// Zones that are written, at least one, in the order of the file.
    pub zones: Vec<ZoneConfig>,
    /// Members of the fleet: those of `named` in the order of the file, and those of `discovered` by name. Without
    /// `[discovery]` at least one.
    pub members: Vec<MemberConfig>,
    /// Members that the file names.
    named: Vec<MemberConfig>,
    /// What the sources of `[discovery]` say.
    discovered: Vec<Listing>,
    /// Those of these sources that are on host clusters.
    pub(crate) remotes: Vec<Remote>,
    /// What is wrong with what they say.
    pub source_faults: Vec<String>,
    /// Whether `members` are all.
    pub completeness: Completeness,
    /// Probing.
    pub probe: Probe,
    /// What a plan has to pass.
    pub brakes: Brakes,
    /// How much one tenant may have.
    pub limits: Limits,
    /// Which namespaces may ask for which host names.
    pub hostnames: Arc<HostnamePolicy>,
    /// What is written into the clusters.
    pub kubernetes: kubernetes::Settings,
    /// Several replicas; `None`: there is one.
    pub ha: Option<Ha>,
    /// Admin API and log.
    pub admin: Admin,
    /// Which addresses may be published and probed.
    pub addresses: Arc<AddressPolicies>,
    /// What works and may still not be what was meant.
    pub notes: Vec<Fault>,
}

/// A configuration as it was read, and what it was read from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, Vec<Fault>>,
    /// Files that were asked for, also those that are not there, as they were.
    pub files: Stamps,
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
        let fleet = fleet::read(&mut Reader::new(&raw, "fleet", file, &mut faults), outside);
        let zones = zones::read(&mut raw, file, fleet.as_ref(), outside, &mut faults, &mut notes);
        if let Some(fleet) = &fleet {
            let names: Vec<&DnsName> = zones.iter().map(|zone| &zone.settings.zone).collect();
            fleet::check_template(fleet, &names, &mut Reader::new(&raw, "fleet", file, &mut faults));
        }
        let mut probe = probing::probe(&mut Reader::new(&raw, "probe", file, &mut faults), outside);
        let directory = discovery::directory(&raw, file, outside, &mut faults);
        let named = members::read(&raw, file, outside, &mut probe, &mut faults, discovery::is_used(&raw));
        let remotes = discovery::remotes(&raw, file, &named, outside, &mut faults);
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
        let kubernetes = settings::kubernetes(&mut Reader::new(&raw, "kubernetes", file, &mut faults));
        let ha = ha::read(&raw, file, fleet.as_ref(), &named, outside, &mut faults, &mut notes);
        let addresses = Arc::new(addresses::read(&raw, file, &zones, &admin, &mut faults));
        sort(&mut faults);
        sort(&mut notes);
        match fleet {
            Some(fleet) if faults.is_empty() => {
                let mut config = Self {
                    fleet,
                    zones,
                    members: Vec::new(),
                    named,
                    discovered: directory.into_iter().collect(),
                    remotes,
                    source_faults: Vec::new(),
                    completeness: Completeness::default(),
                    probe,
                    brakes,
                    limits,
                    hostnames,
                    kubernetes,
                    ha,
                    admin,
                    addresses,
                    notes,
                };
                config.hear(&Vec::new());
                config.settle(None, false);
                Ok(config)
            }
            _ => Err(faults),
        }
    }
}
