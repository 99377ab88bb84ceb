//! What a Service says to its cloud's load balancer of its health, as far as it holds outside.
//!
//! The load balancer of a cloud probes the nodes from within: another port, which takes no part in the name, and any
//! certificate will do. So only a path that it asks for in plain HTTP is taken, for the port that is published; its
//! `healthcheck-port` and `health-probe_port` say nothing of that port and are not read. HTTPS is left alone, since
//! nobody has shown that the certificate would be right for the name, and so is port 443, where plain HTTP is most likely
//! wrong. Whether the path is answered outside as it is inside, nobody knows: see [`fleetdns_core::probe::Check::Guess`].

use fleetdns_core::annotations::{AWS, AZURE, AZURE_PORT, is_cloud_health};
use fleetdns_core::probe::{Expect, is_path};
use fleetdns_core::service::Service;

/// What the cloud asks for on a published port, when that is a path in plain HTTP.
pub(super) fn request(service: &Service, port: u16) -> Option<(&str, Expect)> {
    // Most Services say nothing of the kind.
    if port == 443 || !service.annotations.keys().any(|key| is_cloud_health(key)) {
        return None;
    }
    azure(service, port).or_else(|| aws(service))
}

/// One port's own word wins over the one for all ports. A path counts only beside the protocol: the cloud takes TCP for
/// granted, and no apply of a path then.
fn azure(service: &Service, port: u16) -> Option<(&str, Expect)> {
    let said = |part: &str| {
        let own = service.full_annotation(&format!("{AZURE_PORT}{port}_health-probe_{part}"));
        own.or_else(|| service.full_annotation(&format!("{AZURE}{part}")))
    };
    plain(said("protocol")?, said("request-path")?).map(|path| (path, Expect::default()))
}

fn aws(service: &Service) -> Option<(&str, Expect)> {
    let said = |part: &str| service.full_annotation(&format!("{AWS}{part}"));
    let path = plain(said("protocol")?, said("path")?)?;
    // Codes that cannot be read are the cloud's to complain of.
    let expect = said("success-codes").and_then(|text| text.parse().ok()).unwrap_or_default();
    Some((path, expect))
}

fn plain<'a>(protocol: &str, path: &'a str) -> Option<&'a str> {
    (protocol.eq_ignore_ascii_case("http") && is_path(path)).then_some(path)
}
