//! What runs, as the configuration that was taken up last says, and what another one changes of it.
//!
//! Invariant: a configuration is taken up as a whole or not at all; what it leaves as it is goes on undisturbed.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetdns_core::ownership::Writer;
use fleetdns_core::{MemberName, Observed, Provider};
use fleetdns_probe::{Reports, Setup};
use fleetdns_watch::{Adopted, Members};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::chain;
use crate::config::{Config, Fault, Heard, Loaded, Remote, Stamps, ZoneConfig};
use crate::ha::Fence;
use crate::heartbeats::{self, ClusterBeats};
use crate::inputs::Inputs;
use crate::kubernetes;
use crate::overrides::OverrideSender;
use crate::overrides::order::Operator;
use crate::registry::Registry;
use crate::reload::{Asker, Reloaded, Source};
use crate::self_checks::canaries;
use crate::tasks::{RunError, Tasks};
use crate::view::View;
use crate::zone::{NameServers, ZoneChange, ZoneOptions, ZoneStatus, ZoneTask, ZoneTerms};

/// A file that is cut short, or not there for a moment, still is a configuration.
const LOSES_MOST: &str = "more than half of the clusters are gone from the files, which changed by themselves; \
                          `fleetdns reload` or SIGHUP takes it up if that is meant";

/// The task of one zone.
struct RunningZone {
    config: ZoneConfig,
    terms: ZoneTerms,
    changes: mpsc::UnboundedSender<ZoneChange>,
    status: watch::Receiver<ZoneStatus>,
    stop: CancellationToken,
}

/// What the tasks of zones read.
pub(crate) struct Shared {
    pub(crate) inputs: Inputs,
    pub(crate) overrides: OverrideSender,
    pub(crate) adopted: mpsc::Sender<Adopted>,
    pub(crate) reports: Reports,
    pub(crate) name_servers: NameServers,
    pub(crate) fence: Fence,
    pub(crate) writer: Writer,
}

/// The ends at which a new configuration is handed to the tasks.
pub(crate) struct Outputs {
    pub(crate) members: watch::Sender<Members>,
    pub(crate) setups: watch::Sender<Setup>,
    pub(crate) kubernetes: watch::Sender<kubernetes::Settings>,
    pub(crate) operators: watch::Sender<Arc<Operator>>,
    pub(crate) files: watch::Sender<Stamps>,
    pub(crate) remotes: watch::Sender<Vec<Remote>>,
    /// What these sources say.
    pub(crate) heard: watch::Receiver<Heard>,
    pub(crate) beats: ClusterBeats,
}

/// What runs.
pub(crate) struct Running {
    pub(crate) config: Config,
    /// The configuration of the start: some keys stay as they were there.
    started: Config,
    pub(crate) source: Option<Source>,
    registry: Registry,
    zones: Vec<RunningZone>,
    shared: Shared,
}

/// A zone of a new configuration: the place of the task that it has already, and a provider where it needs another one.
type Planned = (ZoneConfig, Option<usize>, Option<Box<dyn Provider>>);

impl RunningZone {
    /// The same task under another configuration.
    fn with(self, config: ZoneConfig, provider: Option<Box<dyn Provider>>, options: ZoneOptions) -> Self {
        let terms = options.terms(config.settings.clone());
        if provider.is_some() || terms != self.terms {
            let provider = provider.map(|provider| (config.provider, provider));
            // A task that has ended ends the process: nobody has to be told here.
            let _ = self.changes.send(ZoneChange { terms: terms.clone(), provider });
        }
        Self { config, terms, ..self }
    }
}

impl Running {
    /// Nothing of a configuration runs yet.
    pub(crate) fn new(config: Config, source: Option<Source>, shared: Shared) -> Self {
        Self { started: config.clone(), config, source, registry: Registry::new(), zones: Vec::new(), shared }
    }

    pub(crate) fn configured(&self) -> BTreeSet<MemberName> {
        configured(&self.config)
    }

    /// What the zones say of themselves, in the order of the file.
    pub(crate) fn statuses(&self) -> Vec<watch::Receiver<ZoneStatus>> {
        self.zones.iter().map(|zone| zone.status.clone()).collect()
    }

    /// Starts all zones.
    ///
    /// # Errors
    /// When a provider cannot be made, or an address of an embedded server cannot be listened on. Nothing has been
    /// started then.
    pub(crate) async fn start_zones(&mut self, view: &View, tasks: &mut Tasks) -> Result<(), RunError> {
        let planned = self.planned(&self.config.zones.clone()).map_err(RunError::Config)?;
        let servers = self.registry.bind().await.map_err(RunError::Embedded)?;
        tasks.serve(servers);
        self.set_zones(planned, view, tasks);
        Ok(())
    }

