//! Members as they are and as they misbehave, over real sockets. Durations are short, and every wait has a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod check;
mod discover;
mod fake;
mod faults;
mod follow;
mod hostile;
mod reload;
mod start;
mod trust;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use fleetdns_core::{Inventory, MemberName, MemberView, ServiceKey, Snapshot};
use fleetdns_planner::PublishSettings;
use fleetdns_watch::{Access, Adopted, Limits, MemberConfig, Origin, WatchError, WatchSettings, run};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use fake::Fake;

/// Far beyond what a starved machine takes.
const BUDGET: Duration = Duration::from_secs(30);

/// Watched members and the snapshot that comes of them.
struct Fleet {
    folder: tempfile::TempDir,
    settings: WatchSettings,
    members: Vec<MemberConfig>,
    snapshot: watch::Receiver<Snapshot>,
    adopted: mpsc::Sender<Adopted>,
    shutdown: CancellationToken,
    task: Option<JoinHandle<Result<(), WatchError>>>,
}

fn settings() -> WatchSettings {
    let zone: fleetdns_core::DnsName = "example.com".parse().unwrap();
    WatchSettings {
        publish: PublishSettings {
            fleet: Some("fed".parse().unwrap()),
            zones: vec![(zone.clone(), zone)],
            ..PublishSettings::default()
        },
        startup_timeout: Duration::from_secs(1),
        grace: Duration::from_millis(500),
        stale_after: Duration::from_millis(600),
        confirm_after: Duration::from_millis(500),
        request_timeout: Duration::from_millis(700),
        ..WatchSettings::default()
    }
}

fn name(text: &str) -> MemberName {
    text.parse().unwrap()
}

/// A kubeconfig with one context for each server.
fn kubeconfig(folder: &tempfile::TempDir, member: &str, url: &str, token: &str) -> PathBuf {
    let path = folder.path().join(member);
    let text = format!(
        "current-context: {member}\nclusters: [{{name: {member}, cluster: {{server: '{url}'}}}}]\n\
         contexts: [{{name: {member}, context: {{cluster: {member}, user: {member}}}}}]\n\
         users: [{{name: {member}, user: {{token: {token}}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

impl Fleet {
    fn new(servers: &[(&str, &Fake)]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let members = servers
            .iter()
            .map(|(member, server)| MemberConfig {
                name: name(member),
                access: Access::Kubeconfig {
                    paths: vec![kubeconfig(&folder, member, &server.url(), "top-secret")],
                    context: None,
                },
                region: None,
                zones: BTreeSet::new(),
                probe: None,
                limits: Limits::default(),
                files: 0,
                endpoint: None,
                origin: Origin::Config,
            })
            .collect();
        let (adopted, _) = mpsc::channel(1);
        let snapshot = watch::channel(Snapshot::default()).1;
        let (settings, shutdown) = (settings(), CancellationToken::new());
        Self { folder, settings, members, snapshot, adopted, shutdown, task: None }
    }

    fn run(mut self) -> Self {
        let (adopted, views) = mpsc::channel(8);
        let (out, snapshot) = watch::channel(Snapshot::default());
        let (members, settings, shutdown) =
            (self.members.clone(), self.settings.clone(), self.shutdown.clone());
        self.task = Some(tokio::spawn(run(members, settings, views, out, shutdown)));
        (self.adopted, self.snapshot) = (adopted, snapshot);
        self
    }

    /// A zone says what it has of members; it counts on return.
    async fn adopt(&self, views: Vec<MemberView>) {
        let (adopted, taken) = Adopted::new(views);
        self.adopted.send(adopted).await.unwrap();
        taken.await.unwrap();
    }

    /// The first view of a member that is as asked for.
    async fn until(&mut self, what: &str, member: &str, holds: impl Fn(&MemberView) -> bool) -> MemberView {
        let key = name(member);
        let found = self.snapshot.wait_for(|all| all.members.get(&key).is_some_and(|view| holds(view)));
        let found = tokio::time::timeout(BUDGET, found).await.map(|view| view.unwrap().clone());
        let all =
            found.unwrap_or_else(|_| panic!("never {what}: {:#?}", self.snapshot.borrow().members.get(&key)));
        (*all.members[&key]).clone()
    }

    async fn until_live(&mut self, member: &str) -> MemberView {
        self.until("live", member, |view| view.inventory == Inventory::Live).await
    }

    async fn until_stale(&mut self, member: &str) -> MemberView {
        self.until("stale", member, |view| view.inventory == Inventory::Stale).await
    }

    /// Services with their addresses, `name=address`.
    async fn until_services(&mut self, member: &str, expected: &str) -> MemberView {
        self.until(expected, member, |view| services(view) == expected).await
    }
}

fn key(service: &str) -> ServiceKey {
    ServiceKey::new("default", service).unwrap()
}

fn services(view: &MemberView) -> String {
    let text = |set: &fleetdns_core::SmallSet<fleetdns_core::Address>| {
        set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let all = view.services.iter().map(|(key, published)| {
        format!("{}={}", key.name(), published.addresses.as_ref().map_or_else(|| "none".to_owned(), text))
    });
    all.collect::<Vec<_>>().join(" ")
}

fn fault(view: &MemberView) -> &str {
    view.fault.as_deref().unwrap_or_default()
}
