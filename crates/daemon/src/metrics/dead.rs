//! Dead addresses that are in DNS, and why they are.
//!
//! An address of a name is dead when the probes of each Service that published it there fail. What nobody probes is not
//! dead: an address that no cluster publishes any more, or one without a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fleetdns_core::ownership::Contribution;
use fleetdns_core::{
    Address, DnsName, Health, Hold, MemberName, Observed, ObservedSet, OverrideKind, RecordData, ServiceKey,
    Verdict,
};
use fleetdns_planner::Input;
use fleetdns_planner::desired::address_verdict;

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

/// The dead addresses of the fleet.
pub(super) struct Addresses<'a> {
    input: &'a Input,
    /// By who publishes them.
    of: BTreeMap<(&'a MemberName, &'a ServiceKey), BTreeSet<Address>>,
    /// The same by themselves: most addresses are in no such set, and nothing more is asked of them.
    all: BTreeSet<Address>,
}

impl<'a> Addresses<'a> {
    pub(super) fn of(input: &'a Input) -> Self {
        let health = input.health();
        let mut found = Self { input, of: BTreeMap::new(), all: BTreeSet::new() };
        for member in input.fleet().members.values() {
            for (key, service) in &member.services {
                let published = service.addresses.iter().flatten();
                let each = published.flat_map(|one| [one.clone()].into_iter().chain(resolved(one, health)));
                let dead: BTreeSet<Address> = each
                    .filter(|one| is_dead(address_verdict(health, &member.name, one, &service.probe)))
                    .collect();
                if !dead.is_empty() {
                    found.all.extend(dead.iter().cloned());
                    found.of.insert((&member.name, key), dead);
                }
            }
        }
        found
    }

    /// How many there are in a zone by reason. `writes`: whether this replica writes the zone.
    pub(super) fn in_zone(&self, status: &ZoneStatus, writes: bool) -> BTreeMap<&'static str, usize> {
        let mut found: BTreeMap<&'static str, BTreeSet<Address>> = BTreeMap::new();
        let names = status.observed.iter().flat_map(Observed::iter);
        for (name, sets) in names.take_while(|_| !self.all.is_empty()) {
            for (set, data) in sets.iter().filter_map(|set| Some((set, set.ours()?))) {
                let candidates = values(data).into_iter().filter(|one| self.all.contains(one));
                for address in candidates {
                    if let Some(forced) = self.dead_in(set, &address) {
                        let reason = if forced { FORCE_IN } else { reason(status, name, writes) };
                        found.entry(reason).or_default().insert(address);
                    }
                }
            }
        }
        found.into_iter().map(|(reason, addresses)| (reason, addresses.len())).collect()
    }

    /// Whether an operator forced a dead address of a set in; `None`: it is not known to be dead.
    fn dead_in(&self, set: &ObservedSet, address: &Address) -> Option<bool> {
        let ownership = set.claim.ownership()?;
        let health = self.input.health();
        let mut sources = ownership
            .members
            .iter()
            .filter(|(_, share)| publishes(share, address, health))
            .map(|(member, share)| (member, ownership.service_of(share)))
            .peekable();
        sources.peek()?;
        let mut forced = false;
        for (member, service) in sources {
            if !self.of.get(&(member, service))?.contains(address) {
                return None;
            }
            let first = self.input.overrides().concerning(member, service, address).next();
            forced |= first.is_some_and(|entry| entry.kind == OverrideKind::ForceIn);
        }
        Some(forced)
    }
}

const fn is_dead(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Unhealthy | Verdict::Suspended)
}

fn resolved(address: &Address, health: &Health) -> Vec<Address> {
    let addresses = address.hostname().and_then(|name| health.resolved.get(name));
    addresses.into_iter().flatten().map(|ip| Address::from(*ip)).collect()
}

/// Whether an address at a name comes from here.
fn publishes(share: &Contribution, address: &Address, health: &Health) -> bool {
    share.addresses.contains(address)
        || share.addresses.iter().any(|one| resolved(one, health).contains(address))
}

fn values(data: &RecordData) -> Vec<Address> {
    match data {
        RecordData::A(set) => set.iter().map(|ip| Address::from(IpAddr::from(*ip))).collect(),
        RecordData::Aaaa(set) => set.iter().map(|ip| Address::from(IpAddr::from(*ip))).collect(),
        RecordData::Cname(name) => vec![Address::Hostname(name.clone())],
    }
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
