//! The JSON of the few Kubernetes objects that a member of the demo has (core/v1, authorization/v1, meta/v1).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use serde_json::{Value, json};

/// Time of creation of everything; nobody looks at it.
const CREATED: &str = "2018-06-04T09:00:00Z";

/// The kinds that can be listed and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Service,
    Node,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Node => "Node",
        }
    }
}

/// An identity that no other object has, in another run of the demo neither.
pub(super) fn uid() -> String {
    // Each RandomState has keys of its own, so that what it makes of nothing differs too.
    let random = || RandomState::new().build_hasher().finish();
    let (a, b) = (random(), random());
    let part = |from: u64, shift: u32| (from >> shift) & 0xffff;
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        part(a, 16),
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// The Service of the Kubefed guide: type LoadBalancer, one port, no address yet.
pub(crate) fn service(namespace: &str, name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid(), "creationTimestamp": CREATED,
            "labels": {"app": name},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.10",
            "selector": {"app": "frontend"},
            "ports": [{"port": port, "protocol": "TCP", "targetPort": port}],
        },
        "status": {"loadBalancer": {}},
    })
}

/// `status` of a Service whose load balancer has this address.
pub(crate) fn status(ip: IpAddr) -> Value {
    json!({"loadBalancer": {"ingress": [{"ip": ip}]}})
}

/// A node with the labels that say where it is.
pub(crate) fn node(name: &str, region: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name, "uid": uid(), "creationTimestamp": CREATED,
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/region": region,
                "topology.kubernetes.io/zone": zone,
            },
        },
        "spec": {},
        "status": {},
    })
}

/// A namespace; the one named `kube-system` tells by its uid which cluster this is.
pub(super) fn namespace(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": uid, "creationTimestamp": CREATED, "resourceVersion": "1"},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

/// What `/version` says.
pub(super) fn version() -> Value {
    json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64"})
}

/// A list. Its items do not repeat their kind, as those of a real API do not.
pub(super) fn list<'a>(kind: Kind, version: u64, items: impl Iterator<Item = &'a Value>) -> Value {
    let bare = |item: &Value| {
        let mut item = item.clone();
        if let Some(fields) = item.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        item
    };
    json!({
        "apiVersion": "v1",
        "kind": format!("{}List", kind.as_str()),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items.map(bare).collect::<Vec<Value>>(),
    })
}

/// A list for those who asked for metadata only.
pub(super) fn metadata_list<'a>(version: u64, items: impl Iterator<Item = &'a Value>) -> Value {
    let partial = |item: &Value| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"]});
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadataList",
        "metadata": {"resourceVersion": version.to_string()},
        "items": items.map(partial).collect::<Vec<Value>>(),
    })
}

/// The object of a BOOKMARK event: a kind and a version, nothing more.
pub(super) fn bookmark(kind: Kind, version: u64, ends_initial_events: bool) -> Value {
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    if ends_initial_events {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    json!({"apiVersion": "v1", "kind": kind.as_str(), "metadata": metadata})
}

/// A Status: what every failure is answered with.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    })
}
