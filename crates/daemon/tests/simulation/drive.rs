//! Runs the product in a world, on a paused clock and one thread: what happens when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetdns_core::{DnsName, ServiceKey, Snapshot};
use fleetdns_daemon::overrides::OverrideSender;
use fleetdns_daemon::overrides::order::Operator;
use fleetdns_daemon::zone::{ZoneChange, ZoneStatus, ZoneTerms};
use fleetdns_watch::Adopted;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::elsewhere::Fault;
use crate::network::NameServer;
use crate::rng::Rng;
use crate::sim::{Shared, Sim};

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    Chaos,
    /// A list of the member, asked for by the process of this number.
    List(usize, u32),
    GiveUp(u32),
    Tick,
    ApiBack(usize),
    Truthful(usize),
    Filled(usize),
    Uncut,
    Unwall,
    Untrouble,
    Refill(usize, ServiceKey),
    Resolve(DnsName),
    /// Something breaks elsewhere in a trial.
    Fault(Fault),
}

pub(crate) struct Running {
    pub(crate) tasks: Vec<JoinHandle<()>>,
    /// One for each reader: which of several readers of one channel wakes first is up to chance.
    pub(crate) snapshots: [watch::Sender<Snapshot>; 2],
    pub(crate) adopted: mpsc::Receiver<Adopted>,
    pub(crate) confirm_outage: watch::Sender<u64>,
    pub(crate) status: watch::Receiver<ZoneStatus>,
    pub(crate) operator: Operator,
    pub(crate) reload: Reload,
    pub(crate) shutdown: CancellationToken,
}

/// The configuration of the zone, and where another one is handed to its task.
pub(crate) struct Reload {
    pub(crate) terms: ZoneTerms,
    pub(crate) changes: mpsc::UnboundedSender<ZoneChange>,
}

pub(crate) struct Driver {
    pub(crate) sim: Shared,
    pub(crate) rng: Rng,
    /// When the configuration is read again: by itself, so that the other events of a seed stay as they are.
    pub(crate) reloads: Rng,
    due: BTreeMap<(Duration, u64), Do>,
    serial: u64,
    pub(crate) epoch: u32,
    /// What persons say outlives the process, as it does with a folder for its state.
    pub(crate) override_sender: Option<OverrideSender>,
    pub(crate) run: Option<Running>,
    /// When chaos is over.
    pub(crate) chaos_until: Duration,
}

