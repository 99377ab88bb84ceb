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
/// Invariant: only `fall` failures with no success between them, all of them while probe results were trusted, make a verdict
/// [`Verdict::Unhealthy`].
/// Invariant: [`Outcome::Inconclusive`] changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HealthState {
    verdict: Verdict,
    failures: u32,
    successes: u32,
    doublings: u8,
    /// Seconds on the caller's clock at which it last went out.
    went_out: Option<u32>,
}

impl HealthState {
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

    /// Takes in one probe; returns the new verdict if it is another one. `now` is any clock that does not run backwards.
    /// While probe results are distrusted (`distrusted`) nothing that was not out goes out.
    pub fn record(
        &mut self,
        outcome: Outcome,
        now: Duration,
        thresholds: &Thresholds,
        distrusted: bool,
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
                self.verdict = self.after_fail(thresholds, distrusted);
                if before.is_in() == Some(true) && self.verdict == Verdict::Unhealthy {
                    self.note_exit(now);
                }
            }
        }
        (self.verdict != before).then_some(self.verdict)
    }

    /// A self-check fails, and it went out so lately that this is distrusted too. Returns whether that changes its verdict.
    pub fn hold(&mut self) -> bool {
        let holds = matches!(self.verdict, Verdict::Unhealthy | Verdict::Recovering);
        if holds {
            // It may well not have flapped.
            *self = Self { verdict: Verdict::Suspended, failures: self.failures, ..Self::default() };
        }
        holds
    }

    /// The self-check passes again: failures up to now count for nothing, unless they are many enough already.
    pub const fn reset_failures(&mut self) {
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
            Verdict::Suspended => (1..thresholds.fall.max(1)).contains(&self.failures),
            Verdict::Healthy | Verdict::Unhealthy => false,
        }
    }

    fn after_pass(&self, thresholds: &Thresholds) -> Verdict {
        match self.verdict {
            Verdict::Unknown | Verdict::Healthy | Verdict::Suspect | Verdict::Suspended => Verdict::Healthy,
            Verdict::Unhealthy | Verdict::Recovering if self.successes >= self.needed(thresholds) => {
                Verdict::Healthy
            }
            Verdict::Unhealthy | Verdict::Recovering => Verdict::Recovering,
        }
    }

    fn after_fail(&self, thresholds: &Thresholds, distrusted: bool) -> Verdict {
        match self.verdict {
            Verdict::Unhealthy => Verdict::Unhealthy,
            Verdict::Recovering if distrusted || self.failures < thresholds.fall.max(1) => {
                Verdict::Recovering
            }
            Verdict::Recovering => Verdict::Unhealthy,
            _ if self.failures >= thresholds.fall.max(1) => {
                if distrusted {
                    Verdict::Suspended
                } else {
                    Verdict::Unhealthy
                }
            }
            Verdict::Unknown => Verdict::Unknown,
            Verdict::Suspended => Verdict::Suspended,
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

    /// Probes one second apart, `[` where the self-check fails and `]` where it passes again; returns each verdict by a letter.
    fn verdicts(probes: &str, thresholds: Thresholds) -> String {
        let mut health_state = HealthState::default();
        let mut seen = Vec::new();
        let mut distrusted = false;
        for (second, letter) in probes.chars().enumerate() {
            let before = health_state.verdict();
            match letter {
                '[' => {
                    distrusted = true;
                    assert_eq!(health_state.hold(), health_state.verdict() != before);
                }
                ']' => {
                    distrusted = false;
                    health_state.reset_failures();
                }
                probe => {
                    let now = Duration::from_secs(second as u64);
                    let change = health_state.record(outcome(probe), now, &thresholds, distrusted);
                    assert_eq!(change.unwrap_or(before), health_state.verdict());
                    assert_ne!(change, Some(before));
                }
            }
            seen.push(match health_state.verdict() {
                Verdict::Unknown => "?",
                Verdict::Healthy => "H",
                Verdict::Suspect => "S",
                Verdict::Suspended => "D",
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
            // What fails while results are distrusted is held, comes back with one answer, and has to fail again afterwards.
            ("p[fffffp", "HHSSDDDH"),
            ("p[ffff]fffff", "HHSSDDDDDUUU"),
            ("p[ffff]ffpff", "HHSSDDDDDHSS"),
            ("p[ff]ff", "HHSSSSS"),
            ("p[ff]fff", "HHSSSSSU"),
            ("[fff]fff", "???DDDDU"),
            ("[fff]p", "???DDH"),
            // What went out just before is distrusted too; what was out stays so.
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
        let mut health_state = HealthState::default();
        health_state.record(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
        for sweep in 0..20_u32 {
            // At the fast interval of 2 s: at once, a minute, two, four.
            let needed = [2, 32, 64, 128][sweep.min(3) as usize];
            for _ in 0..3 {
                health_state.record(Outcome::Fail, Duration::ZERO, &DEFAULTS, false);
            }
            assert_eq!(health_state.needed(&DEFAULTS), needed, "round {sweep}");
            for _ in 1..needed {
                health_state.record(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
                assert_eq!(health_state.verdict(), Verdict::Recovering);
            }
            health_state.record(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
            assert_eq!(health_state.verdict(), Verdict::Healthy);
        }
    }

    #[test]
    fn a_quiet_ten_minutes_forgive_flaps() {
        let exit = |health_state: &mut HealthState, second: u64| {
            for _ in 0..3 {
                health_state.record(Outcome::Fail, Duration::from_secs(second), &DEFAULTS, false);
            }
            let needed = health_state.needed(&DEFAULTS);
            for _ in 0..needed {
                health_state.record(Outcome::Pass, Duration::from_secs(second), &DEFAULTS, false);
            }
            needed
        };
        let mut health_state = HealthState::default();
        health_state.record(Outcome::Pass, Duration::ZERO, &DEFAULTS, false);
        assert_eq!(exit(&mut health_state, 10), 2);
        assert_eq!(exit(&mut health_state, 609), 32);
        assert_eq!(exit(&mut health_state, 1209), 2);
    }

    #[test]
    fn an_endpoint_that_was_never_in_does_not_flap() {
        let mut health_state = HealthState::default();
        for second in 0..100 {
            health_state.record(Outcome::Fail, Duration::from_secs(second), &DEFAULTS, false);
        }
        assert_eq!(health_state.needed(&DEFAULTS), 2);
    }

    #[test]
    fn what_was_distrusted_does_not_flap() {
        let mut health_state = HealthState::default();
        let mut exits = |distrusted: bool| {
            health_state.record(Outcome::Pass, Duration::ZERO, &DEFAULTS, distrusted);
            for _ in 0..3 {
                health_state.record(Outcome::Fail, Duration::ZERO, &DEFAULTS, distrusted);
            }
            health_state.hold();
            health_state.needed(&DEFAULTS)
        };
        assert_eq!([true, false, true, false].map(&mut exits), [2; 4]);
    }

    #[test]
    fn a_run_ends_with_the_first_probe_that_ends_otherwise() {
        let mut health_state = HealthState::default();
        for (probes, failures, successes) in [("ffi", 2, 0), ("pp", 0, 2), ("i", 0, 2), ("fff", 3, 0)] {
            for letter in probes.chars() {
                health_state.record(outcome(letter), Duration::ZERO, &DEFAULTS, false);
            }
            assert_eq!((health_state.failures(), health_state.successes()), (failures, successes));
        }
        assert!(health_state.hold());
        assert_eq!(health_state.failures(), 3, "they may yet turn out to be true");
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
            let mut health_state = HealthState::default();
            for letter in probes.chars() {
                health_state.record(outcome(letter), Duration::ZERO, &DEFAULTS, false);
            }
            assert_eq!(health_state.is_turning(&DEFAULTS), expected, "{probes}");
        }
        let mut held = HealthState::default();
        let fails = |health_state: &mut HealthState, distrusted| {
            health_state.record(Outcome::Fail, Duration::ZERO, &DEFAULTS, distrusted);
            health_state.is_turning(&DEFAULTS)
        };
        assert_eq!([true; 4].map(|distrusted| fails(&mut held, distrusted)), [true, true, false, false]);
        held.reset_failures();
        assert!(!held.is_turning(&DEFAULTS));
        assert_eq!([false; 3].map(|distrusted| fails(&mut held, distrusted)), [true, true, false]);
    }

    proptest! {
        #[test]
        fn nothing_goes_out_without_fall_failures_in_a_row(
            probes in "[pfffi\\[\\]]{0,200}", fall in 1..6_u32, rise in 1..5_u32,
        ) {
            let thresholds = Thresholds { fall, rise };
            let mut health_state = HealthState::default();
            let (mut run, mut distrusted) = (0, false);
            let out = |verdict| verdict == Verdict::Unhealthy;
            for (second, letter) in probes.chars().enumerate() {
                let was_out = out(health_state.verdict());
                // Failures in a row, all of them while results were trusted.
                run = match letter { 'f' if !distrusted => run + 1, 'p' | '[' | ']' => 0, _ => run };
                match letter {
                    '[' => distrusted = { health_state.hold(); true },
                    ']' => distrusted = { health_state.reset_failures(); false },
                    probe => {
                        let now = Duration::from_secs(second as u64);
                        health_state.record(outcome(probe), now, &thresholds, distrusted);
                    }
                }
                if out(health_state.verdict()) && !was_out {
                    prop_assert!(letter == 'f' && !distrusted && run >= fall);
                }
                if !distrusted && run >= fall {
                    prop_assert_eq!(health_state.verdict(), Verdict::Unhealthy);
                }
            }
        }

        #[test]
        fn inconclusive_probes_might_as_well_not_have_been(probes in "[pfi]{0,100}") {
            let mut all = HealthState::default();
            let mut conclusive = HealthState::default();
            for (second, letter) in probes.chars().enumerate() {
                let now = Duration::from_secs(second as u64);
                all.record(outcome(letter), now, &DEFAULTS, false);
                if letter != 'i' {
                    conclusive.record(outcome(letter), now, &DEFAULTS, false);
                }
                prop_assert_eq!(all, conclusive);
            }
        }
    }
}
