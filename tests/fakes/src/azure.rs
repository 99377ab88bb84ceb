//! A server that behaves as Azure Resource Manager, the DNS services behind it, and the token service do, as far as a
//! provider can tell: it refuses what they refuse. It listens on loopback with TLS, and faults can be put in its way.

mod answer;
mod limits;
mod role;
mod route;
mod rules;
mod sets;
mod tls;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
pub use axum::body::Body;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::conformance::Moment;

pub use answer::Answer;
pub use limits::Limits;
pub use role::Role;
pub use sets::{Kind, Set, Zone};
pub use token::{IDENTITY_HEADER, IDENTITY_PATH};

pub const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";
pub const TENANT: &str = "99999999-8888-7777-6666-555555555555";
pub const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub const SECRET: &str = "p#a;ss";
pub const GROUP: &str = "Fed-DNS-rg";

/// A call as it came in.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

impl Call {
    pub fn is_write(&self) -> bool {
        self.is_arm() && self.method != "GET"
    }

    pub fn is_arm(&self) -> bool {
        self.path.starts_with("/subscriptions/")
    }
}

/// What happens to a call in place of, before or after being served.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// This, and nothing is done.
    Answer(Answer),
    /// The connection ends, and nothing was done.
    CutBefore,
    /// It is done, and the connection ends before the answer.
    CutAfter,
    /// Somebody else writes the same set first.
    Race,
    /// It is done, and what was written has lost its metadata.
    Forget,
    /// The process that calls is killed, before it is done or before the answer.
    Kill(Moment, Pid),
}

type Which = Box<dyn Fn(&Call) -> bool + Send>;
type Bodies = Box<dyn FnMut(&Call) -> Option<Body> + Send>;

pub struct Trap {
    which: Which,
    times: usize,
    mishap: Mishap,
}

/// All that the server knows.
#[derive(Default)]
pub struct World {
    pub zones: Vec<Zone>,
    pub calls: Vec<Call>,
    pub tokens: Vec<String>,
    /// The password of the application in place of [`SECRET`], and what its tokens begin with.
    pub password: Option<String>,
    pub token: Option<String>,
    /// Largest `$top`, and what is given without one.
    pub page: (usize, usize),
    pub limits: Option<Limits>,
    /// The one role that the caller has; every right without.
    pub role: Option<Role>,
    pub latency: Duration,
    /// Calls that are never answered.
    pub stalled: Option<fn(&Call) -> bool>,
    /// How many there were.
    pub unanswered: usize,
    /// Calls being served, and the most that ever were.
    pub under_way: (usize, usize),
    /// Code of Entra ID for every token request, such as `AADSTS7000222`.
    pub token_fault: Option<(&'static str, &'static str)>,
    /// Public key of the certificate that the application has (RFC 8017 A.1.1).
    pub public_key: Option<Vec<u8>>,
    pub traps: Vec<Trap>,
    /// Bodies in place of all answers.
    pub bodies: Option<Bodies>,
    origin: String,
    etags: u64,
}

pub struct Fake {
    world: Arc<Mutex<World>>,
    pub origin: String,
    folder: TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// A server with one zone of each kind, `example.com` and `private.example.com`.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listener, origin) = tls::listen(folder.path()).await;
        let mut world = World { origin: origin.clone(), page: (1000, 100), ..World::default() };
        world.zones.push(Zone::new(Kind::Public, "example.com"));
        world.zones.push(Zone::new(Kind::Private, "private.example.com"));
        let world = Arc::new(Mutex::new(world));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&world));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { world, origin, folder, task }
    }

    /// Nobody listens any more.
    pub async fn stop(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// The next `times` calls that `which` picks have a mishap.
    pub fn trap(&self, times: usize, mishap: Mishap, which: impl Fn(&Call) -> bool + Send + 'static) {
        self.world().traps.push(Trap { which: Box::new(which), times, mishap });
    }

    /// Puts a set there as somebody else would.
    pub fn seed(&self, zone: &str, record_type: &str, relative: &str, properties: Value) {
        let mut world = self.world();
        let etag = world.etag();
        let zone = world.zones.iter_mut().find(|one| one.name == zone).unwrap();
        let set = Set { name: relative.to_owned(), etag, properties };
        zone.sets.insert((record_type.to_owned(), relative.to_ascii_lowercase()), set);
    }

    /// The properties of a set.
    pub fn at(&self, zone: &str, record_type: &str, relative: &str) -> Option<Value> {
        let world = self.world();
        let zone = world.zones.iter().find(|one| one.name == zone).unwrap();
        zone.sets.get(&(record_type.to_owned(), relative.to_owned())).map(|set| set.properties.clone())
    }

    /// How many calls there were that `which` picks, and forgets none.
    pub fn count(&self, which: impl Fn(&Call) -> bool) -> usize {
        self.world().calls.iter().filter(|call| which(call)).count()
    }
}

