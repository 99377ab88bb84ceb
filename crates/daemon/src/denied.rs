//! What each rule of `[hostnames]` refuses.

use std::collections::BTreeMap;

use fleetdns_core::service_fault::ServiceFault;
use fleetdns_core::{HostnamePolicy, Snapshot};
use serde::{Deserialize, Serialize};

/// Most names that are shown of one rule, and most rules.
const NAMED: usize = 5;
const RULES: usize = 100;

/// A rule, and the names that it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// As it would be written; empty for namespaces without a rule, to which reserved names and those of others are refused.
    pub rule: String,
    /// How many names it refuses, each counted for each Service and cluster that asks for it.
    pub refused: usize,
    /// The first of them, each with the Service that asks for it.
    pub names: Vec<String>,
}

impl std::fmt::Display for RuleLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rule = if self.rule.is_empty() { "no rule" } else { &self.rule };
        let more = if self.refused > self.names.len() && !self.names.is_empty() { ", …" } else { "" };
        let noun = if self.refused == 1 { "name" } else { "names" };
        let colon = if self.names.is_empty() { "" } else { ": " };
        write!(f, "{rule}: {} {noun} refused{colon}{}{more}", self.refused, self.names.join(", "))
    }
}

/// The rules that refuse a name to a Service, in their order.
pub fn by_rule(snapshot: &Snapshot, policy: &HostnamePolicy) -> Vec<RuleLine> {
    let rules = policy.rules();
    let mut found: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let members = snapshot.members.values();
    for (key, service) in members.flat_map(|member| &member.services) {
        let denied = service.faults.iter().filter_map(|fault| match fault {
            ServiceFault::Denied { name, .. } => Some((1, Some(name))),
            ServiceFault::MoreHostnames { denied, .. } if *denied > 0 => Some((*denied, None)),
            _ => None,
        });
        for (count, name) in denied {
            let namespace = key.namespace().to_string();
            let rule = [namespace, "*".to_owned()].into_iter().find(|of| rules.contains_key(of));
            let (refused, names) = found.entry(rule.unwrap_or_default()).or_default();
            *refused += count;
            names.extend(name.filter(|_| names.len() < NAMED).map(|name| format!("{name} ({key})")));
        }
    }
    let line = |(of, (refused, names)): (String, (usize, Vec<String>))| {
        let rule = rules.get(&of).map(|patterns| format!("{of} = {patterns}")).unwrap_or_default();
        RuleLine { rule, refused, names }
    };
    found.into_iter().take(RULES).map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetdns_core::{MemberView, Service, ServiceKey};
    use fleetdns_planner::publish::{PublishSettings, publish};

    use super::*;

    #[test]
    fn each_rule_tells_how_many_names_it_refuses_and_the_first_of_them() {
        let zone: fleetdns_core::DnsName = "example.com".parse().unwrap();
        let rule = |of: &str, text: &str| ((of != "*").then(|| of.into()), vec![text.parse().unwrap()]);
        for (rules, expected) in [
            (vec![], vec![": 2 names refused: example.com (blog/web), example.com (shop/web)"]),
            (
                vec![rule("shop", "*.shop.example.com")],
                vec![
                    ": 1 name refused: example.com (blog/web)",
                    "shop = *.shop.example.com: 41 names refused: n0.example.com (shop/web), n1.example.com (shop/web), \
                 n2.example.com (shop/web), n3.example.com (shop/web), n4.example.com (shop/web), …",
                ],
            ),
            (
                vec![rule("*", "*.example.com")],
                vec!["* = *.example.com: 2 names refused: example.com (blog/web), example.com (shop/web)"],
            ),
        ] {
            let policy = Arc::new(HostnamePolicy::new(rules, [].into()));
            let settings = PublishSettings {
                zones: vec![(zone.clone(), zone.clone())],
                policy: Arc::clone(&policy),
                ..PublishSettings::default()
            };
            let service = |namespace: &str, names: String| {
                let annotations = [("fleetdns.io/hostname".to_owned(), names)].into();
                let (namespace, name) = (namespace.to_owned(), "web".to_owned());
                let service = Service { namespace, name, annotations, ..Service::default() };
                (service.key().unwrap(), Arc::new(publish(&service, &settings).unwrap()))
            };
            let many = (0..40).map(|n| format!("n{n}.example.com")).chain(["example.com".to_owned()]);
            let services: [(ServiceKey, _); 2] = [
                service("shop", many.collect::<Vec<_>>().join(",")),
                service("blog", "example.com,blog.example.com".to_owned()),
            ];
            let mut view = MemberView::pending("west".parse().unwrap());
            view.services = services.into_iter().collect();
            let mut snapshot = Snapshot::default();
            snapshot.members.insert(view.name.clone(), Arc::new(view));
            let said: Vec<String> = by_rule(&snapshot, &policy).iter().map(ToString::to_string).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|text| {
                    text.strip_prefix(':').map_or((*text).to_owned(), |rest| format!("no rule:{rest}"))
                })
                .collect();
            assert_eq!(said, expected);
        }
    }
}
