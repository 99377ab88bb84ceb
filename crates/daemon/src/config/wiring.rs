//! From this process's surroundings to a [`Config`], and from there to what the other crates take.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use fleetdns_core::Guard;
use fleetdns_planner::PublishSettings;
use fleetdns_probe::ProbeSettings;
use fleetdns_watch::{MemberConfig, WatchSettings};

use super::fault::sort;
use super::{Config, Fault, Flags, Outside, absent, exposed};

impl Config {
    /// Reads the file that the flags name, with this process's environment and files.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn load(flags: &Flags) -> Result<Self, Vec<Fault>> {
        let contexts = |files: &[std::path::PathBuf]| {
            fleetdns_watch::contexts(files).map_err(|error| crate::chain(&error))
        };
        let outside = Outside::system(&contexts);
        let mode = |path: &Path| std::fs::metadata(path).ok().map(|found| found.permissions().mode());
        match Self::load_from(flags, &outside) {
            Ok(mut config) => {
                config.notes.extend(exposed::files(flags.file(), &outside, mode));
                Ok(config)
            }
            Err(mut faults) => {
                faults.extend(absent::files(flags.file(), &outside));
                sort(&mut faults);
                Err(faults)
            }
        }
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

    /// How endpoints are probed.
    pub fn probe_settings(&self) -> ProbeSettings {
        ProbeSettings {
            correlation_hold: self.brakes.correlation_hold,
            addresses: Arc::clone(&self.addresses),
            ..self.probe.settings.clone()
        }
    }

    /// Members as they are watched.
    pub fn member_configs(&self) -> Vec<MemberConfig> {
        self.members.clone()
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
