//! A fleet written down in a file: what would DNS become?
//!
//! Reads a [`Scenario`]: members, their Services, verdicts, and what zones hold. Gives a [`Report`]: what is desired,
//! the plan that the brakes let through, and what is held or refused and why. Both are JSON by serde.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::Address;
use crate::adopt::fill;
use crate::brakes::{AllDown, Brakes, approve};
use crate::evidence::Claim;
use crate::member::{Health, Inventory, MemberName, MemberView, Snapshot};
use crate::name::{DnsName, Label};
use crate::observed::{Content, Observed, ObservedSet, Version};
use crate::plan::{Change, Plan};
use crate::planner::{Planner, Scope};
use crate::probe::{ProbeKey, ProbeSpec, Target, Verdict};
use crate::provider::Capabilities;
use crate::publish::{PublishSettings, publish};
use crate::record::{NonEmpty, RecordData, RecordSet, RecordType, Ttl};
use crate::service::{Published, Service};
use crate::wanted::{ZoneSettings, standing};

mod capture;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of the fleet, and owner id.
    pub fleet: String,
    /// Zones that are written.
    pub zones: Vec<ZoneState>,
    /// Members of the fleet.
    #[serde(default)]
    pub members: Vec<MemberState>,
    /// Verdicts other than healthy.
    #[serde(default)]
    pub verdicts: Vec<VerdictState>,
    /// What load balancer host names resolve to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    /// Brakes other than the default ones.
    #[serde(default, skip_serializing_if = "BrakeState::is_default")]
    pub brakes: BrakeState,
}

/// A zone and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneState {
    /// The apex.
    pub name: String,
    /// What federation names end in; the zone when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// TTL of sets whose Service asks for none; 30 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// What the provider can represent; everything when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilityState>,
    /// Record sets that exist.
    #[serde(default)]
    pub observed: Vec<SetState>,
}

/// What a provider can represent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapabilityState {
    /// `*` as leftmost label.
    pub wildcards: bool,
    /// Records at the apex.
    pub apex: bool,
    /// Whether a name is answered with the records below it too.
    #[serde(rename = "answers-subtree")]
    pub answers_subtree: bool,
    /// Most values in one set.
    #[serde(rename = "max-values", skip_serializing_if = "Option::is_none")]
    pub max_values: Option<usize>,
}

impl Default for CapabilityState {
    fn default() -> Self {
        Self { wildcards: true, apex: true, answers_subtree: false, max_values: None }
    }
}

/// A record set that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    /// Owner name.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, or another type, which is never ours.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds; 30 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Values as text.
    #[serde(default)]
    pub values: Vec<String>,
    /// The fleet's name: ours. Another or none: foreign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The whole ownership mark, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// A member and its Services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberState {
    /// Its name.
    pub name: String,
    /// `pending`, `live` (when it is not given), `stale` or `departed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its zones.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Its Services. A pending or stale member without this field was never listed: it has what the zones' ownership
    /// marks say that it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<Service>>,
}

/// What probing says of one address of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictState {
    /// The member.
    pub member: String,
    /// IP address or host name.
    pub address: String,
    /// `unknown`, `healthy`, `suspect`, `unhealthy` or `recovering`.
    pub verdict: String,
}

/// Brakes, each at its default when it is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BrakeState {
    /// See [`Brakes::min_kept`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_kept: Option<usize>,
    /// `keep`, `all` or `empty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_down: Option<String>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<u8>,
}

