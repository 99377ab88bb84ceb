//! A batch that was refused, taken apart.

use fleetdns_core::redact::backend_text;
use fleetdns_core::{DnsName, Outcome, ProviderError};

use crate::changes::{Group, Unfit};
use crate::names::marked_name;
use crate::said::{Blame, Said, blamed};

/// A batch after the answer has been read.
pub(crate) struct Blamed {
    /// Groups that the answer blames.
    pub(crate) out: Vec<(Group, Outcome)>,
    /// The others.
    pub(crate) rest: Vec<Group>,
    /// Whether the answer names the groups that are at fault, so that the others may pass as they are.
    pub(crate) all_blamed: bool,
}

/// Takes out what the answer blames. A group that was alone is to blame in any case.
pub(crate) fn blame(batch: Vec<Group>, said: &Said) -> Blamed {
    let known = |name: &DnsName| {
        let of = |name: &DnsName| batch.iter().any(|group| group.name == *name).then(|| name.clone());
        of(name).or_else(|| marked_name(name).and_then(|name| of(&name)))
    };
    let mut blames = blamed(&said.messages, known);
    if let ([group], true) = (&batch[..], blames.is_empty()) {
        blames.push((group.name.clone(), Blame::of(&said.text())));
    }
    let all_blamed = !blames.is_empty();
    let (mut out, mut rest) = (Vec::new(), Vec::with_capacity(batch.len()));
    for group in batch {
        match blames.iter().position(|(name, _)| *name == group.name) {
            Some(index) => {
                let outcome = match blames.swap_remove(index).1 {
                    Blame::Stale => Outcome::Conflict,
                    Blame::Unfit(problem) => rejected(backend_text(&problem, &[])),
                };
                out.push((group, outcome));
            }
            None => rest.push(group),
        }
    }
    Blamed { out, rest, all_blamed }
}

/// What is sent again, last first: all of it, or each half for itself.
pub(crate) fn halves(batch: Vec<Group>, whole: bool) -> Vec<Vec<Group>> {
    let mut first = batch;
    let second = if whole { Vec::new() } else { first.split_off(first.len().div_ceil(2)) };
    [second, first].into_iter().filter(|half| !half.is_empty()).collect()
}

pub(crate) const fn rejected(problem: String) -> Outcome {
    Outcome::Failed(ProviderError::Rejected { problem })
}

pub(crate) fn unfit(unfit: Unfit) -> Outcome {
    match unfit {
        Unfit::Stale => Outcome::Conflict,
        Unfit::Impossible(problem) => rejected(problem),
    }
}
