//! What a plan does to single addresses, and why: for the velocity brake and for the journal.

use std::net::IpAddr;

use super::*;
use crate::desired::Candidate;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::record::RecordData;
use fleetdns_core::small_set::SmallSet;

/// Whether an address comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// It comes in.
    In,
    /// It goes out.
    Out,
}

/// Why an address comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MoveCause {
    /// In: no mark knows of it.
    New,
    /// In: the mark knows of it, and it was out until now.
    Back,
    /// In: by a person's override, against what probes say.
    ForcedIn,
    /// Out: its probes fail.
    Unhealthy,
    /// Out: by a person's override.
    Drained,
    /// Out: by a person's override, whatever is left.
    ForcedOut,
    /// Out: a member of a better priority stands.
    Standby,
    /// Out: no member has it any more.
    Gone,
    /// Out: only members that were removed from the config had it.
    Removed,
    /// Either: a host name stands as a CNAME where it is alone, and as its addresses where it is not.
    Form,
}

impl MoveCause {
    /// A word for programs, such as `unhealthy` or `forced-out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Back => "back",
            Self::ForcedIn => "forced-in",
            Self::Unhealthy => "unhealthy",
            Self::Drained => "drained",
            Self::ForcedOut => "forced-out",
            Self::Standby => "standby",
            Self::Gone => "gone",
            Self::Removed => "removed",
            Self::Form => "form",
        }
    }
}

/// One address that comes to a name or leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The name.
    pub name: DnsName,
    /// What comes or goes.
    pub address: Address,
    /// Which of the two.
    pub way: Way,
    /// Why.
    pub cause: MoveCause,
    /// Members that give it, or gave it.
    pub members: SmallSet<MemberName>,
    /// The Service that has the name in the first of these members; none when nobody wants it any more.
    pub service: Option<ServiceKey>,
    /// How it is probed; `None` for a host name and for what nobody returns any more.
    pub probe: Option<ProbeKey>,
}

impl Move {
    /// Whether it takes out an address because of what probes say.
    pub fn is_death(&self) -> bool {
        self.way == Way::Out && self.cause == MoveCause::Unhealthy
    }

    /// Namespace of the Service that has the name.
    pub fn namespace(&self) -> Option<&str> {
        self.service.as_ref().map(ServiceKey::namespace)
    }
}

/// What counts as one address in a budget of removals.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted<'a> {
    Ip(IpAddr),
    /// A host name of which no address is known.
    Other(&'a Address),
}

impl Planner {
    /// The moves of a plan of this planner, against what it was planned on.
    pub fn moves(&self, plan: &Plan, observed: &Observed) -> Vec<Move> {
        let mut moves = Vec::new();
        for change in &plan.changes {
            let (desired, _) = self.desired_at(&change.name, observed);
            self.moves_at(change, desired.as_ref(), observed, &mut moves);
        }
        moves
    }

    /// How many addresses may leave the zone within a minute because of what probes say. A host name counts as the addresses that
    /// it resolves to, which leave one by one.
    pub(super) fn removal_budget(&self) -> usize {
        let (mut all, mut largest) = (Vec::new(), 0);
        for member in self.input.fleet.members.values().filter(|m| m.inventory != Inventory::Removed) {
            let services = member.services.values();
            let given = services.flat_map(|service| service.addresses.iter().flatten());
            let mut own: Vec<Counted<'_>> = given.flat_map(|address| self.counted(address)).collect();
            own.sort_unstable();
            own.dedup();
            largest = largest.max(own.len());
            all.append(&mut own);
        }
        // Each member's are in order: that takes little.
        all.sort();
        all.dedup();
        budget(all.len(), largest, self.brakes.max_removals)
    }

