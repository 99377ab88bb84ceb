//! What the zones and the clusters say at this moment, once, without a daemon.

use std::collections::BTreeSet;

use fleetdns_core::{
    Inventory, Listing, MemberName, MemberView, Observed, Outcome, Overrides, Plan, Provider, Snapshot,
    approve,
};
use fleetdns_planner::adopt::adopt;
use futures::FutureExt;
use futures::future::join_all;
use serde::Serialize;

use crate::error::CommandError;
use crate::progress::Progress;
use fleetdns_daemon::config::{Config, ZoneConfig};
use fleetdns_daemon::overrides::effect::count;
use fleetdns_daemon::overrides::{Clock, standing};
use fleetdns_daemon::registry::Registry;

/// A cluster, a zone or a file that could not be read.
#[derive(Debug, Serialize)]
pub(crate) struct Unread {
    pub(crate) what: String,
    pub(crate) reason: String,
}

/// A zone that was read.
pub(crate) struct Zone<'a> {
    pub(crate) config: &'a ZoneConfig,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) listing: Listing,
}

/// Lists zones, side by side; one that cannot be listed is left out.
pub(crate) async fn zones<'a>(
    zones: &'a [ZoneConfig],
    incomplete: &mut Vec<Unread>,
    progress: &Progress,
) -> Result<Vec<Zone<'a>>, CommandError> {
    let registry = Registry::new();
    let mut providers = Vec::new();
    for zone in zones {
        providers.push((zone, zone.connect(&registry).map_err(CommandError::Config)?));
    }
    let listings =
        join_all(providers.iter().map(|(_, provider)| provider.list().inspect(|_| progress.step()))).await;
    let mut listed = Vec::new();
    for ((config, provider), listing) in providers.into_iter().zip(listings) {
        match listing {
            Ok(listing) => listed.push(Zone { config, provider, listing }),
            Err(error) => incomplete.push(Unread {
                what: format!("zone {}", config.settings.zone),
                reason: fleetdns_daemon::chain(&error),
            }),
        }
    }
    Ok(listed)
}

/// What the zones say of the clusters.
pub(crate) fn adopted(config: &Config, zones: &[Zone<'_>]) -> Vec<MemberView> {
    let configured = config.members.iter().map(|member| member.name.clone()).collect();
    let of = |zone: &Zone<'_>| adopt(&zone.config.settings, &zone.listing.observed, &configured);
    zones.iter().flat_map(of).collect()
}

/// Lists the clusters. One that cannot be listed, or suddenly has much less, stands as it was adopted.
pub(crate) async fn clusters(
    config: &Config,
    adopted: Vec<MemberView>,
    incomplete: &mut Vec<Unread>,
    progress: &Progress,
) -> Snapshot {
    let configured: BTreeSet<_> = config.members.iter().map(|member| member.name.clone()).collect();
    let source = |reason: &String| Unread { what: "discovery".to_owned(), reason: reason.clone() };
    incomplete.extend(config.source_faults.iter().map(source));
    progress.stage(&format!("listing {}", count(config.members.len(), "cluster")));
    let snapshot = fleetdns_watch::list_once(&config.members(), adopted).await;
    incomplete.extend(configured.iter().filter_map(|name| unread(name, &snapshot)));
    snapshot
}

/// Why a cluster is not as its API says at this moment; `None` when it is.
fn unread(name: &MemberName, snapshot: &Snapshot) -> Option<Unread> {
    let member = snapshot.members.get(name);
    if member.is_some_and(|member| member.inventory == Inventory::Live) {
        return None;
    }
    let fault = member.and_then(|member| member.fault.as_deref()).unwrap_or("it was not listed");
    Some(Unread { what: format!("cluster {name}"), reason: fault.to_owned() })
}

/// The overrides in force.
pub(crate) fn overrides<'a>(
    config: &Config,
    observed: impl Iterator<Item = &'a Observed>,
    incomplete: &mut Vec<Unread>,
) -> Overrides {
    let overrides = standing(config.fleet.state_dir.as_deref(), observed, Clock::system().now());
    overrides.unwrap_or_else(|error| {
        let reason = fleetdns_daemon::chain(&error);
        incomplete.push(Unread { what: "drained and forced".to_owned(), reason });
        Overrides::default()
    })
}

/// A name that was not written as it was planned.
#[derive(Debug, Serialize)]
pub(crate) struct Unwritten {
    name: String,
    reason: String,
}

/// What became of a plan that an operator asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Applied {
    /// How many names were written.
    written: usize,
    /// The others.
    pub(crate) unwritten: Vec<Unwritten>,
}

impl Applied {
    /// Writes a plan, and takes in what became of it.
    pub(crate) async fn apply(&mut self, provider: &dyn Provider, plan: Plan, config: &Config) {
        for (name, outcome) in provider.apply(&approve(plan, &config.brakes.brakes)).await.names {
            let reason = match outcome {
                Outcome::Done(_) => {
                    self.written += 1;
                    continue;
                }
                Outcome::Conflict => "it has changed since it was read; run this again".to_owned(),
                Outcome::Failed(error) => fleetdns_daemon::chain(&error),
                Outcome::Incomplete { problem } => format!("done by half: {problem}; run this again"),
                Outcome::NotTried => "not tried, as the zone failed before; run this again".to_owned(),
            };
            self.unwritten.push(Unwritten { name: name.to_string(), reason });
        }
    }
}

/// For people.
impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Unwritten { name, reason } in &self.unwritten {
            writeln!(f, "not written: {name}: {reason}")?;
        }
        writeln!(f, "{} written", count(self.written, "name"))
    }
}
