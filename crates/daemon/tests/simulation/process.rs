//! One process of the product in a world: the real loop of a zone and the real prober.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{
    Address, Brakes, DnsName, Health, MemberName, OverrideKind, Provider, Snapshot, Subject, Ttl,
};
use fleetdns_daemon::inputs::Inputs;
use fleetdns_daemon::overrides::order::{Answer, Operator, Order, OrderError};
use fleetdns_daemon::overrides::{Clock, OverrideSender, OverrideStore, Storage};
use fleetdns_daemon::view::View;
use fleetdns_daemon::zone::{ZoneChange, ZoneOptions, ZoneStatus, ZoneTask};
use fleetdns_planner::{PublishSettings, ZoneSettings};
use fleetdns_probe::{Canary, ProbeSettings, Transport};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::drive::{Do, Driver, Reload, Running};
use crate::fleet::STARTUP;
use crate::network::Resolved;
use crate::proof::{Broken, relay};
use crate::sim::{Process, Shared, Sim, probe};
use crate::zone::Way;

const SECOND: Duration = Duration::from_secs(1);
/// How often the zone is read again.
const DRIFT: Duration = Duration::from_secs(60);

/// The answer to an order.
pub(crate) type Told = Result<Answer, OrderError>;

impl Driver {
    pub(crate) fn publish_settings() -> Arc<PublishSettings> {
        let apex: DnsName = "example.com".parse().unwrap();
        Arc::new(PublishSettings {
            fleet: Some("fed".parse().unwrap()),
            zones: vec![(apex.clone(), apex)],
            ..PublishSettings::default()
        })
    }

    /// The process takes up a configuration with these members.
    pub(crate) fn reconfigure(&mut self, configured: BTreeSet<MemberName>) {
        let Some(Running { reload, .. }) = &mut self.run else { return };
        reload.terms.configured = configured;
        let _ = reload.changes.send(ZoneChange { terms: reload.terms.clone(), provider: None });
    }

    /// Starts a process on the zone as it is.
    pub(crate) fn start(&mut self) {
        self.epoch += 1;
        let override_sender = self.override_sender();
        let publish = Self::publish_settings();
        let told = override_sender.clone();
        let (settings, options, canaries, broken, correlation_hold) = self.with(|sim| {
            let override_sender =
                if sim.broken == Broken::Ignores { OverrideSender::none() } else { override_sender };
            sim.say("process starts");
            sim.process = Process::default();
            sim.ledger = crate::ledger::Ledger::default();
            sim.fleet.removed.clear();
            sim.fleet.members.iter_mut().for_each(|member| member.start(&publish));
            (
                zone_settings(sim),
                options(sim, override_sender),
                canaries(sim),
                sim.broken,
                sim.broken.hold(sim.hold),
            )
        });
        let (targets_out, targets) = watch::channel(Snapshot::default());
        let (snapshots_out, snapshots_in) = watch::channel(Snapshot::default());
        let (health_out, health_in) = watch::channel(Health::default());
        let (confirm_outage, confirmed) = watch::channel(0);
        let (adopted_out, adopted) = mpsc::channel(4);
        let shutdown = CancellationToken::new();
        let way = Way(Arc::clone(&self.sim));
        let set = options.overrides.receiver();
        let terms = options.terms(settings.clone());
        let (zone, status) = ZoneTask::new(settings, "strict", Box::new(way), options, adopted_out);
        let (changes, changed) = mpsc::unbounded_channel();
        let parts = 1 + usize::try_from(self.rng.below(9)).unwrap();
        let zone = zone.with_changes(changed).with_parts(parts);
        let reload = Reload { terms, changes };
        let transport = transport(&self.sim);
        let token = shutdown.clone();
        let probing = ProbeSettings { correlation_hold, ..ProbeSettings::default() };
        let probing = (probing, if broken.is_deaf() { Vec::new() } else { canaries });
        let mut tasks = vec![tokio::spawn(async move {
            transport.run(probing, targets, health_out, confirmed, token).await.unwrap();
        })];
        let health_in = if broken.tampers() {
            let (out, tampered) = watch::channel(Health::default());
            tasks.push(tokio::spawn(relay(broken, health_in, out, shutdown.clone())));
            tampered
        } else {
            health_in
        };
        let shown = health_in.clone();
        tasks.push(tokio::spawn(zone.run(Inputs::new(snapshots_in, health_in, set), shutdown.clone())));
        let snapshots = [targets_out, snapshots_out];
        let operator = operator(
            &self.with(|sim| sim.brakes.clone()),
            (&snapshots[1], shown, &status),
            (told, &confirm_outage),
        );
        self.run =
            Some(Running { tasks, snapshots, adopted, status, operator, confirm_outage, reload, shutdown });
        let count = self.with(|sim| sim.fleet.members.len());
        for member in 0..count {
            let pause = Duration::from_millis(self.rng.between(20, 3000));
            self.after(pause, Do::List(member, self.epoch));
        }
        self.after(STARTUP, Do::GiveUp(self.epoch));
        self.publish();
    }

