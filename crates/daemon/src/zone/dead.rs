//! Dead addresses that are in the zone, by name.
//!
//! An address of a name is dead when the probes of each Service that published it there fail. What nobody probes is not
//! dead: an address that no cluster publishes any more, or one without a verdict.
//!
//! Invariant: a name is looked at again when its records, a verdict or an override that it depends on change; nobody who
//! asks has to look at every name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fleetdns_core::ownership::Contribution;
use fleetdns_core::{
    Address, DnsName, Health, MemberName, Observed, ObservedSet, OverrideKind, RecordData, ServiceKey,
    Verdict,
};
use fleetdns_planner::desired::address_verdict;
use fleetdns_planner::{Input, Scope};
use tokio::task::yield_now;

use super::ZoneTask;

/// Names that are looked at before other tasks have their turn.
const AT_ONCE: usize = 1000;

/// A dead address at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The address.
    pub address: Address,
    /// Whether an operator forced it in.
    pub forced: bool,
}

/// The dead addresses of each name that has any.
pub type DeadNames = BTreeMap<DnsName, Vec<Dead>>;

impl ZoneTask {
    /// Looks for dead addresses at the names that have changed since.
    pub(super) async fn look_for_dead(&mut self) {
        let scope = std::mem::replace(&mut self.changed, Scope::Names(BTreeSet::new()));
        let (Some(observed), false) = (&self.observed, scope.is_empty()) else { return };
        let input = self.planner.input();
        let names: Vec<DnsName> = match &scope {
            _ if !any_dead(input) => Vec::new(),
            Scope::All => observed.owned().cloned().collect(),
            Scope::Names(names) => names.iter().cloned().collect(),
        };
        let mut found = DeadNames::new();
        for part in names.chunks(AT_ONCE) {
            found.extend(part.iter().filter_map(|name| Some((name.clone(), at(observed, name, input)?))));
            yield_now().await;
        }
        self.status.send_if_modified(|status| {
            let before = status.dead.len();
            status.dead.retain(|name, _| !scope.contains(name));
            let changed = before != status.dead.len() || !found.is_empty();
            status.dead.extend(found);
            changed
        });
    }
}

/// Whether any address of the fleet is dead: mostly none is, and then no name has to be looked at.
fn any_dead(input: &Input) -> bool {
    let members = input.fleet().members.keys();
    members.flat_map(|name| input.addresses_by_verdict(name)).any(|(verdict, count)| count > 0 && is_dead(verdict))
        // One of several addresses of a host name may be dead.
        || !input.health().resolved.is_empty()
}

fn at(observed: &Observed, name: &DnsName, input: &Input) -> Option<Vec<Dead>> {
    let mut found: Vec<Dead> = Vec::new();
    for (set, data) in observed.at(name).iter().filter_map(|set| Some((set, set.ours()?))) {
        let dead = values(data).into_iter().filter_map(|address| {
            let forced = dead_in(set, &address, input)?;
            Some(Dead { address, forced })
        });
        found.extend(dead);
    }
    (!found.is_empty()).then_some(found)
}

/// Whether an operator forced a dead address of a set in; `None`: it is not known to be dead.
fn dead_in(set: &ObservedSet, address: &Address, input: &Input) -> Option<bool> {
    let ownership = set.claim.ownership()?;
    let health = input.health();
    let publishes = |share: &Contribution| {
        share.addresses.contains(address)
            || share.addresses.iter().any(|one| resolved(one, health).any(|ip| ip == *address))
    };
    let shares = ownership.members.iter().filter(|(_, share)| publishes(share));
    let mut sources = shares.map(|(member, share)| (member, ownership.service_of(share))).peekable();
    sources.peek()?;
    let mut forced = false;
    for (member, service) in sources {
        if !is_dead_of(member, service, address, input) {
            return None;
        }
        let first = input.overrides().concerning(member, service, address).next();
        forced |= first.is_some_and(|entry| entry.kind == OverrideKind::ForceIn);
    }
    Some(forced)
}

/// Whether a Service of a member publishes an address, and its probes fail.
fn is_dead_of(member: &MemberName, service: &ServiceKey, address: &Address, input: &Input) -> bool {
    let members = &input.fleet().members;
    let Some(published) = members.get(member).and_then(|member| member.services.get(service)) else {
        return false;
    };
    let health = input.health();
    let mut all = published.addresses.iter().flatten();
    all.any(|one| one == address || resolved(one, health).any(|ip| ip == *address))
        && is_dead(address_verdict(health, member, address, &published.probe))
}

const fn is_dead(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Unhealthy | Verdict::Suspended)
}

fn resolved(address: &Address, health: &Health) -> impl Iterator<Item = Address> {
    let addresses = address.hostname().and_then(|name| health.resolved.get(name));
    addresses.into_iter().flatten().map(|ip| Address::from(*ip))
}

fn values(data: &RecordData) -> Vec<Address> {
    match data {
        RecordData::A(set) => set.iter().map(|ip| Address::from(IpAddr::from(*ip))).collect(),
        RecordData::Aaaa(set) => set.iter().map(|ip| Address::from(IpAddr::from(*ip))).collect(),
        RecordData::Cname(name) => vec![Address::Hostname(name.clone())],
    }
}
