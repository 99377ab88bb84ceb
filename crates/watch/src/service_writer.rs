//! What is written into a member's cluster, where the configuration asks for it: Events about Services, and one annotation.

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::ServiceKey;
use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::core::request::Error as RequestError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;

use crate::access::Access;
use crate::error::Fault;
use crate::lazy_api::LazyApi;

const GET: &str = "get services";
pub(crate) const WRITE_EVENTS: &str = "write events";
pub(crate) const ANNOTATE: &str = "patch services";
/// Of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// The component that Events name.
const COMPONENT: &str = "fleetdns";

/// An Event about a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// What happened, in a sentence.
    pub message: String,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The account has no right to.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be written as it is, or into this namespace.
    #[error("{0}")]
    Rejected(String),
    /// Anything else: it may be written later.
    #[error("{problem}")]
    Failed {
        /// What is wrong.
        problem: String,
        /// The pause that the server wants before the next try.
        retry_after: Duration,
    },
}

impl From<Fault> for WriteError {
    fn from(fault: Fault) -> Self {
        match &fault {
            // A namespace that is full or on its way out is forbidden too, and no right would help.
            Fault::Forbidden { message, .. } if !message.contains(" cannot ") => {
                Self::Rejected(fault.to_string())
            }
            Fault::Forbidden { .. } => Self::Forbidden(fault.to_string()),
            Fault::Status { code, .. } if (400..500).contains(code) && *code != 429 => {
                Self::Rejected(fault.to_string())
            }
            _ => Self::Failed { problem: fault.to_string(), retry_after: fault.retry_after() },
        }
    }
}

/// Writes into one member's cluster.
pub struct ServiceWriter {
    /// This process.
    instance: Arc<str>,
    api: LazyApi,
}

#[derive(Deserialize)]
struct Found {
    metadata: Meta,
}

#[derive(Deserialize)]
struct Meta {
    uid: String,
}

impl ServiceWriter {
    /// By this account; `instance` names this process in Events.
    pub fn new(access: Access, instance: &str) -> Self {
        Self { instance: instance.into(), api: LazyApi::new(access, DEADLINE) }
    }

    /// Makes an Event about a Service, under a name that no other Event has; `false`: there is no such Service.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn create_event(
        &self,
        service: &ServiceKey,
        name: &str,
        note: &Note,
    ) -> Result<bool, WriteError> {
        let (namespace, service_name) = (service.namespace(), service.name());
        let get = Request::new(format!("/api/v1/namespaces/{namespace}/services"));
        let found: Option<Found> = self.send(GET, get.get(service_name, &GetParams::default())).await?;
        let Some(Found { metadata: Meta { uid } }) = found else { return Ok(false) };
        let now = now();
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": service_name, "uid": uid,
            },
            "type": if note.warning { "Warning" } else { "Normal" },
            "reason": note.reason,
            "message": note.message,
            "source": { "component": COMPONENT, "host": &*self.instance },
            "reportingComponent": COMPONENT,
            "reportingInstance": &*self.instance,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let create = serde_json::to_vec(&body)
            .map_err(RequestError::SerializeBody)
            .and_then(|body| events(namespace).create(&PostParams::default(), body));
        Ok(self.send::<IgnoredAny>(WRITE_EVENTS, create).await?.is_some())
    }

    /// Counts an Event again that was made before; `false`: it is gone by now.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn repeat_event(
        &self,
        service: &ServiceKey,
        name: &str,
        message: &str,
        count: u64,
    ) -> Result<bool, WriteError> {
        let body = json!({ "count": count, "message": message, "lastTimestamp": now() });
        let patch = patch(&events(service.namespace()), name, &body);
        Ok(self.send::<IgnoredAny>(WRITE_EVENTS, patch).await?.is_some())
    }

    /// Sets an annotation of a Service; `false`: there is no such Service. One that has this value already is no change.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn annotate(&self, service: &ServiceKey, key: &str, value: &str) -> Result<bool, WriteError> {
        let body = json!({ "metadata": { "annotations": { key: value } } });
        let services = Request::new(format!("/api/v1/namespaces/{}/services", service.namespace()));
        Ok(self.send::<IgnoredAny>(ANNOTATE, patch(&services, service.name(), &body)).await?.is_some())
    }

    /// Sends a request; `None`: what it is about is not there.
    async fn send<T: for<'a> Deserialize<'a>>(
        &self,
        action: &'static str,
        request: Result<http::Request<Vec<u8>>, RequestError>,
    ) -> Result<Option<T>, WriteError> {
        match self.api.answer(action, request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Fault::Status { code: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

fn events(namespace: &str) -> Request {
    Request::new(format!("/api/v1/namespaces/{namespace}/events"))
}

fn patch(url: &Request, name: &str, body: &Value) -> Result<http::Request<Vec<u8>>, RequestError> {
    url.patch(name, &PatchParams::default(), &Patch::Merge(body))
}

fn now() -> String {
    format!("{:.0}", Timestamp::now())
}
