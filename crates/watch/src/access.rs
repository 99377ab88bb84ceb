//! From a kubeconfig, or the pod's own account, to a client.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use kube::config::ExecAuthCluster;
use kube::{Client, Config};
use tokio::task::JoinHandle;

use crate::certificate;
use crate::chosen::Chosen;
use crate::credential::Credential;
use crate::error::{AccessError, Peer, WatchError, auth_problem, brief};
use crate::given::Given;
use crate::kubeconfig::{Files, label};
use crate::{normal, proxy};

/// How a member's API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The cluster that this process runs in, as its pod's service account.
    InCluster,
    /// A context of kubeconfig files.
    Kubeconfig {
        /// Files as in `KUBECONFIG`: the first to say something wins, those that do not exist are passed over.
        paths: Vec<PathBuf>,
        /// Name of the context; the files' current-context when it is not given.
        context: Option<String>,
    },
    /// A kubeconfig from an API: its only context, or else its current one.
    Given(Given),
}

/// Names of all contexts in a list of kubeconfig files, in their order.
///
/// # Errors
/// When no file exists, one of them cannot be read, or two different contexts have one name.
pub fn contexts(paths: &[PathBuf]) -> Result<Vec<String>, WatchError> {
    Ok(Files::read(paths)?.contexts()?)
}

/// Files from which a client of the member's API is made: kubeconfigs, and the certificates and keys that they name. A
/// token in a file of its own is read again and again, and is none of them. Reads the kubeconfigs, and so may block.
pub fn files(access: &Access) -> Vec<PathBuf> {
    let (paths, files) = match access {
        Access::InCluster => return Vec::new(),
        Access::Kubeconfig { paths, .. } => (&paths[..], Files::read(paths)),
        // Without that right it is not used, and nothing is read that it names.
        Access::Given(given) if !given.allowed.files => return Vec::new(),
        Access::Given(given) => (&[][..], Files::given(given)),
    };
    let named = files.map(|files| files.named_files()).unwrap_or_default();
    paths.iter().cloned().chain(named).collect()
}

/// A number that tells one API server from another, by its URL and the proxy and name under which it is reached. Reads
/// the kubeconfigs, and so may block.
///
/// # Errors
/// When the kubeconfig cannot be read or used, or this is no pod.
pub fn endpoint(access: &Access) -> Result<u64, WatchError> {
    let config = find(access)?.config;
    let mut hasher = DefaultHasher::new();
    config.cluster_url.to_string().trim_end_matches('/').hash(&mut hasher);
    (config.proxy_url.map(|url| url.to_string()), config.tls_server_name).hash(&mut hasher);
    Ok(hasher.finish())
}

/// A member's API, ready to be asked.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) credential: Credential,
    pub(crate) peer: Peer,
}

/// What a kubeconfig, or the pod's account, says.
struct Found {
    config: Config,
    /// Where the credentials come from, in words.
    label: Arc<str>,
}

fn find(access: &Access) -> Result<Found, AccessError> {
    let mut found = match access {
        Access::InCluster => {
            let config = Config::incluster()
                .map_err(|error| AccessError::NotInPod { problem: brief(&error.to_string()) })?;
            Found { config, label: POD.into() }
        }
        Access::Kubeconfig { paths, context } => {
            let chosen = Files::read(paths)?.choose(context.as_deref())?;
            let label = label(paths, Some(&chosen.context));
            from_context(chosen, label.into(), None)?
        }
        Access::Given(given) => {
            let files = Files::given(given)?;
            let contexts = files.contexts()?;
            let only = contexts.first().filter(|_| contexts.len() == 1);
            from_context(files.choose(only.map(String::as_str))?, Arc::clone(&given.label), Some(given))?
        }
    };
    // Repeating is the feed's business, with pauses of its own.
    found.config.default_retry = false;
    found.config.connect_timeout = Some(Duration::from_secs(5));
    Ok(found)
}

const POD: &str = "the pod's service account";

fn from_context(mut chosen: Chosen, label: Arc<str>, given: Option<&Given>) -> Result<Found, AccessError> {
    let unusable = |problem| AccessError::Unusable { credentials: Arc::clone(&label), problem };
    normal::check(&mut chosen).map_err(unusable)?;
    given.map_or(Ok(()), |given| given.check(&chosen)).map_err(unusable)?;
    let config = config(chosen).map_err(unusable)?;
    Ok(Found { config, label })
}

