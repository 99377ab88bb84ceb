//! Writing a plan: names side by side, the changes of one name one after the other.

use std::collections::VecDeque;

use fleetdns_core::{Applied, Change, DnsName, NameChange, ObservedSet, Outcome, Plan, ProviderError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::info;

use crate::fault::{Fault, Kind};
use crate::zone::AzureZone;

mod write;

/// After so many faults in a row that say nothing of their record, the rest is not tried.
const IN_A_ROW: usize = 5;

/// Why a name was not written.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Somebody else was faster.
    Conflict,
    Fault(Fault),
}

impl Trouble {
    /// Whether trying the same again, later, would meet the same.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Conflict | Self::Fault(Fault { kind: Kind::Invalid, .. }))
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Written = (DnsName, Result<Vec<ObservedSet>, Trouble>);

/// Whether the rest of a plan is worth trying.
#[derive(Debug, Default)]
struct Mood {
    in_a_row: usize,
    stop: Option<Fault>,
}

impl Mood {
    fn learn(&mut self, result: &Result<Vec<ObservedSet>, Trouble>) {
        match result {
            Err(Trouble::Fault(fault)) if matches!(fault.kind, Kind::Throttled(_)) => {
                self.stop = Some(fault.clone());
            }
            Err(Trouble::Fault(fault)) if fault.is_general() => {
                self.in_a_row += 1;
                if self.in_a_row >= IN_A_ROW {
                    self.stop.get_or_insert_with(|| fault.clone());
                }
            }
            _ => self.in_a_row = 0,
        }
    }
}

impl AzureZone {
    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut queue = self.order(plan);
        let (mut applied, mut mood) = (Applied::default(), Mood::default());
        let mut running = FuturesUnordered::new();
        loop {
            while mood.stop.is_none() && running.len() < self.arm.pace.width() {
                let Some(change) = queue.pop_front() else { break };
                running.push(self.write_name(change));
            }
            let Some((name, result)) = running.next().await else { break };
            mood.learn(&result);
            applied.names.push((name.clone(), self.outcome(&name, result)));
        }
        if let Some(fault) = mood.stop {
            let failed = |change: &NameChange| {
                let error = self.arm.error(fault.clone(), "write the zone");
                (change.name.clone(), Outcome::Failed(error))
            };
            applied.names.extend(queue.into_iter().map(failed));
        }
        // Who reads from the start to the end learns last how long to wait.
        applied
            .names
            .sort_by_key(|(_, outcome)| matches!(outcome, Outcome::Failed(ProviderError::Throttled { .. })));
        applied
    }

    /// What people are using comes first, for Azure may cut us off at any point: names that have nothing at the moment,
    /// then addresses that change, then types, then what is new, then what goes.
    fn order<'a>(&self, plan: &'a Plan) -> VecDeque<&'a NameChange> {
        let gaps = self.gaps();
        let rank = |change: &&NameChange| {
            let updates = change.changes.iter().any(|one| matches!(one, Change::Update { .. }));
            let deletes = change.changes.iter().any(|one| matches!(one, Change::Delete { .. }));
            match () {
                () if gaps.contains(&change.name) => 0,
                () if updates => 1,
                () if deletes && !change.vanishes() => 2,
                () if !deletes => 3,
                () => 4,
            }
        };
        let mut changes: Vec<&NameChange> = plan.changes.iter().collect();
        changes.sort_by_key(rank);
        changes.into()
    }

    async fn write_name(&self, change: &NameChange) -> Written {
        let mut gone: Vec<(Instant, &ObservedSet)> = Vec::new();
        let mut sets = self.seen().at(&change.name).to_vec();
        for one in &change.changes {
            let record_type = one.record_type().as_str();
            let in_gap = !gone.is_empty();
            let result = match one {
                Change::Delete { before, .. } => {
                    let result = self.delete(&change.name, record_type, before).await;
                    if result.is_ok() {
                        gone.push((Instant::now(), before));
                    }
                    result.map(|()| None)
                }
                Change::Create { set, mark } => self.put(set, mark, None, in_gap).await.map(Some),
                Change::Update { before, set, mark } => {
                    self.put(set, mark, Some(before), in_gap).await.map(Some)
                }
            };
            match result {
                Ok(set) => {
                    sets.retain(|set| set.type_name() != record_type);
                    sets.extend(set);
                }
                Err(trouble) => {
                    let closed = trouble.is_final() && self.close(change, &gone).await;
                    if in_gap && !closed {
                        self.gaps().insert(change.name.clone());
                    }
                    return (change.name.clone(), Err(trouble));
                }
            }
        }
        self.gaps().remove(&change.name);
        if let Some((gone, _)) = gone.first().filter(|_| !change.vanishes()) {
            info!(name = %change.name, gap_ms = gone.elapsed().as_millis(), "the type of a name changed");
        }
        (change.name.clone(), Ok(sets))
    }

    /// Puts back what was deleted for the sake of a type that cannot be written, so that the name is not left empty.
    /// Gives whether all of it is there again.
    async fn close(&self, change: &NameChange, gone: &[(Instant, &ObservedSet)]) -> bool {
        let evidence = change.changes.iter().find_map(Change::after).map(|(_, evidence)| evidence);
        let Some(evidence) = evidence else { return true };
        let mut closed = true;
        for (since, before) in gone {
            match self.put_back(&change.name, before, evidence).await {
                Ok(set) => {
                    let gap_ms = since.elapsed().as_millis();
                    info!(name = %change.name, %set, gap_ms, "another type cannot be written, the old one is back");
                }
                Err(_) => closed = false,
            }
        }
        closed
    }

    fn outcome(&self, name: &DnsName, result: Result<Vec<ObservedSet>, Trouble>) -> Outcome {
        match result {
            Ok(sets) => {
                self.seen().replace(name.clone(), sets.clone());
                Outcome::Done(sets)
            }
            Err(Trouble::Conflict) => Outcome::Conflict,
            Err(Trouble::Fault(fault)) => Outcome::Failed(self.arm.error(fault, "write the zone")),
        }
    }
}
