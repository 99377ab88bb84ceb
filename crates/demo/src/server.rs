//! An HTTP server that can be switched off as if its machine had gone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// An open connection gets so long to end by itself.
const PATIENCE: Duration = Duration::from_millis(500);

/// A running server. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    down: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens and serves. `router` gets a token that is cancelled when the server goes down: answers without an end
    /// have to end then.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn start(
        address: SocketAddr,
        router: impl FnOnce(CancellationToken) -> Router,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = listener.tap_io({
            let connections = Arc::clone(&connections);
            move |stream| {
                // Two events in a row would otherwise wait 40 ms for each other. Failing, it is only slower.
                let _ = stream.set_nodelay(true);
                connections.fetch_add(1, Ordering::Relaxed);
            }
        });
        let down = CancellationToken::new();
        let router = router(down.clone());
        let task = tokio::spawn({
            let down = down.clone();
            async move {
                // It ends when it is told to; accept errors are retried inside.
                let _ = axum::serve(listener, router).with_graceful_shutdown(down.cancelled_owned()).await;
            }
        });
        Ok(Self { address, connections, down, task })
    }

    /// Where it listens.
    #[cfg(test)]
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Stops listening: from when this returns connections are refused, and open ones are closed.
    pub(super) async fn close(mut self) {
        self.down.cancel();
        // The listener goes first; a client that holds its connection must not hold us.
        let _ = tokio::time::timeout(PATIENCE, &mut self.task).await;
        debug!(address = %self.address, "a server of the demo is closed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down.cancel();
        self.task.abort();
    }
}
