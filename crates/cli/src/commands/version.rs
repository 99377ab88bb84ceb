//! `fleetdns version`: the version of this program.

use std::io::Write;

use serde::Serialize;

use crate::args::Format;
use crate::error::{CommandError, Exit};
use crate::output::show;

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

/// Prints it; `status` has the daemon's.
///
/// # Errors
/// When the output cannot be written.
pub fn version(format: Format) -> Result<Exit, CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    show(format, &Version { version }, |out| writeln!(out, "fleetdns {version}"))?;
    Ok(Exit::Done)
}
