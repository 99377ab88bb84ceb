//! Canaries: what is probed only to know whether we hear anything.

use std::fmt;
use std::sync::Arc;

use fleetdns_core::probe::BadProbeSpec;
use fleetdns_core::{Address, Guard, MemberName, ProbeKey, ProbeSpec, Target};

/// Something that should accept a TCP connection as long as our own network works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// What it is, for people: `API of westus`, `anchor`.
    pub what: Arc<str>,
    /// The member whose API it is; none of an anchor.
    pub member: Option<MemberName>,
    /// Address or host name.
    pub address: Address,
    /// TCP port.
    pub port: u16,
}

impl Canary {
    pub(crate) fn target(&self) -> Result<Target, BadProbeSpec> {
        let spec: ProbeSpec = format!("tcp:{}", self.port).parse()?;
        // The operator named it: an API server on loopback, for example.
        let spec = ProbeSpec { guard: Guard::Operator, ..spec };
        Ok(Target { address: self.address.clone(), spec: Arc::new(spec) })
    }
}

/// What it is and where: `API of westus at 192.0.2.1:6443`.
impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, address, port, .. } = self;
        match address {
            Address::V6(ip) => write!(f, "{what} at [{ip}]:{port}"),
            _ => write!(f, "{what} at {address}:{port}"),
        }
    }
}

/// A canary and the keys that its addresses make.
#[derive(Debug, Clone)]
pub(crate) struct KnownCanary {
    pub(crate) canary: Canary,
    pub(crate) target: Target,
    pub(crate) keys: Vec<ProbeKey>,
}
