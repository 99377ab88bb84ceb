//! `fleetdns simulate`: what DNS would become of a fleet in a file, or of the daemon's own.

use std::io::{Read, Write};
use std::path::Path;

use fleetdns_daemon::view::Consequences;
use fleetdns_planner::simulate::{Report, Scenario, simulate as plan};

use super::ask::{PLANNED, ask, ask_within};
use crate::args::Daemon;
use crate::error::{CommandError, Exit};
use crate::output::show;

/// Reads the fleet, plans, prints. Of the daemon's own fleet only what follows from `down` is printed.
///
/// # Errors
/// When the file cannot be read or understood, or the daemon cannot be asked.
pub async fn simulate(daemon: &Daemon, file: Option<&Path>, down: &[String]) -> Result<Exit, CommandError> {
    let report = match file {
        Some(file) => {
            let fail = |error: &dyn ToString| failed(file, &error.to_string());
            plan(&read(file)?, down).map_err(|error| fail(&error))?
        }
        None if down.is_empty() => {
            let scenario: Scenario = ask(daemon, "/v1/snapshot").await?;
            plan(&scenario, &[]).map_err(|error| CommandError::failed(&error))?
        }
        None => {
            let query = down.iter().map(|what| ("down", what));
            let query = reqwest::Url::parse_with_params("http://daemon/v1/consequences", query)
                .map_err(|error| CommandError::failed(&error))?;
            let path = format!("/v1/consequences?{}", query.query().unwrap_or_default());
            let Consequences { problem, report } = ask_within(PLANNED, daemon, &path).await?;
            if let Some(problem) = problem {
                return Err(CommandError::Failed(problem));
            }
            report
        }
    };
    show(daemon.output.output, &report, |out| {
        if file.is_none() && !down.is_empty() && report == Report::default() {
            return writeln!(out, "No change: DNS stays as it is without {}.", down.join(", "));
        }
        write!(out, "{report}")
    })?;
    Ok(Exit::Done)
}

/// A fleet that is written down.
pub(super) fn read(file: &Path) -> Result<Scenario, CommandError> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| failed(file, &error.to_string()))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| failed(file, &error.to_string()));
    }
    serde_saphyr::from_str(&text).map_err(|error| failed(file, &error.to_string()))
}

pub(super) fn failed(file: &Path, problem: &str) -> CommandError {
    CommandError::Failed(format!("{}: {problem}", file.display()))
}
