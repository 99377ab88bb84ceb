//! A small Kubernetes API server: enough of the real list and watch protocol for the real client.
//!
//! Reads: requests of a Kubernetes client, over HTTP. Returns: `/version`, `/readyz`, Services and Nodes to list and to
//! watch, the namespace `kube-system`, access reviews, and a Status for everything else.
//!
//! Invariant: what it does not know it refuses (404, or 400 for a parameter); it never answers as if it had understood.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::server::Server;
use watching::{Asked, Start};

mod cluster;
pub(super) mod objects;
mod store;
mod watching;

pub(super) use cluster::Cluster;
use objects::Kind;

/// A watch without `timeoutSeconds` lasts so long.
const WATCH_TIME: Duration = Duration::from_secs(30 * 60);

impl Cluster {
    /// The API as something that can be served again and again.
    pub(super) fn router(self: &Arc<Self>, down: CancellationToken) -> Router {
        let served = Served { cluster: Arc::clone(self), down };
        Router::new()
            .route("/version", get(async || Json(objects::version())))
            .route("/readyz", get(async || "ok"))
            .route("/livez", get(async || "ok"))
            .route("/api/v1/services", get(services))
            .route("/api/v1/nodes", get(nodes))
            .route("/api/v1/namespaces/{name}", get(namespace))
            .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(access_review))
            .fallback(async || refuse(404, "NotFound", "the server could not find the requested resource"))
            .method_not_allowed_fallback(async || {
                refuse(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                )
            })
            .with_state(served)
    }

    /// Serves the API until the server is closed; watches end with it.
    pub(super) async fn serve(self: &Arc<Self>, address: SocketAddr) -> io::Result<Server> {
        Server::start(address, |down| self.router(down)).await
    }
}

#[derive(Debug, Clone)]
struct Served {
    cluster: Arc<Cluster>,
    down: CancellationToken,
}

type Parameters = Query<BTreeMap<String, String>>;

async fn services(
    State(served): State<Served>,
    headers: HeaderMap,
    Query(parameters): Parameters,
) -> Response {
    collection(&served, Kind::Service, &headers, &parameters).unwrap_or_else(IntoResponse::into_response)
}

async fn nodes(State(served): State<Served>, headers: HeaderMap, Query(parameters): Parameters) -> Response {
    collection(&served, Kind::Node, &headers, &parameters).unwrap_or_else(IntoResponse::into_response)
}

async fn namespace(State(served): State<Served>, Path(name): Path<String>) -> Response {
    if name == "kube-system" {
        Json(objects::namespace(&name, &served.cluster.uid)).into_response()
    } else {
        refuse(404, "NotFound", &format!("namespaces \"{name}\" not found"))
    }
}

/// Everything that can be read may be read, and nothing else.
async fn access_review(Json(mut review): Json<Value>) -> Response {
    let asked =
        |field: &str| review.pointer(&format!("/spec/resourceAttributes/{field}")).and_then(Value::as_str);
    let readable = matches!(asked("resource"), Some("services" | "nodes" | "namespaces"));
    let allowed = readable && matches!(asked("verb"), Some("get" | "list" | "watch"));
    review["status"] = json!({"allowed": allowed});
    (StatusCode::CREATED, Json(review)).into_response()
}

fn refuse(code: u16, reason: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(objects::failure(code, reason, message))).into_response()
}

/// A list or a watch.
fn collection(
    served: &Served,
    kind: Kind,
    headers: &HeaderMap,
    parameters: &BTreeMap<String, String>,
) -> Result<Response, Bad> {
    let asked = Parameter::read(kind, parameters)?;
    let form = Form::read(headers)?;
    if asked.watch {
        if form == Form::Metadata {
            return Err(Bad("a watch of metadata".to_owned()));
        }
        let lines = watching::lines(Arc::clone(&served.cluster), asked.watch_of(kind), served.down.clone());
        let body = Body::from_stream(lines);
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let (version, all) = served.cluster.all(kind);
    // The real server waits 3 s for such a version before it says so.
    if asked.version.is_some_and(|desired| desired > version) {
        return Ok(refuse(504, "Timeout", "Timeout: Too large resource version"));
    }
    let all = all.iter().map(AsRef::as_ref);
    let list = match form {
        Form::Objects => objects::list(kind, version, all),
        Form::Metadata => objects::metadata_list(version, all),
    };
    Ok(Json(list).into_response())
}

/// How much of the objects is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Objects,
    Metadata,
}

impl Form {
    fn read(headers: &HeaderMap) -> Result<Self, Bad> {
        let accept = headers.get(header::ACCEPT).map_or(Ok(""), |value| value.to_str());
        match accept {
            Ok(text) if text.contains("as=PartialObjectMetadataList") => Ok(Self::Metadata),
            Ok("" | "*/*" | "application/json") => Ok(Self::Objects),
            Ok(text) => Err(Bad(format!("the media type {text}"))),
            Err(_) => Err(Bad("a media type that is no text".to_owned())),
        }
    }
}

/// Something that a real server may know, and this one does not.
#[derive(Debug)]
struct Bad(String);

impl IntoResponse for Bad {
    fn into_response(self) -> Response {
        refuse(400, "BadRequest", &format!("this small API server does not know {}", self.0))
    }
}

/// The parameters of a list or a watch (API concepts of Kubernetes; `limit` is an override that a server need not fulfil).
#[derive(Debug, Default)]
struct Parameter {
    watch: bool,
    version: Option<u64>,
    bookmarks: bool,
    initial_events: bool,
    time: Option<Duration>,
}

impl Parameter {
    fn read(kind: Kind, parameters: &BTreeMap<String, String>) -> Result<Self, Bad> {
        let mut read = Self::default();
        for (name, value) in parameters {
            let bad = || Bad(format!("the parameter {name}={value}"));
            match name.as_str() {
                _ if value.is_empty() => {}
                "watch" => read.watch = value.parse().map_err(|_| bad())?,
                "allowWatchBookmarks" => read.bookmarks = value.parse().map_err(|_| bad())?,
                "sendInitialEvents" => read.initial_events = value.parse().map_err(|_| bad())?,
                "timeoutSeconds" => read.time = Some(Duration::from_secs(value.parse().map_err(|_| bad())?)),
                "resourceVersion" => read.version = Some(value.parse().map_err(|_| bad())?),
                "resourceVersionMatch" if value == "NotOlderThan" => {}
                "limit" if value.parse::<u32>().is_ok() => {}
                // There are no others here.
                "fieldSelector" if kind == Kind::Service && value == "spec.type=LoadBalancer" => {}
                _ => return Err(bad()),
            }
        }
        Ok(read)
    }

    fn watch_of(&self, kind: Kind) -> Asked {
        let start = match self.version.filter(|version| *version > 0) {
            Some(version) if !self.initial_events => Start::After(version),
            _ => Start::WithAll { marked: self.initial_events && self.bookmarks },
        };
        Asked { kind, start, bookmarks: self.bookmarks, time: self.time.unwrap_or(WATCH_TIME) }
    }
}

#[cfg(test)]
mod tests;
