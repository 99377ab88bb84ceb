//! The control socket: everything that changes state, over a Unix socket that only its owner can open.
//!
//! Reads: `POST /v1/overrides` with an [`Order`], `POST /v1/confirm-outage`, `POST /v1/reload`, all HTTP/1.1 with JSON. Returns: an answer, or
//! `{"error": …}` with 400 (cannot be understood), 403 (not the caller's to ask), 404 (about nothing that is known),
//! 409 (not as things are) or 500 (cannot be kept).
//!
//! Invariant: nobody but the owner of the process and root is listened to, whoever could open the socket.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::net::unix::SocketAddr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::chain;
use crate::http::{self, Limits};
use crate::overrides::OverrideError;
use crate::overrides::order::{Operator, Order, OrderError};
use crate::reload::{Asker, ReloadSender};

mod bind;

pub use bind::{BindError, Bound};

/// Who called, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<u32>);

impl Peer {
    fn of(stream: &UnixStream) -> Self {
        Self(stream.peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

/// The owner's commands come one by one; the daemon takes 30 s at most for each.
const LIMITS: Limits =
    Limits { connections: 32, of_peer: 32, head: Duration::from_secs(10), life: Duration::from_secs(60) };
/// The largest order, in bytes: a thousand subjects fit.
const ORDER: usize = 256 * 1024;

/// Somebody who may give orders.
#[derive(Debug, Clone)]
struct Caller(Arc<str>);

/// What is answered when nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, and what to do.
    pub error: String,
}

/// What `POST /v1/confirm-outage` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The failure that is confirmed from now on.
    pub confirmed: String,
}

/// Who carries out what is asked for here.
#[derive(Debug, Clone)]
pub struct Control {
    /// Orders, as the configuration is since the last reload.
    pub operators: watch::Receiver<Arc<Operator>>,
    /// Reloads.
    pub reload: ReloadSender,
}

impl FromRef<Control> for Arc<Operator> {
    fn from_ref(control: &Control) -> Self {
        Self::clone(&control.operators.borrow())
    }
}

/// Serves until `shutdown`, then removes the socket.
pub async fn serve(bound: Bound, control: Control, shutdown: CancellationToken) {
    let (listener, _file) = bound.into_parts();
    let meet = |stream: &UnixStream, _: &SocketAddr| ((), Peer::of(stream));
    http::serve(listener, routes(control), LIMITS.within_descriptors(), meet, shutdown).await;
}

/// What can be asked for; a request has its [`Peer`] as extension.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/v1/overrides", post(overrides))
        .route("/v1/confirm-outage", post(confirm_outage))
        .route("/v1/reload", post(reload))
        .layer(DefaultBodyLimit::max(ORDER))
        .layer(from_fn(only_the_owner))
        .with_state(control)
}

async fn only_the_owner(
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let owner = rustix::process::geteuid().as_raw();
    match peer.filter(|uid| may_order(*uid, owner)) {
        Some(uid) => {
            request.extensions_mut().insert(Caller(user(uid).await.into()));
            next.run(request).await
        }
        None => {
            warn!(uid = peer, "an order of another user is refused");
            let who = user(owner).await;
            refusal(
                StatusCode::FORBIDDEN,
                format!("only {who}, who runs the daemon, and root may ask for this"),
            )
        }
    }
}

const fn may_order(uid: u32, owner: u32) -> bool {
    uid == owner || uid == 0
}

/// The name of a user, or else the number. A directory service may take its time.
async fn user(uid: u32) -> String {
    let found = tokio::task::spawn_blocking(move || uzers::get_user_by_uid(uid)).await.ok().flatten();
    found.map_or_else(|| format!("uid {uid}"), |user| user.name().to_string_lossy().into_owned())
}

fn refusal(status: StatusCode, error: String) -> Response {
    (status, Json(Refusal { error })).into_response()
}

fn refuse(error: &OrderError) -> Response {
    let status = match error {
        OrderError::Unknown { .. } | OrderError::NoCluster { .. } => StatusCode::NOT_FOUND,
        OrderError::Empties { .. } | OrderError::NoCorrelation => StatusCode::CONFLICT,
        OrderError::Say(OverrideError::StateFile(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        OrderError::Say(OverrideError::Ending) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    refusal(status, chain(error))
}

async fn overrides(
    State(operator): State<Arc<Operator>>,
    Extension(Caller(caller)): Extension<Caller>,
    body: Bytes,
) -> Response {
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => {
            return refusal(StatusCode::BAD_REQUEST, format!("invalid request: {error}"));
        }
    };
    match operator.take(&order, &on_behalf(order.sudo_user.as_deref(), &caller)).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn confirm_outage(
    State(operator): State<Arc<Operator>>,
    Extension(Caller(caller)): Extension<Caller>,
) -> Response {
    match operator.confirm_outage(&caller).await {
        Ok(confirmed) => Json(Confirmed { confirmed }).into_response(),
        Err(error) => refuse(&error),
    }
}

/// What was taken up, or everything that is wrong with the files.
async fn reload(State(control): State<Control>, Extension(Caller(by)): Extension<Caller>) -> Response {
    info!(%by, "reload asked for");
    match control.reload.reload(Asker::Operator).await {
        Some(reloaded) => Json(reloaded).into_response(),
        None => refuse(&OrderError::Say(OverrideError::Ending)),
    }
}

/// sudo's word for who has become root is worth saying, and no more than that.
fn on_behalf(sudo_user: Option<&str>, caller: &str) -> String {
    let is_name = |name: &&str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
    };
    match sudo_user.filter(is_name).filter(|name| *name != caller) {
        Some(name) => format!("{name} as {caller}"),
        None => caller.to_owned(),
    }
}

#[cfg(test)]
mod tests;
