//! Looks whether a member can be watched, without changing anything.

use std::time::Duration;

use fleetdns_core::Finding;
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use tokio::time::timeout;

use crate::access::Connector;
use crate::api::{Api, LIST, LIST_NODES, WATCH};
use crate::error::Fault;
use crate::service_writer::{ANNOTATE, WRITE_EVENTS};
use crate::settings::{MemberConfig, WatchSettings};

const DEADLINE: Duration = Duration::from_secs(10);
const VERSION: &str = "ask for its version";
const REVIEW: &str = "ask for our rights";

/// What is written into a cluster beside what is read there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Events about Services.
    Events,
    /// An annotation of Services.
    Annotation,
}

impl Write {
    /// What it does, and the rights that this needs: verbs on a resource.
    const fn needs(self) -> (&'static str, &'static str, [&'static str; 2]) {
        match self {
            Self::Events => (WRITE_EVENTS, "events", ["create", "patch"]),
            Self::Annotation => (ANNOTATE, "services", ["get", "patch"]),
        }
    }
}

/// Looks whether a member can be reached and read, and whether it grants what `writes` need; at least one finding, within
/// about ten seconds.
pub async fn check(member: &MemberConfig, settings: &WatchSettings, writes: &[Write]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let step = settings.request_timeout.min(DEADLINE / 2);
    if timeout(DEADLINE, look(member, settings, writes, step, &mut findings)).await.is_err() {
        let text = format!("no end within {} s; the rest was not looked at", DEADLINE.as_secs());
        findings.push(Finding { good: false, text });
    }
    findings
}

async fn look(
    member: &MemberConfig,
    settings: &WatchSettings,
    writes: &[Write],
    step: Duration,
    findings: &mut Vec<Finding>,
) {
    let mut say = |good, text: String| findings.push(Finding { good, text });
    let connection = match Connector::new(member.access.clone()).connect(step).await {
        Ok(connection) => connection,
        Err(error) => return say(false, error.to_string()),
    };
    let api = Api::new(connection, step, settings.selector.clone(), member.limits);
    match version(&api).await {
        Ok(version) => {
            let (server, credentials) = (&api.peer().server, &api.peer().credentials);
            say(true, format!("{server} answers as Kubernetes {version}, for {credentials}"));
        }
        // Some servers keep their version to themselves; the lists decide.
        Err(Fault::Forbidden { .. } | Fault::Status { .. } | Fault::Broken { .. }) => {}
        Err(fault) => return say(false, fault.to_string()),
    }
    for (verb, action) in [("list", LIST), ("watch", WATCH)] {
        match may(&api, verb, "services", action).await {
            Ok(()) => say(true, format!("may {action}")),
            Err(fault) => say(false, fault.to_string()),
        }
    }
    let configured = member.region.is_some() && !member.zones.is_empty();
    match may(&api, "list", "nodes", LIST_NODES).await {
        Ok(()) => say(true, format!("may {LIST_NODES}")),
        Err(_) if configured => say(true, "region and zones are configured; nodes are not read".to_owned()),
        Err(fault) => {
            let text = format!("{fault}; or set region and zones of this cluster, if its names are wanted");
            // With a region given, zones may well be left out on purpose.
            say(member.region.is_some(), text);
        }
    }
    for write in writes {
        let (action, resource, verbs) = write.needs();
        let granted = try_join_all(verbs.map(|verb| granted(&api, verb, resource, action))).await;
        match granted {
            Ok(_) => say(true, format!("may {action}")),
            Err(fault) => say(false, fault.to_string()),
        }
    }
}

async fn version(api: &Api) -> Result<String, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let request = http::Request::get("/version").body(Vec::new());
    let request = request.map_err(|error| api.broken(VERSION, &error.to_string()))?;
    let version: Version = api.answer(VERSION, request).await?;
    Ok(api.peer().brief(&version.git_version))
}

async fn reviewed(api: &Api, review: &SelfSubjectAccessReview) -> Result<SelfSubjectAccessReview, Fault> {
    let broken = |error: &dyn std::error::Error| api.broken(REVIEW, &error.to_string());
    let body = serde_json::to_vec(review).map_err(|error| broken(&error))?;
    let request = Request::new("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .create(&PostParams::default(), body)
        .map_err(|error| broken(&error))?;
    api.answer(REVIEW, request).await
}

/// Asks for a right; where that cannot be asked, tries.
async fn may(api: &Api, verb: &str, resource: &str, action: &'static str) -> Result<(), Fault> {
    match granted(api, verb, resource, action).await {
        Err(Fault::Forbidden { action: REVIEW, .. } | Fault::Status { .. } | Fault::Broken { .. }) => {
            attempt(api, action).await
        }
        asked => asked,
    }
}

/// Asks whether a right is granted in all namespaces.
async fn granted(api: &Api, verb: &str, resource: &str, action: &'static str) -> Result<(), Fault> {
    let attributes = ResourceAttributes {
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    match reviewed(api, &review).await?.status {
        Some(status) if status.allowed => Ok(()),
        status => {
            let reason = status.and_then(|status| status.reason).filter(|reason| !reason.is_empty());
            let message = reason.unwrap_or_else(|| format!("no right to {action} in all namespaces"));
            let message = api.peer().brief(&message);
            Err(Fault::Forbidden { peer: api.peer().clone(), action, message })
        }
    }
}

async fn attempt(api: &Api, action: &'static str) -> Result<(), Fault> {
    match action {
        WATCH => api.watch("0", Duration::from_secs(1)).await.map(|_| ()),
        LIST_NODES => api.nodes().await.map(|_| ()),
        _ => api.newest(action).await.map(|_| ()),
    }
}