    /// Takes up what has changed: of the files, which are read again, or of the sources on host clusters alone.
    pub(crate) async fn reload(&mut self, asker: Asker, out: &Outputs, tasks: &mut Tasks) -> Reloaded {
        let Reloaded { faults: before, source_faults: sources, .. } =
            (*out.operators.borrow().view.reloaded).clone();
        let reloaded = if asker == Asker::Source {
            let taken = self.settle(self.config.clone(), asker, out, tasks).await;
            // What is wrong with the files is as wrong as before.
            let stands = Reloaded { faults: before.clone(), ..Reloaded::default() };
            taken.map_or_else(|_| stands, |taken| Reloaded { faults: before.clone(), ..taken })
        } else {
            self.reload_files(asker, out, tasks).await
        };
        for fault in reloaded.faults.iter().filter(|fault| !before.contains(fault)) {
            warn!(%fault, "configuration not taken up: it has a fault; what was read before stands");
        }
        for fault in reloaded.source_faults.iter().filter(|fault| !sources.contains(fault)) {
            warn!(%fault, "a source of clusters has a fault; its clusters stay as they were");
        }
        out.operators.send_modify(|operator| {
            let operator = Arc::make_mut(operator);
            operator.view.reloaded = Arc::new(reloaded.clone());
            if asker != Asker::Source {
                operator.view.reloads.add(&reloaded);
            }
        });
        reloaded
    }

    async fn reload_files(&mut self, asker: Asker, out: &Outputs, tasks: &mut Tasks) -> Reloaded {
        let Some(source) = &mut self.source else { return Reloaded::default() };
        let flags = source.flags.clone();
        let Ok(Loaded { config, files }) = tokio::task::spawn_blocking(move || Loaded::of(&flags)).await
        else {
            return Reloaded {
                faults: vec!["reading the files broke off".to_owned()],
                ..Reloaded::default()
            };
        };
        source.files.extend(files.clone());
        let taken = match config {
            Ok(config) => {
                let taken = self.settle(config, asker, out, tasks).await;
                if let (Ok(_), Some(source)) = (&taken, &mut self.source) {
                    source.files = files;
                    (source.set_level)(self.config.admin.level);
                }
                taken
            }
            Err(faults) => Err(faults.iter().map(Fault::to_string).collect()),
        };
        out.files.send_replace(self.source.as_ref().map(|source| source.files.clone()).unwrap_or_default());
        taken.unwrap_or_else(|faults| Reloaded {
            faults,
            source_faults: self.config.source_faults.clone(),
            ..Reloaded::default()
        })
    }

    /// Works out who is a member, and takes up a configuration with them.
    ///
    /// # Errors
    /// Everything that keeps it from being taken up. Nothing has changed then.
    async fn settle(
        &mut self,
        mut new: Config,
        asker: Asker,
        out: &Outputs,
        tasks: &mut Tasks,
    ) -> Result<Reloaded, Vec<String>> {
        new.hear(&out.heard.borrow());
        new.settle(Some(&self.config), asker == Asker::Operator);
        if asker == Asker::Files && self.config.loses_most(&new) {
            return Err(vec![LOSES_MOST.to_owned()]);
        }
        self.take_up(new, out, tasks).await
    }

    /// Takes up a configuration.
    ///
    /// # Errors
    /// Everything that keeps it from being taken up. Nothing has changed then.
    async fn take_up(
        &mut self,
        new: Config,
        out: &Outputs,
        tasks: &mut Tasks,
    ) -> Result<Reloaded, Vec<String>> {
        let said = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect::<Vec<_>>();
        let setup = Setup::new(new.probe_settings()).map_err(|error| vec![chain(&error)])?;
        let setup = setup.with_canaries(canaries(&new).await);
        let planned = self.planned(&new.zones).map_err(said)?;
        let servers = self.registry.bind().await.map_err(|error| vec![chain(&error)])?;
        tasks.serve(servers);
        let old = std::mem::replace(&mut self.config, new);
        let left = self.left_behind();
        let reloaded = Reloaded {
            changes: old.differences(&self.config).into_iter().chain(left).collect(),
            at_restart: self.started.at_restart(&self.config),
            faults: Vec::new(),
            source_faults: self.config.source_faults.clone(),
        };
        let mut operator = (**out.operators.borrow()).clone();
        self.set_zones(planned, &operator.view, tasks);
        operator.configure(&self.config, self.statuses());
        out.operators.send_replace(Arc::new(operator));
        out.setups.send_replace(setup);
        out.kubernetes.send_replace(self.config.kubernetes);
        out.members.send_replace(self.config.members());
        out.remotes.send_if_modified(|remotes| {
            let changed = *remotes != self.config.remotes;
            remotes.clone_from(&self.config.remotes);
            changed
        });
        out.beats.configure(self.configured());
        for note in &self.config.notes {
            warn!(%note, "the config may not mean what it says");
        }
        info!(
            changes = reloaded.changes.len(),
            at_restart = reloaded.at_restart.len(),
            "configuration taken up"
        );
        Ok(reloaded)
    }

