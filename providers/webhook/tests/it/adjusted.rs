//! Webhooks with a will of their own are not written to for ever, and an edit by hand is still seen.

use serde_json::json;

use crate::{all_done, checked, pass, planned};
use fleetdns_fakes::conformance::{Backend, Fleet, OWNER, converge};
use fleetdns_fakes::webhook::{Fault, Route, Ways, Webhook};

fn fleet() -> Fleet {
    Fleet::of(&[
        ("web.example.com", &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
        ("alias.example.com", &["lb.example.net"]),
    ])
}

/// Everything that changes is written once, and seen as written by another process, too.
async fn settles(what: &str, ways: Ways) -> Webhook {
    let hook = Webhook::start().await;
    let filter = hook.state().ways.filter.clone();
    hook.state().ways = Ways { filter, ..ways };
    let provider = hook.provider(OWNER);
    let mut fleet = fleet();
    converge(&*provider, &fleet).await;
    fleet.publish("web.example.com", &["203.0.113.3", "2001:db8::1"]);
    fleet.publish_for("alias.example.com", &["lb.example.net"], Some(90));
    converge(&*provider, &fleet).await;
    hook.calls(Route::Apply);
    let again = hook.provider(OWNER);
    for provider in [&provider, &again] {
        let plan = planned(&**provider, &fleet).await;
        assert!(plan.plan().is_empty(), "{what}: {}", plan.plan());
    }
    // A person's TTL is none of its ways.
    hook.change("web.example.com", "A", |one| one["recordTTL"] = 7777.into());
    if !hook.state().ways.no_ttl {
        let plan = planned(&*again, &fleet).await;
        assert_eq!(plan.plan().changes.len(), 1, "{what}: {}", plan.plan());
        converge(&*again, &fleet).await;
        assert_ne!(hook.get("web.example.com", "A").unwrap()["recordTTL"], 7777, "{what}");
    }
    converge(&*again, &Fleet::new()).await;
    assert_eq!(hook.dump(), Vec::<String>::new(), "{what}");
    hook
}

#[tokio::test]
async fn its_ways_are_learnt() {
    settles("none", Ways::default()).await;
    settles("TTLs that it adjusts", Ways { least_ttl: 60, ..Ways::default() }).await;
    settles("TTLs that it raises silently", Ways { silent_ttl: 60, ..Ways::default() }).await;
    settles("TTLs that it does not list", Ways { no_ttl: true, ..Ways::default() }).await;
    settles("properties that it adds", Ways { adds: Some(("proxied", "false")), ..Ways::default() }).await;
    settles("properties that it lists", Ways { lists: Some(("alias", "false")), ..Ways::default() }).await;
    settles("a target for each endpoint", Ways { lists_apart: true, ..Ways::default() }).await;
    settles("quotes taken off", Ways { unquotes: true, ..Ways::default() }).await;
    let all =
        Ways { least_ttl: 60, silent_ttl: 120, lists: Some(("x", "y")), unquotes: true, ..Ways::default() };
    settles("many ways", all).await;
}

/// The second time, no correction of marks is needed.
#[tokio::test]
async fn a_silent_ttl_costs_one_correction() {
    let hook = Webhook::start().await;
    hook.state().ways.silent_ttl = 300;
    let provider = hook.provider(OWNER);
    let mut fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
    all_done(&pass(&*provider, &fleet).await, 1);
    assert_eq!(hook.calls(Route::Apply), 2);
    let mark =
        hook.get("_fleetdns.web.example.com", "TXT").unwrap()["targets"][0].as_str().unwrap().to_owned();
    assert!(mark.ends_with(" sets=A:30:300\""), "{mark}");
    fleet.publish("web.example.com", &["203.0.113.2"]);
    all_done(&pass(&*provider, &fleet).await, 1);
    assert_eq!(hook.calls(Route::Apply), 1);
}

/// After an update of a webhook that returns all its records a new property, ours are still ours.
#[tokio::test]
async fn a_new_property_of_the_webhook_is_no_strangers() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    converge(&*provider, &fleet()).await;
    hook.state().ways.lists = Some(("proxied", "false"));
    hook.state().ways.adds = Some(("proxied", "false"));
    assert!(planned(&*provider, &fleet()).await.plan().is_empty());
    converge(&*provider, &Fleet::of(&[("web.example.com", &["203.0.113.9"])])).await;
}

