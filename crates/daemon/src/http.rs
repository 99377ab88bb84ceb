//! Serves HTTP/1.1 to whom we do not trust: few connections in all and of one peer, none of which may dawdle.
//!
//! Invariant: what is held for a connection is bounded in number, size and time, whatever its other end does.

use std::convert::Infallible;
use std::hash::Hash;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::serve::Listener;
use fleetdns_core::peer_limit::PeerLimit;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tracing::{debug, warn};

/// What one listener allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time; more are closed at once.
    pub connections: usize,
    /// The same of one peer.
    pub of_peer: usize,
    /// For a whole request head, and how long a connection may be idle.
    pub head: Duration,
    /// For a connection as a whole.
    pub life: Duration,
}

/// The largest request head, and what is read ahead.
const HEAD_BYTES: usize = 16 * 1024;
/// From one warning about connections that were closed to the next.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Part of the process's file descriptors that one listener may take: probes have half of them.
const DESCRIPTORS: u64 = 16;
/// Enough to be asked at all, however few there are.
const FEW: usize = 8;

impl Limits {
    /// No more connections than are no loss to the prober.
    #[must_use]
    pub fn within_descriptors(self) -> Self {
        let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share =
            all.and_then(|all| usize::try_from(all / DESCRIPTORS).ok()).unwrap_or(usize::MAX).max(FEW);
        Self { connections: self.connections.min(share), of_peer: self.of_peer.min(share), ..self }
    }
}

/// Serves until `shutdown`, with what `meet` says of the other end: whom it counts for, and what handlers are told.
///
/// An accept(2) that fails, for want of descriptors above all, is tried again after a pause (axum's [`Listener`]).
pub async fn serve<L, K, E>(
    mut listener: L,
    router: Router,
    limits: Limits,
    meet: impl Fn(&L::Io, &L::Addr) -> (K, E),
    shutdown: CancellationToken,
) where
    L: Listener,
    K: Hash + Eq + Clone + Send + 'static,
    E: Clone + Send + Sync + 'static,
{
    let limit = PeerLimit::new(limits.connections, limits.of_peer);
    let mut tasks = JoinSet::new();
    let (mut closed, mut said) = (0_u64, None::<Instant>);
    loop {
        let (io, address) = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (key, extension) = meet(&io, &address);
        let Some(permit) = limit.admit(key) else {
            closed += 1;
            if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                said = Some(Instant::now());
                warn!(
                    closed,
                    most = limits.connections,
                    of_peer = limits.of_peer,
                    "HTTP connections over the limit closed"
                );
            }
            continue;
        };
        let (router, ending) = (router.clone(), shutdown.clone());
        tasks.spawn(async move {
            let _seat = permit;
            if tokio::time::timeout(limits.life, one(io, router, extension, limits, ending)).await.is_err() {
                debug!("HTTP connection open for too long, closed");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn one<I, E>(io: I, router: Router, extension: E, limits: Limits, ending: CancellationToken)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    E: Clone + Send + Sync + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(extension.clone());
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "HTTP connection ended");
    }
}
