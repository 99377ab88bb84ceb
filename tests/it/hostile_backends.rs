//! Zones whose backends mean harm, beside an honest one: each is contained and says why, the other zone is written in the
//! same time as without them, and nothing that they echo is shown.

use std::time::Duration;

use fleetdns_fakes::webhook::MEDIA_TYPE;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply, Request, SECRET, bomb};
use serde_json::{Value, json};

use crate::hostile_members::{Victim, is_raw};

/// A zone's fault, on a busy machine.
const CONTAINED: Duration = Duration::from_secs(60);
/// What the daemon may have more than without hostile backends: a few answers of 64 MiB at one time, and what is made of
/// them.
const MORE_MEMORY_KIB: u64 = 600 << 10;

fn typed(body: Body) -> Reply {
    Reply { status: "200 OK", headers: format!("content-type: {MEDIA_TYPE}\r\n"), body }
}

fn value(value: &Value) -> Reply {
    typed(Body::Whole(value.to_string().into_bytes()))
}

/// A webhook that agrees to everything and lists so.
async fn webhook(zone: &'static str, records: impl Fn() -> Reply + Send + Sync + 'static) -> Hostile {
    Hostile::start(move |Request { method, path, .. }| match (method.as_str(), path.as_str()) {
        ("GET", "/records") => records(),
        ("POST", "/records") => Reply { status: "204 No Content", ..typed(Body::Whole(Vec::new())) },
        ("POST", _) => value(&json!([{"dnsName": "\n@ 30 IN NS ns.evil.example.", "recordType": "A"}])),
        _ => value(&json!({"include": [zone]})),
    })
    .await
}

/// Names, values and marks that are none, forged, or somebody else's.
fn hostile_values() -> Value {
    let forged = "x\n@ 30 IN NS ns.evil.example.\u{1b}[2J\u{7}\u{9b}31m";
    let mark = "\"heritage=fleetdns,fleetdns/owner=myfederation\" owner=myfederation service=default/victim \
                member=westus:203.0.113.66";
    let endpoint = |name: &str, record_type: &str, target: &str| {
        json!({"dnsName": name, "recordType": record_type, "targets": [target], "recordTTL": i64::MIN,
               "labels": {"owner": forged}, "providerSpecific": [{"name": forged, "value": forged}]})
    };
    let victim = "victim.default.myfederation.svc.values.example";
    json!([
        endpoint(forged, "A", forged),
        endpoint(victim, "TXT", mark),
        endpoint(&format!("_fleetdns.{victim}"), "TXT", mark),
        endpoint(&format!("_fleetdns.{victim}"), "TXT", &"\\".repeat(300)),
        endpoint(&"a.".repeat(5000), "A", "999.1.1.1"),
        endpoint("..values.example", forged, ""),
        endpoint("values.example", "SOA", forged),
        {"dnsName": null, "targets": null},
    ])
}

