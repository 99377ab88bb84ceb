//! The admin API: reading, over HTTP on loopback.
//!
//! `GET /healthz` (the process runs), `/readyz` (zones and members were read), `/v1/status`, `/v1/records[?all=true]`,
//! `/v1/snapshot`, `/metrics` (Prometheus text format 0.0.4).
//!
//! Invariant: nothing can be changed here, and no secret is among what is shown.

use std::fmt::Write;
use std::net::SocketAddr;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::view::{Status, View};

/// Serves until `shutdown`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, view: View, shutdown: CancellationToken) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/v1/status", get(async |State(view): State<View>| Json(view.status())))
        .route("/v1/records", get(records))
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

async fn metrics(State(view): State<View>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render(&view.status()))
}

/// The status in the Prometheus text format.
fn render(status: &Status) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: Vec<(String, u64)>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP fleetdns_{name} {help}\n# TYPE fleetdns_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "fleetdns_{name}{{{labels}}} {value}");
        }
    };
    let zone = |name: &str| format!("zone=\"{name}\"");
    let zones = |value: &dyn Fn(&crate::view::ZoneLine) -> u64| -> Vec<(String, u64)> {
        status.zones.iter().map(|line| (zone(&line.name), value(line))).collect()
    };
    family("zone_owned_names", "gauge", "Names in the zone that are ours.", zones(&|z| z.owned as u64));
    family("zone_written_total", "counter", "Names written since the start.", zones(&|z| z.written));
    family("zone_failed_total", "counter", "Names not written because of a fault.", zones(&|z| z.failed));
    family("zone_held_names", "gauge", "Names kept by a brake.", zones(&|z| z.held.len() as u64));
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
    let mut live = Vec::new();
    let mut endpoints = Vec::new();
    for cluster in &status.clusters {
        let label = format!("cluster=\"{}\"", cluster.name);
        live.push((label.clone(), u64::from(cluster.inventory == "live")));
        for (verdict, count) in &cluster.verdicts {
            endpoints.push((format!("{label},verdict=\"{verdict}\""), *count as u64));
        }
    }
    family("cluster_live", "gauge", "1 while the cluster's inventory is fresh.", live);
    family("cluster_endpoints", "gauge", "Addresses by verdict.", endpoints);
    text
}
