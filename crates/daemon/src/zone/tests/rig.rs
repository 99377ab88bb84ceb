//! A loop with a strict zone in memory, which refuses what a real one refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Content, DnsName, Finding, Health, Ingress, Inventory, Listing,
    MemberView, NameChange, ObservedSet, Outcome, Owner, Port, ProbeKey, ProbeSpec, ProviderError, Published,
    RecordData, Service, ServiceKey, Snapshot, Ttl, Verdict, Version,
};
use fleetdns_planner::{PublishSettings, publish};

use super::*;
use crate::ha::Fence;

/// What the zone in memory does next, and what was asked of it.
#[derive(Debug, Default)]
pub(super) struct Backend {
    pub(super) observed: Observed,
    pub(super) serial: u64,
    pub(super) lists: u32,
    pub(super) applies: u32,
    pub(super) list_faults: u32,
    /// What every list fails with.
    pub(super) list_fault: Option<fn() -> ProviderError>,
    /// How long a list takes; what it returns is the zone as it was when it began.
    pub(super) list_time: Duration,
    /// How long a write takes, for each name.
    pub(super) write_time: Duration,
    pub(super) apply_faults: Vec<fn() -> ProviderError>,
    /// Names that are refused, for reasons that only the backend knows.
    pub(super) refuses: BTreeSet<DnsName>,
    /// How often a refused name was tried.
    pub(super) refusals: u32,
    /// The next changes of which the deletions are done and nothing else.
    pub(super) halves: u32,
    /// So many writes are done, and nobody hears of it.
    pub(super) lost_answers: u32,
    /// The names that each apply was asked to write, in their order.
    pub(super) asked: Vec<Vec<DnsName>>,
    /// So many names are tried in one apply.
    pub(super) patience: Option<usize>,
    /// Somebody else is always faster.
    pub(super) contested: bool,
    /// Whether each process has a zone of its own.
    pub(super) own_copy: bool,
    /// The addresses at [`GLOBAL`] whenever start-up was said to have converged.
    pub(super) converged: Vec<Vec<String>>,
    /// Done to the zone between a list and the next apply.
    pub(super) meddle: Option<fn(&mut Self)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StrictZone(pub(super) Arc<Mutex<Backend>>);

pub(super) fn unavailable() -> ProviderError {
    ProviderError::Unavailable { endpoint: "strict zone".into(), action: "write", source: None }
}

pub(super) fn throttled() -> ProviderError {
    ProviderError::Throttled { endpoint: "strict zone".into(), seconds: 300 }
}

impl Backend {
    fn values(&self, name: &str) -> Vec<String> {
        let sets = self.observed.at(&name.parse().unwrap());
        sets.iter().filter_map(ObservedSet::ours).flat_map(RecordData::values).collect()
    }

    pub(super) fn write(&mut self, change: &NameChange) -> Outcome {
        if self.refuses.contains(&change.name) {
            self.refusals += 1;
            return Outcome::Failed(ProviderError::Rejected { problem: "poisoned".into() });
        }
        let mut sets = self.observed.at(&change.name).to_vec();
        let half = self.halves > 0;
        self.halves = self.halves.saturating_sub(1);
        for one in &change.changes {
            let there = sets.iter().position(|set| set.content.record_type() == Some(one.record_type()));
            match (one.before(), there) {
                (None, None) => {}
                (Some(before), Some(at)) if sets[at] == *before => {
                    sets.remove(at);
                }
                _ => return Outcome::Conflict,
            }
            if let Some((set, mark)) = one.after().filter(|_| !half) {
                self.serial += 1;
                sets.push(ObservedSet {
                    ttl: set.ttl,
                    content: Content::Known(set.data.clone()),
                    claim: mark.map_or(Owner::Foreign, Owner::of),
                    version: Version(self.serial.to_string().into()),
                });
            }
        }
        self.observed.replace(change.name.clone(), sets.clone());
        if half {
            Outcome::Incomplete { problem: "the addition was left out".into() }
        } else {
            Outcome::Done(sets.into())
        }
    }
}

#[async_trait]
impl Provider for StrictZone {
    fn capabilities(&self) -> Capabilities {
        Capabilities { own_copy: self.0.lock().unwrap().own_copy, ..Capabilities::default() }
    }

