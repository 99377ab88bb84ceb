//! The names that spell their Service.

use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::service::ServiceKey;

/// The global federation name of a Service: `svc.ns.fed.svc.suffix`.
///
/// # Errors
/// When the parts do not make a name, for example because it is too long.
pub(crate) fn global_name(
    key: &ServiceKey,
    fleet: &Label,
    suffix: &DnsName,
) -> Result<DnsName, fleetdns_core::name::NameError> {
    suffix.prepend(&format!("{}.{}.{fleet}.svc", key.name(), key.namespace()))
}
