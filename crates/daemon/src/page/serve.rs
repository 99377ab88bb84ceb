//! The page over HTTP: routes, headers, and how much work it may be.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use fleetdns_core::{MemberName, ServiceKey};
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::overview::Overview;
use super::services::Search;
use super::stream::{self, PACE, STREAMS};
use super::templates;
use super::timeline::Filter;
use crate::admin::{PAGES, Views, beside};
use crate::view::View;

/// What every page needs.
#[derive(Clone)]
struct Pages {
    views: Views,
    latest: Arc<Mutex<Option<Latest>>>,
    streams: Arc<Semaphore>,
    ending: CancellationToken,
}

/// An overview, and when it was begun.
type Latest = (Instant, Arc<Overview>);

impl FromRef<Pages> for View {
    fn from_ref(pages: &Pages) -> Self {
        Self::from_ref(&pages.views)
    }
}

/// The routes of the page. They are asked under known names only, as those of the API are.
pub(crate) fn routes(views: Views, ending: CancellationToken) -> Router<Views> {
    let pages = Pages { views, latest: Arc::default(), streams: Arc::new(Semaphore::new(STREAMS)), ending };
    Router::new()
        .route("/", get(index))
        .route("/service/{namespace}/{name}", get(service))
        .route("/preview", get(preview))
        .route("/stream", get(events))
        .route("/assets/style.css", get(|| asset("text/css", include_str!("assets/style.css"))))
        .route("/assets/live.js", get(|| asset("text/javascript", include_str!("assets/live.js"))))
        .route("/assets/icon.svg", get(|| asset("image/svg+xml", include_str!("assets/icon.svg"))))
        .layer(map_response(strict))
        .with_state(pages)
}

/// What a browser may do with an answer: show it, with the files of this listener and nothing else.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn strict(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text)
}

impl Pages {
    /// The latest overview: of this moment, or of less than [`PACE`] ago.
    async fn overview(&self) -> Result<Arc<Overview>, StatusCode> {
        let mut latest = self.latest.lock().await;
        if let Some((_, overview)) = latest.as_ref().filter(|(at, _)| at.elapsed() < PACE) {
            return Ok(Arc::clone(overview));
        }
        let (at, view) = (Instant::now(), View::from_ref(self));
        let overview = Arc::new(beside(&PAGES, Box::new(move || Overview::of(&view))).await?);
        *latest = Some((at, Arc::clone(&overview)));
        Ok(overview)
    }

    /// Makes a page of the overview and the view.
    async fn page(
        &self,
        render: impl FnOnce(&Overview, &View) -> Result<Option<String>, askama::Error> + Send + 'static,
    ) -> Result<Html<String>, StatusCode> {
        let (overview, view) = (self.overview().await?, View::from_ref(self));
        match beside(&PAGES, Box::new(move || render(&overview, &view))).await? {
            Ok(Some(page)) => Ok(Html(page)),
            Ok(None) => Err(StatusCode::NOT_FOUND),
            Err(error) => {
                tracing::warn!(%error, "status page cannot be rendered");
                Err(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// How much of the long tables is asked for.
#[derive(Debug, Default, Deserialize)]
struct More {
    /// `all`: every cluster.
    #[serde(default)]
    clusters: String,
}

async fn index(
    State(pages): State<Pages>,
    Query(search): Query<Search>,
    Query(filter): Query<Filter>,
    Query(more): Query<More>,
) -> Result<Html<String>, StatusCode> {
    let all = more.clusters == "all";
    pages.page(move |overview, view| templates::index(overview, view, &search, &filter, all).map(Some)).await
}

async fn service(
    State(pages): State<Pages>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Html<String>, StatusCode> {
    let key = ServiceKey::new(&namespace, &name).map_err(|_| StatusCode::NOT_FOUND)?;
    pages.page(move |overview, view| templates::service(overview, view, &key)).await
}

#[derive(Debug, Deserialize)]
struct Cluster {
    cluster: String,
}

async fn preview(
    State(pages): State<Pages>,
    Query(asked): Query<Cluster>,
) -> Result<Html<String>, StatusCode> {
    let cluster: MemberName = asked.cluster.parse().map_err(|_| StatusCode::NOT_FOUND)?;
    pages.page(move |overview, view| templates::preview(overview, view, &cluster)).await
}

async fn events(State(pages): State<Pages>) -> Result<impl IntoResponse, StatusCode> {
    let permit = Arc::clone(&pages.streams).try_acquire_owned();
    let permit = permit.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(stream::events(&View::from_ref(&pages), permit, pages.ending.clone()))
}
