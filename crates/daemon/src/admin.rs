//! The admin API: reading, over HTTP on loopback; and the listener for probes of pods and for metrics.
//!
//! `GET /livez` (the tasks that matter take their turns; 503 names those that do not), `/readyz` (zones and members were
//! read; 503 names what was not), `/v1/status`, `/v1/records[?all=true]`, `/v1/why?name=NAME`,
//! `/v1/events[?after=SEQ&run=RUN&wait=SECONDS&name=NAME&cluster=CLUSTER]`, `/v1/overrides`, `/v1/snapshot`, `/metrics`
//! (Prometheus text format 0.0.4). The other listener has the first two and `/metrics`, and nothing else.
//!
//! Invariant: nothing can be changed here, and no secret is among what is shown.
//! Invariant: a page of another site that a browser on this machine shows cannot read it: it is asked under known names.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fleetdns_core::OverrideKind;
use fleetdns_core::peer_limit::Peer;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::http::{self, Limits};
use crate::journal;
use crate::view::{Status, View, ZoneGauge};

/// On loopback all are one peer.
const ADMIN: Limits =
    Limits { connections: 64, of_peer: 64, head: Duration::from_secs(10), life: Duration::from_secs(600) };
/// Outside: the kubelet and the metrics' readers, and whoever else can reach it.
const PROBES: Limits =
    Limits { connections: 128, of_peer: 16, head: Duration::from_secs(5), life: Duration::from_secs(60) };

/// Serves the admin API until `shutdown`, under loopback names, its address and these names.
pub async fn serve(listener: TcpListener, view: View, names: Vec<String>, shutdown: CancellationToken) {
    let ending = shutdown.clone();
    let known = Known { address: listener.local_addr().ok().map(|address| address.ip()), names };
    let routes = Router::new()
        .route("/v1/status", get(async |State(view): State<View>| Json(view.status())))
        .route("/v1/records", get(records))
        .route("/v1/overrides", get(async |State(view): State<View>| Json(view.overrides())))
        .route("/v1/why", get(why))
        .route("/v1/events", get(move |state, query| events(state, query, ending)))
        .route("/v1/snapshot", get(async |State(view): State<View>| Json(view.scenario())))
        .merge(probes())
        .layer(from_fn_with_state(Arc::new(known), only_known_names))
        .with_state(view);
    http::serve(listener, routes, ADMIN.within_descriptors(), meet, shutdown).await;
}

/// Serves `/livez`, `/readyz` and `/metrics` until `shutdown`.
pub async fn serve_probes(listener: TcpListener, view: View, shutdown: CancellationToken) {
    http::serve(listener, probes().with_state(view), PROBES.within_descriptors(), meet, shutdown).await;
}

fn meet(_: &TcpStream, address: &SocketAddr) -> (Peer, ()) {
    (address.ip().into(), ())
}