    fn override_sender(&mut self) -> OverrideSender {
        let born = self.with(|sim| sim.born);
        let override_sender = self.override_sender.get_or_insert_with(|| {
            let clock = Clock::new(move || 1_700_000_000 + born.elapsed().as_secs());
            let (store_task, override_sender) = OverrideStore::new(Storage::Marks, clock);
            tokio::spawn(store_task.run(CancellationToken::new()));
            override_sender
        });
        let override_sender = override_sender.clone();
        self.with(|sim| sim.override_sender.get_or_insert_with(|| override_sender.clone()).clone())
    }

    /// A person orders something, or takes it back; returns the answer.
    pub(crate) async fn order(
        &mut self,
        subject: &Subject,
        kind: Option<OverrideKind>,
        span: Option<Duration>,
    ) -> Told {
        let order = Order {
            kind,
            subjects: vec![subject.to_string()],
            seconds: span.map(|span| span.as_secs()),
            yes: true,
            ..Order::default()
        };
        let Some(run) = &self.run else { panic!("no process takes orders") };
        let answer = run.operator.take(&order, "root").await;
        self.with(|sim| {
            sim.apply_overrides();
            sim.say(format!("order: {subject} {kind:?} for {span:?}: {answer:?}"));
        });
        answer
    }

    /// The process takes up a configuration that changes nothing of what the laws say: the zone is planned again, and now
    /// and then its provider is made again.
    pub(crate) fn reload(&mut self) {
        let Some(Running { reload, .. }) = &mut self.run else { return };
        let drift = if reload.terms.drift == DRIFT { DRIFT - SECOND } else { DRIFT };
        reload.terms.drift = drift;
        let way: Box<dyn Provider> = Box::new(Way(Arc::clone(&self.sim)));
        let again = self.reloads.chance(30);
        let change = ZoneChange { terms: reload.terms.clone(), provider: again.then_some(("strict", way)) };
        let _ = reload.changes.send(change);
        self.with(|sim| sim.say(format!("reload, with another provider: {again}")));
    }

    /// Ends the process: in order, or in the middle of whatever it does.
    pub(crate) async fn stop(&mut self, crash: bool) {
        let Some(run) = self.run.take() else { return };
        self.with(|sim| sim.say(if crash { "process crashes" } else { "process ends" }));
        run.shutdown.cancel();
        for task in run.tasks {
            if crash {
                task.abort();
            }
            if let Err(error) = task.await {
                assert!(crash && error.is_cancelled(), "a task of the product ended: {error}");
            }
        }
    }
}

type Probing = futures::future::BoxFuture<'static, fleetdns_probe::Answer>;
type Asking = futures::future::BoxFuture<'static, Resolved>;

fn transport(
    sim: &Shared,
) -> Transport<impl Fn(fleetdns_core::ProbeKey) -> Probing + use<>, impl Fn(DnsName) -> Asking + use<>> {
    let (probed, asked) = (Arc::clone(sim), Arc::clone(sim));
    Transport {
        probe: move |key| -> Probing { Box::pin(probe(Arc::clone(&probed), key)) },
        lookup: move |name: DnsName| -> Asking {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                let (after, answer) = asked.lock().unwrap().net.lookup(&name);
                sleep(after).await;
                asked.lock().unwrap().net.tell(&name, &answer);
                answer
            })
        },
    }
}

