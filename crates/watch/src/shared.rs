//! Two small objects that several replicas share through one API server: a Lease and a ConfigMap of the same name.
//!
//! Invariant: an object is changed only if it still has the version that was read, and what others wrote into it stays.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::core::request::Error as RequestError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Access;
use crate::error::Fault;
use crate::lazy_api::LazyApi;

const READ: &str = "read what the replicas share";
const WRITE: &str = "write what the replicas share";
/// Of one request.
const DEADLINE: Duration = Duration::from_millis(2500);

/// What a Lease says, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseSpec {
    /// Who has it.
    pub holder_identity: Option<String>,
    /// How long others respect it.
    #[serde(default, rename = "leaseDurationSeconds")]
    pub seconds: Option<u32>,
    /// How often another has taken over.
    #[serde(default, rename = "leaseTransitions")]
    pub transitions: Option<u32>,
}

/// The two objects.
pub struct SharedObjects {
    namespace: String,
    name: String,
    api: LazyApi,
}

/// A kind of object.
#[derive(Clone, Copy)]
struct Kind {
    path: &'static str,
    plural: &'static str,
    version: &'static str,
    kind: &'static str,
}

const LEASE: Kind = Kind {
    path: "/apis/coordination.k8s.io/v1",
    plural: "leases",
    version: "coordination.k8s.io/v1",
    kind: "Lease",
};
const CONFIG_MAP: Kind = Kind { path: "/api/v1", plural: "configmaps", version: "v1", kind: "ConfigMap" };

/// The key of the ConfigMap.
const KEY: &str = "overrides.json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: String,
}

#[derive(Deserialize)]
struct Lease {
    metadata: Meta,
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Deserialize)]
struct ConfigMap {
    metadata: Meta,
    #[serde(default)]
    data: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Any {
    metadata: Meta,
}

impl SharedObjects {
    /// In this namespace, and both of this name.
    pub fn new(access: Access, namespace: &str, name: &str) -> Self {
        let api = LazyApi::new(access, DEADLINE);
        Self { namespace: namespace.to_owned(), name: name.to_owned(), api }
    }

    /// The Lease and its version; `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be read, and what to do, in words.
    pub async fn lease(&self) -> Result<Option<(LeaseSpec, Arc<str>)>, String> {
        let found: Option<Lease> = self.get(LEASE).await?;
        Ok(found.map(|lease| (lease.spec, lease.metadata.resource_version.into())))
    }

    /// Writes the Lease over a version, or where there is none; `None`: it is another one by now.
    ///
    /// # Errors
    /// As [`SharedObjects::lease`].
    pub async fn write_lease(
        &self,
        lease: &LeaseSpec,
        over: Option<&str>,
    ) -> Result<Option<Arc<str>>, String> {
        let now = format!("{:.6}", Timestamp::now());
        let spec = json!({
            "holderIdentity": lease.holder_identity,
            "leaseDurationSeconds": lease.seconds,
            "leaseTransitions": lease.transitions,
            "renewTime": now,
        });
        self.put(LEASE, json!({ "spec": spec }), over).await
    }

    /// The text of the ConfigMap and its version; `None` when there is none.
    ///
    /// # Errors
    /// As [`SharedObjects::lease`].
    pub async fn text(&self) -> Result<Option<(String, Arc<str>)>, String> {
        let found: Option<ConfigMap> = self.get(CONFIG_MAP).await?;
        Ok(found
            .map(|mut map| (map.data.remove(KEY).unwrap_or_default(), map.metadata.resource_version.into())))
    }

    /// Writes the ConfigMap over a version, or where there is none; `None`: it is another one by now.
    ///
    /// # Errors
    /// As [`SharedObjects::lease`].
    pub async fn write_text(&self, text: &str, over: Option<&str>) -> Result<Option<Arc<str>>, String> {
        self.put(CONFIG_MAP, json!({ "data": { KEY: text } }), over).await
    }

    /// Asks the API to make and to change both, and to keep nothing of it.
    ///
    /// # Errors
    /// Which right is missing, and what grants it, in words. What else fails is left to [`SharedObjects::lease`].
    pub async fn may_write(&self) -> Result<(), String> {
        for kind in [LEASE, CONFIG_MAP] {
            let (body, url) = (self.object(kind, json!({})), Request::new(self.url(kind)));
            let create = PostParams { dry_run: true, ..PostParams::default() };
            let created = serde_json::to_vec(&body)
                .map_err(RequestError::SerializeBody)
                .and_then(|body| url.create(&create, body));
            let change = PatchParams { dry_run: true, ..PatchParams::default() };
            let changed = url.patch(&self.name, &change, &Patch::Merge(&body));
            for request in [created, changed] {
                if let Err(fault @ Fault::Forbidden { .. }) = self.api.answer::<Any>(WRITE, request).await {
                    return Err(self.words(&fault, kind));
                }
            }
        }
        Ok(())
    }

    /// An object of our name with more in it.
    fn object(&self, kind: Kind, mut body: Value) -> Value {
        body["apiVersion"] = kind.version.into();
        body["kind"] = kind.kind.into();
        body["metadata"] = json!({ "name": self.name, "namespace": self.namespace });
        body
    }

    fn url(&self, kind: Kind) -> String {
        format!("{}/namespaces/{}/{}", kind.path, self.namespace, kind.plural)
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, kind: Kind) -> Result<Option<T>, String> {
        let request = Request::new(self.url(kind)).get(&self.name, &GetParams::default());
        match self.api.answer(READ, request).await {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Status { code: 404, .. }) => Ok(None),
            Err(fault) => Err(self.words(&fault, kind)),
        }
    }

    async fn put(&self, kind: Kind, body: Value, over: Option<&str>) -> Result<Option<Arc<str>>, String> {
        let mut body = self.object(kind, body);
        let url = Request::new(self.url(kind));
        let request = match over {
            Some(version) => {
                body["metadata"]["resourceVersion"] = version.into();
                url.patch(&self.name, &PatchParams::default(), &Patch::Merge(&body))
            }
            None => serde_json::to_vec(&body)
                .map_err(RequestError::SerializeBody)
                .and_then(|body| url.create(&PostParams::default(), body)),
        };
        match self.api.answer::<Any>(WRITE, request).await {
            Ok(written) => Ok(Some(written.metadata.resource_version.into())),
            Err(Fault::Status { code: 409, .. }) => Ok(None),
            // It was deleted since it was read.
            Err(Fault::Status { code: 404, .. }) if over.is_some() => Ok(None),
            Err(fault) => Err(self.words(&fault, kind)),
        }
    }

    /// What is wrong, and which right is missing.
    fn words(&self, fault: &Fault, kind: Kind) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        match fault {
            Fault::Forbidden { peer, action, message } => format!(
                "{} does not allow to {action} (403): {message}; grant get, patch and create of {} in namespace \
                 {namespace} with a Role",
                peer.server, kind.plural
            ),
            Fault::Status { code: 404, peer, .. } => {
                format!("{} has no namespace {namespace} for the {} {name}; make it", peer.server, kind.kind)
            }
            fault => fault.to_string(),
        }
    }
}
