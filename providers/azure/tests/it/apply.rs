//! Writing plans.

use fleetdns_core::{Outcome, RecordType};
use serde_json::json;

use crate::support::{ZONE, failure, foreign, observed, outcome, pass, plan, provider, sync};
use fleetdns_fakes::azure::{Call, Fake, Mishap};
use fleetdns_fakes::plans::{a, aaaa, approved, cname, desired, difference, many, mark_of, name, owner};

#[tokio::test]
async fn every_type_and_kind_of_name_comes_back_as_it_was_written() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.example.com", "y".repeat(49));
    assert_eq!(long.len(), 253);
    let sets = desired(&[
        ("example.com", a(&["192.0.2.1", "192.0.2.2"])),
        ("example.com", aaaa(&["2001:db8::1"])),
        ("*.example.com", a(&["192.0.2.3"])),
        ("*.sub.example.com", cname("a.example.com")),
        ("a.example.com", many(1, 20)),
        ("a.b.example.com", a(&["192.0.2.5"])),
        ("aa.example.com", aaaa(&["2001:db8:0:0:0:0:0:2", "2001:DB8::A"])),
        ("bücher.example.com", cname("_x.other.example.net")),
        ("_srv.example.com", a(&["192.0.2.6"])),
        (&long, a(&["192.0.2.7"])),
    ]);
    sync(&*provider, ZONE, &sets).await;
    let stored = fake.at(ZONE, "CNAME", "xn--bcher-kva").unwrap();
    assert_eq!(stored["CNAMERecord"]["cname"], "_x.other.example.net");
    assert_eq!(stored["TTL"], 30);
    // Each write has a condition.
    let naked = |call: &Call| {
        call.is_write()
            && !call.headers.contains_key("if-match")
            && !call.headers.contains_key("if-none-match")
    };
    assert_eq!(fake.count(naked), 0);
    // And goes again, whole.
    sync(&*provider, ZONE, &desired(&[])).await;
    assert_eq!(fake.count(naked), 0);
    assert_eq!(fake.world().zones[0].sets.len(), 2);
}

#[tokio::test]
async fn values_ttl_and_mark_are_replaced_and_the_metadata_of_others_is_kept() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let mut stored = fake.at(ZONE, "A", "a").unwrap();
    stored["metadata"]["team"] = json!("web");
    fake.seed(ZONE, "A", "a", stored);
    let mut sets = desired(&[("a.example.com", a(&["192.0.2.1", "192.0.2.2"]))]);
    sync(&*provider, ZONE, &sets).await;
    sets.get_mut(&name("a.example.com")).unwrap()[0].1 = 2_147_483_647;
    sync(&*provider, ZONE, &sets).await;
    let stored = fake.at(ZONE, "A", "a").unwrap();
    assert_eq!(stored["metadata"]["team"], "web");
    assert_eq!((&stored["TTL"], stored["ARecords"].as_array().unwrap().len()), (&json!(2_147_483_647), 2));
}

#[tokio::test]
async fn a_type_change_deletes_and_creates_next_to_each_other() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let other = ("b.example.com", a(&["192.0.2.8"]));
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"])), other.clone()])).await;
    fake.world().calls.clear();
    sync(&*provider, ZONE, &desired(&[("a.example.com", cname("x.example.net")), other.clone()])).await;
    let writes: Vec<String> = {
        let world = fake.world();
        world.calls.iter().filter(|call| call.is_write()).map(|call| call.method.clone()).collect()
    };
    assert_eq!(writes, ["DELETE", "PUT"]);
    sync(&*provider, ZONE, &desired(&[("a.example.com", aaaa(&["2001:db8::1"])), other])).await;
    assert_eq!(fake.at(ZONE, "CNAME", "a"), None);
}

#[tokio::test]
async fn what_was_done_tells_of_all_sets_at_the_name() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    fake.seed(ZONE, "TXT", "a", json!({ "TTL": 60, "TXTRecords": [{ "value": ["x"] }] }));
    let applied = pass(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let Outcome::Done(sets) = outcome(&applied, "a.example.com") else { panic!("{applied:?}") };
    let now = observed(&*provider).await;
    let types = |sets: &[fleetdns_core::ObservedSet]| {
        let mut types: Vec<String> =
            sets.iter().map(|set| format!("{} {}", set.type_name(), set.version.0)).collect();
        types.sort();
        types
    };
    assert_eq!(types(sets), types(now.at(&name("a.example.com"))));
}

