//! Members whose API servers mean harm, beside an honest one: each is contained and says why, and the honest one's times
//! are those that it has without them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{ZONE, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply, Request, SECRET, bomb};
use fleetdns_tests::manifest::NewService;
use serde_json::{Value, json};

const PORT: u16 = 5001;
/// A change of the honest member, whatever the others do.
const CHANGED: Duration = Duration::from_secs(10);
/// What the daemon may have more than without hostile members. Measured in a debug build: see the output of the test.
const MORE_MEMORY_KIB: u64 = 200 << 10;
/// A list of 100,000 Services and one of 64 MiB, parsed by a debug build on a busy machine.
const CONTAINED: Duration = Duration::from_secs(90);

const LIST: &str = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":["#;

pub(crate) fn object(namespace: &str, name: &str, annotations: &Value, address: &str) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": "5", "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": [{"port": PORT, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    })
}

pub(crate) fn list(items: &[Value]) -> Vec<u8> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("{LIST}{}]}}", items.join(",")).into_bytes()
}

/// A server that lists so, is watched in silence, and has nothing else.
async fn server(services: impl Fn() -> Reply + Send + Sync + 'static) -> Hostile {
    Hostile::start(move |Request { path, .. }| {
        if !path.starts_with("/api/v1/services") {
            Reply::json(Body::Whole(br#"{"kind":"NodeList","metadata":{},"items":[]}"#.to_vec()))
        } else if path.contains("watch=") {
            Reply::json(Body::Held(Vec::new()))
        } else {
            services()
        }
    })
    .await
}

/// What would end a record, a line or a text, and begin another.
pub(crate) const FORGED: [&str; 5] = [
    "x\n@ 30 IN NS ns.evil.example.",
    "x. 30 IN A 203.0.113.66 ;",
    "x member=westus",
    "x\"\\\u{1b}[2J\u{7}\u{9b}31m",
    "..%2f..\0",
];

/// Names and labels that are none, and one good Service among them.
fn forged(address: &str) -> Reply {
    let mut items = vec![object("default", "good", &json!({}), address)];
    for text in FORGED {
        let asks = json!({
            "fleetdns.io/hostname": format!("{text}.{ZONE}"),
            "fleetdns.io/target": text, "fleetdns.io/probe": text, "fleetdns.io/ttl": text,
        });
        items.push(object("default", text, &json!({}), "203.0.113.66"));
        items.push(object(text, "web", &json!({}), "203.0.113.66"));
        items.push(object("default", &format!("asks{}", items.len()), &asks, text));
    }
    Reply::json(Body::Whole(list(&items)))
}

/// A refusal that echoes the token, behind its scheme and by itself, and writes to the terminal of whoever reads it.
fn refusal() -> Reply {
    let text = format!(
        "no \u{1b}[2J\u{7}\u{9b}31m\r\n2026-01-01T00:00:00Z  INFO fleetdns: forged line\nBearer {SECRET}-text, key {SECRET}-text {}",
        "x".repeat(100_000)
    );
    let body = json!({"kind": "Status", "status": "Failure", "code": 403, "message": text});
    let reply = Reply::json(Body::Whole(body.to_string().into_bytes()));
    Reply { status: "403 Forbidden", ..reply }
}

/// 1,000 Services with 250 kB of an annotation that means nothing.
fn large() -> Vec<u8> {
    let mut text = LIST.to_owned();
    let ballast = "x".repeat(250_000);
    for number in 0..1000 {
        let comma = if number == 0 { "" } else { "," };
        let service = object(
            "large",
            &format!("s{number}"),
            &json!({"example.com/notes": "BALLAST", "fleetdns.io/probe": "none"}),
            &format!("198.51.100.{}", number % 250),
        );
        write!(text, "{comma}{}", service.to_string().replace("BALLAST", &ballast)).unwrap();
    }
    (text + "]}").into_bytes()
}

fn endless() -> Reply {
    let item = object("flood", "s0", &json!({"fleetdns.io/probe": "none"}), "203.0.113.1").to_string();
    // The same name again and again: it is the number that counts.
    Reply::json(Body::Endless(
        format!("{LIST}{item}").into_bytes(),
        format!(",{item}").repeat(50).into_bytes(),
    ))
}

/// The honest member's Service, which changes its address again and again.
pub(crate) struct Victim {
    addresses: [Endpoint; 2],
    turn: usize,
}

impl Victim {
    pub(crate) async fn publish(fleet: &Fleet) -> Self {
        let addresses = [Endpoint::on_port(PORT), Endpoint::on_port(PORT)];
        let service = NewService::new("default", "victim").port(PORT);
        let first = addresses[0].ip().to_string();
        fleet.west.create_published(&service, &[&first]).await;
        dns::wait_for(fleet.server(), &name("victim", ""), "A", &[&first], CHANGED).await;
        Self { addresses, turn: 0 }
    }

    /// The longest of some changes, from the API server's answer to that of DNS.
    pub(crate) async fn changes(&mut self, fleet: &Fleet) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..5 {
            self.turn = 1 - self.turn;
            let address = self.addresses[self.turn].ip().to_string();
            fleet.west.patch_status("default", "victim", &[&address]).await;
            let changed = Instant::now();
            dns::wait_for(fleet.server(), &name("victim", ""), "A", &[&address], CHANGED).await;
            longest = longest.max(changed.elapsed());
        }
        longest
    }
}

/// Whether a text could act on a terminal or begin a line.
pub(crate) fn is_raw(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n')
}

fn fault(status: &Value, name: &str) -> String {
    cluster(status, name)["fault"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_members_are_contained_and_the_honest_one_keeps_its_times() {
    let (fleet, folder) = (Fleet::start_alone().await, tempfile::tempdir().unwrap());
    let zone_file = folder.path().join("db.files.example");
    let zone = format!(
        "[zone \"files.example\"]\nprovider = coredns\nzone-file = {}\nns = ns1.example.net\n",
        zone_file.display()
    );
    let conf = fleet.conf().more(&zone).more("[brakes]\nstartup-timeout = 5s");
    let mut daemon = Daemon::start(&conf).await;
    let mut victim = Victim::publish(&fleet).await;
    let calm = victim.changes(&fleet).await;
    let calm_memory = daemon.memory_kib("VmHWM");

    let good = Endpoint::on_port(PORT);
    let good_address = good.ip().to_string();
    let shown = good_address.clone();
    let names = server(move || forged(&shown)).await;
    // Made once: a busy machine would not be done within the time that the daemon waits for an answer.
    let large = Body::Whole(large());
    let heavy = server(move || Reply::json(large.clone())).await;
    let (text, flood) = (server(refusal).await, server(endless).await);
    let gzip = server(|| Reply::json(bomb(LIST.as_bytes())).gzip()).await;
    let mut conf = conf;
    for (name, server, keys) in [
        ("names", &names, ""),
        ("text", &text, ""),
        ("heavy", &heavy, ""),
        ("flood", &flood, ""),
        ("gzip", &gzip, "max-list-size = 64MiB"),
    ] {
        conf = conf.cluster_with(name, &server.kubeconfig(folder.path(), name), keys);
    }
    daemon.kill();
    // Not ready as long as one of them could not be read, and at work all the same.
    let mut daemon = Daemon::spawn(&conf, &[]);
    // Until start-up has given up on those that do not list, nothing is removed.
    let zones = |status: &Value| status["zones"].as_array().cloned().unwrap_or_default();
    let is_over = |status: &Value| {
        !zones(status).is_empty() && zones(status).iter().all(|zone| zone["startup"].is_null())
    };
    daemon.ready(CONTAINED).await;
    daemon.status_shows("start-up to be over", CONTAINED, is_over).await;
    let mut beside = victim.changes(&fleet).await;
    for (name, inventory, part) in [
        ("flood", "stale", "more than 100000 objects; max-services allows more"),
        ("gzip", "stale", "a list of more than 64 MiB; max-list-size allows more"),
        ("text", "stale", "403"),
        ("heavy", "live", ""),
        ("names", "live", ""),
    ] {
        let shows = |status: &Value| {
            cluster(status, name)["inventory"] == inventory && fault(status, name).contains(part)
        };
        daemon.status_shows(&format!("{name} as {inventory}: {part}"), CONTAINED, shows).await;
        beside = beside.max(victim.changes(&fleet).await);
    }
    // One that is over its limit is asked again after a minute; the others are not slower for it.
    let memory = daemon.memory_kib("VmHWM");
    eprintln!("changes of the honest member: {calm:.1?} alone, {beside:.1?} beside hostile members");
    eprintln!(
        "memory at most: {calm_memory} KiB alone, {memory} KiB beside; bytes taken: {} of gzip",
        gzip.sent()
    );
    assert!(beside <= calm * 3 + Duration::from_secs(1), "{calm:?} alone, {beside:?} beside");
    assert!(memory <= calm_memory + MORE_MEMORY_KIB, "{calm_memory} KiB alone, {memory} KiB beside");
    assert_eq!(cluster(&daemon.status().await, "heavy")["services"], 1000);
    nothing_is_forged(&fleet, &daemon, &zone_file, &good_address).await;
    daemon.assert_running();
    tokio::task::block_in_place(|| drop((victim, good)));
}

/// Of the forged names nothing is in a zone, and nothing that acts on a terminal in the status and the log.
async fn nothing_is_forged(fleet: &Fleet, daemon: &Daemon, zone_file: &std::path::Path, good: &str) {
    dns::wait_for(fleet.server(), &name("good", ""), "A", &[good], CHANGED).await;
    let records = daemon.records().await.to_string();
    let file = std::fs::read_to_string(zone_file).unwrap();
    assert!(file.contains(good), "{file}");
    for text in [&records, &file] {
        assert!(!text.contains("203.0.113.66") && !text.contains("evil"), "{text}");
    }
    let refused = daemon.command(&["status"]).await.out;
    assert!(!is_raw(&refused), "{refused:?}");
    assert!(refused.contains("\\u{1b}[2J"), "{refused}");
    let log = daemon.log();
    assert!(!is_raw(&log), "{:?}", log.lines().find(|line| is_raw(line)));
    for text in [&log, &refused] {
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01T")), "a line is forged: {text}");
    }
    for shown in [&refused, &log, &daemon.status().await.to_string()] {
        assert!(!shown.contains(SECRET), "a token is shown");
    }
    assert!(fault(&daemon.status().await, "text").len() < 600);
}
