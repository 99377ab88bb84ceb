//! From what a scenario says to what the planner takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;

use super::down::{Down, endpoints};
use super::error::{ScenarioError, fail, parse};
use super::scenario::{BrakeState, CapabilityState, Scenario, SetState};
use crate::desired::{ZoneSettings, standing};
use crate::publish::{PublishSettings, publish};
use fleetdns_core::ClusterVerdict;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::{AllDown, Brakes};
use fleetdns_core::hostnames::{HostnamePolicy, Pattern};
use fleetdns_core::member::{Health, Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::observed::{Content, Observed, ObservedSet, Version};
use fleetdns_core::ownership::Owner;
use fleetdns_core::policy::{AddressPolicies, AddressPolicy};
use fleetdns_core::probe::{ProbeSpec, Verdict};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::{NonEmpty, RecordData, RecordType, Ttl};
use fleetdns_core::routing::Routing;
use fleetdns_core::self_check::SelfCheckFailure;
use fleetdns_core::service::Published;

/// A zone as the planner takes it, and what it holds.
pub(super) type Zone = (ZoneSettings, Capabilities, Observed);

pub(super) fn read_zones(scenario: &Scenario, fleet: &Label) -> Result<Vec<Zone>, ScenarioError> {
    let names: Vec<DnsName> =
        scenario.zones.iter().map(|zone| parse("zones.name", &zone.name)).collect::<Result<_, _>>()?;
    let priorities = read_priorities(scenario)?;
    let policy = read_policy(scenario)?;
    let mut zones = Vec::new();
    for (state, name) in scenario.zones.iter().zip(&names) {
        let suffix = match &state.suffix {
            Some(text) => parse("zones.suffix", text)?,
            None => name.clone(),
        };
        let settings = ZoneSettings {
            zone: name.clone(),
            suffix,
            other_zones: names.iter().filter(|other| *other != name).cloned().collect(),
            owner: read_owner(scenario, fleet)?,
            fleet: scenario.federation_names.unwrap_or(true).then(|| fleet.clone()),
            ttl: read_ttl("zones.ttl", state.ttl)?,
            routing: state
                .routing
                .as_deref()
                .map_or(Ok(Routing::All), |text| parse("zones.routing", text))?,
            priorities: Arc::clone(&priorities),
            policy: Arc::clone(&policy),
        };
        let mut observed = Observed::default();
        let mut servers = BTreeSet::new();
        for state in &state.observed {
            let (name, set) = read_set(state, &settings.owner)?;
            if set.type_name() == "NS" {
                servers.extend(state.values.iter().filter_map(|value| value.parse::<DnsName>().ok()));
            }
            observed.push(name, set);
        }
        observed.set_name_servers(servers);
        zones.push((settings, read_capabilities(state.capabilities.as_ref())?, observed));
    }
    Ok(zones)
}

/// What reading a Service depends on.
pub(super) fn settings<Z, M>(
    scenario: &Scenario<Z, M>,
    fleet: &Label,
    zones: Vec<(DnsName, DnsName)>,
) -> Result<PublishSettings, ScenarioError> {
    Ok(PublishSettings {
        fleet: scenario.federation_names.unwrap_or(true).then(|| fleet.clone()),
        zones,
        template: scenario.template.as_ref().map(|text| text.replace("{fleet}", fleet.as_str())),
        policy: read_policy(scenario)?,
        addresses: policies(scenario),
        ..PublishSettings::default()
    })
}

fn read_policy<Z, M>(scenario: &Scenario<Z, M>) -> Result<Arc<HostnamePolicy>, ScenarioError> {
    let mut rules = Vec::new();
    for (namespace, patterns) in &scenario.hostnames {
        let patterns = patterns.split(',').map(|text| parse("hostnames", text.trim()));
        let of = (namespace != "*").then(|| Arc::from(namespace.as_str()));
        rules.push((of, patterns.collect::<Result<Vec<Pattern>, _>>()?));
    }
    let servers = scenario.name_servers.iter().map(|name| parse("name-servers", name));
    let servers = servers.collect::<Result<BTreeSet<DnsName>, _>>()?;
    Ok(Arc::new(HostnamePolicy::new(rules, servers)))
}

fn policies<Z, M>(scenario: &Scenario<Z, M>) -> Arc<AddressPolicies> {
    let allow = scenario.address_allow.iter().map(|address| (*address).into()).collect();
    let fleet = Arc::new(AddressPolicy::new(Vec::new(), allow));
    Arc::new(AddressPolicies { fleet, ..AddressPolicies::default() })
}

/// The owner id: the fleet's name unless the scenario says otherwise.
fn read_owner(scenario: &Scenario, fleet: &Label) -> Result<Label, ScenarioError> {
    scenario.owner.as_deref().map_or_else(|| Ok(fleet.clone()), |text| parse("owner", text))
}

fn read_priorities(scenario: &Scenario) -> Result<Arc<BTreeMap<MemberName, u16>>, ScenarioError> {
    let given = scenario.members.iter().filter_map(|member| Some((&member.name, member.priority?)));
    let read = given.map(|(name, priority)| Ok((parse("members.name", name)?, priority)));
    read.collect::<Result<BTreeMap<_, _>, _>>().map(Arc::new)
}

fn read_self_check(scenario: &Scenario) -> Result<Option<SelfCheckFailure>, ScenarioError> {
    match scenario.self_check.as_deref() {
        None => Ok(None),
        Some("vantage") => Ok(Some(SelfCheckFailure::Vantage { canaries: 0, silent: 0, keys: 0, heard: 0 })),
        Some("correlation") => {
            Ok(Some(SelfCheckFailure::Correlation { keys: 0, bad: 0, members: Arc::from([]) }))
        }
        Some(other) => fail("self_check", format!("unknown '{other}'; expected one of vantage, correlation")),
    }
}

fn read_capabilities(state: Option<&CapabilityState>) -> Result<Capabilities, ScenarioError> {
    let defaults = Capabilities::default();
    let Some(state) = state else { return Ok(defaults) };
    let alias_below: Vec<DnsName> = state
        .alias_below
        .iter()
        .map(|name| parse("zones.capabilities.alias-below", name))
        .collect::<Result<_, _>>()?;
    let bound = |given: Option<u32>, default: Ttl| {
        given.map_or(Ok(default), |seconds| read_ttl("zones.capabilities", Some(seconds)))
    };
    let (least, most) = (bound(state.min_ttl, defaults.ttl.0)?, bound(state.max_ttl, defaults.ttl.1)?);
    if least > most {
        return fail("zones.capabilities", "min-ttl is larger than max-ttl");
    }
    Ok(Capabilities {
        wildcards: state.wildcards,
        apex: state.apex,
        answers_subtree: state.answers_subtree,
        max_values: state.max_values.unwrap_or(defaults.max_values),
        ttl: (least, most),
        alias_below: alias_below.into(),
        // In a simulation nothing is written.
        own_copy: false,
    })
}

fn read_ttl(place: &str, seconds: Option<u32>) -> Result<Ttl, ScenarioError> {
    match seconds.map(Ttl::new) {
        None => Ok(Ttl::DEFAULT),
        Some(Some(ttl)) => Ok(ttl),
        Some(None) => fail(place, "a TTL has at most 2147483647 seconds"),
    }
}

fn read_set(state: &SetState, owner: &Label) -> Result<(DnsName, ObservedSet), ScenarioError> {
    let place = format!("zones.observed {} {}", state.name, state.record_type);
    let ours = state.owner.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(owner.as_str()));
    let claim = match (&state.ownership, ours) {
        (Some(text), _) => Owner::read(Some(text), owner),
        (None, true) => Owner::Ours(None),
        (None, false) => Owner::Foreign,
    };
    let content = match (read_data(state), claim.is_ours()) {
        (Ok(data), _) => Content::Known(data),
        (Err(_), false) => Content::Other(state.record_type.as_str().into()),
        (Err(problem), true) => return fail(place, problem),
    };
    let ttl = read_ttl(&place, state.ttl)?;
    let name = parse(&place, &state.name)?;
    Ok((name, ObservedSet { ttl, content, claim, version: Version::default() }))
}

