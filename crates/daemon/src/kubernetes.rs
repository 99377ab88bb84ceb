//! What the daemon writes into the clusters, where the configuration asks for it: Events about Services, and kubefed's
//! annotation of their addresses.
//!
//! ```text
//! journal ───events───┐                        ┌→ worker of a cluster → its API
//! snapshots ─changes──┴→ run ─(bounded queue)──┴→ worker of another one
//! ```
//!
//! Nothing is decided here: an Event says what the journal says, the annotation what the snapshot says.
//!
//! Invariant: only the replica that leads writes.
//! Invariant: a cluster that is slow or refuses holds neither another cluster nor a zone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use fleetdns_core::{MemberName, ServiceKey, Snapshot};
use fleetdns_planner::changed_services;
use fleetdns_watch::{Access, Members, ServiceWriter, Write};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ha::Fence;
use crate::inputs::Inputs;
use crate::journal::{Event, Journal, Kind};

mod correlator;
mod queue;
mod text;
mod worker;

use queue::Queue;
use worker::Worker;

/// What is written into the clusters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Events about Services.
    pub events: bool,
    /// The annotation `federation.kubernetes.io/service-ingresses`.
    pub service_ingresses: bool,
}

impl Settings {
    /// What is written, to be checked.
    pub fn writes(self) -> Vec<Write> {
        let all = [(self.events, Write::Events), (self.service_ingresses, Write::Annotation)];
        all.into_iter().filter_map(|(on, write)| on.then_some(write)).collect()
    }

    /// Nothing unless this replica leads.
    const fn filter(self, leads: bool) -> Self {
        Self { events: self.events && leads, service_ingresses: self.service_ingresses && leads }
    }

    const fn any(self) -> bool {
        self.events || self.service_ingresses
    }
}

/// What is read.
pub(crate) struct Sources {
    pub(crate) settings: watch::Receiver<Settings>,
    pub(crate) members: watch::Receiver<Members>,
    pub(crate) inputs: Inputs,
    pub(crate) journal: Journal,
    pub(crate) fence: Fence,
}

/// One cluster.
struct Cluster {
    access: Access,
    queue: Arc<Queue>,
    _task: AbortOnDropHandle<()>,
}

/// Writes until `shutdown`.
pub(crate) async fn run(mut sources: Sources, shutdown: CancellationToken) {
    let mut clusters: BTreeMap<MemberName, Cluster> = BTreeMap::new();
    let mut follower = sources.journal.follower();
    let mut before = Snapshot::default();
    loop {
        let settings = *sources.settings.borrow_and_update();
        // Events first: what they are about is in what is known afterwards.
        let events = follower.news();
        let leads = sources.fence.standing().writes();
        let input = sources.inputs.latest();
        configure(&mut clusters, settings.filter(leads), input.fleet(), &mut sources);
        for event in events.iter().filter(|_| settings.events) {
            queue_event(event, input.fleet(), &clusters);
        }
        if settings.service_ingresses {
            for service in changed_services(&before, input.fleet()) {
                queue_service(&service, input.fleet(), &clusters);
            }
            before.clone_from(input.fleet());
        } else {
            before = Snapshot::default();
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = follower.changed(), if settings.events => {}
            Some(()) = sources.inputs.changed(), if settings.service_ingresses => {}
            Ok(()) = sources.members.changed() => {}
            Ok(()) = sources.settings.changed() => {}
            () = sources.fence.changed() => {}
        }
    }
}

/// Has a worker for each member while this replica leads, and for no other. A new one begins with all Services.
fn configure(
    clusters: &mut BTreeMap<MemberName, Cluster>,
    settings: Settings,
    fleet: &Snapshot,
    sources: &mut Sources,
) {
    let members = sources.members.borrow_and_update();
    let access_of =
        |name: &MemberName| members.members.iter().find(|one| one.name == *name).map(|one| &one.access);
    clusters.retain(|name, cluster| settings.any() && access_of(name) == Some(&cluster.access));
    for member in members.members.iter().filter(|_| settings.any()) {
        let Entry::Vacant(new) = clusters.entry(member.name.clone()) else { continue };
        let queue = Arc::<Queue>::default();
        let services = fleet.members.get(&member.name).map(|view| &view.services);
        for service in services.into_iter().flatten().filter(|_| settings.service_ingresses) {
            queue.push_service(service.0.clone());
        }
        let writer = ServiceWriter::new(member.access.clone(), &host());
        let (inputs, fence) = (sources.inputs.clone(), sources.fence.clone());
        let worker = Worker::new(member.name.clone(), writer, Arc::clone(&queue), inputs, fence);
        let task = AbortOnDropHandle::new(tokio::spawn(worker.run()));
        new.insert(Cluster { access: member.access.clone(), queue, _task: task });
    }
}

/// An Event goes to each cluster that it is about and that has the Service.
fn queue_event(event: &Arc<Event>, fleet: &Snapshot, clusters: &BTreeMap<MemberName, Cluster>) {
    let Some(service) = text::service(event) else { return };
    let about = |name: &MemberName| match event.what.kind {
        Kind::Refused => true,
        _ => event.what.clusters.iter().any(|cluster| cluster == name.as_str()),
    };
    for name in having(&service, fleet).filter(|name| about(name)) {
        if let Some(cluster) = clusters.get(name) {
            cluster.queue.push_event(Arc::clone(event));
        }
    }
}

fn queue_service(service: &ServiceKey, fleet: &Snapshot, clusters: &BTreeMap<MemberName, Cluster>) {
    for cluster in having(service, fleet).filter_map(|name| clusters.get(name)) {
        cluster.queue.push_service(service.clone());
    }
}

fn having<'a>(service: &'a ServiceKey, fleet: &'a Snapshot) -> impl Iterator<Item = &'a MemberName> {
    fleet.members.values().filter(|member| member.services.contains_key(service)).map(|member| &member.name)
}

/// The host, which is the pod in Kubernetes.
fn host() -> String {
    fleetdns_core::text::printable(&rustix::system::uname().nodename().to_string_lossy()).into_owned()
}
