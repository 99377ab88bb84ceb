//! The Services of the member, and the listener behind all of their addresses.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tokio::task::JoinSet;

use crate::peer::ZONE;

/// The namespace of all Services.
pub(crate) const NAMESPACE: &str = "default";
/// The Service that is patched.
pub(crate) const TARGET: usize = 0;
/// Services made at one time.
const ABREAST: usize = 8;

/// One member with some Services that all listen on the same port.
pub(crate) struct Fleet {
    pub(crate) member: Arc<Member>,
    port: u16,
    services: usize,
    /// Addresses given to the Service that is patched.
    given: u32,
}

impl Fleet {
    /// Starts the member, without Services.
    pub(crate) async fn start() -> Self {
        let port = listen_everywhere();
        Self { member: Arc::new(Member::start("c1").await), port, services: 0, given: 0 }
    }

    /// Makes Services until there are so many, each with an address of its own.
    pub(crate) async fn grow_to(&mut self, services: usize) {
        let mut making = JoinSet::new();
        for index in self.services..services {
            if making.len() >= ABREAST {
                made(making.join_next().await);
            }
            let (member, port) = (Arc::clone(&self.member), self.port);
            making.spawn(async move {
                let service = NewService::new(NAMESPACE, &name(index))
                    .port(port)
                    .annotation("external-dns.alpha.kubernetes.io/hostname", &hostname(index));
                member.create_published(&service, &[&first_address(index).to_string()]).await;
            });
        }
        while let Some(one) = making.join_next().await {
            made(Some(one));
        }
        self.services = services;
    }

    /// The host names of all Services.
    pub(crate) fn hostnames(&self) -> Vec<String> {
        (0..self.services).map(hostname).collect()
    }

    /// An address that no Service had before. It answers, as all of 127.0.0.0/8 does on our port.
    pub(crate) fn fresh_address(&mut self) -> Ipv4Addr {
        self.given += 1;
        Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 65, 0, 0)) + self.given)
    }

    /// Returns the Service that is patched this address instead of the one it has.
    pub(crate) async fn patch(&self, address: Ipv4Addr) {
        self.member.patch_status(NAMESPACE, &name(TARGET), &[&address.to_string()]).await;
    }
}

fn made(result: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = result {
        panic!("a Service could not be made: {error}");
    }
}

fn name(index: usize) -> String {
    format!("svc-{index}")
}

pub(crate) fn hostname(index: usize) -> String {
    format!("svc-{index}.{ZONE}")
}

fn first_address(index: usize) -> Ipv4Addr {
    let index = u32::try_from(index).expect("few Services");
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 64, 0, 1)) + index)
}

/// Accepts and closes, on every address of this machine, for as long as this process lives.
fn listen_everywhere() -> u16 {
    let (listener, port) = (0..100)
        .find_map(|_| {
            let port = ports::free();
            listen((Ipv4Addr::UNSPECIFIED, port).into()).ok().map(|listener| (listener, port))
        })
        .expect("a port that is free on all addresses");
    std::thread::spawn(move || {
        // A probe that hangs up before it is accepted is no fault.
        listener.incoming().for_each(drop);
    });
    port
}

/// The standard library's listener has a backlog of 128, and a thousand probes may come at once.
fn listen(address: std::net::SocketAddr) -> std::io::Result<TcpListener> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, 4_096)?;
    Ok(socket.into())
}
