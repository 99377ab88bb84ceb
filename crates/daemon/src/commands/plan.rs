//! `fleetdns plan`: what would change, once, without a daemon.

use std::collections::BTreeSet;
use std::process::ExitCode;

use fleetdns_core::adopt::adopt;
use fleetdns_core::simulate::Report;
use fleetdns_core::{Plan, Planner, Scope, approve};

use super::{CommandError, load, show};
use crate::cli::Format;
use crate::config::Flags;
use crate::intents::{Clock, standing};
use crate::registry::Registry;

/// Exit code when there is something to change.
const CHANGES: u8 = 2;

/// Lists the clusters, probes every endpoint, lists the zones, and prints the plan that the brakes let through.
///
/// # Errors
/// When the config has faults or a zone cannot be listed.
pub async fn plan(flags: &Flags, format: Format) -> Result<ExitCode, CommandError> {
    // Exit code 2 means changes here, so that a bad config is an error like any other.
    let config = load(flags).map_err(|error| {
        error.print();
        CommandError::Failed("the config has faults".to_owned())
    })?;
    crate::cli::log(config.admin.log, "warn");
    let configured: BTreeSet<_> = config.members.iter().map(|member| member.name.clone()).collect();
    let mut registry = Registry::new();
    let mut zones = Vec::new();
    let mut adopted = Vec::new();
    for zone in &config.zones {
        let provider = registry.connect(zone).map_err(CommandError::Config)?;
        let listing = provider.list().await.map_err(|error| CommandError::failed(&error))?;
        adopted.extend(adopt(&zone.settings, &listing.observed, &configured));
        zones.push((zone, provider.capabilities(), listing));
    }
    // A cluster that cannot be listed stands as the zones say it was.
    let snapshot =
        fleetdns_watch::list_once(&config.member_configs(), &config.watch_settings(), adopted).await;
    let probed = fleetdns_probe::round(config.probe_settings(), &snapshot).await;
    let health = probed.map_err(|error| CommandError::failed(&error))?;

    let observed = zones.iter().map(|(_, _, listing)| &listing.observed);
    let intents = standing(config.fleet.state_dir.as_deref(), observed, Clock::system().now());
    let intents = intents.map_err(|error| CommandError::failed(&error))?;

    let brakes = &config.brakes.brakes;
    let mut report = Report::default();
    let mut plans: Vec<Plan> = Vec::new();
    for (zone, capabilities, listing) in zones {
        let mut planner = Planner::new(zone.settings.clone(), capabilities, brakes.clone());
        planner.update(&snapshot, &health);
        planner.heed(&intents);
        planner.assume_probed();
        let approved = approve(planner.plan(&Scope::All, &listing.observed), brakes);
        report.add(approved.plan());
        report.desired.extend(planner.desired(&listing.observed).iter().map(Into::into));
        plans.push(approved.plan().clone());
    }
    show(format, &report, |out| plans.iter().try_for_each(|plan| write!(out, "{plan}")))?;
    let changes = plans.iter().any(|plan| !plan.is_empty());
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}