#[tokio::test]
async fn a_stale_plan_writes_nothing_where_somebody_was_faster() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let before = desired(&[("u.example.com", a(&["192.0.2.1"])), ("d.example.com", a(&["192.0.2.1"]))]);
    sync(&*provider, ZONE, &before).await;
    let after = desired(&[("u.example.com", a(&["192.0.2.2"])), ("c.example.com", a(&["192.0.2.3"]))]);
    let stale = plan(&*provider, ZONE, &after).await;
    for relative in ["u", "d", "c"] {
        fake.seed(ZONE, "A", relative, foreign("198.51.100.1"));
    }
    let applied = provider.apply(&approved(stale)).await;
    for text in ["u.example.com", "d.example.com", "c.example.com"] {
        assert!(matches!(outcome(&applied, text), Outcome::Conflict), "{text}");
    }
    for relative in ["u", "d", "c"] {
        assert_eq!(fake.at(ZONE, "A", relative), Some(foreign("198.51.100.1")), "{relative}");
    }
}

#[tokio::test]
async fn an_editor_between_list_and_write_is_a_conflict_and_the_rest_goes_through() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    fake.trap(1, Mishap::Race, |call| call.method == "PUT" && call.path.ends_with("/A/r"));
    let sets = desired(&[("r.example.com", a(&["192.0.2.1"])), ("s.example.com", a(&["192.0.2.1"]))]);
    let applied = pass(&*provider, ZONE, &sets).await;
    assert!(matches!(outcome(&applied, "r.example.com"), Outcome::Conflict));
    assert!(matches!(outcome(&applied, "s.example.com"), Outcome::Done(_)));
    assert_eq!(fake.at(ZONE, "A", "r").unwrap()["TTL"], 77);
}

#[tokio::test]
async fn a_cname_that_came_in_between_is_a_conflict_and_not_tried_for_ever() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let plan = plan(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    fake.seed(ZONE, "CNAME", "a", json!({ "TTL": 60, "CNAMERecord": { "cname": "x.example.net" } }));
    fake.world().calls.clear();
    let applied = provider.apply(&approved(plan)).await;
    assert!(matches!(outcome(&applied, "a.example.com"), Outcome::Conflict));
    assert_eq!(fake.count(Call::is_write), 1);
}

#[tokio::test]
async fn a_set_that_is_gone_already_is_as_good_as_deleted() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let plan = plan(&*provider, ZONE, &desired(&[])).await;
    fake.world().zones[0].sets.remove(&("A".to_owned(), "a".to_owned()));
    let applied = provider.apply(&approved(plan)).await;
    assert!(matches!(outcome(&applied, "a.example.com"), Outcome::Done(sets) if sets.is_empty()));
}

#[tokio::test]
async fn what_azure_never_takes_is_named_and_the_rest_goes_through() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    // The planner asks the provider's limits first; here somebody did not.
    let sets = desired(&[("big.example.com", many(1, 21)), ("a.example.com", a(&["192.0.2.1"]))]);
    let applied = pass(&*provider, ZONE, &sets).await;
    let problem = failure(&applied, "big.example.com");
    assert!(problem.contains("big.example.com A: HTTP 400 BadRequest: The maximum number"), "{problem}");
    assert!(matches!(outcome(&applied, "a.example.com"), Outcome::Done(_)));
    fake.world().zones[0].most = 3;
    let sets = desired(&[("a.example.com", a(&["192.0.2.1"])), ("b.example.com", a(&["192.0.2.1"]))]);
    let applied = pass(&*provider, ZONE, &sets).await;
    assert!(failure(&applied, "b.example.com").contains("maximum number of record sets in the zone"));
    let capabilities = provider.capabilities();
    assert_eq!((capabilities.max_values, capabilities.ttl.0.seconds()), (20, 1));
}

#[tokio::test]
async fn evidence_that_no_metadata_holds_is_refused_with_the_name() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let sets = desired(&[("a.example.com", a(&["192.0.2.1"]))]);
    let mut plan = difference(&name(ZONE), &owner(), &observed(&*provider).await, &sets);
    let mut ownership: fleetdns_core::Ownership =
        mark_of(&owner(), &name("a.example.com"), &[]).as_str().parse().unwrap();
    let share = ownership.members.values().next().unwrap().clone();
    let mut seed = 1_u64;
    for _ in 0..300 {
        // What has no pattern cannot be packed.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ownership.members.insert(format!("cluster-{seed:016x}").parse().unwrap(), share.clone());
    }
    for change in &mut plan.changes[0].changes {
        let fleetdns_core::Change::Create { mark, set } = change else { panic!() };
        assert_eq!(set.data.record_type(), RecordType::A);
        *mark = (&ownership).into();
    }
    let applied = provider.apply(&approved(plan)).await;
    assert!(failure(&applied, "a.example.com").contains("a.example.com: what says which cluster gave"));
    assert_eq!(fake.count(Call::is_write), 0);
}
