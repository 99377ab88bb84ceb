//! The scene: two members, the addresses of everything, and the files that the daemon reads.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::api::Cluster;
use super::api::objects::{self, Kind};
use super::app;
use super::dns;
use super::names::{self, DNS_ZONE, FLEET, NAMESPACE, SERVICE, ZONE_OF_REGION, Zone};
use super::server::Server;
use crate::error::DemoError;
use fleetdns_daemon::config::{Config, Flags};

/// The port that Kubernetes APIs usually have.
const API_PORT: u16 = 6443;
/// The DNS server's, free to be used by anybody.
const DNS_PORT: u16 = 5300;
/// While one waits for something, it is looked at so often.
const LOOK: Duration = Duration::from_millis(5);

/// A member cluster: what it has stored, its API server, and its app.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name, and that of its region.
    pub(super) name: &'static str,
    /// The address of its API and of its load balancer.
    pub(super) ip: Ipv4Addr,
    /// What it has stored.
    pub(super) cluster: Arc<Cluster>,
    api: Option<Server>,
    app: Option<Server>,
}

impl Member {
    async fn start(name: &'static str, ip: Ipv4Addr) -> Result<Self, DemoError> {
        let cluster = Arc::new(Cluster::default());
        cluster.put(Kind::Node, objects::node(&format!("{name}-node-0"), name, ZONE_OF_REGION));
        let mut member = Self { name, ip, cluster, api: None, app: None };
        member.open_api().await?;
        member.open_app().await?;
        Ok(member)
    }

    /// Where the API is.
    pub(super) const fn api_address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(self.ip), API_PORT)
    }

    /// Where the app is.
    pub(super) const fn app_address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(self.ip), app::PORT)
    }

    /// Whether the API answers.
    pub(super) const fn api_is_open(&self) -> bool {
        self.api.is_some()
    }

    /// Whether the app answers.
    pub(super) const fn app_is_open(&self) -> bool {
        self.app.is_some()
    }

    /// Starts the API server, if it is not there.
    pub(super) async fn open_api(&mut self) -> Result<(), DemoError> {
        if self.api.is_none() {
            let address = self.api_address();
            let server = self.cluster.serve(address).await;
            self.api = Some(server.map_err(|source| DemoError::Listen { address, source })?);
        }
        Ok(())
    }

    /// Starts the app, if it is not there.
    pub(super) async fn open_app(&mut self) -> Result<(), DemoError> {
        if self.app.is_none() {
            let address = self.app_address();
            let server = app::serve(address).await;
            self.app = Some(server.map_err(|source| DemoError::Listen { address, source })?);
        }
        Ok(())
    }

    /// Ends the API server: connections are refused.
    pub(super) async fn close_api(&mut self) {
        if let Some(server) = self.api.take() {
            server.close().await;
        }
    }

    /// Ends the app: connections are refused.
    pub(super) async fn close_app(&mut self) {
        if let Some(server) = self.app.take() {
            server.close().await;
        }
    }

    /// Creates the guide's Service, and returns its load balancer an address.
    pub(super) fn publish(&self) {
        self.cluster.put(Kind::Service, objects::service(NAMESPACE, SERVICE, app::PORT));
        self.cluster.patch_status(NAMESPACE, SERVICE, objects::status(self.ip.into()));
    }

    /// Deletes the Service; nothing happens when there is none.
    pub(super) fn withdraw(&self) {
        self.cluster.delete(NAMESPACE, SERVICE);
    }

    /// Waits until its Services are watched.
    pub(super) async fn watched(&self) {
        self.cluster.watched().await;
    }

    /// Waits until somebody connected to the app.
    pub(super) async fn probed(&self) {
        while self.app.as_ref().is_some_and(|app| app.connections() == 0) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Everything but the daemon.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) west: Member,
    pub(super) east: Member,
    /// Where the daemon serves DNS.
    pub(super) dns: SocketAddr,
    /// Where the daemon has its admin API.
    pub(super) admin: SocketAddr,
    /// When everything began.
    pub(super) started: Instant,
    directory: TempDir,
}

impl Scene {
    /// Starts both members.
    pub(super) async fn start() -> Result<Self, DemoError> {
        let started = Instant::now();
        let net = free_addresses()?;
        let west = Member::start("westus", net.west()).await?;
        let east = Member::start("eastus", net.east()).await?;
        let directory = tempfile::Builder::new().prefix("fleetdns-demo-").tempdir();
        let directory =
            directory.map_err(|source| DemoError::Files { path: std::env::temp_dir(), source })?;
        Ok(Self { west, east, dns: net.dns(), admin: net.admin(), started, directory })
    }

