//! The names that spell their Service.

use fleetdns_core::name::{DnsName, Label, NameError};
use fleetdns_core::service::ServiceKey;

/// What the federation names of a Service begin with: `svc.ns.fed.svc`.
pub(crate) fn stem(key: &ServiceKey, fleet: &Label) -> String {
    [key.name(), ".", key.namespace(), ".", fleet.as_str(), ".svc"].concat()
}

/// The global federation name of a Service: `svc.ns.fed.svc.suffix`.
///
/// # Errors
/// When the parts do not make a name, for example because it is too long.
pub(crate) fn global_name(key: &ServiceKey, fleet: &Label, suffix: &DnsName) -> Result<DnsName, NameError> {
    suffix.prepend(&stem(key, fleet))
}
