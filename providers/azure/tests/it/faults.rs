//! Throttling, queues, cut connections and other mishaps.

use std::time::Duration;

use fleetdns_core::{Outcome, ProviderError};

use crate::support::{ZONE, converge, failure, outcome, pass, plan, provider, sync, text, wait};
use fleetdns_fakes::azure::{Answer, Call, Fake, Limits, Mishap};
use fleetdns_fakes::plans::Desired;
use fleetdns_fakes::plans::{a, cname, desired};

fn hundred() -> Desired {
    let names: Vec<String> = (0..100).map(|index| format!("n{index}.example.com")).collect();
    desired(&names.iter().map(|name| (name.as_str(), a(&["192.0.2.1"]))).collect::<Vec<_>>())
}

fn is_put(call: &Call) -> bool {
    call.method == "PUT"
}

#[tokio::test]
async fn minutes_of_waiting_are_obeyed_and_nothing_is_sent_meanwhile() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let message = "The number of write requests exceeded the limit of '500' for time interval '00:05:00'. \
                   Please try again after '307' seconds.";
    for (answer, least) in [
        (Answer::arm(429, "ResourceRequestsThrottled", message), 300),
        (Answer::twice(429, "Throttled", "Too many operations").header("retry-after", 400), 390),
        (Answer::dns(503, "ServerBusy", "Busy").header("Retry-After", 500), 490),
    ] {
        let provider = crate::support::provider(&fake);
        fake.trap(1, Mishap::Answer(answer), is_put);
        fake.world().calls.clear();
        let applied = pass(&*provider, ZONE, &hundred()).await;
        assert!(wait(&applied) >= least, "{}", wait(&applied));
        let sent = fake.count(is_put);
        assert!(sent <= 8, "{sent}");
        let done = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(_))).count();
        assert_eq!(done, sent - 1, "what was sent is told as it went");
        assert_eq!(applied.names.len(), 100, "each name is told of");
        // The next pass lists, and writes nothing.
        let applied = pass(&*provider, ZONE, &hundred()).await;
        assert!(wait(&applied) >= least - 2);
        assert_eq!(fake.count(is_put), sent);
        sync_away(&fake);
    }
    sync(&*provider, ZONE, &hundred()).await;
}

/// Empties the zone behind the provider's back.
fn sync_away(fake: &Fake) {
    fake.world().zones[0].sets.retain(|(kind, _), _| kind != "A");
}

#[tokio::test]
async fn a_throttled_list_is_obeyed_too() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let date = "Fri, 31 Dec 2100 23:59:59 GMT";
    fake.trap(
        1,
        Mishap::Answer(Answer::twice(429, "Throttled", "").header("retry-after", date)),
        Call::is_arm,
    );
    for _ in 0..2 {
        let error = provider.list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Throttled { seconds: 3_500..=3_600, .. }), "{error}");
    }
    assert_eq!(fake.count(Call::is_arm), 1);
}

#[tokio::test]
async fn a_storm_passes_and_ends_in_the_newest_override() {
    let fake = Fake::start().await;
    let window = Duration::from_millis(900);
    let limits = Limits { creates_and_updates: 30, ..Limits::public(window) };
    fake.world().limits = Some(limits);
    let provider = provider(&fake);
    let applied = pass(&*provider, ZONE, &hundred()).await;
    assert!(wait(&applied) >= 1);
    // The override changes while the storm lasts.
    let mut newest = hundred();
    newest.retain(|name, _| !name.as_str().starts_with("n5"));
    let passes = converge(&*provider, ZONE, &newest).await;
    assert!(passes >= 2, "{passes}");
    let refused = fake.world().limits.as_ref().unwrap().refused;
    assert!(refused <= 8 * (passes + 1), "{refused} calls were refused in {passes} passes");
    let gone = |call: &Call| is_put(call) && call.path.ends_with("/A/n59");
    assert!(fake.count(gone) <= 1, "what is no longer wanted is not tried on");
}

#[tokio::test]
async fn what_is_queued_is_tried_again_and_bounded() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let queued = Answer::dns(
        409,
        "Conflict",
        "Another operation is pending for requested object. 1 operations queued.",
    );
    fake.trap(2, Mishap::Answer(queued.clone()), is_put);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    assert_eq!(fake.count(is_put), 3);
    fake.trap(99, Mishap::Answer(queued), is_put);
    let applied = pass(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.2"]))])).await;
    assert!(failure(&applied, "a.example.com").contains("Another operation is pending"));
    assert_eq!(fake.count(is_put), 3 + 4);
}

