//! `fleetdns run`: the daemon itself.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::{CommandError, Exit};
use crate::progress::Progress;
use fleetdns_daemon::config::{Flags, Loaded};
use fleetdns_daemon::reload::{ShowLine, Source};
use fleetdns_daemon::run::RunError;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the config has faults, or when the daemon cannot start or ends by itself.
pub async fn run(flags: &Flags) -> Result<Exit, CommandError> {
    let Loaded { config, files } = Loaded::of(flags);
    let config = config.map_err(CommandError::Config)?;
    let set_level = crate::log::start(config.admin.log, config.admin.level);
    let source = Source { flags: flags.clone(), files, set_level, show: show_progress() };
    for note in &config.notes {
        warn!(note = %note, "the config may not mean what it says");
    }
    for fault in &config.source_faults {
        warn!(%fault, "a source of clusters has a fault; its clusters stay as they were");
    }
    raise_descriptor_limit();
    let shutdown = CancellationToken::new();
    let listen = |kind| signal(kind).map_err(|error| CommandError::failed(&error));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let token = shutdown.clone();
    let signals = async move {
        let name = first(&mut term, &mut int).await;
        info!(signal = name, "asked to stop");
        token.cancel();
    };
    let running = fleetdns_daemon::run::run(config, Some(source), shutdown);
    tokio::pin!(running, signals);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = &mut signals => running.await,
    };
    match ended {
        Ok(()) => Ok(Exit::Done),
        Err(RunError::Config(faults)) => Err(CommandError::Config(faults)),
        Err(error) => Err(CommandError::failed(&error)),
    }
}

/// Shows lines on a terminal.
fn show_progress() -> Option<ShowLine> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let shown = Mutex::new(None);
    Some(Box::new(move |line| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            Some(line) => shown.get_or_insert_with(|| Progress::start(line, 0)).stage(line),
            None => *shown = None,
        }
    }))
}

async fn first(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

/// A probe in flight takes a descriptor, and the limit that a shell or systemd returns by default is for programs that
/// use select(2), which we do not.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, "the limit of file descriptors cannot be raised");
    }
}
