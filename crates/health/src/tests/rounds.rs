//! Rounds of questions, probe by probe.

use super::*;

/// A probe of 50 ms that passes or is not answered.
pub(super) fn probed(started: u64, passes: bool, calm: bool) -> Probed {
    let (reachability, verdict) = match passes {
        true => (Reachability::Reached, Verdict::Healthy),
        false => (Reachability::Unreached, Verdict::Suspect),
    };
    let failures = u32::from(!passes);
    Probed {
        started: ms(started),
        ended: ms(started + 50),
        reachability,
        verdict,
        failures,
        calm,
        prompt: true,
    }
}

/// Two members of two keys each, all of them healthy.
fn two_members() -> VantageMonitor {
    let mut vantage = VantageMonitor::new(SETTINGS, []);
    for key in 0..4 {
        vantage.join(id(key), &place(key / 2, "default"));
        vantage.take(id(key), &probed(0, true, true));
    }
    assert_eq!((vantage.check(ms(50)), vantage.next_turn()), (None, None));
    vantage
}

#[test]
fn an_outage_that_ends_within_a_round_voids_what_began_in_it() {
    let mut vantage = two_members();
    vantage.take(id(0), &probed(9_950, false, false));
    assert!(!vantage.may_go_out(id(0)));
    assert_eq!((vantage.ask(ms(9_999)), vantage.next_turn()), (vec![], Some(ms(10_000))));
    assert_eq!(vantage.ask(ms(10_000)), [id(1), id(2), id(3)]);
    // Silence says the same whenever it began. An answer may be older than the round.
    assert!(!vantage.take(id(1), &probed(9_990, false, true)));
    assert!(!vantage.take(id(2), &probed(10_100, false, false)));
    assert!(vantage.take(id(3), &probed(9_990, true, true)), "it is asked again");
    assert_eq!(vantage.check(ms(10_200)).map(|turn| matches!(turn, Transition::Began(_))), Some(true));
    assert!(!vantage.may_go_out(id(0)));
}

#[test]
fn who_recovers_before_the_last_one_answers_failed_in_the_round_all_the_same() {
    let mut vantage = two_members();
    vantage.take(id(0), &probed(9_950, false, false));
    assert_eq!(vantage.ask(ms(10_000)), [id(1), id(2), id(3)]);
    vantage.take(id(1), &probed(10_000, false, false));
    vantage.take(id(1), &probed(10_100, true, true));
    vantage.take(id(2), &probed(10_000, false, false));
    assert_eq!(vantage.check(ms(10_200)), None);
    assert!(!vantage.take(id(3), &probed(10_000, true, true)), "an answer of the round itself");
    let turn = vantage.check(ms(10_300));
    assert!(
        matches!(turn, Some(Transition::Passed(SelfCheckFailure::Correlation { keys: 4, bad: 3, .. }))),
        "{turn:?}"
    );
    assert!(vantage.may_go_out(id(0)));
    let weight =
        |vantage: &mut VantageMonitor, started| vantage.weigh(id(2), Reachability::Unreached, ms(started));
    assert_eq!([10_299, 10_300].map(|at| weight(&mut vantage, at)), [Weight::Void, Weight::Counts]);
}

#[test]
fn where_nobody_can_be_asked_nobody_is_waited_for() {
    let mut vantage = VantageMonitor::new(SETTINGS, []);
    for key in 0..2 {
        vantage.join(id(key), &place(0, "default"));
        vantage.take(id(key), &probed(0, true, true));
    }
    vantage.take(id(0), &probed(9_950, false, false));
    assert!(vantage.may_go_out(id(0)));
    assert_eq!((vantage.ask(ms(20_000)), vantage.next_turn()), (vec![], None));
}

#[test]
fn a_correlation_holds_what_has_not_passed_since_it_began() {
    let mut vantage = two_members();
    let unclear =
        |started| Probed { reachability: Reachability::Inconclusive, ..probed(started, true, true) };
    for key in 0..4 {
        vantage.take(id(key), &unclear(5_000));
    }
    assert_eq!(vantage.check(ms(5_050)), None, "a fault of our own is no failure");
    for key in 0..3 {
        vantage.take(id(key), &probed(10_000, false, false));
    }
    assert!(matches!(vantage.check(ms(10_050)), Some(Transition::Began(_))));
    let weight =
        |vantage: &mut VantageMonitor, key| vantage.weigh(id(key), Reachability::Unreached, ms(30_000));
    // A wrong answer is no pass, and a probe that failed on our side is none.
    vantage.take(id(2), &Probed { reachability: Reachability::Reached, ..probed(20_000, false, false) });
    vantage.take(id(3), &unclear(20_000));
    assert_eq!([2, 3].map(|key| weight(&mut vantage, key)), [Weight::Held; 2]);
    vantage.take(id(3), &probed(21_000, true, true));
    assert_eq!(weight(&mut vantage, 3), Weight::Counts);
}