/// The client's own way from a kubeconfig to this would take the proxy of the environment in a way of its own.
fn config(Chosen { cluster, mut user, .. }: Chosen) -> Result<Config, String> {
    let server = cluster.server.as_deref().unwrap_or_default();
    let url: Uri = server.parse().map_err(|error| format!("its server is no URL: {error}"))?;
    let shown = ExecAuthCluster::try_from(&cluster).map_err(|error| brief(&error.to_string()))?;
    let mut config = Config::new(url);
    config.root_cert = shown.certificate_authority_data.as_deref().map(certificate::read).transpose()?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.proxy_url =
        proxy::find(&config.cluster_url, cluster.proxy_url.as_deref(), |name| std::env::var(name).ok())?;
    config.tls_server_name = cluster.tls_server_name;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(shown);
    }
    config.auth_info = user;
    Ok(config)
}

/// Host and port of a member's API server, for a TCP connection to it; `None` when it is reached through a proxy. Reads
/// files, and so may block.
///
/// # Errors
/// When the kubeconfig cannot be read or used, or this is no pod.
pub fn server(access: &Access) -> Result<Option<(String, u16)>, WatchError> {
    let config = find(access)?.config;
    if config.proxy_url.is_some() {
        return Ok(None);
    }
    let url = &config.cluster_url;
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let host = url.host().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
    Ok(host.map(|host| (host, port)))
}

/// Reads files and runs a credential plugin, and so may block.
fn connect(access: &Access) -> Result<Connection, AccessError> {
    let Found { mut config, label } = find(access)?;
    let unusable = |problem| AccessError::Unusable { credentials: Arc::clone(&label), problem };
    let credential = Credential::take(&mut config.auth_info).map_err(unusable)?;
    let secrets = credential.secrets().clone();
    if let Some((login, _)) =
        config.proxy_url.as_ref().and_then(|url| url.authority()?.as_str().rsplit_once('@'))
    {
        secrets.add(login);
    }
    let peer = Peer {
        server: config.cluster_url.to_string().trim_end_matches('/').into(),
        credentials: Arc::clone(&label),
        authority: certificate::authority_problem(config.root_cert.as_deref()),
        secrets,
    };
    if !uses_tls(&config) {
        // Otherwise the system's certificates would be read, and kept for this cluster.
        config.root_cert.get_or_insert_default();
    }
    let client = Client::try_from(config).map_err(|error| {
        let problem = match &error {
            kube::Error::Auth(auth) => auth_problem(auth),
            other => certificate::problem(&other.to_string()),
        };
        unusable(peer.brief(&problem))
    })?;
    Ok(Connection { client, credential, peer })
}

/// Whether anything on the way to a member's API server is encrypted.
fn uses_tls(config: &Config) -> bool {
    let is_http = |url: &Uri| url.scheme_str() == Some("http");
    let proxy = config.proxy_url.as_ref();
    !is_http(&config.cluster_url) || proxy.is_some_and(|url| url.scheme_str() == Some("https"))
}

type Attempt = JoinHandle<Result<Connection, AccessError>>;

/// Makes clients off the runtime's own threads: files are read, and credential plugins run, that may hang.
///
/// Invariant: at most one attempt runs at a time, so that a plugin that hangs does not take a thread at every retry.
pub(crate) struct Connector {
    access: Access,
    running: Option<Attempt>,
}

impl Connector {
    pub(crate) const fn new(access: Access) -> Self {
        Self { access, running: None }
    }

    /// A new client, with files and credentials read again.
    pub(crate) async fn connect(&mut self, deadline: Duration) -> Result<Connection, AccessError> {
        let access = self.access.clone();
        let running =
            self.running.get_or_insert_with(|| tokio::task::spawn_blocking(move || connect(&access)));
        let Ok(done) = tokio::time::timeout(deadline, running).await else {
            return Err(AccessError::Slow { credentials: self.credentials(), seconds: deadline.as_secs() });
        };
        self.running = None;
        done.unwrap_or_else(|error| {
            let problem = format!("making a client failed: {}", brief(&error.to_string()));
            Err(AccessError::Unusable { credentials: self.credentials(), problem })
        })
    }

    fn credentials(&self) -> Arc<str> {
        match &self.access {
            Access::InCluster => POD.into(),
            Access::Kubeconfig { paths, context } => label(paths, context.as_deref()).into(),
            Access::Given(given) => Arc::clone(&given.label),
        }
    }
}

#[cfg(test)]
mod tests;
