//! The names of the story, and what ought to stand at them (federation names: global, region, zone of the region).

use std::net::Ipv4Addr;

use super::dns::{Data, Set};

/// Namespace of the guide's Service.
pub(super) const NAMESPACE: &str = "default";
/// The guide's Service.
pub(super) const SERVICE: &str = "calculatorlb";
/// Name of the fleet.
pub(super) const FLEET: &str = "myfederation";
/// The DNS zone.
pub(super) const DNS_ZONE: &str = "syncweek.com";
/// The only zone that each region has here.
pub(super) const ZONE_OF_REGION: &str = "1";

/// What stands at each name, in the order of [`expected`]; nothing where the name does not exist.
pub(super) type Zone = Vec<(String, Option<Set>)>;

/// All regions together.
pub(super) fn global() -> String {
    format!("{SERVICE}.{NAMESPACE}.{FLEET}.svc.{DNS_ZONE}")
}

/// One region.
pub(super) fn region(region: &str) -> String {
    format!("{SERVICE}.{NAMESPACE}.{FLEET}.svc.{region}.{DNS_ZONE}")
}

/// One zone of a region.
pub(super) fn zone(region: &str) -> String {
    format!("{SERVICE}.{NAMESPACE}.{FLEET}.svc.{ZONE_OF_REGION}.{region}.{DNS_ZONE}")
}

/// A name without the part that all have in front.
pub(super) fn short(name: &str) -> String {
    name.strip_prefix(&format!("{SERVICE}.{NAMESPACE}.{FLEET}."))
        .map_or_else(|| name.to_owned(), |rest| format!("…{rest}"))
}

/// What ought to be in DNS when these regions have these addresses; a region without one leads a level up.
pub(super) fn expected(regions: &[(&str, Option<Ipv4Addr>)]) -> Vec<(String, Data)> {
    let all = regions.iter().filter_map(|(_, address)| *address).collect();
    let mut names = vec![(global(), Data::Addresses(all))];
    for (name, address) in regions {
        let or_alias = |up: String| address.map_or(Data::Alias(up), |ip| Data::Addresses([ip].into()));
        names.push((region(name), or_alias(global())));
        names.push((zone(name), or_alias(region(name))));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_without_an_address_leads_a_level_up() {
        let west = Ipv4Addr::new(127, 64, 0, 10);
        let lines: Vec<String> = expected(&[("westus", Some(west)), ("eastus", None)])
            .iter()
            .map(|(name, data)| {
                format!("{} {} {}", short(name), data.record_type(), short(&data.to_string()))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "…svc.syncweek.com A 127.64.0.10",
                "…svc.westus.syncweek.com A 127.64.0.10",
                "…svc.1.westus.syncweek.com A 127.64.0.10",
                "…svc.eastus.syncweek.com CNAME …svc.syncweek.com",
                "…svc.1.eastus.syncweek.com CNAME …svc.eastus.syncweek.com",
            ]
        );
    }
}