    /// What each zone of a configuration needs.
    fn planned(&self, zones: &[ZoneConfig]) -> Result<Vec<Planned>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut planned = Vec::new();
        for zone in zones {
            let known =
                self.zones.iter().position(|running| running.config.settings.zone == zone.settings.zone);
            let before = known.and_then(|at| self.zones.get(at));
            if before.is_some_and(|running| running.config.has_same_provider(zone)) {
                planned.push((zone.clone(), known, None));
                continue;
            }
            match zone.connect(&self.registry) {
                Ok(provider) => planned.push((zone.clone(), known, Some(provider))),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(planned) } else { Err(faults) }
    }

    /// Makes these the zones, and no others. The task of a zone that stays as it is goes on.
    fn set_zones(&mut self, planned: Vec<Planned>, view: &View, tasks: &mut Tasks) {
        let mut before: Vec<Option<RunningZone>> =
            std::mem::take(&mut self.zones).into_iter().map(Some).collect();
        for (config, known, provider) in planned {
            let options = self.options(view);
            let running = known.and_then(|at| before.get_mut(at)?.take());
            let zone = match (running, provider) {
                (Some(running), provider) => running.with(config, provider, options),
                (None, Some(provider)) => self.start_zone(config, provider, options, view, tasks),
                // A zone without a task has a provider.
                (None, None) => continue,
            };
            self.zones.push(zone);
        }
        for gone in before.into_iter().flatten() {
            gone.stop.cancel();
            self.registry.disconnect(&gone.config.settings.zone);
            self.shared.name_servers.set(&gone.config.settings.zone, &BTreeSet::new());
        }
    }

    fn start_zone(
        &self,
        config: ZoneConfig,
        provider: Box<dyn Provider>,
        options: ZoneOptions,
        view: &View,
        tasks: &mut Tasks,
    ) -> RunningZone {
        let adopted = self.shared.adopted.clone();
        let terms = options.terms(config.settings.clone());
        let (task, status) =
            ZoneTask::new(config.settings.clone(), config.provider, provider, options, adopted);
        let name = format!("zone {}", config.settings.zone);
        let heartbeat = view.heartbeats.of(name.as_str(), heartbeats::ZONE);
        let (changes, changed) = mpsc::unbounded_channel();
        let stop = tasks.stop.child_token();
        let running = task
            .with_heartbeat(heartbeat)
            .with_changes(changed)
            .run(self.shared.inputs.clone(), stop.clone());
        let beats = view.heartbeats.clone();
        tasks.spawn_until(stop.clone(), "zone", async move {
            running.await;
            beats.forget(&name);
        });
        RunningZone { config, terms, changes, status, stop }
    }

    fn options(&self, view: &View) -> ZoneOptions {
        ZoneOptions {
            brakes: self.config.brakes.brakes.clone(),
            drift: self.config.brakes.drift,
            configured: self.configured(),
            overrides: self.shared.overrides.clone(),
            says_clusters: self.zones.is_empty(),
            journal: view.journal.clone(),
            reports: self.shared.reports.clone(),
            name_servers: self.shared.name_servers.clone(),
            fence: self.shared.fence.clone(),
            writer: Some(self.shared.writer),
            startup_timeout: self.config.brakes.startup_timeout,
        }
    }

    /// What stays in zones that are written no more.
    fn left_behind(&self) -> Vec<String> {
        let kept = |zone: &&RunningZone| {
            self.config.zones.iter().all(|new| new.settings.zone != zone.config.settings.zone)
        };
        let say = |zone: &RunningZone| {
            let names = zone.status.borrow().observed.as_ref().map_or(0, Observed::owned_count);
            format!(
                "zone {} keeps {names} names of this fleet, which nobody updates any more",
                zone.config.settings.zone
            )
        };
        self.zones.iter().filter(kept).map(say).collect()
    }
}

pub(crate) fn configured(config: &Config) -> BTreeSet<MemberName> {
    config.members.iter().map(|member| member.name.clone()).collect()
}
