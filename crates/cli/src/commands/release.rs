//! `fleetdns release-zone`: our ownership records go, and with `--records` the records too.

use std::io::Write;

use fleetdns_core::{DnsName, Plan};
use fleetdns_planner::release;
use fleetdns_planner::simulate::Report;
use serde::Serialize;
use tokio::net::UnixStream;

use super::adopt::owned_by;
use super::check::running;
use super::survey::{self, Applied, Unread};
use crate::args::ReleaseArgs;
use crate::error::{CommandError, Exit};
use crate::output::show;
use crate::progress::Progress;
use fleetdns_daemon::config::Config;

/// What is printed.
#[derive(Debug, Default, Serialize)]
struct Printed {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Applied>,
    #[serde(skip)]
    plan: Option<Plan>,
}

/// Lists one zone, prints what would go, and does it with `--apply`, unless a daemon that runs here would write it back.
///
/// # Errors
/// When the config has faults or not that zone, or the zone cannot be listed.
pub async fn release_zone(args: &ReleaseArgs) -> Result<Exit, CommandError> {
    let config = Config::load(&args.flags).map_err(CommandError::Config)?;
    let _ = crate::log::start(config.admin.log, tracing::Level::WARN);
    let name: DnsName =
        args.zone.parse().map_err(|error| CommandError::Failed(format!("{}: {error}", args.zone)))?;
    let zones: Vec<_> = config.zones.iter().filter(|zone| zone.settings.zone == name).cloned().collect();
    let zones = match &args.owner {
        Some(owner) => owned_by(&zones, owner)?,
        None => zones,
    };
    if zones.is_empty() {
        let have: Vec<&str> = config.zones.iter().map(|zone| zone.settings.zone.as_str()).collect();
        let have = have.join(", ");
        return Err(CommandError::Failed(format!(
            "{} has no zone '{name}', it has {have}",
            args.flags.file().display()
        )));
    }
    let mut unread = Vec::new();
    let progress = Progress::start("reading the zone", 1);
    let listed = survey::zones(&zones, &mut unread, &progress).await?;
    let Some(zone) = listed.first() else {
        let why: Vec<String> =
            unread.into_iter().map(|Unread { what, reason }| format!("{what}: {reason}")).collect();
        return Err(CommandError::Failed(why.join("; ")));
    };
    let plan = release(&zone.config.settings, &zone.listing.observed, args.records);
    let mut printed = Printed { daemon: serving(&config, &name).await, ..Printed::default() };
    if args.owner.is_some() {
        printed.daemon = None;
    }
    printed.report.add(&plan);
    progress.stage("writing");
    if args.apply && printed.daemon.is_none() {
        let mut applied = Applied::default();
        applied.apply(&*zone.provider, plan.clone(), &config).await;
        printed.applied = Some(applied);
    }
    drop(progress);
    printed.plan = Some(plan);
    show(args.output.output, &printed, |out| {
        printed.plan.iter().try_for_each(|plan| write!(out, "{plan}"))?;
        match (&printed.applied, &printed.daemon) {
            (Some(applied), _) => write!(out, "{applied}"),
            (None, Some(daemon)) => writeln!(out, "nothing was written: {daemon}"),
            (None, None) => {
                writeln!(out, "nothing was written; add --apply, once no fleetdns serves the zone any more")
            }
        }
    })?;
    let failed = printed.applied.as_ref().is_some_and(|applied| !applied.unwritten.is_empty());
    let refused = args.apply && printed.applied.is_none();
    Ok(if failed || refused { Exit::Failed } else { Exit::Done })
}

/// Why the records would be written back.
async fn serving(config: &Config, zone: &DnsName) -> Option<String> {
    const WHAT: &str =
        "would write the records back; stop it, or take the zone out of its dns.conf and reload it";
    if let Some(status) = running(config).await {
        let serves = status.zones.iter().any(|line| line.name == zone.as_str());
        return serves.then(|| format!("fleetdns {} runs here, serves {zone} and {WHAT}", status.version));
    }
    // With its admin API off it cannot be asked what it serves.
    let socket = config.admin.socket.path()?;
    UnixStream::connect(socket).await.ok()?;
    Some(format!("a fleetdns that runs here ({}) {WHAT}", socket.display()))
}
