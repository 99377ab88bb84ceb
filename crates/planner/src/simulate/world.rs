//! A scenario as the planner takes it, and what is asked of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::{ScenarioError, parse};
use super::read::{Zone, read_brakes, read_health, read_members, read_zones, settings};
use super::report::Report;
use super::scenario::Scenario;
use crate::adopt::fill;
use crate::explain::{Explanation, Facts, explain, similar};
use crate::input::Input;
use crate::planner::{Memory, Planner, Scope};
use fleetdns_core::brakes::Brakes;
use fleetdns_core::name::{DnsName, Label};

/// Everything that a scenario says, read and checked.
pub(super) struct World {
    pub(super) zones: Vec<Zone>,
    pub(super) brakes: Brakes,
    pub(super) input: Input,
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
        let overrides = scenario.overrides.iter().cloned().collect();
        Ok(Self { zones, brakes, input: Input::new(&snapshot, &health, &overrides) })
    }

    pub(super) fn report(&self) -> Report {
        let mut report = Report::default();
        for (zone, capabilities, observed) in &self.zones {
            report.add_zone((zone, capabilities, &self.brakes), &self.input, observed);
        }
        report
    }

    pub(super) fn why(&self, name: &DnsName) -> Explanation {
        let mut said = match self.zones.iter().find(|(zone, ..)| zone.takes(name)) {
            None => Explanation::outside(name, self.zones.iter().map(|(zone, ..)| zone)),
            Some((zone, capabilities, observed)) => {
                let mut memory = Memory::default();
                let mut planner = Planner::new(zone.clone(), capabilities.clone(), self.brakes.clone());
                planner.update(&self.input);
                planner.preview(&Scope::All, observed, &mut memory, Duration::ZERO);
                let facts = Facts {
                    zone,
                    capabilities,
                    brakes: &self.brakes,
                    input: &self.input,
                    observed,
                    unread: false,
                    memory: &memory,
                    now: Duration::ZERO,
                    refused: None,
                    had: None,
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
        for (zone, capabilities, observed) in &self.zones {
            let mut planner = Planner::new(zone.clone(), capabilities.clone(), self.brakes.clone());
            planner.update(&self.input);
            names.extend(observed.owned().chain(planner.names()).cloned());
        }
        names
    }
}
