//! Wiring: which task reads what, and what happens when one ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Health, MemberName, Snapshot};
use fleetdns_embedded::Servers;
use fleetdns_probe::{ProbeError, Prober};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Admin, Config, Fault, Socket};
use crate::control::{self, BindError, Bound};
use crate::heartbeats::{self, Heartbeats};
use crate::inputs::Inputs;
use crate::journal::{self, Journal};
use crate::overrides::order::Operator;
use crate::overrides::{Clock, OverrideSender, OverrideStore, StateFile};
use crate::registry::Registry;
use crate::self_checks::canaries;
use crate::view::View;
use crate::zone::{NameServers, ZoneOptions, ZoneTask};
use crate::{admin, notify};

/// How long tasks may take to end once they are asked to.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Why the daemon cannot start, or ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// Keys of a provider that only it can judge.
    #[error("the config has {} faults", .0.len())]
    Config(Vec<Fault>),
    /// An address of `[admin]` cannot be listened on.
    #[error("cannot listen on {address}; set [admin] {key} to a free address or to off")]
    Listen {
        /// The key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The control socket cannot be made where the config wants it.
    #[error("control socket unavailable: drain and other overrides are disabled")]
    Socket(#[source] BindError),
    /// The embedded DNS server cannot be started.
    #[error("the embedded DNS server cannot start")]
    Embedded(#[source] fleetdns_embedded::BindError),
    /// Probing cannot be set up.
    #[error("cannot start the prober; check the [probe] section")]
    Probe(#[source] ProbeError),
    /// A task that has to run for ever ended.
    #[error("the task '{task}' ended: {reason}")]
    TaskEnded {
        /// Which one.
        task: &'static str,
        /// Why, as far as it is known.
        reason: String,
    },
}

type Ending = (&'static str, Result<(), String>);

/// Runs the whole daemon until `shutdown`.
///
/// # Errors
/// When it cannot start, or when a task ends that should not.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let mut tasks: JoinSet<Ending> = JoinSet::new();
    // Whatever ends first ends everything.
    let stop = shutdown.child_token();
    let started = start(config, &mut tasks, &stop).await;
    let ended = match started {
        Ok(()) => supervise(&mut tasks, &stop).await,
        Err(error) => Err(error),
    };
    stop.cancel();
    let all_gone = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, all_gone).await.is_err() {
        error!("some tasks did not end in time");
    }
    ended
}

async fn start(
    config: Config,
    tasks: &mut JoinSet<Ending>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let (snapshot_out, snapshots) = watch::channel(Snapshot::default());
    let (health_out, health) = watch::channel(Health::default());
    // One message for each zone, read at once.
    let (adopted_out, adopted) = mpsc::channel(16);

    let overrides = keep_overrides(&config, tasks, stop);
    // The prober's ear for `fleetdns confirm-outage`.
    let (confirm_outage, confirmed) = watch::channel(0);
    let prober = Prober::new(config.probe_settings()).map_err(RunError::Probe)?;
    let inputs = Inputs::new(snapshots.clone(), health, overrides.receiver());
    let journal = start_journal(&config, inputs.clone(), tasks, stop);
    let heartbeats = Heartbeats::default();
    let registry = Registry::new();
    let mut zones = Vec::new();
    let mut views = Vec::new();
    let mut faults = Vec::new();
    let configured: BTreeSet<_> = config.members.iter().map(|member| member.name.clone()).collect();
    let name_servers = NameServers::default();
    for zone in &config.zones {
        let provider = match zone.connect(&registry) {
            Ok(provider) => provider,
            Err(found) => {
                faults.extend(found);
                continue;
            }
        };
        let options = ZoneOptions {
            brakes: config.brakes.brakes.clone(),
            drift: config.brakes.drift,
            configured: configured.clone(),
            overrides: overrides.clone(),
            says_clusters: zones.is_empty(),
            journal: journal.clone(),
            reports: prober.reports(),
            name_servers: name_servers.clone(),
        };
        let (task, view) =
            ZoneTask::new(zone.settings.clone(), zone.provider, provider, options, adopted_out.clone());
        let heartbeat = heartbeats.of(format!("zone {}", zone.settings.zone), heartbeats::ZONE);
        zones.push(task.with_heartbeat(heartbeat));
        views.push(view);
    }
    drop(adopted_out);
    if !faults.is_empty() {
        return Err(RunError::Config(faults));
    }

    let servers = registry.bind().await.map_err(RunError::Embedded)?;
    let beating = heartbeats.of("prober", heartbeats::PROBER);
    let prober = prober
        .with_canaries(canaries(&config).await)
        .with_turns(heartbeats::TICK, Arc::new(move || beating.beat()));
    let view = View {
        fleet: config.fleet.name.to_string(),
        started: Instant::now(),
        inputs: inputs.clone(),
        state: overrides.state(),
        reports: prober.reports(),
        zones: views,
        journal,
        heartbeats: heartbeats.clone(),
        brakes: config.brakes.brakes.clone(),
        template: config.fleet.template.clone(),
        policy: Arc::clone(&config.hostnames),
    };
    serve_http(&config.admin, &view, tasks, stop).await?;
    if let Some(bound) = open_socket(&config.admin.socket).await? {
        let (brakes, keeps) = (config.brakes.brakes.clone(), config.fleet.state_dir.is_some());
        let operator = Operator { view: view.clone(), overrides, configured, brakes, keeps, confirm_outage };
        let serving = control::serve(bound, operator, stop.clone());
        tasks.spawn(async move {
            serving.await;
            ("control socket", Ok(()))
        });
    }
    let token = stop.clone();
    tasks.spawn(async move {
        ("embedded DNS", Servers::run(servers, token).await.map_err(|error| crate::chain(&error)))
    });
    let probing = prober.run(snapshots.clone(), health_out, confirmed, stop.clone());
    tasks.spawn(async move { ("probe", probing.await.map_err(|error| crate::chain(&error))) });
    for zone in zones {
        let (inputs, token) = (inputs.clone(), stop.clone());
        tasks.spawn(async move {
            zone.run(inputs, token).await;
            ("zone", Ok(()))
        });
    }
    let beating: BTreeMap<_, _> = config
        .members
        .iter()
        .map(|member| {
            (member.name.clone(), heartbeats.of(format!("cluster {}", member.name), heartbeats::WATCH))
        })
        .collect();
    let turns = Arc::new(move |member: &MemberName| {
        if let Some(heartbeat) = beating.get(member) {
            heartbeat.beat();
        }
    });
    let watching = fleetdns_watch::run_with_turns(
        config.member_configs(),
        config.watch_settings(),
        adopted,
        snapshot_out,
        (heartbeats::TICK, turns),
        stop.clone(),
    );
    tasks.spawn(async move { ("watch", watching.await.map_err(|error| crate::chain(&error))) });
    let token = stop.clone();
    tasks.spawn(async move {
        notify::keep_told(view, token).await;
        ("sd_notify", Ok(()))
    });
    info!(clusters = config.members.len(), zones = config.zones.len(), "fleetdns started");
    Ok(())
}

/// Starts the admin API, and the listener for probes of pods and for metrics.
async fn serve_http(
    settings: &Admin,
    view: &View,
    tasks: &mut JoinSet<Ending>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let bind = async |key, address| {
        admin::bind(address).await.map_err(|source| RunError::Listen { key, address, source })
    };
    if let Some(address) = settings.listen {
        let listener = bind("listen", address).await?;
        let serving = admin::serve(listener, view.clone(), settings.hosts.clone(), stop.clone());
        tasks.spawn(async move {
            serving.await;
            ("admin", Ok(()))
        });
    }
    if let Some(address) = settings.metrics {
        let listener = bind("metrics", address).await?;
        let serving = admin::serve_probes(listener, view.clone(), stop.clone());
        tasks.spawn(async move {
            serving.await;
            ("metrics", Ok(()))
        });
    }
    Ok(())
}

/// Starts the override store of what is drained and forced, with what a state directory has of it.
fn keep_overrides(config: &Config, tasks: &mut JoinSet<Ending>, stop: &CancellationToken) -> OverrideSender {
    let store = config.fleet.state_dir.as_deref().map(StateFile::at);
    let (store_task, overrides) = OverrideStore::new(store, Clock::system());
    let token = stop.clone();
    tasks.spawn(async move {
        store_task.run(token).await;
        ("overrides", Ok(()))
    });
    overrides
}

/// The control socket. At its usual place it is missed with a warning; where the config names it, it has to be.
async fn open_socket(socket: &Socket) -> Result<Option<Bound>, RunError> {
    let Some(path) = socket.path() else { return Ok(None) };
    match (Bound::new(path).await, socket) {
        (Ok(bound), _) => Ok(Some(bound)),
        (Err(error), Socket::Usual(_)) => {
            warn!(error = %crate::chain(&error), "control socket unavailable: drain and other overrides are disabled");
            Ok(None)
        }
        (Err(error), _) => Err(RunError::Socket(error)),
    }
}

/// Starts the journal: the task that follows the fleet, and the one that writes the audit file.
fn start_journal(
    config: &Config,
    inputs: Inputs,
    tasks: &mut JoinSet<Ending>,
    stop: &CancellationToken,
) -> Journal {
    let journal = Journal::default();
    if let Some(path) = config.admin.audit.clone() {
        journal.start_audit();
        let (writing, token) = (journal.clone(), stop.clone());
        tasks.spawn(async move {
            writing.audit(path, token).await;
            ("audit", Ok(()))
        });
    }
    let (reopening, token) = (journal.clone(), stop.clone());
    tasks.spawn(async move { ("SIGHUP", reopen_on_hangup(reopening, token).await) });
    let (following, token) = (journal.clone(), stop.clone());
    tasks.spawn(async move {
        journal::follow(following, inputs, token).await;
        ("journal", Ok(()))
    });
    journal
}

/// A log rotation says with SIGHUP that files have to be opened again.
async fn reopen_on_hangup(journal: Journal, stop: CancellationToken) -> Result<(), String> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(()) = hangup.recv() => {
                info!(signal = "SIGHUP", "the audit file is opened again");
                journal.reopen();
            }
        }
    }
}

async fn supervise(tasks: &mut JoinSet<Ending>, stop: &CancellationToken) -> Result<(), RunError> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = tasks.join_next() => {
            if stop.is_cancelled() {
                return Ok(());
            }
            match ended {
                Ok((task, Ok(()))) => Err(RunError::TaskEnded { task, reason: "it had nothing more to do".to_owned() }),
                Ok((task, Err(reason))) => Err(RunError::TaskEnded { task, reason }),
                Err(panic) => Err(RunError::TaskEnded { task: "unknown", reason: panic.to_string() }),
            }
        }
    }
}
