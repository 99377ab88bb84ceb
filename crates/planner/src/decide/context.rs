//! What the decision at a name depends on.

use std::collections::BTreeSet;

use fleetdns_core::address::Address;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::plan::Hold;
use fleetdns_core::probe::ProbeSpec;

/// What the decision depends on besides the name itself.
#[derive(Clone)]
pub(crate) struct PlanContext<'a> {
    /// Nothing goes, whatever the cause.
    pub(crate) freeze: Option<Hold>,
    /// Nothing goes because of what probes say.
    pub(crate) vantage: Option<Hold>,
    /// Why what failed in a doubt does not go.
    pub(crate) held: Hold,
    /// What has to wait before it goes because of what probes say.
    pub(crate) waiting: &'a BTreeSet<Address>,
    /// Whether probing in this way has shown that it works: a majority of the Service's endpoints that are probed so
    /// answer.
    pub(crate) proven: &'a dyn Fn(&ProbeSpec) -> bool,
    /// Members of which no whole list has come in yet.
    pub(crate) unlisted: &'a BTreeSet<MemberName>,
    pub(crate) brakes: &'a Brakes,
}
