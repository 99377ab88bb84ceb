//! A tenant whose Services change without end: another namespace's events are still kept and its log lines still written,
//! and its changes come into DNS in the time that they take without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply};
use serde_json::{Value, json};

use crate::hostile_members::{Victim, list};

const TENANT: &str = "tenant";
/// More than are logged one by one in a pass.
const SERVICES: usize = 100;
/// Events that are kept, and as many again.
const NOISE: u64 = 20_000;
/// What is logged after a change.
const SOON: Duration = Duration::from_secs(5);
/// A debug build on a busy machine.
const MADE: Duration = Duration::from_secs(120);

/// A Service of the tenant as it is at a time: other addresses each time, and another fault.
fn service(at: usize, time: usize) -> Value {
    let address = format!("11.{}.{}.{at}", time / 250 % 250, time % 250);
    json!({
        "metadata": {"namespace": TENANT, "name": format!("noisy{at}"), "resourceVersion": (time + 10).to_string(),
                     "annotations": {"fleetdns.io/probe": "none", "fleetdns.io/ttl": format!("bad{time}")}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 5001, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    })
}

/// A member in which every watch says that all Services changed, and ends; until it is to be quiet.
async fn member(quiet: Arc<AtomicBool>) -> Hostile {
    let time = AtomicUsize::new(1);
    Hostile::start(move |request| {
        let all = |time| (0..SERVICES).map(move |at| service(at, time));
        if quiet.load(Ordering::Relaxed) {
            return Reply::json(Body::Held(Vec::new()));
        }
        let body = if !request.path.starts_with("/api/v1/services") {
            br#"{"kind":"NodeList","metadata":{},"items":[]}"#.to_vec()
        } else if request.path.contains("watch=") {
            let changed = all(time.fetch_add(1, Ordering::Relaxed));
            let lines = changed.map(|one| format!("{}\n", json!({"type": "MODIFIED", "object": one})));
            lines.collect::<String>().into_bytes()
        } else {
            list(&all(0).collect::<Vec<_>>())
        };
        Reply::json(Body::Whole(body))
    })
    .await
}

/// The events of a name, or all.
async fn events(daemon: &Daemon, filter: &[&str]) -> Vec<Value> {
    let printed = daemon.command(&[&["events", "-o", "json"], filter].concat()).await;
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    printed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits for this number of events, most of which are the tenant's.
async fn noise(daemon: &Daemon, number: u64) {
    eventually("the tenant to make noise", MADE, Duration::from_millis(500), async || {
        let all = events(daemon, &["--cluster", "evil"]).await;
        let last = all.last().and_then(|event| event["seq"].as_u64()).unwrap_or_default();
        if last > number { Ok(()) } else { Err(last) }
    })
    .await;
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_tenant_pushes_out_neither_events_nor_log_lines_of_another() {
    let (fleet, folder) = (Fleet::start_alone().await, tempfile::tempdir().unwrap());
    let audit = folder.path().join("audit.jsonl");
    let quiet = Arc::new(AtomicBool::new(false));
    let evil = member(Arc::clone(&quiet)).await;
    let alone = fleet.conf().admin(&format!("audit = {}", audit.display()));
    let daemon = Daemon::start(&alone).await;
    let mut victim = Victim::publish(&fleet).await;
    let calm = victim.changes(&fleet).await;
    let own = name("victim", "");
    let before = numbers(&events(&daemon, &["--name", &own]).await);
    assert!(before.len() > 5, "{before:?}");

    daemon.write_conf(&alone.cluster("evil", &evil.kubeconfig(folder.path(), "evil")));
    let began = Instant::now();
    noise(&daemon, NOISE / 10).await;
    // As many lines as its share of the log has.
    let first = victim.changes(&fleet).await;
    let of = |log: &str, part: &str| log.lines().filter(|line| line.contains(part)).count();
    let lines = ["record set written zone=syncweek.com verb=\"update\"", "address out zone=syncweek.com"];
    eventually("two lines for each of ten changes", SOON, Duration::from_millis(100), async || {
        let found = lines.map(|line| of(&daemon.log(), &format!("{line} name={own} ")));
        if found == [10, 10] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    noise(&daemon, NOISE).await;
    let beside = first.max(victim.changes(&fleet).await);
    let noisy = began.elapsed();
    quiet.store(true, Ordering::Relaxed);
    // What is under way is written.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = numbers(&events(&daemon, &["--name", &own]).await);
    let all = events(&daemon, &[]).await;
    eprintln!("changes: {calm:.1?} alone, {beside:.1?} beside {NOISE} events in {noisy:.0?}");
    assert!(beside <= calm * 3 + Duration::from_secs(2), "{calm:?} alone, {beside:?} beside");
    assert!(all.len() <= 10_000 && numbers(&all)[all.len() - 1] > NOISE, "{}", all.len());
    assert!(after.starts_with(&before), "events of before the noise: {before:?}, now {after:?}");
    // Each change is an address in and one out.
    assert!(after.len() >= before.len() + 20, "ten changes: {after:?}");

    let log = daemon.log();
    // At once and by the second, in the zone, the watch and the prober.
    let most = 3 * (100 + noisy.as_secs() as usize);
    assert!((100..most).contains(&of(&log, "noisy")), "{} lines of the tenant", of(&log, "noisy"));
    let on_disk = std::fs::read_to_string(&audit).unwrap();
    let of_victim = on_disk.lines().filter(|line| line.contains(&format!("\"{own}\""))).count();
    assert!(of_victim >= after.len(), "{of_victim} in the audit file of {}", after.len());
    tokio::task::block_in_place(|| drop(victim));
}
