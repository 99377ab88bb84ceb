//! A Lease and a ConfigMap of one member's API as the engine.

use std::sync::Arc;

use fleetdns_core::MemberName;
use fleetdns_election::Record;
use fleetdns_watch::{Access, LeaseSpec, SharedObjects};
use futures::FutureExt;

use super::engine::{Document, Engine, Stored};

/// The engine in a member that is reached so.
pub(super) fn engine(access: Access, cluster: &MemberName, namespace: &str, name: &str) -> Engine {
    let objects = Arc::new(SharedObjects::new(access, namespace, name));
    let reading = Arc::clone(&objects);
    Engine::new(
        &format!("{namespace}/{name} in cluster {cluster}"),
        move |document| {
            let objects = Arc::clone(&reading);
            async move { read(&objects, document).await }.boxed()
        },
        move |document, text, over| {
            let objects = Arc::clone(&objects);
            async move { write(&objects, document, &text, over.as_deref()).await }.boxed()
        },
    )
}

/// Whether both may be written.
pub(super) async fn may_write(access: Access, namespace: &str, name: &str) -> Result<(), String> {
    SharedObjects::new(access, namespace, name).may_write().await
}

async fn read(objects: &SharedObjects, document: Document) -> Result<Option<Stored>, String> {
    match document {
        Document::Lease => {
            let Some((lease, version)) = objects.lease().await? else { return Ok(None) };
            let record = Record {
                // Other libraries give a Lease back with an empty name.
                holder: lease.holder_identity.filter(|holder| !holder.is_empty()),
                seconds: lease.seconds.unwrap_or_default(),
                transitions: lease.transitions.unwrap_or_default(),
            };
            let text = serde_json::to_string(&record).map_err(|error| error.to_string())?;
            Ok(Some(Stored { text, version }))
        }
        Document::Overrides => Ok(objects.text().await?.map(|(text, version)| Stored { text, version })),
    }
}

async fn write(
    objects: &SharedObjects,
    document: Document,
    text: &str,
    over: Option<&str>,
) -> Result<Option<Arc<str>>, String> {
    match document {
        Document::Lease => {
            let record: Record = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let lease = LeaseSpec {
                holder_identity: record.holder,
                seconds: Some(record.seconds),
                transitions: Some(record.transitions),
            };
            objects.write_lease(&lease, over).await
        }
        Document::Overrides => objects.write_text(text, over).await,
    }
}
