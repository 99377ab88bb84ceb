//! A strict zone in memory that refuses what a real one refuses, and fails in the ways in which real ones fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Content, DnsName, Finding, Listing, NameChange, Observed,
    ObservedSet, Outcome, Owner, Provider, ProviderError, RecordType, Version,
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
    /// A listing does not end, while writes work.
    ListStalls,
    Throttled(u64),
    /// So many percent of the names conflict.
    Conflicts(u64),
    /// So many percent of the names fail.
    Partial(u64),
    /// Of a change that is more than one step only the first is done, and of others nobody knows.
    Half(u64),
    /// The same, for the next name that is written.
    HalfOnce,
    /// Ends after so many names of a plan, and does not try the others.
    Stops(usize),
    /// It is done, and nobody hears of it.
    AnswerLost,
}

/// A provider returns up on a listing after this.
const GIVES_UP: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) observed: Observed,
    /// Names at which a person deleted a set since the zone was last listed.
    pub(crate) cut_by_hand: BTreeSet<DnsName>,
    /// A person has edited a name since the zone was last listed.
    pub(crate) edited: bool,
    /// Names with a set whose mark a person has blanked.
    pub(crate) unmarked: BTreeSet<DnsName>,
    pub(crate) trouble: Trouble,
    /// Names that it refuses to write, for reasons of its own.
    pub(crate) refused: BTreeSet<DnsName>,
    /// How long a write takes.
    pub(crate) slow: Duration,
    /// Each write that has not ended has a clone of it.
    under_way: Arc<()>,
    /// How long each name of it takes.
    pub(crate) slow_name: Duration,
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
            edited: false,
            unmarked: BTreeSet::new(),
            trouble: Trouble::None,
            refused: BTreeSet::new(),
            slow: Duration::ZERO,
            under_way: Arc::default(),
            slow_name: Duration::ZERO,
            rng: Rng::new(seed),
            lists: 0,
            writes: 0,
            serial: 0,
        }
    }

    /// Whether a write has not ended.
    pub(crate) fn is_writing(&self) -> bool {
        Arc::strong_count(&self.under_way) > 1
    }

    pub(crate) fn version(&mut self) -> Version {
        self.serial += 1;
        Version(self.serial.to_string().into())
    }

    /// Returns the sets after the first `steps` of a change, or `None` when the name is not as the plan saw it: a set has
    /// changed, or one of another type is there beside which no CNAME can be.
    fn changed(
        &mut self,
        change: &NameChange,
        steps: usize,
        unconditional: bool,
    ) -> Option<Vec<ObservedSet>> {
        let mut sets = self.observed.at(&change.name).to_vec();
        for (number, one) in change.changes.iter().enumerate() {
            let there = sets.iter().position(|set| set.content.record_type() == Some(one.record_type()));
            let at = match (one.before(), there) {
                (None, None) => None,
                (Some(before), Some(at)) if unconditional || sets[at] == *before => Some(at),
                (None, Some(_)) if unconditional => None,
                _ => return None,
            };
            if number >= steps {
                continue;
            }
            at.map(|at| sets.remove(at));
            if let Some((set, mark)) = one.after() {
                sets.push(ObservedSet {
                    ttl: set.ttl,
                    content: Content::Known(set.data.clone()),
                    claim: mark.map_or(Owner::Foreign, Owner::of),
                    version: self.version(),
                });
            }
        }
        let is_cname = |set: &ObservedSet| set.content.record_type() == Some(RecordType::Cname);
        let is_alone = sets.len() < 2 || !sets.iter().any(is_cname);
        (is_alone || unconditional).then_some(sets)
    }

    pub(crate) fn outcome(
        &mut self,
        change: &NameChange,
        unconditional: bool,
    ) -> (Outcome, Option<Vec<ObservedSet>>) {
        let unavailable = || Outcome::Failed(unavailable("write"));
        let dice = self.rng.below(100);
        if self.refused.contains(&change.name) {
            return (Outcome::Failed(ProviderError::Rejected { problem: "poisoned".into() }), None);
        }
        let mut steps = usize::MAX;
        match &self.trouble {
            Trouble::Unavailable => return (unavailable(), None),
            Trouble::Throttled(seconds) => {
                let error = ProviderError::Throttled { endpoint: "zone".into(), seconds: *seconds };
                return (Outcome::Failed(error), None);
            }
            Trouble::Conflicts(percent) if dice < *percent => return (Outcome::Conflict, None),
            Trouble::Partial(percent) if dice < *percent => return (unavailable(), None),
            Trouble::Half(percent) if dice < *percent => steps = change.changes.len().div_ceil(2),
            Trouble::HalfOnce => {
                steps = change.changes.len().div_ceil(2);
                self.trouble = Trouble::None;
            }
            _ => {}
        }
        let Some(sets) = self.changed(change, steps, unconditional) else { return (Outcome::Conflict, None) };
        let outcome = match self.trouble {
            Trouble::AnswerLost => unavailable(),
            _ if steps < usize::MAX => Outcome::Incomplete { problem: "it did the first half".into() },
            _ => Outcome::Done(sets.clone().into()),
        };
        (outcome, Some(sets))
    }
}

