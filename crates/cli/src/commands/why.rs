//! `fleetdns why`: why a name holds what it holds.

use std::io::Write;
use std::path::Path;

use fleetdns_core::name::NameError;
use fleetdns_planner::simulate;

use super::ask::ask;
use super::simulate::{failed, read};
use crate::args::Daemon;
use crate::error::{CommandError, Exit};
use crate::output::show;
use fleetdns_daemon::why::{NameLine, Why};

/// Asks the daemon, or a fleet in a file.
///
/// # Errors
/// When the daemon cannot be asked, the file cannot be understood, or the text is no name.
pub async fn why(daemon: &Daemon, name: &str, file: Option<&Path>) -> Result<Exit, CommandError> {
    let said: Why = match file {
        None => {
            let query = reqwest::Url::parse_with_params("http://daemon/v1/why", [("name", name)])
                .map_err(|error| CommandError::failed(&error))?;
            ask(daemon, &format!("/v1/why?{}", query.query().unwrap_or_default())).await?
        }
        Some(file) => {
            let scenario = read(file)?;
            let parsed = name.parse().map_err(|error: NameError| {
                CommandError::Failed(format!("--file takes a DNS name, and '{name}' is none: {error}"))
            })?;
            let said = simulate::why(&scenario, &parsed, &[]);
            Why {
                explanation: Some(said.map_err(|error| failed(file, &error.to_string()))?),
                ..Why::default()
            }
        }
    };
    if let Some(problem) = said.problem {
        return Err(CommandError::Failed(problem));
    }
    show(daemon.output.output, &said, |out| {
        for NameLine { name, holds, held } in &said.names {
            let brake = if held.is_empty() { String::new() } else { format!("  (held: {held})") };
            // Two lines each: two names of a fleet do not fit into one.
            let holds = if holds.is_empty() { "-".to_owned() } else { holds.join(", ") };
            writeln!(out, "{name}\n  {holds}{brake}")?;
        }
        if !said.names.is_empty() {
            writeln!(out)?;
        }
        said.explanation.iter().try_for_each(|said| write!(out, "{said}"))
    })?;
    Ok(Exit::Done)
}
