//! Edits become transactions that etcd takes.

use std::collections::BTreeMap;

use super::changes::{Edit, Guard};

/// etcd's `--max-txn-ops`: most compares, and most operations, of one transaction.
pub(crate) const MAX_OPERATIONS: usize = 128;
/// Below etcd's `--max-request-bytes` (1.5 MiB) with room for what surrounds keys and values.
pub(crate) const MAX_OCTETS: usize = 1024 * 1024;
/// Reads with which each edit ends.
const READS: usize = 2;
/// Most values of one set: more is not a DNS answer that anybody wants. Up to about 60 (all of them replaced) are
/// written in one transaction, more in several.
pub(crate) const MAX_VALUES: usize = 1000;

/// A key and its new value; `None` deletes.
type Write<'a> = (&'a String, &'a Option<Vec<u8>>);

/// What one or more edits cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    compares: usize,
    operations: usize,
    octets: usize,
}

impl Cost {
    fn of(edit: &Edit) -> Self {
        let written = |(key, value): Write<'_>| key.len() + value.as_ref().map_or(0, Vec::len) + 16;
        Self {
            compares: edit.guards.len(),
            operations: edit.writes.len() + READS,
            octets: edit.guards.iter().map(Guard::octets).sum::<usize>()
                + edit.writes.iter().map(written).sum::<usize>(),
        }
    }

    fn fits(self) -> bool {
        self.compares <= MAX_OPERATIONS && self.operations <= MAX_OPERATIONS && self.octets <= MAX_OCTETS
    }

    fn and(self, other: Self) -> Self {
        Self {
            compares: self.compares + other.compares,
            operations: self.operations + other.operations,
            octets: self.octets + other.octets,
        }
    }
}

/// Work that is done by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// One transaction.
    Whole(Vec<Edit>),
    /// One edit that is larger than a transaction may be.
    Large(Edit),
}

impl Batch {
    pub(crate) fn into_edits(self) -> Vec<Edit> {
        match self {
            Self::Whole(edits) => edits,
            Self::Large(edit) => vec![edit],
        }
    }
}

/// As few transactions as come of taking the edits in order.
pub(crate) fn pack(edits: impl IntoIterator<Item = Edit>) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut open = (Vec::new(), Cost::default());
    for edit in edits {
        let cost = Cost::of(&edit);
        if !cost.fits() {
            batches.push(Batch::Large(edit));
            continue;
        }
        if !open.1.and(cost).fits() {
            batches.push(Batch::Whole(std::mem::take(&mut open.0)));
            open.1 = Cost::default();
        }
        open.0.push(edit);
        open.1 = open.1.and(cost);
    }
    if !open.0.is_empty() {
        batches.push(Batch::Whole(open.0));
    }
    batches
}

/// Cuts a large edit into steps, each a transaction, so that the name has an answer after each of them: addresses come
/// before others go, a CNAME goes together with the first addresses and comes together with the last that go.
///
/// Each step guards the keys that it writes and that nothing else was written at the name since the step before.
pub(crate) fn steps(edit: &Edit) -> Vec<Edit> {
    let alias = edit.writes.get_key_value(&edit.reads.key);
    let (puts, deletes): (Vec<_>, Vec<_>) =
        edit.writes.iter().filter(|(key, _)| **key != edit.reads.key).partition(|(_, value)| value.is_some());
    let mut order: Vec<Write<'_>> = Vec::with_capacity(edit.writes.len());
    order.extend(alias.filter(|(_, value)| value.is_none()));
    order.extend(puts);
    order.extend(deletes);
    order.extend(alias.filter(|(_, value)| value.is_some()));
    let room = MAX_OPERATIONS - 8;
    let mut chunks: Vec<Vec<Write<'_>>> = Vec::new();
    if alias.is_some_and(|(_, value)| value.is_some()) {
        // The short step comes first, so that the CNAME never stands in a step of its own.
        chunks.extend(order.rchunks(room).map(<[_]>::to_vec));
        chunks.reverse();
    } else {
        chunks.extend(order.chunks(room).map(<[_]>::to_vec));
    }
    chunks.into_iter().map(|chunk| step(edit, &chunk)).collect()
}

