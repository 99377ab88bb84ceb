//! The admin API: reading, over HTTP on loopback.
//!
//! `GET /healthz` (the process runs), `/readyz` (zones and members were read), `/v1/status`, `/v1/records[?all=true]`,
//! `/v1/why?name=NAME`, `/v1/events[?after=SEQ&run=RUN&wait=SECONDS&name=NAME&cluster=CLUSTER]`, `/v1/intents`,
//! `/v1/snapshot`, `/metrics` (Prometheus text format 0.0.4).
//!
//! Invariant: nothing can be changed here, and no secret is among what is shown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use fleetdns_core::Wish;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::journal;
use crate::view::{Status, View, ZoneGauge};

/// Serves until `shutdown`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, view: View, shutdown: CancellationToken) -> std::io::Result<()> {
    let ending = shutdown.clone();
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/v1/status", get(async |State(view): State<View>| Json(view.status())))
        .route("/v1/records", get(records))
        .route("/v1/intents", get(async |State(view): State<View>| Json(view.intents())))
        .route("/v1/why", get(why))
        .route("/v1/events", get(move |state, query| events(state, query, ending)))
        .route("/v1/snapshot", get(async |State(view): State<View>| Json(view.scenario())))
        .route("/metrics", get(metrics))
        .with_state(view);
    axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// Binds the admin address.
///
/// # Errors
/// The operating system's, for example that the port is taken.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn ready(State(view): State<View>) -> impl IntoResponse {
    if view.ready() { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting\n") }
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
}

async fn records(State(view): State<View>, Query(which): Query<Which>) -> impl IntoResponse {
    Json(view.records(which.all))
}

#[derive(Debug, Deserialize)]
struct What {
    name: String,
}

async fn why(State(view): State<View>, Query(what): Query<What>) -> impl IntoResponse {
    Json(view.why(&what.name))
}

/// Waits no longer than the daemon runs.
async fn events(
    State(view): State<View>,
    Query(query): Query<journal::Query>,
    ending: CancellationToken,
) -> impl IntoResponse {
    tokio::select! {
        page = view.journal.wait(&query) => Json(page),
        () = ending.cancelled() => Json(view.journal.read(&query)),
    }
}

async fn metrics(State(view): State<View>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render(&view))
}

/// Labels and value.
type Samples = Vec<(String, f64)>;

/// Everything in the Prometheus text format.
fn render(view: &View) -> String {
    let mut text = render_status(&view.status(), &view.gauges());
    let stats = view.journal.stats();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "# HELP fleetdns_events_total Events in the journal since the start.\n# TYPE fleetdns_events_total counter"
    );
    for (kind, count) in &stats.events {
        let _ = writeln!(text, "fleetdns_events_total{{kind=\"{kind}\"}} {count}");
    }
    let _ = writeln!(
        text,
        "# HELP fleetdns_audit_fault 1 while the audit file cannot be written.\n# TYPE fleetdns_audit_fault gauge\n\
         fleetdns_audit_fault {}\n# HELP fleetdns_audit_lost_total Events that never came to the audit file.\n\
         # TYPE fleetdns_audit_lost_total counter\nfleetdns_audit_lost_total {}",
        u8::from(stats.fault.is_some()),
        stats.lost
    );
    text
}

