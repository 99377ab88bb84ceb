//! Whether what was to be written is there: the protocol does not say.

use crate::changes::{Edit, Op, Part};
use crate::listing::{Known, View, data, read_name};
use crate::wire::Endpoint;

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Done,
    /// All is as it was before.
    Pending,
    /// Neither: half of it was written, or somebody else was here.
    Else,
}

/// How far an edit has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// What is left to be written.
    Pending(Vec<Op>),
    Else,
}

/// `told` says that the webhook called it done: then a set that has the values and kept its TTL is done, too.
pub(crate) fn progress(edit: &Edit, view: &View, told: bool) -> Progress {
    let known = view.at(&edit.name);
    let mut left = Vec::new();
    for op in &edit.ops {
        match now(edit, op, (&known, view), told) {
            Now::Done => {}
            Now::Pending => left.push(op.clone()),
            Now::Else => return Progress::Else,
        }
    }
    if left.is_empty() { Progress::Done } else { Progress::Pending(left) }
}

fn now(edit: &Edit, op: &Op, (known, view): (&Known, &View), told: bool) -> Now {
    let theirs = op.old.as_ref().filter(|_| op.part == Part::Theirs);
    let theirs = theirs.and_then(|old| read_name(&old.dns_name).ok()).map(|at| view.at(&at));
    let there = match op.part {
        Part::Theirs => theirs.as_ref().and_then(|known| known.sets.get(&op.old.as_ref()?.record_type)),
        Part::OwnershipRecord => known.kept.as_ref().map(|kept| &kept.raw),
        Part::Set(kind) => known.raw(kind),
    };
    let Some(raw) = there else {
        return match (&op.old, &op.new) {
            (_, None) => Now::Done,
            (None, Some(_)) => Now::Pending,
            (Some(_), Some(_)) => Now::Else,
        };
    };
    let as_before = op.old.as_ref().is_some_and(|old| raw.is(old));
    let written = op.new.as_ref().is_some_and(|new| is_written(edit, op.part, new, known));
    // Where the TTL alone changes, only the webhook's word tells whether it took it.
    let ttl_only = as_before && !told;
    match (written && !ttl_only, as_before) {
        (true, _) => Now::Done,
        (false, true) => Now::Pending,
        (false, false) => Now::Else,
    }
}

fn is_written(edit: &Edit, part: Part, new: &Endpoint, known: &Known) -> bool {
    match part {
        Part::OwnershipRecord => {
            let text = known.kept.as_ref().and_then(|kept| kept.record.text.as_ref());
            text.is_some() && text == edit.mark_text().as_ref()
        }
        Part::Theirs => false,
        Part::Set(kind) => {
            let there = known.raw(kind).and_then(|raw| data(kind, &raw.endpoint.targets));
            there.is_some() && there == data(kind, &new.targets)
        }
    }
}
