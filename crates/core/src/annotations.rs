//! Names of the annotations that are read.
//!
//! Of those that a Service has for its cloud's load balancer, only a path in plain HTTP can hold outside too: its
//! `healthcheck-port` and `health-probe_port` concern a port of the nodes and are not read.

/// Prefix of our own annotations.
pub const OWN_PREFIX: &str = "fleetdns.io/";

/// Prefixes under which `SHARED` annotations are read; an earlier one wins.
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
    own || shared() || is_cloud_health(annotation)
}

/// Octets of an annotation that are ever read, whatever the limit is set to.
pub const LARGEST_ANNOTATION: usize = 64 * 1024;

/// Prefixes of Azure's annotations for all ports, and for one port.
pub const AZURE: &str = "service.beta.kubernetes.io/azure-load-balancer-health-probe-";
/// See [`AZURE`].
pub const AZURE_PORT: &str = "service.beta.kubernetes.io/port_";
/// Prefix of AWS's annotations.
pub const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-";

/// Whether an annotation is one of those that describe a cloud's health probe and are read.
pub fn is_cloud_health(annotation: &str) -> bool {
    let azure = |part: &str| matches!(part, "protocol" | "request-path");
    if let Some(part) = annotation.strip_prefix(AZURE) {
        return azure(part);
    }
    if let Some(part) = annotation.strip_prefix(AWS) {
        return matches!(part, "protocol" | "path" | "success-codes");
    }
    annotation.strip_prefix(AZURE_PORT).and_then(|rest| rest.split_once("_health-probe_")).is_some_and(
        |(port, part)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && azure(part),
    )
}

/// The port that an annotation of Azure's concerns.
pub fn azure_port(annotation: &str) -> Option<u16> {
    annotation.strip_prefix(AZURE_PORT)?.split_once("_health-probe_")?.0.parse().ok()
}
