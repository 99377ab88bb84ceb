//! Region and zones of a member, from the labels of its nodes.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::Label;
use fleetdns_core::text::printable;

const REGION: [&str; 2] = ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];
const ZONE: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];

/// So many labels that cannot be used are named.
const NAMED: usize = 3;
/// Zones of one member; each makes names of its own for every Service, and no region of any cloud has so many.
const MOST_ZONES: usize = 32;

/// Where a member is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Option<Label>,
    pub(crate) zones: BTreeSet<Label>,
}

/// Region and zone of each node, counted: many nodes, few places.
#[derive(Debug, Default)]
pub(crate) struct Census {
    nodes: BTreeMap<(Option<Label>, Option<Label>), usize>,
    /// Label values that cannot stand in a name, one sentence each.
    pub(crate) refused: BTreeSet<String>,
}

impl Census {
    /// Whether there is no node.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Counts a node by its labels.
    pub(crate) fn count(&mut self, labels: &BTreeMap<String, String>) {
        let region = self.read(labels, &REGION);
        let zone = self.read(labels, &ZONE);
        *self.nodes.entry((region, zone)).or_default() += 1;
    }

    fn read(&mut self, labels: &BTreeMap<String, String>, keys: &[&str]) -> Option<Label> {
        let (key, text) = keys
            .iter()
            .find_map(|key| labels.get(*key).filter(|text| !text.is_empty()).map(|text| (*key, text)))?;
        match text.parse() {
            Ok(label) => Some(label),
            Err(error) => {
                if self.refused.len() < NAMED {
                    let text = printable(text);
                    let fault = format!("the node label {key} = '{text}' cannot be part of a name: {error}");
                    self.refused.insert(fault);
                }
                None
            }
        }
    }

    /// The region that most nodes are in, and the zones in it; with a region from the config, the zones of all nodes.
    pub(crate) fn place(&self, configured: Option<&Label>) -> Place {
        let mut by_region: BTreeMap<&Label, usize> = BTreeMap::new();
        for ((region, _), count) in &self.nodes {
            if let Some(region) = region {
                *by_region.entry(region).or_default() += count;
            }
        }
        let most = by_region.values().max().copied();
        let region = by_region.into_iter().find(|(_, count)| Some(*count) == most).map(|(region, _)| region);
        let here = |node: &Option<Label>| match (configured, region) {
            (Some(_), _) => true,
            (None, Some(region)) => node.as_ref() == Some(region),
            (None, None) => false,
        };
        let zones = self
            .nodes
            .keys()
            .filter(|(region, _)| here(region))
            .filter_map(|(_, zone)| zone.clone())
            .collect::<BTreeSet<_>>();
        let zones = zones.into_iter().take(MOST_ZONES).collect();
        Place { region: region.cloned(), zones }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(nodes: &[&[(&str, &str)]]) -> Census {
        let mut census = Census::default();
        for labels in nodes {
            census.count(&labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        }
        census
    }

    #[track_caller]
    fn check(nodes: &[&[(&str, &str)]], configured: Option<&str>, region: &str, zones: &str) {
        let place = census(nodes).place(configured.map(|text| text.parse().unwrap()).as_ref());
        assert_eq!(place.region.as_ref().map_or("", Label::as_str), region);
        assert_eq!(place.zones.iter().map(Label::as_str).collect::<Vec<_>>().join(" "), zones);
    }

    const R: &str = REGION[0];
    const Z: &str = ZONE[0];

    #[test]
    fn new_labels_win_over_old_ones() {
        check(&[&[(REGION[1], "westus"), (ZONE[1], "1")]], None, "westus", "1");
        check(&[&[(R, "eastus"), (REGION[1], "westus"), (Z, "2"), (ZONE[1], "1")]], None, "eastus", "2");
        check(&[&[(R, ""), (REGION[1], "westus")]], None, "westus", "");
    }

    #[test]
    fn the_region_of_most_nodes_is_the_members_and_only_its_zones_count() {
        let nodes: [&[_]; 4] =
            [&[(R, "a"), (Z, "1")], &[(R, "b"), (Z, "2")], &[(R, "b"), (Z, "3")], &[(Z, "9")]];
        check(&nodes, None, "b", "2 3");
        check(&nodes, Some("c"), "b", "1 2 3 9");
        check(&nodes[..2], None, "a", "1");
    }

    #[test]
    fn zones_without_a_region_are_no_zones() {
        check(&[&[(Z, "1")], &[]], None, "", "");
        check(&[], None, "", "");
    }

    #[test]
    fn values_that_are_no_labels_are_refused_with_a_reason() {
        let census = census(&[&[(R, "eu.west"), (Z, "1")], &[(R, "eu.west")]]);
        assert_eq!(census.place(None), Place::default());
        assert_eq!(census.refused.len(), 1);
        let text = census.refused.first().unwrap();
        assert!(text.contains("topology.kubernetes.io/region = 'eu.west'"), "{text}");
    }
}
