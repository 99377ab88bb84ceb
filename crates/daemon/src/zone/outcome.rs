//! What became of a plan, name by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetdns_core::{Applied, Change, DnsName, Move, NameChange, ObservedSet, Outcome, ProviderError};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{FIRST_PAUSE, LONGEST_PAUSE, ZoneTask};
use crate::chain;

impl ZoneTask {
    /// Learns what became of a plan; gives whether nothing of it has to be tried again.
    pub(super) fn take_in(
        &mut self,
        changes: &[NameChange],
        moves: &[Move],
        applied: Applied,
        took: Duration,
    ) -> bool {
        let (mut written, mut failed) = (BTreeSet::new(), 0_u64);
        let by_name: BTreeMap<&DnsName, &NameChange> = changes.iter().map(|one| (&one.name, one)).collect();
        let mut again = false;
        for (name, outcome) in applied.names {
            match &outcome {
                Outcome::Done(_) => self.unwritten.remove(&name),
                _ => self.unwritten.insert(name.clone()),
            };
            match outcome {
                Outcome::Done(sets) => {
                    if let Some(observed) = &mut self.observed {
                        // Somebody changed what stands beside: the zone is no longer as it was read.
                        let change = by_name.get(&name).copied();
                        if beside(change, observed.at(&name)) != beside(change, &sets) {
                            self.unwritten.insert(name.clone());
                            again = true;
                        }
                        observed.replace(name.clone(), sets);
                    }
                    written.insert(name);
                }
                Outcome::Conflict => {
                    let zone = &self.planner.zone().zone;
                    if self.pause == FIRST_PAUSE {
                        info!(%zone, %name, "somebody else changed the record, reading the zone again");
                    } else {
                        debug!(%zone, %name, "somebody else changed the record again");
                    }
                    failed += 1;
                    again = true;
                }
                Outcome::Failed(error @ ProviderError::Rejected { .. }) => {
                    warn!(zone = %self.planner.zone().zone, %name, error = %chain(&error), "the record is not written");
                    failed += 1;
                }
                Outcome::Failed(error) => {
                    failed += 1;
                    self.wait_after(&error);
                }
                Outcome::Incomplete { problem } => {
                    warn!(zone = %self.planner.zone().zone, %name, error = %problem, "record partly written; re-reading the zone");
                    failed += 1;
                    again = true;
                }
                Outcome::NotTried => again = true,
            }
        }
        if again && !self.resting {
            // At once the first time; what goes on changing is looked at with growing pauses.
            self.list_at = self.list_at.min(Instant::now() + self.pause - FIRST_PAUSE);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.say_written(changes, &written, took);
        self.say_moved(moves, &written);
        self.status.send_modify(|status| {
            status.written += written.len() as u64;
            status.failed += failed;
        });
        !again && !self.resting
    }
}

/// Of the sets at a name those that a plan does not touch.
fn beside<'a>(change: Option<&NameChange>, sets: &'a [ObservedSet]) -> Vec<&'a ObservedSet> {
    let touched = |set: &&ObservedSet| {
        let touches = |one: &Change| set.content.record_type() == Some(one.record_type());
        change.is_some_and(|change| change.changes.iter().any(touches))
    };
    let mut sets: Vec<&ObservedSet> = sets.iter().filter(|set| !touched(set)).collect();
    sets.sort_by_key(|set| set.type_name());
    sets
}
