//! What is wrong or out of the ordinary, in words: the first thing on the page.

use std::sync::Arc;

use fleetdns_core::{ClusterVerdict, Inventory, Overrides, SelfCheckFailure};

use super::clusters::ClusterRow;
use super::text::{Level, Text, command, count};
use super::zones::ZoneRow;
use crate::ha::Standing;
use crate::reload::Reloaded;
use crate::view::{PutOffLine, UnprobeableLine};

/// Clusters and overrides that are named one by one.
const NAMED: usize = 5;

/// One line of the banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) level: Level,
    pub(super) what: &'static str,
    pub(super) text: Text,
    /// What to type.
    pub(super) command: Option<Text>,
}

/// What the banner is made of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) self_check: Option<&'a SelfCheckFailure>,
    pub(super) standing: &'a Standing,
    pub(super) unprobeable: Vec<UnprobeableLine>,
    pub(super) put_offs: Vec<PutOffLine>,
    pub(super) startup: Option<&'a str>,
    /// Tasks that take no turn, in words.
    pub(super) hanging: Vec<String>,
    pub(super) state_fault: Option<Arc<str>>,
    pub(super) reloaded: &'a Reloaded,
    pub(super) overrides: &'a Overrides,
    pub(super) clusters: &'a [ClusterRow],
    pub(super) zones: &'a [ZoneRow],
}

impl Facts<'_> {
    /// The worst first.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let mut notices = Notices::default();
        self.process(&mut notices);
        self.prober(&mut notices);
        self.of_zones(&mut notices);
        self.of_clusters(&mut notices);
        self.config(&mut notices);
        self.of_overrides(&mut notices);
        notices.0.sort_by_key(|notice| std::cmp::Reverse(notice.level));
        notices.0
    }

    fn prober(&self, out: &mut Notices) {
        if let Some(failure) = self.self_check {
            let text = format!("probe-driven removals suspended: {failure}");
            let confirm = || command(&["fleetdns", "confirm-outage"]);
            let correlation = matches!(failure, SelfCheckFailure::Correlation { .. });
            out.add(Level::Problem, "prober self-check failed", &text, correlation.then(confirm));
        }
        for line in &self.unprobeable {
            let become_of = if line.unprobeable == "hold" {
                "held as they are"
            } else {
                "published as their clusters say"
            };
            let text = format!("{} {}: {become_of}", count(line.addresses, "address"), line.family);
            out.add(Level::Note, "unprobeable", &text, None);
        }
        for line in self.put_offs.iter().take(NAMED) {
            let PutOffLine { namespace, probes, longest_ms, limit } = line;
            let text = format!("{probes} of namespace {namespace}, by up to {longest_ms} ms: {limit}");
            out.add(Level::Warning, "probes put off", &text, None);
        }
    }

    fn process(&self, out: &mut Notices) {
        for task in &self.hanging {
            out.add(Level::Problem, "task hangs", task, None);
        }
        if let Some(fault) = &self.state_fault {
            out.add(Level::Problem, "overrides cannot be saved", fault, None);
        }
        match self.standing {
            Standing::Alone => {}
            Standing::Waits(_) => out.add(Level::Problem, "no leader", &self.standing.to_string(), None),
            Standing::Leads | Standing::Follows(_) => {
                out.add(Level::Note, "replica", &self.standing.to_string(), None);
            }
        }
        if let Some(startup) = self.startup {
            let text = format!("nothing is removed before start-up has converged: {startup}");
            out.add(Level::Note, "starting", &text, None);
        }
    }

    fn of_zones(&self, out: &mut Notices) {
        for zone in self.zones {
            let named = |text: &dyn std::fmt::Display| format!("{}: {text}", zone.name);
            for fault in &zone.faults {
                out.add(Level::Problem, "zone fault", &named(fault), None);
            }
            for held in &zone.held {
                let names = count(held.names, "name");
                let text = format!("{} at {names}: {}; until {}", held.brake, held.reason, held.until);
                let why = held.some.first().map(|(_, why)| why.clone());
                out.add(Level::Warning, "brake", &named(&text), why);
            }
            if zone.refused > 0 {
                let text = format!("{} wanted and not written", count(zone.refused, "name"));
                out.add(Level::Warning, "refused", &named(&text), None);
            }
            // Of the start as a whole it is said already.
            if let Some(startup) = zone.startup.as_ref().filter(|_| self.startup.is_none()) {
                out.add(Level::Note, "starting", &named(startup), None);
            }
        }
    }

    fn of_clusters(&self, out: &mut Notices) {
        let with = |wanted: &dyn Fn(&ClusterRow) -> bool| -> Vec<&Text> {
            self.clusters.iter().filter(|row| wanted(row)).map(|row| &row.name).collect()
        };
        let dead = with(&|row| row.health == ClusterVerdict::Out);
        out.add_names(Level::Problem, "cluster down", &dead, "no endpoint healthy");
        let stale = with(&|row| row.inventory == Inventory::Stale);
        out.add_names(Level::Warning, "cluster API away", &stale, "the last inventory is kept, probes go on");
        let removed = with(&|row| row.inventory == Inventory::Removed);
        out.add_names(
            Level::Note,
            "cluster removed",
            &removed,
            "no longer configured; its addresses are drained",
        );
    }

    fn config(&self, out: &mut Notices) {
        for fault in &self.reloaded.faults {
            out.add(Level::Problem, "configuration on disk not taken up", fault, None);
        }
        for fault in &self.reloaded.source_faults {
            out.add(Level::Warning, "discovery", fault, None);
        }
        for key in &self.reloaded.at_restart {
            out.add(Level::Note, "takes effect at the next start", key, None);
        }
    }

    fn of_overrides(&self, out: &mut Notices) {
        for entry in self.overrides.iter().take(NAMED) {
            let undo = command(&["fleetdns", "undrain", &entry.subject.to_string()]);
            out.add(Level::Note, "override", &entry.to_string(), Some(undo));
        }
        let more = self.overrides.iter().count().saturating_sub(NAMED);
        if more > 0 {
            let all = command(&["fleetdns", "overrides"]);
            out.add(Level::Note, "override", &format!("and {more} more"), Some(all));
        }
    }
}

#[derive(Default)]
struct Notices(Vec<Notice>);

impl Notices {
    fn add(&mut self, level: Level, what: &'static str, text: &str, command: Option<Text>) {
        self.0.push(Notice { level, what, text: Text::of(text), command });
    }

    fn add_names(&mut self, level: Level, what: &'static str, names: &[&Text], text: &str) {
        let shown: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !names.is_empty() {
            self.add(level, what, &format!("{}{more}: {text}", shown.join(", ")), None);
        }
    }
}
