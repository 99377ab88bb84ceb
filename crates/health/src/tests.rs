use std::time::Duration;

use fleetdns_core::Doubt;

use super::*;
use schedule::{Prober, Reply, Times, id, ms, place};

mod correlation;
mod properties;
mod schedule;

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

const SETTINGS: SightSettings =
    SightSettings { gap: Duration::from_secs(2), patience: Duration::from_secs(4), hold: None };

fn kinds(prober: &Prober) -> Vec<Option<&'static str>> {
    prober.doubts.iter().map(|(_, kind)| *kind).collect()
}

#[test]
fn one_healthy_endpoint_proves_that_we_see() {
    let mut prober = fleet(3, &[3, 3]);
    let network = |key: usize, at: u64| if at < 30_000 || key == 5 { Reply::Pass } else { Reply::Silent };
    prober.run(120_000, &network);
    assert!(!kinds(&prober).contains(&Some("vantage")), "{:?}", prober.doubts);
}

#[test]
fn a_refusal_proves_that_we_see_while_its_canary_answers() {
    for answers in [false, true] {
        let mut prober = Prober::with(Times::DEFAULT, &[Some(0), Some(1), None], None);
        for key in 0..6 {
            prober.add(&[key / 3], key as u64 * 1237);
        }
        // The API of m0 answers, or refuses in the name of a firewall; so does an endpoint of m0.
        let network = |key: usize, at: u64| match key {
            _ if at < 30_000 => Reply::Pass,
            0 if answers => Reply::Pass,
            0 | 5 => Reply::Refused,
            _ => Reply::Silent,
        };
        prober.run(120_000, &network);
        assert_eq!(kinds(&prober).contains(&Some("vantage")), !answers, "{:?}", prober.doubts);
    }
}

#[test]
fn half_of_the_canaries_are_not_most_of_them() {
    let mut prober = fleet(2, &[4]);
    prober.run(120_000, &|key, at| if at < 30_000 || key == 0 { Reply::Pass } else { Reply::Silent });
    assert_eq!(prober.doubts, []);
    let mut prober = fleet(3, &[4]);
    prober.run(120_000, &|key, at| if at < 30_000 || key == 0 { Reply::Pass } else { Reply::Silent });
    assert_eq!(kinds(&prober), [Some("vantage")]);
    let Some(Doubt::Vantage { canaries: 3, silent: 2, keys: 4, heard: 0 }) = prober.sight.doubt() else {
        panic!("{:?}", prober.sight.doubt())
    };
}

#[test]
fn correlation_outlasts_a_minute_and_ends_when_half_is_well_again() {
    let mut prober = Prober::with(Times::DEFAULT, &[], None);
    for (key, member) in [0, 0, 1, 1, 2].into_iter().enumerate() {
        prober.add(&[member], key as u64 * 1237);
    }
    let bad = [0, 1, 2, 3];
    let down = from(30_000, &bad, Reply::Refused);
    prober.run(900_000, &down);
    assert_eq!(kinds(&prober), [Some("correlation")]);
    assert_eq!(
        prober.sight.doubt(),
        Some(&Doubt::Correlation {
            keys: 5,
            bad: 4,
            members: ["m0", "m1"].map(|name| name.parse().unwrap()).into(),
        }),
        "with the facts of its beginning"
    );
    // One is back, three of five are not; then two are back, which leaves the minority.
    prober.run(960_000, &from(30_000, &bad[1..], Reply::Refused));
    assert!(prober.sight.doubt().is_some());
    prober.run(1_020_000, &from(30_000, &bad[2..], Reply::Refused));
    assert_eq!(prober.sight.doubt(), None);
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
    assert_eq!(prober.published(0), fleetdns_core::Verdict::Unhealthy);
    let held = prober.doubts[1].0 - prober.doubts[0].0;
    assert!(held < 20_000, "{held} ms");
}

