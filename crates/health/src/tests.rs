use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{SelfCheckFailure, Verdict};

use super::*;
use schedule::{Prober, Reply, Times, id, ms, place};

mod correlation;
mod properties;
mod rounds;
mod schedule;
mod speakers;

/// Members by the number of their keys, and what comes back from key by key; canaries come first.
fn fleet(canaries: usize, members: &[usize]) -> Prober {
    let mut prober = Prober::new(Times::DEFAULT, canaries);
    for (member, keys) in members.iter().enumerate() {
        for key in 0..*keys as u64 {
            prober.add(&[member], key * 1237 + member as u64 * 499);
        }
    }
    prober
}

/// These keys answer so from a time on, and all others well.
fn from(start: u64, keys: &[usize], reply: Reply) -> impl Fn(usize, u64) -> Reply {
    move |key, at| if at >= start && keys.contains(&key) { reply } else { Reply::Pass }
}

const SETTINGS: VantageSettings =
    VantageSettings { gap: Duration::from_secs(2), patience: Duration::from_secs(4), hold: None };

fn kinds(prober: &Prober) -> Vec<Option<&'static str>> {
    prober.self_checks.iter().map(|(_, kind)| *kind).collect()
}

/// The first probe of a canary.
fn of_canary(reachability: Reachability) -> Probed {
    Probed { reachability, verdict: Verdict::Unknown, ..rounds::probed(0, false, true) }
}

#[test]
fn one_healthy_endpoint_proves_that_we_see() {
    let mut prober = fleet(3, &[3, 3]);
    let network = |key: usize, at: u64| if at < 30_000 || key == 5 { Reply::Pass } else { Reply::Silent };
    prober.run(120_000, &network);
    assert!(!kinds(&prober).contains(&Some("vantage")), "{:?}", prober.self_checks);
}

#[test]
fn a_refusal_proves_that_we_see_while_its_canary_answers() {
    for (answers, member) in [(false, 0), (true, 0), (true, 1)] {
        let mut prober = Prober::with(Times::DEFAULT, &[Some(0), Some(1), None], None);
        for key in 0..6 {
            prober.add(&[key / 3], key as u64 * 1237);
        }
        // The API of a member answers, or refuses in the name of a firewall; so does an endpoint of it.
        let network = |key: usize, at: u64| match key {
            _ if at < 30_000 => Reply::Pass,
            key if key == member && answers => Reply::Pass,
            key if key == member || key == 5 + 3 * member => Reply::Refused,
            _ => Reply::Silent,
        };
        prober.run(120_000, &network);
        assert_eq!(kinds(&prober).contains(&Some("vantage")), !answers, "{:?}", prober.self_checks);
    }
}

#[test]
fn half_of_the_canaries_are_not_most_of_them() {
    let mut prober = fleet(2, &[4]);
    prober.run(120_000, &|key, at| if at < 30_000 || key == 0 { Reply::Pass } else { Reply::Silent });
    assert_eq!(prober.self_checks, []);
    let mut prober = fleet(3, &[4]);
    prober.run(120_000, &|key, at| if at < 30_000 || key == 0 { Reply::Pass } else { Reply::Silent });
    assert_eq!(kinds(&prober), [Some("vantage")]);
    let Some(SelfCheckFailure::Vantage { canaries: 3, silent: 2, keys: 4, heard: 0 }) =
        prober.vantage.self_check()
    else {
        panic!("{:?}", prober.vantage.self_check())
    };
}

#[test]
fn one_key_in_ten_proves_that_we_see_and_fewer_do_not() {
    for (heard, cut_off) in [(1, true), (2, false)] {
        let mut prober = fleet(1, &[20]);
        let network = |key: usize, at: u64| match key {
            key if at < 30_000 || (1..=heard).contains(&key) => Reply::Pass,
            _ => Reply::Silent,
        };
        prober.run(120_000, &network);
        let facts = SelfCheckFailure::Vantage { canaries: 1, silent: 1, keys: 20, heard };
        assert_eq!(prober.vantage.self_check(), cut_off.then_some(&facts), "{heard} of 20");
    }
}