fn read_data(state: &SetState) -> Result<RecordData, String> {
    let values = &state.values;
    let none = || "a record set has at least one value".to_owned();
    match state.record_type.parse().map_err(|e: fleetdns_core::record::UnknownType| e.to_string())? {
        RecordType::A => {
            let ips: Vec<_> = values
                .iter()
                .map(|v| v.parse().map_err(|_| format!("'{v}' is no IPv4")))
                .collect::<Result<_, _>>()?;
            NonEmpty::new(ips).map(RecordData::A).ok_or_else(none)
        }
        RecordType::Aaaa => {
            let ips: Vec<_> = values
                .iter()
                .map(|v| v.parse().map_err(|_| format!("'{v}' is no IPv6")))
                .collect::<Result<_, _>>()?;
            NonEmpty::new(ips).map(RecordData::Aaaa).ok_or_else(none)
        }
        RecordType::Cname => match values.as_slice() {
            [one] => {
                one.parse().map(RecordData::Cname).map_err(|e: fleetdns_core::name::NameError| e.to_string())
            }
            _ => Err("a CNAME has exactly one value".to_owned()),
        },
    }
}

pub(super) fn read_brakes(state: &BrakeState) -> Result<Brakes, ScenarioError> {
    let defaults = Brakes::default();
    let all_down = match state.all_down.as_deref() {
        None => defaults.all_down,
        Some("keep") => AllDown::Keep,
        Some("all") => AllDown::All,
        Some("empty") => AllDown::Empty,
        Some(other) => {
            return fail("brakes.all-down", format!("unknown '{other}'; expected one of keep, all, empty"));
        }
    };
    Ok(Brakes {
        min_kept: state.min_kept.unwrap_or(defaults.min_kept),
        all_down,
        max_delete: state.max_delete.unwrap_or(defaults.max_delete).min(100),
        removals: state.removals.unwrap_or(defaults.removals),
        max_removals: state.max_removals.unwrap_or(defaults.max_removals).min(100),
        max_addresses: state.max_addresses.unwrap_or(defaults.max_addresses),
    })
}

