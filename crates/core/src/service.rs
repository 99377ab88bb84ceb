//! A Service of type LoadBalancer: as its cluster says it, and as it is understood.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::Address;
use crate::annotations::{OWN_PREFIX, PREFIXES, azure_port};
use crate::hostnames::Sharing;
use crate::name::{DnsName, is_dns_label};
use crate::probe::{ProbeSpec, Target};
use crate::record::Ttl;
use crate::routing::Routing;
use crate::service_fault::ServiceFault;
use crate::small_set::SmallSet;
use crate::text::{is_blank, printable};

/// Namespace and name: one service of the fleet where both are the same in several members.
///
/// Invariant: both are DNS labels as Kubernetes defines them (RFC 1123): letters a to z, digits and `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey(
    /// Both with a zero octet between them, which comes before all that they are made of: it is in the order of both.
    ArcStr,
);

impl ServiceKey {
    /// Both parts as an API server names them.
    ///
    /// # Errors
    /// When a part is not a DNS label.
    pub fn new(namespace: &str, name: &str) -> Result<Self, BadServiceKey> {
        if is_dns_label(namespace) && is_dns_label(name) {
            Ok(Self(format!("{namespace}\0{name}").into()))
        } else {
            Err(BadServiceKey(printable(&format!("{namespace}/{name}")).into_owned()))
        }
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('\0').unwrap_or_default()
    }

    /// Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// Kubernetes name.
    pub fn name(&self) -> &str {
        self.parts().1
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, name) = self.parts();
        write!(f, "{namespace}/{name}")
    }
}

/// Not `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not NAMESPACE/NAME, each of 1 to 63 letters a to z, digits and '-'")]
pub struct BadServiceKey(pub String);

impl FromStr for ServiceKey {
    type Err = BadServiceKey;

    fn from_str(text: &str) -> Result<Self, BadServiceKey> {
        let (namespace, name) =
            text.split_once('/').ok_or_else(|| BadServiceKey(printable(text).into_owned()))?;
        Self::new(namespace, name)
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
    /// Annotations; those that [`is_read`](crate::annotations::is_read) does not name may be left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Names of annotations that were cut or left out because they are too long.
    #[serde(default, rename = "too-long", skip_serializing_if = "BTreeSet::is_empty")]
    pub too_long: BTreeSet<String>,
    /// `metadata.creationTimestamp` (RFC 3339, UTC), which sorts as text; none when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Ports in their order.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// `status.loadBalancer.ingress`: `None` where no load balancer was ever there, empty where it was emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<Ingress>>,
}

impl Service {
    /// Namespace and name.
    ///
    /// # Errors
    /// When one of them is not a DNS label.
    pub fn key(&self) -> Result<ServiceKey, BadServiceKey> {
        ServiceKey::new(&self.namespace, &self.name)
    }

    /// Cuts lists that are longer than `limit` octets at their last whole item, and drops all other annotations that are,
    /// and those that say nothing of the Service's own ports. [`Service::too_long`] names what was cut or dropped.
    pub fn bound(&mut self, limit: usize) {
        let Self { annotations, too_long, ports, .. } = self;
        annotations.retain(|name, text| {
            if azure_port(name).is_some_and(|of| ports.iter().all(|port| port.port != of)) {
                return false;
            }
            if text.len() <= limit {
                return true;
            }
            too_long.insert(name.clone());
            let is_list = name.ends_with("/hostname") || name.ends_with("/target");
            let whole = text.get(..text.floor_char_boundary(limit)).and_then(|head| head.rfind(','));
            text.truncate(whole.unwrap_or_default());
            is_list && whole.is_some()
        });
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
    pub fn full_annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(|text| text.trim()).filter(|text| !is_blank(text))
    }
}

/// A [`Service`] as it is kept in memory, beside its key: as a JSON list of all that it says besides, which takes a sixth
/// of the room.
///
/// Invariant: the text is that of a [`Service`]; the empty text stands for one that says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceText(Box<str>);

impl From<&Service> for ServiceText {
    fn from(service: &Service) -> Self {
        let Service { namespace: _, name: _, annotations, too_long, created, ports, ingress } = service;
        let ports: Vec<_> = ports.iter().map(|Port { port, protocol }| (port, protocol)).collect();
        let ingress: Option<Vec<_>> = ingress
            .as_ref()
            .map(|items| items.iter().map(|Ingress { ip, hostname }| (ip, hostname)).collect());
        let all = (annotations, too_long, created, ports, ingress);
        // Text, lists and maps with text as keys can all be written.
        Self(serde_json::to_string(&all).unwrap_or_default().into())
    }
}

/// A Service, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Namespace and name.
    pub key: ServiceKey,
    /// As the cluster said it: see [`Published::said`].
    pub service: ServiceText,
    /// Addresses that can be published; `None` where no load balancer was ever there.
    pub addresses: Option<SmallSet<Address>>,
    /// Host names asked for by annotation or template, each within one of the zones.
    pub hostnames: SmallSet<DnsName>,
    /// Those of them that other Services may have too.
    pub shared: BTreeMap<DnsName, Sharing>,
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
    /// As the cluster said it.
    pub fn said(&self) -> Service {
        // A list is read as the object that it stands for.
        let (annotations, too_long, created, ports, ingress) =
            serde_json::from_str(&self.service.0).unwrap_or_default();
        let (namespace, name) = (self.key.namespace().to_owned(), self.key.name().to_owned());
        Service { namespace, name, annotations, too_long, created, ports, ingress }
    }

    /// What has to be probed for it.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let probed = self.probe.is_probed();
        self.addresses.iter().flatten().filter_map(move |address| {
            let resolve = matches!(address, Address::Hostname(_));
            (probed || resolve).then(|| Target { address: address.clone(), spec: Arc::clone(&self.probe) })
        })
    }
}
