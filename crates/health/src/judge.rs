//! From single probes to a verdict: the state machine of one probe key.

use std::time::Duration;

use fleetdns_core::probe::{Thresholds, Verdict};

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

/// An endpoint that goes out again within this time flaps.
pub const FLAP_WINDOW: Duration = Duration::from_secs(600);

/// `rise` is doubled so many times when an endpoint first flaps: with the defaults it has to answer for a minute, longer than
/// what goes up and down each minute does.
const FIRST_DOUBLINGS: u8 = 4;
/// Each further time doubles it once more, up to this: 4 minutes.
const MOST_DOUBLINGS: u8 = 6;

/// What is known of one probe key.
///
/// Invariant: only `fall` failures with no success between them, all of them while there was no doubt, make a verdict
/// [`Verdict::Unhealthy`].
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
    /// While the prober doubts itself (`doubted`) nothing that was not out goes out.
    pub fn step(
        &mut self,
        outcome: Outcome,
        now: Duration,
        thresholds: &Thresholds,
        doubted: bool,
    ) -> Option<Verdict> {
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
                self.verdict = self.after_fail(thresholds, doubted);
                if before.is_in() == Some(true) && self.verdict == Verdict::Unhealthy {
                    self.note_exit(now);
                }
            }
        }
        (self.verdict != before).then_some(self.verdict)
    }

    /// Doubt begins, and it went out so lately that this is doubted too. Gives whether that changes its verdict.
    pub fn hold(&mut self) -> bool {
        let holds = matches!(self.verdict, Verdict::Unhealthy | Verdict::Recovering);
        if holds {
            // It may well not have flapped.
            *self = Self { verdict: Verdict::Held, failures: self.failures, ..Self::default() };
        }
        holds
    }

    /// Doubt is over: failures up to now count for nothing, unless they are many enough already.
    pub const fn pardon(&mut self) {
        if !matches!(self.verdict, Verdict::Unhealthy) {
            self.failures = 0;
        }
    }

    /// Successes in a row that are needed now to come back in.
    pub fn needed(&self, thresholds: &Thresholds) -> u32 {
        thresholds.rise.max(1).saturating_mul(1 << self.doublings)
    }

    /// Whether the next probe may turn the verdict, so that it comes soon.
    pub fn is_turning(&self, thresholds: &Thresholds) -> bool {
        match self.verdict {
            Verdict::Suspect | Verdict::Recovering => true,
            Verdict::Unknown => self.failures > 0,
            Verdict::Held => (1..thresholds.fall.max(1)).contains(&self.failures),
            Verdict::Healthy | Verdict::Unhealthy => false,
        }
    }

    fn after_pass(&self, thresholds: &Thresholds) -> Verdict {
        match self.verdict {
            Verdict::Unknown | Verdict::Healthy | Verdict::Suspect | Verdict::Held => Verdict::Healthy,
            Verdict::Unhealthy | Verdict::Recovering if self.successes >= self.needed(thresholds) => {
                Verdict::Healthy
            }
            Verdict::Unhealthy | Verdict::Recovering => Verdict::Recovering,
        }
    }

    fn after_fail(&self, thresholds: &Thresholds, doubted: bool) -> Verdict {
        match self.verdict {
            Verdict::Unhealthy => Verdict::Unhealthy,
            Verdict::Recovering if doubted || self.failures < thresholds.fall.max(1) => Verdict::Recovering,
            Verdict::Recovering => Verdict::Unhealthy,
            _ if self.failures >= thresholds.fall.max(1) => {
                if doubted {
                    Verdict::Held
                } else {
                    Verdict::Unhealthy
                }
            }
            Verdict::Unknown => Verdict::Unknown,
            Verdict::Held => Verdict::Held,
            Verdict::Healthy | Verdict::Suspect => Verdict::Suspect,
        }
    }

    fn note_exit(&mut self, now: Duration) {
        let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let flaps =
            self.went_out.is_some_and(|before| u64::from(now.saturating_sub(before)) < FLAP_WINDOW.as_secs());
        self.doublings = if flaps { (self.doublings + 1).clamp(FIRST_DOUBLINGS, MOST_DOUBLINGS) } else { 0 };
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

    /// Probes one second apart, `[` where doubt begins and `]` where it ends; gives each verdict by a letter.
    fn verdicts(probes: &str, thresholds: Thresholds) -> String {
        let mut judge = Judge::default();
        let mut seen = Vec::new();
        let mut doubted = false;
        for (second, letter) in probes.chars().enumerate() {
            let before = judge.verdict();
            match letter {
                '[' => {
                    doubted = true;
                    assert_eq!(judge.hold(), judge.verdict() != before);
                }
                ']' => {
                    doubted = false;
                    judge.pardon();
                }
                probe => {
                    let now = Duration::from_secs(second as u64);
                    let change = judge.step(outcome(probe), now, &thresholds, doubted);
                    assert_eq!(change.unwrap_or(before), judge.verdict());
                    assert_ne!(change, Some(before));
                }
            }
            seen.push(match judge.verdict() {
                Verdict::Unknown => "?",
                Verdict::Healthy => "H",
                Verdict::Suspect => "S",
                Verdict::Held => "D",
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
            ("pfffpfpp", "HSSURRRH"),
            ("pfffpfff", "HSSURRRU"),
            ("fffppf", "??URHS"),
            ("i", "?"),
            ("iffifii", "????UUU"),
            ("pfiifif", "HSSSSSU"),
            ("pfffipip", "HSSUURRH"),
            // What fails in doubt is held, comes back with one answer, and has to fail anew when doubt is over.
            ("p[fffffp", "HHSSDDDH"),
            ("p[ffff]fffff", "HHSSDDDDDUUU"),
            ("p[ffff]ffpff", "HHSSDDDDDHSS"),
            ("p[ff]ff", "HHSSSSS"),
            ("p[ff]fff", "HHSSSSSU"),
            ("[fff]fff", "???DDDDU"),
            ("[fff]p", "???DDH"),
            // What went out just before is doubted too; what was out stays so.
            ("pfff[p", "HSSUDH"),
            ("pfffp[f]fff", "HSSURDDDDDU"),
            ("pfffpff[f]ff", "HSSURRRDDDDD"),
            ("pffffpf]ff", "HSSUURRRRR"),
            ("pffff]p", "HSSUUUR"),
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
    fn who_flaps_has_to_answer_for_long_and_no_longer_than_the_cap() {
        let mut judge = Judge::default();
        judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
        for round in 0..20_u32 {
            // At the fast interval of 2 s: at once, a minute, two, four.
            let needed = [2, 32, 64, 128][round.min(3) as usize];
            for _ in 0..3 {
                judge.step(Outcome::Fail, Duration::ZERO, &DEFAULTS, false);
            }
            assert_eq!(judge.needed(&DEFAULTS), needed, "round {round}");
            for _ in 1..needed {
                judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
                assert_eq!(judge.verdict(), Verdict::Recovering);
            }
            judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
            assert_eq!(judge.verdict(), Verdict::Healthy);
        }
    }

    #[test]
    fn a_quiet_ten_minutes_forgive_flaps() {
        let exit = |judge: &mut Judge, second: u64| {
            for _ in 0..3 {
                judge.step(Outcome::Fail, Duration::from_secs(second), &DEFAULTS, false);
            }
            let needed = judge.needed(&DEFAULTS);
            for _ in 0..needed {
                judge.step(Outcome::Pass, Duration::from_secs(second), &DEFAULTS, false);
            }
            needed
        };
        let mut judge = Judge::default();
        judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
        assert_eq!(exit(&mut judge, 10), 2);
        assert_eq!(exit(&mut judge, 609), 32);
        assert_eq!(exit(&mut judge, 1209), 2);
    }

    #[test]
    fn an_endpoint_that_was_never_in_does_not_flap() {
        let mut judge = Judge::default();
        for second in 0..100 {
            judge.step(Outcome::Fail, Duration::from_secs(second), &DEFAULTS, false);
        }
        assert_eq!(judge.needed(&DEFAULTS), 2);
    }

    #[test]
    fn what_was_doubted_does_not_flap() {
        let mut judge = Judge::default();
        let mut exits = |doubted: bool| {
            judge.step(Outcome::Pass, Duration::ZERO, &DEFAULTS, doubted);
            for _ in 0..3 {
                judge.step(Outcome::Fail, Duration::ZERO, &DEFAULTS, doubted);
            }
            judge.hold();
            judge.needed(&DEFAULTS)
        };
        assert_eq!([true, false, true, false].map(&mut exits), [2; 4]);
    }

    #[test]
    fn a_verdict_that_may_turn_is_probed_fast() {
        for (probes, expected) in [
            ("", false),
            ("i", false),
            ("f", true),
            ("p", false),
            ("pf", true),
            ("fff", false),
            ("fffp", true),
        ] {
            let mut judge = Judge::default();
            for letter in probes.chars() {
                judge.step(outcome(letter), Duration::ZERO, &DEFAULTS, false);
            }
            assert_eq!(judge.is_turning(&DEFAULTS), expected, "{probes}");
        }
        let mut held = Judge::default();
        let fails = |judge: &mut Judge, doubted| {
            judge.step(Outcome::Fail, Duration::ZERO, &DEFAULTS, doubted);
            judge.is_turning(&DEFAULTS)
        };
        assert_eq!([true; 4].map(|doubted| fails(&mut held, doubted)), [true, true, false, false]);
        held.pardon();
        assert!(!held.is_turning(&DEFAULTS));
        assert_eq!([false; 3].map(|doubted| fails(&mut held, doubted)), [true, true, false]);
    }

    proptest! {
        #[test]
        fn nothing_goes_out_without_fall_failures_in_a_row(
            probes in "[pfffi\\[\\]]{0,200}", fall in 1..6_u32, rise in 1..5_u32,
        ) {
            let thresholds = Thresholds { fall, rise };
            let mut judge = Judge::default();
            let (mut run, mut doubted) = (0, false);
            let out = |verdict| verdict == Verdict::Unhealthy;
            for (second, letter) in probes.chars().enumerate() {
                let was_out = out(judge.verdict());
                // Failures in a row, all of them while there was no doubt.
                run = match letter { 'f' if !doubted => run + 1, 'p' | '[' | ']' => 0, _ => run };
                match letter {
                    '[' => doubted = { judge.hold(); true },
                    ']' => doubted = { judge.pardon(); false },
                    probe => {
                        let now = Duration::from_secs(second as u64);
                        judge.step(outcome(probe), now, &thresholds, doubted);
                    }
                }
                if out(judge.verdict()) && !was_out {
                    prop_assert!(letter == 'f' && !doubted && run >= fall);
                }
                if !doubted && run >= fall {
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
                all.step(outcome(letter), now, &DEFAULTS, false);
                if letter != 'i' {
                    conclusive.step(outcome(letter), now, &DEFAULTS, false);
                }
                prop_assert_eq!(all, conclusive);
            }
        }
    }
}
