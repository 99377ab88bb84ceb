//! What a correlation counts, what it holds, and when it ends.

use super::*;

/// Two members with a canary each, and a key of this many namespaces each.
fn two_members(namespaces: &[&str]) -> Prober {
    let mut prober = Prober::with(Times::DEFAULT, &[Some(0), Some(1)], Some(600_000));
    for (number, namespace) in namespaces.iter().enumerate() {
        for member in [0, 1] {
            prober.add_in(&[(member, *namespace)], number as u64 * 733 + member as u64 * 1999);
        }
    }
    prober
}

/// A dead endpoint is out within this.
const BUDGET: u64 = 12_000;

#[track_caller]
fn out_in_time(prober: &Prober, key: usize, died: u64) {
    let out = prober.out_at(key);
    assert!(out.is_some_and(|out| out <= died + BUDGET), "out at {out:?}, dead since {died}");
}

#[test]
fn what_was_never_healthy_cannot_have_gone_bad() {
    // What was never healthy fails from the first probe on, as with an address family that has no route here, a Service
    // that is rolled out broken, or a load balancer that is internal. There may be any number of it.
    for reply in [Reply::Silent, Reply::Refused, Reply::Wrong] {
        for never in [1, 2, 50] {
            for canary in [Reply::Pass, Reply::Silent] {
                let mut prober = two_members(&["default"]);
                for key in 0..2 * never {
                    prober.add(&[key % 2], key as u64 * 977);
                }
                let network = |key: usize, at: u64| match key {
                    0 | 1 => canary,
                    3 if at > 18_000 => Reply::Silent,
                    2 | 3 => Reply::Pass,
                    _ => reply,
                };
                prober.run(60_000, &network);
                assert_eq!(prober.self_checks, [], "{reply:?} {never} {canary:?}");
                out_in_time(&prober, 3, 18_000);
            }
        }
    }
}

#[test]
fn a_family_that_is_switched_on_while_running_brings_no_doubt() {
    let mut prober = two_members(&["default"]);
    // The keys of the other family come to be probed when there is a route, and none of them answers.
    prober.run(20_000, &|_, _| Reply::Pass);
    let new = [0, 1].map(|member| prober.add(&[member], member as u64));
    let network = |key: usize, at: u64| match key {
        _ if new.contains(&key) => Reply::Silent,
        3 if at > 40_000 => Reply::Refused,
        _ => Reply::Pass,
    };
    prober.run(90_000, &network);
    assert_eq!(prober.self_checks, []);
    out_in_time(&prober, 3, 40_000);
}

#[test]
fn an_answer_that_is_wrong_is_true_and_so_is_a_refusal_while_the_canary_answers() {
    for (reply, canary, distrusted) in [
        (Reply::Silent, Reply::Pass, true),
        (Reply::Refused, Reply::Pass, false),
        (Reply::Wrong, Reply::Pass, false),
        (Reply::Refused, Reply::Refused, true),
        (Reply::Refused, Reply::Silent, true),
        (Reply::Wrong, Reply::Refused, false),
    ] {
        let mut prober = Prober::with(Times::DEFAULT, &[Some(0), Some(1), None, None, None], Some(600_000));
        let keys: Vec<usize> = (0..4).map(|key| prober.add(&[key % 2], key as u64 * 1237)).collect();
        let network = |key: usize, at: u64| match key {
            _ if at < 30_000 => Reply::Pass,
            0 | 1 => canary,
            2..5 => Reply::Pass,
            _ => reply,
        };
        prober.run(90_000, &network);
        assert_eq!(kinds(&prober).contains(&Some("correlation")), distrusted, "{reply:?} {canary:?}");
        for key in keys.into_iter().filter(|_| !distrusted) {
            out_in_time(&prober, key, 30_000);
        }
    }
}

#[test]
fn what_dies_by_itself_while_a_correlation_stands_goes_in_its_budget() {
    for died in [38_000, 40_000, 60_000, 200_000] {
        let mut prober = Prober::with(Times::DEFAULT, &[], Some(600_000));
        let keys: Vec<usize> = (0..5).map(|key| prober.add(&[key], key as u64 * 1237)).collect();
        let network = |key: usize, at: u64| match key {
            0..=2 if at > 30_000 => Reply::Silent,
            4 if at > died => Reply::Silent,
            _ => Reply::Pass,
        };
        prober.run(300_000, &network);
        assert_eq!(kinds(&prober), [Some("correlation")]);
        out_in_time(&prober, keys[4], died);
        assert!((0..3).all(|key| prober.published(key) == Verdict::Suspended), "those are held");
    }
}

