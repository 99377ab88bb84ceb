//! Batches of edits are written; what a refused batch left is tried again in halves, and nothing is believed that was not
//! read back.
//!
//! Invariant: a fault of one name never stops the others; only a fault of the zone ends the work.

mod prove;

use std::collections::BTreeMap;

use fleetdns_core::{DnsName, Outcome, ProviderError, RefusalBudget};
use tokio::time::Instant;
use tracing::{debug, info};

use crate::changes::{Edit, Op, Part, Unfit, changes, key};
use crate::error::{Action, Fault};
use crate::proof::{Progress, progress};
use crate::webhook::{MOST_AT_ONCE, State, Webhook};
use crate::wire::Endpoint;

/// Edits in the order in which they are written.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Dead addresses: they leave first, in batches of their own.
    pub(crate) removals: Vec<Edit>,
    pub(crate) others: Vec<Edit>,
    /// What was refused lately: each for itself.
    pub(crate) refused: Vec<Edit>,
}

/// One plan being written.
pub(crate) struct Run<'a> {
    hook: &'a Webhook,
    state: &'a mut State,
    pub(crate) outcomes: Vec<(DnsName, Outcome)>,
    /// What the webhook called done.
    told: Vec<Edit>,
    /// What nobody knows the end of.
    unsure: Vec<Edit>,
    /// What the webhook refuses, each alone, and why.
    refused: Vec<(Edit, String)>,
    /// Batches that are left, the next one last.
    waiting: Vec<Vec<Edit>>,
    budget: RefusalBudget,
    /// After this nothing is tried any more: a fault of the zone.
    end: Option<Fault>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(hook: &'a Webhook, state: &'a mut State) -> Self {
        Self {
            hook,
            state,
            outcomes: Vec::new(),
            told: Vec::new(),
            unsure: Vec::new(),
            refused: Vec::new(),
            waiting: Vec::new(),
            budget: RefusalBudget::default(),
            end: None,
        }
    }

    pub(crate) async fn write(&mut self, lines: Lines) {
        self.waiting = lines.refused.into_iter().rev().map(|edit| vec![edit]).collect();
        for mut edits in [lines.others, lines.removals] {
            while !edits.is_empty() {
                self.waiting.push(edits.split_off(edits.len().saturating_sub(self.state.at_once)));
            }
        }
        while self.end.is_none() && !self.budget.is_spent() {
            let Some(batch) = self.waiting.pop() else { break };
            self.try_batch(batch).await;
        }
        let left = std::mem::take(&mut self.waiting).into_iter().flatten();
        self.outcomes.extend(left.map(|edit| (edit.name, Outcome::NotTried)));
        self.prove().await;
    }

    async fn try_batch(&mut self, batch: Vec<Edit>) {
        let began = Instant::now();
        let batch = match self.adjust(batch).await {
            Ok(batch) => batch,
            Err((batch, fault @ Fault::Refused { .. })) => {
                self.budget.spend(began.elapsed());
                return self.halve(batch, fault, Action::Adjust).await;
            }
            Err((batch, fault)) => return self.stop(batch, fault, Action::Adjust),
        };
        if batch.is_empty() {
            return;
        }
        let call = changes(batch.iter().flat_map(|edit| &edit.ops));
        debug!(url = %self.hook.link.settings.url, names = batch.len(), "writing");
        match self.hook.link.write(&call).await {
            Ok(()) => {
                self.state.at_once = (self.state.at_once * 2).min(MOST_AT_ONCE);
                self.told.extend(batch);
            }
            Err(fault @ Fault::Refused { .. }) => {
                self.refused(batch, fault).await;
                self.budget.spend(began.elapsed());
            }
            Err(fault @ (Fault::Lost(_) | Fault::Nonsense(_))) => {
                // Perhaps it is more than it can do in the time.
                self.state.at_once = (batch.len() / 2).max(1);
                if let [edit] = &batch[..] {
                    self.state.refusals.refuse(&edit.name);
                }
                self.unsure.extend(batch);
                self.end = Some(fault);
            }
            Err(fault) => self.stop(batch, fault, Action::Write),
        }
    }

    /// What the webhook would make of each edit; those of which it would make something else are left out.
    async fn adjust(&mut self, batch: Vec<Edit>) -> Result<Vec<Edit>, (Vec<Edit>, Fault)> {
        let overrides: Vec<Endpoint> =
            batch.iter().filter(|edit| !edit.adjusted).flat_map(Edit::overrides).cloned().collect();
        let answers = match overrides.is_empty() {
            true => Vec::new(),
            false => match self.hook.link.adjust(&overrides).await {
                Ok(answers) => answers,
                Err(fault) => return Err((batch, fault)),
            },
        };
        let answers: BTreeMap<_, Endpoint> = answers.into_iter().map(|one| (key(&one), one)).collect();
        let learned = &self.state.learned;
        let mut good = Vec::with_capacity(batch.len());
        for mut edit in batch {
            let taken = if edit.adjusted {
                Ok(())
            } else {
                edit.take(&answers, |kind, sent| learned.get(&(kind, sent)).copied())
            };
            match taken {
                Ok(()) => good.push(edit),
                Err(Unfit::Stale) => self.outcomes.push((edit.name, Outcome::Conflict)),
                Err(Unfit::Impossible(problem)) => self.outcomes.push((edit.name, rejected(problem))),
            }
        }
        Ok(good)
    }

    /// A call was refused whole, or so it says: what it left undone is tried again.
    async fn refused(&mut self, batch: Vec<Edit>, fault: Fault) {
        if batch.len() == 1 {
            return self.halve(batch, fault, Action::Write).await;
        }
        let view = match self.hook.read().await {
            Ok(view) => view,
            Err((fault, _)) => {
                self.unsure.extend(batch);
                self.end = Some(fault);
                return;
            }
        };
        let mut left = Vec::new();
        for mut edit in batch {
            match progress(&edit, &view, false) {
                Progress::Done => self.told.push(edit),
                Progress::Pending(ops) => {
                    edit.ops = ops;
                    left.push(edit);
                }
                Progress::Else => self.outcomes.push((edit.name, incomplete(&fault))),
            }
        }
        self.halve(left, fault, Action::Write).await;
    }

    async fn halve(&mut self, mut batch: Vec<Edit>, fault: Fault, action: Action) {
        if batch.len() > 1 {
            let rest = batch.split_off(batch.len() / 2);
            return self.waiting.extend([rest, batch]);
        }
        let Some(edit) = batch.pop() else { return };
        let fault = match in_steps(&edit) {
            Some(steps) if action == Action::Write => match self.step_by_step(&edit, steps).await {
                Ok(()) => return self.told.push(edit),
                Err(fault) => fault,
            },
            _ => fault,
        };
        self.state.refusals.refuse(&edit.name);
        let error = self.hook.link.error(fault.clone(), action);
        let problem = match error {
            ProviderError::Denied { .. } => error.to_string(),
            _ => format!("{} refuses it, alone too: {fault}", self.hook.link.settings.url),
        };
        self.refused.push((edit, problem));
    }

    /// Some webhooks create before they delete, and their backends refuse a CNAME beside anything else.
    async fn step_by_step(&mut self, edit: &Edit, (first, second): (Vec<Op>, Vec<Op>)) -> Result<(), Fault> {
        self.hook.link.write(&changes(&first)).await?;
        let fault = match self.hook.link.write(&changes(&second)).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        info!(name = %edit.name, error = %fault, "the new type was refused, putting the old one back");
        let back: Vec<Op> =
            first.into_iter().map(|Op { part, old, new }| Op { part, old: new, new: old }).collect();
        if let Err(error) = self.hook.link.write(&changes(&back)).await {
            info!(name = %edit.name, %error, "the old type could not be put back, the next pass will");
        }
        Err(fault)
    }

    /// The zone is at fault: nothing more is tried.
    fn stop(&mut self, batch: Vec<Edit>, fault: Fault, action: Action) {
        let error = |edit: Edit| (edit.name, Outcome::Failed(self.hook.link.error(fault.clone(), action)));
        self.outcomes.extend(batch.into_iter().map(error));
        self.end = Some(fault);
    }
}

pub(crate) const fn rejected(problem: String) -> Outcome {
    Outcome::Failed(ProviderError::Rejected { problem })
}

fn incomplete(fault: &Fault) -> Outcome {
    Outcome::Incomplete { problem: format!("nobody knows what was written: {fault}") }
}

pub(crate) fn too_many_targets(edit: &Edit) -> String {
    format!(
        "its ownership text for {} needs {} values of a TXT record, and the webhook keeps one; fewer clusters or shorter \
         load balancer names are needed",
        edit.name,
        edit.mark_size()
    )
}

/// Deletions and the mark, then what takes their place; `None` where nothing takes the place of anything.
fn in_steps(edit: &Edit) -> Option<(Vec<Op>, Vec<Op>)> {
    let is_set = |op: &Op| matches!(op.part, Part::Set(_));
    let comes = |op: &Op| is_set(op) && op.old.is_none();
    let goes = |op: &Op| is_set(op) && op.new.is_none();
    let (second, first): (Vec<Op>, Vec<Op>) = edit.ops.iter().cloned().partition(comes);
    (!second.is_empty() && first.iter().any(goes)).then_some((first, second))
}