    async fn converged(&self) {
        let mut backend = self.0.lock().unwrap();
        let values = backend.values(GLOBAL);
        backend.converged.push(values);
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        let (result, time) = {
            let mut backend = self.0.lock().unwrap();
            backend.lists += 1;
            let failing = backend.list_faults > 0;
            backend.list_faults = backend.list_faults.saturating_sub(1);
            let fault = failing.then(unavailable).or(backend.list_fault.map(|fault| fault()));
            let listing = Listing { observed: backend.observed.clone(), unreadable: vec![] };
            (fault.map_or(Ok(listing), Err), backend.list_time)
        };
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        result
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let changes = &plan.plan().changes;
        let time = self.0.lock().unwrap().write_time * u32::try_from(changes.len()).unwrap();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let mut backend = self.0.lock().unwrap();
        backend.applies += 1;
        backend.asked.push(changes.iter().map(|change| change.name.clone()).collect());
        if let Some(meddle) = backend.meddle.take() {
            meddle(&mut backend);
        }
        let fault = backend.apply_faults.pop();
        let is_lost = fault.is_none() && backend.lost_answers > 0;
        backend.lost_answers -= u32::from(is_lost);
        let names = changes.iter().enumerate().map(|(number, change)| {
            let outcome = match fault {
                Some(fault) => Outcome::Failed(fault()),
                None if backend.patience.is_some_and(|patience| number >= patience) => Outcome::NotTried,
                None if backend.contested => Outcome::Conflict,
                None => {
                    let done = backend.write(change);
                    if is_lost { Outcome::Failed(unavailable()) } else { done }
                }
            };
            (change.name.clone(), outcome)
        });
        Applied { names: names.collect() }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        Vec::new()
    }
}

pub(super) const GLOBAL: &str = "web.default.fed.svc.example.com";

pub(super) struct Rig {
    pub(super) zone: StrictZone,
    pub(super) snapshots: watch::Sender<Snapshot>,
    pub(super) health: watch::Sender<Health>,
    pub(super) status: watch::Receiver<ZoneStatus>,
    pub(super) adopted: mpsc::Receiver<Vec<MemberView>>,
    /// Whether what the zone says of members is taken.
    pub(super) takes: watch::Sender<bool>,
    /// Whether the loop takes its turns.
    pub(super) heartbeats: crate::heartbeats::Heartbeats,
    pub(super) shutdown: CancellationToken,
    /// Those of the other zones.
    pub(super) name_servers: NameServers,
}

impl Rig {
    pub(super) fn start(backend: Backend) -> Self {
        Self::start_beside(backend, vec![])
    }

    pub(super) fn start_beside(backend: Backend, other_zones: Vec<DnsName>) -> Self {
        Self::start_heeding(backend, other_zones, OverrideSender::none())
    }

    pub(super) fn start_heeding(
        backend: Backend,
        other_zones: Vec<DnsName>,
        overrides: OverrideSender,
    ) -> Self {
        Self::start_braked(backend, other_zones, overrides, Brakes::default())
    }

    pub(super) fn start_braked(
        backend: Backend,
        other_zones: Vec<DnsName>,
        overrides: OverrideSender,
        brakes: Brakes,
    ) -> Self {
        let zone = StrictZone(Arc::new(Mutex::new(backend)));
        let apex: DnsName = "example.com".parse().unwrap();
        let settings = ZoneSettings {
            suffix: apex.clone(),
            zone: apex,
            other_zones,
            owner: "fed".parse().unwrap(),
            fleet: Some("fed".parse().unwrap()),
            ttl: Ttl::DEFAULT,
            routing: Routing::All,
            priorities: Arc::default(),
            policy: Arc::default(),
        };
        let journal = Journal::default();
        let options = ZoneOptions {
            brakes,
            drift: Duration::from_secs(60),
            configured: ["east".parse().unwrap()].into(),
            overrides,
            says_clusters: true,
            journal: journal.clone(),
            reports: Reports::default(),
            name_servers: NameServers::default(),
            fence: Fence::open(),
            writer: None,
            startup_timeout: Duration::from_secs(30),
        };
        let (adopted_out, mut said) = mpsc::channel::<Adopted>(4);
        let (taken, adopted) = mpsc::channel(4);
        let (takes, mut may_take) = watch::channel(true);
        tokio::spawn(async move {
            while let Some(said) = said.recv().await {
                may_take.wait_for(|may| *may).await.unwrap();
                said.take(|views| drop(taken.try_send(views)));
            }
        });
        let (set, name_servers) = (options.overrides.receiver(), options.name_servers.clone());
        let (task, status) = ZoneTask::new(settings, "strict", Box::new(zone.clone()), options, adopted_out);
        let (snapshots, snapshots_in) = watch::channel(Snapshot::default());
        let (health, health_in) = watch::channel(Health::default());
        let shutdown = CancellationToken::new();
        let heartbeats = crate::heartbeats::Heartbeats::default();
        let task = task.with_heartbeat(heartbeats.of("zone example.com", crate::heartbeats::ZONE));
        tokio::spawn(task.run(Inputs::new(snapshots_in, health_in, set), shutdown.clone()));
        Self { zone, snapshots, health, status, adopted, takes, heartbeats, shutdown, name_servers }
    }

