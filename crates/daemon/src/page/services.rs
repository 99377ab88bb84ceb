//! The Services: which are shown, their names and their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetdns_core::routing::Routing;
use fleetdns_core::{Address, DnsName, MemberName, ServiceKey, Snapshot};
use fleetdns_planner::explain::names_of;
use serde::Deserialize;

use super::addresses::{AddressRow, Facts};
use super::overview::Overview;
use super::text::{Level, Text, command};
use crate::zone::ZoneStatus;

/// Services of one page.
pub(super) const PAGE: usize = 25;
/// Names and addresses of each, where many Services are shown.
const FEW: usize = 10;

/// Which Services are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Search {
    /// Part of a namespace, name or DNS name, or an address.
    #[serde(default)]
    pub(super) q: String,
    /// `trouble`: only those in trouble.
    #[serde(default)]
    pub(super) show: String,
    /// Counts from 1.
    #[serde(default)]
    pub(super) page: Option<usize>,
}

/// The keys of one page, and where it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) keys: Vec<ServiceKey>,
    pub(super) matched: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
}

impl Search {
    /// Those in trouble alone.
    pub(super) fn troubled(&self) -> bool {
        self.show == "trouble"
    }

    /// What matches, in the order of the overview.
    pub(super) fn find(&self, overview: &Overview, snapshot: &Snapshot) -> Found {
        let end = if self.troubled() { overview.troubled } else { overview.services.len() };
        let all = overview.services.get(..end).unwrap_or_default();
        let matched: Vec<&ServiceKey> = match self.q.trim().to_ascii_lowercase() {
            text if text.is_empty() => return self.page(all, all.len(), Clone::clone),
            text => {
                let asked = asked_for(&text, snapshot);
                all.iter().filter(|key| is_named(key, &text) || asked.contains(*key)).collect()
            }
        };
        self.page(&matched, matched.len(), |key| (*key).clone())
    }

    fn page<T>(&self, all: &[T], matched: usize, key: impl Fn(&T) -> ServiceKey) -> Found {
        let pages = matched.div_ceil(PAGE).max(1);
        let page = self.page.unwrap_or(1).clamp(1, pages);
        let keys = all.iter().skip((page - 1) * PAGE).take(PAGE).map(key).collect();
        Found { keys, matched, page, pages }
    }
}

/// By a part of `NAMESPACE/NAME`, or by one of its federation names.
fn is_named(key: &ServiceKey, text: &str) -> bool {
    let of_name = || {
        let rest = text.strip_prefix(key.name()).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.strip_prefix(key.namespace())).is_some_and(|rest| rest.starts_with('.'))
    };
    match text.split_once('/') {
        Some((namespace, name)) => key.namespace().ends_with(namespace) && key.name().starts_with(name),
        None => key.name().contains(text) || key.namespace().contains(text) || of_name(),
    }
}

/// The Services that ask for a host name with this part, or have this address.
fn asked_for<'a>(text: &str, snapshot: &'a Snapshot) -> BTreeSet<&'a ServiceKey> {
    let address: Option<Address> = text.parse().ok();
    let services = snapshot.members.values().flat_map(|member| &member.services);
    let matches = services.filter(|(_, service)| {
        service.hostnames.iter().any(|name| name.as_str().contains(text))
            || address.as_ref().is_some_and(|one| service.addresses.iter().flatten().any(|all| all == one))
    });
    matches.map(|(key, _)| key).collect()
}

/// One Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceRow {
    pub(super) level: Level,
    pub(super) namespace: Text,
    pub(super) name: Text,
    /// In words: how many addresses are in DNS.
    pub(super) sum: String,
    pub(super) names: Vec<NameRow>,
    pub(super) more_names: usize,
    /// The worst first.
    pub(super) addresses: Vec<AddressRow>,
    pub(super) more_addresses: usize,
    /// What of it cannot be used.
    pub(super) faults: Vec<Text>,
    pub(super) why: Text,
}

/// One name of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameRow {
    pub(super) name: Text,
    /// As the journal has it.
    pub(super) key: String,
    pub(super) zone: Text,
    /// Type and values of each set that is ours there.
    pub(super) holds: Vec<Text>,
    pub(super) values: BTreeSet<String>,
    /// Of a Service that asks for no other.
    pub(super) routing: Routing,
    /// Of the clusters, in this zone.
    pub(super) priorities: Arc<BTreeMap<MemberName, u16>>,
    pub(super) held: Option<Text>,
    pub(super) refused: Vec<Text>,
}

/// The names that these Services want in one zone, in the order of the keys.
pub(super) fn names_in(status: &ZoneStatus, snapshot: &Snapshot, keys: &[ServiceKey]) -> Vec<Vec<NameRow>> {
    let of = |key| names_of(snapshot, &status.settings, key).iter().map(|name| named(status, name)).collect();
    keys.iter().map(of).collect()
}

fn named(status: &ZoneStatus, name: &DnsName) -> NameRow {
    let sets = status.observed.as_ref().map(|observed| observed.at(name)).unwrap_or_default();
    let ours: Vec<_> = sets.iter().filter_map(|set| set.ours()).collect();
    let holds =
        ours.iter().map(|data| Text::of(format!("{} {}", data.record_type(), data.values().join(" "))));
    let refused = status.refused.get(name.as_str()).into_iter().flatten();
    NameRow {
        name: Text::of(name),
        key: name.to_string(),
        zone: Text::of(&status.settings.zone),
        holds: holds.collect(),
        values: ours.iter().flat_map(|data| data.values()).collect(),
        routing: status.settings.routing,
        priorities: Arc::clone(&status.settings.priorities),
        held: status.held.get(name).map(|held| Text::of(&held.reason)),
        refused: refused.map(|one| Text::of(&one.reason)).collect(),
    }
}

/// A Service with its names; `all`: without leaving any out.
pub(super) fn row(facts: &Facts<'_>, key: &ServiceKey, mut names: Vec<NameRow>, all: bool) -> ServiceRow {
    let mut faults: BTreeMap<Text, ()> = BTreeMap::new();
    let mut addresses = Vec::new();
    for member in facts.input.fleet().members.values() {
        if let Some(service) = member.services.get(key) {
            addresses.extend(facts.rows(member, service, &names));
            faults.extend(service.faults.iter().map(|fault| (Text::of(fault), ())));
        }
    }
    let level = addresses.iter().map(|row| row.level).max().unwrap_or(Level::Note);
    let level = if faults.is_empty() { level } else { level.max(Level::Warning) };
    let (inside, total) = (addresses.iter().filter(|row| row.in_dns).count(), addresses.len());
    let sum = match total {
        0 => "no addresses".to_owned(),
        1 if inside == 1 => "its address is in DNS".to_owned(),
        1 => "its address is out of DNS".to_owned(),
        _ => format!("{inside} of {total} addresses in DNS"),
    };
    addresses.sort_by_key(|row| std::cmp::Reverse(row.level));
    let most = if all { usize::MAX } else { FEW };
    let (more_names, more_addresses) = (names.len().saturating_sub(most), total.saturating_sub(most));
    names.truncate(most);
    addresses.truncate(most);
    ServiceRow {
        level,
        namespace: Text::of(key.namespace()),
        name: Text::of(key.name()),
        sum,
        names,
        more_names,
        addresses,
        more_addresses,
        faults: faults.into_keys().take(FEW).collect(),
        why: command(&["fleetdns", "why", &key.to_string()]),
    }
}
