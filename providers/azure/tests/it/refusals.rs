//! Names that are refused for themselves, and a listing that fails: what becomes of the other names.

use std::time::Duration;

use fleetdns_core::{Applied, Outcome, ProviderError};
use serde_json::json;

use crate::support::{ZONE, failure, outcome, pass, plan, provider, sync};
use fleetdns_fakes::azure::{Answer, Call, Fake, Mishap};
use fleetdns_fakes::plans::{Desired, a, approved, cname, desired, name};

fn bad_and_z(bad: usize, z: &[&str]) -> Desired {
    let mut sets = desired(&[("z.example.com", a(z))]);
    for index in 0..bad {
        sets.insert(name(&format!("bad-{index}.example.com")), vec![(a(&["192.0.2.1"]), 30)]);
    }
    sets
}

fn is_bad(call: &Call) -> bool {
    call.is_write() && call.path.contains("/bad-")
}

fn rejected(applied: &Applied) -> usize {
    let all = applied.names.iter();
    all.filter(|(_, outcome)| matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. }))).count()
}

fn done(applied: &Applied, name: &str) -> bool {
    matches!(outcome(applied, name), Outcome::Done(_))
}

/// Twenty record sets with a lock, or without the right, or that Azure fails to write.
#[tokio::test]
async fn twenty_refused_names_do_not_stop_another_one() {
    let message =
        "The scope '/x' cannot perform write operation because following scope(s) are locked: '/x'.";
    for (answer, remedy) in [
        (Answer::arm(409, "ScopeLocked", message), "az lock delete"),
        (Answer::arm(403, "AuthorizationFailed", "no right"), "az role assignment create"),
        (Answer::dns(500, "InternalServerError", "Oops."), "Oops."),
    ] {
        let fake = Fake::start().await;
        let provider = provider(&fake);
        sync(&*provider, ZONE, &desired(&[("z.example.com", a(&["192.0.2.1", "192.0.2.2"]))])).await;
        fake.trap(usize::MAX, Mishap::Answer(answer), is_bad);
        fake.world().calls.clear();
        let applied = pass(&*provider, ZONE, &bad_and_z(20, &["192.0.2.2"])).await;
        assert!(done(&applied, "z.example.com"), "{applied:?}");
        let first = fake.world().calls.iter().find(|call| call.is_write()).unwrap().path.clone();
        assert!(first.ends_with("/A/z"), "the address that goes is first: {first}");
        // A new name, whose turn comes after names that Azure fails to write, is written in the second pass at the latest.
        let mut sets = bad_and_z(20, &["192.0.2.2"]);
        sets.insert(name("zz.example.com"), vec![(a(&["192.0.2.9"]), 30)]);
        let applied = pass(&*provider, ZONE, &sets).await;
        assert!(done(&applied, "zz.example.com"), "{applied:?}");
        let applied = pass(&*provider, ZONE, &sets).await;
        let told = if rejected(&applied) == 20 { applied } else { pass(&*provider, ZONE, &sets).await };
        assert_eq!(rejected(&told), 20, "{told:?}");
        assert!(failure(&told, "bad-7.example.com").contains(remedy), "{told:?}");
    }
}

/// The record set of the new type is locked: the old one is put back, and the name is refused as it was.
#[tokio::test]
async fn a_type_change_into_a_lock_leaves_the_old_type() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let locked = Answer::arm(409, "ScopeLocked", "following scope(s) are locked");
    fake.trap(usize::MAX, Mishap::Answer(locked), |call| call.path.contains("/CNAME/"));
    let applied = pass(&*provider, ZONE, &desired(&[("a.example.com", cname("x.example.net"))])).await;
    assert!(failure(&applied, "a.example.com").contains("az lock delete"));
    assert!(fake.at(ZONE, "A", "a").is_some());
}

/// The listing is throttled for a minute, writes are not.
#[tokio::test]
async fn a_throttled_listing_does_not_stop_a_write() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    sync(&*provider, ZONE, &desired(&[("z.example.com", a(&["192.0.2.1", "192.0.2.2"]))])).await;
    let plan = plan(&*provider, ZONE, &desired(&[("z.example.com", a(&["192.0.2.2"]))])).await;
    let throttled = Answer::twice(429, "Throttled", "").header("retry-after", 60);
    fake.trap(usize::MAX, Mishap::Answer(throttled), |call| call.path.ends_with("/all"));
    let error = provider.list().await.unwrap_err();
    assert!(matches!(error, ProviderError::Throttled { seconds: 60, .. }), "{error}");
    assert!(done(&provider.apply(&approved(plan)).await, "z.example.com"));
}

/// However large the number, no answer closes the zone for more than an hour.
#[tokio::test]
async fn no_wait_is_longer_than_an_hour() {
    for answer in [
        Answer::twice(429, "Throttled", "").header("retry-after", u64::MAX),
        Answer::twice(429, "Throttled", "").header("x-ms-retry-after-ms", "999999999999999999999"),
        Answer::arm(429, "Throttled", "Please try again after '99999999999' seconds."),
    ] {
        let fake = Fake::start().await;
        let provider = provider(&fake);
        fake.trap(2, Mishap::Answer(answer), Call::is_arm);
        let error = provider.list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Throttled { seconds: 3_599..=3_600, .. }), "{error}");
    }
}

/// A listing shows what was written while its pages were read.
#[tokio::test]
async fn a_listing_shows_what_was_written_meanwhile() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    // Five pages: the write begins on the second one and ends long before the last.
    for index in 0..4_500 {
        fake.seed(ZONE, "A", &format!("n{index}"), crate::support::foreign("192.0.2.1"));
    }
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let plan = plan(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.2"]))])).await;
    fake.world().latency = Duration::from_millis(150);
    let write = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        provider.apply(&approved(plan)).await
    };
    let (listing, applied) = tokio::join!(provider.list(), write);
    assert!(done(&applied, "a.example.com"));
    let (listing, after) = (listing.unwrap().observed, provider.list().await.unwrap().observed);
    let written = name("a.example.com");
    assert_eq!(listing.at(&written), after.at(&written));
}

/// Pages without end, an answer without end, and text that would act on a terminal or show a token.
#[tokio::test]
async fn answers_are_bounded_and_fit_to_be_shown() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let large = json!({ "value": [], "padding": " ".repeat(65 << 20) });
    fake.trap(3, Mishap::Answer(Answer::of(200, large)), |call| call.path.ends_with("/all"));
    let error = crate::support::text(&provider.list().await.unwrap_err());
    assert!(error.contains("larger than 64 MiB"), "{error}");
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL21hbmFnZW1lbnQifQ.c2lnbmF0dXJl";
    let text = format!("\u{1b}[2JAuthorization: Bearer {token}\nWARN forged");
    fake.trap(1, Mishap::Answer(Answer::arm(403, "No", &text)), Call::is_arm);
    let error = crate::support::text(&provider.list().await.unwrap_err());
    assert!(error.contains("\\u{1b}[2JAuthorization: Bearer [redacted]\\nWARN forged"), "{error}");
    assert!(!error.contains("eyJ") && !error.contains('\n'), "{error}");
}
