//! What reading a Service depends on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::probe_defaults::ProbeDefaults;
use fleetdns_core::hostnames::HostnamePolicy;
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::policy::AddressPolicies;
use fleetdns_core::probe::Guard;
use fleetdns_core::quota::Limits;

/// What reading a Service depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishSettings {
    /// Fleet whose federation names are published; `None` publishes host names only.
    pub fleet: Option<Label>,
    /// Zones that are written, with the suffix of federation names in each.
    pub zones: Vec<(DnsName, DnsName)>,
    /// Host name for every Service, with `{name}`, `{namespace}` and `{fleet}` in it.
    pub template: Option<String>,
    /// Namespaces that are read; all when it is empty.
    pub namespaces: BTreeSet<String>,
    /// Probing.
    pub probe: ProbeDefaults,
    /// How much one tenant may have.
    pub limits: Limits,
    /// Which namespace may ask for which host name.
    pub policy: Arc<HostnamePolicy>,
    /// Which addresses may be published and probed.
    pub addresses: Arc<AddressPolicies>,
    /// Which of the policies holds.
    pub guard: Guard,
}
