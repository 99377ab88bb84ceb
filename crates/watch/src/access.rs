//! From a kubeconfig, or the pod's own account, to a client.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::task::JoinHandle;

use crate::error::{AccessError, Peer, WatchError, auth_problem, brief};
use crate::proxy;

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
}

/// Names of all contexts in a list of kubeconfig files, in their order.
///
/// # Errors
/// When no file exists, or one of them cannot be read.
pub fn contexts(paths: &[PathBuf]) -> Result<Vec<String>, WatchError> {
    Ok(read(paths)?.contexts.into_iter().map(|context| context.name).collect())
}

fn read(paths: &[PathBuf]) -> Result<Kubeconfig, AccessError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let next = match Kubeconfig::read_from(path) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(KubeconfigError::ReadConfig(error, _)) => {
                return Err(AccessError::Unreadable { path: path.clone(), reason: error.to_string() });
            }
            // The parser's own text shows lines of the file, which may hold a token.
            Err(KubeconfigError::Parse(error)) => {
                let place = error
                    .location()
                    .map_or_else(String::new, |at| format!(" at line {}, column {}", at.line(), at.column()));
                return Err(AccessError::Syntax { path: path.clone(), place });
            }
            Err(_) => return Err(AccessError::Syntax { path: path.clone(), place: String::new() }),
        };
        merged = Some(match merged {
            None => next,
            Some(before) => before.merge(next).map_err(|error| AccessError::Unreadable {
                path: path.clone(),
                reason: brief(&error.to_string()),
            })?,
        });
    }
    merged.ok_or_else(|| AccessError::Missing { paths: paths.to_vec() })
}

