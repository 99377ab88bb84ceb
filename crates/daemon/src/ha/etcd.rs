//! Two keys of etcd as the engine.

use std::sync::Arc;

use fleetdns_coredns::Store;
use futures::FutureExt;

use super::engine::{Document, Engine, Stored};

/// The engine below the prefix of a store.
pub(super) fn engine(store: Store) -> Engine {
    let name = format!("etcd below {}", store.prefix());
    let store = Arc::new(store);
    let reading = Arc::clone(&store);
    Engine::new(
        &name,
        move |document| {
            let store = Arc::clone(&reading);
            async move {
                let found = store.read(key(document)).await?;
                Ok(found.map(|(text, version)| Stored { text, version }))
            }
            .boxed()
        },
        move |document, text, over| {
            let store = Arc::clone(&store);
            async move { store.write(key(document), &text, over.as_deref()).await }.boxed()
        },
    )
}

/// Whether both may be written.
pub(super) async fn may_write(store: &Store) -> Result<(), String> {
    store.may_write(key(Document::Lease)).await?;
    store.may_write(key(Document::Overrides)).await
}

const fn key(document: Document) -> &'static str {
    match document {
        Document::Lease => "lease",
        Document::Overrides => "overrides.json",
    }
}
