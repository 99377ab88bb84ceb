//! Reading zones.

use fleetdns_core::{Content, Owner};
use serde_json::json;

use crate::support::{ZONE, foreign, observed, plan, provider, sync, text};
use fleetdns_fakes::azure::{Answer, Fake, Mishap};
use fleetdns_fakes::plans::{a, desired, many, name};

#[tokio::test]
async fn a_new_zone_has_only_what_is_not_ours() {
    let fake = Fake::start().await;
    let observed = observed(&*provider(&fake)).await;
    let types: Vec<&str> =
        observed.at(&name(ZONE)).iter().map(fleetdns_core::ObservedSet::type_name).collect();
    assert_eq!(types.len(), 2);
    assert!(types.contains(&"SOA") && types.contains(&"NS"));
    assert_eq!(observed.owned_count(), 0);
    let servers: Vec<&str> = observed.name_servers().iter().map(fleetdns_core::DnsName::as_str).collect();
    assert_eq!(servers, ["ns1-01.azure-dns.com"]);
}

#[tokio::test]
async fn ten_thousand_sets_come_in_pages() {
    let fake = Fake::start().await;
    for index in 0..9_998 {
        fake.seed(ZONE, "A", &format!("n{index}"), foreign("192.0.2.1"));
    }
    let provider = provider(&fake);
    assert_eq!(observed(&*provider).await.iter().count(), 9_999);
    assert_eq!(fake.count(|call| call.path.ends_with("/all")), 10);
    // A server that takes no page so large is asked for its own.
    fake.world().page = (500, 500);
    assert_eq!(observed(&*provider).await.iter().count(), 9_999);
    assert_eq!(fake.count(|call| call.path.ends_with("/all")), 10 + 1 + 20);
    observed(&*provider).await;
    assert_eq!(fake.count(|call| call.path.ends_with("/all")), 10 + 1 + 20 + 20, "and not asked again");
}

#[tokio::test]
async fn one_page_that_fails_for_a_moment_does_not_cost_the_rest_and_half_a_zone_is_never_given() {
    let fake = Fake::start().await;
    for index in 0..1_500 {
        fake.seed(ZONE, "A", &format!("n{index}"), foreign("192.0.2.1"));
    }
    let second = |call: &fleetdns_fakes::azure::Call| call.query.contains_key("$skipToken");
    fake.trap(2, Mishap::Answer(Answer::arm(500, "InternalServerError", "Oops.")), second);
    let provider = provider(&fake);
    assert_eq!(observed(&*provider).await.iter().count(), 1_501);
    fake.trap(3, Mishap::CutBefore, second);
    let error = provider.list().await.unwrap_err();
    assert!(text(&error).contains("does not answer while trying to list the zone"), "{}", text(&error));
}

#[tokio::test]
async fn a_link_to_elsewhere_does_not_get_our_token() {
    let fake = Fake::start().await;
    let body = json!({ "value": [], "nextLink": "https://203.0.113.1/next" });
    fake.trap(1, Mishap::Answer(Answer::of(200, body)), |call| call.path.ends_with("/all"));
    let error = provider(&fake).list().await.unwrap_err();
    assert!(text(&error).contains("the next page is elsewhere"), "{}", text(&error));
    let mut link = fake.world().calls.last().unwrap().path.clone();
    link = format!("{}{link}?api-version=2018-05-01", fake.origin);
    let body = json!({ "value": [], "nextLink": link });
    fake.trap(9, Mishap::Answer(Answer::of(200, body)), |call| call.path.ends_with("/all"));
    let error = provider(&fake).list().await.unwrap_err();
    assert!(text(&error).contains("leads back"), "{}", text(&error));
}

#[tokio::test]
async fn what_is_not_plainly_ours_is_foreign_and_survives() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let mut ours = desired(&[("a.example.com", a(&["192.0.2.1"])), ("b.example.com", many(1, 20))]);
    sync(&*provider, ZONE, &ours).await;
    // Our mark on sets that are more than ours.
    let marked = fake.at(ZONE, "A", "a").unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut set = marked.clone();
        set[key] = value;
        set
    };
    fake.seed(ZONE, "A", "alias", with("targetResource", json!({ "id": "/subscriptions/x" })));
    fake.seed(ZONE, "A", "new", with("futureProperty", json!({ "x": 1 })));
    fake.seed(ZONE, "A", "empty", with("ARecords", json!([])));
    fake.seed(ZONE, "TXT", "txt", json!({ "TTL": 60, "TXTRecords": [{ "value": ["x"] }] }));
    fake.seed(ZONE, "A", "theirs", foreign("192.0.2.9"));
    fake.seed(ZONE, "A", "not a name", foreign("192.0.2.9"));
    let mut other = marked.clone();
    let mark = marked["metadata"]["fleetdns1"].as_str().unwrap().replace("owner=fed", "owner=feds");
    other["metadata"]["fleetdns1"] = json!(mark);
    fake.seed(ZONE, "A", "other-owner", other);
    let before = fake.world().zones[0].sets.clone();

    let listing = provider.list().await.unwrap();
    assert_eq!(listing.observed.owned_count(), 2);
    assert_eq!(listing.unreadable.len(), 4, "{:?}", listing.unreadable);
    for relative in ["alias", "new", "empty", "theirs", "other-owner"] {
        let sets = listing.observed.at(&name(&format!("{relative}.{ZONE}")));
        assert_eq!(sets[0].claim, Owner::Foreign, "{relative}");
    }
    assert!(matches!(listing.observed.at(&name("alias.example.com"))[0].content, Content::Other(_)));

    // Everything of ours goes, and nothing else does.
    ours.clear();
    provider
        .apply(&fleetdns_fakes::plans::approved(fleetdns_fakes::plans::difference(
            &name(ZONE),
            &fleetdns_fakes::plans::owner(),
            &listing.observed,
            &ours,
        )))
        .await;
    let after = fake.world().zones[0].sets.clone();
    assert_eq!(before.len() - after.len(), 2);
    for (key, set) in after {
        assert_eq!(before[&key].etag, set.etag, "{key:?}");
    }
}

#[tokio::test]
async fn a_plan_over_a_whole_zone_writes_nothing_twice() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let ours = desired(&[("a.example.com", a(&["192.0.2.1"]))]);
    sync(&*provider, ZONE, &ours).await;
    let writes = fake.count(fleetdns_fakes::azure::Call::is_write);
    assert!(plan(&*provider, ZONE, &ours).await.is_empty());
    assert_eq!(fake.count(fleetdns_fakes::azure::Call::is_write), writes);
    assert_eq!(fake.world().tokens.len(), 1, "one token serves all calls");
}
