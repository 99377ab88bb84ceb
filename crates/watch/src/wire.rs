//! The little of the Kubernetes API's JSON that is read.
//!
//! Invariant: a text that is not a complete list is never taken for an empty one.
//! Invariant: an object that cannot be read is skipped, by its name, and nothing else is.
//!
//! Texts of faults are as they come, and may repeat what the server says: callers make them fit for people.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::catalog::Listed;
use fleetdns_core::annotations::{LARGEST_ANNOTATION, is_read};
use fleetdns_core::service::BadServiceKey;
use fleetdns_core::{Ingress, Port, Service, ServiceKey};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// None when its name is none that Kubernetes allows: it cannot be one that is known.
    pub(crate) key: Option<ServiceKey>,
    /// Namespace and name, for people.
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Unreadable {
    fn new(ident: Ident, reason: String) -> Self {
        match ident.key {
            Ok(key) => Self { name: key.to_string(), key: Some(key), reason },
            Err(error) => Self { key: None, name: error.0.clone(), reason: error.to_string() },
        }
    }
}

/// One object of a list or of an event.
#[derive(Debug)]
pub(crate) enum Item {
    Known(Listed),
    Unreadable(Unreadable),
}

/// Reads a Service; `Err` when not even its name can be read.
pub(crate) fn service(raw: &[u8]) -> Result<Item, String> {
    let object: Object<'_> = match serde_json::from_slice(raw) {
        Ok(object) => object,
        Err(error) => {
            return Ok(Item::Unreadable(Unreadable::new(ident(raw)?, error.to_string())));
        }
    };
    let Ok(key) = ServiceKey::new(&object.metadata.namespace, &object.metadata.name) else {
        return Ok(Item::Unreadable(Unreadable::new(ident(raw)?, String::new())));
    };
    let spec = object.spec.unwrap_or_default();
    let gone = object.metadata.deletion_timestamp.is_some() || spec.kind.as_deref() != Some("LoadBalancer");
    if gone {
        return Ok(Item::Known(Listed::Gone(key)));
    }
    let balancer = object.status.and_then(|status| status.load_balancer);
    let (mut ports, mut ingress) = (spec.ports.unwrap_or_default(), balancer.and_then(|one| one.ingress));
    // They are kept for as long as the Service is there.
    ports.shrink_to_fit();
    ingress.iter_mut().for_each(Vec::shrink_to_fit);
    Ok(Item::Known(Listed::Service(Service {
        namespace: object.metadata.namespace.into_owned(),
        name: object.metadata.name.into_owned(),
        annotations: object.metadata.annotations.0,
        too_long: BTreeSet::new(),
        created: object.metadata.creation_timestamp.map(Cow::into_owned),
        ports,
        ingress,
    })))
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow)]
    creation_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize, Default)]
struct Spec<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    load_balancer: Option<Balancer>,
}

#[derive(Deserialize)]
struct Balancer {
    ingress: Option<Vec<Ingress>>,
}

/// Annotations that are read; the rest, often long, is passed over.
#[derive(Default)]
struct Annotations(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ours;
        impl<'de> Visitor<'de> for Ours {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_unit<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if !is_read(&key) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    // Longer than any limit is long enough to be seen as such.
                    let value: Cow<'de, str> = map.next_value()?;
                    let end = value.ceil_char_boundary(LARGEST_ANNOTATION + 1);
                    kept.insert(key.into_owned(), value.get(..end).unwrap_or_default().to_owned());
                }
                Ok(Annotations(kept))
            }
        }
        deserializer.deserialize_any(Ours)
    }
}

/// Name and version of an object of which nothing else can be read.
struct Ident {
    key: Result<ServiceKey, BadServiceKey>,
    version: Option<String>,
}

fn ident(raw: &[u8]) -> Result<Ident, String> {
    #[derive(Deserialize)]
    struct Bare {
        metadata: BareMeta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BareMeta {
        namespace: String,
        name: String,
        resource_version: Option<String>,
    }
    let bare: Bare = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
    let key = ServiceKey::new(&bare.metadata.namespace, &bare.metadata.name);
    Ok(Ident { key, version: bare.metadata.resource_version })
}

/// One line of a watch.
#[derive(Debug)]
pub(crate) enum Event {
    /// A Service was added or changed.
    Put(Item),
    /// A Service was deleted.
    Deleted(ServiceKey),
    /// Nothing but a newer version.
    Bookmark,
    /// The watch cannot go on.
    Error { code: u16, message: String },
}

/// Reads one line of a watch, with the version that it leads to.
pub(crate) fn event(line: &[u8]) -> Result<(Event, Option<String>), String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let object = line.object.get().as_bytes();
    match &*line.kind {
        "ADDED" | "MODIFIED" => {
            let version = ident(object)?.version;
            Ok((Event::Put(service(object)?), version))
        }
        "DELETED" => {
            let ident = ident(object)?;
            // One with a name that cannot be was never known: no more than a newer version.
            Ok((ident.key.map_or(Event::Bookmark, Event::Deleted), ident.version))
        }
        "BOOKMARK" => Ok((Event::Bookmark, bookmark(object))),
        "ERROR" => {
            #[derive(Deserialize, Default)]
            #[serde(default)]
            struct Said {
                code: u16,
                message: String,
            }
            let said: Said = serde_json::from_slice(object).unwrap_or_default();
            Ok((Event::Error { code: said.code, message: said.message }, None))
        }
        other => Err(format!("an event of the unknown type '{other}'")),
    }
}

fn bookmark(raw: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Marked {
        metadata: ListMeta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ListMeta {
        resource_version: String,
    }
    let marked: Marked = serde_json::from_slice(raw).ok()?;
    Some(marked.metadata.resource_version)
}

/// Labels of a node.
pub(crate) fn labels(raw: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Node {
        metadata: NodeMeta,
    }
    #[derive(Deserialize)]
    struct NodeMeta {
        labels: Option<BTreeMap<String, String>>,
    }
    let node: Option<Node> = serde_json::from_slice(raw).ok();
    node.and_then(|node| node.metadata.labels).unwrap_or_default()
}

#[cfg(test)]
mod tests;