#[test]
fn what_died_long_ago_did_not_die_together_with_what_dies_now() {
    let mut prober = fleet(0, &[2, 2]);
    let network = |key: usize, at: u64| match key {
        0 | 1 if at > 30_000 => Reply::Silent,
        2 | 3 if at > 30_000 + 90_000 => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(300_000, &network);
    assert_eq!(prober.doubts, []);
    let mut prober = fleet(0, &[2, 2]);
    let network = |key: usize, at: u64| match key {
        0 | 1 if at > 30_000 => Reply::Silent,
        2 | 3 if at > 30_000 + 45_000 => Reply::Silent,
        _ => Reply::Pass,
    };
    prober.run(300_000, &network);
    assert_eq!(kinds(&prober), [Some("correlation")]);
}

#[test]
fn a_person_releases_it_and_what_is_bad_then_counts_no_more() {
    let mut prober = fleet(0, &[2, 2, 2]);
    assert_eq!(prober.release(0), None, "there is nothing to release");
    let down = from(30_000, &[0, 1, 2, 3], Reply::Refused);
    prober.run(60_000, &down);
    assert!(matches!(prober.release(60_000), Some(Turn::Ended(Doubt::Correlation { .. }))));
    prober.run(300_000, &down);
    assert_eq!(prober.sight.doubt(), None);
    // They recover and die again: that is another time.
    let network = |key: usize, at: u64| {
        if key < 4 && !(300_000..400_000).contains(&at) && at >= 30_000 {
            Reply::Refused
        } else {
            Reply::Pass
        }
    };
    prober.run(399_000, &network);
    assert_eq!(prober.sight.doubt(), None);
    prober.run(500_000, &network);
    assert_eq!(prober.sight.doubt().map(Doubt::kind), Some("correlation"));
}

#[test]
fn being_cut_off_cannot_be_released() {
    let mut prober = fleet(1, &[2, 2]);
    let network = |_, at| if at < 30_000 { Reply::Pass } else { Reply::Silent };
    prober.run(60_000, &network);
    assert_eq!(prober.sight.doubt().map(Doubt::kind), Some("vantage"));
    assert_eq!(prober.release(60_000), None);
    assert_eq!(prober.sight.doubt().map(Doubt::kind), Some("vantage"));
}

#[test]
fn one_key_of_several_members_is_one_key() {
    let mut prober = fleet(0, &[]);
    let shared = prober.add(&[0, 1], 0);
    prober.run(120_000, &from(30_000, &[shared], Reply::Silent));
    assert_eq!(prober.doubts, []);
    assert_eq!(prober.published(shared), fleetdns_core::Verdict::Unhealthy);
}

#[test]
fn keys_that_go_leave_the_counts() {
    let mut prober = fleet(0, &[2, 2]);
    prober.run(90_000, &from(30_000, &[0, 1, 2, 3], Reply::Refused));
    assert_eq!(kinds(&prober), [Some("correlation")]);
    for key in 0..4 {
        assert!(prober.sight.leave(id(key), &place(key / 2, "default")), "its last endpoint");
        assert!(!prober.sight.is_endpoint(id(key)));
        prober.sight.forget(id(key));
    }
    assert!(matches!(prober.sight.look(ms(90_001)), Some(Turn::Ended(_))));
}

#[test]
fn a_key_is_an_endpoint_as_long_as_any_claims_it() {
    let (key, [one, other]) = (id(0), [0, 1].map(|member| place(member, "default")));
    let mut sight = Sight::new(SETTINGS, []);
    assert!(sight.join(key, &one));
    assert!(!sight.join(key, &one) && !sight.join(key, &other));
    assert!(!sight.leave(key, &one) && !sight.leave(key, &other));
    assert!(sight.leave(key, &one));
    assert!(!sight.leave(key, &one), "it was none any more");
}

#[test]
fn a_canary_of_several_addresses_is_heard_at_one_and_silent_without_any() {
    let mut sight = Sight::new(SETTINGS, [None]);
    let probed = |sound| Probed {
        started: ms(0),
        ended: ms(1),
        sound,
        verdict: fleetdns_core::Verdict::Unknown,
        failures: 0,
        calm: true,
        prompt: true,
    };
    assert_eq!(sight.look(ms(0)), None, "nobody was asked yet");
    sight.set_canary(0, id(0), true);
    sight.set_canary(0, id(1), true);
    sight.take(id(0), &probed(Sound::Heard));
    sight.take(id(1), &probed(Sound::Silent));
    assert_eq!(sight.look(ms(1)), None);
    sight.set_canary(0, id(0), false);
    assert!(matches!(sight.look(ms(2)), Some(Turn::Began(Doubt::Vantage { silent: 1, .. }))));
    sight.take(id(1), &probed(Sound::Heard));
    assert!(matches!(sight.look(ms(3)), Some(Turn::Ended(_))));
    sight.set_canary(0, id(1), false);
    assert_eq!(sight.look(ms(4)), None);
    sight.set_unresolved(0, true);
    assert!(matches!(sight.look(ms(5)), Some(Turn::Began(_))));
}
