//! Random fleets, times and outages.

use proptest::prelude::*;

use super::schedule::{Prober, Reply, Times};
use fleetdns_core::probe::Verdict;

/// Members by the number of their keys, each key with its place in the interval.
fn fleets(members: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<u64>>> {
    proptest::collection::vec(proptest::collection::vec(0..60_000_u64, 1..12), members)
}

fn times() -> impl Strategy<Value = Times> {
    let random =
        (500..10_000_u64, 1..=100_u64, 1..=100_u64, 1..5_u32).prop_map(|(interval, fast, timeout, fall)| {
            let fast = (interval * fast / 100).max(20);
            Times { interval, fast, timeout: (fast * timeout / 100).max(10), fall }
        });
    prop_oneof![Just(Times::DEFAULT), random]
}

fn prober(times: Times, canaries: usize, fleet: &[Vec<u64>]) -> Prober {
    let mut prober = Prober::new(times, canaries);
    for (member, phases) in fleet.iter().enumerate() {
        for phase in phases {
            prober.add(&[member], *phase);
        }
    }
    prober
}

/// Long enough for every key to be healthy.
const WARM: u64 = 30_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_well_goes_out_when_we_are_cut_off(
        times in times(),
        canaries in 0..4_usize,
        fleet in fleets(1..5),
        moment in 0..20_000_u64,
        lasts in 0..90_000_u64,
        refused in any::<bool>(),
        lost in proptest::collection::vec((0..40_usize, 0..120_000_u64), 0..3),
    ) {
        // Nobody else can tell.
        prop_assume!(fleet.len() > 1 || canaries > 0);
        // With a single failure to go by, the moment must last until others have been asked.
        prop_assume!(times.fall > 1 || lasts > times.interval + 2 * times.fast + 2 * times.timeout);
        let mut prober = prober(times, canaries, &fleet);
        let cut = WARM + moment..WARM + moment + lasts;
        // Whoever stands between us and all of them may refuse in their name, and in that of the canaries.
        let network = |key: usize, at: u64| match (cut.contains(&at), refused) {
            (true, true) => Reply::Refused,
            (true, false) => Reply::Silent,
            // Some packets are lost beside it.
            (false, _) if times.fall > 2 && lost.iter().any(|(one, time)| *one == key && (*time..*time + times.fast).contains(&at)) => {
                Reply::Silent
            }
            (false, _) => Reply::Pass,
        };
        prober.run(WARM, &network);
        prop_assert!(prober.keys().all(|key| prober.published(key).is_in() == Some(true)));
        prober.run(WARM + 300_000, &network);
        prop_assert_eq!(prober.taken_out(), None, "{:?}", &prober.self_checks);
        prop_assert!(prober.vantage.self_check().is_none(), "it has long passed");
    }

    #[test]
    fn one_member_that_dies_goes_out_and_no_doubt_holds_it(
        canaries in 0..6_usize,
        fleet in fleets(2..6),
        moment in 0..20_000_u64,
        refused in any::<bool>(),
        dead_canary in any::<bool>(),
    ) {
        let times = Times::DEFAULT;
        let mut prober = prober(times, canaries, &fleet);
        let died = WARM + moment;
        let mine: Vec<bool> = (0..prober.keys().last().unwrap() + 1)
            .map(|key| prober.belongs_to(key, 0) || (dead_canary && canaries > 1 && key == 0))
            .collect();
        let network = |key: usize, at: u64| match mine[key] && at >= died {
            true if refused => Reply::Refused,
            true => Reply::Silent,
            false => Reply::Pass,
        };
        prober.run(died + 60_000, &network);
        prop_assert_eq!(&prober.self_checks, &vec![]);
        for key in prober.keys().filter(|key| mine[*key]) {
            let out = prober.said.iter().find(|said| said.key == key && said.verdict == Verdict::Unhealthy);
            // Asking others does not make it later than it was: three probes, the first one interval after the last good.
            prop_assert!(out.is_some_and(|out| out.at - died <= 5000 + 2 * 2000 + 2000 + 5), "{out:?}");
        }
    }

    #[test]
    fn a_few_lost_packets_hold_nothing(
        fleet in fleets(2..6),
        canaries in 0..3_usize,
        lost in proptest::collection::vec((0..60_usize, 0..100_000_u64), 0..40),
    ) {
        // Of two keys one is half.
        prop_assume!(fleet.iter().all(|keys| keys.len() > 2));
        let mut prober = prober(Times::DEFAULT, canaries, &fleet);
        // One key at a time loses one packet.
        let mut at_once: Vec<(usize, u64)> = lost;
        at_once.sort_by_key(|(_, at)| *at);
        at_once.dedup_by(|(_, at), (_, before)| *at - *before < 12_000);
        let network = |key: usize, at: u64| {
            let hit = at_once.iter().any(|(one, time)| *one == key && (*time..*time + 4000).contains(&at));
            if hit { Reply::Silent } else { Reply::Pass }
        };
        prober.run(120_000, &network);
        prop_assert_eq!(&prober.self_checks, &vec![]);
        prop_assert_eq!(prober.taken_out(), None);
    }
}

#[test]
fn a_large_fleet_asks_a_sample_and_sees_the_same() {
    for cut in [31_000, 33_333, 34_999] {
        let mut prober = Prober::new(Times { interval: 60_000, ..Times::DEFAULT }, 1);
        for key in 0..2000_u64 {
            prober.add(&[(key % 4) as usize], key * 7919 % 60_000);
        }
        let cut = 60_000 + cut;
        let network = |_, at| if at < cut { Reply::Pass } else { Reply::Silent };
        prober.run(cut, &network);
        let before = prober.probes;
        // Until the first is out; a tenth of all would have been asked by the clock.
        prober.run(cut + 6_100, &network);
        assert!(!prober.said.iter().all(|said| said.verdict != Verdict::Suspended), "some are held by then");
        assert_eq!(prober.taken_out(), None);
        assert!(prober.probes - before < 1200, "{}", prober.probes - before);
        prober.run(cut + 200_000, &network);
        assert_eq!(prober.taken_out(), None);
    }
}

#[test]
fn two_of_ten_members_may_die() {
    let fleet: Vec<Vec<u64>> =
        (0..10).map(|member| (0..50).map(|key| key * 997 + member * 31).collect()).collect();
    let mut prober = prober(Times::DEFAULT, 10, &fleet);
    let network = |key: usize, at: u64| {
        // Ten canaries come first, then fifty keys of each member; the dead members' APIs are dead too.
        let dead = key < 2 || (10..110).contains(&key);
        if dead && at > WARM { Reply::Silent } else { Reply::Pass }
    };
    prober.run(2 * WARM, &network);
    assert_eq!(prober.self_checks, []);
    assert_eq!(prober.keys().filter(|key| prober.published(*key) == Verdict::Unhealthy).count(), 100);
}
