//! How much of an answer is taken: bytes, values, pages and time. Each answer is well-formed and without end.

use std::time::Duration;

use fleetdns_core::limits::{ANSWER_BYTES, Allowance};
use fleetdns_core::{Outcome, ProviderError};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::support::{ZONE, failure, observed, pass, provider, sync, text};
use fleetdns_fakes::azure::{Body, Call, Fake};
use fleetdns_fakes::plans::{a, desired};

fn is_list(call: &Call) -> bool {
    call.path.ends_with("/all")
}

/// A server that answers each list with a page of these items, and always has another one.
async fn endless(items: impl Fn(usize) -> String + Send + 'static) -> Fake {
    let fake = Fake::start().await;
    let (origin, mut number) = (fake.origin.clone(), 0);
    fake.world().bodies = Some(Box::new(move |call| {
        is_list(call).then(|| {
            number += 1;
            let next = format!("{origin}{}?$skipToken={number}", call.path);
            Body::from(format!(r#"{{"value":[{}],"nextLink":"{next}"}}"#, items(number)))
        })
    }));
    fake
}

/// Why the zone cannot be listed, and after how many calls.
async fn refused(fake: &Fake) -> (String, usize) {
    let error = provider(fake).list().await.unwrap_err();
    (text(&error), fake.count(is_list))
}

#[tokio::test]
async fn a_listing_has_no_more_pages_than_are_taken() {
    let fake = endless(|_| String::new()).await;
    let (error, pages) = refused(&fake).await;
    assert!(error.contains("more than 20000 pages"), "{error}");
    assert_eq!(pages, Allowance::PAGES + 1);
}

#[tokio::test]
async fn one_answer_has_no_more_bytes_and_values_than_are_taken() {
    let fake = endless(|_| "[],".repeat(130_000) + "0").await;
    let (error, _) = refused(&fake).await;
    assert!(error.contains("more than 250000 values in one answer"), "{error}");

    // Without end: what is sent is counted.
    let fake = Fake::start().await;
    let (sent, taken) = std::sync::mpsc::channel();
    fake.world().bodies = Some(Box::new(move |call| {
        let sent = sent.clone();
        let part = move |_| {
            sent.send(1 << 20).unwrap();
            Ok::<_, std::io::Error>(vec![b' '; 1 << 20])
        };
        is_list(call).then(|| Body::from_stream(stream::iter(0..).map(part)))
    }));
    let (error, tries) = refused(&fake).await;
    assert!(error.contains("the answer is larger than 64 MiB"), "{error}");
    let sent: usize = taken.try_iter().sum();
    assert!(sent < tries * 2 * ANSWER_BYTES, "{sent} bytes in {tries} answers");
}

/// An answer that begins and does not go on: of a list, and of a write. A page of a list is asked for three times, and
/// for 20 s each, not 60: a name of which nobody knows what was written waits for the list.
#[tokio::test]
async fn an_answer_has_no_more_time_than_is_given() {
    let fake = Fake::start().await;
    let zone = provider(&fake);
    observed(&*zone).await;
    fake.world().bodies = Some(Box::new(|call| {
        let begun = stream::iter([Ok::<_, std::io::Error>("{")]).chain(stream::pending());
        (is_list(call) || call.is_write()).then(|| Body::from_stream(begun))
    }));
    let began = Instant::now();
    let listing = tokio::spawn(async move { (zone.list().await, zone) });
    let seen = fake.count(is_list);
    while fake.count(is_list) == seen {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The clock goes on to whatever is waited for.
    tokio::time::pause();
    let (listed, zone) = listing.await.unwrap();
    tokio::time::resume();
    assert!(matches!(listed, Err(ProviderError::Unavailable { .. })), "{listed:?}");
    let took = began.elapsed();
    assert!((Duration::from_secs(60)..Duration::from_secs(70)).contains(&took), "{took:?}");

    fake.world().bodies = None;
    assert_eq!(observed(&*zone).await.iter().count(), 1, "and it goes on");
    let applied = pass(&*zone, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    assert!(matches!(applied.names[0].1, Outcome::Done(_)), "{}", failure(&applied, "a.example.com"));
}

/// A connection that breaks in silence, as one does when a load balancer on the way forgets it: the answer of one write is
/// lost, and all others of the zone would wait with it.
#[tokio::test]
async fn an_answer_to_a_write_that_is_lost_holds_the_zone_for_20_s_and_not_for_60() {
    let fake = Fake::start().await;
    let zone = provider(&fake);
    observed(&*zone).await;
    fake.world().stalled = Some(Call::is_write);
    let began = Instant::now();
    let wanted = desired(&[("a.example.com", a(&["192.0.2.1"]))]);
    let written = tokio::spawn(async move { (pass(&*zone, ZONE, &wanted).await, zone) });
    while fake.world().unanswered == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The clock goes on to whatever is waited for.
    tokio::time::pause();
    let (applied, zone) = written.await.unwrap();
    tokio::time::resume();
    assert!(
        matches!(applied.names[0].1, Outcome::Incomplete { .. }),
        "{}",
        failure(&applied, "a.example.com")
    );
    let took = began.elapsed();
    assert!((Duration::from_secs(20)..Duration::from_secs(25)).contains(&took), "{took:?}");

    fake.world().stalled = None;
    sync(&*zone, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
}
