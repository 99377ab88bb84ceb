//! `fleetdns simulate`: what DNS would become of a fleet in a file.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use fleetdns_core::simulate::{Scenario, simulate as plan};

use super::{CommandError, show};
use crate::cli::Format;

/// Reads the file, plans, prints.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn simulate(file: &Path, down: &[String], format: Format) -> Result<ExitCode, CommandError> {
    let fail = |problem: String| CommandError::Failed(format!("{}: {problem}", file.display()));
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    }
    .map_err(|error| fail(error.to_string()))?;
    let scenario: Scenario = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let report = plan(&scenario, down).map_err(|error| fail(error.to_string()))?;
    show(format, &report, |out| write!(out, "{report}"))?;
    Ok(ExitCode::SUCCESS)
}
