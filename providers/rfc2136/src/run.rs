//! Batches of edits are written, each name for itself where a batch cannot be.

use fleetdns_core::{DnsName, Outcome, ProviderError};
use hickory_proto::op::ResponseCode;
use tracing::debug;

use crate::edit::Edit;
use crate::fault::{Asked, Fault};
use crate::link::Link;
use crate::view::Known;

/// Refusals in a row after which the rest is not tried.
const PATIENCE: usize = 8;

/// What became of one edit.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) name: DnsName,
    pub(crate) outcome: Result<Known, Failed>,
}

/// Why an edit was not written.
#[derive(Debug)]
pub(crate) enum Failed {
    Conflict,
    Error(ProviderError),
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Conflict => Self::Conflict,
            Failed::Error(error) => Self::Failed(error),
        }
    }
}

/// Writes over one link, one message after the other.
pub(crate) struct Run<'a> {
    link: Link<'a>,
    asked: Asked<'a>,
    /// Refusals since anything was last written.
    refusals: usize,
    /// After this nothing is tried any more.
    end: Option<Fault>,
    pub(crate) written: Vec<Written>,
}

/// Whether a batch is as planned.
enum Answer {
    Yes,
    /// A prerequisite does not hold.
    No,
}

impl<'a> Run<'a> {
    pub(crate) fn new(link: Link<'a>, asked: Asked<'a>) -> Self {
        Self { link, asked, refusals: 0, end: None, written: Vec::new() }
    }

    /// Writes a batch in one message, or halves of it when it cannot be written whole.
    pub(crate) async fn write(&mut self, batch: Vec<Edit>) {
        // Halves not yet tried, the first one last.
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            if let Some(fault) = &self.end {
                let error = |edit: Edit| failed(edit.name, Failed::Error(self.asked.error(fault)));
                self.written.extend(batch.into_iter().map(error));
                continue;
            }
            let answer = self.try_write(&batch).await;
            if batch.len() > 1 && matches!(answer, Ok(Answer::No) | Err(Fault::Refused(_))) {
                let rest = batch.split_off(batch.len() / 2);
                waiting.extend([rest, batch]);
                continue;
            }
            match answer {
                Ok(Answer::Yes) => self.prove(batch).await,
                Ok(Answer::No) => {
                    self.refusals = 0;
                    self.written.extend(batch.into_iter().map(|edit| failed(edit.name, Failed::Conflict)));
                }
                Err(fault) => self.fail(batch, fault),
            }
        }
    }

    fn fail(&mut self, batch: Vec<Edit>, fault: Fault) {
        let error = |edit: Edit| {
            let error =
                check_names(&edit, &fault, self.asked.server).unwrap_or_else(|| self.asked.error(&fault));
            failed(edit.name, Failed::Error(error))
        };
        self.written.extend(batch.into_iter().map(error));
        self.refusals += 1;
        // A refusal may be about one name; anything else is about the server or the key.
        if !matches!(fault, Fault::Refused(_)) || self.refusals >= PATIENCE {
            self.end = Some(fault);
        }
    }

    async fn try_write(&mut self, batch: &[Edit]) -> Result<Answer, Fault> {
        let guards = batch.iter().flat_map(|edit| edit.guards.iter().cloned()).collect();
        let updates = batch.iter().flat_map(|edit| edit.updates.iter().cloned()).collect();
        let message = self.link.update_message(guards, updates);
        answer(self.link.update(message).await?)
    }

    /// An update with nothing but prerequisites: unlike a query it sees through wildcards, and one message does for
    /// many names.
    async fn try_prove(&mut self, batch: &[Edit]) -> Result<Answer, Fault> {
        let proof = batch.iter().flat_map(|edit| edit.proof.iter().cloned()).collect();
        let message = self.link.update_message(proof, Vec::new());
        answer(self.link.update(message).await?)
    }

    async fn prove(&mut self, batch: Vec<Edit>) {
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            match self.try_prove(&batch).await {
                Ok(Answer::Yes) => {
                    self.refusals = 0;
                    self.written.extend(batch.into_iter().map(done));
                }
                Ok(Answer::No) if batch.len() > 1 => {
                    let rest = batch.split_off(batch.len() / 2);
                    waiting.extend([rest, batch]);
                }
                Ok(Answer::No) => {
                    let server = self.asked.server;
                    self.written.extend(batch.into_iter().map(|edit| ignored(edit.name, server)));
                }
                Err(fault) => self.fail(batch, fault),
            }
        }
    }
}

/// BIND takes no address at a name with an underscore, unless it is told to, and says no more than REFUSED.
fn check_names(edit: &Edit, fault: &Fault, server: &str) -> Option<ProviderError> {
    let name = &edit.name;
    let told = *fault == Fault::Refused(ResponseCode::Refused) && name.as_str().contains('_');
    told.then(|| {
        let problem = format!(
            "{server} refuses {name}; BIND takes '_' in the names of addresses only with `check-names ignore;` in the \
             zone"
        );
        ProviderError::Rejected { problem }
    })
}

fn ignored(name: DnsName, server: &str) -> Written {
    debug!(%name, "not as it was written");
    let problem = format!(
        "{server} answered NOERROR, and {name} is not as it was written; another record there may forbid it, or somebody \
         changed it at once"
    );
    failed(name, Failed::Error(ProviderError::Rejected { problem }))
}

fn done(edit: Edit) -> Written {
    Written { name: edit.name, outcome: Ok(edit.after) }
}

fn failed(name: DnsName, failed: Failed) -> Written {
    Written { name, outcome: Err(failed) }
}

fn answer(code: ResponseCode) -> Result<Answer, Fault> {
    match code {
        ResponseCode::NoError => Ok(Answer::Yes),
        ResponseCode::NXDomain | ResponseCode::YXDomain | ResponseCode::NXRRSet | ResponseCode::YXRRSet => {
            Ok(Answer::No)
        }
        code => Err(Fault::Refused(code)),
    }
}
