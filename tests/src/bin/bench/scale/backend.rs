//! The DNS backend that the measured daemon writes to, and answers are asked from.

use std::net::SocketAddr;
use std::str::FromStr;

use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::ports;
use tokio::runtime::Runtime;

use super::ZONE;

/// Which one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Embedded,
    Etcd,
    Bind,
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "etcd" => Ok(Self::Etcd),
            "bind" => Ok(Self::Bind),
            _ => Err(()),
        }
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "the embedded server",
            Self::Etcd => "CoreDNS with etcd",
            Self::Bind => "BIND",
        }
    }
}

/// A backend that runs.
pub(super) enum Backend {
    Embedded(SocketAddr),
    Etcd(CoreDns),
    Bind(NameServer),
}

impl Backend {
    pub(super) fn start(kind: Kind, runtime: &Runtime) -> Self {
        match kind {
            Kind::Embedded => Self::Embedded(ports::free_address()),
            Kind::Etcd => Self::Etcd(runtime.block_on(CoreDns::with_etcd(&[ZONE]))),
            Kind::Bind => {
                Self::Bind(runtime.block_on(NameServer::start(Software::Bind, ZONE, Rights::default())))
            }
        }
    }

    /// Where it answers.
    pub(super) fn dns(&self) -> SocketAddr {
        match self {
            Self::Embedded(address) => *address,
            Self::Etcd(coredns) => coredns.address(),
            Self::Bind(server) => server.address(),
        }
    }

    /// Its section of `dns.conf`.
    pub(super) fn section(&self) -> String {
        let keys = match self {
            Self::Embedded(address) => {
                format!("provider = embedded\nlisten = {address}\nns = ns1.{ZONE} 127.0.0.1")
            }
            Self::Etcd(coredns) => {
                format!("provider = coredns\netcd-endpoints = {}", coredns.etcd_endpoint())
            }
            Self::Bind(server) => format!(
                "provider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}",
                server.address()
            ),
        };
        format!("[zone \"{ZONE}\"]\n{keys}\n")
    }
}
