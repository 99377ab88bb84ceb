//! What `/metrics` shows of a loop, and that `config/` asks for nothing else.

use std::collections::BTreeSet;

use fleetdns_core::{Health, Ingress, MemberView, Overrides, Port, ProbeKey, Service, Snapshot};
use fleetdns_planner::{PublishSettings, publish};

use super::*;
use crate::ha::Standing;
use crate::metrics::render;
use crate::overrides::{Clock, OverrideRequest, OverrideStore};
use crate::view::View;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
/// The labels of what belongs to the provider.
const ZONE: &str = "zone=\"example.com\",provider=\"strict\"";
/// Series that need a canary that was probed.
const PROBED: &str = "fleetdns_canary_heard";

fn shown(rig: &Rig, standing: Standing) -> String {
    render(&view(rig, standing), false).unwrap().1
}

fn view(rig: &Rig, standing: Standing) -> View {
    let overrides = watch::channel(Overrides::default()).1;
    let view = View {
        inputs: Inputs::new(rig.snapshots.subscribe(), rig.health.subscribe(), overrides),
        zones: vec![rig.status.clone()],
        standing: watch::channel(standing).1,
        ..View::empty()
    };
    view.beats.configure(["east".parse().unwrap()].into());
    view
}

/// The series of a family that are not zero, without their prefix and the zone.
fn set(rig: &Rig, standing: Standing, family: &str) -> Vec<String> {
    let start = format!("fleetdns_{family}{{zone=\"example.com\",");
    let text = shown(rig, standing);
    let all: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    assert!(!all.is_empty(), "no {family} in {text}");
    all.into_iter().filter(|line| !line.ends_with(" 0.0")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_in_dns_is_counted_with_its_reason() {
    let rig = Rig::start(Backend::default());
    let dead = |standing| set(&rig, standing, "zone_dead_addresses");
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(60).await;
    assert_eq!(dead(Standing::Alone), [""; 0]);

    rig.backend(|b| b.apply_faults = vec![unavailable; 100]);
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(dead(Standing::Alone), ["reason=\"write-fault\"} 1.0"]);
    assert_eq!(dead(Standing::Follows("b".into())), ["reason=\"not-leader\"} 1.0"]);
    rig.backend(|b| b.apply_faults.clear());
    rig.pass(60).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!(dead(Standing::Alone), [""; 0]);

    rig.health_state("203.0.113.2", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(dead(Standing::Alone), ["reason=\"all-down\"} 1.0"]);
    // One that answers again is not dead, though it is still to be removed.
    rig.health_state("203.0.113.2", Verdict::Recovering);
    rig.pass(1).await;
    assert_eq!(dead(Standing::Alone), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_that_is_forced_in_is_counted_so() {
    let (store_task, overrides) = OverrideStore::new(crate::overrides::Storage::Marks, Clock::system());
    let _keeping = tokio::spawn(store_task.run(CancellationToken::new()));
    let rig = Rig::start_heeding(Backend::default(), vec![], overrides.clone());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(60).await;
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(60).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    let subjects = ["203.0.113.1", "203.0.113.2"].map(|ip| format!("address/{ip}").parse().unwrap()).to_vec();
    let (kind, by, reason) = (Some(OverrideKind::ForceIn), String::new(), String::new());
    overrides.request(OverrideRequest { subjects, kind, by, reason, span: None }).await.unwrap();
    rig.pass(10).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2"]);
    assert_eq!(set(&rig, Standing::Alone, "zone_dead_addresses"), ["reason=\"force-in\"} 1.0"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_of_a_refused_name_is_counted() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(60).await;
    rig.backend(|b| assert!(b.refuses.insert(GLOBAL.parse().unwrap())));
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(set(&rig, Standing::Alone, "zone_dead_addresses"), ["reason=\"refused\"} 1.0"]);
    assert_eq!(set(&rig, Standing::Alone, "zone_refused_names"), ["reason=\"backend\"} 1.0"]);
    assert_eq!(set(&rig, Standing::Alone, "zone_pending_changes"), [""; 0], "it is counted as refused");
}

#[tokio::test(start_paused = true)]
async fn changes_are_pending_until_they_are_written() {
    let rig = Rig::start(Backend { apply_faults: vec![unavailable; 100], ..Backend::default() });
    let pending = |standing| set(&rig, standing, "zone_pending_changes");
    let written = "fleetdns_zone_last_write_timestamp_seconds{zone=\"example.com\"} ";
    let never = format!("{written}0.0\n");
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), ["verb=\"create\"} 1.0"]);
    assert_eq!(pending(Standing::Follows("b".into())), [""; 0], "another one writes it");
    assert!(shown(&rig, Standing::Alone).contains(&never));
    rig.backend(|b| b.apply_faults.clear());
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), [""; 0]);
    let text = shown(&rig, Standing::Alone);
    assert!(text.contains(written) && !text.contains(&never), "{text}");

    // What is not to be changed any more is not pending.
    rig.backend(|b| b.apply_faults = vec![unavailable; 100]);
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    assert_eq!(pending(Standing::Alone), ["verb=\"update\"} 1.0"]);
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), [""; 0]);
}

fn value(rig: &Rig, series: &str) -> f64 {
    let text = shown(rig, Standing::Alone);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_time_from_a_change_to_the_written_name_is_measured() {
    let rig = Rig::start(Backend { write_time: Duration::from_secs(5), ..Backend::default() });
    let change = |what| value(&rig, &format!("fleetdns_zone_change_seconds_{what}{{{ZONE}}}"));
    rig.pass(10).await;
    assert_eq!((change("count"), change("sum")), (0.0, 0.0));
    rig.publish_as("web", &["203.0.113.1"]);
    // It comes in while the first one is written, and waits for that.
    rig.pass(1).await;
    rig.publish_as("shop", &["203.0.113.2"]);
    rig.pass(20).await;
    assert_eq!(change("count"), 2.0);
    assert!((14.0..14.1).contains(&change("sum")), "{}", change("sum"));

    // A fault of the zone counts too.
    rig.backend(|b| {
        b.write_time = Duration::ZERO;
        b.apply_faults = vec![throttled];
    });
    rig.publish_as("web", &["203.0.113.3"]);
    rig.pass(100).await;
    rig.publish_as("shop", &["203.0.113.4"]);
    rig.pass(300).await;
    assert_eq!(change("count"), 4.0);
    assert!((514.0..515.0).contains(&change("sum")), "{}", change("sum"));
}

#[tokio::test(start_paused = true)]
async fn calls_of_the_provider_are_counted_with_their_errors() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    let calls = |call| {
        value(
            &rig,
            &format!(
                "fleetdns_zone_provider_calls_total{{zone=\"example.com\",call=\"{call}\",provider=\"strict\"}}"
            ),
        )
    };
    let errors = || set(&rig, Standing::Alone, "zone_provider_errors_total");
    assert_eq!((calls("list"), calls("apply")), (1.0, 1.0));
    assert_eq!(errors(), [""; 0]);
    rig.backend(|b| {
        b.list_faults = 1;
        b.apply_faults = vec![throttled];
    });
    rig.publish(&["203.0.113.2"]);
    rig.pass(70).await;
    assert_eq!(
        errors(),
        [
            "call=\"list\",error=\"unavailable\",provider=\"strict\"} 1.0",
            "call=\"apply\",error=\"throttled\",provider=\"strict\"} 1.0"
        ]
    );
}

/// `cargo test -p fleetdns-daemon --lib cost_of_a_scrape -- --ignored --nocapture`
#[tokio::test(start_paused = true)]
#[ignore = "measures"]
async fn cost_of_a_scrape() {
    for services in [1000, 10_000, 100_000] {
        let rig = Rig::start(Backend::default());
        let apex: DnsName = "example.com".parse().unwrap();
        let settings = PublishSettings {
            fleet: Some("fed".parse().unwrap()),
            zones: vec![(apex.clone(), apex)],
            ..PublishSettings::default()
        };
        let mut health = Health::default();
        let mut snapshot = Snapshot::default();
        for member in 0..20_u32 {
            let mut view = MemberView::pending(format!("member-{member}").parse().unwrap());
            (view.inventory, view.listed) = (Inventory::Live, true);
            for number in (0..services).filter(|number| number % 20 == member) {
                let ip = std::net::Ipv4Addr::from_bits(0x0b00_0000 + number);
                let service = Service {
                    namespace: "default".to_owned(),
                    name: format!("service-{number}"),
                    ports: vec![Port { port: 80, protocol: "TCP".into() }],
                    ingress: Some(vec![Ingress { ip: Some(ip.to_string()), hostname: None }]),
                    ..Service::default()
                };
                let published = publish(&service, &settings).unwrap();
                let key = ProbeKey { address: ip.into(), spec: Arc::clone(&published.probe) };
                health.verdicts.insert(key, Verdict::Healthy);
                view.services.insert(published.key.clone(), Arc::new(published));
            }
            snapshot.members.insert(view.name.clone(), Arc::new(view));
        }
        rig.health.send_replace(health.clone());
        rig.snapshots.send_replace(snapshot);
        rig.pass(120).await;
        let cost = |what: &str| {
            let view = view(&rig, Standing::Alone);
            let size = render(&view, false).unwrap().1.len();
            let start = std::time::Instant::now();
            for _ in 0..20 {
                render(&view, false).unwrap();
            }
            println!("{services} Services, {what}: {:?} a scrape, {size} bytes", start.elapsed() / 20);
        };
        cost("all healthy");
        let owned = value(&rig, "fleetdns_zone_owned_names{zone=\"example.com\"}");
        assert_eq!(owned, f64::from(services));
        let dead: Vec<ProbeKey> = health.verdicts.keys().step_by(10).cloned().collect();
        health.verdicts.extend(dead.into_iter().map(|key| (key, Verdict::Unhealthy)));
        rig.health.send_replace(health);
        rig.pass(1).await;
        cost("a tenth dead and held");
    }
}

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{FILES}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text under a key, wherever it is.
fn texts(value: &serde_json::Value, key: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(all) => {
            found.extend(all.get(key).and_then(serde_json::Value::as_str).map(str::to_owned));
            all.values().for_each(|inner| texts(inner, key, found));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|inner| texts(inner, key, found)),
        _ => {}
    }
}

