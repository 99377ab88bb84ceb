//! `fleetdns plan`: what would change, once, without a daemon.

use std::collections::BTreeSet;
use std::io::Write;

use fleetdns_core::{Capabilities, Inventory, Listing, MemberName, MemberView, Overrides, Plan, Snapshot};
use fleetdns_planner::Input;
use fleetdns_planner::adopt::adopt;
use fleetdns_planner::simulate::Report;
use futures::FutureExt;
use futures::future::join_all;
use serde::Serialize;

use crate::args::Format;
use crate::error::{CommandError, Exit};
use crate::output::show;
use crate::progress::Progress;
use fleetdns_daemon::config::{Config, Flags, ZoneConfig};
use fleetdns_daemon::overrides::effect::count;
use fleetdns_daemon::overrides::{Clock, standing};
use fleetdns_daemon::registry::Registry;

/// What is printed.
#[derive(Debug, Default, Serialize)]
struct Printed {
    #[serde(flatten)]
    report: Report,
    /// What could not be read, so that the plan is not the whole one.
    incomplete: Vec<Unread>,
    #[serde(skip)]
    plans: Vec<Plan>,
}

/// A cluster, a zone or a file that could not be read.
#[derive(Debug, Serialize)]
struct Unread {
    what: String,
    reason: String,
}

type Listed<'a> = (&'a ZoneConfig, Capabilities, Listing);

/// Lists the clusters, probes every endpoint, lists the zones, and prints the plan that the brakes let through.
///
/// Exit code 0 and 2 are only said of a whole plan: with a cluster or a zone that could not be read it is 1.
///
/// # Errors
/// When the config has faults.
pub async fn plan(flags: &Flags, format: Format) -> Result<Exit, CommandError> {
    let config = Config::load(flags).map_err(CommandError::Config).map_err(bad_config)?;
    let _ = crate::log::start(config.admin.log, tracing::Level::WARN);
    let configured: BTreeSet<_> = config.members.iter().map(|member| member.name.clone()).collect();
    let mut printed = Printed::default();
    let progress = Progress::start("reading zones", config.zones.len());
    let zones = list(&config, &mut printed, &progress).await?;
    let adopted: Vec<MemberView> = zones
        .iter()
        .flat_map(|(zone, _, listing)| adopt(&zone.settings, &listing.observed, &configured))
        .collect();
    let source = |reason: &String| Unread { what: "discovery".to_owned(), reason: reason.clone() };
    printed.incomplete.extend(config.source_faults.iter().map(source));
    progress.stage(&format!("listing {}", count(config.members.len(), "cluster")));
    // A cluster that cannot be listed stands as the zones say it was.
    let snapshot = fleetdns_watch::list_once(&config.members(), adopted).await;
    printed.incomplete.extend(configured.iter().filter_map(|name| unread(name, &snapshot)));
    progress.stage(&format!("probing {}", count(endpoints(&snapshot), "endpoint")));
    let probed = fleetdns_probe::sweep(config.probe_settings(), &snapshot).await;
    drop(progress);
    let health = probed.map_err(|error| CommandError::failed(&error))?;

    let observed = zones.iter().map(|(_, _, listing)| &listing.observed);
    let overrides = standing(config.fleet.state_dir.as_deref(), observed, Clock::system().now());
    let overrides = overrides.unwrap_or_else(|error| {
        let reason = fleetdns_daemon::chain(&error);
        printed.incomplete.push(Unread { what: "drained and forced".to_owned(), reason });
        Overrides::default()
    });
    let input = Input::new(&snapshot, &health, &overrides);
    for (zone, capabilities, listing) in zones {
        let zone = (&zone.settings, &capabilities, &config.brakes.brakes);
        printed.plans.push(printed.report.add_zone(zone, &input, &listing.observed));
    }
    show(format, &printed, |out| {
        printed.plans.iter().try_for_each(|plan| write!(out, "{plan}"))?;
        let lines = &mut printed.incomplete.iter();
        lines.try_for_each(|Unread { what, reason }| writeln!(out, "incomplete: {what}: {reason}"))
    })?;
    let changes = printed.plans.iter().any(|plan| !plan.is_empty());
    Ok(match (printed.incomplete.is_empty(), changes) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Changes,
        (true, false) => Exit::Done,
    })
}

/// Exit code 2 means changes here, so that a bad config is an error like any other.
fn bad_config(error: CommandError) -> CommandError {
    error.print();
    CommandError::Failed("the config has faults".to_owned())
}

/// Lists every zone, side by side; one that cannot be listed is left out of the plan.
async fn list<'a>(
    config: &'a Config,
    printed: &mut Printed,
    progress: &Progress,
) -> Result<Vec<Listed<'a>>, CommandError> {
    let registry = Registry::new();
    let mut providers = Vec::new();
    for zone in &config.zones {
        let provider = zone.connect(&registry).map_err(|faults| bad_config(CommandError::Config(faults)))?;
        providers.push((zone, provider));
    }
    let listings =
        join_all(providers.iter().map(|(_, provider)| provider.list().inspect(|_| progress.step()))).await;
    let mut listed = Vec::new();
    for ((zone, provider), listing) in providers.iter().zip(listings) {
        match listing {
            Ok(listing) => listed.push((*zone, provider.capabilities(), listing)),
            Err(error) => printed.incomplete.push(Unread {
                what: format!("zone {}", zone.settings.zone),
                reason: fleetdns_daemon::chain(&error),
            }),
        }
    }
    Ok(listed)
}

fn endpoints(snapshot: &Snapshot) -> usize {
    let services = snapshot.members.values().flat_map(|member| member.services.values());
    services.map(|service| service.addresses.iter().flatten().count()).sum()
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
