//! Batches of edits are written, each name for itself where a batch cannot be.
//!
//! A message that is not taken is the fault of the zone when an update that changes nothing is not taken either, and the
//! fault of its names otherwise: it is split until the refused name stands alone. Nothing is given up because of others.
//!
//! Invariant: only a fault of the zone ends the work; time that refused names cost is bounded ([`RefusalBudget`]).
//! Invariant: nothing is told as written that was not proved.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fleetdns_core::{DnsName, Outcome, ProviderError, RefusalBudget};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use tracing::debug;

use crate::changes::Edit;
use crate::client::Link;
use crate::error::{Asked, Fault};
use crate::view::Known;

/// Refused names after which it is looked again whether the zone takes updates.
const LOOK_AGAIN: usize = 32;

/// What became of one edit.
#[derive(Debug)]
pub(crate) enum Fate {
    Done(Known),
    /// The name is not as it was listed.
    Conflict,
    /// The server refuses this name.
    Refused(ProviderError),
    /// A fault of the zone.
    Zone(ProviderError),
    Incomplete(String),
    NotTried,
}

/// Writes over one link, one message after the other.
pub(crate) struct Run<'a> {
    link: Link<'a>,
    asked: Asked<'a>,
    /// Whether the server refuses to delete signatures, which most do: learnt once.
    plain: &'a AtomicBool,
    budget: RefusalBudget,
    /// Whether the zone takes updates.
    willing: bool,
    refused: usize,
    /// After this nothing is tried any more.
    ended: bool,
    pub(crate) written: Vec<(DnsName, Fate)>,
}

/// Edits for one message.
struct Batch {
    edits: Vec<Edit>,
    /// Whether it may have been carried out already.
    doubtful: bool,
}

/// Whether a batch is as planned.
enum Answer {
    Yes,
    /// A prerequisite does not hold.
    No,
}

impl<'a> Run<'a> {
    pub(crate) fn new(link: Link<'a>, asked: Asked<'a>, plain: &'a AtomicBool) -> Self {
        Self {
            link,
            asked,
            plain,
            budget: RefusalBudget::default(),
            willing: false,
            refused: 0,
            ended: false,
            written: Vec::new(),
        }
    }

    /// Writes a batch in one message, or halves of it when it cannot be written whole.
    pub(crate) async fn write(&mut self, edits: Vec<Edit>) {
        // Halves not yet tried, the first one last.
        let mut waiting = vec![Batch { edits, doubtful: false }];
        while let Some(batch) = waiting.pop() {
            if self.ended || self.budget.is_spent() {
                self.tell(batch.edits, |_| Fate::NotTried);
                continue;
            }
            let halves = self.write_or_split(batch).await;
            waiting.extend(halves.into_iter().flatten());
        }
    }

    /// Returns the second and the first half of a batch that cannot be written whole.
    async fn write_or_split(&mut self, batch: Batch) -> Option<[Batch; 2]> {
        let Batch { mut edits, mut doubtful } = batch;
        let begun = Instant::now();
        let answer = self.put(&edits, &mut doubtful, !self.plain.load(Ordering::Relaxed)).await;
        match answer {
            Ok(Answer::Yes) => {
                self.willing = true;
                self.prove(edits).await;
                return None;
            }
            Ok(Answer::No) if doubtful && matches!(self.try_prove(&edits).await, Ok(Answer::Yes)) => {
                self.tell(edits, |edit| Fate::Done(edit.after));
                return None;
            }
            Ok(Answer::No) => {}
            Err(fault) => match self.of_the_zone(fault).await {
                Ok(fault) => {
                    self.end(edits, &fault);
                    return None;
                }
                Err(fault) if edits.len() == 1 => {
                    self.refuse(edits, fault).await;
                    self.budget.spend(begun.elapsed());
                    return None;
                }
                Err(_) => {}
            },
        }
        self.budget.spend(begun.elapsed());
        if edits.len() == 1 {
            self.tell(edits, |_| Fate::Conflict);
            return None;
        }
        let rest = edits.split_off(edits.len() / 2);
        Some([rest, edits].map(|edits| Batch { edits, doubtful }))
    }

    /// One edit alone is refused: with its signatures it may be that they are, and not the name.
    async fn refuse(&mut self, edits: Vec<Edit>, fault: Fault) {
        let mut fault = fault;
        if edits.iter().any(|edit| !edit.signatures.is_empty()) && !self.plain.load(Ordering::Relaxed) {
            match self.put(&edits, &mut false, false).await {
                Ok(answer) => {
                    self.plain.store(true, Ordering::Relaxed);
                    return match answer {
                        Answer::Yes => self.prove(edits).await,
                        Answer::No => self.tell(edits, |_| Fate::Conflict),
                    };
                }
                Err(plain) => fault = plain,
            }
        }
        self.refused += 1;
        self.willing = !self.refused.is_multiple_of(LOOK_AGAIN);
        let asked = self.asked;
        self.tell(edits, |edit| Fate::Refused(asked.refuses(&edit.name, &fault)));
    }