/// The status in the Prometheus text format.
fn render_status(status: &Status, gauges: &[ZoneGauge]) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: Samples| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP fleetdns_{name} {help}\n# TYPE fleetdns_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "fleetdns_{name}{{{labels}}} {value}");
        }
    };
    let zone = |name: &str| format!("zone=\"{name}\"");
    let zones = |value: &dyn Fn(&crate::view::ZoneLine) -> u64| -> Samples {
        status.zones.iter().map(|line| (zone(&line.name), value(line) as f64)).collect()
    };
    family("zone_owned_names", "gauge", "Names in the zone that are ours.", zones(&|z| z.owned as u64));
    family("zone_written_total", "counter", "Names written since the start.", zones(&|z| z.written));
    family("zone_failed_total", "counter", "Names not written because of a fault.", zones(&|z| z.failed));
    let mut held: BTreeMap<String, f64> = BTreeMap::new();
    for line in &status.zones {
        for one in &line.held {
            // A brake's text begins with its name.
            let reason = one.reason.split(':').next().unwrap_or_default();
            *held.entry(format!("{},reason=\"{reason}\"", zone(&line.name))).or_default() += 1.0;
        }
    }
    family("zone_held_names", "gauge", "Names kept by a brake.", held.into_iter().collect());
    family(
        "zone_refused_names",
        "gauge",
        "Names wanted and not written.",
        zones(&|z| z.refused.len() as u64),
    );
    family(
        "zone_fault",
        "gauge",
        "1 while the zone cannot be read or written.",
        zones(&|z| u64::from(z.fault.is_some())),
    );
    family("intents", "gauge", "What persons say of clusters, services and addresses.", wishes(status));
    let doubts = ["vantage", "correlation"].map(|kind| {
        let stands = status.doubt.as_ref().is_some_and(|doubt| doubt.kind == kind);
        (format!("kind=\"{kind}\""), f64::from(u8::from(stands)))
    });
    family("doubt", "gauge", "1 while the prober doubts itself and removes nothing.", doubts.into());
    let heard = status.canaries.iter().filter_map(|canary| {
        Some((format!("canary=\"{}\"", canary.name), f64::from(u8::from(canary.heard?))))
    });
    family("canary_heard", "gauge", "1 while the canary was heard when last probed.", heard.collect());
    let mut live = Vec::new();
    let mut endpoints = Vec::new();
    for cluster in &status.clusters {
        let label = format!("cluster=\"{}\"", cluster.name);
        live.push((label.clone(), f64::from(u8::from(cluster.inventory == "live"))));
        for (verdict, count) in &cluster.verdicts {
            endpoints.push((format!("{label},verdict=\"{verdict}\""), *count as f64));
        }
    }
    family("cluster_live", "gauge", "1 while the cluster's inventory is fresh.", live);
    family("cluster_endpoints", "gauge", "Addresses by verdict.", endpoints);
    // All samples of a family stand together, and providers of one kind have the same families.
    let mut of_providers: BTreeMap<&str, (&str, Samples)> = BTreeMap::new();
    for ZoneGauge { zone: name, gauge } in gauges {
        let (_, samples) = of_providers.entry(gauge.name).or_insert((gauge.help, Vec::new()));
        samples.push((zone(name), gauge.value));
    }
    for (name, (help, samples)) in of_providers {
        family(&format!("zone_{name}"), "gauge", help, samples);
    }
    text
}

fn wishes(status: &Status) -> Samples {
    let count = |wish: Wish| status.intents.iter().filter(|line| line.wish == wish.as_str()).count() as f64;
    [Wish::Drain, Wish::ForceIn, Wish::ForceOut]
        .map(|wish| (format!("wish=\"{wish}\""), count(wish)))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use fleetdns_core::Gauge;

    use super::*;
    use crate::doubts::DoubtLine;

    #[test]
    fn what_providers_measure_is_one_family_for_all_zones() {
        let (version, fleet) = (String::new(), String::new());
        let doubt = DoubtLine { kind: "vantage".to_owned(), reason: String::new() };
        let status = Status {
            version,
            fleet,
            uptime_seconds: 0,
            clusters: vec![],
            zones: vec![],
            intents: vec![],
            doubt: Some(doubt),
            canaries: vec![],
        };
        let gauge = |zone: &str, value| ZoneGauge {
            zone: zone.to_owned(),
            gauge: Gauge { name: "insync_seconds", help: "How long.", value },
        };
        let text = render_status(&status, &[gauge("a.example", 2.0), gauge("b.example", 0.5)]);
        let expected = "# HELP fleetdns_zone_insync_seconds How long.\n# TYPE fleetdns_zone_insync_seconds gauge\n\
            fleetdns_zone_insync_seconds{zone=\"a.example\"} 2\nfleetdns_zone_insync_seconds{zone=\"b.example\"} 0.5\n";
        assert!(text.ends_with(expected), "{text}");
        let doubts = "fleetdns_doubt{kind=\"vantage\"} 1\nfleetdns_doubt{kind=\"correlation\"} 0\n";
        assert!(text.contains(doubts), "{text}");
    }
}
