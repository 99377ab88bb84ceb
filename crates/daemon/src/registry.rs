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
    make: Make,
}

#[derive(Debug)]
enum Make {
    /// How a zone is connected. Makes no connection yet, so that it serves to check the keys too.
    With(Connect),
    /// The name is known and the provider is not built in yet. Keys that have to be there, each with an example.
    NotYet(&'static [(&'static str, &'static str)]),
}

/// Every provider whose name is known.
pub static PROVIDERS: [ProviderSpec; 6] = [
    ProviderSpec {
        names: &["coredns"],
        keys: fleetdns_coredns::KEYS,
        make: Make::With(|_, zone, owner, keys| fleetdns_coredns::connect(zone, owner, keys)),
    },
    ProviderSpec { names: &["embedded"], keys: fleetdns_embedded::KEYS, make: Make::With(Servers::connect) },
    ProviderSpec {
        names: &["azure-azuredns"],
        keys: fleetdns_azure::KEYS,
        make: Make::With(|_, zone, owner, keys| fleetdns_azure::connect(zone, owner, keys)),
    },
    ProviderSpec {
        names: &["azure-private-dns"],
        keys: fleetdns_azure::KEYS,
        make: Make::With(|_, zone, owner, keys| fleetdns_azure::connect_private(zone, owner, keys)),
    },
    ProviderSpec {
        names: &["rfc2136"],
        keys: fleetdns_rfc2136::KEYS,
        make: Make::With(|_, zone, owner, keys| fleetdns_rfc2136::connect(zone, owner, keys)),
    },
    ProviderSpec { names: &["aws-route53"], keys: &[], make: Make::NotYet(&[]) },
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

    /// Whether zones can be connected to it.
    pub const fn is_built_in(&self) -> bool {
        matches!(self.make, Make::With(_))
    }

    /// What is wrong with the keys, as far as that can be said without a connection.
    pub(crate) fn check(&self, zone: &DnsName, owner: &Label, keys: &Keys) -> Vec<KeyFault> {
        match self.make {
            Make::With(connect) => connect(&Servers::new(), zone, owner, keys).err().unwrap_or_default(),
            Make::NotYet(required) => {
                let mut faults = Vec::new();
                for (key, example) in required {
                    keys.required(key, example, &mut faults);
                }
                faults
            }
        }
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
        let Make::With(connect) = zone.spec.make else {
            let built_in = PROVIDERS.iter().filter(|spec| spec.is_built_in()).map(ProviderSpec::name);
            let there = built_in.collect::<Vec<_>>().join(", ");
            let problem = format!("{} is not built in yet; the providers that are: {there}", zone.provider);
            return Err(vec![zone.fault(&KeyFault { key: "provider".to_owned(), problem })]);
        };
        connect(&self.servers, &zone.settings.zone, &zone.settings.owner, &zone.keys)
            .map_err(|faults| faults.iter().map(|fault| zone.fault(fault)).collect())
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
