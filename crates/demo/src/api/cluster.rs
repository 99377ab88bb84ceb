//! The state of a member: it outlives its API server, as etcd does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::objects::{self, Kind};
use super::store::{Change, Gone, Store};

/// The state of a member: it outlives its API server, as etcd does.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(super) uid: String,
    store: Mutex<Store>,
    changed: watch::Sender<u64>,
    service_watches: watch::Sender<usize>,
}

impl Default for Cluster {
    fn default() -> Self {
        let store = Store::default();
        let changed = watch::Sender::new(store.version());
        Self {
            uid: objects::uid(),
            store: Mutex::new(store),
            changed,
            service_watches: watch::Sender::new(0),
        }
    }
}

impl Cluster {
    /// Creates or replaces an object.
    pub(crate) fn put(&self, kind: Kind, object: Value) {
        self.change(|store| store.put(kind, object));
    }

    /// Replaces the status of a Service; `false` when there is none of this name.
    pub(crate) fn patch_status(&self, namespace: &str, name: &str, status: Value) -> bool {
        self.change(|store| store.patch_status(Kind::Service, namespace, name, status))
    }

    /// Removes a Service; `false` when there is none of this name.
    pub(crate) fn delete(&self, namespace: &str, name: &str) -> bool {
        self.change(|store| store.delete(Kind::Service, namespace, name))
    }

    /// Waits until somebody watches the Services.
    pub(crate) async fn watched(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.service_watches.subscribe().wait_for(|open| *open > 0).await;
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let done = change(&mut store);
        self.changed.send_replace(store.version());
        done
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn count(&self, kind: Kind, change: impl FnOnce(usize) -> usize) {
        if kind == Kind::Service {
            self.service_watches.send_modify(|open| *open = change(*open));
        }
    }

    pub(super) fn all(&self, kind: Kind) -> (u64, Vec<Arc<Value>>) {
        let store = self.store();
        (store.version(), store.list(kind).map(Arc::clone).collect())
    }

    pub(super) fn since(&self, kind: Kind, version: u64) -> Result<(u64, Vec<Change>), Gone> {
        let store = self.store();
        Ok((store.version(), store.since(kind, version)?))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing panics while it holds the lock; the state would be whole even then.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
