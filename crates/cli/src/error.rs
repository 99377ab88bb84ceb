//! Why a command failed, and the exit codes.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use fleetdns_daemon::config::Fault;

/// How a command ended. The README has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and all is well.
    Done,
    /// It failed, or what it looked at is not well.
    Failed,
    /// The config or the command line cannot be used.
    Unusable,
    /// Of `plan`: there is something to change. An unusable config or command line is `Failed` there.
    Changes,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Unusable | Exit::Changes => 2,
        })
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum CommandError {
    /// The config has faults: all of them.
    Config(Vec<Fault>),
    /// Anything else, in one line.
    Failed(String),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(faults) => {
                let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl CommandError {
    /// From any error, with what caused it.
    pub fn failed(error: &dyn Error) -> Self {
        Self::Failed(fleetdns_daemon::chain(error))
    }

    /// Prints it to standard error.
    pub fn print(&self) {
        match self {
            Self::Config(_) => eprintln!("{self}"),
            Self::Failed(_) => eprintln!("fleetdns: {self}"),
        }
    }

    /// How the command ended.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Unusable,
            Self::Failed(_) => Exit::Failed,
        }
    }
}
