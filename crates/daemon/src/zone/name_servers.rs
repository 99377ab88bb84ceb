//! The name servers that all zones name: one of them may lie in another zone of this daemon, where nobody may have its
//! name either.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{DnsName, Observed};
use tokio::sync::watch;

use super::ZoneTask;
use fleetdns_planner::Scope;

type ByZone = BTreeMap<DnsName, BTreeSet<DnsName>>;

/// The name servers that the NS records of each zone name, shared by the tasks of all zones.
#[derive(Debug, Clone)]
pub struct NameServers {
    sender: watch::Sender<ByZone>,
    receiver: watch::Receiver<ByZone>,
}

impl Default for NameServers {
    fn default() -> Self {
        let (sender, receiver) = watch::channel(ByZone::new());
        Self { sender, receiver }
    }
}

impl NameServers {
    /// Says which name servers a zone names, in place of what was said of it before.
    pub(crate) fn set(&self, zone: &DnsName, servers: &BTreeSet<DnsName>) {
        self.sender.send_if_modified(|all| {
            let differs = all.get(zone).map_or(!servers.is_empty(), |before| before != servers);
            if differs {
                all.insert(zone.clone(), servers.clone());
            }
            differs
        });
    }

    /// Returns when a zone names others.
    pub(super) async fn changed(&mut self) {
        // A sender is kept here.
        let _ = self.receiver.changed().await;
    }

    /// Adds those of the other zones to a listing.
    pub(super) fn add_to(&self, observed: &mut Observed) {
        observed.set_name_servers(self.receiver.borrow().values().flatten().cloned().collect());
    }
}

impl ZoneTask {
    /// Looks at all names again when another zone names other name servers.
    pub(super) fn take_name_servers(&mut self) {
        let Some(observed) = &mut self.observed else { return };
        let before = observed.name_servers().clone();
        self.name_servers.add_to(observed);
        if before != *observed.name_servers() {
            self.scope.extend(Scope::All);
            let observed = observed.clone();
            self.status.send_modify(|status| status.observed = Some(observed));
        }
    }
}
