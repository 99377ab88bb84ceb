//! A webhook of external-dns's protocol on loopback that refuses what the real ones refuse, says as little as they do, and
//! can be told to go wrong.
//!
//! Beside the harness it serves the provider's own tests, which take this file in by its path.

mod api;
mod backend;
mod rules;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use rules::Key;

/// The media type of the protocol.
pub const MEDIA_TYPE: &str = "application/external.dns.webhook+json;version=1";
/// The zone that the server has, unless it was started with another one.
pub const ZONE: &str = "example.com";

/// A call of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `GET /`
    Negotiate,
    /// `GET /records`
    Records,
    /// `POST /adjustendpoints`
    Adjust,
    /// `POST /records`
    Apply,
}

/// What goes wrong with the next call of a route.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status with these headers, and nothing is done.
    Answer(u16, Vec<(&'static str, String)>),
    /// All is done, and the answer is this status all the same.
    DoneAnd(u16),
    /// The first so many operations are done, and the answer is 500.
    Half(usize),
    /// The answer has another media type.
    MediaType(&'static str),
    /// The connection ends in the middle of the answer, or before it where there is no body; all is done.
    Cut,
    /// The same, and nothing is done.
    CutBefore,
    /// The call is done and answered this late.
    Slow(Duration),
}

/// What a webhook makes of endpoints, in the open or behind our back.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// `adjustendpoints` raises TTLs to this.
    pub least_ttl: i64,
    /// What is written has TTLs raised to this, and nobody is told.
    pub silent_ttl: i64,
    /// `GET /records` has no TTLs.
    pub no_ttl: bool,
    /// `adjustendpoints` adds this property.
    pub adds: Option<(&'static str, &'static str)>,
    /// `GET /records` has this property on every A and AAAA, and nobody is told.
    pub lists: Option<(&'static str, &'static str)>,
    /// `adjustendpoints` leaves out this type.
    pub refuses_type: Option<&'static str>,
    /// `adjustendpoints` leaves one target of each set.
    pub one_target: bool,
    /// One target of each TXT is written, and nobody is told.
    pub one_txt: bool,
    /// `GET /records` has an endpoint for each target.
    pub lists_apart: bool,
    /// `GET /records` takes the quotes off TXT targets.
    pub unquotes: bool,
    /// A name that is left out when all else is written.
    pub drops: Option<String>,
    /// A name for which a whole call is refused.
    pub poison: Option<String>,
    /// A whole call is refused that touches a name below one of these, with the status 422.
    pub refuses: Vec<&'static str>,
    /// A name of which the next creation of a CNAME is left out, and nobody is told.
    pub halves: Option<String>,
    /// The status of that refusal; 500 when 0.
    pub poison_status: u16,
    /// Creates before it deletes, where a real one would have to do so one by one.
    pub creates_first: bool,
    /// A CNAME beside others is left out, and nobody is told.
    pub drops_clashes: bool,
    /// The answer to the negotiation.
    pub filter: Value,
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct State {
    /// What it takes names in.
    zone: &'static str,
    /// Endpoints as they were written, by name, type and set identifier.
    pub records: BTreeMap<Key, Value>,
    /// Calls by route, refused ones too.
    pub calls: HashMap<Route, usize>,
    /// By route.
    pub faults: HashMap<Route, VecDeque<Fault>>,
    /// How it is.
    pub ways: Ways,
    /// A token without which all is answered 401.
    pub token: Option<&'static str>,
    /// Creations that were left out because of [`Ways::halves`].
    pub halved: usize,
    /// Why the last call was refused: the protocol does not say.
    pub reason: String,
}

/// The server; its drop ends it.
#[derive(Debug)]
pub struct Webhook {
    /// Where it listens.
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// An empty zone [`ZONE`].
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        Self::with_zone(ZONE).await
    }

    /// An empty zone of another name.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn with_zone(zone: &'static str) -> Self {
        let ways = Ways { filter: json!({ "include": [zone] }), ..Ways::default() };
        let state = Arc::new(Mutex::new(State { zone, ways, ..State::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let router = api::router(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, state, task }
    }

    /// What it knows.
    ///
    /// # Panics
    /// When a handler panicked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics")
    }

    /// Has the next call of a route go wrong.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.state().faults.entry(route).or_default().push_back(fault);
    }

    /// Calls of a route since the last time.
    pub fn calls(&self, route: Route) -> usize {
        self.state().calls.remove(&route).unwrap_or_default()
    }

    /// Somebody else writes an endpoint, whatever was there.
    pub fn put(&self, endpoint: Value) {
        let key = rules::key(&endpoint);
        self.state().records.insert(key, endpoint);
    }

    /// An endpoint without a set identifier, as it is kept.
    pub fn get(&self, name: &str, record_type: &str) -> Option<Value> {
        self.state().records.get(&rules::plain_key(name, record_type)).cloned()
    }

    /// Somebody else deletes an endpoint without a set identifier.
    pub fn remove(&self, name: &str, record_type: &str) -> Option<Value> {
        self.state().records.remove(&rules::plain_key(name, record_type))
    }

    /// Somebody else changes an endpoint without a set identifier.
    ///
    /// # Panics
    /// When there is none.
    pub fn change(&self, name: &str, record_type: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let endpoint = state.records.get_mut(&rules::plain_key(name, record_type));
        change(endpoint.unwrap_or_else(|| panic!("no {name} {record_type}")));
    }

    /// The whole zone, one line for each endpoint: `NAME TYPE TTL TARGETS`.
    pub fn dump(&self) -> Vec<String> {
        let line = |endpoint: &Value| {
            let targets = rules::targets(endpoint).join(" ");
            format!(
                "{} {} {} {targets}",
                rules::text(endpoint, "dnsName"),
                rules::text(endpoint, "recordType"),
                endpoint["recordTTL"]
            )
        };
        self.state().records.values().map(line).collect()
    }
}

/// An endpoint.
pub fn endpoint(name: &str, record_type: &str, ttl: i64, targets: &[&str]) -> Value {
    json!({ "dnsName": name, "recordType": record_type, "recordTTL": ttl, "targets": targets })
}