impl Driver {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        Self {
            sim: Arc::new(Mutex::new(Sim::new(seed, talks))),
            rng: Rng::new(seed),
            reloads: Rng::new(!seed),
            due: BTreeMap::new(),
            serial: 0,
            epoch: 0,
            override_sender: None,
            run: None,
            chaos_until: Duration::ZERO,
        }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Sim) -> T) -> T {
        work(&mut self.sim.lock().unwrap())
    }

    pub(crate) fn now(&self) -> Duration {
        self.with(|sim| sim.now())
    }

    pub(crate) fn after(&mut self, pause: Duration, what: Do) {
        self.at(self.now() + pause, what);
    }

    pub(crate) fn at(&mut self, at: Duration, what: Do) {
        self.serial += 1;
        self.due.insert((at, self.serial), what);
    }

    /// Sends what is known of the fleet now.
    pub(crate) fn publish(&mut self) {
        let Some(run) = &self.run else { return };
        let mut sim = self.sim.lock().unwrap();
        let first = usize::from(self.rng.chance(50));
        let mut changed = false;
        for reader in [first, 1 - first] {
            changed |= run.snapshots[reader].send_if_modified(|snapshot| sim.fleet.write(snapshot));
        }
        if changed {
            let snapshot = run.snapshots[0].borrow().clone();
            sim.keep_accounts(&snapshot);
            sim.note_budget();
            sim.look_at_startup();
        }
        let tick = sim.fleet.configured().filter_map(super::fleet::Member::next_tick).min();
        let now = sim.now();
        drop(sim);
        if let Some(tick) = tick.filter(|tick| *tick > now) {
            self.at(tick, Do::Tick);
        }
    }

    /// Lets time pass, with all that happens in it.
    pub(crate) async fn pass(&mut self, span: Duration) {
        let end = self.now() + span;
        let born = self.with(|sim| sim.born);
        loop {
            let next = self.due.first_key_value().map_or(end, |((at, _), _)| (*at).min(end));
            self.sleep(born + next).await;
            if self.now() >= end && self.due.first_key_value().is_none_or(|((at, _), _)| *at > end) {
                return;
            }
            while let Some(((at, serial), _)) =
                self.due.first_key_value().filter(|((at, _), _)| *at <= self.now())
            {
                let key = (*at, *serial);
                if let Some(what) = self.due.remove(&key) {
                    self.happen(what).await;
                }
            }
        }
    }

    async fn sleep(&mut self, until: Instant) {
        loop {
            let adopted = match &mut self.run {
                None => return sleep_until(until).await,
                Some(run) => tokio::select! {
                    biased;
                    adopted = run.adopted.recv() => adopted.unwrap(),
                    () = sleep_until(until) => return,
                },
            };
            adopted.take(|views| {
                let again = self.with(|sim| {
                    let now = sim.now();
                    sim.remember();
                    sim.fleet.adopt(views, now)
                });
                for (member, due) in again {
                    self.at(due, Do::List(member, self.epoch));
                }
                self.publish();
            });
        }
    }

    async fn happen(&mut self, what: Do) {
        match what {
            Do::Chaos => return self.chaos().await,
            Do::Fault(fault) => return self.fault(&fault),
            Do::List(member, epoch) => {
                if epoch == self.epoch {
                    self.list(member);
                }
            }
            Do::GiveUp(epoch) => {
                let current = epoch == self.epoch;
                self.with(|sim| {
                    sim.fleet.members.iter_mut().filter(|_| current).for_each(super::fleet::Member::give_up);
                });
            }
            Do::Tick => self.with(|sim| {
                let now = sim.now();
                sim.fleet.members.iter_mut().for_each(|member| member.tick(now));
            }),
            Do::ApiBack(member) => {
                self.with(|sim| sim.fleet.members[member].reachable = true);
                self.list(member);
            }
            Do::Truthful(member) => {
                self.with(|sim| sim.fleet.members[member].lies = false);
                self.list(member);
            }
            Do::Filled(member) => {
                self.with(|sim| sim.fleet.members[member].unfilled.clear());
                self.list(member);
            }
            Do::Uncut => self.with(|sim| {
                sim.net.cut = None;
                sim.say("the prober hears again");
            }),
            Do::Unwall => self.with(|sim| {
                sim.net.wall = None;
                sim.say("the wall is down");
            }),
            Do::Untrouble => self.with(|sim| {
                sim.zone.trouble = crate::zone::Trouble::None;
                sim.zone.slow = Duration::ZERO;
                sim.zone.refused.clear();
            }),
            Do::Refill(member, key) => self.with(|sim| {
                let now = sim.now();
                let member = &mut sim.fleet.members[member];
                if let Some(truth) = member.services.get_mut(&key) {
                    truth.emptied = None;
                }
                member.tell(&key, now);
            }),
            Do::Resolve(name) => self.with(|sim| {
                if let Some(name) = sim.net.names.get_mut(&name) {
                    name.server = NameServer::Answers;
                }
            }),
        }
        self.publish();
    }

    pub(crate) fn list(&mut self, member: usize) {
        let due = self.with(|sim| {
            let now = sim.now();
            let naive = sim.fleet.naive;
            let due = sim.fleet.members[member].list(now, naive);
            // What a second list confirms to be gone goes while the wall stands.
            if due.is_some() {
                sim.strict_wall.clear();
            }
            due
        });
        if let Some(due) = due {
            self.at(due, Do::List(member, self.epoch));
        }
        self.publish();
    }

    /// Forgets what was still to come by itself.
    pub(crate) fn forget_plans(&mut self) {
        self.due.retain(|_, what| matches!(what, Do::List(..) | Do::GiveUp(_) | Do::Tick));
    }
}