fn failing(status: &'static str, headers: &str, text: &str) -> Reply {
    Reply { status, headers: headers.to_owned(), body: Body::Whole(text.as_bytes().to_vec()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_backends_are_contained_and_another_zone_keeps_its_times() {
    let fleet = Fleet::start_alone().await;
    let conf = fleet.conf().more("[brakes]\ndrift = 2s");
    let mut daemon = Daemon::start(&conf).await;
    let mut victim = Victim::publish(&fleet).await;
    let calm = victim.changes(&fleet).await;
    let calm_memory = daemon.memory_kib("VmHWM");

    let endless = br#"[{"dnsName":"a.endless.example","recordType":"A","targets":["203.0.113.1"]}"#;
    let echo = format!(
        "no \u{1b}[2J\u{7}\u{9b}31m\r\nforged line: Bearer {SECRET}-echo and {SECRET}-echo {}",
        "x".repeat(10_000)
    );
    let servers = [
        ("bomb.example", webhook("bomb.example", || typed(bomb(b"[")).gzip()).await, "longer than 65536 KiB"),
        (
            "endless.example",
            webhook("endless.example", move || {
                let part = [b",", &endless[1..]].concat().repeat(100);
                typed(Body::Endless(endless.to_vec(), part))
            })
            .await,
            "longer than 65536 KiB",
        ),
        (
            "many.example",
            // Fewer octets than are allowed, and a million times a struct.
            webhook("many.example", || {
                typed(Body::Whole(format!("[{}{{}}]", "{},".repeat(20 << 20)).into_bytes()))
            })
            .await,
            "more than",
        ),
        ("values.example", webhook("values.example", || value(&hostile_values())).await, ""),
        (
            "wait.example",
            Hostile::start(|_| failing("429 Too Many Requests", "retry-after: 18446744073709551615\r\n", ""))
                .await,
            "3600",
        ),
        (
            "echo.example",
            Hostile::start(move |_| failing("500 Internal Server Error", "", &echo)).await,
            "500",
        ),
    ];
    // Frames of HTTP/2 that never make sense, and never end.
    let etcd = Hostile::start(|_| typed(Body::Endless(vec![0; 4096], vec![0; 4096]))).await;
    let mut conf = conf.more(&format!(
        "[zone \"etcd.example\"]\nprovider = coredns\netcd-endpoints = {}\netcd-username = u\netcd-password = {SECRET}-etcd",
        etcd.url()
    ));
    for (zone, server, _) in &servers {
        let token = zone.split('.').next().unwrap();
        conf = conf.more(&format!(
            "[zone \"{zone}\"]\nprovider = webhook\nurl = {}\nbearer-token = {SECRET}-{token}",
            server.url()
        ));
    }
    daemon.kill();
    // Not ready as long as one of them could not be read, and at work all the same.
    let mut daemon = Daemon::spawn(&conf, &[]);
    let mut beside = victim.changes(&fleet).await;
    for (zone, _, part) in &servers {
        daemon
            .status_shows(&format!("{zone}: {part}"), CONTAINED, |status| fault(status, zone).contains(part))
            .await;
        beside = beside.max(victim.changes(&fleet).await);
    }
    daemon.status_shows("etcd.example", CONTAINED, |status| !fault(status, "etcd.example").is_empty()).await;
    beside = beside.max(victim.changes(&fleet).await);

    let memory = daemon.memory_kib("VmHWM");
    eprintln!("changes of the honest zone: {calm:.1?} alone, {beside:.1?} beside hostile backends");
    eprintln!("memory at most: {calm_memory} KiB alone, {memory} KiB beside");
    assert!(beside <= calm * 3 + Duration::from_secs(1), "{calm:?} alone, {beside:?} beside");
    assert!(memory <= calm_memory + MORE_MEMORY_KIB, "{calm_memory} KiB alone, {memory} KiB beside");
    let asked =
        servers.iter().find(|(zone, ..)| *zone == "wait.example").map(|(_, server, _)| server.requests());
    assert!(asked.is_some_and(|asked| asked < 20), "{asked:?}: a pause that is not kept");
    nothing_is_shown(&daemon).await;
    daemon.assert_running();
    tokio::task::block_in_place(|| drop(victim));
}

fn fault(status: &Value, zone: &str) -> String {
    let zones = status["zones"].as_array().into_iter().flatten();
    let found = zones.into_iter().find(|line| line["name"] == zone);
    found.and_then(|line| line["fault"].as_str()).unwrap_or_default().to_owned()
}

/// No secret, and nothing that acts on a terminal.
async fn nothing_is_shown(daemon: &Daemon) {
    let (status, log) = (daemon.command(&["status"]).await.out, daemon.log());
    let check = daemon.command(&["check"]).await;
    let all = [status, log, daemon.status().await.to_string(), daemon.metrics(), check.out, check.err];
    for text in &all {
        assert!(
            !text.contains(SECRET),
            "a secret is shown: {:?}",
            text.lines().find(|line| line.contains(SECRET))
        );
        assert!(!text.contains("\nforged line"), "{text}");
        let raw = text.lines().find(|line| is_raw(line));
        assert!(raw.is_none(), "{raw:?}");
        let long = text.lines().filter(|_| !text.starts_with('{')).find(|line| line.len() > 4096);
        assert!(long.is_none(), "{long:?}");
    }
    assert!(all[0].contains("\\u{1b}[2J"), "the text of a backend is escaped: {}", all[0]);
    assert!(!daemon.records().await.to_string().contains("203.0.113.66"));
}