async fn pause(span: Duration) {
    if span > Duration::ZERO {
        sleep(span).await;
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
        let mut stalled = Duration::ZERO;
        while self.0.lock().unwrap().zone.trouble == Trouble::ListStalls {
            if stalled >= GIVES_UP {
                return Err(unavailable("list"));
            }
            stalled += LOOK;
            sleep(LOOK).await;
        }
        let mut sim = self.0.lock().unwrap();
        sim.zone.lists += 1;
        match sim.zone.trouble {
            Trouble::Unavailable | Trouble::ListFails => Err(unavailable("list")),
            Trouble::Throttled(seconds) => Err(ProviderError::Throttled { endpoint: "zone".into(), seconds }),
            _ => {
                sim.zone.cut_by_hand.clear();
                sim.zone.edited = false;
                Ok(Listing { observed: sim.broken.listed(&sim.zone.observed), unreadable: vec![] })
            }
        }
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let (mut dead, slow, slow_name, planned, _under_way) = {
            let mut sim = self.0.lock().unwrap();
            // What is known now is what the plan was made of; what happens until the write is done cannot count.
            let under_way = Arc::clone(&sim.zone.under_way);
            (sim.judge_plan(plan.plan()), sim.zone.slow, sim.zone.slow_name, sim.now(), under_way)
        };
        pause(slow).await;
        let mut names = Vec::new();
        let changes = &plan.plan().changes;
        for (number, change) in changes.iter().enumerate() {
            pause(slow_name).await;
            let mut sim = self.0.lock().unwrap();
            if let Trouble::Stops(after) = sim.zone.trouble
                && number >= after
            {
                names.push((change.name.clone(), Outcome::Failed(unavailable("write"))));
                names
                    .extend(changes.iter().skip(number + 1).map(|one| (one.name.clone(), Outcome::NotTried)));
                break;
            }
            let unconditional = sim.broken == Broken::Blind;
            let (mut outcome, sets) = sim.zone.outcome(change, unconditional);
            if let Some(sets) = sets {
                sim.write(&change.name, sets);
            }
            match (&outcome, dead.remove(&change.name)) {
                (Outcome::Done(_), Some(dead)) => sim.judge_speed(dead, planned),
                (_, Some(dead)) if !dead.is_empty() => sim.process.unwritten = Some(sim.now()),
                _ => {}
            }
            if sim.broken == Broken::Rests
                && matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. }))
            {
                outcome = Outcome::Failed(unavailable("write"));
            }
            names.push((change.name.clone(), outcome));
        }
        Applied { names }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        Vec::new()
    }
}
