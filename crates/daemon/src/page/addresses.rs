//! The addresses of one Service: in DNS or out, since when, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use fleetdns_core::routing::Routing;
use fleetdns_core::text::age;
use fleetdns_core::{Address, Inventory, MemberView, OverrideKind, ProbeKey, Published, Verdict};
use fleetdns_planner::Input;
use fleetdns_planner::desired::{DEFAULT_PRIORITY, address_verdict};
use fleetdns_probe::Report;

use super::services::NameRow;
use super::text::{Level, Text};
use crate::journal::{Event, Kind};

/// One address of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressRow {
    pub(super) level: Level,
    pub(super) address: Text,
    pub(super) cluster: Text,
    /// Whether any name of the Service holds it.
    pub(super) in_dns: bool,
    /// When it came or went, as far as that is remembered.
    pub(super) since: Option<Text>,
    pub(super) why: Text,
    pub(super) probe: Text,
    /// How the last probe ended.
    pub(super) last: Option<Text>,
}

/// What the rows are made of, beside the cluster's own word.
pub(super) struct Facts<'a> {
    pub(super) input: &'a Input,
    /// The last probe of a key.
    pub(super) report: &'a dyn Fn(&ProbeKey) -> Option<Report>,
    /// When an address last came to a name or left it.
    pub(super) moves: &'a Moves,
    pub(super) now: SystemTime,
}

/// The last move of each address at each name.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<(String, String), Arc<Event>>);

impl Moves {
    /// Of these names.
    pub(super) fn of(events: &[Arc<Event>], names: &BTreeSet<&str>) -> Self {
        let mut found = BTreeMap::new();
        // The later one replaces the earlier one.
        for event in events.iter().filter(|event| matches!(event.what.kind, Kind::In | Kind::Out)) {
            if let (Some(name), Some(address)) = (&event.what.name, &event.what.address)
                && names.contains(name.as_str())
            {
                found.insert((name.clone(), address.clone()), Arc::clone(event));
            }
        }
        Self(found)
    }

    /// The last one at any of the names that brought the address to where it is.
    fn last(&self, names: &[NameRow], values: &BTreeSet<String>, in_dns: bool) -> Option<&Event> {
        let kind = if in_dns { Kind::In } else { Kind::Out };
        let each = names.iter().flat_map(|name| values.iter().map(move |value| (name, value)));
        let moves = each.filter_map(|(name, value)| self.0.get(&(name.key.clone(), value.clone())));
        moves.filter(|event| event.what.kind == kind).max_by_key(|event| event.seq).map(|event| &**event)
    }
}

