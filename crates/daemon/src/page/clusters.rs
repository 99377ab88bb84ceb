//! The table of clusters.

use fleetdns_core::text::age;
use fleetdns_core::{ClusterVerdict, Inventory, MemberView, Verdict};

use super::survey::Verdicts;
use super::text::{Level, Text, command};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClusterRow {
    pub(super) level: Level,
    pub(super) name: Text,
    pub(super) inventory: Inventory,
    /// When the API was last listed.
    pub(super) listed: Option<String>,
    /// How long it has been in the fleet.
    pub(super) age: String,
    pub(super) region: Text,
    pub(super) zones: Text,
    pub(super) source: Text,
    pub(super) services: usize,
    pub(super) health: ClusterVerdict,
    /// How many endpoints have which verdict, without those that none has.
    pub(super) endpoints: Vec<(Verdict, Level, usize)>,
    pub(super) fault: Option<Text>,
    pub(super) drain: Text,
}

/// Seconds of one cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ages {
    /// Since it joined.
    pub(super) joined: u64,
    /// Since it was last listed.
    pub(super) listed: Option<u64>,
}

impl ClusterRow {
    pub(super) fn of(
        member: &MemberView,
        health: ClusterVerdict,
        verdicts: &Verdicts,
        ages: Ages,
        source: &str,
    ) -> Self {
        let name = member.name.as_str();
        let endpoints = Verdict::ALL.into_iter().zip(verdicts).filter(|(_, count)| **count > 0);
        let endpoints: Vec<_> =
            endpoints.map(|(verdict, count)| (verdict, Level::of(verdict), *count)).collect();
        Self {
            level: level(member, health, &endpoints),
            name: Text::of(name),
            inventory: member.inventory,
            listed: ages.listed.map(age),
            age: age(ages.joined),
            region: member.region.as_ref().map(Text::of).unwrap_or_default(),
            zones: Text::of(member.zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            source: Text::of(source),
            services: member.services.len(),
            health,
            endpoints,
            fault: member.fault.as_ref().map(Text::of),
            drain: command(&["fleetdns", "drain", &format!("cluster/{name}")]),
        }
    }
}

fn level(member: &MemberView, health: ClusterVerdict, endpoints: &[(Verdict, Level, usize)]) -> Level {
    let inventory = match member.inventory {
        Inventory::Live if member.fault.is_none() => Level::Good,
        Inventory::Pending => Level::Note,
        Inventory::Live | Inventory::Stale | Inventory::Removed => Level::Warning,
    };
    let whole = if health == ClusterVerdict::Out { Level::Problem } else { Level::Good };
    // One dead endpoint of many is no dead cluster.
    let worst = endpoints.iter().map(|(_, level, _)| (*level).min(Level::Warning)).max();
    inventory.max(whole).max(worst.unwrap_or_default())
}
