//! Writes what waits for one cluster, one request after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetdns_core::backoff::Backoff;
use fleetdns_core::{MemberName, ServiceKey};
use fleetdns_watch::{Note, ServiceWriter, WriteError};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::correlator::{Correlator, Said};
use super::queue::{Job, Queue};
use super::text;
use crate::ha::Fence;
use crate::inputs::Inputs;

/// Kubefed's annotation.
const SERVICE_INGRESSES: &str = "federation.kubernetes.io/service-ingresses";
/// From one request to the next: a first sync is not to keep an API server busy.
const PACE: Duration = Duration::from_millis(50);
/// Pauses after a fault of the cluster.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// How long a right that is missing is not tried again.
const FORBIDDEN: Duration = Duration::from_secs(300);

/// What a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Events,
    Annotation,
}

/// A write that is tried until it is done or refused.
enum Write {
    Event(ServiceKey, Said),
    Annotation(ServiceKey),
}

/// One cluster's.
pub(super) struct Worker {
    cluster: MemberName,
    writer: ServiceWriter,
    queue: Arc<Queue>,
    inputs: Inputs,
    fence: Fence,
    started: Instant,
    correlator: Correlator,
    /// What each Service was given last, in short.
    annotated: HashMap<ServiceKey, u64>,
    hasher: RandomState,
    /// Rights that are missing in a namespace, until they are tried again.
    forbidden: BTreeMap<(Right, Arc<str>), Instant>,
    /// Services that wait for a right.
    waiting: BTreeSet<ServiceKey>,
    /// When these are tried again.
    again_at: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        cluster: MemberName,
        writer: ServiceWriter,
        queue: Arc<Queue>,
        inputs: Inputs,
        fence: Fence,
    ) -> Self {
        Self {
            cluster,
            writer,
            queue,
            inputs,
            fence,
            started: Instant::now(),
            correlator: Correlator::default(),
            annotated: HashMap::new(),
            hasher: RandomState::new(),
            forbidden: BTreeMap::new(),
            waiting: BTreeSet::new(),
            again_at: None,
        }
    }

    /// Works until it is dropped: as long as this replica leads.
    pub(super) async fn run(mut self) {
        loop {
            let again_at = self.again_at;
            let job = tokio::select! {
                job = self.queue.next() => job,
                () = at(again_at) => {
                    self.again_at = None;
                    std::mem::take(&mut self.waiting).into_iter().for_each(|one| self.queue.push_service(one));
                    continue;
                }
            };
            let dropped = self.queue.dropped();
            if dropped > 0 {
                warn!(cluster = %self.cluster, events = dropped, "Events dropped: the cluster takes them too slowly");
            }
            if let Some((right, write)) = self.plan(job) {
                self.work(right, write).await;
            }
        }
    }

    /// What a piece of work comes to, and the right that it needs.
    fn plan(&mut self, job: Job) -> Option<((Right, Arc<str>), Write)> {
        let (right, service) = match &job {
            Job::Event(event) => (Right::Events, text::service(event)?),
            Job::Service(service) => (Right::Annotation, service.clone()),
        };
        let right = (right, service.namespace().into());
        if self.forbidden.get(&right).is_some_and(|until| *until > Instant::now()) {
            self.leave(&right, service);
            return None;
        }
        let write = match job {
            Job::Event(event) => {
                let said = self.correlator.take(&service, text::note(&event)?, self.started.elapsed());
                Write::Event(service, said)
            }
            Job::Service(_) => Write::Annotation(service),
        };
        Some((right, write))
    }

    async fn work(&mut self, right: (Right, Arc<str>), write: Write) {
        let (mut pause, mut faulty) = (PAUSE, false);
        loop {
            if !self.fence.is_open() {
                // It may be a moment before the lease is renewed, or another one leads, and this task ends.
                sleep(PACE).await;
                continue;
            }
            let done = match &write {
                Write::Event(service, said) => self.write_event(service, said).await,
                Write::Annotation(service) => self.annotate(service).await,
            };
            match done {
                Ok(false) => return,
                Ok(true) => break,
                Err(WriteError::Forbidden(problem)) => return self.forbid(right, &write, &problem),
                Err(WriteError::Rejected(problem)) => {
                    debug!(cluster = %self.cluster, error = problem, "write into the cluster rejected");
                    break;
                }
                Err(WriteError::Failed { problem, retry_after }) => {
                    if !std::mem::replace(&mut faulty, true) {
                        warn!(cluster = %self.cluster, error = problem, "cannot write into the cluster; trying again");
                    }
                    sleep(pause.pause().max(retry_after)).await;
                }
            }
        }
        if faulty {
            info!(cluster = %self.cluster, "writing into the cluster again");
        }
        let missing = self.forbidden.remove(&right).is_some();
        if missing && self.forbidden.keys().all(|(one, _)| *one != right.0) {
            info!(cluster = %self.cluster, "cluster lets us write now");
        }
        sleep(PACE).await;
    }

    /// Says once that a right is missing.
    fn forbid(&mut self, right: (Right, Arc<str>), write: &Write, problem: &str) {
        let known = self.forbidden.keys().any(|(one, _)| *one == right.0);
        if known {
            debug!(cluster = %self.cluster, error = problem, "cluster does not let us write");
        } else {
            warn!(cluster = %self.cluster, error = problem, "cluster does not let us write");
        }
        let (Write::Event(service, _) | Write::Annotation(service)) = write;
        self.leave(&right, service.clone());
        self.forbidden.insert(right, Instant::now() + FORBIDDEN);
    }

    /// Without the right to it an Event is left out, and an annotation waits.
    fn leave(&mut self, (right, _): &(Right, Arc<str>), service: ServiceKey) {
        if *right == Right::Annotation {
            self.waiting.insert(service);
            self.again_at.get_or_insert_with(|| Instant::now() + FORBIDDEN);
        }
    }

    /// Whether there was a request.
    async fn write_event(&mut self, service: &ServiceKey, said: &Said) -> Result<bool, WriteError> {
        match said {
            Said::Nothing => Ok(false),
            Said::Create(note) => self.create_event(service, note).await,
            Said::Repeat { name, note, count } => {
                if self.writer.repeat_event(service, name, &note.message, *count).await? {
                    return Ok(true);
                }
                self.correlator.gone(service, note);
                self.create_event(service, note).await
            }
        }
    }

    async fn create_event(&mut self, service: &ServiceKey, note: &Note) -> Result<bool, WriteError> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("{}.{nanos:x}", service.name());
        if self.writer.create_event(service, &name, note).await? {
            self.correlator.created(service, note, name);
        }
        Ok(true)
    }

    /// Whether there was a request.
    async fn annotate(&mut self, service: &ServiceKey) -> Result<bool, WriteError> {
        let value = text::service_ingresses(service, self.inputs.current().fleet());
        let short = self.hasher.hash_one(&value);
        if self.annotated.get(service) == Some(&short) {
            return Ok(false);
        }
        if self.writer.annotate(service, SERVICE_INGRESSES, &value).await? {
            self.annotated.insert(service.clone(), short);
        } else {
            self.annotated.remove(service);
        }
        Ok(true)
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
