//! Writing a plan: names side by side, the changes of one name one after the other.
//!
//! Invariant: a fault of one name never stops the others; only a fault of the zone ends the work.

use std::collections::VecDeque;
use std::time::Duration;

use fleetdns_core::stamp::span_ms;
use fleetdns_core::{
    Applied, Change, DnsName, NameChange, ObservedSet, Order, Outcome, Plan, ProviderError, RefusalBudget,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::info;

use crate::error::{Fault, Kind};
use crate::provider::AzureZone;

mod write;

/// After so many names in a row that Azure fails to write, without one that it writes, Azure is taken to be away.
const IN_A_ROW: usize = 5;

/// Why a name was not written.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Somebody else was faster.
    Conflict,
    /// Nothing was written.
    Fault(Fault),
    /// A part of it was written.
    Half(Fault),
}

impl Trouble {
    /// Whether trying the same again, later, would meet the same.
    const fn is_final(&self) -> bool {
        match self {
            Self::Conflict => true,
            Self::Fault(fault) | Self::Half(fault) => fault.is_refusal(),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A name that is to be written.
#[derive(Debug, Clone, Copy)]
struct Task<'a> {
    change: &'a NameChange,
    /// It was refused lately: its faults say nothing of Azure as a whole.
    refused: bool,
}

struct Written<'a> {
    task: Task<'a>,
    result: Result<Vec<ObservedSet>, Trouble>,
    took: Duration,
}

/// Whether the rest of a plan is worth trying.
#[derive(Debug, Default)]
struct Mood {
    in_a_row: usize,
    /// What ends the work: a fault of the zone.
    stop: Option<Fault>,
    budget: RefusalBudget,
}

impl Mood {
    fn learn(&mut self, written: &Written<'_>, width: usize) {
        let (Err(Trouble::Fault(fault)) | Err(Trouble::Half(fault))) = &written.result else {
            self.in_a_row = 0;
            return;
        };
        if fault.is_of_the_zone() {
            self.stop = Some(fault.clone());
            return;
        }
        self.budget.spend(written.took / u32::try_from(width).unwrap_or(1).max(1));
        if fault.is_refusal() {
            self.in_a_row = 0;
        } else if !written.task.refused {
            self.in_a_row += 1;
            if self.in_a_row >= IN_A_ROW {
                self.stop.get_or_insert_with(|| fault.clone());
            }
        }
    }

    const fn goes_on(&self) -> bool {
        self.stop.is_none() && !self.budget.is_spent()
    }
}

impl AzureZone {
    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Applied {
        let mut queue = self.line_up(plan);
        let (mut all, mut mood) = (Vec::new(), Mood::default());
        let mut running = FuturesUnordered::new();
        loop {
            let width = self.arm.pace.width();
            while mood.goes_on() && running.len() < width {
                let Some(task) = queue.pop_front() else { break };
                running.push(self.write_name(task));
            }
            let Some(written) = running.next().await else { break };
            mood.learn(&written, width);
            all.push(written);
        }
        let is_away = mood.stop.as_ref().is_some_and(|fault| !fault.is_of_the_zone());
        let mut applied = Applied::default();
        for Written { task, result, .. } in all {
            let name = &task.change.name;
            applied.names.push((name.clone(), self.outcome(name, result, is_away)));
        }
        let left = queue.into_iter().map(|task| (task.change.name.clone(), Outcome::NotTried));
        applied.names.extend(left);
        // Who reads from the start to the end learns last how long to wait.
        applied
            .names
            .sort_by_key(|(_, outcome)| matches!(outcome, Outcome::Failed(ProviderError::Throttled { .. })));
        applied
    }

