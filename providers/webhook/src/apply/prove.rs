//! What was written is read back.

use std::time::Duration;

use fleetdns_core::Outcome;
use tracing::info;

use super::{Run, in_steps, incomplete, rejected, too_many_targets};
use crate::changes::{Edit, Op, changes};
use crate::error::{Action, Fault};
use crate::listing::View;
use crate::ownership::fingerprint;
use crate::proof::{Progress, progress};

/// Pauses before what is missing is looked for again: some backends list what they wrote a moment later.
const PAUSES: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1600)];

impl Run<'_> {
    /// Reads back what was written.
    pub(super) async fn prove(&mut self) {
        let (mut told, unsure) = (std::mem::take(&mut self.told), std::mem::take(&mut self.unsure));
        let refused = std::mem::take(&mut self.refused);
        if told.is_empty() && unsure.is_empty() && refused.is_empty() {
            return;
        }
        let all = || told.iter().chain(&unsure).chain(refused.iter().map(|(edit, _)| edit));
        let unread =
            |fault: &Fault| -> Vec<_> { all().map(|edit| (edit.name.clone(), incomplete(fault))).collect() };
        if let Some(fault @ Fault::Throttled(_)) = &self.end {
            // We are asked not to ask.
            return self.outcomes.extend(unread(fault));
        }
        let mut view = match self.read_until_there(&told).await {
            Ok(view) => view,
            Err((fault, _)) => return self.outcomes.extend(unread(&fault)),
        };
        let fault = self.end.clone().unwrap_or(Fault::Lost("its answer was lost".to_owned()));
        for edit in unsure {
            match progress(&edit, &view, false) {
                Progress::Done => told.push(edit),
                _ => self.outcomes.push((edit.name, incomplete(&fault))),
            }
        }
        for (edit, problem) in refused {
            match progress(&edit, &view, false) {
                Progress::Done => told.push(edit),
                Progress::Pending(ops) if ops.len() == edit.ops.len() => {
                    self.outcomes.push((edit.name, rejected(problem)));
                }
                _ => self.outcomes.push((edit.name, Outcome::Incomplete { problem })),
            }
        }
        let (done, missing): (Vec<Edit>, Vec<Edit>) =
            told.into_iter().partition(|edit| progress(edit, &view, true) == Progress::Done);
        for edit in missing {
            let outcome = self.missing(&edit, &view);
            self.outcomes.push((edit.name, outcome));
        }
        self.correct(&done, &mut view).await;
        for edit in done {
            self.state.refusals.forget(&edit.name);
            let sets = view.at(&edit.name).observed();
            self.outcomes.push((edit.name, Outcome::Done(sets.into())));
        }
    }

    /// Where a backend drops a CNAME beside the addresses that the same call deletes a moment later, and the webhook says
    /// nothing of it (external-dns's own, on BIND), the name is empty now: what is missing is created at once.
    async fn fill_gaps(&self, told: &[Edit], view: &View) -> bool {
        let left = told.iter().filter(|edit| in_steps(edit).is_some());
        let left = left.filter_map(|edit| match progress(edit, view, true) {
            Progress::Pending(ops) => Some(ops),
            _ => None,
        });
        let ops: Vec<Op> = left.flatten().collect();
        if ops.is_empty() {
            return false;
        }
        if let Err(error) = self.hook.link.write(&changes(&ops)).await {
            info!(url = %self.hook.link.settings.url, %error, "a new type was dropped, and is refused now");
        }
        true
    }

    async fn read_until_there(&self, told: &[Edit]) -> Result<View, (Fault, Action)> {
        let mut pauses = PAUSES.iter();
        let mut view = self.hook.read().await?;
        if self.fill_gaps(told, &view).await {
            view = self.hook.read().await?;
        }
        loop {
            let there = |edit: &Edit| progress(edit, &view, true) == Progress::Done;
            match pauses.next() {
                Some(pause) if !told.iter().all(there) => tokio::time::sleep(*pause).await,
                _ => return Ok(view),
            }
            view = self.hook.read().await?;
        }
    }

    /// Called done, and not there.
    fn missing(&mut self, edit: &Edit, view: &View) -> Outcome {
        let url = &self.hook.link.settings.url;
        let known = view.at(&edit.name);
        let torn = known.kept.is_some_and(|kept| kept.record.text.is_none() && kept.record.owner.is_ours());
        if torn && edit.mark_size() > 1 {
            self.state.one_target = true;
            return rejected(too_many_targets(edit));
        }
        let name = &edit.name;
        rejected(format!("{url} answered that it is done, and {name} is not there as it was written"))
    }

    /// What the webhook lists otherwise than it was told goes into the marks, so that it is known after a restart, too.
    async fn correct(&mut self, done: &[Edit], view: &mut View) {
        let mut wrong = Vec::new();
        for edit in done {
            let known = view.at(&edit.name);
            for (kind, sent) in edit.sent() {
                let Some(raw) = known.raw(kind) else { continue };
                let listed = (raw.endpoint.record_ttl, fingerprint(&raw.endpoint.provider_specific));
                self.state.learned.insert((kind, sent), listed);
            }
            wrong.extend(edit.correction(&known));
        }
        if wrong.is_empty() {
            return;
        }
        info!(url = %self.hook.link.settings.url, names = wrong.len(), "the webhook keeps other TTLs or properties");
        for batch in wrong.chunks(self.state.at_once) {
            let ops = batch.iter().flat_map(|edit| &edit.ops);
            if let Err(error) = self.hook.link.write(&changes(ops)).await {
                info!(url = %self.hook.link.settings.url, %error, "marks are not up to date");
                break;
            }
        }
        if let Ok(now) = self.hook.read().await {
            *view = now;
        }
    }
}
