//! Addresses that may stand in public DNS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::name::{DnsName, NameError};
use crate::text::printable;

/// What a load balancer is reached by: an IPv4, an IPv6, or a host name that has to be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Becomes an A record.
    V4(Ipv4Addr),
    /// Becomes an AAAA record.
    V6(Ipv6Addr),
    /// Becomes a CNAME where it is alone, and is resolved where it is not.
    Hostname(DnsName),
}

/// Why a text cannot be published as an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Unspecified, multicast, broadcast or IPv4-mapped.
    #[error("{address} is {what}; no client can connect to it")]
    Unusable {
        /// The address.
        address: IpAddr,
        /// Which kind of unusable.
        what: &'static str,
    },
    /// A host name that means something else on every machine: one label, or `localhost`.
    #[error("'{name}' is a local name; no client can resolve it")]
    LocalName {
        /// The name.
        name: DnsName,
    },
    /// Neither an IP address nor a host name.
    #[error("'{text}' is neither an IP address nor a host name")]
    Neither {
        /// What was given.
        text: String,
        /// Why it is no host name.
        #[source]
        source: NameError,
    },
}

impl Address {
    /// The IP address, unless it is a host name.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(ip) => Some(IpAddr::V4(*ip)),
            Self::V6(ip) => Some(IpAddr::V6(*ip)),
            Self::Hostname(_) => None,
        }
    }

    /// The host name, unless it is an IP address.
    pub const fn hostname(&self) -> Option<&DnsName> {
        match self {
            Self::Hostname(name) => Some(name),
            Self::V4(_) | Self::V6(_) => None,
        }
    }
}

/// Checks that an IP address can be connected to at all. Whether it may be is for [`crate::policy`] to say.
///
/// # Errors
/// [`AddressError::Unusable`].
pub fn usable(address: IpAddr) -> Result<Address, AddressError> {
    let what = match address {
        IpAddr::V4(ip) if ip.octets()[0] == 0 => "unspecified",
        IpAddr::V4(ip) if ip.is_broadcast() => "the broadcast address",
        IpAddr::V4(ip) if ip.is_multicast() => "a multicast address",
        IpAddr::V4(ip) => return Ok(Address::V4(ip)),
        IpAddr::V6(ip) if ip.is_unspecified() => "unspecified",
        IpAddr::V6(ip) if ip.is_multicast() => "a multicast address",
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => "an IPv4-mapped address",
        IpAddr::V6(ip) => return Ok(Address::V6(ip)),
    };
    Err(AddressError::Unusable { address, what })
}

impl From<IpAddr> for Address {
    /// Without the check of [`usable`]: for addresses that were checked before.
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6(ip),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return usable(ip);
        }
        let neither = |source| AddressError::Neither { text: printable(text).into_owned(), source };
        let name: DnsName = text.parse().map_err(neither)?;
        if name.is_wildcard() {
            return Err(neither(NameError::Wildcard));
        }
        if is_local(&name) {
            return Err(AddressError::LocalName { name });
        }
        Ok(Self::Hostname(name))
    }
}

/// Whether a name has a single label, or lies below one that no two machines resolve alike, or none at all: `localhost` and
/// `invalid` (RFC 6761 §6.3, §6.4), `onion` (RFC 7686), `localdomain` of many hosts files, a cluster's own Services, and the
/// names that Docker Desktop, Podman and minikube have for the machine.
fn is_local(name: &DnsName) -> bool {
    const TOPS: [&str; 4] = ["localhost", "localdomain", "invalid", "onion"];
    const BELOW: [&str; 4] =
        ["docker.internal", "host.containers.internal", "host.minikube.internal", "svc.cluster.local"];
    let text = name.as_str();
    let is_in =
        |domain: &str| text.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.labels().nth(1).is_none() || TOPS.into_iter().chain(BELOW).any(is_in)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) => ip.fmt(f),
            Self::Hostname(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_client_can_connect_to_is_an_address() {
        for good in
            ["203.0.113.10", "2001:db8::1", "127.0.0.5", "a9.us-west-2.elb.amazonaws.com", "lb.corp.local"]
        {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        let bad = [
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("255.255.255.255", "broadcast"),
            ("224.0.0.1", "multicast"),
            ("::ffff:10.0.0.1", "IPv4-mapped"),
            ("999.1.1.1", "neither"),
            ("1.2.3", "neither"),
            ("*.example.com", "neither"),
            ("not a host", "neither"),
            ("localhost", "local name"),
            ("LocalHost.", "local name"),
            ("a.localhost", "local name"),
            ("localhost.localdomain", "local name"),
            ("host.docker.internal", "local name"),
            ("Kubernetes.Docker.Internal.", "local name"),
            ("host.minikube.internal", "local name"),
            ("host.containers.internal", "local name"),
            ("web.default.svc.cluster.local", "local name"),
            ("web.invalid", "local name"),
            ("web.onion", "local name"),
            ("lb", "local name"),
            ("None", "local name"),
            ("", "neither"),
        ];
        for (text, part) in bad {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
