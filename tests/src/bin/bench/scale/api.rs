//! The API servers of all members in one small server: lists in pages, and watches, of Services that exist as an address
//! each and are written out when they are asked for.
//!
//! Invariant: what it does not know it refuses with 404; the daemon then does without it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{NAMESPACES, Size, ZONE};

/// First of the addresses, which are given out one after the other.
const FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);

/// All members with all Services.
pub(super) struct Fleet {
    size: Size,
    /// The address of each Service object, 0 where there is none. Object `i` lies in member `i % members`.
    addresses: Vec<AtomicU32>,
    /// How often each was made again: it is another object then.
    lives: Vec<AtomicU32>,
    next: AtomicU32,
    /// What changed in each member, and how often: its version is one more.
    changes: Vec<(Mutex<Vec<Change>>, watch::Sender<usize>)>,
}

/// An object, and what it is since; `kind` is the word of the watch event.
#[derive(Clone, Copy)]
struct Change {
    kind: &'static str,
    object: usize,
    life: u32,
    address: u32,
}

impl Fleet {
    pub(super) fn new(size: Size) -> Arc<Self> {
        Self::with_room(size, 0)
    }

    /// With so many objects more, which are not made yet.
    pub(super) fn with_room(size: Size, more: usize) -> Arc<Self> {
        let count = u32::try_from(size.services).expect("fewer than 2^32 Services");
        let later = (0..more).map(|_| AtomicU32::new(0));
        Arc::new(Self {
            size,
            addresses: (0..count).map(|index| AtomicU32::new(FIRST + index)).chain(later).collect(),
            lives: (0..size.services + more).map(|_| AtomicU32::new(0)).collect(),
            next: AtomicU32::new(FIRST + count),
            changes: (0..size.members).map(|_| (Mutex::default(), watch::Sender::new(0))).collect(),
        })
    }

