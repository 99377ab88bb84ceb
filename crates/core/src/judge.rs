//! From single probes to a verdict: the state machine of one probe key.

use std::time::Duration;

use crate::probe::Verdict;

/// How one probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The endpoint answered as it should.
    Pass,
    /// The endpoint did not.
    Fail,
    /// A fault on our side: says nothing of the endpoint.
    Inconclusive,
}

/// How many probes in a row turn a verdict. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures in a row until an endpoint is unhealthy.
    pub fall: u32,
    /// Successes in a row until an unhealthy endpoint is healthy again; doubled each time that it flaps.
    pub rise: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { fall: 3, rise: 2 }
    }
}

/// An endpoint that goes out again within this time flaps.
pub const FLAP_WINDOW: Duration = Duration::from_secs(600);

/// `rise` is doubled at most so many times: with the defaults a flapping endpoint has to answer for 4 minutes.
const MOST_DOUBLINGS: u8 = 6;

/// What is known of one probe key.
///
/// Invariant: only `fall` failures with no success between them make a verdict [`Verdict::Unhealthy`] that was not out
/// before.
/// Invariant: [`Outcome::Inconclusive`] changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judge {
    verdict: Verdict,
    failures: u32,
    successes: u32,
    doublings: u8,
    /// Seconds on the caller's clock at which it last went out.
    went_out: Option<u32>,
}

impl Judge {
    /// The verdict as it stands.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Failures since the last success.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Successes since the last failure.
    pub const fn successes(&self) -> u32 {
        self.successes
    }

