//! Edits share messages, as a server writes its journal once for each.

use hickory_proto::rr::Record;

use crate::changes::Edit;
use crate::wire;

/// Octets of records in one message, without compression: 64 KiB less zone, key and signature.
pub(crate) const MAX_OCTETS: usize = 64_000;
/// Octets at which a message is full.
const FULL: usize = 32_000;

/// Octets of an edit in a message; the larger of what is sent to write it and to prove it.
pub(crate) fn octets(edit: &Edit) -> usize {
    let sum = |records: &[Record]| records.iter().map(wire::octets).sum::<usize>();
    (sum(&edit.guards) + sum(&edit.updates) + sum(&edit.signatures)).max(sum(&edit.proof))
}

/// Batches that fit into a message each. No edit is larger than [`MAX_OCTETS`].
pub(crate) fn pack(edits: Vec<Edit>) -> Vec<Vec<Edit>> {
    let mut batches: Vec<Vec<Edit>> = Vec::new();
    let mut room = 0;
    for edit in edits {
        let octets = octets(&edit);
        match batches.last_mut().filter(|_| octets <= room) {
            Some(batch) => {
                room -= octets;
                batch.push(edit);
            }
            None => {
                room = FULL.saturating_sub(octets);
                batches.push(vec![edit]);
            }
        }
    }
    batches
}
