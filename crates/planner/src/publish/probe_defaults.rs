//! How endpoints are probed unless a Service asks for something else.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use fleetdns_core::name::DnsName;
use fleetdns_core::probe::{Expect, Pace, Trust};
use fleetdns_core::text::printable;

/// Which protocol a probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// No probing: every endpoint is taken for healthy.
    None,
    /// A TCP connection.
    #[default]
    Tcp,
    /// An HTTP request.
    Http,
    /// An HTTPS request with a verified certificate.
    Https,
    /// A gRPC health check over HTTP/2 in the clear.
    Grpc,
    /// A gRPC health check over TLS with a verified certificate.
    Grpcs,
}

/// Not one of the protocols.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown '{0}'; expected one of {PROTOCOLS}")]
pub struct UnknownProtocol(pub String);

const PROTOCOLS: &str = "tcp, http, https, grpc, grpcs, none";

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "tcp" => Self::Tcp,
            "http" => Self::Http,
            "https" => Self::Https,
            "grpc" => Self::Grpc,
            "grpcs" => Self::Grpcs,
            _ => return Err(UnknownProtocol(printable(text).into_owned())),
        })
    }
}

impl Protocol {
    pub(super) const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    pub(super) const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }
}

/// Ports, and ranges of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Whether a port is one of them.
    pub fn contain(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

impl FromIterator<RangeInclusive<u16>> for Ports {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

/// How the endpoints of a member are probed unless a Service says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeDefaults {
    /// Protocol; [`Protocol::Tcp`] when it is not given, and then a path that a Service names to its cloud's load balancer
    /// is tried.
    pub protocol: Option<Protocol>,
    /// Port; the Service's first TCP port when it is not given.
    pub port: Option<u16>,
    /// Path of HTTP probes.
    pub path: Arc<str>,
    /// Host header and SNI; the published name when it is not given.
    pub host: Option<DnsName>,
    /// Service that gRPC probes ask for; the server as a whole when it is empty.
    pub service: Arc<str>,
    /// Ports that a Service may ask to be probed on beside its own.
    pub extra_ports: Ports,
    /// Statuses that HTTP probes expect.
    pub expect: Expect,
    /// How often, where not as everywhere.
    pub pace: Pace,
    /// The shortest interval that a Service may ask for.
    pub min_interval: Duration,
    /// Whose word on certificates counts.
    pub trust: Trust,
}

impl Default for ProbeDefaults {
    fn default() -> Self {
        Self {
            protocol: None,
            port: None,
            path: "/".into(),
            host: None,
            service: "".into(),
            extra_ports: Ports::default(),
            expect: Expect::default(),
            pace: Pace::default(),
            min_interval: Duration::from_secs(1),
            trust: Trust::Fleet,
        }
    }
}
