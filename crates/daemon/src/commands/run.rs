//! `fleetdns run`: the daemon itself.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{CommandError, load};
use crate::config::Flags;
use crate::run::RunError;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the config has faults, or when the daemon cannot start or ends by itself.
pub async fn run(flags: &Flags) -> Result<ExitCode, CommandError> {
    let config = load(flags)?;
    crate::cli::log(config.admin.log, "info");
    for note in &config.notes {
        warn!(note = %note, "the config may not mean what it says");
    }
    let shutdown = CancellationToken::new();
    let listen = |kind| signal(kind).map_err(|error| CommandError::failed(&error));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let token = shutdown.clone();
    let signals = async move {
        let name = first(&mut term, &mut int).await;
        info!(signal = name, "asked to stop");
        token.cancel();
    };
    let running = crate::run::run(config, shutdown);
    tokio::pin!(running, signals);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = &mut signals => running.await,
    };
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::Config(faults)) => Err(CommandError::Config(faults)),
        Err(error) => Err(CommandError::failed(&error)),
    }
}

async fn first(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
