//! A real CoreDNS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::etcd::{Etcd, START_BUDGET};
use crate::process::Process;
use crate::servers::Server;
use crate::{dns, eventually, ports};

/// Where the `etcd` plugin looks, and where fleetdns writes.
pub const ETCD_PATH: &str = "/skydns";

/// A running CoreDNS that answers from its etcd, from a folder of zone files, or from both.
#[derive(Debug)]
pub struct CoreDns {
    process: Process,
    address: SocketAddr,
    etcd: Option<Etcd>,
    _folder: TempDir,
}

impl CoreDns {
    /// Starts one with an etcd of its own, whose `etcd` plugin serves `zones` from [`ETCD_PATH`]; returns when it
    /// answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn with_etcd(zones: &[&str]) -> Self {
        let etcd = Etcd::start("CoreDNS").await;
        let plugin = format!(
            "    etcd {} {{\n        path {ETCD_PATH}\n        endpoint {}\n    }}\n",
            zones.join(" "),
            etcd.endpoint()
        );
        Self::start(&plugin, Some(etcd)).await
    }

    /// Starts one whose `auto` plugin serves each zone file `db.ZONE` of `folder`, and sees new files and new SOA
    /// serials within a second; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn with_zone_files(folder: &Path) -> Self {
        let plugin = format!(
            "    auto {{\n        directory {} ^db\\.(.*)$ {{1}}\n        reload 1s\n    }}\n",
            folder.display()
        );
        Self::start(&plugin, None).await
    }

    /// Starts one whose `file` plugin serves `zone` from `file`, and sees a new SOA serial within a second; returns
    /// when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn with_zone_file(zone: &str, file: &Path) -> Self {
        let plugin = format!("    file {} {zone} {{\n        reload 1s\n    }}\n", file.display());
        Self::start(&plugin, None).await
    }

    async fn start(plugin: &str, etcd: Option<Etcd>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = ports::free_address();
        let corefile = folder.path().join("Corefile");
        let text = format!(".:{} {{\n    bind {}\n    errors\n{plugin}}}\n", address.port(), address.ip());
        fs::write(&corefile, text).expect("the temporary folder can be written to");
        let arguments = ["-conf".to_owned(), corefile.display().to_string()];
        let log = folder.path().join("coredns.log");
        let process = Process::start("CoreDNS", Server::CoreDns.path(), arguments, &[], log);
        let mut coredns = Self { process, address, etcd, _folder: folder };
        coredns.ready().await;
        coredns
    }

    async fn ready(&mut self) {
        let what = format!("CoreDNS to answer at {}", self.address);
        eventually(&what, START_BUDGET, Duration::from_millis(20), async || {
            self.process.assert_running();
            // Any answer will do; outside of its zones it is a refusal.
            dns::query(self.address, "not-a-zone.invalid", "SOA").await
        })
        .await;
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, to stop or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its etcd's endpoint, as fleetdns wants it in `etcd-endpoints`.
    ///
    /// # Panics
    /// When it was started without.
    pub fn etcd_endpoint(&self) -> String {
        self.etcd.as_ref().expect("started with etcd").endpoint()
    }

    /// Its etcd.
    ///
    /// # Panics
    /// When it was started without.
    pub fn etcd(&mut self) -> &mut Etcd {
        self.etcd.as_mut().expect("started with etcd")
    }

    /// Freezes its etcd: nothing is answered, neither to CoreDNS nor to fleetdns.
    pub fn stop_etcd(&mut self) {
        self.etcd().process().stop();
    }

    /// Ends [`stop_etcd`](Self::stop_etcd).
    pub fn cont_etcd(&mut self) {
        self.etcd().process().cont();
    }

    /// Kills its etcd: connections are refused.
    pub fn kill_etcd(&mut self) {
        self.etcd().process().kill();
    }

    /// Starts its etcd again, at its address and with its keys; returns when it serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart_etcd(&mut self) {
        self.etcd().restart().await;
    }
}