impl World {
    fn etag(&mut self) -> String {
        self.etags += 1;
        format!("00000000-0000-0000-0000-{:012}", self.etags)
    }

    fn trapped(&mut self, call: &Call) -> Option<Mishap> {
        let trap = self.traps.iter_mut().find(|trap| trap.times > 0 && (trap.which)(call))?;
        trap.times -= 1;
        Some(trap.mishap.clone())
    }

    fn answer(&mut self, call: &Call) -> (Answer, bool) {
        if !call.is_arm() {
            return (token::serve(self, call), false);
        }
        let mishap = self.trapped(call);
        match mishap {
            Some(Mishap::Answer(answer)) => return (answer, false),
            Some(Mishap::CutBefore) => return (Answer::of(500, json!({})), true),
            Some(Mishap::Kill(Moment::Before, caller)) => {
                kill(caller);
                return (Answer::of(500, json!({})), true);
            }
            Some(Mishap::Race) => self.race(call),
            _ => {}
        }
        let answer =
            self.limited(call).unwrap_or_else(|| route::serve(self, call).unwrap_or_else(|refusal| refusal));
        match mishap {
            Some(Mishap::Forget) => (route::forget(self, call, answer), false),
            Some(Mishap::Kill(Moment::After, caller)) => {
                kill(caller);
                (answer, true)
            }
            mishap => (answer, matches!(mishap, Some(Mishap::CutAfter))),
        }
    }

    fn limited(&mut self, call: &Call) -> Option<Answer> {
        self.limits.as_mut()?.refuse(call)
    }

    /// Somebody else writes the set that this call is about.
    fn race(&mut self, call: &Call) {
        let etag = self.etag();
        let Ok(route::Target { zone, rest }) = route::target(self, call) else { return };
        let [record_type, relative] = &rest[..] else { return };
        let key = (record_type.to_ascii_uppercase(), relative.to_ascii_lowercase());
        let properties = json!({ "TTL": 77, "ARecords": [{ "ipv4Address": "198.51.100.77" }] });
        let name = relative.clone();
        self.zones[zone].sets.insert(key, Set { name, etag, properties });
    }
}

fn kill(process: Pid) {
    // It may have ended by itself.
    let _ = kill_process(process, Signal::KILL);
}

async fn serve(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let decode = |text: &str| route::percent_decode(text);
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: pairs.map(|(key, value)| (decode(key), decode(value))).collect(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body,
    };
    let stalled = world.lock().unwrap().stalled;
    if stalled.is_some_and(|stalled| stalled(&call)) {
        world.lock().unwrap().unanswered += 1;
        std::future::pending::<()>().await;
    }
    let body = world.lock().unwrap().bodies.as_mut().and_then(|bodies| bodies(&call));
    if let Some(body) = body {
        world.lock().unwrap().calls.push(call);
        return Response::new(body);
    }
    let latency = {
        let mut world = world.lock().unwrap();
        let (now, most) = &mut world.under_way;
        *now += 1;
        *most = (*most).max(*now);
        world.latency
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (answer, cut) = {
        let mut world = world.lock().unwrap();
        let result = world.answer(&call);
        world.calls.push(call);
        world.under_way.0 -= 1;
        result
    };
    answer.into_response(cut)
}
