//! What follows when something of a running fleet dies.

use std::time::Duration;

use super::down::Down;
use super::error::ScenarioError;
use super::report::Report;
use crate::desired::ZoneSettings;
use crate::input::Input;
use crate::lines::SetLine;
use crate::planner::{Memory, Planner, Scope};
use fleetdns_core::brakes::Brakes;
use fleetdns_core::observed::Observed;
use fleetdns_core::overrides::Subject;
use fleetdns_core::provider::Capabilities;

/// A zone of a running fleet.
#[derive(Debug, Clone, Copy)]
pub struct ZoneNow<'a> {
    /// The zone.
    pub settings: &'a ZoneSettings,
    /// What its provider can represent.
    pub capabilities: &'a Capabilities,
    /// What it holds.
    pub observed: &'a Observed,
    /// What its brakes remember.
    pub memory: &'a Memory,
    /// The moment, by the clock of that memory.
    pub now: Duration,
}

/// What the next pass over each zone does when everything in `down` is dead, beyond what it does anyway. Works out for the
/// whole fleet who wants which name, and plans the names that depend on what is dead.
///
/// # Errors
/// When the fleet has nothing of the kind in `down`.
pub fn consequences<'a>(
    input: &Input,
    brakes: &Brakes,
    zones: impl IntoIterator<Item = ZoneNow<'a>>,
    down: &[String],
) -> Result<Report, ScenarioError> {
    let down = Down::read(down, input.fleet())?;
    let then = down.applied(input);
    let mut report = Report::default();
    for zone in zones {
        let mut planner = Planner::new(zone.settings.clone(), zone.capabilities.clone(), brakes.clone());
        planner.update(input);
        let mut scope = planner.update(&then);
        // A planner is not told of a host name that was never resolved.
        scope.extend(Scope::Names(planner.names_of(&down.services(input.fleet()))));
        let mine = Report::of_scope(&mut planner, &scope, zone);
        planner.update(input);
        report.append(mine.beyond(&Report::of_scope(&mut planner, &scope, zone)));
    }
    Ok(report)
}

/// What decisions are made from when a subject is dead. What lives in another member too is as it was.
#[must_use]
pub fn without(input: &Input, subject: Subject) -> Input {
    Down([subject].into()).applied(input)
}

impl Report {
    /// What one pass over these names does.
    fn of_scope(planner: &mut Planner, scope: &Scope, zone: ZoneNow<'_>) -> Self {
        let preview = planner.preview_desired(scope, zone.observed, &mut zone.memory.clone(), zone.now);
        let mut report = Self::default();
        report.add(preview.approved.plan());
        report.desired.extend(preview.desired.iter().map(SetLine::from));
        report
    }
}
