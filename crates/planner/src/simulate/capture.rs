//! A running fleet, written down as a scenario.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::{BrakeState, CapabilityState, MemberState, Scenario, SetState, VerdictState, ZoneState, read};
use crate::desired::{ZoneSettings, address_health};
use crate::publish::{PublishSettings, publish};
use fleetdns_core::address::Address;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::member::{Health, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::{Observed, ObservedSet};
use fleetdns_core::policy::AddressPolicy;
use fleetdns_core::probe::Verdict;
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::{RecordData, Ttl};
use fleetdns_core::routing::Routing;
use fleetdns_core::service::{Ingress, Published, Service};
use fleetdns_core::service_fault::ServiceFault;

/// A running fleet as a scenario. Sets and Services become text one by one while it is written: all of them at once take
/// more memory than the daemon.
pub type Capture<'a> = Scenario<ZoneState<Sets<'a>>, MemberState<Services<'a>>>;

/// What a zone holds.
#[derive(Debug)]
pub struct Sets<'a> {
    zone: &'a ZoneSettings,
    observed: &'a Observed,
}

impl Serialize for Sets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |(name, sets): (&'_ DnsName, &'_ [ObservedSet])| -> Vec<SetState> {
            sets.iter().map(|set| set_state(name, set, self.zone)).collect()
        };
        serializer.collect_seq(self.observed.iter().flat_map(of))
    }
}

/// The Services of a member.
#[derive(Debug)]
pub struct Services<'a>(&'a MemberView);

impl Serialize for Services<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.services.values().map(|published| let_through(published)))
    }
}

impl<'a> Capture<'a> {
    /// An empty scenario of a fleet.
    pub fn of(fleet: &str) -> Self {
        Self { fleet: fleet.to_owned(), ..Self::default() }
    }

    /// Adds a zone and what it holds.
    pub fn add_zone(&mut self, zone: &'a ZoneSettings, capabilities: &Capabilities, observed: &'a Observed) {
        let max_values = (capabilities.max_values < usize::MAX).then_some(capabilities.max_values);
        let state = CapabilityState {
            wildcards: capabilities.wildcards,
            apex: capabilities.apex,
            answers_subtree: capabilities.answers_subtree,
            max_values,
            alias_below: capabilities.alias_below.iter().map(ToString::to_string).collect(),
            min_ttl: Some(capabilities.ttl.0.seconds()).filter(|seconds| *seconds > 0),
            max_ttl: Some(capabilities.ttl.1).filter(|ttl| *ttl < Ttl::MAX).map(Ttl::seconds),
        };
        let owner = zone.owner.as_str();
        self.owner = (owner != self.fleet).then(|| owner.to_owned());
        self.federation_names = zone.fleet.is_none().then_some(false);
        self.zones.push(ZoneState {
            name: zone.zone.to_string(),
            suffix: (zone.suffix != zone.zone).then(|| zone.suffix.to_string()),
            ttl: (zone.ttl != Ttl::DEFAULT).then(|| zone.ttl.seconds()),
            routing: (zone.routing != Routing::All).then(|| zone.routing.as_str().to_owned()),
            capabilities: (state != CapabilityState::default()).then_some(state),
            observed: Sets { zone, observed },
        });
    }

