//! The one place that knows the providers: names, keys, and how a zone is connected.
//!
//! Invariant: adding a provider adds one entry to [`PROVIDERS`] and nothing else in the daemon.

use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use fleetdns_core::{DnsName, Label, Provider};
use fleetdns_embedded::{BindError, Bound, Servers};

use crate::config::{Fault, ZoneConfig};

/// Connects one zone; all faults of its keys at once.
type Connect = fn(&Servers, &DnsName, &Label, &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>>;

/// A kind of provider.
#[derive(Debug)]
pub struct ProviderSpec {
    /// Names under which a config may ask for it; the first one is shown.
    pub names: &'static [&'static str],
    /// Keys that it reads.
    pub keys: &'static [KeySpec],
    /// How a zone is connected. Makes no connection yet, so that it serves to check the keys too.
    connect: Connect,
}

/// Every provider whose name is known.
pub static PROVIDERS: [ProviderSpec; 7] = [
    ProviderSpec {
        names: &["coredns"],
        keys: fleetdns_coredns::KEYS,
        connect: |_, zone, owner, keys| fleetdns_coredns::connect(zone, owner, keys),
    },
    ProviderSpec { names: &["embedded"], keys: fleetdns_embedded::KEYS, connect: Servers::connect },
    ProviderSpec {
        names: &["azure-azuredns"],
        keys: fleetdns_azure::KEYS,
        connect: |_, zone, owner, keys| fleetdns_azure::connect(zone, owner, keys),
    },
    ProviderSpec {
        names: &["azure-private-dns"],
        keys: fleetdns_azure::KEYS,
        connect: |_, zone, owner, keys| fleetdns_azure::connect_private(zone, owner, keys),
    },
    ProviderSpec {
        names: &["rfc2136"],
        keys: fleetdns_rfc2136::KEYS,
        connect: |_, zone, owner, keys| fleetdns_rfc2136::connect(zone, owner, keys),
    },
    ProviderSpec {
        names: &["aws-route53"],
        keys: fleetdns_route53::KEYS,
        connect: |_, zone, owner, keys| fleetdns_route53::connect(zone, owner, keys),
    },
    ProviderSpec {
        names: &["webhook"],
        keys: fleetdns_webhook::KEYS,
        connect: |_, zone, owner, keys| fleetdns_webhook::connect(zone, owner, keys),
    },
];

/// The provider with a name; case makes no difference.
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    PROVIDERS.iter().find(|spec| spec.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

impl ProviderSpec {
    /// The name that is shown.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// What is wrong with the keys, as far as that can be said without a connection.
    pub(crate) fn check(&self, zone: &DnsName, owner: &Label, keys: &Keys) -> Vec<KeyFault> {
        (self.connect)(&Servers::new(), zone, owner, keys).err().unwrap_or_default()
    }
}

/// What the providers of one process share.
#[derive(Debug, Default)]
pub struct Registry {
    servers: Servers,
}

impl Registry {
    /// Nothing connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the provider of one zone.
    ///
    /// # Errors
    /// All faults of its keys at once, each with its place in the config.
    pub fn connect(&mut self, zone: &ZoneConfig) -> Result<Box<dyn Provider>, Vec<Fault>> {
        (zone.spec.connect)(&self.servers, &zone.settings.zone, &zone.settings.owner, &zone.keys)
            .map_err(|faults| faults.iter().map(|fault| zone.fault(fault)).collect())
    }

    /// Says that a daemon runs beside this process and serves these zones.
    pub fn assume_served(&self, serves: impl Fn(&DnsName) -> bool) {
        self.servers.assume_served(serves);
    }

    /// Opens the sockets of the embedded DNS servers that the connected zones ask for; none when they ask for none.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn bind(&self) -> Result<Bound, BindError> {
        self.servers.bind().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_found_by_any_of_its_names() {
        assert_eq!(find("CoreDNS").map(ProviderSpec::name), Some("coredns"));
        assert_eq!(find("azure-azuredns").map(ProviderSpec::name), Some("azure-azuredns"));
        assert_eq!(find("Azure-Private-DNS").map(ProviderSpec::name), Some("azure-private-dns"));
        assert!(find("google-clouddns").is_none());
        let names: Vec<&str> = PROVIDERS.iter().flat_map(|spec| spec.names).copied().collect();
        let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), once.len(), "a name stands for one provider");
    }
}
