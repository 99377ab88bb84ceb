//! The admin API: reading, over HTTP on loopback; and the listener for probes of pods and for metrics.
//!
//! `GET /` is the status page, in `page`.
//! `GET /livez` (the tasks that matter take their turns; 503 names those that do not), `/readyz` (zones and members were
//! read; 503 names what was not), `/v1/status`, `/v1/records[?all=true]`, `/v1/why?name=NAME`,
//! `/v1/events[?after=SEQ&run=RUN&wait=SECONDS&name=NAME&cluster=CLUSTER]`, `/v1/overrides`, `/v1/snapshot`,
//! `/v1/consequences?down=WHAT[&down=…]`, `/metrics`
//! (OpenMetrics when it is accepted, otherwise the Prometheus text format). The other listener has the first two and `/metrics`, and nothing else.
//!
//! Invariant: nothing can be changed here, and no secret is among what is shown.
//! Invariant: a page of another site that a browser on this machine shows cannot read it: it is asked under known names.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fleetdns_core::peer_limit::Peer;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::http::{self, Limits};
use crate::journal;
use crate::metrics;
use crate::overrides::order::Operator;
use crate::page;
use crate::view::View;

mod streamed;

/// The view, as it is since the last reload.
#[derive(Debug, Clone)]
pub struct Views(pub watch::Receiver<Arc<Operator>>);

impl FromRef<Views> for View {
    fn from_ref(views: &Views) -> Self {
        views.0.borrow().view.clone()
    }
}

/// Answers of one kind that take a while which are made at one time.
const AT_ONCE: usize = 2;
/// Turns of pages, which do not wait for plans.
pub(crate) static PAGES: Semaphore = Semaphore::const_new(AT_ONCE);
/// Turns of what takes milliseconds, and more the larger the fleet.
static LOOKS: Semaphore = Semaphore::const_new(AT_ONCE);
/// Turns of consequences.
static PLANS: Semaphore = Semaphore::const_new(AT_ONCE);
/// Turns of metrics, for which other machines may ask.
static SCRAPES: Semaphore = Semaphore::const_new(AT_ONCE);
/// Turns of records and snapshots, which end when they are read.
static LISTS: Semaphore = Semaphore::const_new(AT_ONCE);
/// On loopback all are one peer.
const ADMIN: Limits =
    Limits { connections: 64, of_peer: 64, head: Duration::from_secs(10), life: Duration::from_secs(600) };
/// Outside: the kubelet and the metrics' readers, and whoever else can reach it.
const PROBES: Limits =
    Limits { connections: 128, of_peer: 16, head: Duration::from_secs(5), life: Duration::from_secs(60) };

/// Serves the admin API until `shutdown`, under loopback names, its address and these names.
pub async fn serve(listener: TcpListener, views: Views, names: Vec<String>, shutdown: CancellationToken) {
    let address = listener.local_addr().ok().map(|address| address.ip());
    let routes = routes(views, address, names, shutdown.clone());
    http::serve(listener, routes, ADMIN.within_descriptors(), meet, shutdown).await;
}

/// What can be asked for, under loopback names, this address and these names.
pub(crate) fn routes(
    views: Views,
    address: Option<IpAddr>,
    names: Vec<String>,
    shutdown: CancellationToken,
) -> Router {
    let ending = shutdown.clone();
    let known = Known { address, names };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/records", get(records))
        .route("/v1/overrides", get(overrides))
        .route("/v1/why", get(why))
        .route("/v1/events", get(move |state, query| events(state, query, ending)))
        .route("/v1/snapshot", get(snapshot))
        .route("/v1/consequences", get(consequences))
        .merge(probes())
        .merge(page::routes(views.clone(), shutdown))
        .layer(from_fn_with_state(Arc::new(known), only_known_names))
        .with_state(views)
}

/// Serves `/livez`, `/readyz` and `/metrics` until `shutdown`.
pub async fn serve_probes(listener: TcpListener, views: Views, shutdown: CancellationToken) {
    http::serve(listener, probes().with_state(views), PROBES.within_descriptors(), meet, shutdown).await;
}

fn meet(_: &TcpStream, address: &SocketAddr) -> (Peer, ()) {
    (address.ip().into(), ())
}

fn probes() -> Router<Views> {
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

async fn records(State(view): State<View>, Query(which): Query<Which>) -> Result<Response, StatusCode> {
    streamed::json(&LISTS, Box::new(move |out| view.write_records(which.all, out))).await
}

#[derive(Debug, Deserialize)]
struct What {
    name: String,
}

async fn status(State(view): State<View>) -> Result<Response, StatusCode> {
    beside(&LOOKS, Box::new(move || Json(view.status()).into_response())).await
}

async fn overrides(State(view): State<View>) -> Result<Response, StatusCode> {
    beside(&LOOKS, Box::new(move || Json(view.overrides()).into_response())).await
}

async fn why(State(view): State<View>, Query(what): Query<What>) -> Result<Response, StatusCode> {
    beside(&LOOKS, Box::new(move || Json(view.why(&what.name)).into_response())).await
}

/// Work of one type, whatever it does: each type more is a task more in the binary.
pub(crate) type Work<T> = Box<dyn FnOnce() -> T + Send>;

/// Does work that takes a while in a large fleet beside the tasks that matter, little of it at one time: its turn ends with
/// it, also when whoever asked has gone.
pub(crate) async fn beside<T: Send + 'static>(
    turns: &'static Semaphore,
    work: Work<T>,
) -> Result<T, StatusCode> {
    let turn = turns.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let working = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    working.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn snapshot(State(view): State<View>) -> Result<Response, StatusCode> {
    streamed::json(&LISTS, Box::new(move |out| view.write_scenario(out))).await
}

async fn consequences(
    State(view): State<View>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, StatusCode> {
    let down: Vec<String> =
        query.into_iter().filter(|(key, _)| key == "down").map(|(_, what)| what).collect();
    beside(&PLANS, Box::new(move || Json(view.consequences(&down)).into_response())).await
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

async fn metrics(State(view): State<View>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accept.into_iter().any(|value| value.contains(metrics::OPEN_METRICS));
    let render = move || match metrics::render(&view, open) {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    beside(&SCRAPES, Box::new(render)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeats::{PROBER, WATCH, ZONE};

    async fn asked(view: &View) -> (StatusCode, String) {
        let answer = live(State(view.clone())).await;
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn work_whose_reader_has_gone_keeps_its_turn_until_it_is_done() {
        static TURN: Semaphore = Semaphore::const_new(1);
        let (begun, begin) = tokio::sync::oneshot::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = move || {
            begun.send(()).unwrap();
            ended.recv().unwrap();
        };
        let asked = tokio::spawn(beside(&TURN, Box::new(work)));
        begin.await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert!(TURN.try_acquire().is_err(), "it still works");
        end.send(()).unwrap();
        drop(TURN.acquire().await.unwrap());
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
}
