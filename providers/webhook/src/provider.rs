//! One zone behind a webhook.

use std::collections::HashMap;
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, NameChange, Outcome, Plan,
    Provider, ProviderError, RecordType as Kind, Refusals, Ttl,
};
use tokio::sync::Mutex;

use crate::apply::{Lines, Run, rejected, too_many_targets};
use crate::changes::{Edit, Unfit, edit};
use crate::client::Link;
use crate::error::{Action, Fault};
use crate::filter::{Filter, Reach};
use crate::listing::View;
use crate::settings::Settings;

/// Most names of one call. Webhooks write record by record within one call, so that thousands would take minutes.
pub(crate) const MOST_AT_ONCE: usize = 250;

/// A zone behind a webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) zone: DnsName,
    pub(crate) owner: Label,
    pub(crate) link: Link,
    /// One plan at a time. A listing does not wait for it, nor does a plan wait for a listing.
    state: Mutex<State>,
    /// `None` before the first listing.
    filter: StdMutex<Option<Filter>>,
}

/// What is known of the webhook by now.
#[derive(Debug)]
pub(crate) struct State {
    /// Names of one call.
    pub(crate) at_once: usize,
    /// TTL and properties that it lists where it was sent a TTL.
    pub(crate) learned: HashMap<(Kind, i64), (i64, u32)>,
    pub(crate) refusals: Refusals,
    /// Whether it keeps only one value of a TXT.
    pub(crate) one_target: bool,
}

impl Webhook {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: Settings) -> Self {
        let state = State {
            at_once: MOST_AT_ONCE,
            learned: HashMap::new(),
            refusals: Refusals::default(),
            one_target: false,
        };
        Self { zone, owner, link: Link::new(settings), state: Mutex::new(state), filter: StdMutex::default() }
    }

    /// What stands in the zone.
    pub(crate) async fn read(&self) -> Result<View, (Fault, Action)> {
        let records = self.link.records().await.map_err(|fault| (fault, Action::Read))?;
        let mut view = View::of(records, &self.zone, &self.owner);
        let strange = view.strange();
        if !strange.is_empty() {
            view.accept(&self.link.adjust(&strange).await.map_err(|fault| (fault, Action::Adjust))?);
        }
        Ok(view)
    }

    async fn list_whole(&self) -> Result<Listing, (Fault, Action)> {
        let filter = self.link.negotiate().await.map_err(|fault| (fault, Action::Negotiate))?;
        if let Filter::Lists { .. } = filter
            && filter.reach(&self.zone, &self.owner) == Reach::None
        {
            return Err((self.left_out(&filter), Action::Negotiate));
        }
        let excluded = filter.excluded();
        *self.filter() = Some(filter);
        let mut listing = self.read().await?.listing();
        listing.observed.set_unwritable(excluded);
        Ok(listing)
    }

    fn filter(&self) -> MutexGuard<'_, Option<Filter>> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn left_out(&self, filter: &Filter) -> Fault {
        Fault::Denied {
            problem: format!("its domain filter ({}) leaves {} out", filter.shown(), self.zone),
            remedy: format!("add {} to the domain filter of the webhook", self.zone),
        }
    }

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
                match edit((&self.zone, &filter), change, &view.at(&name)) {
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
