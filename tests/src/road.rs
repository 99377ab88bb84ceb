//! A way to a server that can be cut, as a partition of the network does it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::kube::Member;

/// A way to one server that can be cut: then nothing comes through, and no connection ends.
#[derive(Debug)]
pub struct Road {
    /// Where it begins.
    pub address: SocketAddr,
    there: watch::Sender<Lane>,
    back: watch::Sender<Lane>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (there, back) = (watch::Sender::<Lane>::default(), watch::Sender::<Lane>::default());
        let lanes = (there.clone(), back.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (from, to) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from.0, to.1, lanes.0.subscribe()));
                tokio::spawn(carry(to.0, from.1, lanes.1.subscribe()));
            }
        });
        Self { address, there, back }
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

    /// Everything comes through again, at once.
    pub fn mend(&self) {
        self.there.send_replace(Lane::default());
        self.back.send_replace(Lane::default());
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lane: watch::Receiver<Lane>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
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
    /// To this member.
    ///
    /// # Panics
    /// When no port is free, or its kubeconfig cannot be copied.
    pub async fn to(member: &Member) -> Self {
        let server = member.url().trim_start_matches("https://").parse().expect("an address");
        let road = Road::to(server).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = fs::read_to_string(member.kubeconfig()).expect("its kubeconfig");
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
