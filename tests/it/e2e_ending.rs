//! The daemon is told to end, or killed, while a write is under way: what was begun is finished, and what a crash leaves behind
//! needs nobody to clean it up.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use fleetdns_fakes::webhook::{Fault, Route, Webhook, ZONE};
use fleetdns_tests::conf::{self, Conf, FLEET};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::eventually;
use fleetdns_tests::hostile::{Body, Hostile, Reply, Request};
use fleetdns_tests::ports;
use serde_json::{Value, json};

use crate::hostile_members::{list, object};

const SOON: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than it takes to see that a write is under way, and shorter than the daemon waits at its end.
const WRITE: Duration = Duration::from_secs(2);
const ADDRESS: &str = "203.0.113.9";

/// A member with one Service that nobody probes, and the last number of its address.
async fn member(last: Arc<AtomicU8>) -> Hostile {
    Hostile::start(move |Request { path, .. }| {
        let address = format!("203.0.113.{}", last.load(Ordering::SeqCst));
        let service = object("default", "web", &json!({"fleetdns.io/probe": "none"}), &address);
        Reply::json(match path.starts_with("/api/v1/services") {
            _ if path.contains("watch=") => Body::Held(Vec::new()),
            true => Body::Whole(list(&[service])),
            false => {
                Body::Whole(br#"{"kind":"NodeList","metadata":{"resourceVersion":"7"},"items":[]}"#.to_vec())
            }
        })
    })
    .await
}

struct Site {
    hook: Webhook,
    _member: Hostile,
    last: Arc<AtomicU8>,
    folder: tempfile::TempDir,
    conf: Conf,
}

impl Site {
    /// With a file of every kind that the daemon writes.
    async fn start() -> Self {
        let last = Arc::new(AtomicU8::new(9));
        let (hook, member) = (Webhook::start().await, member(Arc::clone(&last)).await);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let conf = Conf::with_zone(&format!(
            "provider = embedded\nlisten = {}\nstate-file = {}\n",
            ports::free_address(),
            path("embedded")
        ))
        .cluster("west", &member.kubeconfig(folder.path(), "west"))
        .fleet(&format!("state-dir = {}", path("state")))
        .admin(&format!("audit = {}", path("audit")))
        .more(&format!(
            "[zone \"file.example\"]\nprovider = coredns\nzone-file = {}\nns = ns1.example.net\n",
            path("zone")
        ))
        .more(&format!("[zone \"{ZONE}\"]\nprovider = webhook\nurl = {}\n", hook.url));
        Self { hook, _member: member, last, folder, conf }
    }

    /// A write has come to the webhook, which answers it late.
    async fn is_writing(&self) {
        eventually("a write", SOON, PAUSE, async || {
            if self.hook.state().calls.contains_key(&Route::Apply) { Ok(()) } else { Err("there is none") }
        })
        .await;
        self.hook.calls(Route::Apply);
    }

    fn audit(&self) -> String {
        fs::read_to_string(self.folder.path().join("audit")).unwrap_or_default()
    }
}

fn global() -> String {
    format!("web.default.{FLEET}.svc.{ZONE}")
}

/// Whether a zone is well and has the Service's name.
fn owns(status: &Value, zone: &str) -> bool {
    let zones = status["zones"].as_array().into_iter().flatten();
    zones.into_iter().any(|one| one["name"] == zone && one["fault"].is_null() && one["owned"] == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_the_write_in_flight_and_begins_no_other() {
    let site = Site::start().await;
    site.hook.fault(Route::Apply, Fault::Slow(WRITE));
    let mut daemon = Daemon::spawn(&site.conf, &[]);
    site.is_writing().await;
    let (status, took) = daemon.terminate().await;
    eprintln!("SIGTERM to the end, in a write of {WRITE:?}: {took:.2?}");
    assert!(status.success(), "{status}: {}", daemon.log());
    // The answer was waited for: what was written is known.
    let global = global();
    let written = |line: &str| {
        [&*global, ADDRESS, "\"kind\":\"in\"", "\"answer\":\"written\""]
            .iter()
            .all(|part| line.contains(part))
    };
    assert!(site.audit().lines().any(written), "{}", site.audit());
    assert_eq!(site.hook.get(&global, "A").unwrap()["targets"], json!([ADDRESS]));
    assert_eq!(site.hook.calls(Route::Apply), 0, "{}", daemon.log());

    daemon.start_again();
    daemon.ready(SOON).await;
    let is_over = |status: &Value| owns(status, ZONE);
    daemon.status_shows("start-up as over", SOON, is_over).await;
    assert_eq!(site.hook.calls(Route::Apply), 0, "the write was whole: {}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_kill_in_a_write_needs_no_cleaning() {
    let site = Site::start().await;
    site.hook.fault(Route::Apply, Fault::Slow(WRITE));
    let mut daemon = Daemon::spawn(&site.conf, &[]);
    for address in 10..15 {
        site.is_writing().await;
        daemon.kill();
        // There is something to write after the start.
        site.last.store(address, Ordering::SeqCst);
        site.hook.fault(Route::Apply, Fault::Slow(WRITE));
        // As a crash in the middle of them leaves these.
        for name in ["state/overrides.json", "embedded", "audit"] {
            let path = site.folder.path().join(name);
            let bytes = fs::read(&path).unwrap_or_default();
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            if !half.is_empty() {
                fs::write(&path, half).unwrap();
            }
        }
        daemon.start_again();
    }
    daemon.ready(SOON).await;
    let global = global();
    eventually("the record", SOON, PAUSE, async || site.hook.get(&global, "A").ok_or("it is not there"))
        .await;
    for suffix in [ZONE, "file.example", conf::ZONE] {
        daemon.status_shows(&format!("{suffix} as written"), SOON, |status| owns(status, suffix)).await;
    }
    // The socket of the one that was killed is in nobody's way, and what it takes is kept.
    let drained = daemon.command(&["drain", "west", "--anyway", "--reason", "test"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    daemon.kill();
    daemon.start_again();
    daemon.ready(SOON).await;
    let overrides = daemon.command(&["overrides"]).await;
    assert!(overrides.out.contains("west"), "{overrides:?}: {}", daemon.log());
}