pub(super) fn read_members(
    scenario: &Scenario,
    settings: &PublishSettings,
) -> Result<Snapshot, ScenarioError> {
    let mut snapshot = Snapshot::default();
    for state in &scenario.members {
        let place = format!("members {}", state.name);
        let name: MemberName = parse("members.name", &state.name)?;
        let inventory = match state.inventory.as_deref() {
            None | Some("live") => Inventory::Live,
            Some("pending") => Inventory::Pending,
            Some("stale") => Inventory::Stale,
            Some("removed") => Inventory::Removed,
            Some(other) => {
                return fail(
                    place,
                    format!("unknown '{other}'; expected one of pending, live, stale, removed"),
                );
            }
        };
        let mut view = MemberView::pending(name.clone());
        view.inventory = inventory;
        view.listed =
            inventory == Inventory::Live || (inventory == Inventory::Stale && state.services.is_some());
        view.region =
            state.region.as_deref().filter(|r| !r.is_empty()).map(|r| parse(&place, r)).transpose()?;
        view.zones = state.zones.iter().map(|zone| parse(&place, zone)).collect::<Result<_, _>>()?;
        for service in state.services.iter().flatten() {
            if let Err(error) = service.key() {
                return fail(place, error);
            }
            let mut service = service.clone();
            service.bound(settings.limits.annotation);
            let has_ports = !service.ports.is_empty();
            if let Some(mut published) = publish(&service, settings) {
                if *published.probe == ProbeSpec::CLUSTER && !has_ports {
                    // A scenario may leave the ports out and still say that an address is dead.
                    published.probe = Arc::new(ProbeSpec::tcp(80));
                }
                if let Some(text) = state.probes.get(&published.key.to_string()) {
                    published.probe = Arc::new(parse(&format!("{place} probes {}", published.key), text)?);
                }
                view.services.insert(published.key.clone(), Arc::new(published));
            }
        }
        if snapshot.members.insert(name, Arc::new(view)).is_some() {
            return fail(place, "the name is used twice");
        }
    }
    Ok(snapshot)
}

pub(super) fn read_health(
    scenario: &Scenario,
    snapshot: &Snapshot,
    down: &[String],
) -> Result<Health, ScenarioError> {
    let addresses = policies(scenario);
    let mut health = Health { self_check: read_self_check(scenario)?, addresses, ..Health::default() };
    for (name, ips) in &scenario.resolved {
        health.resolved.insert(parse("resolved", name)?, ips.iter().copied().collect());
    }
    let mut said: BTreeMap<(MemberName, Address), Verdict> = BTreeMap::new();
    for state in &scenario.verdicts {
        let place = format!("verdicts {} {}", state.member, state.address);
        let member: MemberName = parse(&place, &state.member)?;
        if !snapshot.members.contains_key(&member) {
            return fail(place, "there is no such member");
        }
        said.insert((member, parse(&place, &state.address)?), parse(&place, &state.verdict)?);
    }
    let down = Down::read(down, snapshot)?;
    for member in snapshot.members.values() {
        for service in member.services.values() {
            for address in service.addresses.iter().flatten() {
                let verdict = if down.hits(&member.name, &service.key, address) {
                    Verdict::Unhealthy
                } else {
                    said.get(&(member.name.clone(), address.clone())).copied().unwrap_or(Verdict::Healthy)
                };
                health_state(&mut health, service, address, verdict);
            }
        }
        // Else what is not probed would outlive its cluster.
        if down.takes(&member.name) {
            health.clusters.insert(member.name.clone(), ClusterVerdict::Out);
        }
    }
    Ok(health)
}

/// Writes a verdict down for what an address stands for; of several members' verdicts on one key the best one counts.
fn health_state(health: &mut Health, service: &Published, address: &Address, verdict: Verdict) {
    match endpoints(service, address, health) {
        Ok(keys) => keys.into_iter().for_each(|key| keep_best(&mut health.verdicts, key, verdict)),
        Err(target) => keep_best(&mut health.named, target, verdict),
    }
}

fn keep_best<K: Ord + Clone>(verdicts: &mut OrdMap<K, Verdict>, key: K, verdict: Verdict) {
    if verdicts.get(&key).is_none_or(|known| standing(verdict) > standing(*known)) {
        verdicts.insert(key, verdict);
    }
}
