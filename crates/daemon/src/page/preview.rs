//! What DNS would become if a cluster died: its probes fail, and the brakes act as they stand. Nothing is changed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use fleetdns_core::probe::Target;
use fleetdns_core::{
    Address, Brakes, ClusterVerdict, Health, MemberName, MemberView, ProbeKey, Published, RecordData,
    Subject, Verdict,
};
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
    let concerned = services(input.fleet(), &[Subject::Cluster(cluster.clone())]);
    let now = input.only(&concerned, |_| true);
    let then = without(input, cluster).only(&concerned, |_| true);
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

/// The same with every endpoint of a cluster dead. One that another cluster has too lives there.
fn without(input: &Input, cluster: &MemberName) -> Input {
    let (fleet, mut health) = (input.fleet(), input.health().clone());
    let mut dead = Endpoints::default();
    if let Some(member) = fleet.members.get(cluster) {
        dead.add(member, &health);
    }
    let mut alive = Endpoints::default();
    fleet
        .members
        .values()
        .filter(|member| member.name != *cluster)
        .for_each(|other| alive.add(other, &health));
    for key in dead.keys.difference(&alive.keys) {
        health.verdicts.insert(key.clone(), Verdict::Unhealthy);
    }
    for target in dead.named.difference(&alive.named) {
        health.named.insert(target.clone(), Verdict::Unhealthy);
    }
    // What is not probed would outlive its cluster. The verdicts on the others follow from the rest.
    health.clusters = [(cluster.clone(), ClusterVerdict::Out)].into_iter().collect();
    let mut input = input.clone();
    input.update(&fleet.clone(), &health, &input.overrides().clone());
    input
}

/// What is probed.
#[derive(Debug, Default)]
struct Endpoints {
    keys: BTreeSet<ProbeKey>,
    /// Host names of which nobody knows what they resolve to.
    named: BTreeSet<Target>,
}

impl Endpoints {
    fn add(&mut self, member: &MemberView, health: &Health) {
        for service in member.services.values() {
            for address in service.addresses.iter().flatten() {
                self.add_address(service, address, health);
            }
        }
    }

    fn add_address(&mut self, service: &Published, address: &Address, health: &Health) {
        let key = |ip: &IpAddr| ProbeKey { address: *ip, spec: Arc::clone(&service.probe) };
        match address.hostname().map(|name| health.resolved.get(name)) {
            None => self.keys.extend(address.ip().as_ref().map(key)),
            Some(Some(ips)) => self.keys.extend(ips.iter().map(key)),
            Some(None) => {
                self.named.insert(Target { address: address.clone(), spec: Arc::clone(&service.probe) });
            }
        }
    }
}
