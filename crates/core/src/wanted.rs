//! The names that one service of the fleet wants in one zone, with the addresses that could stand there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::address::Address;
use crate::evidence::{Evidence, Share};
use crate::intent::{Intents, Wish};
use crate::member::{Health, Inventory, MemberName, MemberView};
use crate::name::{DnsName, Label, NameError};
use crate::observed::ObservedSet;
use crate::plan::{Refusal, Refused};
use crate::probe::{Check, ProbeKey, ProbeSpec, Target, Verdict};
use crate::publish::global_name;
use crate::record::{RecordData, Ttl};
use crate::service::{Published, ServiceFault, ServiceKey};

/// One zone as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSettings {
    /// The zone's apex.
    pub zone: DnsName,
    /// What federation names end in: the zone, or a name within it.
    pub suffix: DnsName,
    /// Zones that are configured too; a host name belongs to the longest zone that it fits.
    pub other_zones: Vec<DnsName>,
    /// Owner id in the evidence.
    pub owner: Label,
    /// Fleet whose federation names are published.
    pub fleet: Option<Label>,
    /// TTL of sets whose Service asks for none.
    pub ttl: Ttl,
    /// Which of the healthy members stand at a name, unless its Service says otherwise.
    pub routing: Routing,
    /// Priorities of members, lowest first; a member that is missing has [`DEFAULT_PRIORITY`].
    pub priorities: Arc<BTreeMap<MemberName, u16>>,
}

/// Which of the healthy members stand at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Routing {
    /// All of them.
    #[default]
    All,
    /// Those of the best priority that has any.
    Failover,
}

/// Priority of a member of which the config says none.
pub const DEFAULT_PRIORITY: u16 = 100;

impl Routing {
    /// `all` or `failover`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failover => "failover",
        }
    }
}

impl FromStr for Routing {
    type Err = UnknownRouting;

    fn from_str(text: &str) -> Result<Self, UnknownRouting> {
        [Self::All, Self::Failover]
            .into_iter()
            .find(|routing| routing.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownRouting(text.to_owned()))
    }
}

/// Not a [`Routing`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is none of all, failover")]
pub struct UnknownRouting(pub String);

impl ZoneSettings {
    /// The priority of a member; the lowest one comes first.
    pub fn priority(&self, member: &MemberName) -> u16 {
        self.priorities.get(member).copied().unwrap_or(DEFAULT_PRIORITY)
    }

    /// Whether a name belongs to this zone and to no longer one that is configured too.
    pub fn takes(&self, name: &DnsName) -> bool {
        name.is_within(&self.zone)
            && !self.other_zones.iter().any(|other| other.is_below(&self.zone) && name.is_within(other))
    }
}

/// An address that could stand at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) verdict: Verdict,
    /// What a person says of it.
    pub(crate) wish: Option<Wish>,
    pub(crate) members: BTreeSet<MemberName>,
    /// Those of them by whose claim it is in, or out: who was drained does not lend it a priority.
    pub(crate) backers: BTreeSet<MemberName>,
    /// What a host name resolves to, each with its verdict; `None` while it was never resolved.
    pub(crate) resolved: Option<Vec<(IpAddr, Verdict)>>,
}

impl Candidate {
    /// Whether it should be in; `None` while nobody knows.
    pub(crate) fn alive(&self) -> Option<bool> {
        alive(self.verdict, self.wish)
    }
}

/// What a person says counts before what probes say.
pub(crate) fn alive(verdict: Verdict, wish: Option<Wish>) -> Option<bool> {
    match wish {
        Some(Wish::ForceIn) => Some(true),
        Some(Wish::Drain | Wish::ForceOut) => Some(false),
        None => verdict.is_in(),
    }
}

/// A name that a service of the fleet wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) service: ServiceKey,
    pub(crate) ttl: Ttl,
    /// Where the name points when no address is in.
    pub(crate) up: Option<DnsName>,
    pub(crate) candidates: BTreeMap<Address, Candidate>,
    pub(crate) routing: Routing,
    /// Candidates that wait for those of a better priority to fail.
    pub(crate) standby: BTreeMap<Address, Candidate>,
    /// Members that give addresses, none of which can be used: a slip, and no wish to be without.
    pub(crate) unreadable: BTreeSet<MemberName>,
    pub(crate) evidence: Evidence,
    /// Only members that were removed from the config have it: nothing is wanted, and why it goes is known.
    pub(crate) departed: bool,
    /// The name spells its Service, rather than being asked for.
    pub(crate) federation: bool,
}

