//! The objects of a [`Member`]: Services whose load balancers are imitated, nodes, and manifests as they stand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, oneshot};
use serde_json::{Value, json};

use crate::kube::Member;

/// A `LoadBalancer` Service to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewService {
    namespace: String,
    name: String,
    ports: Vec<(u16, &'static str)>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl NewService {
    /// One without ports or annotations.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ports: Vec::new(),
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Adds a TCP port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push((port, "TCP"));
        self
    }

    /// Adds a UDP port.
    #[must_use]
    pub fn udp_port(mut self, port: u16) -> Self {
        self.ports.push((port, "UDP"));
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// It as Kubernetes writes it.
    pub fn manifest(&self) -> Value {
        let port = |&(port, protocol): &(u16, &str)| {
            let name = format!("{}-{port}", protocol.to_ascii_lowercase());
            json!({"name": name, "port": port, "protocol": protocol})
        };
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "namespace": self.namespace, "name": self.name,
                "annotations": self.annotations, "labels": self.labels,
            },
            "spec": {
                "type": "LoadBalancer",
                // There are but 2,768 node ports.
                "allocateLoadBalancerNodePorts": false,
                "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
            },
        })
    }
}

impl Member {
    /// Creates a Service; its namespace is there already (`default`) or made by
    /// [`create_namespace`](Self::create_namespace).
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn create_service(&self, service: &NewService) -> Service {
        let object: Service = serde_json::from_value(service.manifest()).expect("manifest() gives a Service");
        let created = self.services(&service.namespace).create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|e| self.refused("create Service", &service.namespace, &service.name, &e))
    }

    /// Creates a Service and sets its load balancer's addresses.
    ///
    /// # Panics
    /// When the API refuses one of the two.
    pub async fn create_published(&self, service: &NewService, ingress: &[&str]) -> Service {
        self.create_service(service).await;
        self.patch_status(&service.namespace, &service.name, ingress).await
    }

    /// Makes `ingress` the whole of the load balancer's status, as a cloud's controller does: each an IP address or a
    /// hostname. None empties it.
    ///
    /// # Panics
    /// When the API refuses it, as it does bad addresses.
    pub async fn patch_status(&self, namespace: &str, name: &str, ingress: &[&str]) -> Service {
        let entry = |target: &&str| match target.parse::<IpAddr>() {
            Ok(ip) => json!({"ip": ip}),
            Err(_) => json!({"hostname": target}),
        };
        let ingress: Vec<Value> = ingress.iter().map(entry).collect();
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": ingress}}}));
        let patched = self.services(namespace).patch_status(name, &PatchParams::default(), &patch).await;
        patched.unwrap_or_else(|e| self.refused("patch status of Service", namespace, name, &e))
    }

    /// Sets annotations, and removes those whose value is `None`; the others stay.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn patch_annotations(
        &self,
        namespace: &str,
        name: &str,
        annotations: &[(&str, Option<&str>)],
    ) -> Service {
        let annotations: BTreeMap<&str, Option<&str>> = annotations.iter().copied().collect();
        self.patch_service(namespace, name, &json!({"metadata": {"annotations": annotations}})).await
    }

    /// Applies a JSON merge patch to a Service.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn patch_service(&self, namespace: &str, name: &str, merge: &Value) -> Service {
        let patched =
            self.services(namespace).patch(name, &PatchParams::default(), &Patch::Merge(merge)).await;
        patched.unwrap_or_else(|e| self.refused("patch Service", namespace, name, &e))
    }

    /// Deletes a Service.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn delete_service(&self, namespace: &str, name: &str) {
        let deleted = self.services(namespace).delete(name, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|e| self.refused("delete Service", namespace, name, &e));
    }

    /// Makes a namespace, if it is not there.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn create_namespace(&self, name: &str) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }

    /// Makes a node with the labels that say where it is.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn create_node(&self, name: &str, region: &str, zone: &str) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone,
            }},
        }))
        .await;
    }

    /// `kubectl apply --server-side -f` of a file with any number of documents of any kind.
    ///
    /// # Panics
    /// When it is not YAML, or the API refuses an object.
    pub async fn apply_yaml(&self, text: &str) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("a YAML manifest");
        for document in documents.iter().filter(|document| !document.is_null()) {
            self.apply(document).await;
        }
    }

    /// Applies one object of any kind; namespace `default` if it needs one and names none.
    ///
    /// # Panics
    /// When the API refuses it.
    pub async fn apply(&self, object: &Value) -> DynamicObject {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let namespace = Some(text("/metadata/namespace")).filter(|n| !n.is_empty()).unwrap_or("default");
        let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));

        let desired = GroupVersionKind::gvk(group, version, kind);
        let known = oneshot::pinned_kind(&self.client(), &desired).await;
        let (resource, capabilities) = known.unwrap_or_else(|e| self.refused(kind, namespace, name, &e));
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(self.client(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client(), &resource),
        };
        let applied =
            api.patch(name, &PatchParams::apply("fleetdns-tests").force(), &Patch::Apply(object)).await;
        applied.unwrap_or_else(|e| self.refused(kind, namespace, name, &e))
    }

    /// The Services of a namespace.
    pub fn services(&self, namespace: &str) -> Api<Service> {
        Api::namespaced(self.client(), namespace)
    }

    fn refused(&self, what: &str, namespace: &str, name: &str, error: &kube::Error) -> ! {
        panic!("{what} {namespace}/{name} in member {}: {error}", self.name())
    }
}