impl BrakeState {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What cannot be understood in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ScenarioError {
    /// Where it stands, as a path of keys.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Everything that ought to exist.
    pub desired: Vec<SetLine>,
    /// What has to change and may.
    pub plan: Vec<ChangeLine>,
    /// What is kept by a brake.
    pub held: Vec<ReasonLine>,
    /// What is wanted and not written.
    pub refused: Vec<ReasonLine>,
}

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetLine {
    /// Owner name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Values in order.
    pub values: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeLine {
    /// `create`, `update` or `delete`.
    pub verb: &'static str,
    /// Owner name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds afterwards, or of what is deleted.
    pub ttl: u32,
    /// Values afterwards; none after a deletion.
    pub values: Vec<String>,
    /// Values before; none before a creation.
    pub before: Vec<String>,
    /// Why it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// A name and a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonLine {
    /// Owner name, or what was given in its place.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl From<&RecordSet> for SetLine {
    fn from(set: &RecordSet) -> Self {
        Self {
            name: set.name.to_string(),
            record_type: set.data.record_type().to_string(),
            ttl: set.ttl.seconds(),
            values: set.data.values(),
        }
    }
}

impl Report {
    /// Adds what one zone's plan says.
    pub fn add(&mut self, plan: &Plan) {
        for change in &plan.changes {
            self.plan.extend(change.changes.iter().map(|one| change_line(&change.name, one)));
        }
        let held =
            plan.held.iter().map(|h| ReasonLine { name: h.name.to_string(), reason: h.reason.to_string() });
        self.held.extend(held);
        let refused = plan
            .refused
            .iter()
            .map(|r| ReasonLine { name: r.name.to_string(), reason: r.reason.to_string() });
        self.refused.extend(refused);
    }
}

fn change_line(name: &DnsName, change: &Change) -> ChangeLine {
    let before = change.before();
    let values_before = before.and_then(ObservedSet::ours).map(RecordData::values).unwrap_or_default();
    let ttl = change.after().map(|(set, _)| set.ttl).or(before.map(|set| set.ttl)).unwrap_or(Ttl::DEFAULT);
    ChangeLine {
        verb: change.verb(),
        name: name.to_string(),
        record_type: change.record_type().to_string(),
        ttl: ttl.seconds(),
        values: change.after().map(|(set, _)| set.data.values()).unwrap_or_default(),
        before: values_before,
        cause: match change {
            Change::Delete { cause, .. } => Some(cause.to_string()),
            _ => None,
        },
    }
}

/// Plans a scenario, with every endpoint of the members in `down` taken for dead.
///
/// # Errors
/// The first thing in the scenario that cannot be understood.
pub fn simulate(scenario: &Scenario, down: &[String]) -> Result<Report, ScenarioError> {
    let fleet: Label = parse("fleet", &scenario.fleet)?;
    let zones = read_zones(scenario, &fleet)?;
    let brakes = read_brakes(&scenario.brakes)?;
    let settings = PublishSettings {
        fleet: Some(fleet.clone()),
        zones: zones.iter().map(|(zone, ..)| (zone.zone.clone(), zone.suffix.clone())).collect(),
        ..PublishSettings::default()
    };
    let mut snapshot = read_members(scenario, &settings)?;
    for (zone, _, observed) in &zones {
        fill(&mut snapshot, zone, observed);
    }
    let health = read_health(scenario, &snapshot, down)?;
    let mut report = Report::default();
    for (zone, capabilities, observed) in zones {
        let mut planner = Planner::new(zone, capabilities, brakes.clone());
        planner.update(&snapshot, &health);
        planner.assume_probed();
        report.desired.extend(planner.desired(&observed).iter().map(SetLine::from));
        report.add(approve(planner.plan(&Scope::All, &observed), &brakes).plan());
    }
    Ok(report)
}

fn fail<T>(place: impl Into<String>, problem: impl ToString) -> Result<T, ScenarioError> {
    Err(ScenarioError { place: place.into(), problem: problem.to_string() })
}

fn parse<T: std::str::FromStr<Err: ToString>>(place: &str, text: &str) -> Result<T, ScenarioError> {
    text.parse().or_else(|error: T::Err| fail(place, error.to_string()))
}

type Zone = (ZoneSettings, Capabilities, Observed);

fn read_zones(scenario: &Scenario, fleet: &Label) -> Result<Vec<Zone>, ScenarioError> {
    let names: Vec<DnsName> =
        scenario.zones.iter().map(|zone| parse("zones.name", &zone.name)).collect::<Result<_, _>>()?;
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
            owner: fleet.clone(),
            fleet: Some(fleet.clone()),
            ttl: read_ttl("zones.ttl", state.ttl)?,
        };
        let mut observed = Observed::default();
        for set in &state.observed {
            let (name, set) = read_set(set, fleet)?;
            observed.push(name, set);
        }
        zones.push((settings, read_capabilities(state.capabilities.as_ref()), observed));
    }
    Ok(zones)
}

fn read_capabilities(state: Option<&CapabilityState>) -> Capabilities {
    let defaults = Capabilities::default();
    let Some(state) = state else { return defaults };
    Capabilities {
        wildcards: state.wildcards,
        apex: state.apex,
        answers_subtree: state.answers_subtree,
        max_values: state.max_values.unwrap_or(defaults.max_values),
        ttl: defaults.ttl,
    }
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
    let claim = match (&state.evidence, ours) {
        (Some(text), _) => Claim::read(Some(text), owner),
        (None, true) => Claim::Ours(None),
        (None, false) => Claim::Foreign,
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
    match state.record_type.parse().map_err(|e: crate::record::UnknownType| e.to_string())? {
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
            [one] => one.parse().map(RecordData::Cname).map_err(|e: crate::name::NameError| e.to_string()),
            _ => Err("a CNAME has exactly one value".to_owned()),
        },
    }
}