    /// Where the daemon takes orders.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("fleetdns.sock")
    }

    /// Where the files are.
    #[cfg(test)]
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The members by name.
    pub(super) const fn members(&self) -> [&Member; 2] {
        [&self.west, &self.east]
    }

    /// Writes a kubeconfig for each member and a `dns.conf`, and loads them as the daemon does.
    pub(super) fn config(&self) -> Result<Config, DemoError> {
        let write = |name: String, text: String| {
            let path = self.directory.path().join(name);
            std::fs::write(&path, text).map_err(|source| DemoError::Files { path: path.clone(), source })?;
            Ok::<_, DemoError>(path)
        };
        for member in self.members() {
            write(format!("{}.kubeconfig", member.name), kubeconfig(member))?;
        }
        let path = write("dns.conf".to_owned(), self.dns_conf(self.directory.path()))?;
        Config::load(&Flags { config: Some(path), ..Flags::default() }).map_err(DemoError::Config)
    }

    fn dns_conf(&self, directory: &Path) -> String {
        let mut text = format!(
            "[fleet]\nname = {FLEET}\naddress-allow = 127.0.0.0/8\n\n[zone \"{DNS_ZONE}\"]\nprovider = embedded\nlisten = {}\n\n\
             [admin]\nlisten = {}\nsocket = {}\n",
            self.dns,
            self.admin,
            self.socket().display()
        );
        for Member { name, .. } in self.members() {
            let kubeconfig = directory.join(format!("{name}.kubeconfig"));
            text.push_str(&format!(
                "\n[cluster \"{name}\"]\nkubeconfig = {}\ncontext = {name}\n",
                kubeconfig.display()
            ));
        }
        text
    }

    /// Reads all names of the story from DNS.
    pub(super) async fn look(&self) -> Result<Zone, dns::NoAnswer> {
        let mut zone = Zone::new();
        for (name, _) in names::expected(&[(self.west.name, None), (self.east.name, None)]) {
            let answer = dns::ask(self.dns, &name).await?;
            zone.push((name, answer.set));
        }
        Ok(zone)
    }

    /// Ends everything and removes the files.
    pub(super) async fn strike(mut self) -> Result<(), DemoError> {
        for member in [&mut self.west, &mut self.east] {
            member.close_app().await;
            member.close_api().await;
        }
        let path = self.directory.path().to_owned();
        self.directory.close().map_err(|source| DemoError::Files { path, source })
    }
}

fn kubeconfig(member: &Member) -> String {
    let name = member.name;
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         clusters:\n- name: {name}\n  cluster: {{server: \"http://{}\"}}\n\
         users:\n- name: {name}\n  user: {{}}\n\
         contexts:\n- name: {name}\n  context: {{cluster: {name}, user: {name}}}\n",
        member.api_address()
    )
}

/// Addresses 127.64.N.* that one demo has for itself.
#[derive(Debug, Clone, Copy)]
struct Net(u8);

impl Net {
    const fn west(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 64, self.0, 10)
    }

    const fn east(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 64, self.0, 20)
    }

    fn dns(self) -> SocketAddr {
        (Ipv4Addr::new(127, 64, self.0, 53), DNS_PORT).into()
    }

    fn admin(self) -> SocketAddr {
        (Ipv4Addr::new(127, 64, self.0, 53), 8053).into()
    }

    /// Whether everything can be listened on. Nothing is kept open: whoever is faster afterwards makes the start fail,
    /// with a clear error.
    fn try_all(self) -> Result<(), (SocketAddr, io::Error)> {
        let tcp = [self.west(), self.east()]
            .into_iter()
            .flat_map(|ip| [(ip, API_PORT).into(), (ip, app::PORT).into()]);
        for address in tcp.chain([self.dns(), self.admin()]) {
            TcpListener::bind(address).map_err(|error| (address, error))?;
        }
        UdpSocket::bind(self.dns()).map_err(|error| (self.dns(), error))?;
        Ok(())
    }
}

/// The first addresses that nobody uses, another demo for example.
fn free_addresses() -> Result<Net, DemoError> {
    for net in (0..u8::MAX).map(Net) {
        match net.try_all() {
            Ok(()) => return Ok(net),
            Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err((address, source)) => return Err(DemoError::Listen { address, source }),
        }
    }
    let address = Net(0).dns();
    Err(DemoError::Listen { address, source: io::ErrorKind::AddrInUse.into() })
}
