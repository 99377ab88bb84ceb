//! `GET /v1/why`: what core says of a name, with what the prober last saw.

use std::collections::BTreeSet;
use std::time::SystemTime;

use fleetdns_core::plan::{Refusal, Title};
use fleetdns_core::text::printable;
use fleetdns_core::{DnsName, MemberName, Observed, ProbeKey, ServiceKey};
use fleetdns_health::state::Outcome;
use fleetdns_planner::explain::{Facts, LastProbe, names_of, similar};
use fleetdns_planner::{Explanation, explain};
use fleetdns_probe::Report;
use serde::{Deserialize, Serialize};

use crate::ha::Standing;
use crate::view::View;
use crate::zone::ZoneStatus;

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The names of a Service, when it was asked for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameLine>,
    /// Of the name, or of the first name of the Service.
    pub explanation: Option<Explanation>,
}

/// One name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameLine {
    /// The name.
    pub name: String,
    /// What DNS holds: type and values of each set.
    pub holds: Vec<String>,
    /// The brake that holds it, in one word; empty when none does.
    pub held: String,
}

impl View {
    /// Explains a name, or the names of a Service.
    pub fn why(&self, text: &str) -> Why {
        if let Ok(key) = text.parse::<ServiceKey>() {
            return self.why_service(&key);
        }
        match text.parse::<DnsName>() {
            Ok(name) => Why { explanation: Some(self.why_name(&name, text)), ..Why::default() },
            Err(error) => {
                let problem =
                    format!("'{text}' is neither a DNS name nor NAMESPACE/NAME of a Service: {error}");
                Why { problem: Some(problem), ..Why::default() }
            }
        }
    }

    fn zone_statuses(&self) -> Vec<ZoneStatus> {
        self.zones.iter().map(|zone| zone.borrow().clone()).collect()
    }

    fn why_service(&self, key: &ServiceKey) -> Why {
        let input = self.inputs.current();
        let mut names = Vec::new();
        let mut first = None;
        for zone in self.zone_statuses() {
            for name in names_of(input.fleet(), &zone.settings, key) {
                let sets = zone.observed.as_ref().map(|observed| observed.at(&name)).unwrap_or_default();
                let held = zone.held.get(&name).map(|held| held.reason.kind()).unwrap_or_default();
                names.push(NameLine {
                    name: name.to_string(),
                    holds: sets.iter().map(|set| shown(&set.to_string())).collect(),
                    held: held.to_owned(),
                });
                first.get_or_insert(name);
            }
        }
        match first {
            Some(name) => {
                Why { names, explanation: Some(self.why_name(&name, name.as_str())), problem: None }
            }
            None => {
                let problem =
                    format!("no cluster has a Service {key} with a load balancer that wants a name");
                Why { problem: Some(problem), ..Why::default() }
            }
        }
    }

    fn why_name(&self, name: &DnsName, text: &str) -> Explanation {
        let zones = self.zone_statuses();
        let mut said = match zones.iter().find(|zone| zone.settings.takes(name)) {
            Some(zone) => self.explain(zone, name),
            None => Explanation::outside(name, zones.iter().map(|zone| &zone.settings)),
        };
        if said.is_unknown() {
            let input = self.inputs.current();
            let services = input.fleet().members.values().flat_map(|member| member.services.values());
            let asked = services.flat_map(|service| &service.hostnames);
            let owned = zones.iter().filter_map(|zone| zone.observed.as_ref()).flat_map(Observed::owned);
            let known: BTreeSet<&DnsName> = asked.chain(owned).collect();
            said.similar = similar(name, known.into_iter());
            if text.parse().is_ok_and(|name: MemberName| input.fleet().members.contains_key(&name)) {
                said.notes.push(format!("{text} is a cluster; `fleetdns clusters` says more of it"));
            }
        }
        said
    }

    fn explain(&self, zone: &ZoneStatus, name: &DnsName) -> Explanation {
        let input = self.inputs.current();
        let nothing = Observed::default();
        let told = || zone.refused.get(name.as_str()).into_iter().flatten();
        let had = told().find_map(|refused| match &refused.reason {
            Refusal::Kept { holder, .. } | Refusal::Claimed { holder, title: Title::Had, .. } => Some(holder),
            _ => None,
        });
        let refused = told().find(|refused| matches!(refused.reason, Refusal::Backend(_)));
        let facts = Facts {
            zone: &zone.settings,
            capabilities: &zone.capabilities,
            brakes: &self.brakes,
            input: &input,
            observed: zone.observed.as_ref().unwrap_or(&nothing),
            unread: zone.observed.is_none(),
            memory: &zone.memory,
            now: zone.started.elapsed(),
            refused: refused.map(|refused| &refused.reason),
            last: &|key: &ProbeKey| self.reports.get(key).map(last),
            had,
            resolve_error: &|name| self.reports.resolve_error(name),
        };
        let mut said = explain(facts, name);
        said.provider = Some(zone.provider.to_string());
        if let Standing::Follows(leader) = &*self.standing.borrow()
            && let Some(age) = zone.age_of_others_writes()
        {
            let leader = printable(leader);
            said.notes
                .push(format!("{leader} leads and writes; this replica last read the zone {age} s ago"));
        }
        match (&zone.observed, zone.listed_at) {
            (None, _) => said.notes.push("the zone has not been read yet".to_owned()),
            (_, Some(at)) if at.elapsed().as_secs() > 120 => {
                said.notes.push(format!("the zone was last read {} s ago", at.elapsed().as_secs()));
            }
            _ => {}
        }
        if let Some(fault) = &zone.fault {
            said.notes.push(format!("the zone cannot be read or written: {fault}"));
        }
        said
    }
}

/// Type and values without the TTL.
fn shown(set: &str) -> String {
    set.split_once(' ').map_or(set, |(_, rest)| rest).to_owned()
}

fn last(report: Report) -> LastProbe {
    let ago = SystemTime::now().duration_since(report.at).unwrap_or_default();
    LastProbe {
        error: report.last.error(),
        conclusive: report.last.outcome() != Outcome::Inconclusive,
        seconds_ago: ago.as_secs(),
        took_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        failures: report.failures,
        successes: report.successes,
        fall: report.fall,
        rise: report.rise,
    }
}