fn operator(
    brakes: &Brakes,
    (snapshots, health, status): (
        &watch::Sender<Snapshot>,
        watch::Receiver<Health>,
        &watch::Receiver<ZoneStatus>,
    ),
    (override_sender, confirm_outage): (OverrideSender, &watch::Sender<u64>),
) -> Operator {
    let configured = status.borrow().settings.priorities.keys().cloned().collect();
    let view = View {
        fleet: "fed".to_owned(),
        started: Instant::now(),
        inputs: Inputs::new(snapshots.subscribe(), health, override_sender.receiver()),
        state: override_sender.state(),
        reports: fleetdns_probe::Reports::default(),
        zones: vec![status.clone()],
        journal: fleetdns_daemon::journal::Journal::default(),
        brakes: brakes.clone(),
        template: None,
        policy: Arc::default(),
        reloaded: Arc::default(),
        reloads: fleetdns_daemon::reload::ReloadCount::default(),
        origins: Arc::default(),
        joined: Arc::default(),
        standing: watch::channel(fleetdns_daemon::ha::Standing::Alone).1,
        heartbeats: fleetdns_daemon::heartbeats::Heartbeats::default(),
        beats: fleetdns_daemon::heartbeats::ClusterBeats::default(),
    };
    Operator {
        view,
        overrides: override_sender,
        configured,
        brakes: brakes.clone(),
        keeps: true,
        confirm_outage: confirm_outage.clone(),
    }
}

fn zone_settings(sim: &Sim) -> ZoneSettings {
    let apex: DnsName = "example.com".parse().unwrap();
    let members = sim.fleet.members.iter();
    ZoneSettings {
        suffix: apex.clone(),
        zone: apex,
        other_zones: Vec::new(),
        owner: sim.broken.owner().parse().unwrap(),
        fleet: Some("fed".parse().unwrap()),
        ttl: Ttl::DEFAULT,
        routing: sim.routing,
        priorities: Arc::new(members.map(|member| (member.name.clone(), member.priority)).collect()),
        policy: Arc::default(),
    }
}

fn options(sim: &Sim, override_sender: OverrideSender) -> ZoneOptions {
    ZoneOptions {
        brakes: Brakes { ..sim.broken.brakes(sim.brakes.clone()) },
        drift: DRIFT,
        configured: sim.fleet.configured().map(|member| member.name.clone()).collect(),
        overrides: override_sender,
        says_clusters: true,
        // Its times are those of the wall; nothing is decided by them.
        journal: fleetdns_daemon::journal::Journal::default(),
        reports: fleetdns_probe::Reports::default(),
        name_servers: fleetdns_daemon::zone::NameServers::default(),
        fence: fleetdns_daemon::ha::Fence::open(),
        // Every process of a run is another one, and the one before it has left its marks.
        writer: Some(fleetdns_core::ownership::Writer {
            started: 1 + sim.now().as_secs(),
            number: u32::try_from(sim.steps).unwrap_or_default(),
            pass: 0,
        }),
        startup_timeout: Duration::from_secs(30),
    }
}

fn canaries(sim: &mut Sim) -> Vec<Canary> {
    let apis = sim.fleet.configured().map(|member| (Some(member.name.clone()), member.api));
    let anchor = (None, "192.0.2.250".parse().unwrap());
    let all: Vec<_> = apis.chain([anchor]).collect();
    sim.net.canaries = all.iter().map(|(_, ip)| *ip).collect();
    let canary = |(member, ip): (Option<MemberName>, std::net::IpAddr)| Canary {
        what: member.as_ref().map_or("anchor".into(), |member| format!("API of {member}").into()),
        member,
        address: Address::from(ip),
        port: 6443,
    };
    all.into_iter().map(canary).collect()
}
