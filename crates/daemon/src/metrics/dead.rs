//! Why dead addresses are in DNS.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{Address, DnsName, Hold};

use crate::zone::ZoneStatus;

/// An operator forced it in.
const FORCE_IN: &str = "force-in";
/// This replica follows: the leader removes it.
const NOT_LEADER: &str = "not-leader";
/// Another daemon writes the zone with the same owner.
const OTHER_WRITER: &str = "other-writer";
/// The zone cannot be written.
const WRITE_FAULT: &str = "write-fault";
/// The name is refused.
const REFUSED: &str = "refused";
/// The next write removes it.
const DUE: &str = "due";

/// All reasons: the brakes, and what else may keep it.
pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
    Hold::KINDS.into_iter().chain([FORCE_IN, NOT_LEADER, OTHER_WRITER, WRITE_FAULT, REFUSED, DUE])
}

/// How many addresses of a zone are dead, by reason. `writes`: whether this replica writes the zone.
pub(super) fn by_reason(status: &ZoneStatus, writes: bool) -> BTreeMap<&'static str, f64> {
    let mut found: BTreeMap<&'static str, BTreeSet<&Address>> = BTreeMap::new();
    for (name, all) in &status.dead {
        for dead in all {
            let reason = if dead.forced { FORCE_IN } else { reason(status, name, writes) };
            found.entry(reason).or_default().insert(&dead.address);
        }
    }
    found.into_iter().map(|(reason, addresses)| (reason, addresses.len() as f64)).collect()
}

fn reason(status: &ZoneStatus, name: &DnsName, writes: bool) -> &'static str {
    if let Some(held) = status.held.get(name) {
        held.reason.kind()
    } else if !writes {
        NOT_LEADER
    } else if status.other_writer.is_some() {
        OTHER_WRITER
    } else if status.write_fault.is_some() {
        WRITE_FAULT
    } else if status.refused.contains_key(name.as_str()) {
        REFUSED
    } else {
        DUE
    }
}
