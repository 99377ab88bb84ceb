//! Calls that fail, half-way or behind a good answer.

use std::time::Duration;

use fleetdns_core::{Outcome, ProviderError};
use tokio::time::Instant;

use crate::{all_done, checked, name, names, pass, planned, words};
use fleetdns_fakes::conformance::{Backend, Fleet, OWNER, converge, with_causes};
use fleetdns_fakes::webhook::{Fault, Route, Webhook, endpoint};

#[tokio::test]
async fn a_500_after_all_was_written_is_seen_through() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    hook.fault(Route::Apply, Fault::DoneAnd(500));
    all_done(&pass(&*provider, &names(20)).await, 20);
    assert_eq!(hook.calls(Route::Apply), 1, "nothing is written twice");
    assert!(planned(&*provider, &names(20)).await.plan().is_empty());
}

/// The marks come first, so that no record is left that nobody owns; what is missing is added, not written again.
#[tokio::test]
async fn a_call_that_fails_half_way_is_finished() {
    for half in [1, 7, 20, 33] {
        let hook = Webhook::start().await;
        let provider = hook.provider(OWNER);
        hook.fault(Route::Apply, Fault::Half(half));
        all_done(&pass(&*provider, &names(20)).await, 20);
        assert_eq!(hook.dump().len(), 40, "{half}");
        assert_eq!(hook.state().reason, "", "nothing was created that was there");
    }
}

#[tokio::test]
async fn a_connection_cut_in_a_write_is_read_back_and_never_repeated_blindly() {
    for (fault, word, left) in [(Fault::Cut, "done", 0), (Fault::CutBefore, "incomplete: nobody knows", 3)] {
        let hook = Webhook::start().await;
        let provider = hook.provider(OWNER);
        let plan = planned(&*provider, &names(3)).await;
        hook.fault(Route::Apply, fault.clone());
        let words = words(&provider.apply(&plan).await);
        assert!(words.len() == 3 && words.values().all(|text| text.contains(word)), "{fault:?}: {words:?}");
        assert_eq!(hook.calls(Route::Apply), 1);
        all_done(&pass(&*provider, &names(3)).await, left);
        assert!(planned(&*provider, &names(3)).await.plan().is_empty());
    }
}

/// The protocol has no conditions: what stands in the zone is looked at before each write.
#[tokio::test]
async fn nothing_is_written_before_the_zone_is_read() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let plan = planned(&*provider, &names(3)).await;
    let never_listed = words(&hook.provider(OWNER).apply(&plan).await);
    assert!(
        never_listed.len() == 3 && never_listed.values().all(|word| word == "conflict"),
        "{never_listed:?}"
    );
    hook.fault(Route::Records, Fault::Answer(500, vec![]));
    let unread = words(&provider.apply(&plan).await);
    assert!(unread.len() == 3 && unread.values().all(|word| word.contains("does not answer")), "{unread:?}");
    assert_eq!(hook.calls(Route::Apply), 0);
    all_done(&words(&provider.apply(&plan).await), 3);
}

#[tokio::test]
async fn half_a_list_is_none() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    all_done(&pass(&*provider, &names(50)).await, 50);
    hook.fault(Route::Records, Fault::Cut);
    let error = provider.list().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Unavailable { .. }) && with_causes(&error).contains("ends early"),
        "{error:?}"
    );
    hook.fault(Route::Records, Fault::Answer(500, vec![]));
    let error = with_causes(&provider.list().await.unwrap_err());
    assert!(error.contains("list the records") && error.contains("500"), "{error}");

    // Nor is half a list the ground for a write.
    let plan = planned(&*provider, &Fleet::new()).await;
    hook.calls(Route::Apply);
    hook.fault(Route::Records, Fault::Cut);
    let words = words(&provider.apply(&plan).await);
    assert!(words.values().all(|word| word.contains("does not answer")), "{words:?}");
    assert_eq!(hook.calls(Route::Apply), 0);
    assert_eq!(provider.list().await.unwrap().observed.owned_count(), 50);
}

