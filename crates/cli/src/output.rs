//! An answer on the terminal: for people, or as JSON.

use std::io::Write;

use serde::Serialize;

use crate::args::Format;
use crate::error::CommandError;

/// Prints a value as JSON, or by `text`.
pub fn show<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let done = match format {
        Format::Text | Format::Wide => text(&mut out),
        Format::Json => serde_json::to_writer_pretty(&mut out, value)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    // Whoever closed the pipe has read enough.
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError::failed(&error)),
        _ => Ok(()),
    }
}