/// All that one service of the fleet wants in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Without candidates and members, unless they were asked for.
    pub(crate) names: BTreeMap<DnsName, Wanted>,
    pub(crate) refused: Vec<Refused>,
}

/// A member that has the Service, and what it has of it.
pub(crate) type Part<'a> = (&'a MemberView, &'a Arc<Published>);

/// The names that a service of the fleet wants, without what could stand there: that is worked out when a name is
/// looked at, since a large fleet would not fit in memory with all of it.
pub(crate) fn names(key: &ServiceKey, parts: &[Part<'_>], zone: &ZoneSettings) -> Group {
    let mut builder = Builder { key, zone, only: None, group: Group::default() };
    builder.all(parts);
    let here = parts.iter().copied().filter(|(member, _)| member.inventory != Inventory::Departed);
    builder.faults(here);
    builder.group
}

/// What a candidate is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judges<'a> {
    pub(crate) health: &'a Health,
    pub(crate) intents: &'a Intents,
}

/// What a service of the fleet wants at one name.
pub(crate) fn wanted_at(
    key: &ServiceKey,
    parts: &[Part<'_>],
    zone: &ZoneSettings,
    judges: Judges<'_>,
    name: &DnsName,
) -> Option<Wanted> {
    let mut builder = Builder { key, zone, only: Some((name, judges)), group: Group::default() };
    builder.all(parts);
    builder.group.names.remove(name)
}

struct Builder<'a> {
    key: &'a ServiceKey,
    zone: &'a ZoneSettings,
    /// The one name that is looked at, and what its candidates are judged by; otherwise just all names.
    only: Option<(&'a DnsName, Judges<'a>)>,
    group: Group,
}

