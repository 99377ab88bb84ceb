//! Wiring: which task reads what.

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Health, MemberName, Snapshot};
use fleetdns_probe::{Prober, Setup};
use fleetdns_watch::Turns;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Admin, Config, Heard, Socket};
use crate::control::{self, Bound, Control};
use crate::ha::{self, Engine, Fence, Replica, Standing};
use crate::heartbeats::{self, ClusterBeats, Heartbeats};
use crate::inputs::Inputs;
use crate::journal::{self, Journal};
use crate::overrides::order::Operator;
use crate::overrides::{Clock, OverrideSender, OverrideStore, StateFile, Storage};
use crate::reload::{self, Asked, Asker, ReloadCount, ReloadSender, Reloaded, Source};
use crate::running::{Outputs, Running, Shared};
use crate::self_checks::canaries;
use crate::tasks::Tasks;
use crate::view::View;
use crate::zone::NameServers;
use crate::{admin, discovery, first_sync, kubernetes, notify};

pub use crate::tasks::RunError;

/// How long tasks may take to end once they are asked to.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Runs the whole daemon until `shutdown`. With a `source` it reads its configuration again when it is asked to.
///
/// # Errors
/// When it cannot start, or when a task ends that should not.
pub async fn run(
    config: Config,
    source: Option<Source>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    // Whatever ends first ends everything.
    let mut tasks = Tasks::new(shutdown.child_token());
    let ended = match start(config, source, &mut tasks).await {
        Ok((mut running, outputs, mut asked)) => loop {
            tokio::select! {
                ended = tasks.ended() => break ended,
                Some((asker, answer)) = asked.recv() => {
                    notify::reloading();
                    // Who has gone does not wait for the answer.
                    let _ = answer.send(running.reload(asker, &outputs, &mut tasks).await);
                    notify::ready();
                }
            }
        },
        Err(error) => Err(error),
    };
    if !tasks.end(SHUTDOWN_GRACE).await {
        error!("some tasks did not end in time");
    }
    ended
}

async fn start(
    config: Config,
    mut source: Option<Source>,
    tasks: &mut Tasks,
) -> Result<(Running, Outputs, mpsc::Receiver<Asked>), RunError> {
    let (snapshot_out, snapshots) = watch::channel(Snapshot::default());
    let (health_out, health) = watch::channel(Health::default());
    // One message for each zone, read at once.
    let (adopted_out, adopted) = mpsc::channel(16);
    // The prober's ear for `fleetdns confirm-outage`.
    let (confirm_outage, confirmed) = watch::channel(0);
    let setup = Setup::new(config.probe_settings()).map_err(RunError::Probe)?;
    let (reload, asked) = ReloadSender::new();

    let replica = ha::make(&config);
    let engine = replica.as_ref().map(|(_, engine)| engine.clone());
    let overrides = keep_overrides(&config, engine, confirm_outage.clone(), tasks);
    let (fence, standing) = match replica {
        Some((replica, _)) => take_part(replica, overrides.clone(), tasks),
        None => (Fence::open(), watch::channel(Standing::Alone).1),
    };
    let inputs = Inputs::new(snapshots.clone(), health, overrides.receiver());
    let journal = start_journal(&config, inputs.clone(), reload.clone(), tasks);
    let heartbeats = Heartbeats::default();
    let beats = ClusterBeats::new(heartbeats.clone());
    let beating = heartbeats.of("prober", heartbeats::PROBER);
    let prober = Prober::default().with_turns(heartbeats::TICK, Arc::new(move || beating.beat()));
    let mut view = View {
        fleet: config.fleet.name.to_string(),
        started: Instant::now(),
        inputs: inputs.clone(),
        state: overrides.state(),
        reports: prober.reports(),
        zones: Vec::new(),
        journal: journal.clone(),
        heartbeats,
        beats: beats.clone(),
        brakes: config.brakes.brakes.clone(),
        template: config.fleet.template.clone(),
        policy: Arc::clone(&config.hostnames),
        reloaded: Arc::new(Reloaded { source_faults: config.source_faults.clone(), ..Reloaded::default() }),
        reloads: ReloadCount::default(),
        origins: Arc::new(config.origins()),
        joined: Arc::default(),
        standing,
    };
    let reports = prober.reports();
    let shared = Shared {
        inputs: inputs.clone(),
        overrides: overrides.clone(),
        adopted: adopted_out,
        reports,
        name_servers: NameServers::default(),
        fence: fence.clone(),
        writer: ha::writer(&config),
    };
    let show = source.as_mut().and_then(|source| source.show.take());
    let mut running = Running::new(config, source, shared);
    running.start_zones(&view, tasks).await?;
    view.zones = running.statuses();
    let config = &running.config;
    let (setup_out, setups) = watch::channel(setup.with_canaries(canaries(config).await));
    let (members_out, members) = watch::channel(config.members());
    let operator = Operator {
        view,
        overrides,
        configured: running.configured(),
        brakes: config.brakes.brakes.clone(),
        keeps: config.fleet.state_dir.is_some() || config.ha.is_some(),
        confirm_outage,
    };
    let (operators_out, operators) = watch::channel(Arc::new(operator));
    serve_http(&config.admin, &operators, tasks).await?;
    if let Some(bound) = open_socket(&config.admin.socket).await? {
        let control = Control { operators: operators.clone(), reload: reload.clone() };
        tasks.spawn_sound("control socket", control::serve(bound, control, tasks.stop.clone()));
    }
    let probing = prober.run(setups, snapshots, health_out, confirmed, tasks.stop.clone());
    tasks.spawn("probe", async move { probing.await.map_err(|error| crate::chain(&error)) });
    let (kubernetes_out, settings) = watch::channel(config.kubernetes);
    let sources = kubernetes::Sources {
        settings,
        members: members.clone(),
        inputs: inputs.clone(),
        journal: journal.clone(),
        fence: fence.clone(),
    };
    tasks.spawn_sound("kubernetes", kubernetes::run(sources, tasks.stop.clone()));
    beats.configure(running.configured());
    let (told, stop) = (beats.clone(), tasks.stop.clone());
    let turns: Turns = (heartbeats::TICK, Arc::new(move |member: &MemberName, turn| told.turn(member, turn)));
    let watching = fleetdns_watch::run_until(members, adopted, snapshot_out, turns, stop);
    tasks.spawn("watch", async move { watching.await.map_err(|error| crate::chain(&error)) });
    let ((remotes_out, remotes), (heard_out, heard)) =
        (watch::channel(config.remotes.clone()), watch::channel(Heard::new()));
    let following = discovery::follow(remotes, heard_out, reload.clone(), tasks.stop.clone());
    tasks.spawn_sound("discovery", following);
    let files = running.source.as_ref().map(|source| source.files.clone()).unwrap_or_default();
    let (files_out, files) = watch::channel(files);
    tasks.spawn_sound("config files", reload::follow_files(files, reload, tasks.stop.clone()));
    if let Some(show) = show {
        let (operators, stop) = (operators.clone(), tasks.stop.clone());
        let view = move || operators.borrow().view.clone();
        tasks.spawn_sound("first sync", first_sync::follow(view, show, stop));
    }
    tasks.spawn_sound("sd_notify", notify::keep_told(operators, tasks.stop.clone()));
    info!(clusters = config.members.len(), zones = config.zones.len(), "fleetdns started");
    let outputs = Outputs {
        members: members_out,
        setups: setup_out,
        kubernetes: kubernetes_out,
        operators: operators_out,
        files: files_out,
        remotes: remotes_out,
        heard,
        beats,
    };
    Ok((running, outputs, asked))
}