    fn counted<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = Counted<'a>> {
        let resolved = address.hostname().and_then(|name| self.input.health.resolved.get(name));
        let ips = resolved.into_iter().flatten().copied().chain(address.ip());
        let none = address.ip().is_none() && resolved.is_none_or(imbl::OrdSet::is_empty);
        ips.map(Counted::Ip).chain(none.then_some(Counted::Other(address)))
    }

    /// The moves of one change, at a name at which this is wanted.
    pub(super) fn moves_at(
        &self,
        change: &NameChange,
        desired: Option<&Desired>,
        observed: &Observed,
        moves: &mut Vec<Move>,
    ) {
        let name = &change.name;
        let there = observed.at(name);
        let before: SmallSet<Address> =
            change.changes.iter().filter_map(|one| one.before()?.ours()).flat_map(addresses_of).collect();
        let after: SmallSet<Address> = change
            .changes
            .iter()
            .filter_map(Change::after)
            .flat_map(|(set, _)| addresses_of(&set.data))
            .collect();
        let up = desired.and_then(|desired| desired.up.clone()).map(Address::Hostname);
        let was = Current::of(there);
        let real = |address: &&Address| Some(*address) != up.as_ref() && !self.is_level(address);
        let mut add = |address: &Address, way, (cause, members): (MoveCause, SmallSet<MemberName>)| {
            let probe = self.probe_of(desired, address, &members);
            let service = desired.map(|desired| desired.service_in(members.iter().next()));
            let (name, address, service) = (name.clone(), address.clone(), service.cloned());
            moves.push(Move { name, address, way, cause, members, service, probe });
        };
        for address in before.iter().filter(|address| !after.contains(address)).filter(real) {
            add(address, Way::Out, self.why_out(desired, address, &was, change));
        }
        for address in after.iter().filter(|address| !before.contains(address)).filter(real) {
            add(address, Way::In, why_in(desired, address, &was, before.is_empty()));
        }
    }

    /// Whether a CNAME's target is a federation name, one level up, and no address of a load balancer.
    fn is_level(&self, address: &Address) -> bool {
        let spelt = |name: &DnsName| self.claims.at(name).iter().any(|claim| claim.federation);
        address.hostname().is_some_and(spelt)
    }

    fn why_out(
        &self,
        desired: Option<&Desired>,
        address: &Address,
        was: &Current<'_>,
        change: &NameChange,
    ) -> (MoveCause, SmallSet<MemberName>) {
        let found = desired.filter(|desired| !desired.removed).and_then(|desired| {
            let stands = find(&desired.candidates, address).map(|(_, candidate)| (candidate, false));
            stands.or_else(|| find(&desired.standby, address).map(|(_, candidate)| (candidate, true)))
        });
        let Some((candidate, stands_by)) = found else {
            let removed = |one: &Change| matches!(one, Change::Delete { cause: Cause::MemberDeparted, .. });
            let cause = if change.changes.iter().any(removed) { MoveCause::Removed } else { MoveCause::Gone };
            return (cause, was.sources(address).into_iter().flatten().cloned().collect());
        };
        let cause = match (stands_by, candidate.kind) {
            (true, _) => MoveCause::Standby,
            (_, Some(OverrideKind::Drain)) => MoveCause::Drained,
            (_, Some(OverrideKind::ForceOut)) => MoveCause::ForcedOut,
            _ if candidate.alive() == Some(true) && answers(candidate, address) => MoveCause::Form,
            _ => MoveCause::Unhealthy,
        };
        (cause, candidate.members.clone())
    }

    fn probe_of(
        &self,
        desired: Option<&Desired>,
        address: &Address,
        members: &SmallSet<MemberName>,
    ) -> Option<ProbeKey> {
        let desired = desired?;
        let service = members
            .iter()
            .filter_map(|name| {
                self.input.snapshot.members.get(name)?.services.get(desired.service_in(Some(name)))
            })
            .find(|service| service.probe.is_probed())?;
        Some(ProbeKey { address: address.ip()?, spec: Arc::clone(&service.probe) })
    }
}

fn why_in(
    desired: Option<&Desired>,
    address: &Address,
    was: &Current<'_>,
    nothing_was: bool,
) -> (MoveCause, SmallSet<MemberName>) {
    let found = desired.and_then(|desired| find(&desired.candidates, address));
    let Some((given, candidate)) = found else { return (MoveCause::New, SmallSet::default()) };
    let known = was.marks().iter().any(|(_, mark)| {
        mark.members
            .values()
            .any(|share| share.addresses.contains(given) || share.addresses.contains(address))
    });
    let cause = match candidate.kind {
        Some(OverrideKind::ForceIn) if candidate.verdict.is_in() != Some(true) => MoveCause::ForcedIn,
        _ if known && !nothing_was && was.stood(given) => MoveCause::Form,
        _ if known => MoveCause::Back,
        _ => MoveCause::New,
    };
    (cause, candidate.members.clone())
}

/// The candidate that an address stands for: itself, or the host name that resolves to it.
fn find<'a>(
    candidates: &'a std::collections::BTreeMap<Address, Candidate>,
    address: &Address,
) -> Option<(&'a Address, &'a Candidate)> {
    candidates.get_key_value(address).or_else(|| {
        let ip = address.ip()?;
        candidates
            .iter()
            .find(|(_, candidate)| candidate.resolved.iter().flatten().any(|(one, _)| *one == ip))
    })
}

/// Whether an address answers, of all that a host name resolves to.
fn answers(candidate: &Candidate, address: &Address) -> bool {
    let verdict = address
        .ip()
        .and_then(|ip| candidate.resolved.iter().flatten().find(|(one, _)| *one == ip))
        .map_or(candidate.verdict, |(_, verdict)| *verdict);
    verdict.is_in() == Some(true)
}

/// What a record set holds.
pub(crate) fn addresses_of(data: &RecordData) -> Vec<Address> {
    match data {
        RecordData::A(ips) => ips.iter().copied().map(Address::V4).collect(),
        RecordData::Aaaa(ips) => ips.iter().copied().map(Address::V6).collect(),
        RecordData::Cname(target) => vec![Address::Hostname(target.clone())],
    }
}
