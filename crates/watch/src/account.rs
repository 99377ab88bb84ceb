//! An account of fleetdns in a cluster, and a kubeconfig with its token.
//!
//! Reads: a manifest, and the kubeconfig of a user who may apply it. Changes: the objects of the manifest in the cluster.
//!
//! Invariant: the token is in no log line and no error; [`AccountKubeconfig::write`] alone shows it.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::access::{Access, Connector};
use crate::api::Api;
use crate::error::{AccessError, Fault};
use crate::kubeconfig::Files;
use crate::limits::Limits;

/// Whose fields these are in the objects (server-side apply).
const MANAGER: &str = "fleetdns-join";
const MAKE: &str = "make the account of fleetdns";
const READ: &str = "read the token of the account";
/// For each request.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a controller of the cluster may take to fill the Secret.
const FILLED: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// The type of a Secret that a controller fills with a token.
const TOKEN: &str = "kubernetes.io/service-account-token";

/// The objects of an account: a manifest that is applied as a whole.
#[derive(Debug)]
pub struct Account(Vec<Object>);

/// One object of a manifest.
#[derive(Debug)]
struct Object {
    kind: String,
    namespace: Option<String>,
    name: String,
    /// Path of its collection in the API.
    path: String,
    body: Value,
}

/// Why an account cannot be made.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The manifest is not one.
    #[error("the manifest of the account cannot be read: {0}")]
    Manifest(String),
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The user may not.
    #[error("{server} does not allow to apply {object} (403): {message}")]
    Forbidden {
        /// The API server.
        server: String,
        /// What was to be applied or read.
        object: String,
        /// What the API server says.
        message: String,
    },
    /// Another program has set the object otherwise.
    #[error("{object} is there with other values and is left as it is: {message}")]
    Conflict {
        /// Which object.
        object: String,
        /// What the API server says.
        message: String,
    },
    /// The API server cannot be asked.
    #[error("{0}")]
    Api(String),
    /// Nothing filled the Secret.
    #[error("{0} has no token after {seconds} s; is the token controller of the cluster running?", seconds = FILLED.as_secs())]
    NoToken(String),
}

/// A kubeconfig with the token of an account.
#[derive(Debug)]
pub struct AccountKubeconfig(SecretString);

impl AccountKubeconfig {
    /// Writes its text, in which the token is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.0.expose_secret().as_bytes())
    }
}

impl Account {
    /// The account of a manifest in YAML.
    ///
    /// # Errors
    /// When it is none, or has no Secret for a token.
    pub fn of(manifest: &str) -> Result<Self, AccountError> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifest)
            .map_err(|error| AccountError::Manifest(error.to_string()))?;
        let objects = documents.into_iter().filter(|document| !document.is_null()).map(Object::of);
        let all = Self(objects.collect::<Option<_>>().ok_or_else(|| Self::incomplete("a kind or a name"))?);
        all.secret()?;
        Ok(all)
    }

    fn incomplete(what: &str) -> AccountError {
        AccountError::Manifest(format!("it lacks {what}"))
    }

    fn secret(&self) -> Result<&Object, AccountError> {
        let secret = self.0.iter().find(|object| object.body["type"] == TOKEN);
        secret.ok_or_else(|| Self::incomplete("a Secret for a token"))
    }

    /// Applies the objects with the rights of a kubeconfig's context, waits for the token, and returns a kubeconfig with one
    /// context of this name, which reaches the cluster as that context does.
    ///
    /// # Errors
    /// When an object cannot be applied, or no token comes. What was applied stays.
    pub async fn make(&self, access: &Access, name: &str) -> Result<AccountKubeconfig, AccountError> {
        let cluster = cluster(access)?;
        let connection = Connector::new(access.clone()).connect(DEADLINE).await?;
        let api = Api::new(connection, DEADLINE, None, Limits::default());
        for object in &self.0 {
            let patch = Patch::Apply(&object.body);
            let request =
                Request::new(&object.path).patch(&object.name, &PatchParams::apply(MANAGER), &patch);
            ask::<IgnoredAny>(&api, MAKE, object, request).await?;
        }
        let token = token(&api, self.secret()?).await?;
        let user = "fleetdns";
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token.expose_secret()}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        });
        let text =
            serde_saphyr::to_string(&file).map_err(|_| AccountError::Api("it is no YAML".to_owned()))?;
        Ok(AccountKubeconfig(text.into()))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|object| writeln!(f, "  {object}"))
    }
}

impl Object {
    fn of(body: Value) -> Option<Self> {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let (kind, version) = (text("/kind")?.to_owned(), text("/apiVersion")?);
        let namespace = text("/metadata/namespace").map(str::to_owned);
        let root = if version.contains('/') { "apis" } else { "api" };
        let within = namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        let path = format!("/{root}/{version}{within}/{}s", kind.to_ascii_lowercase());
        Some(Self { name: text("/metadata/name")?.to_owned(), kind, namespace, path, body })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name, .. } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// How the cluster is reached, with certificates in the text.
fn cluster(access: &Access) -> Result<Value, AccountError> {
    let Access::Kubeconfig { paths, context } = access else {
        return Err(AccountError::Api("a kubeconfig is needed to make an account".to_owned()));
    };
    let mut cluster = Files::read(paths)?.choose(context.as_deref())?.cluster;
    if let Some(path) = cluster.certificate_authority.take()
        && cluster.certificate_authority_data.is_none()
    {
        let unreadable = |error: io::Error| AccessError::Unreadable {
            path: path.clone().into(),
            reason: error.to_string(),
        };
        cluster.certificate_authority_data = Some(STANDARD.encode(std::fs::read(&path).map_err(unreadable)?));
    }
    serde_json::to_value(cluster).map_err(|error| AccountError::Api(error.to_string()))
}

/// A request about an object.
async fn ask<T: for<'a> Deserialize<'a>>(
    api: &Api,
    action: &'static str,
    object: &Object,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<T, AccountError> {
    let request = request.map_err(|error| AccountError::Manifest(error.to_string()))?;
    api.answer(action, request).await.map_err(|fault| match fault {
        Fault::Forbidden { peer, message, .. } => {
            AccountError::Forbidden { server: peer.server.to_string(), object: object.to_string(), message }
        }
        Fault::Status { code: 409, message, .. } => {
            AccountError::Conflict { object: object.to_string(), message }
        }
        other => AccountError::Api(other.to_string()),
    })
}

/// The token, once a controller has put it into the Secret.
async fn token(api: &Api, secret: &Object) -> Result<SecretString, AccountError> {
    let end = Instant::now() + FILLED;
    loop {
        let request = Request::new(&secret.path).get(&secret.name, &GetParams::default());
        let filled: Secret = ask(api, READ, secret, request).await?;
        let token = filled.data.and_then(|mut data| data.remove("token"));
        if let Some(text) = token.and_then(|token| String::from_utf8(token.0).ok()) {
            return Ok(text.into());
        }
        if Instant::now() >= end {
            return Err(AccountError::NoToken(secret.to_string()));
        }
        sleep(PAUSE).await;
    }
}