    /// `Ok` with a fault of the zone, `Err` with one of the names that were in a message. A server that closes the
    /// connection on a message may take others.
    async fn of_the_zone(&mut self, fault: Fault) -> Result<Fault, Fault> {
        match fault {
            Fault::Silent(_) => return Ok(fault),
            Fault::Io(_) if self.link.reconnect().await.is_err() => return Ok(fault),
            Fault::Io(_) => {}
            _ if self.willing => return Err(fault),
            _ => {}
        }
        match self.link.update(Vec::new(), Vec::new()).await {
            Ok(ResponseCode::NoError) => {
                self.willing = true;
                Err(fault)
            }
            Ok(code) => Ok(Fault::Refused(code)),
            Err(fault) => Ok(fault),
        }
    }

    fn end(&mut self, edits: Vec<Edit>, fault: &Fault) {
        self.ended = true;
        let asked = self.asked;
        self.tell(edits, |_| Fate::Zone(asked.error(fault)));
    }

    fn tell(&mut self, edits: Vec<Edit>, fate: impl Fn(Edit) -> Fate) {
        self.written.extend(edits.into_iter().map(|edit| (edit.name.clone(), fate(edit))));
    }

    async fn put(&mut self, edits: &[Edit], doubtful: &mut bool, signatures: bool) -> Result<Answer, Fault> {
        let of = |part: fn(&Edit) -> &Vec<Record>| edits.iter().flat_map(part).cloned();
        let guards: Vec<Record> = of(|edit| &edit.guards).collect();
        let mut updates: Vec<Record> = Vec::new();
        if signatures {
            updates.extend(of(|edit| &edit.signatures));
        }
        updates.extend(of(|edit| &edit.updates));
        self.exchange(guards, updates, doubtful).await
    }

    /// An update with nothing but prerequisites: unlike a query it sees through wildcards, and one message does for
    /// many names.
    async fn try_prove(&mut self, edits: &[Edit]) -> Result<Answer, Fault> {
        let proof = edits.iter().flat_map(|edit| edit.proof.iter().cloned()).collect();
        self.exchange(proof, Vec::new(), &mut false).await
    }

    /// A connection that breaks is made once again: what is sent has its conditions, so that it can be sent twice. Says
    /// then that it may have been carried out the first time.
    async fn exchange(
        &mut self,
        guards: Vec<Record>,
        updates: Vec<Record>,
        doubtful: &mut bool,
    ) -> Result<Answer, Fault> {
        let code = match self.link.update(guards.clone(), updates.clone()).await {
            Err(Fault::Io(_)) => {
                *doubtful = true;
                self.link.reconnect().await?;
                self.link.update(guards, updates).await?
            }
            answer => answer?,
        };
        match code {
            ResponseCode::NoError => Ok(Answer::Yes),
            ResponseCode::NXDomain
            | ResponseCode::YXDomain
            | ResponseCode::NXRRSet
            | ResponseCode::YXRRSet => Ok(Answer::No),
            code => Err(Fault::Refused(code)),
        }
    }

    /// What was taken is there.
    async fn prove(&mut self, edits: Vec<Edit>) {
        let mut waiting = vec![edits];
        while let Some(mut edits) = waiting.pop() {
            match self.try_prove(&edits).await {
                Ok(Answer::Yes) => self.tell(edits, |edit| Fate::Done(edit.after)),
                Ok(Answer::No) if edits.len() > 1 => {
                    let rest = edits.split_off(edits.len() / 2);
                    waiting.extend([rest, edits]);
                }
                Ok(Answer::No) => {
                    for edit in edits {
                        self.complete(edit).await;
                    }
                }
                Err(fault) => {
                    self.ended |= match fault {
                        Fault::Io(_) => self.link.reconnect().await.is_err(),
                        Fault::Silent(_) => true,
                        _ => false,
                    };
                    let problem = format!("{} took it, and then: {fault}", self.asked.server);
                    self.tell(edits, |_| Fate::Incomplete(problem.clone()));
                }
            }
        }
    }

    /// An edit that was taken is not there as it was written. Either nothing was done, or the deletion alone: then the
    /// rest follows at once.
    async fn complete(&mut self, edit: Edit) {
        debug!(name = %edit.name, "not as it was written");
        let server = self.asked.server;
        if matches!(self.exchange(edit.guards.clone(), Vec::new(), &mut false).await, Ok(Answer::Yes)) {
            let problem = format!(
                "{server} answers NOERROR and leaves {} as it was; another record there or above may forbid it",
                edit.name
            );
            return self
                .tell(vec![edit], |_| Fate::Refused(ProviderError::Rejected { problem: problem.clone() }));
        }
        if let Some(rest) = &edit.rest {
            let rest = self.exchange(rest.guards.clone(), rest.updates.clone(), &mut false).await;
            if matches!(rest, Ok(Answer::Yes))
                && matches!(self.try_prove(std::slice::from_ref(&edit)).await, Ok(Answer::Yes))
            {
                return self.tell(vec![edit], |edit| Fate::Done(edit.after));
            }
        }
        let problem =
            format!("{server} answered NOERROR and carried out a part of the change of {}", edit.name);
        self.tell(vec![edit], |_| Fate::Incomplete(problem.clone()));
    }
}

impl From<Fate> for Outcome {
    /// Without the sets of what is done.
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Done(_) => Self::Done([].into()),
            Fate::Conflict => Self::Conflict,
            Fate::Refused(error) | Fate::Zone(error) => Self::Failed(error),
            Fate::Incomplete(problem) => Self::Incomplete { problem },
            Fate::NotTried => Self::NotTried,
        }
    }
}