#[test]
fn what_answers_wrongly_after_it_was_held_fails_for_the_first_time() {
    let mut prober = Prober::with(Times::DEFAULT, &[], Some(600_000));
    let keys: Vec<usize> = (0..5).map(|key| prober.add(&[key], key as u64 * 1237)).collect();
    let network = |key: usize, at: u64| match key {
        0 if at > 60_000 => Reply::Wrong,
        0..4 if at > 30_000 => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(90_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation")]);
    let out = prober.out_at(keys[0]).unwrap();
    assert!((64_000..72_000).contains(&out), "{out}");
}

#[test]
fn it_ends_after_the_time_that_is_set_and_what_fails_on_goes() {
    for (set, hold) in [(60_000, 60_000), (600_000, 600_000), (600_000, 60_000)] {
        let mut prober = Prober::with(Times::DEFAULT, &[], Some(set));
        prober.vantage.configure(VantageSettings { hold: Some(ms(hold)), ..SETTINGS });
        let keys: Vec<usize> = (0..4).map(|key| prober.add(&[key % 2], key as u64 * 1237)).collect();
        let down = from(30_000, &keys[..3], Reply::Silent);
        prober.run(hold + 120_000, &down);
        let [(began, Some("correlation")), (ended, None)] = prober.self_checks[..] else {
            panic!("{:?}", prober.self_checks)
        };
        assert_eq!(ended - began, hold);
        for key in &keys[..3] {
            let out = prober.out_at(*key).unwrap();
            assert!(out > ended && out <= ended + BUDGET, "{out} {ended}");
        }
    }
}

#[test]
fn doubt_that_changes_its_kind_does_not_last_longer() {
    // Endpoints are silent all the time, and the canary comes and goes.
    let mut prober = Prober::with(Times::DEFAULT, &[None], Some(120_000));
    let keys: Vec<usize> = (0..4).map(|key| prober.add(&[key % 2], key as u64 * 1237)).collect();
    let network = |key: usize, at: u64| match key {
        _ if at < 30_000 => Reply::Pass,
        0 if at > 140_000 || (at / 20_000).is_multiple_of(2) => Reply::Pass,
        _ => Reply::Silent,
    };
    prober.run(200_000, &network);
    assert!(keys.iter().all(|key| prober.published(*key) == Verdict::Unhealthy), "{:?}", prober.self_checks);
}

#[test]
fn no_namespace_trips_it_for_another() {
    // Sixty of one namespace die in one member, and one of somebody else in the other: "58 of 65".
    let mut prober = Prober::with(Times::DEFAULT, &[Some(0), Some(1)], Some(600_000));
    let mine: Vec<usize> = (0..60).map(|key| prober.add_in(&[(0, "big")], key * 83)).collect();
    let others: Vec<usize> =
        (0..5).map(|key| prober.add_in(&[(key % 2, "small")], key as u64 * 977)).collect();
    let network = |key: usize, at: u64| match key {
        key if at > 30_000 && (mine.contains(&key) || key == others[1]) => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(90_000, &network);
    assert_eq!(prober.self_checks, []);
    out_in_time(&prober, others[1], 30_000);
    out_in_time(&prober, mine[0], 30_000);
}

#[test]
fn a_namespace_that_fails_everywhere_is_held_and_holds_no_other() {
    // All of one namespace, and one key of the other that has two in another member.
    let mut prober = two_members(&["big"]);
    let small: Vec<usize> = [0, 0, 1].map(|member| prober.add_in(&[(member, "small")], 500)).into();
    let dies = |key: usize| key < 4 || key == small[0] || key == small[1];
    let network =
        |key: usize, at: u64| if at > 30_000 && key > 1 && dies(key) { Reply::Silent } else { Reply::Pass };
    prober.run(90_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation")]);
    assert_eq!([2, 3].map(|key| prober.published(key)), [Verdict::Suspended; 2]);
    out_in_time(&prober, small[0], 30_000);
}

#[test]
fn a_wall_before_many_namespaces_holds_all_of_them() {
    let mut prober = two_members(&["a", "b", "c"]);
    let network = |key: usize, at: u64| if at > 30_000 && key > 1 { Reply::Silent } else { Reply::Pass };
    prober.run(90_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation")]);
    assert_eq!(prober.taken_out(), None);
}

#[test]
fn a_namespace_of_few_keys_is_asked_beside_one_of_many() {
    // More keys of one namespace than a sample has; the others come later and must have a voice all the same.
    let mut prober = Prober::with(Times::DEFAULT, &[], Some(600_000));
    let big: Vec<usize> = (0..200).map(|key| prober.add_in(&[(key % 2, "big")], key as u64 * 83)).collect();
    prober.run(10_000, &|_, _| Reply::Pass);
    let small: Vec<usize> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|one| [0, 1].map(|member| prober.add_in(&[(member, *one)], 11)))
        .collect();
    let network = |key: usize, at: u64| match key {
        key if at > 40_000 && small.contains(&key) => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(90_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation")], "four of five namespaces fail in both members");
    assert!(big.iter().all(|key| prober.published(*key) == Verdict::Healthy));
}

#[test]
fn who_takes_long_to_answer_holds_up_no_verdict() {
    let mut prober = Prober::with(Times::DEFAULT, &[], Some(600_000));
    let keys: Vec<usize> = (0..4).map(|key| prober.add(&[key % 2], key as u64 * 1237)).collect();
    prober.run(29_000, &|_, _| Reply::Pass);
    // A key that is probed with a deadline of its own is under way for minutes.
    let slow = prober.add(&[1], 29_001);
    prober.run(29_500, &|_, _| Reply::Pass);
    prober.hang(slow);
    prober.run(90_000, &from(30_000, &keys[..1], Reply::Silent));
    out_in_time(&prober, keys[0], 30_000);
}