/// A call that outlasts `timeout` is looked after once; the next pass finds what it wrote meanwhile.
#[tokio::test]
async fn a_slow_call_is_not_sent_again() {
    let hook = Webhook::start().await;
    let provider = hook.connect(OWNER, &[("timeout", "1s")]);
    let plan = planned(&*provider, &names(3)).await;
    hook.fault(Route::Apply, Fault::Slow(Duration::from_millis(1300)));
    let words = words(&provider.apply(&plan).await);
    assert!(words.values().all(|word| word.contains("nothing came for 1 s")), "{words:?}");
    assert_eq!(hook.calls(Route::Apply), 1);
    let hook_is_done = async || if hook.dump().len() == 6 { Ok(()) } else { Err("still writing") };
    for _ in 0..100 {
        if hook_is_done().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all_done(&pass(&*provider, &names(3)).await, 0);

    hook.fault(Route::Records, Fault::Slow(Duration::from_millis(300)));
    all_done(&pass(&*provider, &names(4)).await, 1);
}

/// A connection that breaks in silence: the zone writes nothing else until it gives the answer up.
#[tokio::test]
async fn an_answer_to_a_write_that_is_lost_holds_the_zone_for_20_s_and_not_for_30() {
    for route in [Route::Adjust, Route::Apply] {
        let hook = Webhook::start().await;
        let provider = hook.provider(OWNER);
        let plan = planned(&*provider, &names(3)).await;
        hook.fault(route, Fault::Slow(Duration::from_hours(1)));
        let began = Instant::now();
        let written = tokio::spawn(async move { (provider.apply(&plan).await, provider) });
        while hook.calls(route) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The clock goes on to whatever is waited for.
        tokio::time::pause();
        let (applied, provider) = written.await.unwrap();
        tokio::time::resume();
        let words = words(&applied);
        assert!(words.values().all(|word| word.contains("nothing came for 20 s")), "{words:?}");
        let took = began.elapsed();
        assert!((Duration::from_secs(20)..Duration::from_secs(25)).contains(&took), "{route:?}: {took:?}");
        all_done(&pass(&*provider, &names(3)).await, 3);
    }
}

/// The answer is 204 and a record is not there: it is said, and the others are done.
#[tokio::test]
async fn a_record_that_is_dropped_silently_is_not_called_done() {
    for (dropped, by) in [(name(2), "record"), (format!("_fleetdns.{}", name(2)), "mark")] {
        let hook = Webhook::start().await;
        hook.state().ways.drops = Some(dropped);
        let provider = hook.provider(OWNER);
        let mut words = pass(&*provider, &names(5)).await;
        let word = words.remove(&name(2)).unwrap();
        assert!(word.contains("not there as it was written"), "{by}: {word}");
        all_done(&words, 4);
        assert!(hook.calls(Route::Records) <= 6, "it is looked for some times, not for ever");
    }
}

#[tokio::test]
async fn a_poisoned_record_is_found_by_halves_and_the_rest_is_written() {
    for status in [500, 422] {
        let hook = Webhook::start().await;
        hook.state().ways.poison = Some(name(99));
        hook.state().ways.poison_status = status;
        let provider = hook.provider(OWNER);
        let mut words = pass(&*provider, &names(200)).await;
        let calls = hook.calls(Route::Apply);
        assert!(calls <= 20, "{calls} calls for 8 halvings");
        let word = words.remove(&name(99)).unwrap();
        assert!(word.contains(&status.to_string()), "{word}");
        all_done(&words, 199);
        // It is that name's own fault, and the next time it is tried for itself.
        let plan = planned(&*provider, &names(220)).await;
        let applied = provider.apply(&plan).await;
        assert_eq!(hook.calls(Route::Apply), 2);
        let failed = |(_, outcome): &&(_, Outcome)| !matches!(outcome, Outcome::Done(_));
        let left: Vec<_> = applied.names.iter().filter(failed).collect();
        assert!(matches!(left[..], [(_, Outcome::Failed(ProviderError::Rejected { .. }))]), "{left:?}");
        hook.state().ways.poison = None;
        all_done(&pass(&*provider, &names(220)).await, 1);
    }
}

#[tokio::test]
async fn a_webhook_that_refuses_everything_is_asked_within_bounds() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let plan = planned(&*provider, &names(300)).await;
    (0..900).for_each(|_| hook.fault(Route::Apply, Fault::Answer(500, vec![])));
    let applied = provider.apply(&plan).await;
    assert_eq!(applied.names.len(), 300);
    assert!(hook.calls(Route::Apply) <= 600);
    let told = |outcome: &Outcome| {
        matches!(outcome, Outcome::NotTried | Outcome::Failed(ProviderError::Rejected { .. }))
    };
    assert!(applied.names.iter().all(|(_, outcome)| told(outcome)), "{applied:?}");
    assert!(applied.names.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_))));
}

