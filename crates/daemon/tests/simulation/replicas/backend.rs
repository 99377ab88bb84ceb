//! One replica's way to the zone. What it has sent takes effect though the process is gone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Finding, Listing, NameChange, ObservedSet, Outcome, Provider,
    ProviderError,
};
use tokio::time::sleep;

use super::Broken;
use super::fleet::addresses;
use super::world::World;

/// One replica's way to the zone.
pub(super) struct Way {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) by: String,
    pub(super) broken: Broken,
}

#[async_trait]
impl Provider for Way {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        sleep(Duration::from_millis(50)).await;
        let observed = self.world.lock().unwrap().zone.observed.clone();
        Ok(Listing { observed, unreadable: Vec::new() })
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let mut names = Vec::new();
        for change in &plan.plan().changes {
            let pause = self.world.lock().unwrap().rng.below(400);
            sleep(Duration::from_millis(pause)).await;
            let sent = match self.send(change) {
                Ok(sent) => sent,
                Err(refused) => {
                    names.push((change.name.clone(), refused));
                    continue;
                }
            };
            let outcome = match sent.late {
                None => sent.land(),
                // The backend has it, whatever becomes of the process.
                Some(span) => {
                    let landing = tokio::spawn(async move {
                        sleep(span).await;
                        sent.land()
                    });
                    landing.await.unwrap()
                }
            };
            names.push((change.name.clone(), outcome));
        }
        Applied { names }
    }

    async fn check(&self, _suffix: &fleetdns_core::DnsName) -> Vec<Finding> {
        Vec::new()
    }
}

impl Way {
    /// A webhook reads the records right before it writes, and what it sends then has no condition.
    fn send(&self, change: &NameChange) -> Result<Sent, Outcome> {
        let mut world = self.world.lock().unwrap();
        world.sends(&self.by);
        let unconditional = match (self.broken == Broken::Blind).then(|| world.zone.outcome(change, false)) {
            Some((refused, None)) => return Err(refused),
            written => written,
        };
        let (late, chance) = (world.late, world.late_rng.below(100));
        let span = Duration::from_millis(world.late_rng.between(1_000, 60_000));
        let late = world.next_late.take().or((chance < late).then_some(span));
        if let Some(span) = late {
            world.say(&format!("{} writes {}, {span:?} late", self.by, change.name));
        }
        Ok(Sent {
            world: Arc::clone(&self.world),
            by: self.by.clone(),
            change: change.clone(),
            late,
            may_go: addresses().filter(|address| world.may_go(*address)).collect(),
            before: world.zone.observed.at(&change.name).to_vec(),
            unconditional,
        })
    }
}

/// A write that the backend has.
struct Sent {
    world: Arc<Mutex<World>>,
    by: String,
    change: NameChange,
    late: Option<Duration>,
    /// Addresses that might be taken out when it was sent.
    may_go: BTreeSet<IpAddr>,
    /// What was there when it was sent.
    before: Vec<ObservedSet>,
    /// What it makes of the name, whatever is there by then.
    unconditional: Option<(Outcome, Option<Vec<ObservedSet>>)>,
}

impl Sent {
    fn land(self) -> Outcome {
        let mut world = self.world.lock().unwrap();
        let before = world.values();
        let (outcome, sets) = self.unconditional.unwrap_or_else(|| world.zone.outcome(&self.change, false));
        if let Some(sets) = sets {
            if world.zone.observed.at(&self.change.name) != self.before {
                world.accuse(&format!("late: {} overwrites what was written since it sent that", self.by));
            }
            world.zone.observed.replace(self.change.name.clone(), sets);
            let after = world.values();
            world.say(&format!("{} writes {}: {after:?}", self.by, self.change.name));
            for address in before.difference(&after) {
                if !world.may_go(*address) && !self.may_go.contains(address) {
                    world.accuse(&format!("removal: {} takes out {address}, which lives", self.by));
                }
            }
        }
        outcome
    }
}
