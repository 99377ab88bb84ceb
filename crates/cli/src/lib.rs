//! The `fleetdns` command: the client commands, and `run`, which starts the daemon.
//!
//! Reads: the command line. Returns: an answer on the terminal and an exit code.
//!
//! ```text
//! args ─→ commands ─┬─HTTP, socket→ running daemon ─→ table
//!                   └─ fleetdns_daemon, fleetdns_demo
//! ```
//!
//! Invariant: a client command needs to find the daemon and nothing else: it works beside a config that has faults.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod args;
pub mod commands;
pub mod completion;
pub mod error;
pub mod kubefed;
pub mod log;
pub mod output;
pub mod progress;

use std::process::ExitCode;

use fleetdns_core::OverrideKind;
use fleetdns_daemon::config::LogFormat;

use args::{Cli, Command, Resource};
use error::{CommandError, Exit};

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    // One TLS implementation for the whole process; a second call would only say that it is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match completion::answer() {
        Ok(false) => {}
        Ok(true) => return Exit::Done.into(),
        Err(error) => return usage(&error),
    }
    let cli = match Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("fleetdns: the runtime cannot start: {error}");
            return Exit::Failed.into();
        }
    };
    let exit = match runtime.block_on(dispatch(cli.command)) {
        Ok(exit) => exit,
        Err(error) => {
            error.print();
            error.exit()
        }
    };
    // A probe or a lookup that hangs in a thread must not hold up the end.
    runtime.shutdown_background();
    exit.into()
}

/// Help, or what is wrong with the command line: exit code 2, which means changes when it comes from `plan`.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody reads it where the terminal is gone.
    let _ = error.print();
    let plan = std::env::args_os().nth(1).is_some_and(|command| command == "plan");
    match error.exit_code() {
        0 => Exit::Done,
        _ if plan => Exit::Failed,
        _ => Exit::Unusable,
    }
    .into()
}

async fn dispatch(command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run { flags, kubefed } => {
            kubefed.report();
            commands::run::run(&kubefed.complete(&flags)).await
        }
        Command::Init(args) => commands::init::init(&args),
        Command::Join(args) => commands::members::join(&args).await,
        Command::Unjoin(args) => commands::members::unjoin(&args).await,
        Command::Check { flags, output } => commands::check::check(&flags, output.output).await,
        Command::Plan { flags, output } => commands::plan::plan(&flags, output.output).await,
        Command::Adopt(args) => commands::adopt::adopt(&args).await,
        Command::ReleaseZone(args) => commands::release::release_zone(&args).await,
        Command::Records { daemon, all } => commands::read::records(&daemon, all).await,
        Command::Clusters(daemon) => commands::read::clusters(&daemon).await,
        Command::Get { what: Resource::Clusters, daemon, kubefed } => {
            kubefed.report();
            commands::get::clusters(&daemon).await
        }
        Command::Status { daemon, watch } => commands::read::status(&daemon, watch).await,
        Command::Health { admin, ready, flags } => {
            commands::health::health(admin.as_deref(), &flags, ready).await
        }
        Command::Drain(args) => commands::overrides::kind(&args, Some(OverrideKind::Drain)).await,
        Command::Undrain(args) => commands::overrides::kind(&args, None).await,
        Command::ForceIn(args) => commands::overrides::kind(&args, Some(OverrideKind::ForceIn)).await,
        Command::ForceOut(args) => commands::overrides::kind(&args, Some(OverrideKind::ForceOut)).await,
        Command::Overrides(daemon) => commands::overrides::overrides(&daemon).await,
        Command::ConfirmOutage(operate) => commands::overrides::confirm_outage(&operate).await,
        Command::Reload(operate) => commands::overrides::reload(&operate).await,
        Command::Snapshot { daemon, file } => commands::read::snapshot(&daemon, file.as_deref()).await,
        Command::Why { name, file, daemon } => commands::why::why(&daemon, &name, file.as_deref()).await,
        Command::Events { daemon, follow, name, cluster } => {
            commands::events::events(&daemon, follow, name, cluster).await
        }
        Command::Simulate { file, down, daemon } => {
            commands::simulate::simulate(&daemon, file.as_deref(), &down).await
        }
        Command::Completion { shell } => completion::script(shell),
        Command::Man { directory } => commands::man::pages(&directory),
        Command::Version(output) => commands::version::version(output.output),
        Command::Demo { stay } => {
            // The story says what happens; what the daemon says of it would be said twice.
            let _ = log::start(LogFormat::Text, tracing::Level::ERROR);
            fleetdns_demo::demo(stay).await.map_err(|error| CommandError::failed(&error))?;
            Ok(Exit::Done)
        }
    }
}
