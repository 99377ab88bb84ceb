//! One etcd of its own.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::servers::Server;
use crate::{eventually, ports};

/// How long a server may take to start: they take 0.2–4 s on a quiet machine.
pub(crate) const START_BUDGET: Duration = Duration::from_secs(60);

/// A single etcd without TLS or users, its data in a folder that goes with it.
#[derive(Debug)]
pub struct Etcd {
    process: Process,
    client_port: u16,
    _folder: TempDir,
}

impl Etcd {
    /// Starts it; returns when it serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (client_port, peer_port) = (ports::free(), ports::free());
        let process = Process::start(
            format!("etcd of {name}"),
            Server::Etcd.path(),
            arguments(folder.path(), client_port, peer_port),
            &[],
            folder.path().join("etcd.log"),
        );
        let mut etcd = Self { process, client_port, _folder: folder };
        etcd.ready().await;
        etcd
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// A client connected to it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn client(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.endpoint()], None).await.expect("an etcd client")
    }

    /// The process, to stop or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again, with its data; returns when it serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.process.restart();
        self.ready().await;
    }

    async fn ready(&mut self) {
        let endpoint = self.endpoint();
        let what = format!("{} to serve at {endpoint}", self.process.name());
        eventually(&what, START_BUDGET, Duration::from_millis(20), async || {
            self.process.assert_running();
            let options = etcd_client::ConnectOptions::new()
                .with_connect_timeout(Duration::from_secs(1))
                .with_timeout(Duration::from_secs(2));
            let mut client = etcd_client::Client::connect([&endpoint], Some(options)).await?;
            client.get("health", None).await
        })
        .await;
    }
}

fn arguments(folder: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    [
        ("name", "test"),
        ("data-dir", &folder.join("data").display().to_string()),
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
        ("initial-cluster", &format!("test={peer}")),
        // Test data need not survive a power cut.
        ("unsafe-no-fsync", "true"),
    ]
    .into_iter()
    .map(|(key, value)| format!("--{key}={value}"))
    .collect()
}
