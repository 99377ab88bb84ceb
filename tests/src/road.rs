//! A way to a server that can be cut, as a partition of the network does it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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
    open: watch::Sender<bool>,
}

impl Road {
    /// To this server.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let open = watch::Sender::new(true);
        let roads = open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (from, to) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from.0, to.1, roads.subscribe()));
                tokio::spawn(carry(to.0, from.1, roads.subscribe()));
            }
        });
        Self { address, open }
    }

    /// Nothing comes through from now on.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything comes through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
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
