//! Names that are refused for themselves, and a listing that fails: what becomes of the other names.

use std::time::Duration;

use fleetdns_core::Outcome;
use tokio::time::timeout;

use crate::{all_done, name, names, pass, planned, words};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Fake, Fault};

const WRITE: &str = "ChangeResourceRecordSets";

/// One name outside the condition of an IAM policy took all other names with it.
#[tokio::test]
async fn a_name_outside_the_policys_condition_does_not_stop_the_others() {
    let fake = Fake::start().await;
    fake.state().allowed = Some(|name| !name.contains("svc-0099"));
    let provider = fake.provider(OWNER);
    let mut words = pass(&*provider, &names(150)).await;
    let refused = words.remove(&name(99)).unwrap();
    assert!(refused.contains("AccessDenied") && refused.contains("grant this policy"), "{refused}");
    assert!(refused.contains("condition on record names"), "{refused}");
    all_done(&words, 149);
    let calls = fake.calls(WRITE);
    assert!(calls <= 17, "{calls} calls for 8 halvings");

    // The next time it is tried for itself, after all others.
    let mut fleet = names(150);
    fleet.publish(&name(7), &["203.0.113.7"]);
    fleet.publish(&name(8), &["203.0.113.8"]);
    let mut words = pass(&*provider, &fleet).await;
    assert!(words.remove(&name(99)).unwrap().contains("AccessDenied"));
    all_done(&words, 2);
    assert_eq!(fake.calls(WRITE), 2, "two addresses that change, and the refused name by itself");
}

/// However many names are refused, a dead address leaves in the first batch.
#[tokio::test]
async fn twenty_refused_names_do_not_delay_a_dead_address() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let mut fleet = Fleet::of(&[("z.example.com", &["203.0.113.1", "203.0.113.2"])]);
    all_done(&pass(&*provider, &fleet).await, 1);
    fake.state().allowed = Some(|name| !name.contains("bad"));
    (0..20).for_each(|index| fleet.publish(&format!("bad-{index}.example.com"), &["203.0.113.1"]));
    fleet.publish("z.example.com", &["203.0.113.2"]);
    fake.calls(WRITE);
    let mut words = pass(&*provider, &fleet).await;
    assert_eq!(words.remove("z.example.com").as_deref(), Some("done"));
    assert!(words.len() == 20 && words.values().all(|word| word.contains("AccessDenied")), "{words:?}");
    assert_eq!(fake.calls(WRITE), 1 + 39);
    assert_eq!(fake.get("z.example.com", "A").unwrap().values, ["203.0.113.2"]);
}

/// A policy that allows nothing: every name is told why, and the calls are bounded.
#[tokio::test]
async fn a_policy_that_allows_nothing_is_asked_within_bounds() {
    let fake = Fake::start().await;
    fake.state().allowed = Some(|_| false);
    let provider = fake.provider(OWNER);
    let plan = planned(&*provider, &names(1_000)).await;
    let applied = provider.apply(&plan).await;
    assert_eq!(applied.names.len(), 1_000);
    let told = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count();
    let untried = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::NotTried)).count();
    assert!(told > 0 && told + untried == 1_000, "{told} + {untried}");
    let calls = fake.calls(WRITE);
    assert!(calls <= 2 * 1_000, "{calls}");
}

/// The reading is throttled, the writing is not.
#[tokio::test]
async fn a_throttled_listing_does_not_delay_a_write() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let mut fleet = names(3);
    all_done(&pass(&*provider, &fleet).await, 3);
    fleet.publish(&name(1), &["203.0.113.1"]);
    let plan = planned(&*provider, &fleet).await;
    let body = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    (0..9).for_each(|_| fake.fault("ListResourceRecordSets", Fault::Answer(400, body.to_owned())));
    let write = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        timeout(Duration::from_secs(3), provider.apply(&plan)).await.expect("the listing is in its way")
    };
    tokio::select! {
        listing = provider.list() => panic!("it waits for eight seconds: {listing:?}"),
        applied = write => all_done(&words(&applied), 1),
    }
}

/// A page that was read before a write says what stood there then.
#[tokio::test]
async fn a_listing_shows_what_was_written_while_its_pages_were_read() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let mut fleet = names(400);
    all_done(&pass(&*provider, &fleet).await, 400);
    fleet.publish(&name(0), &["203.0.113.1"]);
    let plan = planned(&*provider, &fleet).await;
    fake.fault("ListResourceRecordSets", Fault::Slow(Duration::ZERO));
    fake.fault("ListResourceRecordSets", Fault::Slow(Duration::from_millis(700)));
    let write = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        provider.apply(&plan).await
    };
    let (listing, applied) = tokio::join!(provider.list(), write);
    all_done(&words(&applied), 1);
    let (listing, now) = (listing.unwrap(), provider.list().await.unwrap());
    assert_eq!(listing, now);
}

/// Route 53 fails at one name: the others of its batch are written.
#[tokio::test]
async fn a_name_at_which_route_53_fails_does_not_stop_the_others() {
    let fake = Fake::start().await;
    fake.state().broken = Some(name(99));
    let provider = fake.provider(OWNER);
    for left in [150, 1] {
        let mut words = pass(&*provider, &names(150)).await;
        assert_eq!(words.len(), left);
        let word = words.remove(&name(99)).unwrap();
        assert!(word.starts_with("incomplete: ") && word.contains("Oops."), "{word}");
        all_done(&words, left - 1);
    }
    fake.state().broken = None;
    all_done(&pass(&*provider, &names(150)).await, 1);
}
