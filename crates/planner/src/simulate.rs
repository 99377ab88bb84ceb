//! A fleet written down in a file: what would DNS become?
//!
//! Reads a [`Scenario`]: members, their Services, verdicts, and what zones hold. Returns a [`Report`]: what is desired,
//! the plan that the brakes let through, and what is held or refused and why; or an [`Explanation`] of one name. All are
//! JSON by serde.

use crate::explain::Explanation;
use fleetdns_core::name::DnsName;

mod capture;
mod consequences;
mod down;
mod error;
mod read;
mod report;
mod scenario;
mod world;

pub use capture::Capture;
pub use consequences::{ZoneNow, consequences, without};
pub use error::ScenarioError;
pub use report::{ChangeLine, Report};
pub use scenario::{BrakeState, CapabilityState, MemberState, Scenario, SetState, VerdictState, ZoneState};

use world::World;

/// Plans a scenario, with everything in `down` taken for dead: members by their name, or what an override can be about.
///
/// # Errors
/// The first thing in the scenario that cannot be understood.
pub fn simulate(scenario: &Scenario, down: &[String]) -> Result<Report, ScenarioError> {
    Ok(World::read(scenario, down)?.report())
}

/// Says why a name would hold what it would hold.
///
/// # Errors
/// The first thing in the scenario that cannot be understood.
pub fn why(scenario: &Scenario, name: &DnsName, down: &[String]) -> Result<Explanation, ScenarioError> {
    Ok(World::read(scenario, down)?.why(name))
}

/// The first zone of a scenario, and its members.
#[cfg(test)]
pub(crate) fn parts_of(
    scenario: &Scenario,
) -> (crate::desired::ZoneSettings, fleetdns_core::member::Snapshot) {
    let World { zones, input, .. } = World::read(scenario, &[]).unwrap();
    (zones[0].0.clone(), input.snapshot)
}

#[cfg(test)]
mod tests;
