//! Another daemon that writes the same zone with the same owner: found by what it writes.
//!
//! Without replicas that know of each other two daemons would undo each other's work. The one that started later stops.
//! Each says so that has seen writes of the other: one that stops before it has written anything is not found.

use std::time::Duration;

use fleetdns_core::ownership::Writer;
use fleetdns_core::{DnsName, Observed, ObservedSet, OwnershipRecord};
use tokio::time::Instant;
use tracing::{info, warn};

use super::ZoneTask;

/// Another one that has written nothing for so long is gone.
const GONE: Duration = Duration::from_secs(600);

/// What is known of another daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherWriter {
    writer: Writer,
    /// When its last write was seen.
    seen: Instant,
    /// In how many lists there were new writes of it: one alone may be a record that a person has brought back.
    lists: u32,
}

fn writer(set: &ObservedSet) -> Option<Writer> {
    set.claim.mark().and_then(OwnershipRecord::writer)
}

/// The process that wrote something which was not there before.
fn writer_of(known: &Observed, listed: &Observed, name: &DnsName, me: Writer) -> Option<Writer> {
    let before = known.at(name);
    // What was only edited keeps its mark.
    let old: Vec<Writer> = before.iter().filter_map(writer).collect();
    let mut writers = listed.at(name).iter().filter_map(writer).filter(|writer| !old.contains(writer));
    let ours = |writer: &Writer| writer.is_same(me) || (writer.is_replica() && me.is_replica());
    writers.find(|writer| !ours(writer))
}

impl ZoneTask {
    /// Looks for writes of another daemon in a list; what this one wrote meanwhile is part of it already.
    pub(super) fn look_for_other_writer(&mut self, listed: &Observed) {
        let (Some(me), Some(known)) = (self.writer, &self.observed) else { return };
        let found = known.changed(listed).find_map(|name| writer_of(known, listed, name, me));
        let Some(writer) = found else { return };
        let now = Instant::now();
        let before = self.other_writer.filter(|other| now < other.seen + GONE);
        let lists = before.map_or(0, |other| other.lists).saturating_add(1);
        self.other_writer = Some(OtherWriter { writer, seen: now, lists });
        // One that started later is no record of the past.
        let enough = if writer > me && !me.is_replica() { 1 } else { 2 };
        if lists != enough {
            return;
        }
        let (zone, owner) = (&self.planner.zone().zone, &self.planner.zone().owner);
        let what = if self.yields() && writer.is_replica() {
            "it is one of several replicas; this one writes no more until they have written nothing for ten minutes"
        } else if self.yields() {
            "this one started later and writes no more until the other has written nothing for ten minutes"
        } else {
            "this one goes on; the other should stop"
        };
        warn!(%zone, %owner, other = %writer, what, "another daemon writes this zone with the same owner");
        let told = format!(
            "another daemon ({writer}) writes this zone with the owner '{owner}': {what}; stop one of them, give each an \
             owner, or make them replicas with [ha]"
        );
        self.status.send_modify(|status| status.other_writer = Some(told));
    }

    /// Whether another daemon writes, that started before this one.
    pub(super) fn yields(&self) -> bool {
        let (Some(me), Some(other)) = (self.writer, self.other_writer) else { return false };
        other.lists > 1 && !me.is_replica() && (other.writer.is_replica() || other.writer < me)
    }

    /// When another daemon counts as gone.
    pub(super) fn other_writer_until(&self) -> Option<Instant> {
        self.other_writer.map(|other| other.seen + GONE)
    }

    /// Forgets another daemon that is gone: everything is planned again.
    pub(super) fn forget_other_writer(&mut self) {
        if self.other_writer_until().is_none_or(|until| Instant::now() < until) {
            return;
        }
        if self.yields() {
            self.scope = fleetdns_planner::Scope::All;
            self.reading.soon();
        }
        self.other_writer = None;
        if self.status.borrow().other_writer.is_some() {
            info!(zone = %self.planner.zone().zone, "no other daemon writes this zone any more");
            self.status.send_modify(|status| status.other_writer = None);
        }
    }
}
