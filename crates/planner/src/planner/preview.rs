//! What the planner knows of one name, for who asks why.

use super::*;
use fleetdns_core::plan::Refusal;

/// One name as the planner sees it.
#[derive(Debug)]
pub(crate) struct Preview {
    /// What its holder wants there, after routing; `None` when nobody wants it.
    pub(crate) desired: Option<Desired>,
    /// What ought to stand there, as far as it can be served: what is there, where that is kept.
    pub(crate) sets: Option<Vec<RecordSet>>,
    /// What one pass over this name alone would do.
    pub(crate) plan: Plan,
}

impl Preview {
    /// Services that ask for the name and do not get it.
    pub(crate) fn others(&self) -> impl Iterator<Item = &ServiceKey> {
        self.plan.refused.iter().filter_map(|refused| match &refused.reason {
            Refusal::Claimed { asked_by, .. }
            | Refusal::Shared { asked_by, .. }
            | Refusal::Kept { asked_by, .. } => Some(asked_by),
            _ => None,
        })
    }
}

impl Planner {
    /// A planner of a few Services, past start-up unless it is told otherwise. Costs what these Services cost, however
    /// many verdicts there are.
    pub(crate) fn still(
        (zone, capabilities, brakes): (ZoneSettings, Capabilities, Brakes),
        snapshot: Snapshot,
        (health, overrides): (Health, Overrides),
        startup: Option<&str>,
    ) -> Self {
        let mut planner = Self::new(zone, capabilities, brakes);
        let members = snapshot.members.values();
        let keys: BTreeSet<ServiceKey> =
            members.flat_map(|member| member.services.keys().chain(member.absent.keys()).cloned()).collect();
        planner.unlisted = unlisted(&snapshot);
        planner.snapshot = snapshot;
        planner.health = health;
        planner.overrides = overrides;
        planner.startup = startup.map(Arc::from);
        for key in &keys {
            planner.regroup(key);
        }
        planner
    }

    /// Looks at one name.
    pub(crate) fn preview(&self, name: &DnsName, observed: &Observed) -> Preview {
        let there = observed.at(name);
        let (mut desired, _) = self.holder(name, observed);
        if let Some(desired) = &mut desired {
            desired.route(&self.zone, there);
        }
        let (decision, _) = self.decide(name, observed);
        let scope = Scope::Names(BTreeSet::from([name.clone()]));
        Preview { desired, sets: decision.map(|decision| decision.sets), plan: self.plan(&scope, observed) }
    }
}
