//! The world of one run, and what is known of it to the laws.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Address, Brakes, DnsName, Inventory, ObservedSet, Overrides, ProbeKey, RecordData, ServiceKey, Snapshot,
};
use fleetdns_daemon::overrides::OverrideSender;
use fleetdns_health::state::Outcome;
use fleetdns_probe::Answer;
use tokio::time::{Instant, sleep};

use crate::fleet::Fleet;
use crate::laws::Leaver;
use crate::ledger::{Blame, Ledger};
use crate::names::Meaning;
use crate::network::Network;
use crate::proof::Broken;
use crate::rng::Rng;
use crate::zone::Backend;

pub(crate) type Shared = Arc<Mutex<Sim>>;

/// What the laws remember of one process of the product.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) converged: bool,
    /// What left because of its probes.
    pub(crate) left: VecDeque<(Duration, Leaver)>,
    pub(crate) budgets: VecDeque<(Duration, usize)>,
    /// When a removal was last let go and not written.
    pub(crate) unwritten: Option<Duration>,
}

/// A change of the zone.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) at: Duration,
    pub(crate) name: DnsName,
    pub(crate) values: BTreeSet<String>,
}

pub(crate) struct Sim {
    pub(crate) born: Instant,
    pub(crate) net: Network,
    pub(crate) fleet: Fleet,
    pub(crate) services: BTreeSet<ServiceKey>,
    pub(crate) names: BTreeMap<DnsName, Meaning>,
    pub(crate) ledger: Ledger,
    pub(crate) zone: Backend,
    pub(crate) foreign: BTreeMap<DnsName, Vec<ObservedSet>>,
    pub(crate) brakes: Brakes,
    /// How long a correlation holds; for ever without.
    pub(crate) hold: Option<Duration>,
    pub(crate) routing: Routing,
    pub(crate) overrides: Overrides,
    pub(crate) override_sender: Option<OverrideSender>,
    pub(crate) broken: Broken,
    pub(crate) process: Process,
    /// All of it answered when the wall came up: nothing of these namespaces that answered before may go until it is down.
    pub(crate) strict_wall: BTreeSet<Arc<str>>,
    pub(crate) written: Vec<Written>,
    pub(crate) wrong: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) talks: bool,
    pub(crate) steps: u64,
}

impl Sim {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        Self {
            born: Instant::now(),
            net: Network::new(seed),
            fleet: Fleet::default(),
            services: BTreeSet::new(),
            names: BTreeMap::new(),
            ledger: Ledger::default(),
            zone: Backend::new(seed),
            foreign: BTreeMap::new(),
            // How many addresses a name may have is no matter of time; the largest Service here has more than that.
            brakes: Brakes { max_delete: 100, max_addresses: 10_000, ..Brakes::default() },
            // Longer than any wall stands.
            hold: Some(Duration::from_secs(Rng::new(seed ^ 3).between(150, 600))),
            routing: Routing::All,
            overrides: Overrides::default(),
            override_sender: None,
            broken: Broken::default(),
            process: Process::default(),
            strict_wall: BTreeSet::new(),
            written: Vec::new(),
            wrong: Vec::new(),
            log: Vec::new(),
            talks,
            steps: 0,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.born.elapsed()
    }

    pub(crate) fn say(&mut self, what: impl Display) {
        let line = format!("{:>10.3} {what}", self.now().as_secs_f64());
        if self.talks {
            println!("{line}");
        }
        self.log.push(line);
        self.steps += 1;
    }

    pub(crate) fn accuse(&mut self, what: impl Display) {
        self.say(format!("WRONG {what}"));
        self.wrong.push(what.to_string());
    }

    /// What persons override by now.
    pub(crate) fn apply_overrides(&mut self) {
        if let Some(override_sender) = &mut self.override_sender {
            self.overrides = override_sender.latest();
        }
    }

    /// The marks in the zone tell the process that starts who gave what.
    pub(crate) fn remember(&mut self) {
        let marks =
            self.zone.observed.iter().flat_map(|(_, sets)| sets).filter_map(|set| set.claim.ownership());
        for mark in marks {
            for member in self.fleet.members.iter_mut().filter(|member| member.configured) {
                if let Some(share) = mark.members.get(&member.name) {
                    member.remember(&mark.service, &share.addresses);
                }
            }
        }
    }

    fn land(&mut self, key: &ProbeKey, (started, answer): (Duration, &Answer), hidden: Blame) {
        let now = self.now();
        let outcome = answer.outcome();
        // An address that is dead all the same is not to blame on the network.
        let blame = if self.net.is_alive(key.address) { hidden } else { Blame::Endpoint };
        self.ledger.land(key, outcome, blame, now);
        self.steps += 1;
        if self.talks && outcome != Outcome::Pass {
            self.say(format!(
                "probe {} {} since {:.3}: {answer:?}",
                key.address,
                key.spec,
                started.as_secs_f64()
            ));
        }
        self.look_at_startup();
    }

    /// Start-up is certainly not over while a member is pending. What has no verdict holds itself alone, and the law of
    /// evidence sees to that.
    pub(crate) fn look_at_startup(&mut self) {
        if self.process.converged {
            return;
        }
        self.process.converged =
            self.fleet.configured().all(|member| member.view().inventory != Inventory::Pending);
    }

    /// What nobody wants to be probed is forgotten.
    pub(crate) fn keep_accounts(&mut self, snapshot: &Snapshot) {
        let targets = snapshot.targets();
        let told = &self.net.names;
        self.ledger.keep(|key| {
            targets.iter().filter(|target| target.spec == key.spec).any(|target| match &target.address {
                Address::Hostname(name) => told
                    .get(name)
                    .and_then(|name| name.told.as_ref())
                    .is_some_and(|ips| ips.contains(&key.address)),
                other => other.ip() == Some(key.address),
            })
        });
    }

    /// The zone's own act: what stands at a name from now on.
    pub(crate) fn write(&mut self, name: &DnsName, sets: Vec<ObservedSet>) {
        self.judge_sets(name, &sets);
        let values: BTreeSet<String> =
            sets.iter().filter_map(ObservedSet::ours).flat_map(RecordData::values).collect();
        let marks = sets.iter().filter(|_| self.talks).filter_map(|set| set.claim.ownership());
        let mark = marks.map(|mark| mark.to_string()).next().unwrap_or_default();
        self.say(format!("written {name} {values:?} {mark}"));
        self.zone.writes += 1;
        self.written.push(Written { at: self.now(), name: name.clone(), values });
        self.zone.observed.replace(name.clone(), sets);
    }

    /// What of ours stands at a name.
    pub(crate) fn values(&self, name: &DnsName) -> BTreeSet<String> {
        self.zone
            .observed
            .at(name)
            .iter()
            .filter_map(ObservedSet::ours)
            .flat_map(RecordData::values)
            .collect()
    }
}

/// A probe through the network of the world.
pub(crate) async fn probe(sim: Shared, key: ProbeKey) -> Answer {
    let (after, answer, started, blame) = {
        let mut sim = sim.lock().unwrap();
        let now = sim.now();
        sim.ledger.start(&key);
        let (after, answer) = sim.net.answer(&key, now);
        let blame = match (sim.net.cut, sim.net.wall) {
            (Some(_), _) => Blame::Cut,
            (None, Some(_)) => Blame::Wall,
            (None, None) => Blame::Endpoint,
        };
        (after, answer, now, blame)
    };
    if after > Duration::ZERO {
        sleep(after).await;
    }
    sim.lock().unwrap().land(&key, (started, &answer), blame);
    answer
}