#[tokio::test]
async fn a_cut_connection_is_never_told_as_done_and_the_next_pass_converges() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let sets = desired(&[("a.example.com", a(&["192.0.2.1"])), ("b.example.com", a(&["192.0.2.1"]))]);
    fake.trap(1, Mishap::CutAfter, |call| is_put(call) && call.path.ends_with("/A/a"));
    fake.trap(1, Mishap::CutBefore, |call| is_put(call) && call.path.ends_with("/A/b"));
    let applied = pass(&*provider, ZONE, &sets).await;
    for name in ["a.example.com", "b.example.com"] {
        let Outcome::Incomplete { problem } = outcome(&applied, name) else { panic!("{name}: {applied:?}") };
        assert!(!problem.is_empty());
    }
    assert!(fake.at(ZONE, "A", "a").is_some() && fake.at(ZONE, "A", "b").is_none());
    sync(&*provider, ZONE, &sets).await;
    assert_eq!(fake.count(|call| is_put(call) && call.path.ends_with("/A/a")), 1, "it was there");
}

#[tokio::test]
async fn a_type_change_that_is_cut_closes_its_gap_by_itself() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    let sets = desired(&[("a.example.com", cname("x.example.net"))]);
    // Done, and the answer lost: the repeated write meets its own work.
    fake.trap(1, Mishap::CutAfter, is_put);
    sync(&*provider, ZONE, &sets).await;
    // Asked to wait for a moment, in the gap.
    let busy = Answer::dns(503, "ServerBusy", "Busy").header("x-ms-retry-after-ms", 20);
    fake.trap(1, Mishap::Answer(busy), is_put);
    sync(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
}

#[tokio::test]
async fn a_name_that_lost_its_type_is_first_in_the_next_pass() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let mut before = hundred();
    sync(&*provider, ZONE, &before).await;
    let sets = desired(&[("n7.example.com", cname("x.example.net"))]);
    for (name, sets) in sets {
        before.insert(name, sets);
    }
    let broken = Answer::dns(500, "InternalServerError", "Oops.");
    fake.trap(4, Mishap::Answer(broken), |call| is_put(call) && call.path.contains("/CNAME/"));
    let applied = pass(&*provider, ZONE, &before).await;
    let Outcome::Incomplete { problem } = outcome(&applied, "n7.example.com") else { panic!("{applied:?}") };
    assert!(problem.contains("Oops"), "{problem}");
    fake.world().calls.clear();
    for sets in before.values_mut() {
        sets[0].1 = 60;
    }
    sync(&*provider, ZONE, &before).await;
    let world = fake.world();
    let first =
        world.calls.iter().filter(|call| call.is_write()).take(8).any(|call| call.path.contains("/CNAME/n7"));
    assert!(first);
}

#[tokio::test]
async fn a_set_that_lost_its_mark_is_taken_back_and_not_told_as_done() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    fake.trap(1, Mishap::Forget, is_put);
    let applied = pass(&*provider, ZONE, &desired(&[("a.example.com", a(&["192.0.2.1"]))])).await;
    assert!(failure(&applied, "a.example.com").contains("kept something else"));
    assert_eq!(fake.at(ZONE, "A", "a"), None);
}

#[tokio::test]
async fn a_service_that_is_away_is_not_asked_for_every_name() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let plan = plan(&*provider, ZONE, &hundred()).await;
    fake.trap(999, Mishap::Answer(Answer::of(502, serde_json::json!("bad gateway"))), is_put);
    let applied = provider.apply(&fleetdns_fakes::plans::approved(plan)).await;
    assert_eq!(applied.names.len(), 100);
    assert!(fake.count(is_put) <= 13, "{}", fake.count(is_put));
    assert!(matches!(outcome(&applied, "n99.example.com"), Outcome::NotTried));
    let error = applied.names.iter().find_map(|(_, outcome)| match outcome {
        Outcome::Failed(error @ ProviderError::Unavailable { .. }) => Some(text(error)),
        _ => None,
    });
    assert!(error.unwrap().contains("HTTP 502: bad gateway"));
}

#[tokio::test]
async fn one_record_that_fails_does_not_stop_the_others() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    fake.trap(9, Mishap::Answer(Answer::dns(500, "InternalServerError", "Oops.")), |call| {
        is_put(call) && call.path.ends_with("/A/n50")
    });
    let applied = pass(&*provider, ZONE, &hundred()).await;
    let done = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(_))).count();
    assert_eq!(done, 99);
}

#[tokio::test]
async fn writes_go_side_by_side_and_within_bounds() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let plan = plan(&*provider, ZONE, &hundred()).await;
    fake.world().latency = Duration::from_millis(20);
    provider.apply(&fleetdns_fakes::plans::approved(plan)).await;
    assert_eq!(fake.world().under_way, (0, 8));
}
