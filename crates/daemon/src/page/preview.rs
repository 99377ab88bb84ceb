//! What DNS would become if a cluster died: its probes fail, and the brakes act as they stand. Nothing is changed.

use std::collections::BTreeSet;

use fleetdns_core::{Brakes, MemberName, RecordData, Subject};
use fleetdns_planner::simulate::without;
use fleetdns_planner::{Input, Planner};

use super::text::Text;
use crate::overrides::effect::services;
use crate::overrides::outlook::Outlook;
use crate::zone::ZoneStatus;

/// Names that are shown.
const SHOWN: usize = 200;

/// What follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Preview {
    pub(super) changes: Vec<Change>,
    /// How many names change in all.
    pub(super) names: usize,
    /// Names that a brake holds then and not now, and which brake.
    pub(super) held: Vec<(Text, Text)>,
    pub(super) names_held: usize,
    /// Zones that were not read yet.
    pub(super) unread: Vec<Text>,
}

/// A name that holds something else then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: Text,
    pub(super) now: Vec<Text>,
    pub(super) then: Vec<Text>,
}

/// Plans the names that a cluster has to do with, as things are and with the cluster dead. May take a while in a large fleet.
pub(super) fn preview(input: &Input, brakes: &Brakes, zones: &[ZoneStatus], cluster: &MemberName) -> Preview {
    let dead = Subject::Cluster(cluster.clone());
    let concerned = services(input.fleet(), std::slice::from_ref(&dead));
    let now = input.only(&concerned, |_| true);
    let then = without(input, dead).only(&concerned, |_| true);
    let mut preview = Preview::default();
    for zone in zones {
        let Some(observed) = &zone.observed else {
            preview.unread.push(Text::of(&zone.settings.zone));
            continue;
        };
        let mut planner = Planner::new(zone.settings.clone(), zone.capabilities.clone(), brakes.clone());
        let mut outlook = |input: &Input| {
            planner.update(input);
            Outlook::of(&mut planner, zone, &concerned, observed)
        };
        let (was, will) = (outlook(&now), outlook(&then));
        preview.add(&was, &will);
    }
    preview
}

impl Preview {
    fn add(&mut self, was: &Outlook, will: &Outlook) {
        let shown = |sets: Option<&Vec<RecordData>>| {
            let line =
                |data: &RecordData| Text::of(format!("{} {}", data.record_type(), data.values().join(" ")));
            sets.into_iter().flatten().map(line).collect()
        };
        for name in was.sets.keys().chain(will.sets.keys()).collect::<BTreeSet<_>>() {
            let (now, then) = (was.sets.get(name), will.sets.get(name));
            if now != then {
                self.names += 1;
                if self.changes.len() < SHOWN {
                    self.changes.push(Change { name: Text::of(name), now: shown(now), then: shown(then) });
                }
            }
        }
        for (name, reason) in will.held.iter().filter(|(name, reason)| was.held.get(*name) != Some(*reason)) {
            self.names_held += 1;
            if self.held.len() < SHOWN {
                self.held.push((Text::of(name), Text::of(reason)));
            }
        }
    }
}
