//! What became of a plan, name by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::text::printable;
use fleetdns_core::{Applied, Change, DnsName, NameChange, ObservedSet, Outcome, ProviderError};
use fleetdns_planner::{Move, Scope};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::ZoneTask;

/// What a plan came to.
#[derive(Default)]
struct Sum {
    written: BTreeSet<DnsName>,
    failed: u64,
    /// Names to be planned again, for no fault of their own.
    again: BTreeSet<DnsName>,
    /// A fault of the whole zone.
    fault: Option<ProviderError>,
}

impl ZoneTask {
    /// Learns what became of a plan, name by name.
    pub(super) fn take_in(
        &mut self,
        changes: &[NameChange],
        moves: &[Move],
        applied: Applied,
        took: Duration,
    ) {
        let mut by_name: BTreeMap<&DnsName, &NameChange> =
            changes.iter().map(|one| (&one.name, one)).collect();
        let mut sum = Sum::default();
        for (name, outcome) in applied.names {
            if let Some(change) = by_name.remove(&name) {
                self.take_outcome(change, outcome, &mut sum);
            }
        }
        // Those of which nothing was said.
        sum.again.extend(by_name.into_keys().cloned());
        let now = Instant::now();
        let news = match &sum.fault {
            Some(error) => self.writing.failed(error, &self.planner.zone().zone, now),
            None if sum.again.len() == changes.len() => {
                self.writing.rest(now);
                None
            }
            None => {
                self.writing.works(&self.planner.zone().zone);
                None
            }
        };
        if matches!(sum.fault, Some(ProviderError::Unavailable { .. })) {
            // It may be written, and only the answer lost.
            self.reading.soon();
        }
        self.scope.extend(Scope::Names(sum.again));
        self.report_written(changes, &sum.written, took);
        self.report_moved(moves, &sum.written);
        let unwritten = self.unwritten.total();
        self.status.send_modify(|status| {
            status.unwritten = unwritten;
            if !sum.written.is_empty() {
                status.written_at = Some(now);
            }
            status.written += sum.written.len() as u64;
            status.failed += sum.failed;
        });
        self.report_fault(news);
    }

    fn take_outcome(&mut self, change: &NameChange, outcome: Outcome, sum: &mut Sum) {
        let (zone, name, now) = (self.planner.zone().zone.clone(), &change.name, Instant::now());
        sum.failed += u64::from(!matches!(outcome, Outcome::Done(_) | Outcome::NotTried));
        match outcome {
            Outcome::Done(sets) => {
                if let Some(observed) = &mut self.observed {
                    // Somebody changed what stands beside: the zone is no longer as it was read.
                    if beside(change, observed.at(name)) != beside(change, &sets) {
                        self.reading.soon();
                        self.scope.extend(Scope::Names(BTreeSet::from([name.clone()])));
                    }
                    observed.replace(name.clone(), sets);
                    self.planner.remember([name], observed);
                }
                if self.pending.written(name) && self.admits(name) {
                    info!(%zone, %name, "refused record written now");
                }
                self.refuse(name, None);
                if let Some(since) = self.unwritten.remove(name) {
                    let took = now.saturating_duration_since(since);
                    self.status.borrow().times.change.observe(took.as_secs_f64());
                }
                self.changed.extend(Scope::Names(BTreeSet::from([name.clone()])));
                sum.written.insert(name.clone());
            }
            Outcome::Conflict => {
                if self.pending.unread(name, None, now) && self.admits(name) {
                    info!(%zone, %name, "record changed by another writer; re-reading the zone");
                } else {
                    debug!(%zone, %name, "record changed by another writer again");
                }
            }
            Outcome::Incomplete { problem } => {
                let reason: Arc<str> = format!("partly written: {}", printable(&problem)).into();
                if self.pending.unread(name, Some(Arc::clone(&reason)), now) && self.admits(name) {
                    warn!(%zone, %name, %reason, "record partly written; re-reading the zone");
                } else {
                    debug!(%zone, %name, %reason, "record partly written again");
                }
                self.refuse(name, Some(reason));
            }
            Outcome::Failed(ProviderError::Rejected { problem }) => {
                let reason: Arc<str> = printable(&problem).as_ref().into();
                if self.pending.refused(change, Arc::clone(&reason), now) && self.admits(name) {
                    warn!(%zone, %name, %reason, "record refused by the backend; trying again with growing pauses");
                }
                self.refuse(name, Some(reason));
                self.unwritten.remove(name);
            }
            Outcome::Failed(error) => {
                sum.again.insert(name.clone());
                let longer = |known: &ProviderError| seconds(&error) > seconds(known);
                if sum.fault.as_ref().is_none_or(longer) {
                    sum.fault = Some(error);
                }
            }
            Outcome::NotTried => drop(sum.again.insert(name.clone())),
        }
    }
}

/// How long a backend asks to wait.
const fn seconds(error: &ProviderError) -> Option<u64> {
    if let ProviderError::Throttled { seconds, .. } = error { Some(*seconds) } else { None }
}

/// Of the sets at a name those that a plan does not touch.
fn beside<'a>(change: &NameChange, sets: &'a [ObservedSet]) -> Vec<&'a ObservedSet> {
    let touched = |set: &&ObservedSet| {
        let touches = |one: &Change| set.content.record_type() == Some(one.record_type());
        change.changes.iter().any(touches)
    };
    let mut sets: Vec<&ObservedSet> = sets.iter().filter(|set| !touched(set)).collect();
    sets.sort_by_key(|set| set.type_name());
    sets
}