fn step(edit: &Edit, chunk: &[Write<'_>]) -> Edit {
    let writes: BTreeMap<String, Option<Vec<u8>>> =
        chunk.iter().map(|(key, value)| ((*key).clone(), (*value).clone())).collect();
    let guards = edit
        .guards
        .iter()
        .filter(|guard| match guard {
            Guard::Is(key, _) => writes.contains_key(key),
            Guard::QuietKey(..) | Guard::QuietBelow(..) => true,
        })
        .cloned()
        .collect();
    Edit { guards, writes, ..edit.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::changes::Reads;

    fn key(index: usize) -> String {
        format!("/z/foo/v4-{index:08x}")
    }

    fn write_of(name: &str, guards: usize, writes: BTreeMap<String, Option<Vec<u8>>>) -> Edit {
        Edit {
            name: name.parse().unwrap(),
            guards: (0..guards).map(|index| Guard::Is(key(index), 0)).collect(),
            writes,
            reads: Reads { key: "/z/foo".into(), below: "/z/foo/".into() },
            desired: vec![],
            separable: false,
        }
    }

    fn puts(range: std::ops::Range<usize>, octets: usize) -> BTreeMap<String, Option<Vec<u8>>> {
        range.map(|index| (key(index), Some(vec![b'x'; octets]))).collect()
    }

    fn sizes(batches: &[Batch]) -> Vec<usize> {
        batches.iter().map(|batch| if let Batch::Whole(edits) = batch { edits.len() } else { 0 }).collect()
    }

    #[test]
    fn a_transaction_is_filled_up_to_each_of_the_limits() {
        let many = |edit: &Edit, count| sizes(&pack(vec![edit.clone(); count]));
        // 128 / 3 compares
        assert_eq!(many(&write_of("a.z", 3, puts(0..1, 10)), 100), [42, 42, 16]);
        // 128 / (14 + 2) operations
        assert_eq!(many(&write_of("a.z", 1, puts(0..14, 10)), 17), [8, 8, 1]);
        assert_eq!(many(&write_of("a.z", 1, puts(0..1, MAX_OCTETS / 3)), 5), [2, 2, 1]);
        assert_eq!(many(&write_of("a.z", 128, puts(0..126, 1)), 2), [1, 1]);
        assert_eq!(many(&write_of("a.z", 129, puts(0..1, 1)), 1), [0]);
        assert_eq!(many(&write_of("a.z", 1, puts(0..127, 1)), 1), [0]);
        assert_eq!(pack([]), []);
    }

    #[test]
    fn a_large_edit_never_leaves_the_name_without_an_answer() {
        let mut writes = puts(0..240, 10);
        writes.extend((240..480).map(|index| (key(index), None)));
        for alias in [None, Some(None), Some(Some(vec![1]))] {
            let mut writes = writes.clone();
            let becomes_alias = alias == Some(Some(vec![1]));
            if becomes_alias {
                writes.retain(|_, value| value.is_none());
            }
            writes.extend(alias.clone().map(|value| ("/z/foo".to_owned(), value)));
            let edit = write_of("foo.z", 480, writes.clone());
            let steps = steps(&edit);
            let mut standing: BTreeMap<String, ()> = (240..480).map(|index| (key(index), ())).collect();
            for step in &steps {
                assert!(Cost::of(step).fits());
                for (key, value) in &step.writes {
                    assert!(
                        step.guards.iter().any(|guard| *guard == Guard::Is(key.clone(), 0))
                            || key == "/z/foo"
                    );
                    if value.is_some() {
                        standing.insert(key.clone(), ())
                    } else {
                        standing.remove(key)
                    };
                }
                assert!(!standing.is_empty());
            }
            let written: BTreeMap<_, _> = steps.iter().flat_map(|step| step.writes.clone()).collect();
            assert_eq!(written, writes, "each write is in one step");
            assert_eq!(steps.iter().map(|step| step.writes.len()).sum::<usize>(), writes.len());
        }
    }
}
