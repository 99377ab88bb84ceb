//! Every section and key of `dns.conf`, and how their names are spelled.

use std::collections::HashMap;
use std::sync::LazyLock;

use fleetdns_core::keys::KeySpec;

use crate::registry;

/// A kind of section.
#[derive(Debug, Clone, Copy)]
pub struct SectionSpec {
    /// In lower case.
    pub kind: &'static str,
    /// What its label names, in capitals; `None` where it has no label and stands once.
    pub label: Option<&'static str>,
    /// Its keys, without those of providers.
    pub keys: &'static [KeySpec],
}

const fn key(name: &'static str, help: &'static str) -> KeySpec {
    KeySpec { name, secret: false, help }
}

/// Provider keys for every zone.
pub const GLOBAL: SectionSpec = SectionSpec {
    kind: "global",
    label: None,
    keys: &[key("provider", "provider of the zones that name none")],
};

/// The fleet.
pub const FLEET: SectionSpec = SectionSpec {
    kind: "fleet",
    label: None,
    keys: &[
        key("name", "name of the fleet, a label of every federation name"),
        key("owner", "owner id of our records; the fleet's name unless said otherwise"),
        key("federation-names", "whether names such as svc.ns.fleet.svc.zone are written: on or off"),
        key("namespaces", "namespaces that are read; all unless said otherwise"),
        key("selector", "label selector of the Services that are read"),
        key("name-template", "host name for every Service, with {name}, {namespace} and {fleet}"),
        key("ttl", "TTL of records whose zone and Service ask for none"),
        key(
            "address-deny",
            "networks whose addresses are neither published nor probed, beside the built-in ones",
        ),
        key("address-allow", "networks that are allowed though a wider one is denied"),
        key("max-services", "Services that one cluster's API may have"),
        key("max-object-size", "bytes of one object of an API"),
        key("max-list-size", "bytes of one list of an API, all its pages together"),
        key("state-dir", "directory that keeps what is drained and forced; systemd's unless said otherwise"),
    ],
};

/// A zone that is written.
pub const ZONE: SectionSpec = SectionSpec {
    kind: "zone",
    label: Some("NAME"),
    keys: &[
        key("provider", "who serves the zone"),
        key("suffix", "what federation names end in; the zone unless said otherwise"),
        key("ttl", "TTL of records whose Service asks for none"),
        key("routing", "who stands at a name: all healthy clusters, or failover, those of the best priority"),
    ],
};

/// A member of the fleet.
pub const CLUSTER: SectionSpec = SectionSpec {
    kind: "cluster",
    label: Some("NAME"),
    keys: &[
        key("kubeconfig", "kubeconfig file, or several with ':' between them; the pod's own cluster without"),
        key("context", "context of the kubeconfig; its current one unless said otherwise"),
        key("region", "region; what the nodes say unless said otherwise"),
        key("zones", "zones of the region; what the nodes say unless said otherwise"),
        key("priority", "for routing = failover: the lowest number comes first"),
        key("address-deny", "for its Services what [fleet] says for all: address-deny"),
        key("address-allow", "the same: address-allow"),
        key("max-services", "Services that its API may have; what [fleet] says unless said otherwise"),
        key("max-object-size", "the same: bytes of one object"),
        key("max-list-size", "the same: bytes of one list"),
        key("probe-protocol", "for its endpoints what [probe] says for all: protocol"),
        key("probe-port", "the same: port"),
        key("probe-extra-ports", "the same: extra-ports"),
        key("probe-path", "the same: path"),
        key("probe-host", "the same: host"),
        key("probe-service", "the same: service"),
        key("probe-expect", "the same: expect"),
        key("probe-interval", "the same: interval"),
        key("probe-timeout", "the same: timeout"),
        key("probe-fall", "the same: fall"),
        key("probe-rise", "the same: rise"),
        key("probe-ca-file", "the same: ca-file"),
        key("probe-insecure", "the same: insecure"),
    ],
};

/// Members that come and go beside the sections.
pub const DISCOVERY: SectionSpec = SectionSpec {
    kind: "discovery",
    label: None,
    keys: &[
        key("directory", "directory of kubeconfigs: each is a member, named as its file"),
        key("secrets", "label selector of Secrets of the host cluster: each with a kubeconfig is a member"),
        key("profiles", "label selector of ClusterProfiles of the host cluster: each is a member"),
        key("profile-providers", "JSON file of the credential plugins of ClusterProfiles"),
        key("cluster", "the host cluster, one of the sections"),
        key("namespace", "namespace of the objects on the host cluster, or * for all"),
        key("key", "key of the kubeconfig in a Secret; the usual ones unless said otherwise"),
        key("name-label", "label that names the member"),
        key("region-label", "label that names its region"),
        key("zone-label", "label that names its zone"),
        key(
            "allow",
            "what a kubeconfig in a Secret may do: exec (run a credential plugin), files (name files)",
        ),
    ],
};