impl<'a> Builder<'a> {
    fn all(&mut self, parts: &[Part<'a>]) {
        let (gone, here): (Vec<Part<'_>>, Vec<Part<'_>>) =
            parts.iter().copied().partition(|(member, _)| member.inventory == Inventory::Departed);
        for (parts, departed) in [(here, false), (gone, true)] {
            self.federation(&parts, departed);
            self.hostnames(&parts, departed);
        }
    }

    /// Federation names: global, region, zone; each points one level up where it has no address.
    fn federation(&mut self, parts: &[Part<'a>], departed: bool) {
        let Some(fleet) = &self.zone.fleet else { return };
        // A load balancer that was never there says nothing, unless another member can serve in its place.
        let any_address = parts.iter().any(|(_, service)| gives(service));
        let listed: Vec<Part<'_>> =
            parts.iter().copied().filter(|(_, service)| any_address || service.addresses.is_some()).collect();
        if listed.is_empty() {
            return;
        }
        let stem = format!("{}.{}.{fleet}.svc", self.key.name, self.key.namespace);
        let Some(global) = self.named(&stem, global_name(self.key, fleet, &self.zone.suffix)) else { return };
        if any_address {
            self.want(&global, (true, None), &listed, departed);
        }
        let regions: BTreeSet<&Label> =
            listed.iter().filter_map(|(member, _)| member.region.as_ref()).collect();
        for region in regions {
            let here: Vec<Part<'_>> =
                listed.iter().copied().filter(|(member, _)| member.region.as_ref() == Some(region)).collect();
            let text = format!("{stem}.{region}");
            let Some(regional) = self.named(&text, self.zone.suffix.prepend(&text)) else { continue };
            self.want(&regional, (true, Some(&global)), &here, departed);
            let zones: BTreeSet<&Label> = here.iter().flat_map(|(member, _)| &member.zones).collect();
            for zone in zones {
                let there: Vec<Part<'_>> =
                    here.iter().copied().filter(|(member, _)| member.zones.contains(zone)).collect();
                let text = format!("{stem}.{zone}.{region}");
                if let Some(zonal) = self.named(&text, self.zone.suffix.prepend(&text)) {
                    self.want(&zonal, (true, Some(&regional)), &there, departed);
                }
            }
        }
    }

    fn hostnames(&mut self, parts: &[Part<'a>], departed: bool) {
        let asked: BTreeSet<&DnsName> = parts.iter().flat_map(|(_, service)| &service.hostnames).collect();
        for name in asked.into_iter().filter(|name| self.zone.takes(name)) {
            let asking: Vec<Part<'_>> =
                parts.iter().copied().filter(|(_, service)| service.hostnames.contains(name)).collect();
            if asking.iter().any(|(_, service)| gives(service)) {
                self.want(name, (false, None), &asking, departed);
            }
        }
    }

    fn named(&mut self, text: &str, name: Result<DnsName, NameError>) -> Option<DnsName> {
        let why = match name {
            Ok(name) if self.zone.takes(&name) => return Some(name),
            Ok(_) => "the name belongs to another zone that is configured".to_owned(),
            Err(error) => error.to_string(),
        };
        self.refuse(&format!("{text}.{}", self.zone.suffix), &format!("{}: {why}", self.key));
        None
    }

    fn refuse(&mut self, name: &str, why: &str) {
        let refused = Refused { name: name.into(), reason: Refusal::Invalid(why.into()) };
        if !self.group.refused.contains(&refused) {
            self.group.refused.push(refused);
        }
    }

    fn faults<'b>(&mut self, parts: impl Iterator<Item = Part<'b>>) {
        for (member, service) in parts {
            for fault in &service.faults {
                let why = format!("{} in {}: {fault}", self.key, member.name);
                self.refuse(&self.key.to_string(), &why);
            }
        }
    }

    /// Adds a name, or further candidates to it.
    fn want(
        &mut self,
        name: &DnsName,
        (federation, up): (bool, Option<&DnsName>),
        parts: &[Part<'_>],
        departed: bool,
    ) {
        let other = self.only.is_some_and(|(only, _)| only != name);
        if other || (departed && self.group.names.contains_key(name)) {
            return;
        }
        let asked_ttl = parts.iter().filter_map(|(_, service)| service.ttl).min();
        let asked_routing = parts.iter().filter_map(|(_, service)| service.routing).max();
        let wanted = self.group.names.entry(name.clone()).or_insert_with(|| Wanted {
            service: self.key.clone(),
            ttl: asked_ttl.unwrap_or(self.zone.ttl),
            up: up.cloned(),
            candidates: BTreeMap::new(),
            routing: asked_routing.unwrap_or(self.zone.routing),
            standby: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            evidence: Evidence {
                owner: self.zone.owner.clone(),
                service: self.key.clone(),
                members: BTreeMap::new(),
                intents: Intents::default(),
            },
            departed,
            federation,
        });
        let Some((_, judges)) = self.only else { return };
        for (member, service) in parts {
            wanted.evidence.members.insert(member.name.clone(), share(member, service));
            if unreadable(service) {
                wanted.unreadable.insert(member.name.clone());
            }
            for address in service.addresses.iter().flatten() {
                add_candidate(wanted, address, &service.probe, &member.name, judges);
            }
        }
    }
}

impl Wanted {
    /// Sets aside what stands by. A candidate does while one of a better priority is in; and one that is not published
    /// does while one of a better priority may turn out to be in.
    pub(crate) fn route(&mut self, zone: &ZoneSettings, there: &[ObservedSet]) {
        if self.routing == Routing::All {
            return;
        }
        let priority =
            |candidate: &Candidate| candidate.backers.iter().map(|member| zone.priority(member)).min();
        let best = |state: Option<bool>| {
            let such = self.candidates.values().filter(|candidate| candidate.alive() == state);
            such.filter_map(priority).min().unwrap_or(u16::MAX)
        };
        let (alive, unknown) = (best(Some(true)), best(None));
        let published = |address: &Address, candidate: &Candidate| {
            let resolved = candidate.resolved.iter().flatten().map(|(ip, _)| *ip);
            let ips: BTreeSet<IpAddr> = address.ip().into_iter().chain(resolved).collect();
            there.iter().filter_map(ObservedSet::ours).any(|data| match data {
                RecordData::A(set) => set.iter().any(|ip| ips.contains(&IpAddr::V4(*ip))),
                RecordData::Aaaa(set) => set.iter().any(|ip| ips.contains(&IpAddr::V6(*ip))),
                RecordData::Cname(target) => address.hostname() == Some(target),
            })
        };
        let stands_by = |address: &Address, candidate: &Candidate| {
            let mine = priority(candidate).unwrap_or(u16::MAX);
            alive < mine || (unknown < mine && !published(address, candidate))
        };
        let all = std::mem::take(&mut self.candidates);
        (self.standby, self.candidates) =
            all.into_iter().partition(|(address, candidate)| stands_by(address, candidate));
    }
}

fn gives(service: &Published) -> bool {
    service.addresses.as_ref().is_some_and(|all| !all.is_empty()) || unreadable(service)
}

fn unreadable(service: &Published) -> bool {
    let bad = |fault: &ServiceFault| matches!(fault, ServiceFault::Address { .. });
    service.addresses.as_ref().is_some_and(BTreeSet::is_empty) && service.faults.iter().any(bad)
}

fn share(member: &MemberView, service: &Published) -> Share {
    Share {
        region: member.region.clone(),
        zones: member.zones.clone(),
        probe: (*service.probe).clone(),
        addresses: service.addresses.clone().unwrap_or_default(),
    }
}

fn add_candidate(
    wanted: &mut Wanted,
    address: &Address,
    probe: &Arc<ProbeSpec>,
    member: &MemberName,
    judges: Judges<'_>,
) {
    let (verdict, resolved) = judge_address(Some(member), address, probe, judges.health);
    let mut wish = None;
    for (subject, intent) in judges.intents.concerning(member, &wanted.service, address) {
        wish = wish.or(Some(intent.wish));
        wanted.evidence.intents.set(subject, intent.clone());
    }
    let candidate = wanted.candidates.entry(address.clone()).or_insert_with(|| Candidate {
        verdict,
        wish,
        members: BTreeSet::new(),
        backers: BTreeSet::new(),
        resolved: resolved.clone(),
    });
    let before = candidate.alive();
    // An address stays while any member's claim of it answers.
    if rank(verdict, wish) > rank(candidate.verdict, candidate.wish) {
        candidate.verdict = verdict;
        candidate.wish = wish;
        candidate.resolved = resolved;
    }
    if candidate.alive() != before {
        candidate.backers.clear();
    }
    if candidate.alive() == alive(verdict, wish) {
        candidate.backers.insert(member.clone());
    }
    candidate.members.insert(member.clone());
}

/// The verdict on an address of a member, and on each address that a host name resolves to (`None`: it was never
/// resolved). Without a member, what has no verdict of its own counts as healthy.
pub(crate) fn judge_address(
    member: Option<&MemberName>,
    address: &Address,
    probe: &Arc<ProbeSpec>,
    health: &Health,
) -> (Verdict, Option<Vec<(IpAddr, Verdict)>>) {
    let name = match (address, address.ip()) {
        (_, Some(ip)) => return (verdict(member, ip, probe, health), None),
        (Address::Hostname(name), _) => name,
        _ => return (Verdict::Unknown, None),
    };
    let Some(ips) = health.resolved.get(name) else {
        let target = Target { address: address.clone(), spec: Arc::clone(probe) };
        let unresolvable = health.unresolvable.contains(name).then_some(Verdict::Suspect);
        return (health.named.get(&target).copied().or(unresolvable).unwrap_or_default(), None);
    };
    let judged: Vec<_> = ips.iter().map(|ip| (*ip, verdict(member, *ip, probe, health))).collect();
    // A host name answers while any of its addresses does; one without addresses is dead.
    let best = judged.iter().map(|(_, verdict)| *verdict).max_by_key(|v| standing(*v));
    (best.unwrap_or(Verdict::Unhealthy), Some(judged))
}

fn verdict(member: Option<&MemberName>, ip: IpAddr, probe: &Arc<ProbeSpec>, health: &Health) -> Verdict {
    match (&probe.check, member) {
        (Check::Cluster, Some(member)) => {
            return health.clusters.get(member).copied().unwrap_or_default().verdict();
        }
        (Check::None | Check::Cluster, _) => return Verdict::Healthy,
        _ => {}
    }
    let key = ProbeKey { address: ip, spec: Arc::clone(probe) };
    match health.verdict(&key) {
        // Published with a doubt: nobody can tell from here.
        Verdict::Unknown if health.blind.contains(&key) => Verdict::Suspect,
        verdict => verdict,
    }
}

impl Health {
    /// The verdict on an address of a member that is probed in some way; a host name answers while any of its addresses
    /// does.
    pub fn of(&self, member: &MemberName, address: &Address, probe: &Arc<ProbeSpec>) -> Verdict {
        judge_address(Some(member), address, probe, self).0
    }
}

/// Which of two verdicts on one address speaks for it.
pub(crate) const fn standing(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => 5,
        Verdict::Suspect => 4,
        Verdict::Unknown => 3,
        Verdict::Held => 2,
        Verdict::Recovering => 1,
        Verdict::Unhealthy => 0,
    }
}

/// Which of two claims of one address speaks for it.
pub(crate) const fn rank(verdict: Verdict, wish: Option<Wish>) -> (u8, u8) {
    let wish = match wish {
        Some(Wish::ForceIn) => 3,
        None => 2,
        Some(Wish::Drain) => 1,
        Some(Wish::ForceOut) => 0,
    };
    (wish, standing(verdict))
}