/// Reads the configuration of one member. Blocks.
fn config(access: &Access) -> Result<(Config, Peer), AccessError> {
    let (mut config, credentials) = match access {
        Access::InCluster => {
            let config = Config::incluster()
                .map_err(|error| AccessError::NotInPod { problem: brief(&error.to_string()) })?;
            (config, Arc::from("the pod's service account"))
        }
        Access::Kubeconfig { paths, context } => from_files(paths, context.as_deref())?,
    };
    if let Some(plugin) = &mut config.auth_info.exec {
        // There is nobody to answer its questions.
        plugin.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    // Repeating is the feed's business, with pauses of its own.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    let server = config.cluster_url.to_string();
    let peer = Peer { server: server.trim_end_matches('/').into(), credentials };
    Ok((config, peer))
}

fn from_files(paths: &[PathBuf], context: Option<&str>) -> Result<(Config, Arc<str>), AccessError> {
    let file = read(paths)?;
    let Some(context) = context.or(file.current_context.as_deref()).map(str::to_owned) else {
        return Err(AccessError::NoContext { paths: paths.to_vec() });
    };
    let credentials = credentials(paths, Some(&context));
    if !file.contexts.iter().any(|known| known.name == context) {
        let known = file.contexts.into_iter().map(|context| context.name).collect();
        return Err(AccessError::UnknownContext { context, paths: paths.to_vec(), known });
    }
    let proxy_is_ours = names_a_proxy(&file, &context);
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let mut config = block_on(Config::from_custom_kubeconfig(file, &options)).map_err(|error| {
        AccessError::Unusable { credentials: Arc::clone(&credentials), problem: brief(&error.to_string()) }
    })?;
    let url = &config.cluster_url;
    let exceptions = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    if !proxy_is_ours && !proxy::is_for(url.scheme_str(), url.host().unwrap_or_default(), &exceptions) {
        config.proxy_url = None;
    }
    Ok((config, credentials))
}

/// Host and port of a member's API server, for a TCP connection to it; `None` when it is reached through a proxy. Reads
/// files, and so may block.
///
/// # Errors
/// When the kubeconfig cannot be read or used, or this is no pod.
pub fn server(access: &Access) -> Result<Option<(String, u16)>, WatchError> {
    let (config, _) = config(access)?;
    if config.proxy_url.is_some() {
        return Ok(None);
    }
    let url = &config.cluster_url;
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let host = url.host().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
    Ok(host.map(|host| (host, port)))
}

/// Whether the kubeconfig itself names a proxy; otherwise one may come from the environment.
fn names_a_proxy(file: &Kubeconfig, context: &str) -> bool {
    let context = file.contexts.iter().find(|known| known.name == context);
    let cluster = context.and_then(|named| named.context.as_ref()).map(|context| &context.cluster);
    let cluster = file.clusters.iter().find(|known| Some(&known.name) == cluster);
    let proxy =
        cluster.and_then(|named| named.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.as_ref());
    proxy.is_some_and(|url| !url.is_empty())
}

fn credentials(paths: &[PathBuf], context: Option<&str>) -> Arc<str> {
    let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let context =
        context.map_or_else(|| "the current context".to_owned(), |name| format!("context '{name}'"));
    format!("{context} of {}", files.join(", ")).into()
}

fn client(access: &Access) -> Result<(Client, Peer), AccessError> {
    let (config, peer) = config(access)?;
    let client = Client::try_from(config).map_err(|error| {
        let problem = match &error {
            kube::Error::Auth(auth) => auth_problem(auth),
            other => brief(&other.to_string()),
        };
        AccessError::Unusable { credentials: Arc::clone(&peer.credentials), problem }
    })?;
    Ok((client, peer))
}

type Attempt = JoinHandle<Result<(Client, Peer), AccessError>>;

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

    /// A new client, with files and credentials read anew.
    pub(crate) async fn connect(&mut self, deadline: Duration) -> Result<(Client, Peer), AccessError> {
        let access = self.access.clone();
        let running =
            self.running.get_or_insert_with(|| tokio::task::spawn_blocking(move || client(&access)));
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
            Access::InCluster => "the pod's service account".into(),
            Access::Kubeconfig { paths, context } => credentials(paths, context.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn file(folder: &Path, name: &str, context: &str, server: &str) -> PathBuf {
        let path = folder.join(name);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\n\
             clusters: [{{name: {context}, cluster: {{server: '{server}', tls-server-name: api.test, \
             proxy-url: 'http://127.0.0.1:3128'}}}}]\n\
             contexts: [{{name: {context}, context: {{cluster: {context}, user: {context}}}}}]\n\
             users: [{{name: {context}, user: {{token: top-secret}}}}]\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn fault(paths: &[&Path], context: Option<&str>) -> String {
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        let access = Access::Kubeconfig { paths, context: context.map(str::to_owned) };
        config(&access).unwrap_err().to_string()
    }

    #[test]
    fn files_are_merged_and_those_that_do_not_exist_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec![
            folder.path().join("none"),
            file(folder.path(), "a", "westus", "https://west.test:6443"),
            file(folder.path(), "b", "eastus", "https://east.test:6443"),
        ];
        assert_eq!(contexts(&paths).unwrap(), ["westus", "eastus"]);
        let (current, peer) = config(&Access::Kubeconfig { paths: paths.clone(), context: None }).unwrap();
        assert_eq!(&*peer.server, "https://west.test:6443");
        assert_eq!(current.tls_server_name.as_deref(), Some("api.test"));
        assert_eq!(current.proxy_url.unwrap().to_string(), "http://127.0.0.1:3128/");
        let east = Access::Kubeconfig { paths, context: Some("eastus".into()) };
        assert_eq!(&*config(&east).unwrap().1.server, "https://east.test:6443");
    }

    #[test]
    fn each_fault_says_which_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        assert!(contexts(std::slice::from_ref(&none)).unwrap_err().to_string().contains("does not exist"));
        assert!(fault(&[&none], None).contains("none does not exist"));

        let good = file(folder.path(), "good", "westus", "https://west.test");
        let text = fault(&[&good], Some("mars"));
        assert!(text.contains("no context 'mars'") && text.contains("it has: westus"), "{text}");

        let bad = folder.path().join("bad");
        fs::write(&bad, "clusters: []\nusers: [{name: a, user: {token: [top-secret]}}]\n").unwrap();
        let text = fault(&[&bad], None);
        assert!(text.contains("bad is not valid YAML") && text.contains("line 2"), "{text}");
        assert!(!text.contains("top-secret"), "{text}");

        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(fault(&[&empty], None).contains("no current-context"));
        assert!(fault(&[folder.path()], None).contains("cannot be read"));

        let half = folder.path().join("half");
        fs::write(&half, "contexts: [{name: a, context: {cluster: gone}}]\n").unwrap();
        let text = fault(&[&half], Some("a"));
        assert!(text.contains("context 'a' of") && text.contains("gone"), "{text}");
    }

    fn with_plugin(folder: &Path, script: &str) -> Access {
        use std::os::unix::fs::PermissionsExt;
        let plugin = folder.join("plugin");
        fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.join("config");
        let text = "current-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
             contexts: [{name: a, context: {cluster: a, user: a}}]\n\
             users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, \
             args: [--client-secret, top-secret]}}}]\n";
        fs::write(&path, text).unwrap();
        Access::Kubeconfig { paths: vec![path], context: None }
    }

    #[tokio::test]
    async fn what_a_failing_plugin_prints_on_its_output_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let access = with_plugin(folder.path(), "echo top-secret; echo 'log in first' >&2; exit 3");
        let error = Connector::new(access).connect(Duration::from_secs(20)).await.err().unwrap().to_string();
        assert!(error.contains("log in first") && error.contains("exit status: 3"), "{error}");
        assert!(!error.contains("top-secret"), "{error}");

        let access = with_plugin(folder.path(), "echo 'token: [top-secret'");
        let error = Connector::new(access).connect(Duration::from_secs(20)).await.err().unwrap().to_string();
        assert!(error.contains("no ExecCredential") && !error.contains("top-secret"), "{error}");
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_started_once() {
        let folder = tempfile::tempdir().unwrap();
        let access = with_plugin(folder.path(), "echo x >> \"$(dirname \"$0\")/starts\"; exec sleep 2");
        let mut connector = Connector::new(access);
        for _ in 0..3 {
            let error = connector.connect(Duration::from_millis(300)).await.err().unwrap();
            assert!(matches!(error, AccessError::Slow { .. }), "{error}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap(), "x\n");
    }
}
