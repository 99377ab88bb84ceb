//! What becomes of the names of some Services in one zone.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{DnsName, Observed, RecordData, ServiceKey};
use fleetdns_planner::{Planner, Scope};

use crate::zone::ZoneStatus;

/// What becomes of a zone.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    /// What each name holds after the next pass.
    pub(crate) sets: BTreeMap<DnsName, Vec<RecordData>>,
    /// The brake that holds a name then.
    pub(crate) held: BTreeMap<DnsName, String>,
}

impl Outlook {
    /// Of the names that these Services want, with what the planner has taken in.
    pub(crate) fn of(
        planner: &mut Planner,
        zone: &ZoneStatus,
        services: &BTreeSet<ServiceKey>,
        observed: &Observed,
    ) -> Self {
        // A name that stands for a Service which is left out here is that one's.
        let others = |name: &DnsName| {
            let marks = observed.at(name).iter().filter_map(|set| set.claim.ownership());
            marks.into_iter().any(|mark| !mark.services().iter().all(|service| services.contains(*service)))
        };
        let names: BTreeSet<DnsName> = planner.names().filter(|name| !others(name)).cloned().collect();
        let scope = Scope::Names(names.clone());
        let preview = planner.preview(&scope, observed, &mut zone.memory.clone(), zone.started.elapsed());
        let mut sets = BTreeMap::new();
        for name in names {
            let after: Vec<RecordData> = preview.after(&name, observed).into_iter().cloned().collect();
            if !after.is_empty() {
                sets.insert(name, after);
            }
        }
        let held = &preview.approved.plan().held;
        let held = held.iter().map(|one| (one.name.clone(), one.reason.to_string())).collect();
        Self { sets, held }
    }
}
