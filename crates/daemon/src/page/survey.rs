//! One look over every endpoint of the fleet.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{MemberName, ServiceKey, Verdict};
use fleetdns_planner::Input;
use fleetdns_planner::desired::address_verdict;

/// Endpoints by verdict, in the order of [`Verdict::ALL`].
pub(super) type Verdicts = [usize; Verdict::ALL.len()];

/// What is counted of the fleet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Endpoints of each cluster.
    pub(super) clusters: BTreeMap<MemberName, Verdicts>,
    /// All Services: first those in trouble, then the others, each by namespace and name.
    pub(super) services: Vec<ServiceKey>,
    /// How many are in trouble: an endpoint is not healthy, or what they ask for cannot be used.
    pub(super) troubled: usize,
}

impl Survey {
    pub(super) fn of(input: &Input) -> Self {
        let (health, mut clusters) = (input.health(), BTreeMap::new());
        let mut troubled = BTreeSet::new();
        let mut others: Vec<&ServiceKey> = Vec::new();
        for member in input.fleet().members.values() {
            let verdicts: &mut Verdicts = clusters.entry(member.name.clone()).or_default();
            for (key, service) in &member.services {
                let mut good = service.faults.is_empty();
                for address in service.addresses.iter().flatten() {
                    let verdict = address_verdict(health, &member.name, address, &service.probe);
                    good &= verdict == Verdict::Healthy;
                    add(verdicts, verdict);
                }
                if good {
                    others.push(key);
                } else {
                    troubled.insert(key);
                }
            }
        }
        others.sort_unstable();
        others.dedup();
        others.retain(|key| !troubled.contains(key));
        let count = troubled.len();
        let services = troubled.into_iter().chain(others).cloned().collect();
        Self { clusters, services, troubled: count }
    }
}

fn add(verdicts: &mut Verdicts, verdict: Verdict) {
    let place = Verdict::ALL.iter().position(|one| *one == verdict);
    if let Some(count) = place.and_then(|place| verdicts.get_mut(place)) {
        *count += 1;
    }
}
