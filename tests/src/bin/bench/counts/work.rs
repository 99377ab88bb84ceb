//! The works that are counted, each on a fleet that is made up: half of the Services ask for a host name.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::member::{Health, Inventory, MemberView, Snapshot};
use fleetdns_core::ownership::Owner;
use fleetdns_core::probe::{ProbeKey, Target, Thresholds, Verdict};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::{
    Brakes, Content, DnsName, MemberName, Observed, ObservedSet, Overrides, Routing, Service, Ttl, Version,
};
use fleetdns_health::{
    HealthState, KeyId, Outcome, Place, Probed, Reachability, VantageMonitor, VantageSettings,
};
use fleetdns_planner::{Input, Memory, Planner, PublishSettings, Scope, ZoneSettings, publish};

const MEMBERS: usize = 20;
const NAMESPACES: usize = 50;
/// Single changes that are made one after the other.
const CHANGES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Publish,
    FirstPlan,
    FullPass,
    Change,
    Judge,
}

/// A work that is ready to be done.
pub(crate) enum Prepared {
    Publish(Vec<Service>, PublishSettings),
    FirstPlan(World),
    FullPass(World),
    Change(World),
    Judge(Box<VantageMonitor>, Vec<HealthState>),
}

impl Work {
    pub(crate) const ALL: [Self; 5] =
        [Self::Publish, Self::FirstPlan, Self::FullPass, Self::Change, Self::Judge];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::FirstPlan => "first-plan",
            Self::FullPass => "full-pass",
            Self::Change => "change",
            Self::Judge => "judge",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Publish => "publish: a Service is read",
            Self::FirstPlan => "plan: a name of an empty zone",
            Self::FullPass => "plan: a name of a zone that is right",
            Self::Change => "plan: one address changes",
            Self::Judge => "judge: a probe",
        }
    }

    /// How many of what is counted a fleet of this size has.
    pub(crate) const fn units(self, services: usize) -> usize {
        match self {
            Self::Publish | Self::Judge => services,
            Self::FirstPlan | Self::FullPass => services * 5 / 2,
            Self::Change => CHANGES,
        }
    }

    pub(crate) fn prepare(self, services: usize) -> Prepared {
        match self {
            Self::Publish => {
                Prepared::Publish((0..services).map(|number| service(number, 0)).collect(), reading())
            }
            Self::FirstPlan => Prepared::FirstPlan(World::new(services)),
            Self::FullPass => Prepared::FullPass(World::written(services)),
            Self::Change => Prepared::Change(World::written(services)),
            Self::Judge => {
                Prepared::Judge(Box::new(monitor(services)), vec![HealthState::default(); services])
            }
        }
    }
}

impl Prepared {
    pub(crate) fn run(&mut self) {
        match self {
            Self::Publish(services, settings) => {
                for service in services {
                    std::hint::black_box(publish(service, settings));
                }
            }
            Self::FirstPlan(world) => {
                assert_eq!(world.pass(&Scope::All), Work::FirstPlan.units(world.services));
            }
            Self::FullPass(world) => assert_eq!(world.pass(&Scope::All), 0),
            Self::Change(world) => {
                let changed: usize = (1..=CHANGES).map(|turn| world.change(turn)).sum();
                assert!(changed >= 2 * CHANGES, "{changed}");
            }
            Self::Judge(monitor, states) => judge(monitor, states),
        }
    }
}

/// Every second Service has a third name, which it asks for.
fn service(number: usize, turn: usize) -> Service {
    let address = Ipv4Addr::from(u32::try_from(number * 7 + turn).expect("it fits") + 0x5000_0000);
    let mut service = serde_json::json!({
        "namespace": format!("ns-{}", number % NAMESPACES),
        "name": format!("svc-{number}"),
        "created": "2026-01-01T00:00:00Z",
        "ports": [{"port": 80, "protocol": "TCP"}],
        "ingress": [{"ip": address.to_string()}],
    });
    if number.is_multiple_of(2) {
        service["annotations"] = serde_json::json!({"fleetdns.io/hostname": format!("host-{number}.{ZONE}")});
    }
    serde_json::from_value(service).expect("it is a Service")
}

const ZONE: &str = "scale.example.org";

fn zone() -> DnsName {
    ZONE.parse().expect("it is a name")
}

fn reading() -> PublishSettings {
    PublishSettings {
        fleet: "scale".parse().ok(),
        zones: vec![(zone(), zone())],
        ..PublishSettings::default()
    }
}

/// A fleet and its zone.
pub(crate) struct World {
    services: usize,
    snapshot: Snapshot,
    health: Health,
    input: Input,
    planner: Planner,
    observed: Observed,
    memory: Memory,
    now: Duration,
}

