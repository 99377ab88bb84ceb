//! What has to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_tests::conf::ZONE;
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Mode;
use tokio::task::JoinHandle;

use super::stores::{AZURE_ZONE, BIND_ZONE, in_azure, is_answer, name_in};
use super::world::{TOGGLED, Wanted, World};

impl World {
    /// What DNS has to hold: the living addresses of each Service, and none that is forced out.
    fn expected(&self) -> BTreeMap<&String, BTreeSet<String>> {
        let living = |wanted: &Wanted| -> BTreeSet<String> {
            let places = wanted.0.iter().enumerate().filter_map(|(cluster, at)| Some((cluster, (*at)?)));
            let living = places.filter(|(cluster, at)| self.endpoints[*cluster][*at].mode() == Mode::Ok);
            living.map(|(cluster, at)| self.address(cluster, at)).collect()
        };
        let forced = (self.forced_out == Some(true)).then(|| self.toggled_address());
        let expected = self.services.iter().map(|(service, wanted)| {
            let mut addresses = living(wanted);
            addresses.retain(|address| Some(address) != forced.as_ref());
            (service, addresses)
        });
        expected.collect()
    }

    /// The first thing that is not as it has to be.
    pub(super) async fn difference(&self) -> Result<(), String> {
        let expected = self.expected();
        for zone in [ZONE, BIND_ZONE, AZURE_ZONE] {
            let known = |part: &str| self.services.contains_key(part);
            let found = self.stores.found(&self.fleet.dns, zone, self.services.keys(), known).await?;
            for (service, addresses) in &expected {
                let name = name_in(zone, service);
                if found.get(&name) != Some(addresses) {
                    return Err(format!("{name}: {:?}, not {addresses:?}", found.get(&name)));
                }
            }
        }
        Ok(())
    }

    /// Prints what is wrong, and each daemon's explanation.
    pub(super) async fn explain(&self, difference: Option<&String>) {
        let Some(difference) = difference else { return };
        let name = difference.split(':').next().unwrap_or_default();
        eprintln!("{difference}");
        for daemon in &self.daemons {
            let why = daemon.command(&["why", name]).await;
            eprintln!("{}{}", why.out, why.err);
        }
    }

    /// Asks for the Services that nobody changes, again and again; ends with what was missing.
    pub(super) fn watch_steady(&self) -> JoinHandle<String> {
        let steady = self.expected().into_iter();
        let steady = steady.filter(|(service, _)| service.starts_with("steady") && *service != TOGGLED);
        let steady: Vec<(String, BTreeSet<String>)> =
            steady.map(|(service, addresses)| (service.clone(), addresses)).collect();
        let servers = [(ZONE, self.fleet.server()), (BIND_ZONE, self.stores.bind.address())];
        let azure = Arc::clone(&self.stores.azure);
        tokio::spawn(async move {
            loop {
                for (service, addresses) in &steady {
                    for (zone, server) in servers {
                        let name = name_in(zone, service);
                        // No answer says nothing.
                        let Ok(answer) = dns::query(server, &name, "A").await else { continue };
                        if is_answer(&answer) && !answer.values("A").is_superset(addresses) {
                            return format!("{name} lost an address that lives: {answer}");
                        }
                    }
                    let found = in_azure(&azure, service);
                    if !found.is_superset(addresses) {
                        return format!("{service} lost an address that lives in Azure: {found:?}");
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }
}
