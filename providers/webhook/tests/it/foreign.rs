//! What is not ours stays as it is.

use serde_json::{Value, json};

use crate::{all_done, pass, planned};
use fleetdns_fakes::conformance::{Backend, Fleet, OWNER};
use fleetdns_fakes::webhook::{Route, Webhook, endpoint};

fn with(mut one: Value, field: &str, value: Value) -> Value {
    one[field] = value;
    one
}

/// Somebody makes something else of our sets; our marks still stand there.
#[tokio::test]
async fn set_identifiers_properties_and_other_values_make_a_set_foreign() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let names = ["weighted.example.com", "alias.example.com", "special.example.com"];
    let mut fleet = Fleet::new();
    for name in names {
        fleet.publish(name, &["203.0.113.1"]);
    }
    all_done(&pass(&*provider, &fleet).await, 3);
    let special = json!([{ "name": "aws/weight", "value": "10" }]);
    hook.remove(names[0], "A").unwrap();
    for blue in ["blue", "green"] {
        hook.put(with(endpoint(names[0], "A", 30, &["203.0.113.1"]), "setIdentifier", blue.into()));
    }
    hook.put(endpoint(names[1], "A", 30, &["lb.us-east-1.elb.amazonaws.com"]));
    hook.put(with(endpoint(names[2], "A", 30, &["203.0.113.1"]), "providerSpecific", special));
    let before = hook.dump();

    for name in names {
        fleet.publish(name, &["203.0.113.2"]);
    }
    for fleet in [&fleet, &Fleet::new()] {
        let plan = planned(&*provider, fleet).await;
        assert!(plan.plan().is_empty(), "{}", plan.plan());
        assert_eq!(plan.plan().refused.len(), fleet.len(), "each is said to be foreign");
    }
    assert_eq!(hook.dump(), before);
}

/// Labels and the like of others are sent back as they came when a set of ours beside them is replaced.
#[tokio::test]
async fn what_is_replaced_is_sent_back_as_it_was_listed() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let mut fleet = Fleet::of(&[("web.example.com", &["203.0.113.2", "203.0.113.1"])]);
    all_done(&pass(&*provider, &fleet).await, 1);
    hook.change("web.example.com", "A", |one| {
        one["labels"] = json!({ "id": "42" });
        one["targets"] = json!(["203.0.113.2", "203.0.113.1"]);
    });
    assert!(planned(&*provider, &fleet).await.plan().is_empty(), "the order of targets says nothing");
    fleet.publish("web.example.com", &["203.0.113.3"]);
    all_done(&pass(&*provider, &fleet).await, 1);
    assert_eq!(hook.get("web.example.com", "A").unwrap()["labels"]["id"], "42");
}

/// A webhook has the zones of all its customers.
#[tokio::test]
async fn other_zones_and_names_that_are_none_are_left_alone() {
    let hook = Webhook::start().await;
    hook.put(endpoint("www.example.org", "A", 60, &["198.51.100.1"]));
    hook.put(endpoint("notexample.com", "A", 60, &["198.51.100.1"]));
    hook.put(endpoint("a!b.example.com", "A", 60, &["198.51.100.1"]));
    hook.put(endpoint("\\052.star.example.com", "A", 60, &["198.51.100.1"]));
    let provider = hook.provider(OWNER);
    let listing = provider.list().await.unwrap();
    let names: Vec<String> = listing.observed.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["*.star.example.com"]);
    assert!(
        listing.unreadable.len() == 1 && listing.unreadable[0].starts_with("a!b.example.com A: "),
        "{listing:?}"
    );
}

#[tokio::test]
async fn a_txt_of_somebody_else_where_the_mark_belongs_is_not_overwritten() {
    let hook = Webhook::start().await;
    hook.put(endpoint("_fleetdns.web.example.com", "TXT", 60, &["\"theirs\""]));
    let provider = hook.provider(OWNER);
    let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"]), ("next.example.com", &["203.0.113.1"])]);
    let mut words = pass(&*provider, &fleet).await;
    let word = words.remove("web.example.com").unwrap();
    assert!(word.contains("somebody else has a record at _fleetdns.web.example.com"), "{word}");
    all_done(&words, 1);
    assert_eq!(hook.get("web.example.com", "A"), None);
}

/// Record and mark come, change and go in one call; a name that loses an address is not in one call with others.
#[tokio::test]
async fn record_and_mark_are_in_one_call() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    for (fleet, calls, lines) in [
        (Fleet::of(&[("*.example.com", &["203.0.113.1"]), ("example.com", &["203.0.113.1"])]), 1, 4),
        (Fleet::of(&[("*.example.com", &["lb.example.net"]), ("example.com", &["2001:db8::1"])]), 2, 4),
        (Fleet::new(), 1, 0),
    ] {
        all_done(&pass(&*provider, &fleet).await, 2);
        assert_eq!((hook.calls(Route::Apply), hook.dump().len()), (calls, lines), "{:?}", hook.dump());
    }
}

#[tokio::test]
async fn the_name_servers_of_a_listing_are_told() {
    let hook = Webhook::start().await;
    hook.put(endpoint("example.com", "NS", 3600, &["ns1.example.com.", "ns2.example.com"]));
    let listing = hook.provider(OWNER).list().await.unwrap();
    let told: Vec<String> = listing.observed.name_servers().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["ns1.example.com", "ns2.example.com"]);
}
