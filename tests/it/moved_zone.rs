//! A zone that moves from one provider to another: the ownership records are the same, so that nothing is lost.

use std::collections::BTreeMap;

use fleetdns_core::{Content, Listing, ObservedSet, Ownership};
use fleetdns_fakes::conformance::{Fleet, OWNER, converge};
use fleetdns_fakes::route53::{Fake, Set};
use fleetdns_fakes::webhook::{Webhook, endpoint};

const NAMES: [&str; 3] = ["web.example.com", "*.example.com", "alias.example.com"];

/// So many members that the ownership record of a name takes several values.
fn fleet(members: usize) -> Fleet {
    let mut fleet = Fleet::with_members(
        (0..members)
            .map(|n| format!("arn:aws:eks:eu-central-1:123456789012:cluster/c-{n:02}-{}", n * n * 7919)),
    );
    fleet.publish(NAMES[0], &["203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    fleet.publish(NAMES[1], &["203.0.113.3"]);
    fleet.publish(NAMES[2], &["lb.example.net"]);
    fleet
}

fn records() -> impl Iterator<Item = (String, &'static str)> {
    let of = |name: &str| match name.strip_prefix("*.") {
        Some(parent) => format!("_fleetdns-wildcard.{parent}"),
        None => format!("_fleetdns.{name}"),
    };
    let texts = NAMES.iter().map(move |name| (of(name), "TXT"));
    let sets = NAMES.iter().flat_map(|name| ["A", "AAAA", "CNAME"].map(|kind| ((*name).to_owned(), kind)));
    texts.chain(sets)
}

async fn moves(members: usize) {
    let (hook, fake) = (Webhook::start().await, Fake::start().await);
    let fleet = fleet(members);
    let (first, _) = converge(&*hook.connect(OWNER, &[]), &fleet).await;
    assert_eq!(first.observed.owned_count(), 3);

    let mut parts = 0;
    for (name, kind) in records() {
        let Some(there) = hook.get(&name, kind) else { continue };
        let targets = there["targets"].as_array().unwrap().iter().map(|one| one.as_str().unwrap());
        let targets: Vec<&str> = targets.collect();
        parts = parts.max(targets.len());
        fake.put(Set::simple(&name, kind, if kind == "TXT" { 300 } else { 30 }, &targets));
    }
    assert!(members < 40 || parts > 2, "{parts}");
    let route53 = fake.provider(OWNER);
    let moved = route53.list().await.unwrap();
    for name in NAMES.map(|name| name.parse().unwrap()) {
        let said = |listing: &Listing| -> BTreeMap<String, (Content, Option<Ownership>)> {
            let sets = listing.observed.at(&name).iter();
            sets.map(|set| (set.type_name().to_owned(), (set.content.clone(), set.claim.ownership())))
                .collect()
        };
        assert!(said(&first).values().all(|(_, ownership)| ownership.is_some()));
        assert_eq!(said(&moved), said(&first), "{name}");
    }
    let (_, refused) = converge(&*route53, &fleet).await;
    assert_eq!(refused, Vec::<String>::new());

    // And back, after the values of Route 53 have been written by itself.
    converge(&*route53, &Fleet::new()).await;
    converge(&*route53, &fleet).await;
    let back = Webhook::start().await;
    for (name, kind) in records() {
        let Some(there) = fake.get(&name, kind) else { continue };
        // A webhook lists a TXT as one text, wherever its strings end.
        let values: Vec<String> = there.values.iter().map(|value| value.replace("\" \"", "")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        back.put(endpoint(&name, kind, if kind == "TXT" { 300 } else { 30 }, &values));
    }
    let provider = back.connect(OWNER, &[]);
    let moved = provider.list().await.unwrap();
    assert_eq!(moved.observed.owned_count(), 3);
    let ours = |(_, sets): (_, &[ObservedSet])| sets.iter().all(|set| set.claim.ownership().is_some());
    assert!(moved.observed.iter().all(ours), "{moved:?}");
    converge(&*provider, &fleet).await;
    converge(&*provider, &Fleet::new()).await;
    assert_eq!(back.dump(), Vec::<String>::new(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_moves_between_a_webhook_and_route_53() {
    moves(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_with_ownership_records_in_parts_moves_between_a_webhook_and_route_53() {
    moves(40).await;
}
