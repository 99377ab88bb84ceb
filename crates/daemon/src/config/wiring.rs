//! From this process's surroundings to a [`Config`], and from there to what the other crates take.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetdns_core::{Guard, MemberName};
use fleetdns_planner::PublishSettings;
use fleetdns_probe::ProbeSettings;
use fleetdns_watch::{Members, WatchSettings};

use super::fault::sort;
use super::files::Seen;
use super::{Config, Fault, Flags, Loaded, Outside, absent, exposed};

fn contexts(files: &[PathBuf]) -> Result<Vec<String>, String> {
    fleetdns_watch::contexts(files).map_err(|error| crate::chain(&error))
}

impl Loaded {
    /// Reads the file that the flags name, with this process's environment and files.
    pub fn of(flags: &Flags) -> Self {
        let seen = Seen::default();
        let read = |path: &Path| seen.read(path);
        let list = |path: &Path| seen.list(path);
        let outside = Outside { read: &read, list: &list, ..Outside::system(&contexts) };
        let mode = |path: &Path| std::fs::metadata(path).ok().map(|found| found.permissions().mode());
        let config = match Config::load_from(flags, &outside) {
            Ok(mut config) => {
                config.notes.extend(exposed::files(flags.file(), &outside, mode));
                Ok(config)
            }
            Err(mut faults) => {
                faults.extend(absent::files(flags.file(), &outside));
                sort(&mut faults);
                Err(faults)
            }
        };
        Self { config, files: seen.into_stamps() }
    }
}

impl Config {
    /// Reads the file that the flags name, with this process's environment and files.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn load(flags: &Flags) -> Result<Self, Vec<Fault>> {
        Loaded::of(flags).config
    }

    /// Reads a text as what the file may become, with this process's environment and files.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn of_text(file: &Path, bytes: &[u8], flags: &Flags) -> Result<Self, Vec<Fault>> {
        Self::parse(&file.display().to_string(), bytes, flags, &Outside::system(&contexts))
    }

    /// What reading a Service depends on.
    pub fn publish_settings(&self) -> PublishSettings {
        let zone = |zone: &super::ZoneConfig| (zone.settings.zone.clone(), zone.settings.suffix.clone());
        PublishSettings {
            fleet: self.fleet.federation_names.then(|| self.fleet.name.clone()),
            zones: self.zones.iter().map(zone).collect(),
            template: self.fleet.template.clone(),
            namespaces: self.fleet.namespaces.clone(),
            probe: self.probe.defaults.clone(),
            limits: self.limits,
            policy: Arc::clone(&self.hostnames),
            addresses: Arc::clone(&self.addresses),
            guard: Guard::Fleet,
        }
    }

    /// The members, and how they are watched.
    pub fn members(&self) -> Members {
        Members {
            members: self.members.clone(),
            settings: self.watch_settings(),
            completeness: self.completeness,
        }
    }

    /// Where each member comes from.
    pub fn origins(&self) -> BTreeMap<MemberName, String> {
        self.members.iter().map(|member| (member.name.clone(), member.origin.to_string())).collect()
    }

    /// How endpoints are probed.
    pub fn probe_settings(&self) -> ProbeSettings {
        ProbeSettings {
            correlation_hold: self.brakes.correlation_hold,
            addresses: Arc::clone(&self.addresses),
            ..self.probe.settings.clone()
        }
    }

    /// How members are watched.
    pub fn watch_settings(&self) -> WatchSettings {
        WatchSettings {
            publish: self.publish_settings(),
            selector: self.fleet.selector.clone(),
            startup_timeout: self.brakes.startup_timeout,
            grace: self.brakes.grace,
            hostname_grace: self.brakes.hostname_grace,
            ..WatchSettings::default()
        }
    }
}
