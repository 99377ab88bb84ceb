//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use fleetdns_core::{Brakes, Health, Overrides, Snapshot};
use fleetdns_planner::Protocol;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::admin::{self, Views};
use crate::config;
use crate::control::{self, Control, Peer};
use crate::inputs::Inputs;
use crate::overrides::order::{Operator, Order};
use crate::overrides::{Clock, OverrideSender, OverrideStore, Storage};
use crate::reload::ReloadSender;
use crate::test_fleet::{member, unread_zone, written};
use crate::view::View;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[
    ("ini", 800, config::fuzz::ini),
    ("admin_request", 500, admin_request),
    ("socket_request", 300, socket_request),
];

/// The two listeners of a daemon with two clusters.
struct Rig {
    runtime: Runtime,
    admin: Router,
    control: Router,
    overrides: OverrideSender,
}

thread_local! {
    static RIG: Rig = Rig::new();
}

impl Rig {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let east = member("east", Protocol::None, &[("web", "203.0.113.2"), ("api", "203.0.113.3")]);
        let west = member("west", Protocol::None, &[("web", "203.0.113.1")]);
        let snapshot = Snapshot { members: [east, west].into_iter().collect() };
        let mut zone = unread_zone();
        zone.observed = Some(written(&snapshot, &Health::default()));
        let (store_task, overrides) = OverrideStore::new(Storage::Marks, Clock::new(|| 1_700_000_000));
        runtime.spawn(store_task.run(CancellationToken::new()));
        let of_the_store = overrides.receiver();
        let health = watch::channel(Health::default()).1;
        let view = View {
            inputs: Inputs::new(watch::channel(snapshot).1, health, of_the_store),
            state: overrides.state(),
            zones: vec![watch::channel(zone).1],
            ..View::empty()
        };
        let operator = Operator {
            view,
            overrides: overrides.clone(),
            configured: ["east", "west"].map(|name| name.parse().unwrap()).into(),
            brakes: Brakes::default(),
            keeps: true,
            confirm_outage: watch::channel(0).0,
        };
        let operators = watch::channel(Arc::new(operator)).1;
        // Nobody waits for what comes later.
        let ending = CancellationToken::new();
        ending.cancel();
        let admin = admin::routes(Views(operators.clone()), None, vec!["dns.example".to_owned()], ending);
        let control = control::routes(Control { operators, reload: ReloadSender::new().0 });
        Self { runtime, admin, control, overrides }
    }

    fn ask(&self, router: &Router, request: Request<Body>) -> (StatusCode, String, Vec<u8>) {
        self.runtime.block_on(async {
            let answer = router.clone().call(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let body = to_bytes(body, 1 << 20).await.expect("an answer has an end");
            (head.status, kind.unwrap_or_default().to_owned(), body.to_vec())
        })
    }
}

/// `METHOD TARGET`, lines `HEADER: VALUE`, an empty line, and a body.
fn request(data: &[u8]) -> Option<Request<Vec<u8>>> {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = data.split_at(end.unwrap_or(data.len()));
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        request = request.header(name, value.get(1..)?.trim_ascii());
    }
    request.body(body.to_vec()).ok()
}

/// Whatever the admin API is asked: it fails at nothing, changes nothing, puts no text of the request into a page as it
/// came, and answers nobody who asks it by another site's name.
fn admin_request(data: &[u8]) {
    let Some(request) = request(data) else { return };
    RIG.with(|rig| {
        let (status, kind, body) = rig.ask(&rig.admin, request.clone().map(Body::from));
        let reading = [Method::GET, Method::HEAD].contains(request.method());
        assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        assert!(reading || !status.is_success(), "{status}");
        let text = String::from_utf8(body).expect("answers are UTF-8");
        match kind.split(';').next().unwrap_or_default() {
            "application/json" if request.method() != Method::HEAD => {
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
            }
            "text/html" => assert!(!text.contains("<fuzz"), "{text}"),
            _ => {}
        }
        assert!(rig.overrides.clone().latest().is_empty());

        let mut foreign = request;
        if foreign.uri().host().is_none() {
            foreign.headers_mut().insert(header::HOST, HeaderValue::from_static("evil.example"));
            let (status, ..) = rig.ask(&rig.admin, foreign.map(Body::from));
            assert_eq!(status, StatusCode::FORBIDDEN);
        }
    });
}

/// An order is carried out as a whole or not at all, taking it back leaves nothing, and nobody but the owner may give one.
fn socket_request(data: &[u8]) {
    RIG.with(|rig| {
        let owner = rustix::process::geteuid().as_raw();
        let give = |body: Vec<u8>, uid: u32| {
            let mut request = Request::post("/v1/overrides").body(Body::from(body)).unwrap();
            request.extensions_mut().insert(Peer(Some(uid)));
            let (status, _, body) = rig.ask(&rig.control, request);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            status
        };
        let latest = || rig.overrides.clone().latest();
        assert_eq!(give(data.to_vec(), owner + 1), StatusCode::FORBIDDEN);
        assert_eq!(latest(), Overrides::default());
        if give(data.to_vec(), owner) != StatusCode::OK {
            return assert_eq!(latest(), Overrides::default());
        }
        let order: Order = serde_json::from_slice(data).expect("only an order is carried out");
        let printed = serde_json::to_vec(&order).unwrap();
        assert_eq!(serde_json::from_slice::<Order>(&printed).unwrap(), order);
        let set = latest();
        let reason = fleetdns_core::text::printable(&order.reason);
        assert!(set.iter().all(|entry| Some(entry.kind) == order.kind && entry.reason == reason));
        assert!(order.kind.is_none() || (1..=order.subjects.len()).contains(&set.iter().count()));
        let back = Order { kind: None, anyway: true, ..order };
        assert_eq!(give(serde_json::to_vec(&back).unwrap(), owner), StatusCode::OK);
        assert_eq!(latest(), Overrides::default());
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
