//! One module for each command, or for commands that work alike.

pub mod check;
pub mod events;
pub mod health;
pub mod intent;
pub mod plan;
pub mod read;
pub mod run;
pub mod simulate;
pub mod why;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::Format;
use crate::config::{Config, Fault, Flags};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum CommandError {
    /// The config has faults: all of them.
    Config(Vec<Fault>),
    /// Anything else, in one line.
    Failed(String),
}

impl CommandError {
    /// From any error, with what caused it.
    pub fn failed(error: &dyn Error) -> Self {
        Self::Failed(crate::chain(error))
    }

    /// Prints it to standard error.
    pub fn print(&self) {
        match self {
            Self::Config(faults) => faults.iter().for_each(|fault| eprintln!("{fault}")),
            Self::Failed(text) => eprintln!("fleetdns: {text}"),
        }
    }

    /// 2 for a bad config, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

fn load(flags: &Flags) -> Result<Config, CommandError> {
    Config::load(flags).map_err(CommandError::Config)
}

/// Prints a value as JSON, or by `text`.
fn show<T: Serialize>(
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