fn probes() -> Router<View> {
    Router::new()
        .route("/livez", get(live))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Binds an address.
///
/// # Errors
/// The operating system's, for example that the port is taken.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Names under which the admin API may be asked.
struct Known {
    address: Option<IpAddr>,
    names: Vec<String>,
}

impl Known {
    fn has(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback() || Some(ip) == self.address,
            Err(_) => {
                let host = host.trim_end_matches('.');
                host.eq_ignore_ascii_case("localhost")
                    || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }

    /// A host that a request has and that is not known.
    fn stranger(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let host = uri.host().map(str::to_owned).or_else(|| Some(authority(&text(header::HOST)?)));
        // What has no origin of its own, such as a page in a sandbox, says null.
        let origin =
            text(header::ORIGIN).map(|origin| authority(origin.split("://").last().unwrap_or_default()));
        host.into_iter().chain(origin).find(|host| !self.has(host))
    }
}

/// The host without its port.
fn authority(text: &str) -> String {
    text.parse::<Authority>().map_or_else(|_| text.to_owned(), |authority| authority.host().to_owned())
}

/// Without this a page in a browser of this machine could read everything: its name need only resolve to 127.0.0.1.
async fn only_known_names(State(known): State<Arc<Known>>, request: Request, next: Next) -> Response {
    match known.stranger(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(host) => {
            let text = format!(
                "the name {host:?} is not one of this API: localhost, 127.0.0.1, [::1], or what [admin] hosts allows\n"
            );
            (StatusCode::FORBIDDEN, text).into_response()
        }
    }
}

async fn live(State(view): State<View>) -> Response {
    answer(&view.heartbeats.hanging())
}

async fn ready(State(view): State<View>) -> Response {
    answer(&view.unready())
}

/// `ok`, or 503 with a line for each reason.
fn answer(reasons: &[impl Display]) -> Response {
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    let text: String = reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
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
    family("overrides", "gauge", "Operator overrides in force, by kind.", overrides(status));
    let self_checks = ["vantage", "correlation"].map(|kind| {
        let stands = status.self_check.as_ref().is_some_and(|self_check| self_check.kind == kind);
        (format!("kind=\"{kind}\""), f64::from(u8::from(stands)))
    });
    family(
        "self_check_failed",
        "gauge",
        "1 while the self-check of the prober fails and its removals are suspended.",
        self_checks.into(),
    );
    let heard = status.canaries.iter().filter_map(|canary| {
        Some((format!("canary=\"{}\"", canary.name), f64::from(u8::from(canary.heard?))))
    });
    let put_off = status.probes_put_off.iter().map(|of| of.probes as f64).sum();
    family(
        "probes_put_off",
        "gauge",
        "Probes that waited for the limits of their namespaces, while these act.",
        vec![(String::new(), put_off)],
    );
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

fn overrides(status: &Status) -> Samples {
    let count =
        |kind: OverrideKind| status.overrides.iter().filter(|line| line.kind == kind.as_str()).count() as f64;
    [OverrideKind::Drain, OverrideKind::ForceIn, OverrideKind::ForceOut]
        .map(|kind| (format!("kind=\"{kind}\""), count(kind)))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use fleetdns_core::Gauge;

    use super::*;
    use crate::heartbeats::{PROBER, WATCH, ZONE};
    use crate::self_checks::SelfCheckLine;

    async fn asked(view: &View) -> (StatusCode, String) {
        let answer = live(State(view.clone())).await;
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn livez_names_the_zone_the_watch_and_the_prober_that_hang() {
        let view = View::empty();
        let tasks = [("zone example.com", ZONE), ("cluster west", WATCH), ("prober", PROBER)];
        for (task, within) in tasks {
            let heartbeat = view.heartbeats.of(task, within);
            assert_eq!(asked(&view).await, (StatusCode::OK, "ok\n".to_owned()));
            tokio::time::sleep(within + Duration::from_secs(1)).await;
            let (status, text) = asked(&view).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(text.starts_with(&format!("{task}: no turn for")) && text.lines().count() == 1, "{text}");
            // Another one that goes on does not hide it, nor does time.
            let other = view.heartbeats.of("other", Duration::from_secs(1_000_000));
            other.beat();
            assert_eq!(asked(&view).await.0, StatusCode::SERVICE_UNAVAILABLE);
            heartbeat.beat();
            view.heartbeats.of(task, Duration::from_secs(1_000_000)).beat();
        }
    }

    #[test]
    fn what_providers_measure_is_one_family_for_all_zones() {
        let (version, fleet) = (String::new(), String::new());
        let self_check = SelfCheckLine { kind: "vantage".to_owned(), reason: String::new() };
        let status = Status {
            version,
            fleet,
            uptime_seconds: 0,
            clusters: vec![],
            zones: vec![],
            overrides: vec![],
            state_fault: None,
            self_check: Some(self_check),
            unprobeable: Vec::new(),
            hostnames: Vec::new(),
            probes_put_off: Vec::new(),
            never_answered_count: 0,
            never_answered: Vec::new(),
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
        let self_checks = "fleetdns_self_check_failed{kind=\"vantage\"} 1\nfleetdns_self_check_failed{kind=\"correlation\"} 0\n";
        assert!(text.contains(self_checks), "{text}");
    }
}
