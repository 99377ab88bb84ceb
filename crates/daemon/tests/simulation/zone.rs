//! A strict zone in memory that refuses what a real one refuses, and fails in the ways in which real ones fail.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Claim, Content, DnsName, Finding, Listing, NameChange, Observed,
    ObservedSet, Outcome, Provider, ProviderError, Version,
};
use tokio::time::sleep;

use crate::proof::Broken;
use crate::rng::Rng;
use crate::sim::Shared;

/// What goes wrong with the provider at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    Unavailable,
    ListFails,
    Throttled(u64),
    /// So many percent of the names conflict.
    Conflicts(u64),
    Rejects(DnsName),
    /// So many percent of the names fail.
    Partial(u64),
    /// It is done, and nobody hears of it.
    AnswerLost,
}

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) observed: Observed,
    /// Names at which a person deleted a set since the zone was last listed.
    pub(crate) cut_by_hand: BTreeSet<DnsName>,
    /// Names with a set whose mark a person has blanked.
    pub(crate) unmarked: BTreeSet<DnsName>,
    pub(crate) trouble: Trouble,
    /// How long a write takes.
    pub(crate) slow: Duration,
    pub(crate) rng: Rng,
    pub(crate) lists: u64,
    pub(crate) writes: u64,
    serial: u64,
}

impl Backend {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            observed: Observed::default(),
            cut_by_hand: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            trouble: Trouble::None,
            slow: Duration::ZERO,
            rng: Rng::new(seed),
            lists: 0,
            writes: 0,
            serial: 0,
        }
    }

    pub(crate) fn version(&mut self) -> Version {
        self.serial += 1;
        Version(self.serial.to_string().into())
    }

    /// Gives the sets afterwards, or `None` when the name is not as the plan saw it.
    fn changed(&mut self, change: &NameChange, blind: bool) -> Option<Vec<ObservedSet>> {
        let mut sets = self.observed.at(&change.name).to_vec();
        for one in &change.changes {
            let there = sets.iter().position(|set| set.content.record_type() == Some(one.record_type()));
            match (one.before(), there) {
                (None, None) => {}
                (Some(before), Some(at)) if blind || sets[at] == *before => {
                    sets.remove(at);
                }
                (None, Some(_)) if blind => {}
                _ => return None,
            }
            if let Some((set, mark)) = one.after() {
                sets.push(ObservedSet {
                    ttl: set.ttl,
                    content: Content::Known(set.data.clone()),
                    claim: Claim::of(mark),
                    version: self.version(),
                });
            }
        }
        Some(sets)
    }

    fn outcome(&mut self, change: &NameChange, blind: bool) -> (Outcome, Option<Vec<ObservedSet>>) {
        let unavailable = || Outcome::Failed(unavailable("write"));
        let dice = self.rng.below(100);
        match &self.trouble {
            Trouble::Unavailable => return (unavailable(), None),
            Trouble::Throttled(seconds) => {
                let error = ProviderError::Throttled { endpoint: "zone".into(), seconds: *seconds };
                return (Outcome::Failed(error), None);
            }
            Trouble::Conflicts(percent) if dice < *percent => return (Outcome::Conflict, None),
            Trouble::Partial(percent) if dice < *percent => return (unavailable(), None),
            Trouble::Rejects(name) if *name == change.name => {
                return (Outcome::Failed(ProviderError::Rejected { problem: "poisoned".into() }), None);
            }
            _ => {}
        }
        let Some(sets) = self.changed(change, blind) else { return (Outcome::Conflict, None) };
        let outcome = match self.trouble {
            Trouble::AnswerLost => unavailable(),
            _ => Outcome::Done(sets.clone()),
        };
        (outcome, Some(sets))
    }
}

fn unavailable(action: &'static str) -> ProviderError {
    ProviderError::Unavailable { endpoint: "zone".into(), action, source: None }
}

/// One process's way to the zone.
pub(crate) struct Way(pub(crate) Shared);

#[async_trait]
impl Provider for Way {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        let mut sim = self.0.lock().unwrap();
        sim.zone.lists += 1;
        match sim.zone.trouble {
            Trouble::Unavailable | Trouble::ListFails => Err(unavailable("list")),
            Trouble::Throttled(seconds) => Err(ProviderError::Throttled { endpoint: "zone".into(), seconds }),
            _ => {
                sim.zone.cut_by_hand.clear();
                Ok(Listing { observed: sim.broken.listed(&sim.zone.observed), unreadable: vec![] })
            }
        }
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let slow = {
            let mut sim = self.0.lock().unwrap();
            // What is known now is what the plan was made of; what happens until the write is done cannot count.
            sim.judge_plan(plan.plan());
            sim.zone.slow
        };
        if slow > Duration::ZERO {
            sleep(slow).await;
        }
        let mut sim = self.0.lock().unwrap();
        let blind = sim.broken == Broken::Blind;
        let mut names = Vec::new();
        for change in &plan.plan().changes {
            let (outcome, sets) = sim.zone.outcome(change, blind);
            if let Some(sets) = sets {
                sim.write(&change.name, sets);
            }
            names.push((change.name.clone(), outcome));
        }
        Applied { names }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        Vec::new()
    }
}
