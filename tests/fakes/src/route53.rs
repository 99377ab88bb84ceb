//! A Route 53 on loopback that refuses what the real one refuses: atomic batches, exact deletes, CNAME rules, limits,
//! aliases, pages with three cursors, octal escapes, rate limits, one change at a time; and that can be told to go wrong.
//!
//! Signatures are looked at for their scope only.

mod alias;
mod api;
mod policy;
mod rules;
pub mod xml;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use alias::Alias;
pub use policy::Policy;
pub use rules::{Key, Set};

/// What goes wrong with the next call of an action.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends without an answer, and nothing is done.
    CutBefore,
    /// The same after it is done.
    CutAfter,
    /// The answer comes late.
    Slow(Duration),
    /// An answer that goes on for ever.
    Endless,
    /// This answer, and nothing is done.
    Answer(u16, String),
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// What the server knows.
pub struct State {
    pub zones: BTreeMap<String, Zone>,
    /// Calls by action, refused ones too.
    pub calls: HashMap<&'static str, usize>,
    /// Calls that were throttled.
    pub throttled: usize,
    /// By action.
    pub faults: HashMap<&'static str, VecDeque<Fault>>,
    /// Actions that the caller has no right to.
    pub denied: BTreeSet<&'static str>,
    /// What the caller has a right to; everything without.
    pub policy: Option<Policy>,
    /// A batch that touches this name is answered 500.
    pub broken: Option<String>,
    /// Names that the policy lets be written (`route53:ChangeResourceRecordSetsNormalizedRecordNames`); all without.
    pub allowed: Option<fn(&str) -> bool>,
    /// Burst and calls per second, for each action and for all together.
    pub rate: Option<(f64, f64)>,
    buckets: HashMap<&'static str, Bucket>,
    /// Whether a refused batch is answered in the usual form of errors, the only one that botocore can read, or in a form
    /// of its own.
    pub usual_form: bool,
    /// A batch that touches this name is refused, in words that do not name it.
    pub poison: Option<String>,
    /// How long a change takes, during which no other one of its zone is taken.
    pub change_takes: Duration,
    /// How long a change is PENDING.
    pub sync_takes: Duration,
    changes: HashMap<String, Instant>,
}

/// A hosted zone.
#[derive(Clone, Default)]
pub struct Zone {
    pub name: String,
    pub private: bool,
    pub sets: BTreeMap<Key, Set>,
    busy: bool,
}

impl State {
    /// Counts a call; whether it is over the rate.
    fn take(&mut self, action: &'static str) -> bool {
        *self.calls.entry(action).or_default() += 1;
        let Some((burst, rate)) = self.rate else { return false };
        let now = Instant::now();
        let mut over = false;
        for name in [action, "all"] {
            let bucket = self.buckets.entry(name).or_insert(Bucket { tokens: burst, filled: now });
            bucket.tokens =
                (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * rate).min(burst);
            bucket.filled = now;
            over |= bucket.tokens < 1.0;
        }
        if over {
            self.throttled += 1;
        } else {
            for name in [action, "all"] {
                if let Some(bucket) = self.buckets.get_mut(name) {
                    bucket.tokens -= 1.0;
                }
            }
        }
        over
    }

    /// All calls.
    pub fn total(&self) -> usize {
        self.calls.values().sum()
    }
}

/// The server; its drop ends it.
pub struct Fake {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
    credentials: tempfile::TempDir,
}

impl Fake {
    /// A provider on this server.
    pub fn provider(&self, owner: &str) -> Box<dyn fleetdns_core::Provider> {
        self.connect(owner, &[])
    }

    /// With further keys.
    pub fn connect(&self, owner: &str, more: &[(&str, &str)]) -> Box<dyn fleetdns_core::Provider> {
        connect(&self.url, &self.credentials_file(), owner, more)
    }
}

/// A provider on the server at `url`.
pub fn connect(
    url: &str,
    credentials: &str,
    owner: &str,
    more: &[(&str, &str)],
) -> Box<dyn fleetdns_core::Provider> {
    let pairs = [("endpoint-url", url), ("credentials-file", credentials)];
    let pairs = pairs.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    fleetdns_route53::connect(
        &crate::conformance::ZONE.parse().unwrap(),
        &owner.parse().unwrap(),
        &fleetdns_core::keys::Keys::new(pairs),
    )
    .unwrap()
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub const ZONE_ID: &str = "Z0123456789EXAMPLE";
pub const OTHER_ID: &str = "Z0000000000PRIVATE";
pub const ACCESS_KEY: &str = "AKIDFAKEFAKEFAKEFAKE";

impl Fake {
    /// With the public zone `example.com`, which has an SOA and name servers.
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            zones: BTreeMap::new(),
            calls: HashMap::new(),
            throttled: 0,
            faults: HashMap::new(),
            denied: BTreeSet::new(),
            policy: None,
            allowed: None,
            broken: None,
            rate: None,
            buckets: HashMap::new(),
            usual_form: true,
            poison: None,
            change_takes: Duration::ZERO,
            sync_takes: Duration::from_secs(60),
            changes: HashMap::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = api::router(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let credentials = tempfile::tempdir().unwrap();
        let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = geheim\n");
        std::fs::write(credentials.path().join("credentials"), text).unwrap();
        let fake = Self { url, state, task, credentials };
        fake.add_zone(ZONE_ID, "example.com", false);
        fake
    }

    pub fn credentials_file(&self) -> String {
        self.credentials.path().join("credentials").to_str().unwrap().to_owned()
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn add_zone(&self, id: &str, name: &str, private: bool) {
        let mut zone = Zone { name: name.to_owned(), private, ..Zone::default() };
        let soa = "ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
        zone.put(Set::simple(name, "SOA", 900, &[soa]));
        zone.put(Set::simple(name, "NS", 172_800, &["ns-1.awsdns-00.com.", "ns-2.awsdns-00.net."]));
        self.state().zones.insert(id.to_owned(), zone);
    }

    /// Somebody else writes a set, whatever was there.
    pub fn put(&self, set: Set) {
        self.state().zones.get_mut(ZONE_ID).unwrap().put(set);
    }

    /// Somebody else deletes a simple set.
    pub fn delete(&self, name: &str, record_type: &str) -> Option<Set> {
        let key = Set::simple(name, record_type, 0, &[]).key();
        self.state().zones.get_mut(ZONE_ID).unwrap().sets.remove(&key)
    }

    /// A simple set as it stands there.
    pub fn get(&self, name: &str, record_type: &str) -> Option<Set> {
        let key = Set::simple(name, record_type, 0, &[]).key();
        self.state().zones[ZONE_ID].sets.get(&key).cloned()
    }

    /// The whole zone, one line for each set but SOA and NS.
    pub fn dump(&self) -> Vec<String> {
        let state = self.state();
        let sets = state.zones[ZONE_ID].sets.values();
        sets.filter(|set| !matches!(&*set.record_type, "SOA" | "NS")).map(ToString::to_string).collect()
    }

    pub fn fault(&self, action: &'static str, fault: Fault) {
        self.state().faults.entry(action).or_default().push_back(fault);
    }

    /// Calls of an action since the last time.
    pub fn calls(&self, action: &'static str) -> usize {
        self.state().calls.remove(action).unwrap_or_default()
    }
}

impl Zone {
    pub fn put(&mut self, set: Set) {
        self.sets.insert(set.key(), set);
    }
}
