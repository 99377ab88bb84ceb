//! What differs between two configurations.

use fleetdns_watch::MemberConfig;

use super::{Config, HaEngine, ZoneConfig};

impl Config {
    /// What another configuration changes, for people.
    pub(crate) fn differences(&self, new: &Self) -> Vec<String> {
        let old = self;
        let mut all = Vec::new();
        let mut say =
            |what: &str, name: &dyn std::fmt::Display, verb: &str| all.push(format!("{what} {name} {verb}"));
        for member in &new.members {
            match old.members.iter().find(|one| one.name == member.name) {
                None => say("cluster", &member.name, "added"),
                Some(before) if before != member => say("cluster", &member.name, "changed"),
                Some(_) => {}
            }
        }
        for gone in old.members.iter().filter(|one| new.members.iter().all(|member| member.name != one.name))
        {
            say("cluster", &gone.name, "removed");
        }
        for zone in &new.zones {
            match old.zones.iter().find(|one| one.settings.zone == zone.settings.zone) {
                None => say("zone", &zone.settings.zone, "added"),
                Some(before) if before != zone => say("zone", &zone.settings.zone, "changed"),
                Some(_) => {}
            }
        }
        let stays =
            |zone: &ZoneConfig| new.zones.iter().any(|other| other.settings.zone == zone.settings.zone);
        for gone in old.zones.iter().filter(|zone| !stays(zone)) {
            say("zone", &gone.settings.zone, "removed");
        }
        let parts = [
            ("[fleet]", old.fleet != new.fleet),
            ("[probe]", old.probe != new.probe),
            ("[brakes]", old.brakes != new.brakes),
            ("[admin] log-level", old.admin.level != new.admin.level),
            ("[limits]", old.limits != new.limits),
            ("[kubernetes]", old.kubernetes != new.kubernetes),
            ("[hostnames]", old.hostnames != new.hostnames),
            ("address-allow and address-deny", old.addresses != new.addresses),
        ];
        all.extend(parts.iter().filter(|(_, changed)| *changed).map(|(part, _)| format!("{part} changed")));
        all
    }

    /// Whether another configuration names less than half of the clusters.
    pub(crate) fn loses_most(&self, new: &Self) -> bool {
        let gone = |member: &&MemberConfig| new.members.iter().all(|other| other.name != member.name);
        self.members.iter().filter(gone).count() * 2 > self.members.len()
    }

    /// Keys that another configuration changes and that take effect at the next start only.
    pub(crate) fn at_restart(&self, new: &Self) -> Vec<String> {
        let old = self;
        let (a, b) = (&old.admin, &new.admin);
        let keys = [
            ("[admin] listen", a.listen != b.listen),
            ("[admin] hosts", a.hosts != b.hosts),
            ("[admin] metrics", a.metrics != b.metrics),
            ("[admin] socket", a.socket != b.socket),
            ("[admin] log", a.log != b.log),
            ("[admin] audit", a.audit != b.audit),
            ("[ha]", old.ha != new.ha),
            ("[fleet] state-dir", old.fleet.state_dir != new.fleet.state_dir),
        ];
        let keys = keys.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned());
        keys.chain(old.moved_lease(new)).collect()
    }

    /// The cluster that has the lease, when it is reached otherwise. Replicas that took that up one after the other might elect a
    /// leader in two places.
    fn moved_lease(&self, new: &Self) -> Option<String> {
        let HaEngine::Lease { cluster, .. } = &self.ha.as_ref()?.engine else { return None };
        let access = |config: &Self| {
            config.members.iter().find(|member| member.name == *cluster).map(|member| member.access.clone())
        };
        (access(self) != access(new)).then(|| format!("[cluster \"{cluster}\"] for the lease of [ha]"))
    }
}
