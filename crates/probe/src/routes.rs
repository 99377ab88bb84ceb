//! Which addresses this machine has a route to.

use tokio::time::Instant;

use crate::answer::{Answer, Snag};
use crate::schedule::Row;
use fleetdns_core::Verdict;

/// When a probe last found a route, to whatever address.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    found: Option<Instant>,
}

impl Routes {
    /// Takes in a probe; returns whether its key cannot be probed from here: as many probes in a row as take an endpoint
    /// out (`fall`) had no route while others had one, as with an address family that is not routed; or as many were
    /// inconclusive and none ever said anything.
    pub(crate) fn is_blind(&mut self, row: &mut Row, answer: &Answer, started: Instant, fall: u32) -> bool {
        if *answer == Answer::Unclear(Snag::NoRoute) {
            let (count, first) = row.unrouted.unwrap_or((0, started));
            row.unrouted = Some((count.saturating_add(1), first));
        } else {
            row.unrouted = None;
            if !matches!(answer, Answer::Unclear(_)) {
                self.found = self.found.max(Some(started));
            }
        }
        // Without a route to anything it is this machine that is cut off, and verdicts stand.
        let lost = |(count, first)| count >= fall && self.found.is_some_and(|found| found >= first);
        let never = row.health_state.verdict() == Verdict::Unknown && row.unclear >= fall;
        never || row.unrouted.is_some_and(lost)
    }
}