/// Starts the admin API, and the listener for probes of pods and for metrics.
async fn serve_http(
    settings: &Admin,
    operators: &watch::Receiver<Arc<Operator>>,
    tasks: &mut Tasks,
) -> Result<(), RunError> {
    let bind = async |key, address| {
        admin::bind(address).await.map_err(|source| RunError::Listen { key, address, source })
    };
    if let Some(address) = settings.listen {
        let listener = bind("listen", address).await?;
        let (views, hosts) = (admin::Views(operators.clone()), settings.hosts.clone());
        tasks.spawn_sound("admin", admin::serve(listener, views, hosts, tasks.stop.clone()));
    }
    if let Some(address) = settings.metrics {
        let listener = bind("metrics", address).await?;
        let serving = admin::serve_probes(listener, admin::Views(operators.clone()), tasks.stop.clone());
        tasks.spawn_sound("metrics", serving);
    }
    Ok(())
}

/// Starts the override store of what is drained and forced, with what the replicas or a state directory have of it.
fn keep_overrides(
    config: &Config,
    engine: Option<Engine>,
    confirm_outage: watch::Sender<u64>,
    tasks: &mut Tasks,
) -> OverrideSender {
    let file = || config.fleet.state_dir.as_deref().map(StateFile::at);
    let storage = engine.map(Storage::shared).or_else(|| file().map(Storage::File)).unwrap_or(Storage::Marks);
    let (store_task, overrides) = OverrideStore::new(storage, Clock::system());
    let store_task = store_task.with_listener(confirm_outage);
    tasks.spawn_sound("overrides", store_task.run(tasks.stop.clone()));
    overrides
}

/// Takes part in the election, once it is known what is drained and forced: a leader has to know it.
fn take_part(
    replica: Replica,
    overrides: OverrideSender,
    tasks: &mut Tasks,
) -> (Fence, watch::Receiver<Standing>) {
    let (fence, standing, stop) = (replica.fence(), replica.standing(), tasks.stop.clone());
    tasks.spawn_sound("replica", async move {
        tokio::select! {
            () = stop.cancelled() => return,
            () = overrides.known() => {}
        }
        replica.run(stop).await;
    });
    (fence, standing)
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
fn start_journal(config: &Config, inputs: Inputs, reload: ReloadSender, tasks: &mut Tasks) -> Journal {
    let journal = Journal::default();
    if let Some(path) = config.admin.audit.clone() {
        journal.start_audit();
        let writing = journal.clone();
        tasks.spawn_last("audit", |stop| writing.audit(path, stop));
    }
    tasks.spawn("SIGHUP", on_hangup(journal.clone(), reload, tasks.stop.clone()));
    let following = journal::follow(journal.clone(), inputs, tasks.stop.clone());
    tasks.spawn_sound("journal", following);
    journal
}

/// SIGHUP: a log rotation says with it that files have to be opened again, and an operator that the configuration has
/// changed.
async fn on_hangup(journal: Journal, reload: ReloadSender, stop: CancellationToken) -> Result<(), String> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(()) = hangup.recv() => {
                info!(signal = "SIGHUP", "the audit file is opened again and the configuration is read again");
                journal.reopen();
                if reload.reload(Asker::Operator).await.is_none() {
                    return Ok(());
                }
            }
        }
    }
}
