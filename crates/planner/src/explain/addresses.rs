//! Each address of one name: in or out, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::explanation::{AddressLine, Giver, ProbeLine};
use super::facts::Facts;
use crate::desired::address_verdict;
use crate::desired::{Candidate, Desired};
use crate::planner::{Preview, addresses_of};
use fleetdns_core::address::Address;
use fleetdns_core::hold::Hold;
use fleetdns_core::member::Inventory;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::overrides::{Override, OverrideKind};
use fleetdns_core::plan::Refusal;
use fleetdns_core::probe::{Check, ProbeKey, ProbeSpec, Verdict};
use fleetdns_core::routing::Routing;

/// What the lines are made of.
pub(super) struct Lines<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) name: &'a DnsName,
    pub(super) desired: Option<&'a Desired>,
    pub(super) held: Option<&'a Hold>,
    pub(super) preview: &'a Preview,
}

/// Where an address is, and where it ought to be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    now: bool,
    then: bool,
}

impl Lines<'_> {
    pub(super) fn all(&self) -> Vec<AddressLine> {
        let (now, then) = (self.now(), self.then());
        let mut lines = Vec::new();
        let mut told: BTreeSet<Address> = BTreeSet::new();
        for (candidates, stands_by) in self.candidates() {
            for (address, candidate) in candidates {
                let all = stands_for(address, candidate);
                let place = Place { now: !now.is_disjoint(&all), then: !then.is_disjoint(&all) };
                lines.push(self.of_candidate(address, candidate, place, stands_by));
                told.extend(all);
            }
        }
        let up = self.desired.and_then(|desired| desired.up.clone()).map(Address::Hostname);
        let left = now.iter().filter(|address| !told.contains(address) && Some(*address) != up.as_ref());
        lines.extend(left.map(|address| self.of_nobody(address, then.contains(address))));
        lines
    }

    fn candidates(&self) -> impl Iterator<Item = (&BTreeMap<Address, Candidate>, bool)> {
        self.desired.into_iter().flat_map(|desired| [(&desired.candidates, false), (&desired.standby, true)])
    }

    /// What is ours there.
    fn now(&self) -> BTreeSet<Address> {
        self.there().iter().filter_map(ObservedSet::ours).flat_map(addresses_of).collect()
    }

    /// What stands there after a pass.
    fn then(&self) -> BTreeSet<Address> {
        self.preview.after(self.name, self.facts.observed).into_iter().flat_map(addresses_of).collect()
    }

    fn there(&self) -> &[ObservedSet] {
        self.facts.observed.at(self.name)
    }

    fn of_candidate(
        &self,
        address: &Address,
        candidate: &Candidate,
        place: Place,
        stands_by: bool,
    ) -> AddressLine {
        let mut reason = if stands_by { self.standby(candidate) } else { self.state(address, candidate) };
        if let Some(more) = self.but(candidate, place, stands_by) {
            reason = format!("{reason}; {more}");
        }
        let hostname = address.hostname();
        let ips = |resolved: &Vec<(IpAddr, Verdict)>| resolved.iter().map(|(ip, _)| ip.to_string()).collect();
        AddressLine {
            address: address.to_string(),
            in_dns: place.now,
            desired: place.then,
            reason,
            sources: candidate.members.iter().filter_map(|member| self.giver(member, address)).collect(),
            entry: self.entry(address, candidate),
            resolves_to: candidate.resolved.as_ref().filter(|_| hostname.is_some()).map(ips),
            resolve_error: hostname.and_then(|name| (self.facts.resolve_error)(name)).map(|e| e.to_string()),
        }
    }

    /// What is there without a member that has it.
    fn of_nobody(&self, address: &Address, then: bool) -> AddressLine {
        let said = |member: &MemberName| match self.facts.input.fleet().members.get(member) {
            None => format!("{member} gave it, and is not configured"),
            Some(view) if view.inventory == Inventory::Removed => {
                format!("{member} gave it, and is no longer configured")
            }
            Some(view) if !view.listed => format!("{member} gave it, and was never listed"),
            Some(_) => format!("{member} gave it, and no longer has it"),
        };
        let marks = self.there().iter().filter_map(|set| set.claim.ownership());
        let sources: BTreeSet<MemberName> = marks
            .flat_map(|mark| mark.members)
            .filter(|(_, share)| share.addresses.contains(address))
            .map(|(name, _)| name)
            .collect();
        let mut reason = sources.iter().map(said).collect::<Vec<_>>().join("; ");
        if reason.is_empty() {
            "no cluster has it".clone_into(&mut reason);
        }
        let next = match self.facts.refused {
            _ if then => self.kept(),
            Some(why) => format!("not written: {why}"),
            None => "goes with the next write".to_owned(),
        };
        AddressLine {
            address: address.to_string(),
            in_dns: true,
            desired: then,
            reason: format!("{reason}; {next}"),
            sources: Vec::new(),
            entry: None,
            resolves_to: None,
            resolve_error: None,
        }
    }

    fn kept(&self) -> String {
        self.held.map_or_else(|| "kept".to_owned(), |hold| format!("kept by a brake: {}", hold.kind()))
    }

    /// What is said of a candidate: by a person, otherwise by probes.
    fn state(&self, address: &Address, candidate: &Candidate) -> String {
        match candidate.kind {
            Some(OverrideKind::ForceIn) => return "forced kept in DNS, whatever its probes say".to_owned(),
            Some(OverrideKind::Drain) => return "drained".to_owned(),
            Some(OverrideKind::ForceOut) => return "forced out".to_owned(),
            None => {}
        }
        if self.desired.is_some_and(|desired| desired.removed) {
            return "its clusters are no longer configured".to_owned();
        }
        let hostname = address.hostname().is_some();
        let text = match (candidate.verdict, &candidate.resolved) {
            (Verdict::Healthy, _) if self.unprobed(candidate) => "not probed, taken for healthy",
            (Verdict::Healthy, _) => "healthy",
            (Verdict::Suspect, _) if self.is_blind(address, candidate) => {
                "cannot be probed from here; published as its cluster says"
            }
            (Verdict::Unknown, _) if self.is_blind(address, candidate) => {
                "cannot be probed from here; held as it is (unprobeable = hold)"
            }
            (Verdict::Suspect, _) => "suspect: it fails, and not yet often enough",
            (Verdict::Suspended, _) => {
                "held: it failed while probe results were distrusted, and must fail again to be removed"
            }
            (Verdict::Unhealthy, Some(ips)) if hostname && ips.is_empty() => "the host name has no addresses",
            (Verdict::Unhealthy, _) => "unhealthy",
            (Verdict::Recovering, _) => "recovering: it answers again, and not yet often enough",
            (Verdict::Unknown, None) if hostname => "the host name was never resolved",
            (Verdict::Unknown, _) => "no verdict yet",
        };
        text.to_owned()
    }

    /// Where that is not what DNS becomes.
    fn but(&self, candidate: &Candidate, place: Place, stands_by: bool) -> Option<String> {
        let alive = if stands_by { Some(false) } else { candidate.alive() };
        if let Some(why) = self.facts.refused.filter(|_| place.now != place.then) {
            return Some(format!("not written: {why}"));
        }
        match (alive, place.now, place.then) {
            (Some(true), true, true) | (Some(false) | None, false, false) => None,
            (Some(true), now, false) => {
                let refused = self
                    .preview
                    .approved
                    .plan()
                    .refused
                    .iter()
                    .find(|one| !matches!(one.reason, Refusal::Claimed { .. } | Refusal::Shared { .. }));
                let why = refused.map(|refused| refused.reason.to_string());
                let why = why.or_else(|| self.held.map(|hold| hold.kind().to_owned()));
                let retained = if now { "goes for now" } else { "not written" };
                Some(why.map_or_else(|| retained.to_owned(), |why| format!("{retained}: {why}")))
            }
            (_, false, true) => Some(match (alive, self.held) {
                (Some(true), _) | (_, None) => "comes with the next write".to_owned(),
                (_, Some(hold)) => format!("comes with the next write: {}", hold.kind()),
            }),
            (_, true, true) => Some(self.kept()),
            (_, true, false) => Some("goes with the next write".to_owned()),
        }
    }

    fn standby(&self, candidate: &Candidate) -> String {
        let zone = self.facts.zone;
        let best = self.desired.into_iter().flat_map(|desired| desired.candidates.values());
        let best = best.map(|other| other.priority(zone)).min().unwrap_or(u16::MAX);
        let mine = candidate.priority(zone);
        format!("stands by with priority {mine}, while priority {best} serves ({})", candidate.verdict)
    }

    fn unprobed(&self, candidate: &Candidate) -> bool {
        let specs: Vec<_> = candidate.members.iter().filter_map(|member| self.spec(member)).collect();
        specs.iter().all(|spec| spec.check == Check::None)
    }

    fn is_blind(&self, address: &Address, candidate: &Candidate) -> bool {
        let health = self.facts.input.health();
        let ips: BTreeSet<IpAddr> = stands_for(address, candidate).iter().filter_map(Address::ip).collect();
        let mut specs = candidate.members.iter().filter_map(|member| self.spec(member));
        let unresolved = address.hostname().is_some_and(|name| health.unresolvable.contains(name));
        unresolved
            || specs.any(|spec| {
                ips.iter()
                    .any(|ip| health.unprobeable.contains(&ProbeKey { address: *ip, spec: Arc::clone(spec) }))
            })
    }

    /// How a member's endpoints of the Service are probed.
    fn spec(&self, member: &MemberName) -> Option<&Arc<ProbeSpec>> {
        let service = self.desired?.service_in(Some(member));
        Some(&self.facts.input.fleet().members.get(member)?.services.get(service)?.probe)
    }

    fn giver(&self, member: &MemberName, address: &Address) -> Option<Giver> {
        let view = self.facts.input.fleet().members.get(member)?;
        let spec = self.spec(member)?;
        let ips: Vec<IpAddr> = match address {
            Address::Hostname(name) => {
                self.facts.input.health().resolved.get(name).into_iter().flatten().copied().collect()
            }
            other => other.ip().into_iter().collect(),
        };
        let line = |ip: &IpAddr| {
            let key = ProbeKey { address: *ip, spec: Arc::clone(spec) };
            ProbeLine {
                address: Some(ip.to_string()),
                probe: spec.to_string(),
                verdict: address_verdict(self.facts.input.health(), member, &Address::from(*ip), spec)
                    .to_string(),
                last: (self.facts.last)(&key),
            }
        };
        let mut probes: Vec<ProbeLine> = ips.iter().map(line).collect();
        if probes.is_empty() {
            let verdict = address_verdict(self.facts.input.health(), member, address, spec).to_string();
            probes.push(ProbeLine { address: None, probe: spec.to_string(), verdict, last: None });
        }
        let failover = self.desired.is_some_and(|desired| desired.routing == Routing::Failover);
        Some(Giver {
            cluster: member.to_string(),
            service: self
                .desired
                .filter(|desired| desired.ownership.services().len() > 1)
                .map(|desired| desired.service_in(Some(member)).to_string()),
            inventory: view.inventory.to_string(),
            fault: view.fault.as_deref().map(str::to_owned),
            priority: failover.then(|| self.facts.zone.priority(member)),
            probes,
        })
    }

    /// The override that counts for a candidate.
    fn entry(&self, address: &Address, candidate: &Candidate) -> Option<Override> {
        let desired = self.desired?;
        let overrides = self.facts.input.overrides();
        let mut members = candidate.members.iter();
        let first = |member| overrides.concerning(member, desired.service_in(Some(member)), address).next();
        members.find_map(|member| first(member).filter(|entry| Some(entry.kind) == candidate.kind)).cloned()
    }
}

/// An address, and what it resolves to.
fn stands_for(address: &Address, candidate: &Candidate) -> BTreeSet<Address> {
    let resolved = candidate.resolved.iter().flatten().map(|(ip, _)| Address::from(*ip));
    std::iter::once(address.clone()).chain(resolved).collect()
}
