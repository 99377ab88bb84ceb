//! Why a command failed, and its exit code.

use std::error::Error;
use std::process::ExitCode;

use fleetdns_daemon::config::Fault;

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
        Self::Failed(fleetdns_daemon::chain(error))
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