    /// What people are using comes first, for Azure may cut us off at any point: names that have nothing at the moment,
    /// then addresses that go, then others that change, then types, then what is new, then what goes. What was refused
    /// lately comes last.
    fn line_up<'a>(&self, plan: &'a Plan) -> VecDeque<Task<'a>> {
        let Order { mut removals, mut others, refused } = self.refusals().order(&plan.changes);
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
        removals.sort_by_key(rank);
        others.sort_by_key(rank);
        let first = others.iter().take_while(|change| rank(change) == 0).count();
        let urgent: Vec<&NameChange> = others.drain(..first).collect();
        let task = |refused| move |change| Task { change, refused };
        let clean = urgent.into_iter().chain(removals).chain(others).map(task(false));
        clean.chain(refused.into_iter().map(task(true))).collect()
    }

    async fn write_name<'a>(&self, task: Task<'a>) -> Written<'a> {
        let began = Instant::now();
        let result = self.write_changes(task.change).await;
        Written { task, result, took: began.elapsed() }
    }

    async fn write_changes(&self, change: &NameChange) -> Result<Vec<ObservedSet>, Trouble> {
        let mut gone: Vec<(Instant, &ObservedSet)> = Vec::new();
        let mut sets = self.seen().observed().at(&change.name).to_vec();
        for (index, one) in change.changes.iter().enumerate() {
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
                Change::Create { set, mark } => self.put(set, Some(mark), None, in_gap).await.map(Some),
                Change::Update { before, set, mark } => {
                    self.put(set, Some(mark), Some(before), in_gap).await.map(Some)
                }
                Change::Adopt { before, set, mark, theirs } => {
                    self.adopt(set, mark, before, theirs).await.map(Some)
                }
                Change::Release { before, set } => self.put(set, None, Some(before), in_gap).await.map(Some),
            };
            match result {
                Ok(set) => {
                    let gone = |set: &ObservedSet| {
                        one.theirs().iter().any(|(at, text)| *at == change.name && text == set)
                    };
                    sets.retain(|set| set.type_name() != record_type && !gone(set));
                    sets.extend(set);
                }
                Err(trouble) => {
                    let closed = trouble.is_final() && self.close(change, &gone).await;
                    if in_gap && !closed {
                        self.gaps().insert(change.name.clone());
                    }
                    return Err(match trouble {
                        // All that was written before is undone.
                        Trouble::Fault(fault) if index > 0 && !(in_gap && closed && index == gone.len()) => {
                            Trouble::Half(fault)
                        }
                        other => other,
                    });
                }
            }
        }
        self.gaps().remove(&change.name);
        if let Some((gone, _)) = gone.first().filter(|_| !change.vanishes()) {
            info!(name = %change.name, gap_ms = span_ms(gone.elapsed()), "the type of a name changed");
        }
        Ok(sets)
    }

    /// Puts back what was deleted for the sake of a type that cannot be written, so that the name is not left empty.
    /// Returns whether all of it is there again.
    async fn close(&self, change: &NameChange, gone: &[(Instant, &ObservedSet)]) -> bool {
        let ownership = change.changes.iter().find_map(|one| one.after()?.1);
        if ownership.is_none() {
            return true;
        }
        let mut closed = true;
        for (since, before) in gone {
            match self.put_back(&change.name, before, ownership).await {
                Ok(set) => {
                    let gap_ms = span_ms(since.elapsed());
                    info!(name = %change.name, %set, gap_ms, "another type cannot be written, the old one is back");
                }
                Err(_) => closed = false,
            }
        }
        closed
    }

    /// `is_away`: Azure writes nothing at the moment, whatever the name.
    fn outcome(&self, name: &DnsName, result: Result<Vec<ObservedSet>, Trouble>, is_away: bool) -> Outcome {
        let fault = match result {
            Ok(sets) => {
                self.refusals().forget(name);
                self.seen().write(name, sets.clone());
                return Outcome::Done(sets.into());
            }
            Err(Trouble::Conflict) => {
                self.refusals().forget(name);
                return Outcome::Conflict;
            }
            Err(Trouble::Half(fault)) => return Outcome::Incomplete { problem: fault.problem },
            Err(Trouble::Fault(fault)) if fault.is_unsure() => {
                return Outcome::Incomplete { problem: fault.problem };
            }
            Err(Trouble::Fault(fault)) => fault,
        };
        if fault.is_of_the_zone() {
            return Outcome::Failed(self.arm.error(fault, "write the zone"));
        }
        self.refusals().refuse(name);
        Outcome::Failed(match fault.kind {
            Kind::Broken if is_away => self.arm.error(fault, "write the zone"),
            _ => fault.into_rejection(&self.arm.who),
        })
    }
}
