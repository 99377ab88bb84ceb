//! A scenario as the planner takes it, and what is asked of it.

use std::collections::BTreeSet;

use super::error::{ScenarioError, parse};
use super::read::{Zone, read_brakes, read_health, read_members, read_overrides, read_zones, settings};
use super::report::Report;
use super::scenario::Scenario;
use crate::adopt::fill;
use crate::explain::{Explanation, Facts, explain, similar};
use crate::planner::{Planner, Scope};
use crate::set_line::SetLine;
use fleetdns_core::brakes::{Brakes, approve};
use fleetdns_core::member::{Health, Snapshot};
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::observed::Observed;
use fleetdns_core::overrides::Overrides;
use fleetdns_core::plan::Plan;

/// Everything that a scenario says, read and checked.
pub(super) struct World {
    pub(super) zones: Vec<Zone>,
    pub(super) brakes: Brakes,
    pub(super) snapshot: Snapshot,
    pub(super) health: Health,
    pub(super) overrides: Overrides,
}

impl World {
    pub(super) fn read(scenario: &Scenario, down: &[String]) -> Result<Self, ScenarioError> {
        let fleet: Label = parse("fleet", &scenario.fleet)?;
        let zones = read_zones(scenario, &fleet)?;
        let brakes = read_brakes(&scenario.brakes)?;
        let suffixes = zones.iter().map(|(zone, ..)| (zone.zone.clone(), zone.suffix.clone()));
        let settings = settings(scenario, &fleet, suffixes.collect())?;
        let mut snapshot = read_members(scenario, &settings)?;
        for (zone, _, observed) in &zones {
            fill(&mut snapshot, zone, observed);
        }
        let health = read_health(scenario, &snapshot, down)?;
        let overrides = read_overrides(scenario)?;
        Ok(Self { zones, brakes, snapshot, health, overrides })
    }

    /// The planner of one zone, past start-up but for members that are still to be listed.
    fn planner(&self, (zone, capabilities, _): &Zone) -> Planner {
        let mut planner = Planner::new(zone.clone(), capabilities.clone(), self.brakes.clone());
        planner.update(&self.snapshot, &self.health);
        planner.apply_overrides(&self.overrides);
        planner.assume_probed();
        planner
    }

    fn approved(&self, planner: &Planner, observed: &Observed) -> Plan {
        approve(planner.plan(&Scope::All, observed), &self.brakes).plan().clone()
    }

    pub(super) fn report(&self) -> Report {
        let mut report = Report::default();
        for zone in &self.zones {
            let planner = self.planner(zone);
            report.desired.extend(planner.desired(&zone.2).iter().map(SetLine::from));
            report.add(&self.approved(&planner, &zone.2));
        }
        report
    }

    pub(super) fn why(&self, name: &DnsName) -> Explanation {
        let mut said = match self.zones.iter().find(|(zone, ..)| zone.takes(name)) {
            None => Explanation::outside(name, self.zones.iter().map(|(zone, ..)| zone)),
            Some(zone) => {
                let planner = self.planner(zone);
                let held = self.approved(&planner, &zone.2).held;
                let (settings, capabilities, observed) = zone;
                let facts = Facts {
                    had: None,
                    zone: settings,
                    capabilities,
                    brakes: &self.brakes,
                    snapshot: &self.snapshot,
                    health: &self.health,
                    overrides: &self.overrides,
                    observed,
                    startup: planner.startup(),
                    held: held.iter().find(|held| held.name == *name).map(|held| &held.reason),
                    refused: None,
                    last: &|_| None,
                    resolve_error: &|_| None,
                };
                explain(facts, name)
            }
        };
        if said.is_unknown() {
            said.similar = similar(name, self.names().iter());
        }
        said
    }

    /// The names that are ours or wanted.
    fn names(&self) -> BTreeSet<DnsName> {
        let mut names = BTreeSet::new();
        for zone in &self.zones {
            names.extend(zone.2.owned().cloned());
            names.extend(self.planner(zone).desired(&zone.2).into_iter().map(|set| set.name));
        }
        names
    }
}