/// What it would not write as it is wanted is refused before anything is written.
#[tokio::test]
async fn what_it_would_make_something_else_of_is_refused() {
    for (ways, word, name) in [
        (
            Ways { refuses_type: Some("AAAA"), ..Ways::default() },
            "leaves web.example.com AAAA out",
            "web.example.com",
        ),
        (Ways { refuses_type: Some("TXT"), ..Ways::default() }, "TXT out", "web.example.com"),
        (
            Ways { one_target: true, ..Ways::default() },
            "would write 203.0.113.1 in place of",
            "web.example.com",
        ),
    ] {
        let hook = Webhook::start().await;
        hook.state().ways = ways;
        let provider = hook.provider(OWNER);
        for _ in 0..2 {
            let words = pass(&*provider, &fleet()).await;
            assert!(words[name].contains(word), "{words:?}");
        }
        let there = hook.dump();
        assert!(there.iter().all(|line| !line.contains("web.example.com")), "{there:?}");
    }
}

/// Some keep the first value of a TXT only: what does not fit is refused, once that is known.
#[tokio::test]
async fn one_value_of_a_txt_has_to_do_where_the_webhook_keeps_no_more() {
    let hook = Webhook::start().await;
    hook.state().ways.one_txt = true;
    let provider = hook.provider(OWNER);
    let members = (0..30).map(|n| format!("arn:aws:eks:eu-central-{n}:123456789012:cluster/production"));
    let mut fleet = Fleet::with_members(members);
    fleet.publish("web.example.com", &["203.0.113.1"]);
    let words = pass(&*provider, &fleet).await;
    assert!(words["web.example.com"].contains("values of a TXT"), "{words:?}");
    hook.calls(Route::Apply);
    let words = pass(&*provider, &fleet).await;
    assert!(words["web.example.com"].contains("values of a TXT"), "{words:?}");
    assert_eq!(hook.calls(Route::Apply), 0, "nothing is tried again");
    // It is still ours, and goes when its Service does.
    converge(&*provider, &Fleet::new()).await;
    assert_eq!(hook.dump(), Vec::<String>::new());
}

/// Old and small webhooks do not have the call.
#[tokio::test]
async fn a_webhook_without_adjustendpoints_will_do() {
    let hook = Webhook::start().await;
    (0..2).for_each(|_| hook.fault(Route::Adjust, Fault::Answer(404, vec![])));
    let provider = hook.provider(OWNER);
    assert!(!checked(&*provider).await.contains("FAIL"));
    converge(&*provider, &fleet()).await;
    assert_eq!(hook.get("web.example.com", "A").unwrap()["targets"], json!(["203.0.113.1", "203.0.113.2"]));
}

#[tokio::test]
async fn check_says_what_it_would_make_of_records() {
    let hook = Webhook::start().await;
    hook.state().ways.least_ttl = 120;
    hook.state().ways.refuses_type = Some("AAAA");
    let found = checked(&*hook.provider(OWNER)).await;
    for part in ["serves example.com", "takes no AAAA records", "a TTL of 120 s out of 30 s", "no conditions"]
    {
        assert!(found.contains(part), "no {part:?} in {found}");
    }
    hook.state().ways.refuses_type = Some("TXT");
    let found = checked(&*hook.provider(OWNER)).await;
    assert!(found.contains("FAIL") && found.contains("takes no TXT records"), "{found}");
    assert_eq!(hook.calls(Route::Apply), 0, "looking changes nothing");
}
