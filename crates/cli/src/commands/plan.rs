//! `fleetdns plan`: what would change, once, without a daemon.

use std::io::Write;

use fleetdns_core::{Plan, Snapshot};
use fleetdns_planner::Input;
use fleetdns_planner::simulate::Report;
use serde::Serialize;

use super::survey::{self, Unread};
use crate::args::Format;
use crate::error::{CommandError, Exit};
use crate::output::show;
use crate::progress::Progress;
use fleetdns_daemon::config::{Config, Flags};
use fleetdns_daemon::overrides::effect::count;

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

/// Lists the clusters, probes every endpoint, lists the zones, and prints the plan that the brakes let through.
///
/// Exit code 0 and 2 are only said of a whole plan: with a cluster or a zone that could not be read it is 1.
///
/// # Errors
/// When the config has faults.
pub async fn plan(flags: &Flags, format: Format) -> Result<Exit, CommandError> {
    let mut config = Config::load(flags).map_err(CommandError::Config).map_err(bad_config)?;
    config.discover().await;
    let _ = crate::log::start(config.admin.log, tracing::Level::WARN);
    let mut printed = Printed::default();
    let incomplete = &mut printed.incomplete;
    let progress = Progress::start("reading zones", config.zones.len());
    let zones = survey::zones(&config.zones, incomplete, &progress).await.map_err(bad_config)?;
    let adopted = survey::adopted(&config, &zones);
    let snapshot = survey::clusters(&config, adopted, incomplete, &progress).await;
    progress.stage(&format!("probing {}", count(endpoints(&snapshot), "endpoint")));
    let probed = fleetdns_probe::sweep(config.probe_settings(), &snapshot).await;
    drop(progress);
    let health = probed.map_err(|error| CommandError::failed(&error))?;

    let overrides = survey::overrides(&config, zones.iter().map(|zone| &zone.listing.observed), incomplete);
    let input = Input::new(&snapshot, &health, &overrides);
    for zone in zones {
        let settings = (&zone.config.settings, &zone.provider.capabilities(), &config.brakes.brakes);
        printed.plans.push(printed.report.add_zone(settings, &input, &zone.listing.observed));
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

fn endpoints(snapshot: &Snapshot) -> usize {
    let services = snapshot.members.values().flat_map(|member| member.services.values());
    services.map(|service| service.addresses.iter().flatten().count()).sum()
}