impl Facts<'_> {
    /// What one cluster has of a Service, with the names that the Service wants.
    pub(super) fn rows(
        &self,
        member: &MemberView,
        service: &Published,
        names: &[NameRow],
    ) -> Vec<AddressRow> {
        let row = |address: &Address| self.row(member, service, names, address);
        service.addresses.iter().flatten().map(row).collect()
    }

    /// The IP addresses of an address, and what a record set holds for it.
    fn stands_for(&self, address: &Address) -> (Vec<IpAddr>, BTreeSet<String>) {
        let resolved = address.hostname().and_then(|name| self.input.health().resolved.get(name));
        let ips: Vec<IpAddr> = resolved.into_iter().flatten().copied().chain(address.ip()).collect();
        let values = ips.iter().map(ToString::to_string).chain([address.to_string()]).collect();
        (ips, values)
    }

    /// Whether the Service fails over, and a cluster of a better priority serves.
    fn stands_by(&self, member: &MemberView, service: &Published, names: &[NameRow]) -> bool {
        let fails_over = |name: &NameRow| service.routing.unwrap_or(name.routing) == Routing::Failover;
        let serves = |name: &NameRow| {
            let priority =
                |of: &MemberView| name.priorities.get(&of.name).copied().unwrap_or(DEFAULT_PRIORITY);
            let better = |other: &&Arc<MemberView>| priority(other) < priority(member);
            let others = self.input.fleet().members.values().filter(better);
            let theirs = others.filter_map(|other| other.services.get(&service.key));
            let mut addresses = theirs.flat_map(|theirs| theirs.addresses.iter().flatten());
            addresses.any(|address| !name.values.is_disjoint(&self.stands_for(address).1))
        };
        names.iter().all(fails_over) && names.iter().any(serves)
    }

    fn row(
        &self,
        member: &MemberView,
        service: &Published,
        names: &[NameRow],
        address: &Address,
    ) -> AddressRow {
        let health = self.input.health();
        let (ips, values) = self.stands_for(address);
        let holding: Vec<&NameRow> = names.iter().filter(|name| !name.values.is_disjoint(&values)).collect();
        let in_dns = !holding.is_empty();
        let verdict = address_verdict(health, &member.name, address, &service.probe);
        let key = |ip| ProbeKey { address: ip, spec: Arc::clone(&service.probe) };
        // Of a host name with several addresses the one that fails.
        let report =
            ips.iter().filter_map(|ip| (self.report)(&key(*ip))).max_by_key(|report| report.failures);
        let since = self.moves.last(names, &values, in_dns).map(|event| Text::of(&event.time));
        let entry = self.input.overrides().concerning(&member.name, &service.key, address).next();
        let mut why = entry.map_or_else(|| in_words(verdict, report.as_ref()), ToString::to_string);
        if member.inventory != Inventory::Live {
            why.push_str(&format!("; inventory of the cluster {}", member.inventory));
        }
        let stands_by = entry.is_none() && !in_dns && self.stands_by(member, service, names);
        if stands_by {
            why.push_str("; stands by while a cluster of a better priority serves");
        }
        let wanted = match entry.map(|entry| entry.kind) {
            Some(OverrideKind::Drain | OverrideKind::ForceOut) => Some(false),
            Some(OverrideKind::ForceIn) => Some(true),
            None if stands_by => Some(false),
            None => verdict.is_in(),
        };
        why.push_str(&but(wanted, names, &holding).unwrap_or_default());
        // Where an operator has decided, the verdict is no trouble.
        let level = if entry.is_some() { Level::Note } else { Level::of(verdict) };
        let belongs = wanted.is_none_or(|wanted| wanted == in_dns);
        AddressRow {
            level: if belongs { level } else { level.max(Level::Warning) },
            address: Text::of(address),
            cluster: Text::of(&member.name),
            in_dns,
            since,
            why: Text::of(why),
            probe: Text::of(&service.probe),
            last: report.as_ref().map(|report| Text::of(last(report, self.now))),
        }
    }
}

/// Why DNS is not as it is wanted.
fn but(wanted: Option<bool>, names: &[NameRow], holding: &[&NameRow]) -> Option<String> {
    match (wanted?, holding.is_empty()) {
        (false, false) => {
            let held = holding.iter().find_map(|name| name.held.as_ref());
            Some(held.map_or_else(|| "; not removed yet".to_owned(), |held| format!("; held: {held}")))
        }
        (true, true) => {
            let refused = names.iter().find_map(|name| name.refused.first());
            Some(
                refused.map_or_else(|| "; not written yet".to_owned(), |why| format!("; not written: {why}")),
            )
        }
        _ => None,
    }
}

fn in_words(verdict: Verdict, report: Option<&Report>) -> String {
    let Some(report) = report else {
        return match verdict {
            Verdict::Unknown => "no verdict yet".to_owned(),
            other => format!("{other}, not probed by itself"),
        };
    };
    let Report { failures, successes, fall, rise, .. } = report;
    match verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Recovering => format!("recovering: {successes} of {rise} successes"),
        Verdict::Suspect => format!("suspect: {failures} of {fall} failures"),
        Verdict::Unhealthy => format!("unhealthy: {failures} failures in a row"),
        Verdict::Suspended => "held: it failed while probe results were distrusted".to_owned(),
        Verdict::Unknown => "no verdict yet".to_owned(),
    }
}

fn last(report: &Report, now: SystemTime) -> String {
    let ago = age(now.duration_since(report.at).unwrap_or_default().as_secs());
    match report.last.error() {
        None => format!("answered {ago} ago, after {} ms", report.took.as_millis()),
        Some(error) => format!("failed {ago} ago: {error}"),
    }
}
