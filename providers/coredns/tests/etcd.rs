//! The etcd form against a real etcd. Without the binary these tests fail and say what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "etcd/access.rs"]
mod access;
mod common;
#[path = "etcd/full.rs"]
mod full;

use std::time::{Duration, Instant};

use common::plans::{Desired, a, aaaa, approved, cname, desired, difference, many, name, owner};
use common::{Etcd, make, plan, provider, zone};
use fleetdns_core::{Outcome, Provider, ProviderError};

fn outcome_of<'a>(applied: &'a fleetdns_core::Applied, text: &str) -> &'a Outcome {
    &applied.names.iter().find(|(other, _)| *other == name(text)).expect("the name is in the plan").1
}

#[tokio::test]
async fn what_is_written_is_what_is_listed() {
    let etcd = Etcd::start().await;
    let foreign = [
        ("/skydns/com/example/svc-300/1acbad7e", r#"{"host":"10.9.9.9","targetstrip":1}"#),
        ("/skydns/com/example/1acbad7e", r#"{"text":"\"heritage\"","targetstrip":1}"#),
        ("/skydns/com/example2/svc-3", r#"{"host":"10.9.9.9"}"#),
        ("/skydns/com/example/broken", "{"),
    ];
    for (key, value) in foreign {
        etcd.client().await.put(key, value, None).await.unwrap();
    }
    let provider = etcd.provider();
    for round in [
        desired(&[
            ("svc-3.example.com", a(&["203.0.113.1", "203.0.113.2"])),
            ("svc-3.example.com", aaaa(&["2001:db8::1"])),
            ("svc-30.example.com", a(&["203.0.113.3"])),
            ("example.com", a(&["203.0.113.4"])),
            ("svc-3.eu.example.com", cname("svc-3.example.com")),
        ]),
        desired(&[
            ("svc-3.example.com", cname("lb.example.net")),
            ("svc-30.example.com", a(&["203.0.113.3", "203.0.113.1"])),
            ("example.com", aaaa(&["2001:db8::4"])),
            ("svc-3.eu.example.com", a(&["203.0.113.9"])),
        ]),
        desired(&[
            ("svc-30.example.com", a(&["203.0.113.1"])),
            ("svc-30.example.com", aaaa(&["2001:db8::9"])),
        ]),
        Desired::new(),
    ] {
        make(&*provider, &round).await;
    }
    let mut left = etcd.dump().await;
    left.sort();
    let mut expected = foreign.map(|(key, value)| (key.to_owned(), value.to_owned()));
    expected.sort();
    assert_eq!(left, expected, "others' keys stand as they were, ours are gone");
    let listing = provider.list().await.unwrap();
    assert!(listing.unreadable[0].contains("/skydns/com/example/broken"), "{:?}", listing.unreadable);
}

#[tokio::test]
async fn a_conflict_stops_only_its_own_name() {
    let etcd = Etcd::start().await;
    let provider = etcd.provider();
    make(
        &*provider,
        &desired(&[
            ("a.example.com", a(&["203.0.113.1", "203.0.113.2"])),
            ("b.example.com", a(&["203.0.113.1"])),
        ]),
    )
    .await;
    let next = desired(&[
        ("a.example.com", a(&["203.0.113.3"])),
        ("b.example.com", a(&["203.0.113.3"])),
        ("new.example.com", a(&["203.0.113.3"])),
        ("taken.example.com", a(&["203.0.113.3"])),
    ]);
    let (_, plan_of) = plan(&*provider, &next).await;
    let mut other = etcd.client().await;
    other.delete("/skydns/com/example/a/v4-cb007102", None).await.unwrap();
    let value = r#"{"host":"10.9.9.9","targetstrip":1}"#;
    other.put("/skydns/com/example/taken/x", value, None).await.unwrap();
    let before = etcd.dump().await;
    let applied = provider.apply(&plan_of).await;
    assert_eq!(applied.names.len(), 4);
    for text in ["a.example.com", "taken.example.com"] {
        assert!(matches!(outcome_of(&applied, text), Outcome::Conflict), "{applied:?}");
    }
    for text in ["b.example.com", "new.example.com"] {
        assert!(matches!(outcome_of(&applied, text), Outcome::Done(_)), "{applied:?}");
    }
    let after = etcd.dump().await;
    for (key, value) in before.iter().filter(|(key, _)| key.contains("/a/") || key.contains("/taken/")) {
        assert!(after.contains(&(key.clone(), value.clone())), "{key} stands as it was");
    }
    assert!(!after.iter().any(|(key, _)| key.contains("/taken/v4")), "{after:?}");
    // The old plan again: what it did is not undone, and nothing is done twice.
    let again = provider.apply(&plan_of).await;
    assert!(again.names.iter().all(|(_, outcome)| matches!(outcome, Outcome::Conflict)), "{again:?}");
}

#[tokio::test]
async fn of_two_who_create_a_name_one_wins() {
    let etcd = Etcd::start().await;
    let (one, two) = (etcd.provider(), etcd.provider());
    let (_, first) = plan(&*one, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    let (_, second) = plan(&*two, &desired(&[("www.example.com", a(&["203.0.113.2"]))])).await;
    let (first, second) = tokio::join!(one.apply(&first), two.apply(&second));
    let done =
        [&first, &second].map(|applied| matches!(outcome_of(applied, "www.example.com"), Outcome::Done(_)));
    assert!(done[0] != done[1], "{first:?} {second:?}");
    assert_eq!(etcd.dump().await.len(), 1);
}

#[tokio::test]
async fn an_etcd_that_hangs_costs_no_more_than_the_deadline() {
    let mut etcd = Etcd::start().await;
    let provider = etcd.provider();
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    let (_, plan_of) = plan(&*provider, &desired(&[("www.example.com", a(&["203.0.113.2"]))])).await;
    etcd.process().stop();
    let start = Instant::now();
    let (applied, listed) = tokio::join!(provider.apply(&plan_of), provider.list());
    let took = start.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
    assert!(matches!(listed, Err(ProviderError::Unavailable { .. })), "{listed:?}");
    let outcome = outcome_of(&applied, "www.example.com");
    assert!(matches!(outcome, Outcome::Incomplete { .. }), "nobody knows: {outcome:?}");
    etcd.process().cont();
    // The write nobody knows of may be done between the listing and the next write, which is a conflict then.
    let next = desired(&[("www.example.com", a(&["203.0.113.3"]))]);
    let (_, plan_of) = plan(&*provider, &next).await;
    let outcome = provider.apply(&plan_of).await;
    let outcome = outcome_of(&outcome, "www.example.com");
    assert!(matches!(outcome, Outcome::Done(_) | Outcome::Conflict), "{outcome:?}");
    make(&*provider, &next).await;
    // Gone: refused at once. Back: the very next call works.
    etcd.kill();
    let start = Instant::now();
    assert!(matches!(provider.list().await, Err(ProviderError::Unavailable { .. })));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    etcd.restart().await;
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.4"]))])).await;
}

#[tokio::test]
async fn another_endpoint_is_taken_when_one_fails() {
    let etcd = Etcd::start().await;
    let dead = format!("http://127.0.0.1:{}", common::free_port());
    let provider = provider(&[("etcd-endpoints", &format!("{dead},{}", etcd.endpoint))]);
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
}

#[tokio::test]
async fn more_values_than_a_transaction_takes() {
    let etcd = Etcd::start().await;
    let provider = etcd.provider();
    for (first, second) in
        [(many(1, 60), many(2, 60)), (many(1, 300), many(2, 250)), (many(1, 1000), many(3, 1))]
    {
        make(&*provider, &desired(&[("www.example.com", first)])).await;
        make(&*provider, &desired(&[("www.example.com", second)])).await;
    }
    make(&*provider, &desired(&[("www.example.com", many(1, 300))])).await;
    make(&*provider, &desired(&[("www.example.com", cname("lb.example.net"))])).await;
    make(&*provider, &desired(&[("www.example.com", many(1, 300))])).await;
    // An old plan for so many values is refused as any other.
    let (_, old) = plan(&*provider, &desired(&[("www.example.com", many(2, 300))])).await;
    etcd.client().await.put("/skydns/com/example/www/x", r#"{"host":"10.9.9.9"}"#, None).await.unwrap();
    let applied = provider.apply(&old).await;
    assert!(matches!(outcome_of(&applied, "www.example.com"), Outcome::Conflict), "{applied:?}");
    assert_eq!(etcd.dump().await.len(), 301);
}

#[tokio::test]
async fn a_thousand_names_are_written_at_once() {
    let etcd = Etcd::start().await;
    let provider = etcd.provider();
    let all = |count: usize, address: &str| {
        (0..count)
            .map(|n| (name(&format!("s{n}.ns.fed.svc.example.com")), vec![(a(&[address]), 30)]))
            .collect()
    };
    let (_, plan_of) = plan(&*provider, &all(1000, "203.0.113.1")).await;
    let start = Instant::now();
    let applied = provider.apply(&plan_of).await;
    let create = start.elapsed();
    assert_eq!(applied.names.len(), 1000);
    assert!(applied.names.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done(_))));
    let (_, plan_of) = plan(&*provider, &all(1000, "203.0.113.2")).await;
    let start = Instant::now();
    provider.apply(&plan_of).await;
    let update = start.elapsed();
    make(&*provider, &all(1000, "203.0.113.2")).await;
    let large: Desired = all(20_000, "203.0.113.3");
    make(&*provider, &large).await;
    let start = Instant::now();
    let listing = provider.list().await.unwrap();
    let list = start.elapsed();
    let start = Instant::now();
    etcd.dump().await;
    let raw = start.elapsed();
    let mut times = one_by_one(&*provider, &large).await;
    times.sort();
    println!(
        "1,000 names created in {create:?}, updated in {update:?}; 20,000 listed in {list:?} ({raw:?} without a look at them); \
         one name among them p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    assert_eq!(listing.observed.owned().count(), 20_000);
    // A tenth of this in a release build on a quiet machine; far above what the fault it is for would cost: a call for
    // each name.
    let bound = if cfg!(debug_assertions) { 30 } else { 1 };
    let slow = [create, update, list].into_iter().find(|took| *took > Duration::from_secs(bound));
    assert_eq!(slow, None);
}

/// How long single changes take, each planned on what the one before gave.
async fn one_by_one(provider: &dyn Provider, desired: &Desired) -> Vec<Duration> {
    let mut observed = provider.list().await.unwrap().observed;
    let mut times = Vec::new();
    for (index, changed) in desired.keys().take(200).enumerate() {
        let one: Desired =
            [(changed.clone(), vec![(a(&[&format!("203.0.113.{}", 10 + index % 100)]), 30)])].into();
        let here = observed.at(changed).iter().map(|set| (changed.clone(), set.clone())).collect();
        let plan_of = approved(difference(&zone(), &owner(), &here, &one));
        let start = Instant::now();
        let applied = provider.apply(&plan_of).await;
        times.push(start.elapsed());
        for (name, outcome) in applied.names {
            let Outcome::Done(sets) = outcome else { panic!("{name}: {outcome:?}") };
            observed.replace(name, sets);
        }
    }
    times
}