    /// Serves every member below `/NUMBER`; returns the address. Ends with the runtime.
    pub(super) async fn serve(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"});
        let router = Router::new()
            .route("/{member}/version", get(async move || axum::Json(version)))
            .route("/{member}/api/v1/services", get(services))
            .with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Gives a Service object an address that none had before; returns both and when the event was sent.
    pub(super) fn change(&self, object: usize) -> (Ipv4Addr, Instant) {
        self.put("MODIFIED", object)
    }

    /// Makes a Service object that is not there.
    pub(super) fn make(&self, object: usize) -> (Ipv4Addr, Instant) {
        self.lives[object].fetch_add(1, Ordering::Relaxed);
        self.put("ADDED", object)
    }

    fn put(&self, kind: &'static str, object: usize) -> (Ipv4Addr, Instant) {
        let address = self.next.fetch_add(1, Ordering::Relaxed);
        self.addresses[object].store(address, Ordering::Relaxed);
        (Ipv4Addr::from_bits(address), self.send(kind, object, address))
    }

    pub(super) fn delete(&self, object: usize) {
        let address = self.addresses[object].swap(0, Ordering::Relaxed);
        self.send("DELETED", object, address);
    }

    fn send(&self, kind: &'static str, object: usize, address: u32) -> Instant {
        let (log, version) = &self.changes[object % self.size.members];
        let mut log = log.lock().expect("nobody panics with the lock");
        log.push(Change { kind, object, life: self.lives[object].load(Ordering::Relaxed), address });
        let now = Instant::now();
        version.send_replace(log.len());
        now
    }

    /// The address of a Service object that is there.
    pub(super) fn address(&self, object: usize) -> Option<Ipv4Addr> {
        Some(self.addresses[object].load(Ordering::Relaxed))
            .filter(|&address| address != 0)
            .map(Ipv4Addr::from_bits)
    }

    fn object(&self, (object, life): (usize, u32), version: usize, address: u32) -> String {
        let number = self.size.number(object);
        let (namespace, hostname) = (number % NAMESPACES, self.size.hostname(number));
        let hostname = hostname
            .map(|name| format!(r#","annotations":{{"fleetdns.io/hostname":"{name}"}}"#))
            .unwrap_or_default();
        format!(
            r#"{{"metadata":{{"name":"svc-{number}","namespace":"ns-{namespace}","uid":"{life:08x}{object:024x}","resourceVersion":"{version}","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app":"svc-{number}"}}{hostname}}},"spec":{{"type":"LoadBalancer","clusterIP":"172.16.0.1","selector":{{"app":"svc-{number}"}},"ports":[{{"name":"https","port":443,"protocol":"TCP","targetPort":8443,"nodePort":30443}}]}},"status":{{"loadBalancer":{{"ingress":[{{"ip":"{}"}}]}}}}}}"#,
            Ipv4Addr::from_bits(address),
        )
    }

    fn version(&self, member: usize) -> usize {
        *self.changes[member].1.borrow() + 1
    }

    fn page(&self, member: usize, limit: usize, from: usize) -> String {
        let version = self.version(member);
        let alive = |object: &usize| self.addresses[*object].load(Ordering::Relaxed) != 0;
        let all = (member..self.addresses.len()).step_by(self.size.members);
        let mut objects = all.filter(alive).skip(from);
        let mut items = String::new();
        for object in objects.by_ref().take(limit) {
            let comma = if items.is_empty() { "" } else { "," };
            let address = self.addresses[object].load(Ordering::Relaxed);
            let life = self.lives[object].load(Ordering::Relaxed);
            let _ = write!(items, "{comma}{}", self.object((object, life), 1, address));
        }
        let next = objects.next().map(|_| format!(r#","continue":"{}""#, from + limit)).unwrap_or_default();
        format!(
            r#"{{"kind":"ServiceList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{next}}},"items":[{items}]}}"#
        )
    }

    /// The events after so many changes, as lines.
    fn events(&self, member: usize, seen: usize) -> (usize, String) {
        let log = self.changes[member].0.lock().expect("nobody panics with the lock");
        let mut lines = String::new();
        for (turn, &Change { kind, object, life, address }) in log.iter().enumerate().skip(seen) {
            let object = self.object((object, life), turn + 2, address);
            let _ = writeln!(lines, r#"{{"type":"{kind}","object":{object}}}"#);
        }
        (log.len(), lines)
    }
}

async fn services(
    State(fleet): State<Arc<Fleet>>,
    Path(member): Path<usize>,
    Query(parameters): Query<BTreeMap<String, String>>,
) -> Response {
    let number = |key: &str| parameters.get(key).and_then(|text| text.parse::<usize>().ok());
    let body = if parameters.contains_key("watch") {
        let seen = number("resourceVersion").unwrap_or(1) - 1;
        let seconds = number("timeoutSeconds").unwrap_or(300) as u64;
        watching(fleet, member, seen, tokio::time::Instant::now() + Duration::from_secs(seconds))
    } else {
        let limit = number("limit").unwrap_or(usize::MAX);
        Body::from(fleet.page(member, limit, number("continue").unwrap_or(0)))
    };
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn watching(fleet: Arc<Fleet>, member: usize, seen: usize, until: tokio::time::Instant) -> Body {
    let version = fleet.changes[member].1.subscribe();
    Body::from_stream(stream::unfold((fleet, version, seen), move |(fleet, mut version, seen)| async move {
        let more = version.wait_for(|count| *count > seen);
        tokio::time::timeout_at(until, more).await.ok()?.ok()?;
        let (seen, lines) = fleet.events(member, seen);
        Some((Ok::<_, Infallible>(lines), (fleet, version, seen)))
    }))
}

impl Size {
    /// The number in the name of a Service object; shared names have one in every member.
    pub(super) fn number(self, object: usize) -> usize {
        if self.shared { object / self.members } else { object }
    }

    /// Every second Service asks for a host name.
    fn hostname(self, number: usize) -> Option<String> {
        number.is_multiple_of(2).then(|| format!("www-{number}.{ZONE}"))
    }
}
