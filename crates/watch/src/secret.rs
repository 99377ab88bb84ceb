//! Secrets that hold the kubeconfig of a cluster, in the shapes that Cluster API, Rancher, multicluster-runtime and Argo CD
//! give them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::given::Text;

/// Keys under which a kubeconfig is looked for: of Cluster API and Rancher, and of multicluster-runtime.
const KEYS: [&str; 2] = ["value", "kubeconfig"];

/// An object that names a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// When it was made, as it says.
    pub created: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Name of the cluster, where the object says one beside its labels.
    pub cluster: Option<String>,
    /// The kubeconfig, or why there is none.
    pub kubeconfig: Result<Text, String>,
}

/// What every object has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) creation_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Secret {
    metadata: Meta,
    /// Go writes null for a value without octets.
    #[serde(default)]
    data: Option<BTreeMap<String, Option<String>>>,
}

/// What tells one object from another.
#[derive(Deserialize)]
struct Object {
    metadata: Path,
}

#[derive(Deserialize)]
struct Path {
    namespace: String,
    name: String,
}

/// `NAMESPACE/NAME` of an object as the API returns it; nothing when that cannot be read.
pub fn object_path(raw: &[u8]) -> Option<String> {
    let Object { metadata: Path { namespace, name } } = serde_json::from_slice(raw).ok()?;
    Some(format!("{namespace}/{name}"))
}

impl Named {
    /// Namespace and name of the cluster of Cluster API that this belongs to.
    pub fn capi_cluster(&self) -> Option<(String, String)> {
        Some((self.namespace.clone(), self.labels.get("cluster.x-k8s.io/cluster-name")?.clone()))
    }

    pub(crate) fn new(meta: Meta, cluster: Option<String>, kubeconfig: Result<String, String>) -> Self {
        Self {
            namespace: meta.namespace,
            name: meta.name,
            created: meta.creation_timestamp.unwrap_or_default(),
            labels: meta.labels.unwrap_or_default(),
            cluster,
            kubeconfig: kubeconfig.map(Text::from),
        }
    }

    /// Reads a Secret as the API returns it. One that has neither this key, nor a kubeconfig under one of those that are
    /// usual where none is named, nor the shape of Argo CD holds no cluster.
    ///
    /// # Errors
    /// When it is no Secret.
    pub fn in_secret(raw: &[u8], key: Option<&str>) -> Result<Option<Self>, String> {
        // The parser's own text may show what it reads.
        let secret: Secret = serde_json::from_slice(raw).map_err(|_| "an item is no Secret".to_owned())?;
        let data: BTreeMap<String, String> =
            secret.data.into_iter().flatten().filter_map(|(key, value)| Some((key, value?))).collect();
        let keys = key.map_or_else(|| KEYS.to_vec(), |key| vec![key]);
        let present = || keys.iter().filter_map(|key| Some((*key, data.get(*key)?)));
        let found = present().find(|(_, value)| !value.is_empty()).or_else(|| present().next());
        Ok(match found {
            Some(("value", value)) if key.is_none() && is_other(&secret.metadata, &data, value) => None,
            Some((key, value)) => Some(Self::new(secret.metadata, None, text(key, value))),
            None if key.is_none() && data.contains_key("server") && data.contains_key("config") => {
                let name = data.get("name").and_then(|name| text("name", name).ok());
                Some(Self::new(secret.metadata, name, of_argo(&data)))
            }
            None => None,
        })
    }
}

/// Whether `value` holds something else than a kubeconfig: Cluster API keeps what a machine boots with in a Secret of
/// that key, with the label of its cluster and, mostly, the key `format`. A Secret whose name says that it is a kubeconfig
/// is one, so that one that is broken is reported.
fn is_other(meta: &Meta, data: &BTreeMap<String, String>, value: &str) -> bool {
    let says =
        |text: &str| text.trim().is_empty() || ["clusters", "contexts"].iter().any(|one| text.contains(one));
    data.contains_key("format")
        || !meta.name.ends_with("-kubeconfig") && text("value", value).is_ok_and(|text| !says(&text))
}

fn text(key: &str, value: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(value).map_err(|_| format!("its key {key} is not base64"))?;
    String::from_utf8(bytes).map_err(|_| format!("its key {key} is not UTF-8"))
}

/// The `config` of Argo CD.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argo {
    bearer_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
    tls_client_config: Option<Tls>,
    aws_auth_config: Option<Aws>,
    exec_provider_config: Option<Exec>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Tls {
    insecure: Option<bool>,
    server_name: Option<String>,
    ca_data: Option<String>,
    cert_data: Option<String>,
    key_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aws {
    cluster_name: String,
    #[serde(rename = "roleARN")]
    role_arn: Option<String>,
    profile: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    command: String,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    api_version: Option<String>,
}

/// The kubeconfig that a Secret of Argo CD stands for.
fn of_argo(data: &BTreeMap<String, String>) -> Result<String, String> {
    let part = |key: &str| {
        data.get(key).map_or_else(|| Err(format!("it has no key {key}")), |value| text(key, value))
    };
    let argo: Argo = serde_json::from_str(&part("config")?)
        .map_err(|_| "its key config is not the JSON of an Argo CD cluster".to_owned())?;
    let tls = argo.tls_client_config.unwrap_or_default();
    let cluster = object([
        ("server", Some(json!(part("server")?.trim()))),
        ("insecure-skip-tls-verify", tls.insecure.filter(|skip| *skip).map(Value::from)),
        ("tls-server-name", set(tls.server_name)),
        ("certificate-authority-data", set(tls.ca_data)),
        ("proxy-url", set(argo.proxy_url)),
    ]);
    let user = object([
        ("token", set(argo.bearer_token)),
        ("username", set(argo.username)),
        ("password", set(argo.password)),
        ("client-certificate-data", set(tls.cert_data)),
        ("client-key-data", set(tls.key_data)),
        ("exec", argo.exec_provider_config.map(plugin).or_else(|| argo.aws_auth_config.map(aws).map(plugin))),
    ]);
    Ok(kubeconfig(&cluster, &user))
}

/// A kubeconfig with one context.
pub(crate) fn kubeconfig(cluster: &Value, user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "cluster", "user": user}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "cluster"}}],
    })
    .to_string()
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn set(text: Option<String>) -> Option<Value> {
    text.filter(|text| !text.is_empty()).map(Value::from)
}

/// What Argo CD's own plugin does, by AWS's.
fn aws(Aws { cluster_name, role_arn, profile }: Aws) -> Exec {
    let mut args = ["eks", "get-token", "--output", "json", "--cluster-name"].map(str::to_owned).to_vec();
    args.push(cluster_name);
    for (flag, value) in [("--role-arn", role_arn), ("--profile", profile)] {
        args.extend(
            value.filter(|value| !value.is_empty()).into_iter().flat_map(|value| [flag.to_owned(), value]),
        );
    }
    Exec { command: "aws".to_owned(), args: Some(args), env: None, api_version: None }
}

fn plugin(Exec { command, args, env, api_version }: Exec) -> Value {
    let env: Vec<Value> = env
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let version = api_version.unwrap_or_else(|| "client.authentication.k8s.io/v1beta1".to_owned());
    json!({"apiVersion": version, "command": command, "args": args.unwrap_or_default(), "env": env})
}

#[cfg(test)]
mod tests;