fn read_brakes(state: &BrakeState) -> Result<Brakes, ScenarioError> {
    let defaults = Brakes::default();
    let all_down = match state.all_down.as_deref() {
        None => defaults.all_down,
        Some("keep") => AllDown::Keep,
        Some("all") => AllDown::All,
        Some("empty") => AllDown::Empty,
        Some(other) => return fail("brakes.all-down", format!("'{other}' is none of keep, all, empty")),
    };
    Ok(Brakes {
        min_kept: state.min_kept.unwrap_or(defaults.min_kept),
        all_down,
        max_delete: state.max_delete.unwrap_or(defaults.max_delete).min(100),
    })
}

fn read_members(scenario: &Scenario, settings: &PublishSettings) -> Result<Snapshot, ScenarioError> {
    let mut snapshot = Snapshot::default();
    for state in &scenario.members {
        let place = format!("members {}", state.name);
        let name: MemberName = parse("members.name", &state.name)?;
        let inventory = match state.inventory.as_deref() {
            None | Some("live") => Inventory::Live,
            Some("pending") => Inventory::Pending,
            Some("stale") => Inventory::Stale,
            Some("departed") => Inventory::Departed,
            Some(other) => {
                return fail(place, format!("'{other}' is none of pending, live, stale, departed"));
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
            if let Some(mut published) = publish(Arc::new(service.clone()), settings) {
                if *published.probe == ProbeSpec::None && service.annotation("probe") != Some("none") {
                    // A scenario may leave the ports out and still say that an address is dead.
                    let port = service.ports.first().map_or(80, |port| port.port);
                    published.probe = Arc::new(ProbeSpec::Tcp { port });
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

fn read_health(scenario: &Scenario, snapshot: &Snapshot, down: &[String]) -> Result<Health, ScenarioError> {
    let mut health = Health::default();
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
    let down: BTreeSet<MemberName> =
        down.iter().map(|name| parse("--down", name)).collect::<Result<_, _>>()?;
    if let Some(missing) = down.iter().find(|name| !snapshot.members.contains_key(*name)) {
        return fail("--down", format!("there is no member {missing}"));
    }
    for member in snapshot.members.values() {
        for service in member.services.values() {
            for address in service.addresses.iter().flatten() {
                let verdict = if down.contains(&member.name) {
                    Verdict::Unhealthy
                } else {
                    said.get(&(member.name.clone(), address.clone())).copied().unwrap_or(Verdict::Healthy)
                };
                judge(&mut health, service, address, verdict);
            }
        }
    }
    Ok(health)
}

/// Writes a verdict down for what an address stands for; of several members' verdicts on one key the best one counts.
fn judge(health: &mut Health, service: &Published, address: &Address, verdict: Verdict) {
    let ips: Vec<IpAddr> = match address {
        Address::Hostname(name) if !health.resolved.contains_key(name) => {
            let target = Target { address: address.clone(), spec: Arc::clone(&service.probe) };
            keep_best(&mut health.named, target, verdict);
            return;
        }
        Address::Hostname(name) => health.resolved.get(name).into_iter().flatten().copied().collect(),
        other => other.ip().into_iter().collect(),
    };
    for ip in ips {
        keep_best(&mut health.verdicts, ProbeKey { address: ip, spec: Arc::clone(&service.probe) }, verdict);
    }
}

fn keep_best<K: Ord + Clone>(verdicts: &mut OrdMap<K, Verdict>, key: K, verdict: Verdict) {
    if verdicts.get(&key).is_none_or(|known| standing(verdict) > standing(*known)) {
        verdicts.insert(key, verdict);
    }
}

/// A table for people: one line for each record set, change and reason.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(
            f,
            "desired",
            self.desired
                .iter()
                .map(|set| format!("  {} {}", set.name, tail(set.ttl, &set.record_type, &set.values))),
        )?;
        section(
            f,
            "plan",
            self.plan.iter().map(|change| {
                let values = if change.values.is_empty() { &change.before } else { &change.values };
                let why = match (&change.cause, change.before == change.values) {
                    (Some(cause), _) => format!("  ({cause})"),
                    (None, true) => "  (ttl or ownership mark)".to_owned(),
                    (None, false) if change.before.is_empty() => String::new(),
                    (None, false) => format!("  (was {})", change.before.join(" ")),
                };
                format!(
                    "  {} {} {}{why}",
                    change.verb,
                    change.name,
                    tail(change.ttl, &change.record_type, values)
                )
            }),
        )?;
        section(f, "held", self.held.iter().map(|line| format!("  {}  {}", line.name, line.reason)))?;
        section(f, "refused", self.refused.iter().map(|line| format!("  {}  {}", line.name, line.reason)))
    }
}

fn tail(ttl: u32, record_type: &str, values: &[String]) -> String {
    format!("{ttl} {record_type} {}", values.join(" "))
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return writeln!(f, "{title}: nothing");
    }
    writeln!(f, "{title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))
}
