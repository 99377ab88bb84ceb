//! One replica of the product on a clock of its own: a zone's loop, the override store, and its part in the election.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fleetdns_core::ownership::Writer;
use fleetdns_core::{Brakes, DnsName, Health, Snapshot, Ttl};
use fleetdns_daemon::ha::{Fence, Replica, Standing, Uptime};
use fleetdns_daemon::inputs::Inputs;
use fleetdns_daemon::overrides::{Clock, OverrideSender, OverrideStore, Storage};
use fleetdns_daemon::zone::{NameServers, ZoneOptions, ZoneStatus, ZoneTask};
use fleetdns_planner::ZoneSettings;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Broken;
use super::backend::Way;
use super::fleet::MEMBERS;
use super::world::World;

/// Within this another replica takes over.
pub(crate) const LEASE_TIME: Duration = Duration::from_secs(15);

/// A process that can be stopped and go on, as by SIGSTOP and SIGCONT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freezer(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Freezer {
    pub(crate) fn freeze(&self) {
        self.0.lock().unwrap().0 = true;
    }

    pub(crate) fn thaw(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = false;
        state.1.drain(..).for_each(Waker::wake);
    }

    fn wrap<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Frozen<T> {
        Frozen { freezer: self.clone(), work: Box::pin(work) }
    }
}

struct Frozen<T> {
    freezer: Freezer,
    work: Pin<Box<dyn Future<Output = T> + Send>>,
}

impl<T> Future for Frozen<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.freezer.0.lock().unwrap();
        if state.0 {
            state.1.push(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.work.as_mut().poll(context)
    }
}

/// A process.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) snapshots: watch::Sender<Snapshot>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) overrides: OverrideSender,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) status: watch::Receiver<ZoneStatus>,
    /// How often an outage was confirmed at another replica.
    pub(crate) confirmed: watch::Receiver<u64>,
    pub(crate) freezer: Freezer,
    tasks: Vec<JoinHandle<()>>,
    shutdown: CancellationToken,
}

impl Running {
    /// Starts a process whose clock shows so many thousandths of the time that passes.
    pub(crate) fn start(world: &Arc<Mutex<World>>, name: &str, rate: u32, broken: Broken) -> Self {
        let born = Instant::now();
        let clock = Uptime::new(move || born.elapsed() * rate / 1000);
        let engine = World::engine(world, name);
        let begin = world.lock().unwrap().born;
        let wall = Clock::new(move || 1_700_000_000 + begin.elapsed().as_secs());
        let storage = if matches!(broken, Broken::Forgets | Broken::Strangers) {
            Storage::Marks
        } else {
            Storage::shared(engine.clone())
        };
        let (store, overrides) = OverrideStore::new(storage, wall);
        let (confirm, confirmed) = watch::channel(0);
        let store = store.with_listener(confirm);
        let (freezer, shutdown) = (Freezer::default(), CancellationToken::new());
        let replica = Replica::new(name, engine, LEASE_TIME, clock);
        let (fence, standing) = (replica.fence(), replica.standing());
        world.lock().unwrap().fences.insert(name.to_owned(), fence.clone());
        let fence =
            if matches!(broken, Broken::Unfenced | Broken::Strangers) { Fence::open() } else { fence };
        let number = name.trim_start_matches('r').parse().unwrap();
        let started = if broken == Broken::Strangers { 1_700_000_000 + u64::from(number) } else { 0 };
        let writer = Writer { started, number, pass: 0 };
        let (snapshots, snapshots_in) = watch::channel(Snapshot::default());
        let (health, health_in) = watch::channel(Health::default());
        let (adopted, mut taken) = mpsc::channel(4);
        let way = Box::new(Way { world: Arc::clone(world), by: name.to_owned(), broken });
        let (zone, status) =
            ZoneTask::new(settings(), "strict", way, options(overrides.clone(), fence, writer), adopted);
        let inputs = Inputs::new(snapshots_in, health_in, overrides.receiver());
        let (known, stop) = (overrides.clone(), shutdown.clone());
        let part = async move {
            known.known().await;
            if broken == Broken::Abstains {
                return stop.cancelled().await;
            }
            replica.run(stop).await;
        };
        let tasks = vec![
            tokio::spawn(freezer.wrap(store.run(shutdown.clone()))),
            tokio::spawn(freezer.wrap(part)),
            tokio::spawn(freezer.wrap(zone.run(inputs, shutdown.clone()))),
            tokio::spawn(async move {
                while let Some(adopted) = taken.recv().await {
                    fleetdns_watch::Adopted::take(adopted, drop);
                }
            }),
        ];
        Self {
            name: name.to_owned(),
            snapshots,
            health,
            overrides,
            standing,
            status,
            confirmed,
            freezer,
            tasks,
            shutdown,
        }
    }

    pub(crate) fn leads(&self) -> bool {
        *self.standing.borrow() == Standing::Leads
    }

    /// As kill -9 does it.
    pub(crate) fn kill(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// As SIGTERM does it.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }
}

fn settings() -> ZoneSettings {
    let apex: DnsName = "example.com".parse().unwrap();
    ZoneSettings {
        suffix: apex.clone(),
        zone: apex,
        other_zones: Vec::new(),
        owner: "fed".parse().unwrap(),
        fleet: Some("fed".parse().unwrap()),
        ttl: Ttl::DEFAULT,
        routing: fleetdns_core::routing::Routing::All,
        priorities: Arc::default(),
        policy: Arc::default(),
    }
}

fn options(overrides: OverrideSender, fence: Fence, writer: Writer) -> ZoneOptions {
    ZoneOptions {
        brakes: Brakes { max_delete: 100, max_removals: 100, ..Brakes::default() },
        drift: Duration::from_secs(60),
        configured: MEMBERS.iter().map(|name| name.parse().unwrap()).collect::<BTreeSet<_>>(),
        overrides,
        says_clusters: true,
        journal: fleetdns_daemon::journal::Journal::default(),
        reports: fleetdns_probe::Reports::default(),
        name_servers: NameServers::default(),
        fence,
        writer: Some(writer),
        startup_timeout: Duration::from_secs(30),
    }
}
