//! One zone behind a webhook, as a provider.

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Listing, NameChange, Outcome, Plan, Provider,
    ProviderError, Ttl,
};

use crate::apply::{Lines, Run, rejected, too_many_targets};
use crate::changes::{Edit, Unfit, edit};
use crate::webhook::Webhook;

#[async_trait]
impl Provider for Webhook {
    fn capabilities(&self) -> Capabilities {
        // 0 is what endpoints without a TTL have.
        let least = Ttl::new(1).unwrap_or(Ttl::DEFAULT);
        Capabilities { ttl: (least, Ttl::MAX), ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.list_whole().await.map_err(|(fault, action)| self.link.error(fault, action))
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        Applied { names: self.write(plan.plan()).await }
    }

    async fn check(&self, suffix: &DnsName) -> Vec<Finding> {
        self.check_all(suffix).await
    }
}

impl Webhook {
    async fn write(&self, plan: &Plan) -> Vec<(DnsName, Outcome)> {
        let mut state = self.state.lock().await;
        let all = || plan.changes.iter().map(|change| change.name.clone());
        let Some(filter) = self.filter().clone() else {
            // A plan on something that was never listed here.
            return all().map(|name| (name, Outcome::Conflict)).collect();
        };
        if plan.changes.is_empty() {
            return Vec::new();
        }
        // The protocol has no conditions, so they are looked at here, as late as it can be.
        let view = match self.read().await {
            Ok(view) => view,
            Err((fault, action)) => {
                let error = |name| (name, Outcome::Failed(self.link.error(fault.clone(), action)));
                return all().map(error).collect();
            }
        };
        let one_target = state.one_target;
        let order = state.refusals.order(&plan.changes);
        let mut run = Run::new(self, &mut state);
        let mut edits = |changes: Vec<&NameChange>| -> Vec<Edit> {
            let mut edits = Vec::with_capacity(changes.len());
            for change in changes {
                let name = change.name.clone();
                match edit((&self.zone, &filter), change, &view) {
                    Ok(edit) if one_target && edit.mark_size() > 1 => {
                        run.outcomes.push((name, rejected(too_many_targets(&edit))));
                    }
                    Ok(edit) => edits.push(edit),
                    Err(Unfit::Stale) => run.outcomes.push((name, Outcome::Conflict)),
                    Err(Unfit::Impossible(problem)) => run.outcomes.push((name, rejected(problem))),
                }
            }
            edits
        };
        let lines = Lines {
            removals: edits(order.removals),
            others: edits(order.others),
            refused: edits(order.refused),
        };
        run.write(lines).await;
        run.outcomes
    }
}
