//! Rounds of questions, probe by probe.

use super::*;
use fleetdns_core::Verdict;

/// A probe of 50 ms that passes or is not answered.
fn probed(started: u64, passes: bool, calm: bool) -> Probed {
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
