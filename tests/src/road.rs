//! A way to a server that can be cut, as a partition of the network does it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetdns_fakes::conformance::Moment;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::access::Access;
use crate::kill_point::{Armed, Killed, Protocol, Watched, Which};
use crate::kube::Member;

/// A way to one server that can be cut: then nothing comes through, and no connection ends.
#[derive(Debug)]
pub struct Road {
    /// Where it begins.
    pub address: SocketAddr,
    there: watch::Sender<Lane>,
    back: watch::Sender<Lane>,
    server: watch::Sender<SocketAddr>,
    armed: Armed,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    is_cut: bool,
    delay: Duration,
}

impl Road {
    /// To this server.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> Self {
        Self::open(server, None).await
    }

    /// To this server, with requests that can be told apart, so that [`kill_at`](Self::kill_at) works.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn speaking(protocol: Protocol, server: SocketAddr) -> Self {
        Self::open(server, Some(protocol)).await
    }

    async fn open(server: SocketAddr, protocol: Option<Protocol>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (there, back) = (watch::Sender::<Lane>::default(), watch::Sender::<Lane>::default());
        let lanes = (there.clone(), back.clone());
        let (server, mut leads) = watch::channel(server);
        let armed = Armed::default();
        let arming = armed.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = *leads.borrow_and_update();
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (from, to) = (client.into_split(), server.into_split());
                let seen = protocol.map(|protocol| Watched::new(protocol, arming.clone()));
                let seen = Arc::new(Mutex::new(seen));
                let asked = Arc::clone(&seen);
                let look = move |bytes: &[u8]| look(&asked, |watched| watched.request(bytes));
                let there = carry(from.0, to.1, lanes.0.subscribe(), look);
                let look = move |bytes: &[u8]| self::look(&seen, |watched| watched.answer(bytes));
                let back = carry(to.0, from.1, lanes.1.subscribe(), look);
                let mut leads = leads.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = leads.changed() => {}
                        _ = async { tokio::join!(there, back) } => {}
                    }
                });
            }
        });
        Self { address, there, back, server, armed }
    }

    /// Kills a process (-9) at the `hit`th request of its kind from now on, counted from 1.
    pub fn kill_at(&self, which: Which, moment: Moment, hit: usize, pid: u32) {
        self.armed.arm(which, moment, hit, pid);
    }

    /// Nothing is killed from now on.
    pub fn disarm(&self) {
        self.armed.disarm();
    }

    /// Nothing comes through from now on.
    pub fn cut(&self) {
        self.there.send_modify(|lane| lane.is_cut = true);
        self.cut_answers();
    }

    /// Requests come through, and answers do not.
    pub fn cut_answers(&self) {
        self.back.send_modify(|lane| lane.is_cut = true);
    }

    /// Everything takes so much longer, each way.
    pub fn delay(&self, delay: Duration) {
        for lane in [&self.there, &self.back] {
            lane.send_modify(|lane| lane.delay = delay);
        }
    }

    /// From now on it leads to this server. All connections end.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Everything comes through again, at once.
    pub fn mend(&self) {
        self.there.send_replace(Lane::default());
        self.back.send_replace(Lane::default());
    }
}

fn look(
    seen: &Mutex<Option<Watched>>,
    look: impl FnOnce(&mut Watched) -> Result<(), Killed>,
) -> Result<(), Killed> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map_or(Ok(()), look)
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut lane: watch::Receiver<Lane>,
    look: impl Fn(&[u8]) -> Result<(), Killed>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if look(&buffer[..count]).is_err() {
            return;
        }
        let delay = lane.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if lane.wait_for(|lane| !lane.is_cut).await.is_err() || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}

/// A kubeconfig that reaches a member by a road.
#[derive(Debug)]
pub struct ByRoad {
    /// The road.
    pub road: Road,
    kubeconfig: PathBuf,
    _folder: TempDir,
}

impl ByRoad {
    /// To this member, with all rights.
    ///
    /// # Panics
    /// When no port is free, or its kubeconfig cannot be copied.
    pub async fn to(member: &Member) -> Self {
        Self::to_with(member, Access::Admin).await
    }

    /// To this member, with these rights.
    ///
    /// # Panics
    /// When no port is free, or its kubeconfig cannot be copied.
    pub async fn to_with(member: &Member, access: Access) -> Self {
        let server = member.url().trim_start_matches("https://").parse().expect("an address");
        let road = Road::to(server).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = fs::read_to_string(member.kubeconfig_for(access)).expect("its kubeconfig");
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, text.replace(&member.url(), &format!("https://{}", road.address)))
            .expect("the temporary folder can be written to");
        Self { road, kubeconfig, _folder: folder }
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}
