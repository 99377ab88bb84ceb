//! How the rest of the daemon reaches the override store.

use std::sync::Arc;

use fleetdns_core::{DnsName, Observed, Overrides};
use tokio::sync::watch::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::request::{OverrideChange, OverrideError, OverrideRequest};
use super::store::marked;

#[derive(Debug)]
pub(super) enum Request {
    Say(OverrideRequest, oneshot::Sender<Result<Vec<OverrideChange>, OverrideError>>),
    Adopt { zone: DnsName, changes: Overrides, done: oneshot::Sender<()> },
    Confirm(oneshot::Sender<Result<(), OverrideError>>),
}

/// What the rest of the daemon has of the override store: the overrides in force, and a way to ask for others.
#[derive(Debug, Clone)]
pub struct OverrideSender {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) overrides: watch::Receiver<Overrides>,
    pub(super) fault: watch::Receiver<Option<Arc<str>>>,
    pub(super) known: watch::Receiver<bool>,
}

impl OverrideSender {
    /// A stand-in without an override store: nothing is ever set.
    pub fn none() -> Self {
        let overrides = watch::channel(Overrides::default()).1;
        Self {
            requests: mpsc::channel(1).0,
            overrides,
            fault: watch::channel(None).1,
            known: watch::channel(true).1,
        }
    }

    /// Returns when what is kept has been read.
    pub async fn known(&self) {
        // Without a store the daemon is ending.
        let _ = self.known.clone().wait_for(|known| *known).await;
    }

    /// Whether what is kept has been read.
    pub fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Why overrides cannot be kept in the state directory.
    pub fn state(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.fault.clone()
    }

    /// The overrides in force, for who only reads them.
    pub fn receiver(&self) -> watch::Receiver<Overrides> {
        self.overrides.clone()
    }

    /// The overrides in force; [`OverrideSender::changed`] waits for others than these.
    pub fn latest(&mut self) -> Overrides {
        self.overrides.borrow_and_update().clone()
    }

    /// Returns when other overrides are in force.
    ///
    /// # Errors
    /// When there is no override store any more.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.overrides.changed().await
    }

    /// Hands over what a zone's marks say, and returns when it counts, or when the daemon is ending.
    pub async fn adopt(&self, zone: &DnsName, observed: &Observed) {
        let changes = marked(observed);
        if changes.is_empty() {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.requests.send(Request::Adopt { zone: zone.clone(), changes, done }).await.is_ok() {
            // Gone without an answer: the daemon is ending.
            let _ = wait.await;
        }
    }

    /// Tells other replicas that an outage is confirmed.
    ///
    /// # Errors
    /// [`OverrideError`]: they were not told.
    pub async fn confirm(&self) -> Result<(), OverrideError> {
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Confirm(done)).await.map_err(|_| OverrideError::Ending)?;
        wait.await.map_err(|_| OverrideError::Ending)?
    }

    /// Asks for a change; returns what became of each subject.
    ///
    /// # Errors
    /// [`OverrideError`]: nothing was changed.
    pub async fn request(&self, request: OverrideRequest) -> Result<Vec<OverrideChange>, OverrideError> {
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Say(request, done)).await.map_err(|_| OverrideError::Ending)?;
        wait.await.map_err(|_| OverrideError::Ending)?
    }
}