/// A long pause ends the pass, and the newest override is written when it is over; a short one is waited out.
#[tokio::test]
async fn a_storm_is_obeyed_and_coalesces() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let wait = |seconds: u64| vec![("retry-after", seconds.to_string())];
    let plan = planned(&*provider, &names(600)).await;
    hook.fault(Route::Apply, Fault::Answer(429, wait(120)));
    hook.calls(Route::Records);
    let applied = provider.apply(&plan).await;
    assert_eq!(applied.names.len(), 600);
    let asked =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed(ProviderError::Throttled { seconds: 120, .. }));
    let told = applied.names.iter().filter(|(_, outcome)| asked(outcome)).count();
    let untried = applied.names.iter().filter(|(_, outcome)| matches!(outcome, Outcome::NotTried)).count();
    assert!(told > 0 && untried > 0 && told + untried == 600, "the call that met the storm, and the rest");
    assert_eq!((hook.calls(Route::Apply), hook.calls(Route::Records)), (1, 1), "nothing is asked meanwhile");
    hook.fault(Route::Records, Fault::Answer(503, wait(0)));
    hook.fault(Route::Apply, Fault::Answer(429, wait(1)));
    let newest = Fleet::of(&[("svc-0000.example.com", &["203.0.113.9"])]);
    all_done(&pass(&*provider, &newest).await, 1);
    assert_eq!(hook.dump().len(), 2);
}

#[tokio::test]
async fn a_change_of_type_is_written_in_steps_where_the_webhook_needs_them() {
    let hook = Webhook::start().await;
    hook.state().ways.creates_first = true;
    let provider = hook.provider(OWNER);
    let mut fleet =
        Fleet::of(&[("web.example.com", &["203.0.113.1"]), ("next.example.com", &["203.0.113.1"])]);
    converge(&*provider, &fleet).await;
    fleet.publish("web.example.com", &["lb.example.net"]);
    fleet.publish("next.example.com", &["203.0.113.2"]);
    converge(&*provider, &fleet).await;

    // When the new one is refused even so, the old one is put back.
    hook.state().ways.creates_first = false;
    fleet.publish("web.example.com", &["203.0.113.3"]);
    let plan = planned(&*provider, &fleet).await;
    let before = hook.dump();
    let refused = || Fault::Answer(422, vec![]);
    for fault in [refused(), Fault::Slow(Duration::ZERO), refused()] {
        hook.fault(Route::Apply, fault);
    }
    let words = words(&provider.apply(&plan).await);
    assert!(words["web.example.com"].contains("422"), "{words:?}");
    assert_eq!(hook.dump(), before);
    converge(&*provider, &fleet).await;
}