    /// Takes in one probe; gives the new verdict if it is another one. `now` is any clock that does not run backwards.
    pub fn step(&mut self, outcome: Outcome, now: Duration, thresholds: &Thresholds) -> Option<Verdict> {
        let before = self.verdict;
        match outcome {
            Outcome::Inconclusive => return None,
            Outcome::Pass => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                self.verdict = self.after_pass(thresholds);
            }
            Outcome::Fail => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.verdict = self.after_fail(thresholds);
                if before.is_in() == Some(true) && self.verdict == Verdict::Unhealthy {
                    self.note_exit(now);
                }
            }
        }
        (self.verdict != before).then_some(self.verdict)
    }

    /// Successes in a row that are needed now to come back in.
    pub fn needed(&self, thresholds: &Thresholds) -> u32 {
        thresholds.rise.max(1).saturating_mul(1 << self.doublings)
    }

    /// Time from the start of the last probe to the start of the next: short while a verdict is in doubt.
    pub fn next_interval(&self, interval: Duration, fast_interval: Duration) -> Duration {
        let doubt = match self.verdict {
            Verdict::Suspect | Verdict::Recovering => true,
            Verdict::Unknown => self.failures > 0,
            Verdict::Healthy | Verdict::Unhealthy => false,
        };
        if doubt { fast_interval } else { interval }
    }

    fn after_pass(&self, thresholds: &Thresholds) -> Verdict {
        match self.verdict {
            Verdict::Unknown | Verdict::Healthy | Verdict::Suspect => Verdict::Healthy,
            Verdict::Unhealthy | Verdict::Recovering if self.successes >= self.needed(thresholds) => {
                Verdict::Healthy
            }
            Verdict::Unhealthy | Verdict::Recovering => Verdict::Recovering,
        }
    }

    fn after_fail(&self, thresholds: &Thresholds) -> Verdict {
        match self.verdict {
            Verdict::Unhealthy | Verdict::Recovering => Verdict::Unhealthy,
            _ if self.failures >= thresholds.fall.max(1) => Verdict::Unhealthy,
            Verdict::Unknown => Verdict::Unknown,
            Verdict::Healthy | Verdict::Suspect => Verdict::Suspect,
        }
    }

    fn note_exit(&mut self, now: Duration) {
        let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let flaps =
            self.went_out.is_some_and(|before| u64::from(now.saturating_sub(before)) < FLAP_WINDOW.as_secs());
        self.doublings = if flaps { (self.doublings + 1).min(MOST_DOUBLINGS) } else { 0 };
        self.went_out = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULTS: Thresholds = Thresholds { fall: 3, rise: 2 };

    fn outcome(letter: char) -> Outcome {
        match letter {
            'p' => Outcome::Pass,
            'f' => Outcome::Fail,
            _ => Outcome::Inconclusive,
        }
    }

    /// Probes one second apart; gives each verdict by its first two letters.
    fn verdicts(probes: &str, thresholds: Thresholds) -> String {
        let mut judge = Judge::default();
        let mut seen = Vec::new();
        for (second, letter) in probes.chars().enumerate() {
            let before = judge.verdict();
            let change = judge.step(outcome(letter), Duration::from_secs(second as u64), &thresholds);
            assert_eq!(change.unwrap_or(before), judge.verdict());
            assert_ne!(change, Some(before));
            seen.push(match judge.verdict() {
                Verdict::Unknown => "?",
                Verdict::Healthy => "H",
                Verdict::Suspect => "S",
                Verdict::Unhealthy => "U",
                Verdict::Recovering => "R",
            });
        }
        seen.concat()
    }

    #[test]
    fn each_arrow_of_the_state_machine() {
        let table = [
            ("p", "H"),
            ("fff", "??U"),
            ("ffp", "??H"),
            ("pf", "HS"),
            ("pfp", "HSH"),
            ("pffpffp", "HSSHSSH"),
            ("pfff", "HSSU"),
            ("pfffff", "HSSUUU"),
            ("pfffpp", "HSSURH"),
            ("pfffpfpp", "HSSURURH"),
            ("fffppf", "??URHS"),
            ("i", "?"),
            ("iffifii", "????UUU"),
            ("pfiifif", "HSSSSSU"),
            ("pfffipip", "HSSUURRH"),
        ];
        for (probes, expected) in table {
            assert_eq!(verdicts(probes, DEFAULTS), expected, "{probes}");
        }
    }

    #[test]
    fn thresholds_of_one_and_zero_turn_at_once() {
        for limit in [0, 1] {
            let at_once = Thresholds { fall: limit, rise: limit };
            assert_eq!(verdicts("pfpf", at_once), "HUHU");
            assert_eq!(verdicts("fp", at_once), "UH");
        }
    }

    #[test]
    fn rise_doubles_while_it_flaps_and_no_further_than_the_cap() {
        // Each time out asks for twice as many successes: 2, 4, 8.
        assert_eq!(verdicts("pfffppfffppppfff", DEFAULTS), "HSSURHSSURRRHSSU");
        let mut judge = Judge::default();
        judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS);
        for round in 0..20_u32 {
            let needed = DEFAULTS.rise << round.min(6);
            for _ in 0..3 {
                judge.step(Outcome::Fail, Duration::ZERO, &DEFAULTS);
            }
            assert_eq!(judge.needed(&DEFAULTS), needed, "round {round}");
            for _ in 1..needed {
                judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS);
                assert_eq!(judge.verdict(), Verdict::Recovering);
            }
            judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS);
            assert_eq!(judge.verdict(), Verdict::Healthy);
        }
    }

    #[test]
    fn a_quiet_ten_minutes_forgive_flaps() {
        let exit = |judge: &mut Judge, second: u64| {
            for _ in 0..3 {
                judge.step(Outcome::Fail, Duration::from_secs(second), &DEFAULTS);
            }
            let needed = judge.needed(&DEFAULTS);
            for _ in 0..needed {
                judge.step(Outcome::Pass, Duration::from_secs(second), &DEFAULTS);
            }
            needed
        };
        let mut judge = Judge::default();
        judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS);
        assert_eq!(exit(&mut judge, 10), 2);
        assert_eq!(exit(&mut judge, 609), 4);
        assert_eq!(exit(&mut judge, 1209), 2);
    }

    #[test]
    fn an_endpoint_that_was_never_in_does_not_flap() {
        let mut judge = Judge::default();
        for second in 0..100 {
            judge.step(Outcome::Fail, Duration::from_secs(second), &DEFAULTS);
        }
        assert_eq!(judge.needed(&DEFAULTS), 2);
    }

    #[test]
    fn doubt_is_probed_fast() {
        let (slow, fast) = (Duration::from_secs(5), Duration::from_secs(2));
        for (probes, expected) in
            [("", slow), ("i", slow), ("f", fast), ("p", slow), ("pf", fast), ("fff", slow), ("fffp", fast)]
        {
            let mut judge = Judge::default();
            for letter in probes.chars() {
                judge.step(outcome(letter), Duration::ZERO, &DEFAULTS);
            }
            assert_eq!(judge.next_interval(slow, fast), expected, "{probes}");
        }
    }

    proptest! {
        #[test]
        fn nothing_goes_out_without_fall_failures_in_a_row(
            probes in "[pfi]{0,200}", fall in 1..6_u32, rise in 1..5_u32,
        ) {
            let thresholds = Thresholds { fall, rise };
            let mut judge = Judge::default();
            let mut run = 0;
            for (second, letter) in probes.chars().enumerate() {
                run = match letter { 'f' => run + 1, 'p' => 0, _ => run };
                let before = judge.verdict();
                judge.step(outcome(letter), Duration::from_secs(second as u64), &thresholds);
                let was_out = before.is_in() == Some(false);
                if judge.verdict() == Verdict::Unhealthy && !was_out {
                    prop_assert!(letter == 'f' && run >= fall);
                }
                if run >= fall {
                    prop_assert_eq!(judge.verdict(), Verdict::Unhealthy);
                }
            }
        }

        #[test]
        fn inconclusive_probes_might_as_well_not_have_been(probes in "[pfi]{0,100}") {
            let mut all = Judge::default();
            let mut conclusive = Judge::default();
            for (second, letter) in probes.chars().enumerate() {
                let now = Duration::from_secs(second as u64);
                all.step(outcome(letter), now, &DEFAULTS);
                if letter != 'i' {
                    conclusive.step(outcome(letter), now, &DEFAULTS);
                }
                prop_assert_eq!(all, conclusive);
            }
        }
    }
}
