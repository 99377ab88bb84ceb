//! One probe key, and what a probe makes of it.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::Verdict;

/// A probe key, by a small number that whoever probes it returns it, and may give again once it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

/// Where an endpoint belongs: the member that has its Service, and the Service's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The member.
    pub member: MemberName,
    /// The namespace.
    pub namespace: Arc<str>,
}

/// What came back from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reachability {
    /// An answer of the other side, right or wrong.
    Reached,
    /// A connection, and then no answer on it.
    Hung,
    /// A refusal or a reset: of the other side, or of a firewall that answers in its name.
    Refused,
    /// Nothing, or a router's word that there is no way.
    Unreached,
    /// The probe failed on our side.
    Inconclusive,
}

/// One probe that has ended. Times are on any clock that does not run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// When it began.
    pub started: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What came back.
    pub reachability: Reachability,
    /// The verdict that follows.
    pub verdict: Verdict,
    /// Failures in a row up to now.
    pub failures: u32,
    /// The next probe comes no sooner than is usual.
    pub calm: bool,
    /// A probe of the key takes no longer than is usual.
    pub prompt: bool,
}

/// What a failure that has just been seen is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// As much as any.
    Counts,
    /// As much as any, and those before it nothing: they were held.
    Fresh,
    /// It removes nothing: the failure in force holds it.
    Held,
    /// Nothing: the probe began during a failure that is over.
    Void,
}

/// What is to be known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// No probe has said anything yet.
    #[default]
    New,
    /// Healthy.
    Good,
    /// Failed, and not yet often enough to be out.
    Suspect,
    /// Went out lately, or within the episode that stands.
    Out,
    /// Is out, or will be, and does not count: it went out long ago, or a person said so. Ends when it is healthy.
    Past,
}

impl State {
    pub(super) const fn is_bad(self) -> bool {
        matches!(self, Self::Suspect | Self::Out)
    }
}

/// A key's place in one cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    pub(super) cell: u32,
    /// Endpoints there that share the key.
    pub(super) claims: u32,
    pub(super) speaks: bool,
}

pub(super) type Seats = SmallVec<[Membership; 1]>;

/// All that is known of a key.
#[derive(Debug, Default)]
pub(super) struct KeyState {
    pub(super) seats: Seats,
    pub(super) state: State,
    pub(super) reachability: Option<Reachability>,
    /// Something was heard of it since it appeared.
    pub(super) was_heard: bool,
    /// It was healthy since it appeared: without, it cannot have gone bad.
    pub(super) was_healthy: bool,
    /// It is probed at the slow interval: asking it out of turn does not hurry its verdict.
    pub(super) calm: bool,
    /// A probe of it takes no longer than is usual.
    pub(super) prompt: bool,
    /// Canaries of which it is an address.
    pub(super) canaries: u32,
    /// When the last probe that it passed began.
    pub(super) passed: Duration,
    /// When it went out.
    pub(super) since: Duration,
    /// It failed when last probed.
    pub(super) fails: bool,
    /// It is out by a verdict that is trusted.
    pub(super) is_out: bool,
    /// Its failures are held by the failure in force.
    pub(super) held: bool,
}

impl KeyState {
    /// Whether it can say whether we see: a speaker of a member, or a canary.
    pub(super) fn is_asked(&self) -> bool {
        self.canaries > 0 || self.speaks()
    }

    pub(super) fn speaks(&self) -> bool {
        self.seats.iter().any(|membership| membership.speaks)
    }

    /// Whether it was healthy, and not only long ago.
    pub(super) const fn counts(&self) -> bool {
        self.was_healthy && matches!(self.state, State::Good | State::Suspect | State::Out)
    }
}

impl Probed {
    /// What the probe makes of a key.
    pub(super) const fn state(&self, before: State) -> State {
        match (before, self.verdict) {
            (_, Verdict::Healthy) => State::Good,
            (
                State::Past,
                Verdict::Suspect | Verdict::Suspended | Verdict::Unhealthy | Verdict::Recovering,
            ) => State::Past,
            (_, Verdict::Suspended | Verdict::Unhealthy | Verdict::Recovering) => State::Out,
            (_, Verdict::Suspect) => State::Suspect,
            (State::Past, Verdict::Unknown) => State::Past,
            (before, Verdict::Unknown) => {
                if self.failures == 0 {
                    before
                } else {
                    State::Suspect
                }
            }
        }
    }

    /// Whether the verdict is that it is out, and it is trusted.
    pub(super) const fn is_out(&self) -> bool {
        matches!(self.verdict, Verdict::Unhealthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_verdict_makes_of_a_key() {
        for (before, verdict, failures, after) in [
            (State::New, Verdict::Unknown, 0, State::New),
            (State::New, Verdict::Unknown, 1, State::Suspect),
            (State::Past, Verdict::Unknown, 1, State::Past),
            (State::Past, Verdict::Recovering, 0, State::Past),
            (State::Past, Verdict::Healthy, 0, State::Good),
            (State::Good, Verdict::Suspect, 1, State::Suspect),
            (State::Good, Verdict::Suspended, 3, State::Out),
            (State::Suspect, Verdict::Unhealthy, 3, State::Out),
        ] {
            let probed = Probed {
                started: Duration::ZERO,
                ended: Duration::ZERO,
                reachability: Reachability::Inconclusive,
                verdict,
                failures,
                calm: true,
                prompt: true,
            };
            assert_eq!(probed.state(before), after, "{before:?} {verdict:?} {failures}");
            assert_eq!(probed.is_out(), verdict == Verdict::Unhealthy);
            assert_eq!(after.is_bad(), matches!(after, State::Suspect | State::Out), "{after:?}");
        }
    }
}