    /// How Services will be read back.
    fn plain_settings(&self) -> Option<PublishSettings> {
        let zone = |zone: &ZoneState<Sets<'_>>| {
            let name: DnsName = zone.name.parse().ok()?;
            let suffix = zone.suffix.as_ref().map_or(Ok(name.clone()), |text| text.parse()).ok()?;
            Some((name, suffix))
        };
        let zones = self.zones.iter().filter_map(zone).collect();
        read::settings(self, &self.fleet.parse().ok()?, zones).ok()
    }

    /// Adds the brakes that are not at their defaults.
    pub fn add_brakes(&mut self, brakes: &Brakes) {
        let usual = Brakes::default();
        self.brakes = BrakeState {
            min_kept: (brakes.min_kept != usual.min_kept).then_some(brakes.min_kept),
            all_down: (brakes.all_down != usual.all_down).then(|| brakes.all_down.as_str().to_owned()),
            max_delete: (brakes.max_delete != usual.max_delete).then_some(brakes.max_delete),
            max_removals: (brakes.max_removals != usual.max_removals).then_some(brakes.max_removals),
            max_addresses: (brakes.max_addresses != usual.max_addresses).then_some(brakes.max_addresses),
            removals: (!brakes.removals).then_some(false),
        };
    }

    /// Adds all members, with every verdict that is not healthy. To be called after everything that says how Services
    /// are read: the template and the zones.
    pub fn add_members(
        &mut self,
        snapshot: &'a Snapshot,
        health: &Health,
        priorities: &BTreeMap<MemberName, u16>,
    ) {
        let (plain, usual) = (self.plain_settings(), AddressPolicy::default());
        self.self_check = health.self_check.as_ref().map(|self_check| self_check.kind().to_owned());
        for member in snapshot.members.values() {
            let priority = priorities.get(&member.name).copied();
            self.members.push(MemberState {
                priority,
                probes: probes(member, plain.as_ref()),
                ..member_state(member)
            });
            let mut told = BTreeSet::new();
            for service in member.services.values() {
                for address in service.addresses.iter().flatten() {
                    let (verdict, resolved) =
                        address_health(Some(&member.name), address, &service.probe, health);
                    let resolved_to = resolved.iter().flatten().map(|(ip, _)| *ip);
                    let let_through = address.ip().into_iter().chain(resolved_to);
                    self.address_allow.extend(let_through.filter(|ip| usual.check(*ip).is_err()));
                    if let (Some(name), Some(ips)) = (address.hostname(), resolved) {
                        self.resolved.insert(name.to_string(), ips.into_iter().map(|(ip, _)| ip).collect());
                    }
                    let own = service.probe.is_probed();
                    if own && verdict != Verdict::Healthy && told.insert((address, verdict)) {
                        self.verdicts.push(VerdictState {
                            member: member.name.to_string(),
                            address: address.to_string(),
                            verdict: verdict.to_string(),
                        });
                    }
                }
            }
        }
    }
}

/// How Services are probed, where reading them back would give another way.
fn probes(member: &MemberView, plain: Option<&PublishSettings>) -> BTreeMap<String, String> {
    let read = |service: &Published| publish(&service.said(), plain?).map(|again| again.probe);
    let other = member.services.values().filter(|service| read(service).as_ref() != Some(&service.probe));
    other.map(|service| (service.key.to_string(), service.probe.to_string())).collect()
}

/// A Service without the addresses that the daemon denied: a scenario knows no networks.
fn let_through(published: &Published) -> Service {
    let mut service = published.said();
    if published.faults.iter().any(|fault| matches!(fault, ServiceFault::DeniedAddress { .. })) {
        service.annotations.retain(|key, _| !key.ends_with("/target"));
        let ingress = |address: &Address| Ingress {
            ip: address.ip().map(|ip| ip.to_string()),
            hostname: address.hostname().map(ToString::to_string),
        };
        service.ingress = published.addresses.as_ref().map(|all| all.iter().map(ingress).collect());
    }
    service
}

fn set_state(name: &DnsName, set: &ObservedSet, zone: &ZoneSettings) -> SetState {
    let values = set.content.data().map(RecordData::values).unwrap_or_default();
    SetState {
        name: name.to_string(),
        record_type: set.type_name().to_owned(),
        ttl: Some(set.ttl.seconds()),
        values,
        owner: set.claim.is_ours().then(|| zone.owner.to_string()),
        ownership: set.claim.mark().map(|mark| mark.as_str().to_owned()),
    }
}

fn member_state(member: &MemberView) -> MemberState<Services<'_>> {
    MemberState {
        name: member.name.to_string(),
        priority: None,
        inventory: Some(member.inventory.to_string()),
        region: member.region.as_ref().map(ToString::to_string),
        zones: member.zones.iter().map(ToString::to_string).collect(),
        probes: BTreeMap::new(),
        services: (member.listed || !member.services.is_empty()).then_some(Services(member)),
    }
}
