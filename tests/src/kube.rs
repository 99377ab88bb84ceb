//! A member cluster: one kube-apiserver with its own etcd. No controllers, no nodes of its own, no kubelet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::core::params::GetParams;
use tempfile::TempDir;

use crate::access::{self, Access};
use crate::certs::{self, Files};
use crate::etcd::{Etcd, START_BUDGET};
use crate::process::Process;
use crate::servers::Server;
use crate::{eventually, ports};

/// How a member differs from the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberOptions {
    /// Use the allocator of Kubernetes 1.33, which makes 10,000 Services at a steady 200 a second where that of 1.36
    /// slows to 25 a second.
    pub bulk: bool,
}

/// A start takes a fifth less CPU time when Go collects its garbage later.
const FEW_COLLECTIONS: [(&str, &str); 1] = [("GOGC", "400")];

/// API groups that neither we nor the manifests in `config` use: a start takes a quarter less CPU time without them.
const UNUSED_GROUPS: &str = "autoscaling/v1=false,autoscaling/v2=false,batch/v1=false,certificates.k8s.io/v1=false,\
    node.k8s.io/v1=false,resource.k8s.io/v1=false,scheduling.k8s.io/v1=false,storage.k8s.io/v1=false";

/// Admission of Pods by service accounts, which no controller makes, and what waits for objects of [`UNUSED_GROUPS`].
const UNUSED_ADMISSION: &str = "DefaultStorageClass,PersistentVolumeClaimResize,Priority,RuntimeClass,ServiceAccount,\
    StorageObjectInUseProtection";

/// A running member cluster. Dropping it ends both of its servers.
///
/// Creating and changing its objects is in [`crate::manifest`].
pub struct Member {
    api: Process,
    etcd: Etcd,
    name: String,
    port: u16,
    client: Client,
    options: MemberOptions,
    files: Files,
    folder: TempDir,
}

impl Member {
    /// Starts a member; returns when its API says that it is ready (2–4 s on a quiet machine).
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, MemberOptions::default()).await
    }

    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_with(name: &str, options: MemberOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = certs::write(folder.path(), name);
        let etcd = Etcd::start(name).await;
        let port = ports::free();
        let api = Process::start(
            format!("kube-apiserver of {name}"),
            Server::KubeApiserver.path(),
            arguments(folder.path(), &files, &etcd.endpoint(), port, name, options),
            &FEW_COLLECTIONS,
            folder.path().join("kube-apiserver.log"),
        );
        let kubeconfig = access::write_kubeconfig(folder.path(), &files, &url(port), name, Access::Admin);
        let client = client(&kubeconfig).await;
        let mut member = Self { api, etcd, name: name.to_owned(), port, client, options, files, folder };
        member.ready().await;
        for object in access::roles() {
            member.apply(&object).await;
        }
        member
    }

    /// Starts two at once.
    ///
    /// # Panics
    /// When one does not come up.
    pub async fn start_pair(one: &str, other: &str) -> (Self, Self) {
        tokio::join!(Self::start(one), Self::start(other))
    }

    /// Its name, which is also that of its kubeconfig's context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig that may do everything, with one context named as the member.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_for(Access::Admin)
    }

    /// A kubeconfig of somebody else, with one context named as the member.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig_for(&self, access: Access) -> PathBuf {
        access::write_kubeconfig(self.folder.path(), &self.files, &self.url(), &self.name, access)
    }

    /// Its certificates and keys.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The file that has the API server's output.
    pub fn api_log(&self) -> &Path {
        self.api.log_path()
    }

    /// Freezes the API server: connections are made by the kernel, and then nothing is answered.
    pub fn stop_api(&mut self) {
        self.api.stop();
    }

    /// Ends [`stop_api`](Self::stop_api).
    pub fn cont_api(&mut self) {
        self.api.cont();
    }

    /// Kills the API server: connections are refused.
    pub fn kill_api(&mut self) {
        self.api.kill();
    }

    /// Starts the API server again, on its port and with its objects; returns when it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart_api(&mut self) {
        self.api.restart();
        self.ready().await;
    }

    /// The etcd behind the API, to stop or kill.
    pub fn etcd(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// Starts a new cluster at the same address, with the same certificates and no objects: one that was rebuilt.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn rebuild(&mut self) {
        self.api.kill();
        self.etcd = Etcd::start(&self.name).await;
        self.api = Process::start(
            self.api.name(),
            Server::KubeApiserver.path(),
            arguments(
                self.folder.path(),
                &self.files,
                &self.etcd.endpoint(),
                self.port,
                &self.name,
                self.options,
            ),
            &FEW_COLLECTIONS,
            self.api.log_path(),
        );
        self.ready().await;
        for object in access::roles() {
            self.apply(&object).await;
        }
    }

    async fn ready(&mut self) {
        let what = format!("API of member {} to be ready", self.name);
        let client = self.client.clone();
        eventually(&what, START_BUDGET, Duration::from_millis(50), async || {
            self.api.assert_running();
            let ask = |path: &str, name: &str| {
                let request = Request::new(path).get(name, &GetParams::default());
                client.request_text(request.expect("a plain GET"))
            };
            let answers = async {
                ask("", "readyz").await?;
                // Ready is said a little before this is made, and Services cannot be created without it.
                ask("/api/v1/namespaces", "default").await
            };
            let timed = tokio::time::timeout(Duration::from_secs(5), answers).await;
            timed.map_err(|_| "no answer in 5 s".to_owned())?.map_err(|e| e.to_string())
        })
        .await;
    }
}

/// A client for the only context of `kubeconfig`.
///
/// # Panics
/// When the file cannot be used.
pub async fn client(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).expect("our own kubeconfig can be read");
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("our own kubeconfig is complete"))
        .expect("a client for our own kubeconfig")
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn arguments(
    folder: &Path,
    files: &Files,
    etcd: &str,
    port: u16,
    member: &str,
    options: MemberOptions,
) -> Vec<String> {
    let tokens = access::write_tokens(folder, member);
    let path = |path: &Path| path.display().to_string();
    let mut arguments: Vec<String> = [
        ("etcd-servers", etcd.to_owned()),
        ("bind-address", "127.0.0.1".into()),
        ("advertise-address", "127.0.0.1".into()),
        ("secure-port", port.to_string()),
        ("endpoint-reconciler-type", "none".into()),
        // Room for 65,000 Services.
        ("service-cluster-ip-range", "10.96.0.0/16".into()),
        ("anonymous-auth", "false".into()),
        ("authorization-mode", "RBAC".into()),
        ("token-auth-file", path(&tokens)),
        ("tls-cert-file", path(&files.certificate)),
        ("tls-private-key-file", path(&files.key)),
        ("service-account-issuer", "https://kubernetes.default.svc".into()),
        ("service-account-key-file", path(&files.service_account_public)),
        ("service-account-signing-key-file", path(&files.service_account_key)),
        ("disable-admission-plugins", UNUSED_ADMISSION.into()),
        ("runtime-config", UNUSED_GROUPS.into()),
        ("profiling", "false".into()),
    ]
    .into_iter()
    .map(|(key, value)| format!("--{key}={value}"))
    .collect();
    if options.bulk {
        arguments.push("--emulated-version=1.33".into());
        let gates = "MultiCIDRServiceAllocator=false,DisableAllocatorDualWrite=false,WatchList=true";
        arguments.push(format!("--feature-gates={gates}"));
    }
    arguments
}
