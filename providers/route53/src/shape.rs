//! What a set is at Route 53: a simple one with values, or alias sets.

use aws_sdk_route53::types::ResourceRecordSet;
use fleetdns_core::{Content, ObservedSet, RecordData, RecordSet, RecordType, Version};

use crate::alias::Alias;

/// A simple record set as Route 53 spells it: what has to be repeated to delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) ttl: u32,
    /// Sorted.
    pub(crate) values: Vec<String>,
}

impl Raw {
    /// Values and TTL, unless the set is an alias, has a routing policy or a health check.
    pub(crate) fn of(set: &ResourceRecordSet) -> Option<Self> {
        let plain = set.alias_target().is_none()
            && set.set_identifier().is_none()
            && set.health_check_id().is_none()
            && set.traffic_policy_instance_id().is_none()
            && !set.resource_records().is_empty();
        if !plain {
            return None;
        }
        let mut values: Vec<String> =
            set.resource_records().iter().map(|record| record.value().to_owned()).collect();
        values.sort_unstable();
        Some(Self { ttl: u32::try_from(set.ttl()?).ok()?, values })
    }
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Values(Raw),
    Alias(Alias),
}

/// Which shape an override gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shapes {
    /// Load balancers of AWS are written as aliases.
    pub(crate) aliases: bool,
}

impl Shapes {
    /// The alias sets that stand for these values; `None` when they are written as they are.
    pub(crate) fn aliases(self, data: &RecordData) -> Option<[Alias; 2]> {
        match data {
            RecordData::Cname(target) if self.aliases => Alias::pair(target),
            _ => None,
        }
    }

    /// As it is written again.
    pub(crate) fn bodies(self, set: &RecordSet) -> Vec<(RecordType, Body)> {
        if let Some(pair) = self.aliases(&set.data) {
            return pair.into_iter().map(|alias| (alias.record_type, Body::Alias(alias))).collect();
        }
        let mut values = set.data.values();
        if matches!(set.data, RecordData::Cname(_)) {
            values.iter_mut().for_each(|value| value.push('.'));
        }
        values.sort_unstable();
        vec![(set.data.record_type(), Body::Values(Raw { ttl: set.ttl.seconds(), values }))]
    }

    /// Whether a set stands at Route 53 just as it would be written. The TTL of an alias is elsewhere.
    pub(crate) fn stands(self, there: &ObservedSet, set: &RecordSet) -> bool {
        there.content == Content::Known(set.data.clone())
            && there.claim.is_ours()
            && (there.ttl == set.ttl || self.aliases(&set.data).is_some())
    }
}

/// What is at Route 53 for a set that was read or written: what [`version`] said.
pub(crate) fn standing(set: &ObservedSet) -> Vec<(RecordType, Body)> {
    let lines = || set.version.0.split('\n');
    let aliases: Option<Vec<Alias>> = lines().map(Alias::from_line).collect();
    match (aliases, set.content.record_type()) {
        (Some(aliases), _) => {
            aliases.into_iter().map(|alias| (alias.record_type, Body::Alias(alias))).collect()
        }
        (None, Some(record_type)) => {
            let values = lines().map(str::to_owned).collect();
            vec![(record_type, Body::Values(Raw { ttl: set.ttl.seconds(), values }))]
        }
        (None, None) => Vec::new(),
    }
}

/// The proof that a set is as it was read: its values, or its aliases, as they stand there.
pub(crate) fn version<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Version {
    let mut lines: Vec<String> = Vec::new();
    for body in bodies {
        match body {
            Body::Values(raw) => lines.extend(raw.values.iter().cloned()),
            Body::Alias(alias) => lines.push(alias.line()),
        }
    }
    Version(lines.join("\n").into())
}