/// As external-dns's own provider on BIND: the CNAME is dropped beside the address that goes a moment later, and the name
/// would be left empty.
#[tokio::test]
async fn a_new_type_that_is_dropped_silently_is_created_at_once() {
    let hook = Webhook::start().await;
    hook.state().ways.creates_first = true;
    hook.state().ways.drops_clashes = true;
    let provider = hook.provider(OWNER);
    let mut fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
    converge(&*provider, &fleet).await;
    hook.calls(Route::Apply);
    fleet.publish("web.example.com", &["lb.example.net"]);
    converge(&*provider, &fleet).await;
    assert_eq!(hook.calls(Route::Apply), 2);
    fleet.publish("web.example.com", &["203.0.113.1"]);
    converge(&*provider, &fleet).await;
}

#[tokio::test]
async fn nobody_at_the_url_is_unavailable() {
    let hook = Webhook::start().await;
    let provider = hook.connect(OWNER, &[("url", "http://127.0.0.1:9")]);
    let error = provider.list().await.unwrap_err();
    assert!(error.to_string().starts_with("http://127.0.0.1:9 does not answer"), "{error}");
    let found = checked(&*provider).await;
    assert!(found.starts_with("FAIL") && found.contains("refused"), "{found}");
}

/// 40,000 records of others are no hindrance.
#[tokio::test]
async fn a_large_list_is_read() {
    let hook = Webhook::start().await;
    for index in 0..40_000 {
        hook.put(endpoint(&format!("other-{index}.example.com"), "A", 60, &["198.51.100.1"]));
    }
    let provider = hook.provider(OWNER);
    all_done(&pass(&*provider, &names(2)).await, 2);
    assert_eq!(provider.list().await.unwrap().observed.iter().count(), 40_002);
}

/// A large number ended the daemon, or closed the zone for three thousand years.
#[tokio::test]
async fn no_pause_is_longer_than_an_hour() {
    for said in ["18446744073709551615", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let hook = Webhook::start().await;
        let provider = hook.provider(OWNER);
        let plan = planned(&*provider, &names(1)).await;
        hook.fault(Route::Apply, Fault::Answer(429, vec![("retry-after", said.to_owned())]));
        let applied = provider.apply(&plan).await;
        let [(_, Outcome::Failed(error))] = &applied.names[..] else { panic!("{applied:?}") };
        assert!(matches!(error, ProviderError::Throttled { seconds: 3600, .. }), "{said}: {error:?}");
        hook.fault(Route::Negotiate, Fault::Answer(503, vec![("retry-after", said.to_owned())]));
        let error = provider.list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Throttled { seconds: 3600, .. }), "{said}: {error:?}");
    }
}

/// A listing that is slow does not delay a plan.
#[tokio::test]
async fn a_slow_listing_does_not_hold_a_plan() {
    let hook = Webhook::start().await;
    let provider = hook.provider(OWNER);
    let plan = planned(&*provider, &names(2)).await;
    hook.fault(Route::Negotiate, Fault::Slow(Duration::from_secs(20)));
    let write = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::time::timeout(Duration::from_secs(5), provider.apply(&plan)).await.expect("it waits")
    };
    tokio::select! {
        listing = provider.list() => panic!("it is slow: {listing:?}"),
        applied = write => all_done(&words(&applied), 2),
    }
}

/// A token that the webhook repeats, and text that would act on a terminal.
#[tokio::test]
async fn what_a_webhook_says_is_fit_to_be_shown() {
    let hook = Webhook::start().await;
    let provider = hook.connect(OWNER, &[("bearer-token", "hush-hush")]);
    let location = "https://x.example/?hush-hush&Bearer%20x\u{9b}31m".replace('\u{9b}', "");
    hook.fault(Route::Negotiate, Fault::Answer(302, vec![("location", location)]));
    let error = with_causes(&provider.list().await.unwrap_err());
    assert!(error.contains("[redacted]") && !error.contains("hush"), "{error}");
}
