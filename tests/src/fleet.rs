//! What most end-to-end tests need: two members, and a CoreDNS with its etcd.

use std::net::SocketAddr;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::conf::{Conf, ZONE};
use crate::coredns::CoreDns;
use crate::kube::Member;
use crate::manifest::NewService;

/// Fleets that run at once. More of them starve a machine with two cores, and then the times that tests measure are
/// those of the machine; fewer leave half of it idle, as most tests wait most of the time.
const AT_ONCE: u32 = 3;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// Waits for the turn of a fleet that another process starts.
///
/// # Panics
/// Never: turns do not end.
pub async fn turn() -> SemaphorePermit<'static> {
    TURNS.acquire().await.expect("it is never closed")
}

/// `westus` with zones 1 and 2, `eastus` with zone 1, as their nodes say, and a CoreDNS that serves [`ZONE`].
pub struct Fleet {
    /// Zones 1 and 2.
    pub west: Member,
    /// Zone 1.
    pub east: Member,
    /// Serves the zone.
    pub dns: CoreDns,
    _turn: SemaphorePermit<'static>,
}

impl Fleet {
    /// Waits for its turn, then starts all servers at once.
    ///
    /// # Panics
    /// When one does not come up.
    pub async fn start() -> Self {
        Self::start_with(1).await
    }

    /// As [`start`](Self::start), with no other fleet beside it: for tests that compare times.
    ///
    /// # Panics
    /// When one does not come up.
    pub async fn start_alone() -> Self {
        Self::start_with(AT_ONCE).await
    }

    async fn start_with(turns: u32) -> Self {
        let turn = TURNS.acquire_many(turns).await.expect("it is never closed");
        let ((west, east), dns) =
            tokio::join!(Member::start_pair("westus", "eastus"), CoreDns::with_etcd(&[ZONE]));
        tokio::join!(
            west.create_node("node-1", "westus", "1"),
            west.create_node("node-2", "westus", "2"),
            east.create_node("node-1", "eastus", "1"),
        );
        Self { west, east, dns, _turn: turn }
    }

    /// Where CoreDNS answers.
    pub fn server(&self) -> SocketAddr {
        self.dns.address()
    }

    /// Creates a Service in both members, with one address in each.
    ///
    /// # Panics
    /// When an API refuses it.
    pub async fn publish(&self, service: &NewService, west: &str, east: &str) {
        let (west, east) = ([west], [east]);
        tokio::join!(self.west.create_published(service, &west), self.east.create_published(service, &east));
    }

    /// Both members and the zone.
    pub fn conf(&self) -> Conf {
        Conf::new(&self.dns.etcd_endpoint())
            .cluster("westus", &self.west.kubeconfig())
            .cluster("eastus", &self.east.kubeconfig())
    }
}
