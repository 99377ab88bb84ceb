//! Storms, cut connections and slow answers.

use std::time::Duration;

use fleetdns_core::{Outcome, ProviderError};
use tokio::time::Instant;

use crate::{all_done, names, pass, planned};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Fake, Fault};

fn throttling() -> Fault {
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    Fault::Answer(400, body.to_owned())
}

#[tokio::test]
async fn a_short_storm_is_waited_out() {
    let fake = Fake::start().await;
    for action in ["ListHostedZonesByName", "ListResourceRecordSets", "ChangeResourceRecordSets"] {
        fake.fault(action, throttling());
        fake.fault(action, throttling());
    }
    all_done(&pass(&*fake.provider(OWNER), &names(3)).await, 3);
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 3);
}

/// What the caller overrides meanwhile is written in its place once the storm is over.
#[tokio::test]
async fn a_long_storm_ends_the_pass_and_the_newest_override_is_written() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let plan = planned(&*provider, &names(600)).await;
    (0..6).for_each(|_| fake.fault("ChangeResourceRecordSets", throttling()));
    let applied = provider.apply(&plan).await;
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 6, "no other batch is tried");
    assert_eq!(applied.names.len(), 600);
    let throttled =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed(ProviderError::Throttled { seconds: 10, .. }));
    let told = applied.names.iter().filter(|(_, outcome)| throttled(outcome)).count();
    let untried = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::NotTried)).count();
    assert!(told > 0 && untried > 0 && told + untried == 600, "the batch that met the storm, and the rest");
    let newest = Fleet::of(&[("svc-0000.example.com", &["203.0.113.9"])]);
    all_done(&pass(&*provider, &newest).await, 1);
    assert_eq!(fake.dump().len(), 2);
}

#[tokio::test]
async fn a_connection_cut_in_a_write_is_made_good_by_the_next_pass() {
    for (fault, left) in [(Fault::CutBefore, 2), (Fault::CutAfter, 0)] {
        let fake = Fake::start().await;
        let provider = fake.provider(OWNER);
        let plan = planned(&*provider, &names(2)).await;
        fake.fault("ChangeResourceRecordSets", fault.clone());
        for (_, outcome) in provider.apply(&plan).await.names {
            assert!(matches!(outcome, Outcome::Incomplete { .. }), "nobody knows: {outcome:?}");
        }
        assert_eq!(fake.calls("ChangeResourceRecordSets"), 1, "a write is not repeated blindly: {fault:?}");
        all_done(&pass(&*provider, &names(2)).await, left);
        assert!(planned(&*provider, &names(2)).await.plan().is_empty());
        assert_eq!(fake.dump().len(), 4);
    }
}

/// A connection that breaks in silence: the zone writes nothing else until it gives the answer up.
#[tokio::test]
async fn an_answer_to_a_write_that_is_lost_holds_the_zone_for_20_s_and_not_for_30() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let plan = planned(&*provider, &names(1)).await;
    fake.fault("ChangeResourceRecordSets", Fault::Slow(Duration::from_hours(1)));
    let began = Instant::now();
    let written = tokio::spawn(async move { (provider.apply(&plan).await, provider) });
    while fake.calls("ChangeResourceRecordSets") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The clock goes on to whatever is waited for.
    tokio::time::pause();
    let (applied, provider) = written.await.unwrap();
    tokio::time::resume();
    assert!(matches!(applied.names[0].1, Outcome::Incomplete { .. }), "{:?}", applied.names);
    let took = began.elapsed();
    assert!((Duration::from_secs(20)..Duration::from_secs(25)).contains(&took), "{took:?}");
    all_done(&pass(&*provider, &names(1)).await, 1);
}

#[tokio::test]
async fn half_a_listing_is_none() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &names(400)).await, 400);
    fake.fault("ListResourceRecordSets", Fault::Slow(Duration::ZERO));
    fake.fault("ListResourceRecordSets", Fault::CutBefore);
    let error = provider.list().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    let text = "<html>busy</html>".to_owned();
    fake.fault("ListResourceRecordSets", Fault::Answer(503, text));
    assert!(matches!(provider.list().await, Err(ProviderError::Unavailable { .. })));
    assert_eq!(provider.list().await.unwrap().observed.owned_count(), 400);
}

/// The SDK keeps an answer whole, however large.
#[tokio::test]
async fn an_endless_answer_is_cut() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    provider.list().await.unwrap();
    fake.fault("ListResourceRecordSets", Fault::Endless);
    let error = provider.list().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    provider.list().await.unwrap();
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let fake = Fake::start().await;
    fake.fault("ChangeResourceRecordSets", Fault::Slow(Duration::from_millis(600)));
    all_done(&pass(&*fake.provider(OWNER), &names(1)).await, 1);
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_unavailable() {
    let fake = Fake::start().await;
    let provider = fake.connect(OWNER, &[("endpoint-url", "http://127.0.0.1:9")]);
    let error = provider.list().await.unwrap_err();
    assert!(error.to_string().starts_with("http://127.0.0.1:9 does not answer"), "{error}");
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    assert!(
        findings.iter().any(|finding| !finding.good && finding.text.contains("refused")),
        "{findings:#?}"
    );
}