#[test]
fn correlation_outlasts_a_minute_and_ends_when_half_is_well_again() {
    let mut prober = Prober::with(Times::DEFAULT, &[None], None);
    for (key, member) in [0, 0, 1, 1, 2].into_iter().enumerate() {
        prober.add(&[member], key as u64 * 1237);
    }
    let bad = [1, 2, 3, 4];
    let down = from(30_000, &bad, Reply::Silent);
    prober.run(900_000, &down);
    assert_eq!(kinds(&prober), [Some("correlation")]);
    assert_eq!(
        prober.vantage.self_check(),
        Some(&SelfCheckFailure::Correlation {
            keys: 5,
            bad: 4,
            members: ["m0", "m1"].map(|name| name.parse().unwrap()).into(),
        }),
        "with the facts of its beginning, and without the canary"
    );
    // One is back, three of five are not; then two are back, which leaves the minority.
    prober.run(960_000, &from(30_000, &bad[1..], Reply::Silent));
    assert!(prober.vantage.self_check().is_some());
    prober.run(1_020_000, &from(30_000, &bad[2..], Reply::Silent));
    assert_eq!(prober.vantage.self_check(), None);
    assert_eq!(kinds(&prober), [Some("correlation"), None]);
}

#[test]
fn suspects_alone_end_by_themselves() {
    let mut prober = fleet(0, &[1, 1]);
    // One is dead, and the other loses a packet at the wrong moment.
    let network = |key: usize, at: u64| match key {
        0 if at > 30_000 => Reply::Silent,
        1 if (34_000..36_000).contains(&at) => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(120_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation"), None]);
    assert_eq!(prober.published(0), Verdict::Unhealthy);
    let held = prober.self_checks[1].0 - prober.self_checks[0].0;
    assert!(held < 20_000, "{held} ms");
}

#[test]
fn what_died_long_ago_did_not_die_together_with_what_dies_now() {
    let mut prober = fleet(0, &[2, 2]);
    let network = |key: usize, at: u64| match key {
        0 | 1 if at > 60_000 => Reply::Refused,
        0 | 1 if at > 30_000 => Reply::Silent,
        2 | 3 if at > 30_000 + 90_000 => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(300_000, &network);
    assert_eq!(prober.self_checks, []);
}

#[test]
fn what_died_long_ago_stays_out_while_we_are_cut_off() {
    let mut prober = fleet(1, &[3]);
    let network = |key: usize, at: u64| match key {
        1 if at > 30_000 => Reply::Silent,
        _ if at > 150_000 => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(300_000, &network);
    assert_eq!(kinds(&prober), [Some("vantage")]);
    let verdicts = [1, 2, 3].map(|key| prober.published(key));
    assert_eq!(verdicts, [Verdict::Unhealthy, Verdict::Suspended, Verdict::Suspended]);
}

#[test]
fn a_person_releases_it_and_what_is_bad_then_counts_no_more() {
    let mut prober = fleet(0, &[2, 2, 2]);
    assert_eq!(prober.confirm_outage(0), None, "there is nothing to confirm");
    let down = from(30_000, &[0, 1, 2, 3], Reply::Refused);
    prober.run(60_000, &down);
    assert!(matches!(
        prober.confirm_outage(60_000),
        Some(Transition::Ended(SelfCheckFailure::Correlation { .. }))
    ));
    prober.run(300_000, &down);
    assert_eq!(prober.vantage.self_check(), None);
    // They recover and die again: that is another time.
    let network = |key: usize, at: u64| {
        if key < 4 && !(300_000..400_000).contains(&at) && at >= 30_000 {
            Reply::Refused
        } else {
            Reply::Pass
        }
    };
    prober.run(399_000, &network);
    assert_eq!(prober.vantage.self_check(), None);
    prober.run(500_000, &network);
    assert_eq!(prober.vantage.self_check().map(SelfCheckFailure::kind), Some("correlation"));
}

#[test]
fn being_cut_off_cannot_be_released() {
    let mut prober = fleet(1, &[2, 2]);
    let network = |_, at| if at < 30_000 { Reply::Pass } else { Reply::Silent };
    prober.run(60_000, &network);
    assert_eq!(prober.vantage.self_check().map(SelfCheckFailure::kind), Some("vantage"));
    assert_eq!(prober.confirm_outage(60_000), None);
    assert_eq!(prober.vantage.self_check().map(SelfCheckFailure::kind), Some("vantage"));
}

#[test]
fn one_key_of_several_members_is_one_key() {
    // Nor does a canary that fails too speak for any member.
    let mut prober = fleet(3, &[]);
    let shared = prober.add(&[0, 1], 0);
    prober.run(120_000, &from(30_000, &[0, shared], Reply::Silent));
    assert_eq!(prober.self_checks, []);
    assert_eq!(prober.published(shared), Verdict::Unhealthy);
}

#[test]
fn keys_that_go_leave_the_counts() {
    let mut prober = fleet(0, &[2, 2]);
    prober.run(90_000, &from(30_000, &[0, 1, 2, 3], Reply::Refused));
    assert_eq!(kinds(&prober), [Some("correlation")]);
    for key in 0..4 {
        assert!(prober.vantage.leave(id(key), &place(key / 2, "default")), "its last endpoint");
        assert!(!prober.vantage.is_endpoint(id(key)));
        prober.vantage.remove(id(key));
    }
    assert!(matches!(prober.vantage.check(ms(90_001)), Some(Transition::Ended(_))));
}

#[test]
fn a_key_is_an_endpoint_as_long_as_any_claims_it() {
    let (key, [one, other]) = (id(0), [0, 1].map(|member| place(member, "default")));
    let mut vantage = VantageMonitor::new(SETTINGS, []);
    assert!(vantage.join(key, &one));
    assert!(!vantage.join(key, &one) && !vantage.join(key, &other));
    assert!(vantage.namespaces(key).eq(["default", "default"].map(Arc::from)), "one for each member");
    assert!(!vantage.leave(key, &one));
    assert_eq!(vantage.namespaces(key).count(), 2, "it was claimed there twice");
    assert!(!vantage.leave(key, &one));
    assert!(vantage.leave(key, &other));
    assert!(!vantage.leave(key, &other), "it was none any more");
}

#[test]
fn what_cannot_be_probed_any_more_stays_an_endpoint_and_a_canary() {
    let (canary, endpoint) = (id(0), id(1));
    let mut vantage = VantageMonitor::new(SETTINGS, [None]);
    vantage.set_canary(0, canary, true);
    vantage.join(endpoint, &place(0, "default"));
    vantage.take(endpoint, &rounds::probed(0, true, true));
    vantage.take(canary, &of_canary(Reachability::Unreached));
    assert_eq!(vantage.asked(), [canary, endpoint]);
    vantage.unjudge(canary);
    vantage.unjudge(endpoint);
    assert_eq!(vantage.asked(), [canary], "an endpoint of which nothing is known speaks for nobody");
    assert!(vantage.is_endpoint(endpoint));
    assert!(matches!(vantage.check(ms(2)), Some(Transition::Began(SelfCheckFailure::Vantage { .. }))));
    vantage.remove(canary);
    vantage.remove(endpoint);
    assert_eq!((vantage.asked(), vantage.is_endpoint(endpoint)), (vec![], false));
    assert!(matches!(vantage.check(ms(3)), Some(Transition::Ended(_))));
}

#[test]
fn canaries_come_and_go_and_only_those_that_stay_are_heard() {
    let mut vantage = VantageMonitor::new(SETTINGS, [None]);
    let silent = of_canary(Reachability::Unreached);
    vantage.set_canary(0, id(0), true);
    vantage.take(id(0), &silent);
    assert!(matches!(vantage.check(ms(1)), Some(Transition::Began(_))));
    // A second one that answers, and a third whose silence counts: two of three are silent.
    for key in [1, 2] {
        vantage.add_canary(None);
        vantage.set_canary(key, id(key), true);
    }
    vantage.take(id(1), &of_canary(Reachability::Reached));
    vantage.take(id(2), &silent);
    assert_eq!(vantage.check(ms(2)), None, "two of three are silent");
    // Without the first, one of two is silent. Its key is asked no more, and the numbers of the others move up.
    vantage.remove_canary(0);
    assert!(matches!(vantage.check(ms(3)), Some(Transition::Ended(_))));
    vantage.set_canary(1, id(2), false);
    vantage.set_unresolved(1, false);
    assert_eq!(vantage.asked(), [id(1)]);
    vantage.remove_canary(2);
    assert_eq!(vantage.asked(), [id(1)]);
}

#[test]
fn a_canary_of_several_addresses_is_heard_at_one_and_silent_without_any() {
    let mut vantage = VantageMonitor::new(SETTINGS, [None]);
    assert_eq!(vantage.check(ms(0)), None, "nobody was asked yet");
    vantage.set_canary(0, id(0), true);
    vantage.set_canary(0, id(1), true);
    vantage.take(id(0), &of_canary(Reachability::Reached));
    vantage.take(id(1), &of_canary(Reachability::Unreached));
    assert_eq!(vantage.check(ms(1)), None);
    vantage.set_canary(0, id(0), false);
    assert!(matches!(
        vantage.check(ms(2)),
        Some(Transition::Began(SelfCheckFailure::Vantage { silent: 1, .. }))
    ));
    vantage.take(id(1), &of_canary(Reachability::Reached));
    assert!(matches!(vantage.check(ms(3)), Some(Transition::Ended(_))));
    vantage.set_canary(0, id(1), false);
    assert_eq!(vantage.check(ms(4)), None);
    vantage.set_unresolved(0, true);
    assert!(matches!(vantage.check(ms(5)), Some(Transition::Began(_))));
}