/// Probing of endpoints.
pub const PROBE: SectionSpec = SectionSpec {
    kind: "probe",
    label: None,
    keys: &[
        key("protocol", "tcp, http, https, grpc, grpcs or none"),
        key("port", "port; the Service's first TCP port unless said otherwise"),
        key("extra-ports", "ports that a Service may ask for by annotation beside its own"),
        key("path", "path of HTTP probes"),
        key("host", "Host header and SNI of HTTP and gRPC probes; the published name unless said otherwise"),
        key("service", "service that gRPC probes ask for; the server as a whole unless said otherwise"),
        key("expect", "statuses that HTTP probes expect"),
        key("interval", "from one probe to the next"),
        key("min-interval", "the shortest interval that a Service may ask for by annotation"),
        key("fast-interval", "from one probe to the next while a verdict is about to change"),
        key("timeout", "deadline of a whole probe"),
        key("fall", "failures in a row that take an endpoint out"),
        key("rise", "successes in a row that bring it back"),
        key("ca-file", "authorities that https and grpcs probes trust, instead of the system's"),
        key("insecure", "whether https and grpcs probes accept any certificate: on or off"),
        key("unprobeable", "what becomes of addresses that cannot be probed from here: publish or hold"),
        key("nameservers", "resolvers for load balancer host names; the system's unless said otherwise"),
        key("min-ttl", "the shortest time for which an answer of a resolver counts, whatever its TTL"),
        key("max-ttl", "the longest"),
    ],
};

/// What a plan has to pass.
pub const BRAKES: SectionSpec = SectionSpec {
    kind: "brakes",
    label: None,
    keys: &[
        key("min-kept", "health never leaves fewer addresses at a name"),
        key("all-down", "what stays when every endpoint of a name is down: keep, all or empty"),
        key("max-delete", "percent of our names that one plan may delete"),
        key("max-removals", "percent of a zone's addresses that may die within a minute"),
        key("removals", "on, or off: say what would go and keep it"),
        key("correlation-hold", "how long what failed together in several clusters is held, or forever"),
        key("anchors", "what accepts connections as long as our own network works: host:port, host:port"),
        key("startup-timeout", "how long start-up waits for a member before it goes on without"),
        key("grace", "how long an emptied load balancer keeps its addresses"),
        key("hostname-grace", "how long the host names of a deleted Service are kept for it"),
        key("drift", "from one reading of a zone to the next when nothing happens"),
    ],
};

/// How much one tenant may have.
pub const LIMITS: SectionSpec = SectionSpec {
    kind: "limits",
    label: None,
    keys: &[
        key("max-annotation", "octets of one annotation; a longer list is cut, anything else is not read"),
        key("service-hostnames", "host names that one Service may ask for"),
        key("namespace-hostnames", "host names that one namespace of one cluster may ask for"),
        key("name-addresses", "addresses of one family at one name"),
        key("namespace-probes", "probes a second of one namespace"),
    ],
};

/// Which namespaces may ask for which host names: its keys are namespaces, and are taken as they stand.
pub const HOSTNAMES: SectionSpec = SectionSpec { kind: "hostnames", label: None, keys: &[] };

/// What is written into the clusters.
pub const KUBERNETES: SectionSpec = SectionSpec {
    kind: "kubernetes",
    label: None,
    keys: &[
        key("events", "whether Events about Services are written into their clusters: on or off"),
        key("service-ingresses", "whether kubefed's annotation is set on Services: on or off"),
    ],
};

/// Several replicas of one daemon.
pub const HA: SectionSpec = SectionSpec {
    kind: "ha",
    label: None,
    keys: &[
        key(
            "lease",
            "NAMESPACE/NAME of the Lease by which the replicas elect a leader, and of a ConfigMap beside it",
        ),
        key("cluster", "name of the cluster that has the Lease; needed when there are several"),
        key("lease-time", "within this another replica takes over when the leader is gone"),
        key("replica", "name of this replica; the host's unless said otherwise"),
        key("etcd-endpoints", "instead of lease: client URLs of an etcd, separated by commas"),
        key(
            "etcd-prefix",
            "where in etcd the replicas keep what they share; /fleetdns/OWNER unless said otherwise",
        ),
        key("etcd-ca-file", "PEM file of the authority that signed etcd's certificate"),
        key("etcd-cert-file", "PEM file of our client certificate"),
        key("etcd-key-file", "PEM file of its private key"),
        key("etcd-username", "user, when etcd has authentication enabled"),
        KeySpec { name: "etcd-password", secret: true, help: "its password" },
    ],
};