fn all_of(value: &serde_json::Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    texts(value, key, &mut found);
    assert!(!found.is_empty(), "no {key}");
    found
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    let text = shown(&rig, Standing::Alone);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let mut known: BTreeSet<&str> = series.filter_map(|line| line.split(|c| !is_name(c)).next()).collect();
    known.insert(PROBED);
    let dashboard: serde_json::Value = serde_json::from_str(&file("grafana/dashboard.json")).unwrap();
    let rules: serde_json::Value = serde_saphyr::from_str(&file("prometheus/alerts.yaml")).unwrap();
    let queries = all_of(&dashboard, "query");
    let asked = [all_of(&dashboard, "expr"), all_of(&rules, "expr"), queries].concat().join("\n");
    let is_ours = |name: &&str| name.starts_with("fleetdns_") || name.starts_with("process_");
    let names = asked.split(|c| !is_name(c)).filter(is_ours);
    let missing: BTreeSet<&str> = names.filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "the daemon has no {missing:?}");
}

#[tokio::test(start_paused = true)]
async fn each_metric_and_each_alert_is_written_down() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    let (text, manual) = (shown(&rig, Standing::Alone), file("README.md"));
    let (_, table) = manual.split_once("\n### Metrics\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let series = |label| text.lines().filter(|line| !line.starts_with('#') && line.contains(label)).count();
    let (zone, cluster) = (series("zone=\""), series("cluster=\""));
    let besides = series("") - zone - cluster;
    assert!(
        zone <= 130 && cluster <= 9 && besides <= 160,
        "more than README says: {zone} {cluster} {besides}"
    );
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unknown: Vec<_> = families.filter(|name| !table.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "config/README.md does not name {unknown:?}");
    let rules: serde_json::Value = serde_saphyr::from_str(&file("prometheus/alerts.yaml")).unwrap();
    let tests: serde_json::Value = serde_saphyr::from_str(&file("prometheus/alerts_test.yaml")).unwrap();
    let tested = all_of(&tests, "alertname");
    for alert in all_of(&rules, "alert") {
        assert!(manual.contains(&format!("\n### {alert}\n")), "{alert} has no paragraph in config/README.md");
        assert!(tested.contains(&alert), "{alert} has no test in alerts_test.yaml");
    }
    for runbook in all_of(&rules, "runbook") {
        let anchor = runbook.strip_prefix("config/README.md#").unwrap();
        assert!(manual.to_lowercase().contains(&format!("\n### {anchor}\n")), "{runbook} leads nowhere");
    }
}
