//! What one pass does, as data, and what the brakes remember of it.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::brakes::ApprovedPlan;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::{Observed, ObservedSet};
use fleetdns_core::plan::{Change, HeldChange};
use fleetdns_core::record::{RecordData, RecordSet};

use super::{Move, Scope};
use crate::brakes::Velocity;

/// What the brakes of a zone remember from one pass to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The removals of the last minute.
    pub velocity: Velocity,
    /// Names of which `max-delete` holds the deletion. They count again with whatever is to be deleted.
    pub undeleted: BTreeSet<DnsName>,
}

/// What one pass does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The names that were looked at.
    pub scope: Scope,
    /// What may be written, and what is held or refused.
    pub approved: ApprovedPlan,
    /// What becomes of single addresses, in the order of the names.
    pub moves: Vec<Move>,
    /// Names that have to change and wait by themselves.
    pub waits: BTreeSet<DnsName>,
    /// When there is room again for a removal that the velocity brake holds.
    pub room_at: Option<Duration>,
    /// Everything that ought to stand at these names, where it was asked for.
    pub desired: Vec<RecordSet>,
}

impl Preview {
    /// The brake that holds something at a name.
    pub fn held(&self, name: &DnsName) -> Option<&HeldChange> {
        self.approved.plan().held.iter().find(|held| held.name == *name)
    }

    /// What is ours at a name after the pass.
    pub fn after<'a>(&'a self, name: &DnsName, observed: &'a Observed) -> Vec<&'a RecordData> {
        let changes = &self.approved.plan().changes;
        let place = changes.binary_search_by(|change| change.name.cmp(name)).ok();
        let changes = place.and_then(|place| changes.get(place)).map_or(&[][..], |change| &change.changes);
        let touched =
            |data: &&RecordData| changes.iter().any(|change| change.record_type() == data.record_type());
        let stay = observed.at(name).iter().filter_map(ObservedSet::ours).filter(|data| !touched(data));
        let written = changes.iter().filter_map(Change::after).map(|(set, _)| &set.data);
        let mut after: Vec<&RecordData> = stay.chain(written).collect();
        after.sort_by_key(|data| data.record_type());
        after
    }
}