/// Admin API and log.
pub const ADMIN: SectionSpec = SectionSpec {
    kind: "admin",
    label: None,
    keys: &[
        key("listen", "loopback address and port of the admin API, or off"),
        key("hosts", "names under which the admin API may be asked, besides localhost and its address"),
        key("metrics", "address and port for /livez, /readyz and /metrics, also from other hosts; or off"),
        key("socket", "path of the socket that takes orders such as drain, or off"),
        key("log", "text or json"),
        key("log-level", "error, warn, info, debug or trace"),
        key("audit", "file that takes every event, one JSON object in each line"),
    ],
};

/// All sections.
pub const SECTIONS: [&SectionSpec; 12] = [
    &GLOBAL,
    &FLEET,
    &ZONE,
    &CLUSTER,
    &DISCOVERY,
    &PROBE,
    &BRAKES,
    &HOSTNAMES,
    &LIMITS,
    &KUBERNETES,
    &HA,
    &ADMIN,
];

/// What may be added to the name of a secret key, and is said by the value then.
pub(super) const SECRET_FORMS: [&str; 2] = ["-file", "-env"];

/// The names under which a key may be given: a secret has three.
pub fn key_names(spec: &KeySpec) -> Vec<String> {
    let forms = if spec.secret { &SECRET_FORMS[..] } else { &[] };
    let forms = forms.iter().map(|form| format!("{}{form}", spec.name));
    std::iter::once(spec.name.to_owned()).chain(forms).collect()
}

/// Names of all keys of all sections and providers.
pub(super) fn all_key_names() -> Vec<String> {
    let providers = registry::providers().flat_map(|provider| provider.keys);
    SECTIONS.iter().flat_map(|section| section.keys).chain(providers).flat_map(key_names).collect()
}

/// What stands between the brackets of a section.
pub(super) fn title(kind: &str, label: Option<&str>) -> String {
    match label {
        Some(label) => format!("{kind} \"{label}\""),
        None if kind == "global" => "Global".to_owned(),
        None => kind.to_owned(),
    }
}

/// The spelling inside of a section or key: case, `-`, `_` and capitals in the middle make no difference.
pub(super) fn spelling(written: &str) -> String {
    KNOWN.get(&squashed(written)).cloned().unwrap_or_else(|| kebab(written))
}

/// Every known section and key by its squashed name.
static KNOWN: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let kinds = SECTIONS.iter().map(|section| section.kind.to_owned());
    kinds.chain(all_key_names()).map(|known| (squashed(&known), known)).collect()
});

fn squashed(name: &str) -> String {
    name.chars().filter(|c| !"-_".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
}

fn kebab(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    let mut small = false;
    for c in name.chars() {
        if small && c.is_ascii_uppercase() {
            text.push('-');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        text.push(if c == '_' { '-' } else { c.to_ascii_lowercase() });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn case_hyphens_underscores_and_camel_case_are_one() {
        for (written, spelled) in [
            ("resourceGroup", "resource-group"),
            ("resource_group", "resource-group"),
            ("RESOURCEGROUP", "resource-group"),
            ("Resource-Group", "resource-group"),
            ("SECRET_FILE", "secret-file"),
            ("Global", "global"),
            ("newKeyOf2Parts", "new-key-of2-parts"),
            ("NEW_KEY", "new-key"),
        ] {
            assert_eq!(spelling(written), spelled);
        }
    }

    #[test]
    fn no_two_known_keys_are_one() {
        let names: BTreeSet<String> = all_key_names().into_iter().collect();
        let squashed: BTreeSet<String> = names.iter().map(|name| squashed(name)).collect();
        assert_eq!(names.len(), squashed.len());
        for provider in registry::providers() {
            for spec in provider.keys.iter().flat_map(key_names) {
                let own = ZONE.keys.iter().chain(GLOBAL.keys).map(|spec| spec.name);
                assert!(!own.into_iter().any(|name| name == spec), "{spec} of {}", provider.name);
            }
        }
    }
}
