//! The one place that knows the providers: names, keys, and how a zone is connected.
//!
//! Invariant: adding a provider adds one entry to `KNOWN` and nothing else in the daemon.

use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use fleetdns_core::{DnsName, Label, Provider};
use fleetdns_embedded::{BindError, Bound, Servers};

use crate::suggestion::suggestion;

/// Connects one zone; all faults of its keys at once.
type Connect = fn(&Servers, &DnsName, &Label, &Keys) -> Result<Box<dyn Provider>, Vec<KeyFault>>;

/// A kind of provider.
#[derive(Debug)]
pub struct ProviderSpec {
    /// Name under which a config asks for it.
    pub name: &'static str,
    /// Keys that it reads.
    pub keys: &'static [KeySpec],
    /// How a zone is connected. Makes no connection yet, so that it serves to check the keys too.
    connect: Connect,
}

/// A provider that exists, in this build or not.
struct Known {
    name: &'static str,
    /// The cargo feature that builds it.
    feature: &'static str,
    /// `None` when this build leaves it out.
    spec: Option<ProviderSpec>,
}

/// An entry of [`KNOWN`]: cargo feature, name in the config, keys, function that connects a zone.
macro_rules! provider {
    ($feature:literal, $name:literal, $keys:path, $connect:path) => {
        Known {
            name: $name,
            feature: $feature,
            #[cfg(feature = $feature)]
            spec: Some(ProviderSpec {
                name: $name,
                keys: $keys,
                connect: |_, zone, owner, keys| $connect(zone, owner, keys),
            }),
            #[cfg(not(feature = $feature))]
            spec: None,
        }
    };
}

/// Every provider that exists. The embedded server is always built: the demo runs on it.
static KNOWN: [Known; 7] = [
    provider!("coredns", "coredns", fleetdns_coredns::KEYS, fleetdns_coredns::connect),
    Known {
        name: "embedded",
        feature: "",
        spec: Some(ProviderSpec {
            name: "embedded",
            keys: fleetdns_embedded::KEYS,
            connect: Servers::connect,
        }),
    },
    provider!("azure", "azure-azuredns", fleetdns_azure::KEYS, fleetdns_azure::connect),
    provider!("azure", "azure-private-dns", fleetdns_azure::KEYS, fleetdns_azure::connect_private),
    provider!("rfc2136", "rfc2136", fleetdns_rfc2136::KEYS, fleetdns_rfc2136::connect),
    provider!("route53", "aws-route53", fleetdns_route53::KEYS, fleetdns_route53::connect),
    provider!("webhook", "webhook", fleetdns_webhook::KEYS, fleetdns_webhook::connect),
];

/// The providers of this build.
pub fn providers() -> impl Iterator<Item = &'static ProviderSpec> + Clone {
    KNOWN.iter().filter_map(|known| known.spec.as_ref())
}

/// The provider with a name; case makes no difference.
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    providers().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

/// The names of the providers of this build, for a message.
pub(crate) fn names() -> String {
    providers().map(|spec| spec.name).collect::<Vec<_>>().join(", ")
}

/// Why [`find`] found nothing, and what to do.
pub(crate) fn not_found(name: &str) -> String {
    not_found_in(&KNOWN, name)
}

fn not_found_in(known: &[Known], name: &str) -> String {
    if let Some(left_out) = known.iter().find(|known| known.name.eq_ignore_ascii_case(name)) {
        let Known { name, feature, .. } = left_out;
        return format!(
            "this build leaves out the provider '{name}'; build fleetdns with --features {feature}"
        );
    }
    let built = known.iter().filter(|known| known.spec.is_some()).map(|known| known.name);
    let near = suggestion(name, known.iter().map(|known| known.name));
    format!("unknown provider '{name}'; expected one of {}{near}", built.collect::<Vec<_>>().join(", "))
}

impl ProviderSpec {
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
    /// All faults of its keys at once.
    pub fn connect(
        &self,
        spec: &ProviderSpec,
        zone: &DnsName,
        owner: &Label,
        keys: &Keys,
    ) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
        (spec.connect)(&self.servers, zone, owner, keys)
    }

    /// Says that a daemon runs beside this process and serves these zones.
    pub fn assume_served(&self, serves: impl Fn(&DnsName) -> bool) {
        self.servers.assume_served(serves);
    }

    /// Serves a zone no longer that was connected; other backends keep what they hold.
    pub fn disconnect(&self, zone: &DnsName) {
        self.servers.remove(zone);
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
    fn each_provider_has_one_name_in_any_case() {
        let names: std::collections::BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), KNOWN.len());
        for spec in providers() {
            assert_eq!(find(&spec.name.to_uppercase()).map(|found| found.name), Some(spec.name));
        }
        assert!(find("google-clouddns").is_none());
    }

    #[test]
    fn a_provider_that_this_build_leaves_out_is_told_from_an_unknown_one() {
        let known = [
            Known { name: "aws-route53", feature: "route53", spec: None },
            Known {
                name: "embedded",
                feature: "",
                spec: Some(ProviderSpec { name: "embedded", keys: &[], connect: Servers::connect }),
            },
        ];
        assert_eq!(
            not_found_in(&known, "AWS-Route53"),
            "this build leaves out the provider 'aws-route53'; build fleetdns with --features route53"
        );
        assert_eq!(not_found_in(&known, "bind"), "unknown provider 'bind'; expected one of embedded");
        assert_eq!(
            not_found_in(&known, "aws-route5"),
            "unknown provider 'aws-route5'; expected one of embedded; did you mean 'aws-route53'?"
        );
    }
}
