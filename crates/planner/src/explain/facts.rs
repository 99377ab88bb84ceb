//! Everything that an explanation depends on.

use std::sync::Arc;

use super::explanation::LastProbe;
use crate::desired::ZoneSettings;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::member::{Health, Snapshot};
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::overrides::Overrides;
use fleetdns_core::plan::{Hold, Refusal};
use fleetdns_core::probe::ProbeKey;
use fleetdns_core::provider::Capabilities;
use fleetdns_core::service::ServiceKey;

/// Everything that the answer depends on. Cheap to make: nothing is copied.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The zone that takes the name.
    pub zone: &'a ZoneSettings,
    /// What its provider can represent.
    pub capabilities: &'a Capabilities,
    /// The brakes.
    pub brakes: &'a Brakes,
    /// Members.
    pub snapshot: &'a Snapshot,
    /// Verdicts.
    pub health: &'a Health,
    /// What persons say.
    pub overrides: &'a Overrides,
    /// What the zone holds.
    pub observed: &'a Observed,
    /// What start-up waits for, while it does.
    pub startup: Option<&'a str>,
    /// What holds the name, where a pass over the whole zone said so: some brakes look at more than one name.
    pub held: Option<&'a Hold>,
    /// Why the backend did not write the name when it was last asked to.
    pub refused: Option<&'a Refusal>,
    /// The Service that had the name last, where a pass remembers more than the zone says.
    pub had: Option<&'a ServiceKey>,
    /// The last probe of a key, as far as there was one.
    pub last: &'a dyn Fn(&ProbeKey) -> Option<LastProbe>,
    /// Why a host name could not be resolved the last time.
    pub resolve_error: &'a dyn Fn(&DnsName) -> Option<Arc<str>>,
}
