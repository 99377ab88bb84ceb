//! The brakes on removals. Each holds some of them and says why; [`Hold::until`] says until when.
//!
//! The order of [`TABLE`] is that in which they are asked about one address at one name. [`floor`] is asked about the last
//! addresses of a name, [`Velocity`] about what a zone would lose within a minute (what it holds is `waiting` in the next
//! plan), and [`max-delete`](fleetdns_core::brakes::approve) about the deletions of a whole plan, which it approves.

use std::collections::BTreeSet;

use crate::input::Input;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::hold::Hold;
use fleetdns_core::probe::{ProbeSpec, Verdict};
use fleetdns_core::self_check::SelfCheckFailure;

mod floor;
mod velocity;

pub(crate) use floor::floor;
pub use velocity::Velocity;
pub(crate) use velocity::{Leaving, budget};

/// What the brakes at a name depend on.
#[derive(Clone, Copy)]
pub(crate) struct BrakeInputs<'a> {
    pub(crate) input: &'a Input,
    pub(crate) settings: &'a Brakes,
    /// What the velocity brake holds.
    pub(crate) waiting: &'a BTreeSet<Address>,
    /// Whether a way of probing has shown that it works: a majority of the Service's endpoints that are probed so answer.
    pub(crate) proven: &'a dyn Fn(&ProbeSpec) -> bool,
}

/// Something that would leave a name.
#[derive(Clone, Copy)]
pub(crate) enum Removal<'a> {
    /// An operator wants it out, or no member has it any more.
    Wanted,
    /// Its probes fail.
    Dead {
        address: &'a Address,
        verdict: Verdict,
        /// How it is probed now, where it answered to another way.
        untried: &'a dyn Fn() -> Option<&'a ProbeSpec>,
    },
}

/// A brake: why it holds a removal, if it does.
type Brake = fn(&BrakeInputs<'_>, Removal<'_>) -> Option<Hold>;

const TABLE: [Brake; 7] = [start_up, removals_off, vantage, correlation, recovered, new_probe, velocity];

impl BrakeInputs<'_> {
    /// Why a removal is held: by the first brake that holds it.
    pub(crate) fn hold(&self, removal: Removal<'_>) -> Option<Hold> {
        TABLE.into_iter().find_map(|brake| brake(self, removal))
    }
}

/// Holds everything until each member is listed.
fn start_up(of: &BrakeInputs<'_>, _: Removal<'_>) -> Option<Hold> {
    of.input.startup.clone().map(Hold::StartUp)
}

/// Holds everything where that is set.
fn removals_off(of: &BrakeInputs<'_>, _: Removal<'_>) -> Option<Hold> {
    (!of.settings.removals).then_some(Hold::RemovalsOff)
}

/// Holds whatever probes call dead while the prober seems to be cut off.
fn vantage(of: &BrakeInputs<'_>, removal: Removal<'_>) -> Option<Hold> {
    let is_cut_off = matches!(of.input.health.self_check, Some(SelfCheckFailure::Vantage { .. }));
    (is_cut_off && matches!(removal, Removal::Dead { .. })).then_some(Hold::Vantage)
}

/// Holds what failed while probe results were distrusted: in a correlation that lasts, or in one that is over.
fn correlation(of: &BrakeInputs<'_>, removal: Removal<'_>) -> Option<Hold> {
    let Removal::Dead { verdict: Verdict::Suspended, .. } = removal else { return None };
    Some(match of.input.health.self_check {
        Some(SelfCheckFailure::Correlation { .. }) => Hold::Correlation,
        _ => Hold::Suspended,
    })
}

/// Holds what was dead and is still there now that it answers: removing it would be too late.
fn recovered(_: &BrakeInputs<'_>, removal: Removal<'_>) -> Option<Hold> {
    matches!(removal, Removal::Dead { verdict: Verdict::Recovering, .. }).then_some(Hold::Recovering)
}

/// Holds what answered to other probe settings, until a majority of the Service's endpoints passes with these.
fn new_probe(of: &BrakeInputs<'_>, removal: Removal<'_>) -> Option<Hold> {
    let Removal::Dead { untried, .. } = removal else { return None };
    untried().filter(|spec| !(of.proven)(spec)).map(|_| Hold::NewProbe)
}

/// Holds what the zone may not lose within this minute.
fn velocity(of: &BrakeInputs<'_>, removal: Removal<'_>) -> Option<Hold> {
    matches!(removal, Removal::Dead { address, .. } if of.waiting.contains(address)).then_some(Hold::Velocity)
}

#[cfg(test)]
mod tests;
