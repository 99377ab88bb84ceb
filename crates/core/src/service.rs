//! A Service of type LoadBalancer: as its cluster says it, and as it is understood.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::{Address, AddressError};
use crate::name::{DnsName, NameError};
use crate::probe::{ProbeSpec, Target};
use crate::record::Ttl;
use crate::text::{is_blank, printable};
use crate::wanted::Routing;

/// Namespace and name: one service of the fleet where both are the same in several members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Kubernetes namespace.
    pub namespace: Arc<str>,
    /// Kubernetes name.
    pub name: Arc<str>,
}

impl ServiceKey {
    /// Both parts as Kubernetes gives them.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Not `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not NAMESPACE/NAME")]
pub struct BadServiceKey(pub String);

impl FromStr for ServiceKey {
    type Err = BadServiceKey;

    fn from_str(text: &str) -> Result<Self, BadServiceKey> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(BadServiceKey(printable(text).into_owned())),
        }
    }
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Port number at the load balancer.
    pub port: u16,
    /// `TCP` (when it is not said), `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

fn tcp() -> String {
    "TCP".to_owned()
}

/// One item of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// Address, when the load balancer has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Host name, when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// The slim form of a Service of type LoadBalancer (Kubernetes API, core/v1), nothing checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Kubernetes name.
    pub name: String,
    /// Annotations; those that [`is_read`] does not name may be left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Ports in their order.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// `status.loadBalancer.ingress`: `None` where no load balancer was ever there, empty where it was emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<Ingress>>,
}

/// Prefix of our own annotations.
pub const OWN_PREFIX: &str = "fleetdns.io/";

/// Prefixes under which [`SHARED`] annotations are read; an earlier one wins.
pub const PREFIXES: [&str; 3] =
    [OWN_PREFIX, "external-dns.kubernetes.io/", "external-dns.alpha.kubernetes.io/"];

/// Annotations that are read under each of [`PREFIXES`].
const SHARED: [&str; 4] = ["hostname", "ttl", "target", "controller"];

/// Annotations that are read under [`OWN_PREFIX`] alone.
const OWN: [&str; 12] = [
    "exclude",
    "routing",
    "probe",
    "probe-port",
    "probe-path",
    "probe-host",
    "probe-service",
    "probe-expect",
    "probe-interval",
    "probe-timeout",
    "probe-fall",
    "probe-rise",
];

/// Whether an annotation is read at all: one of ours or of external-dns's, or the health path of a cloud's load balancer.
pub fn is_read(annotation: &str) -> bool {
    let own = annotation.strip_prefix(OWN_PREFIX).is_some_and(|name| OWN.contains(&name));
    let shared =
        || PREFIXES.iter().any(|prefix| annotation.strip_prefix(prefix).is_some_and(|n| SHARED.contains(&n)));
    own || shared() || crate::publish::is_cloud(annotation)
}

impl Service {
    /// Namespace and name.
    pub fn key(&self) -> ServiceKey {
        ServiceKey::new(&self.namespace, &self.name)
    }

    /// An annotation under the first of [`PREFIXES`] that has it, trimmed. One that is blank or only commas is not there.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        PREFIXES.iter().find_map(|prefix| self.under(prefix, name))
    }

    /// An annotation under [`OWN_PREFIX`], trimmed. One that is blank or only commas is not there.
    pub fn own_annotation(&self, name: &str) -> Option<&str> {
        self.under(OWN_PREFIX, name)
    }

    fn under(&self, prefix: &str, name: &str) -> Option<&str> {
        self.full_annotation(&format!("{prefix}{name}"))
    }

    /// An annotation by its full name, trimmed. One that is blank or only commas is not there.
    pub(crate) fn full_annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(|text| text.trim()).filter(|text| !is_blank(text))
    }
}

impl ServiceFault {
    /// The value of an annotation cannot be used.
    pub(crate) fn annotation(annotation: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Annotation { annotation, text: printable(text).into_owned(), expected }
    }
}

/// Something about a Service that is not as it should be; the rest of it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServiceFault {
    /// An item of the load balancer's status, or of the target annotation.
    #[error("{place} has an address that cannot be published: {source}")]
    Address {
        /// Where it stands.
        place: &'static str,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The hostname annotation or the name template gives something that is not a name.
    #[error("{place} asks for '{text}': {source}")]
    Hostname {
        /// Where it stands.
        place: &'static str,
        /// What was asked for.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A host name that lies in none of the zones.
    #[error("the hostname annotation asks for '{name}', which lies in none of the zones")]
    NoZone {
        /// What was asked for.
        name: DnsName,
    },
    /// An annotation whose value cannot be used; it is as if it were not there.
    #[error("invalid annotation {annotation} = '{text}'; expected {expected}")]
    Annotation {
        /// Its name without the prefix.
        annotation: &'static str,
        /// Its value, for people.
        text: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// A Service, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Namespace and name.
    pub key: ServiceKey,
    /// As the cluster said it.
    pub service: Arc<Service>,
    /// Addresses that can be published; `None` where no load balancer was ever there.
    pub addresses: Option<BTreeSet<Address>>,
    /// Host names asked for by annotation or template, each within one of the zones.
    pub hostnames: BTreeSet<DnsName>,
    /// TTL asked for by annotation.
    pub ttl: Option<Ttl>,
    /// How its endpoints are probed.
    pub probe: Arc<ProbeSpec>,
    /// Which of the healthy members stand at its names; `None` as the zone says.
    pub routing: Option<Routing>,
    /// What could not be used.
    pub faults: Vec<ServiceFault>,
}

impl Published {
    /// What has to be probed for it.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let probed = self.probe.is_probed();
        self.addresses.iter().flatten().filter_map(move |address| {
            let resolve = matches!(address, Address::Hostname(_));
            (probed || resolve).then(|| Target { address: address.clone(), spec: Arc::clone(&self.probe) })
        })
    }
}
