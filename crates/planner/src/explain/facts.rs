//! Everything that an explanation depends on.

use std::sync::Arc;
use std::time::Duration;

use super::explanation::LastProbe;
use crate::desired::ZoneSettings;
use crate::input::Input;
use crate::planner::Memory;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::plan::Refusal;
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
    /// Members, verdicts and overrides.
    pub input: &'a Input,
    /// What the zone holds.
    pub observed: &'a Observed,
    /// Whether that is nothing because the zone has not been read yet.
    pub unread: bool,
    /// What the brakes remember of the last pass over the whole zone.
    pub memory: &'a Memory,
    /// The time by the clock of that memory.
    pub now: Duration,
    /// Why the backend did not write the name when it was last asked to.
    pub refused: Option<&'a Refusal>,
    /// The Service that had the name last, where a pass remembers more than the zone says.
    pub had: Option<&'a ServiceKey>,
    /// The last probe of a key, as far as there was one.
    pub last: &'a dyn Fn(&ProbeKey) -> Option<LastProbe>,
    /// Why a host name could not be resolved the last time.
    pub resolve_error: &'a dyn Fn(&DnsName) -> Option<Arc<str>>,
}
