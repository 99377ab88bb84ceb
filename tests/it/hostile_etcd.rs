//! Somebody else writes into CoreDNS's etcd under the zone of the fleet, well-formed and with bad intent: every value is
//! left as it was written, nothing of it becomes a record of ours, and a name of ours keeps its times.

use std::fmt::Write as _;
use std::time::Duration;

use etcd_client::{Client, GetOptions, Txn, TxnOp};
use fleetdns_tests::conf::{FLEET, ZONE, name};
use fleetdns_tests::daemon::{Daemon, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use serde_json::{Value, json};

use crate::e2e_others::key_of;
use crate::hostile_members::{Victim, is_raw};

/// The zone is read again, and a change is made of it, on a busy machine.
const SEEN: Duration = Duration::from_secs(60);
/// A hundred values of 1 MiB are read at one time, and a copy is made of some.
const MORE_MEMORY_KIB: u64 = 600 << 10;
const EVIL: &str = "203.0.113.66";

fn zone_key() -> String {
    key_of(ZONE)
}

/// A mark of ours, as anybody can write it who has seen one.
fn forged(service: &str, address: &str) -> Value {
    let mark = format!(
        "v=1 owner={FLEET} service={service} member=westus;westus;1;none;{address} member=other;;;none;{address}"
    );
    json!({"host": address, "ttl": 30, "targetstrip": 1, "owner": FLEET, "fleetdns": mark})
}

/// Keys and values that are none of ours.
fn foreign() -> Vec<(String, Vec<u8>)> {
    let zone = zone_key();
    let text = |key: &str, value: String| (format!("{zone}/{key}"), value.into_bytes());
    let host = |key: &str, host: &str| text(key, json!({ "host": host, "ttl": 30 }).to_string());
    let raw = "\u{1b}[2Jx\n@ 30 IN NS ns.evil.example.\u{7}\u{9b}31m\u{202e}";
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
    let mut all = vec![
        // Marks of ours at keys at which we would never write, each for a Service that does not ask for it.
        text("copied/here", forged("default/copied", EVIL).to_string()),
        text("alias/x/y", forged("default/alias", EVIL).to_string()),
        text("v4-cb007142", forged("default/victim", EVIL).to_string()),
        text(
            "other",
            forged("default/other", EVIL).to_string().replace(&format!("owner={FLEET}"), "owner=other"),
        ),
        // Text that acts on terminals and begins lines, in keys, hosts, texts and marks.
        host(raw, EVIL),
        host(&format!("raw/{raw}"), raw),
        text("texts/x1", json!({"text": raw, "targetstrip": 1, "owner": raw, "fleetdns": raw}).to_string()),
        // Deeper than a parser may follow, in a field that CoreDNS reads and in those that it does not.
        text("deep1", format!("{{\"host\":\"{EVIL}\",\"fleetdns\":{}}}", deep("[", "]"))),
        text("deep2", format!("{{\"host\":\"{EVIL}\",\"x\":{}}}", deep("{\"a\":", "}"))),
        text("deep3", format!("{{\"host\":{}}}", deep("[", "]"))),
        // Numbers and types beyond all fields.
        text("types1", json!({"host": EVIL, "ttl": u64::MAX}).to_string()),
        text("types2", json!({"host": [EVIL], "ttl": -1, "targetstrip": "1"}).to_string()),
        text("types3", json!({"host": EVIL, "targetstrip": i64::MAX, "ttl": 0}).to_string()),
        text("types4", format!("{{\"host\":\"{EVIL}\",\"host\":\"{EVIL}\",\"HOST\":null}}")),
        text("types5", "null".to_owned()),
        text("types6", String::new()),
        // Keys that are no names.
        host("", EVIL),
        host("a//b", EVIL),
        host(&"deep/".repeat(2_000), EVIL),
        host(&"l".repeat(70_000), EVIL),
    ];
    all.push((format!("{zone}/bytes"), vec![0xff, 0xfe, 0, b'{']));
    // More than one answer of etcd may have.
    let huge = json!({"host": EVIL, "text": "x".repeat(1 << 20), "targetstrip": 1}).to_string();
    all.extend((0..100).map(|at| text(&format!("huge{at}/x1"), huge.clone())));
    all.extend((0..5_000).map(|at| host(&format!("many{at}"), EVIL)));
    // More than the log is to have.
    all.extend((0..3_000).map(|at| text(&format!("broken{at}"), "{".to_owned())));
    all
}

async fn put(etcd: &mut Client, values: &[(String, Vec<u8>)]) {
    let (large, small): (Vec<_>, Vec<_>) = values.iter().partition(|(_, value)| value.len() > 10_000);
    for part in small.chunks(100).chain(large.chunks(1)) {
        let puts: Vec<TxnOp> =
            part.iter().map(|(key, value)| TxnOp::put(key.as_str(), value.as_slice(), None)).collect();
        etcd.txn(Txn::new().and_then(puts)).await.unwrap();
    }
}

/// What of these stands there otherwise than it was written.
async fn touched(etcd: &mut Client, values: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut touched = Vec::new();
    for (key, value) in values {
        let found = etcd.get(key.as_str(), Some(GetOptions::new())).await.unwrap();
        if found.kvs().first().is_none_or(|kv| kv.value() != value) {
            touched.push(key.escape_debug().take(80).collect());
        }
    }
    touched
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_in_etcd_stay_as_they_are_and_cost_nobody_time() {
    let mut fleet = Fleet::start_alone().await;
    let mut daemon = Daemon::start(&fleet.conf().more("[brakes]\ndrift = 2s")).await;
    let mut victim = Victim::publish(&fleet).await;
    let calm = victim.changes(&fleet).await;
    let calm_memory = daemon.memory_kib("VmHWM");

    let mut etcd = fleet.dns.etcd().client().await;
    let values = foreign();
    put(&mut etcd, &values).await;
    // A name of ours with something of another below it, and one whose key another has.
    let below = (format!("{}/hostile", key_of(&name("below", ""))), json!({"host": EVIL}).to_string());
    let broken = (key_of(&name("broken", "")), "{\"host\":".to_owned());
    for (key, value) in [&below, &broken] {
        etcd.put(key.as_str(), value.as_str(), None).await.unwrap();
    }
    // A set that says it is ours, at a key of ours: it goes, as nobody asks for it.
    let orphan = format!("{}/v4-cb007142", key_of(&name("orphan", "")));
    etcd.put(orphan.as_str(), forged("default/orphan", EVIL).to_string(), None).await.unwrap();

    let endpoint = Endpoint::on_port(5001);
    let address = endpoint.ip().to_string();
    for service in ["below", "broken", "free"] {
        let service = NewService::new("default", service).port(5001);
        fleet.west.create_published(&service, &[&address]).await;
    }
    let refused = |status: &Value| {
        ["below", "broken"].iter().all(|one| !reasons(status, "refused", &name(one, "")).is_empty())
    };
    daemon.status_shows("names beside which another has something as refused", SEEN, refused).await;
    dns::wait_for(fleet.server(), &name("free", ""), "A", &[&address], SEEN).await;
    fleetdns_tests::eventually("the forged set to be gone", SEEN, Duration::from_millis(200), async || {
        let found = etcd.clone().get(orphan.as_str(), None).await.unwrap();
        if found.kvs().is_empty() { Ok(()) } else { Err("it stands") }
    })
    .await;
    let beside = victim.changes(&fleet).await;
    let read_again = |status: &Value| status["zones"][0]["fault"].is_null();
    daemon.status_shows("the zone read with all of it", SEEN, read_again).await;

    // What a restart believes of all this: the forged member has nothing.
    daemon.kill();
    daemon.start_again();
    daemon.ready(SEEN).await;
    let after = victim.changes(&fleet).await;
    let memory = daemon.memory_kib("VmHWM");
    eprintln!("changes: {calm:.1?} alone, {beside:.1?} beside hostile values, {after:.1?} after a restart");
    eprintln!("memory at most: {calm_memory} KiB alone, {memory} KiB beside");
    for slow in [beside, after] {
        assert!(slow <= calm * 3 + Duration::from_secs(1), "{calm:?} alone, {slow:?} beside");
    }
    assert!(memory <= calm_memory + MORE_MEMORY_KIB, "{calm_memory} KiB alone, {memory} KiB beside");
    assert_eq!(touched(&mut etcd, &values).await, [""; 0], "values of others were changed");
    nothing_is_forged(&daemon).await;
    daemon.assert_running();
    tokio::task::block_in_place(|| drop((victim, endpoint)));
}

/// Nothing of the values is in a record of ours, and nothing in what people read acts on a terminal or is without end.
async fn nothing_is_forged(daemon: &Daemon) {
    let records = daemon.records().await.to_string();
    assert!(records.contains("victim") && !records.contains(EVIL), "{records}");
    let (status, log) = (daemon.command(&["status"]).await.out, daemon.log());
    let check = daemon.command(&["check"]).await;
    let mut all = String::new();
    for text in [&status, &log, &check.out, &check.err] {
        let raw = text.lines().find(|line| is_raw(line));
        assert!(raw.is_none(), "{raw:?}");
        assert!(!text.lines().any(|line| line.starts_with("@ 30 IN NS")), "{text}");
        let long = text.lines().find(|line| line.len() > 4_096);
        assert!(long.is_none(), "{long:?}");
        write!(all, "{text}").unwrap();
    }
    assert!(all.contains("\\u{1b}[2J"), "text of others is escaped: {log}");
    assert!(log.lines().count() < 1_000, "{} lines of log", log.lines().count());
    assert!(check.out.lines().count() < 300, "{} lines of check", check.out.lines().count());
}
