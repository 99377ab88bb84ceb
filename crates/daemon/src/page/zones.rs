//! The table of zones.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetdns_core::Observed;
use fleetdns_core::text::age;
use tokio::time::Instant;

use super::text::{Level, Text, command, count};
use crate::zone::ZoneStatus;

/// Names of one group that are shown, and refusals.
const NAMED: usize = 5;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZoneRow {
    pub(super) level: Level,
    pub(super) name: Text,
    pub(super) provider: Text,
    /// Names that are ours.
    pub(super) owned: usize,
    pub(super) read: Option<String>,
    pub(super) wrote: Option<String>,
    pub(super) written: u64,
    pub(super) failed: u64,
    /// How DNS differs from what it ought to be: record sets that are not written yet.
    pub(super) drift: Option<String>,
    pub(super) held: Vec<Held>,
    pub(super) refused: usize,
    pub(super) refusals: Vec<(Text, Text)>,
    /// Why it cannot be read or written, and what start-up waits for.
    pub(super) faults: Vec<Text>,
    pub(super) startup: Option<Text>,
}

/// Names that one brake holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) brake: &'static str,
    pub(super) names: usize,
    /// Some of them, and the command that explains one.
    pub(super) some: Vec<(Text, Text)>,
    pub(super) reason: Text,
    pub(super) until: &'static str,
}

impl ZoneRow {
    pub(super) fn of(status: &ZoneStatus, now: Instant) -> Self {
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let unread = ago(status.listed_at);
        let held = held(status);
        let refusals = || status.refused.values().chain(status.faults.values()).flatten();
        let refused = refusals().count();
        let faults = [&status.fault, &status.write_fault, &status.other_writer];
        let mut faults: Vec<Text> = faults.into_iter().flatten().map(Text::of).collect();
        faults.dedup();
        let level = match () {
            () if !faults.is_empty() => Level::Problem,
            () if !held.is_empty() || refused > 0 => Level::Warning,
            () if status.startup.is_some() || unread.is_none() => Level::Note,
            () => Level::Good,
        };
        let seconds = |ago: Duration| age(ago.as_secs());
        Self {
            level,
            name: Text::of(&status.settings.zone),
            provider: Text::of(&status.provider),
            owned: status.observed.as_ref().map_or(0, Observed::owned_count),
            read: unread.map(seconds),
            wrote: ago(status.written_at).map(seconds),
            written: status.written,
            failed: status.failed,
            drift: drift(status),
            held,
            refused,
            refusals: refusals()
                .take(NAMED)
                .map(|one| (Text::of(&one.name), Text::of(&one.reason)))
                .collect(),
            faults,
            startup: status.startup.as_ref().map(Text::of),
        }
    }

    /// Names that brakes hold.
    pub(super) fn held_names(&self) -> usize {
        self.held.iter().map(|held| held.names).sum()
    }
}

fn held(status: &ZoneStatus) -> Vec<Held> {
    let mut groups: BTreeMap<&'static str, Held> = BTreeMap::new();
    for (name, one) in &status.held {
        let group = groups.entry(one.reason.kind()).or_insert_with(|| Held {
            brake: one.reason.kind(),
            names: 0,
            some: Vec::new(),
            reason: Text::of(one.reason.why()),
            until: one.reason.until(),
        });
        group.names += 1;
        if group.some.len() < NAMED {
            group.some.push((Text::of(name), command(&["fleetdns", "why", name.as_str()])));
        }
    }
    groups.into_values().collect()
}

fn drift(status: &ZoneStatus) -> Option<String> {
    let unwritten = status.unwritten;
    let each = [("create", unwritten.create), ("update", unwritten.update), ("delete", unwritten.delete)];
    let each: Vec<String> = each
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(verb, number)| {
            format!("{} to {verb}", count(usize::try_from(number).unwrap_or(usize::MAX), "record set"))
        })
        .collect();
    (!each.is_empty()).then(|| each.join(", "))
}