    /// East publishes the Service at these addresses, all of them healthy.
    pub(super) fn publish(&self, addresses: &[&str]) {
        self.publish_as("web", addresses);
    }

    pub(super) fn publish_as(&self, name: &str, addresses: &[&str]) {
        self.publish_from("east", name, addresses);
    }

    /// What probing says of an address.
    pub(super) fn health_state(&self, address: &str, verdict: Verdict) {
        let spec = Arc::new(ProbeSpec::tcp(80));
        let key = ProbeKey { address: address.parse().unwrap(), spec };
        self.health.send_modify(|health| {
            health.verdicts.insert(key, verdict);
        });
    }

    pub(super) fn publish_from(&self, member: &str, name: &str, addresses: &[&str]) {
        self.publish_in("default", member, name, addresses);
    }

    pub(super) fn publish_in(&self, namespace: &str, member: &str, name: &str, addresses: &[&str]) {
        let apex: DnsName = "example.com".parse().unwrap();
        let settings = PublishSettings {
            fleet: Some("fed".parse().unwrap()),
            zones: vec![(apex.clone(), apex)],
            ..PublishSettings::default()
        };
        let ingress = |ip: &&str| Ingress { ip: Some((*ip).to_owned()), hostname: None };
        let service = Service {
            namespace: namespace.into(),
            name: name.into(),
            ports: vec![Port { port: 80, protocol: "TCP".into() }],
            ingress: Some(addresses.iter().map(ingress).collect()),
            ..Service::default()
        };
        let published = publish(&service, &settings).unwrap();
        self.health.send_modify(|health| {
            for address in published.addresses.iter().flatten() {
                let key = ProbeKey { address: address.ip().unwrap(), spec: Arc::clone(&published.probe) };
                health.verdicts.insert(key, Verdict::Healthy);
            }
        });
        self.snapshots.send_modify(|snapshot| {
            let name: MemberName = member.parse().unwrap();
            let mut view = snapshot
                .members
                .get(&name)
                .map_or_else(|| MemberView::pending(name.clone()), |v| (**v).clone());
            view.inventory = Inventory::Live;
            view.listed = true;
            view.services.insert(published.key.clone(), Arc::new(published));
            snapshot.members.insert(name, Arc::new(view));
        });
    }

    pub(super) fn backend<T>(&self, read: impl FnOnce(&mut Backend) -> T) -> T {
        read(&mut self.zone.0.lock().unwrap())
    }

    pub(super) fn values(&self, name: &str) -> Vec<String> {
        self.backend(|backend| backend.values(name))
    }

    /// Lets time pass; the loop does all that is due.
    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// East publishes a Service as `change` makes it.
    pub(super) fn alter(&self, name: &str, change: impl Fn(&mut Published)) {
        self.snapshots.send_modify(|snapshot| {
            let east: MemberName = "east".parse().unwrap();
            let mut view = (**snapshot.members.get(&east).unwrap()).clone();
            let key = ServiceKey::new("default", name).unwrap();
            let mut published = (**view.services.get(&key).unwrap()).clone();
            change(&mut published);
            view.services.insert(key, Arc::new(published));
            snapshot.members.insert(east, Arc::new(view));
        });
    }

    /// Lets the loop do all that needs no pause.
    pub(super) async fn moment(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
