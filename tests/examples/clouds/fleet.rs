//! A member cluster whose Services have an address of each of ten clusters.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetdns_tests::conf::ZONE;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use futures::StreamExt;

/// Services, each with a host name of its own.
pub(crate) const NAMES: usize = 1_000;
/// Addresses of each.
const CLUSTERS: usize = 10;
/// The Service that changes.
const CHANGING: usize = 500;
/// Services made or patched at one time.
const ABREAST: usize = 8;
const NAMESPACE: &str = "default";

pub(crate) struct Fleet {
    pub(crate) member: Arc<Member>,
    /// The load balancer of each cluster.
    pub(crate) clusters: Vec<Endpoint>,
    /// Where one Service moves to.
    moved: Endpoint,
}

pub(crate) fn hostname(index: usize) -> String {
    format!("n{index}.{ZONE}")
}

fn service(index: usize) -> String {
    format!("svc-{index}")
}

impl Fleet {
    pub(crate) async fn start(name: &str) -> Self {
        let member = Arc::new(Member::start(name).await);
        let port = ports::free();
        let clusters: Vec<Endpoint> = (0..CLUSTERS).map(|_| Endpoint::on_port(port)).collect();
        let fleet = Self { member, clusters, moved: Endpoint::on_port(port) };
        let desired = fleet.first();
        fleet
            .each(|index| {
                let name = service(index);
                let service = NewService::new(NAMESPACE, &name)
                    .port(port)
                    .annotation("external-dns.alpha.kubernetes.io/hostname", &hostname(index));
                let (member, addresses) = (Arc::clone(&fleet.member), desired[index].clone());
                async move {
                    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
                    member.create_published(&service, &addresses).await;
                }
            })
            .await;
        fleet
    }

    async fn each<F: Future<Output = ()>>(&self, work: impl Fn(usize) -> F) {
        futures::stream::iter((0..NAMES).map(work)).buffer_unordered(ABREAST).collect::<()>().await;
    }

    /// The addresses of each name: one of each cluster.
    pub(crate) fn first(&self) -> Vec<BTreeSet<String>> {
        let all: BTreeSet<String> = self.clusters.iter().map(|one| one.ip().to_string()).collect();
        vec![all; NAMES]
    }

    /// With one name moved.
    pub(crate) fn second(&self) -> Vec<BTreeSet<String>> {
        let mut desired = self.first();
        desired[CHANGING].remove(&self.clusters[0].ip().to_string());
        desired[CHANGING].insert(self.moved.ip().to_string());
        desired
    }

    /// Without the last cluster.
    pub(crate) fn third(&self) -> Vec<BTreeSet<String>> {
        let dead = self.clusters[CLUSTERS - 1].ip().to_string();
        let mut desired = self.second();
        desired.iter_mut().for_each(|addresses| {
            addresses.remove(&dead);
        });
        desired
    }

    /// Has one Service say so.
    pub(crate) async fn publish(&self, index: usize, addresses: &BTreeSet<String>) {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.member.patch_status(NAMESPACE, &service(index), &addresses).await;
    }

    pub(crate) async fn publish_second(&self) {
        self.publish(CHANGING, &self.second()[CHANGING]).await;
    }

    /// Has every Service say so.
    pub(crate) async fn publish_third(&self) {
        let desired = self.third();
        self.each(|index| self.publish_owned(index, desired[index].clone())).await;
    }

    async fn publish_owned(&self, index: usize, addresses: BTreeSet<String>) {
        self.publish(index, &addresses).await;
    }
}
