//! What `/metrics` shows of a loop, and that `config/` asks for nothing else.

use std::collections::BTreeSet;

use fleetdns_core::{Override, Overrides, Subject};

use super::*;
use crate::ha::Standing;
use crate::metrics::render;
use crate::view::View;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
/// Series that need a canary that was probed.
const PROBED: &str = "fleetdns_canary_heard";

fn shown(rig: &Rig, standing: Standing) -> String {
    shown_with(rig, standing, Overrides::default())
}

fn shown_with(rig: &Rig, standing: Standing, overrides: Overrides) -> String {
    let overrides = watch::channel(overrides).1;
    let view = View {
        inputs: Inputs::new(rig.snapshots.subscribe(), rig.health.subscribe(), overrides),
        zones: vec![rig.status.clone()],
        standing: watch::channel(standing).1,
        ..View::empty()
    };
    view.beats.configure(["east".parse().unwrap()].into());
    render(&view, false).unwrap().1
}

fn forced(address: &str) -> Override {
    let subject = Subject::Address(address.parse::<std::net::IpAddr>().unwrap().into());
    let kind = OverrideKind::ForceIn;
    Override { subject, kind, by: String::new(), reason: String::new(), since: 0, until: None }
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
    let text = shown_with(
        &rig,
        Standing::Alone,
        [forced("203.0.113.1"), forced("203.0.113.2")].into_iter().collect(),
    );
    assert!(
        text.contains("fleetdns_zone_dead_addresses{zone=\"example.com\",reason=\"force-in\"} 1.0\n"),
        "{text}"
    );
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
    let names = asked.split(|c| !is_name(c)).filter(|name| name.starts_with("fleetdns_"));
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
    assert!(zone <= 90 && cluster <= 8 && besides <= 40, "more than README says: {zone} {cluster} {besides}");
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