impl World {
    fn new(services: usize) -> Self {
        let settings = reading();
        let members = (0..MEMBERS).map(|member| {
            let name = format!("m{member}").parse().expect("it is a name");
            let mut view =
                MemberView { inventory: Inventory::Live, listed: true, ..MemberView::pending(name) };
            view.region = format!("r{member}").parse().ok();
            for number in (member..services).step_by(MEMBERS) {
                let published = publish(&service(number, 0), &settings).expect("it is published");
                view.services.insert(published.key.clone(), Arc::new(published));
            }
            (view.name.clone(), Arc::new(view))
        });
        let snapshot = Snapshot { members: members.collect() };
        let verdicts = snapshot.targets().into_iter().filter_map(healthy).collect();
        let health = Health { verdicts, ..Health::default() };
        let input = Input::new(&snapshot, &health, &Overrides::default());
        let zone = ZoneSettings {
            zone: zone(),
            suffix: zone(),
            other_zones: Vec::new(),
            owner: "scale".parse().expect("it is a label"),
            fleet: "scale".parse().ok(),
            ttl: Ttl::DEFAULT,
            routing: Routing::All,
            priorities: Arc::default(),
            policy: Arc::default(),
        };
        let planner = Planner::new(zone, Capabilities::default(), Brakes::default());
        Self {
            services,
            snapshot,
            health,
            input,
            planner,
            observed: Observed::default(),
            memory: Memory::default(),
            now: Duration::ZERO,
        }
    }

    /// The same when everything is written.
    fn written(services: usize) -> Self {
        let mut world = Self::new(services);
        world.pass(&Scope::All);
        world
    }

    /// Plans and writes; returns how many names are written.
    fn pass(&mut self, scope: &Scope) -> usize {
        let mut scope = scope.clone();
        scope.extend(self.planner.update(&self.input));
        // The brake on the pace of removals counts each minute for itself.
        self.now += Duration::from_secs(120);
        let preview = self.planner.preview(&scope, &self.observed, &mut self.memory, self.now);
        let changes = &preview.approved.plan().changes;
        for change in changes {
            let sets = change.changes.iter().filter_map(|change| change.after());
            let sets = sets.map(|(set, mark)| ObservedSet {
                ttl: set.ttl,
                content: Content::Known(set.data.clone()),
                claim: mark.map_or(Owner::Foreign, Owner::of),
                version: Version::default(),
            });
            self.observed.replace(change.name.clone(), sets.collect::<Vec<_>>());
        }
        changes.len()
    }

    fn change(&mut self, turn: usize) -> usize {
        let number = turn * 48_271 % self.services;
        let published = publish(&service(number, turn), &reading()).expect("it is published");
        self.health.verdicts.extend(published.targets().filter_map(healthy));
        let member: MemberName = format!("m{}", number % MEMBERS).parse().expect("it is a name");
        let view = self.snapshot.members.get_mut(&member).expect("it is a member");
        Arc::make_mut(view).services.insert(published.key.clone(), Arc::new(published));
        self.input.update(&self.snapshot, &self.health, &Overrides::default());
        self.pass(&Scope::Names([].into()))
    }
}

fn healthy(target: Target) -> Option<(ProbeKey, Verdict)> {
    Some((ProbeKey { address: target.address.ip()?, spec: target.spec }, Verdict::Healthy))
}

fn monitor(services: usize) -> VantageMonitor {
    let second = Duration::from_secs(1);
    let settings = VantageSettings { gap: second, patience: second, hold: None };
    let mut monitor = VantageMonitor::new(settings, []);
    for number in 0..services {
        let member = format!("m{}", number % MEMBERS).parse().expect("it is a name");
        let place = Place { member, namespace: format!("ns-{}", number % NAMESPACES).into() };
        monitor.join(key(number), &place);
    }
    monitor
}

fn key(number: usize) -> KeyId {
    KeyId(u32::try_from(number).expect("it fits"))
}

/// One sweep: each endpoint is probed once and passes.
fn judge(monitor: &mut VantageMonitor, states: &mut [HealthState]) {
    let thresholds = Thresholds::default();
    for (number, state) in states.iter_mut().enumerate() {
        let started = Duration::from_micros(number as u64);
        let ended = started + Duration::from_millis(20);
        state.record(Outcome::Pass, ended, &thresholds, false);
        let probed = Probed {
            started,
            ended,
            reachability: Reachability::Reached,
            verdict: state.verdict(),
            failures: state.failures(),
            calm: true,
            prompt: true,
        };
        monitor.take(key(number), &probed);
    }
}