#[test]
fn a_round_does_not_wait_for_a_key_that_went_and_asks_no_key_that_came() {
    let mut vantage = two_members();
    vantage.take(id(0), &probed(9_950, false, false));
    assert_eq!(vantage.ask(ms(10_000)).len(), 3);
    vantage.take(id(1), &probed(10_000, true, true));
    vantage.join(id(4), &place(0, "default"));
    vantage.take(id(4), &probed(10_000, true, true));
    vantage.take(id(2), &probed(10_000, true, true));
    assert!(!vantage.may_go_out(id(0)));
    vantage.leave(id(3), &place(1, "default"));
    assert!(vantage.may_go_out(id(0)));
}

#[test]
fn who_answered_in_the_round_that_found_a_correlation_is_no_part_of_it() {
    // Unless one of those that fail did so too.
    for (answered, weight) in [(false, Weight::Counts), (true, Weight::Held)] {
        let mut vantage = two_members();
        vantage.take(id(0), &probed(9_950, false, false));
        assert_eq!(vantage.ask(ms(10_000)), [id(1), id(2), id(3)]);
        vantage.take(id(3), &probed(10_000, true, true));
        vantage.take(id(2), &probed(10_000, answered, answered));
        vantage.take(id(2), &probed(10_010, false, false));
        vantage.take(id(1), &probed(10_000, false, false));
        assert!(matches!(vantage.check(ms(10_100)), Some(Transition::Began(_))));
        let weights = [2, 3].map(|key| vantage.weigh(id(key), Reachability::Unreached, ms(20_000)));
        assert_eq!(weights, [Weight::Held, weight]);
        // What is no part of it does not keep it going when another recovers.
        vantage.take(id(3), &probed(20_000, false, false));
        vantage.take(id(1), &probed(20_000, true, true));
        assert_eq!(vantage.check(ms(20_100)).is_some(), !answered);
    }
}

#[test]
fn a_failure_that_was_held_is_the_first_again_afterwards() {
    let mut vantage = two_members();
    for key in 0..3 {
        vantage.take(id(key), &probed(9_950, false, false));
    }
    assert_eq!(vantage.ask(ms(10_000)), [id(3)]);
    vantage.take(id(3), &probed(10_000, true, true));
    assert!(matches!(vantage.check(ms(10_100)), Some(Transition::Began(_))));
    vantage.take(id(1), &probed(20_000, true, true));
    assert!(matches!(vantage.check(ms(20_100)), Some(Transition::Ended(_))));
    assert_eq!((vantage.take_freed(), vantage.take_freed()), (vec![id(0), id(2)], vec![]));
    assert!(vantage.may_go_out(id(0)));
    vantage.take(id(0), &probed(21_000, false, false));
    assert!(!vantage.may_go_out(id(0)), "others are asked again");
}

#[test]
fn what_came_back_within_a_minute_counts_as_any_other() {
    let mut vantage = two_members();
    let out = Probed { verdict: Verdict::Unhealthy, failures: 3, ..probed(10_000, false, false) };
    vantage.take(id(0), &out);
    vantage.take(id(0), &probed(20_000, true, true));
    assert_eq!(vantage.check(ms(75_000)), None);
    for key in [1, 2] {
        vantage.take(id(key), &probed(76_000, false, false));
    }
    assert_eq!(vantage.check(ms(76_100)), None, "two of four are not more than half");
}

#[test]
fn a_minute_counts_from_when_it_went_out_and_not_from_its_first_failure() {
    for (others_fail, together) in [(75_000, true), (90_000, false)] {
        let mut vantage = two_members();
        vantage.take(id(0), &probed(10_000, false, false));
        let out = Probed { verdict: Verdict::Unhealthy, failures: 3, ..probed(29_950, false, false) };
        vantage.take(id(0), &out);
        assert_eq!(vantage.check(ms(others_fail)), None);
        for key in [2, 3] {
            vantage.take(id(key), &probed(others_fail, false, false));
        }
        assert_eq!(vantage.check(ms(others_fail + 50)).is_some(), together);
    }
}

#[test]
fn who_may_take_longer_from_now_on_is_not_asked() {
    let mut vantage = two_members();
    vantage.take(id(3), &Probed { prompt: false, ..probed(5_000, true, true) });
    vantage.take(id(0), &probed(9_950, false, false));
    assert_eq!(vantage.ask(ms(10_000)), [id(1), id(2)]);
}
