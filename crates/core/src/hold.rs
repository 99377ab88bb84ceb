//! Why a removal is held: the brake, its facts, and when it ends.

use std::fmt;
use std::sync::Arc;

use crate::member_name::MemberName;

/// Why something that would have been removed is kept for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Start-up waits for this.
    StartUp(Arc<str>),
    /// `removals = off`.
    RemovalsOff,
    /// This prober seems to be cut off.
    Vantage,
    /// It failed together with more than half of the fleet.
    Correlation,
    /// It failed while probe results were distrusted.
    Suspended,
    /// It was dead, was not removed in time, and answers again.
    Recovering,
    /// More would be removed within a minute than may.
    Velocity,
    /// The settings of its probe changed.
    NewProbe,
    /// Fewer than `min-kept` addresses would be left.
    Floor,
    /// Every endpoint is down: the last set stays, or what the members have now where nothing of it is left.
    AllDown,
    /// An address has no verdict yet, or is a host name that was never resolved.
    Undecided,
    /// No ownership record says who gave it, and a member that might have was never listed.
    Unattributed,
    /// The member that gave it has addresses now of which none can be used.
    Unreadable,
    /// This member gave it, and was never listed whole since the start.
    Unlisted(MemberName),
    /// Too many names would be deleted at once.
    MaxDelete {
        /// Names that would be deleted, as far as they count for this one.
        deleted: usize,
        /// Names that are ours.
        owned: usize,
        /// The limit in percent.
        percent: u8,
    },
}

impl Hold {
    /// All kinds.
    pub const KINDS: [&str; 15] = [
        "start-up",
        "removals-off",
        "vantage",
        "correlation",
        "suspended",
        "recovering",
        "velocity",
        "new-probe",
        "floor",
        "all-down",
        "undecided",
        "unattributed",
        "unreadable",
        "unlisted",
        "max-delete",
    ];

    /// The brake in one word, such as `velocity`.
    pub const fn kind(&self) -> &'static str {
        self.row().0
    }

    /// When it ends, in words.
    pub const fn until(&self) -> &'static str {
        self.row().1
    }

    /// What has happened, in words, without the brake's name.
    pub fn why(&self) -> String {
        match self {
            Self::StartUp(what) => what.to_string(),
            Self::Unlisted(member) => format!("{member} gave it and was never listed"),
            Self::MaxDelete { deleted, owned, percent } => {
                format!("{deleted} of {owned} names would be deleted, more than {percent} %")
            }
            _ => self.row().2.to_owned(),
        }
    }

    /// Kind, end, and reason where it has no facts.
    const fn row(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::StartUp(_) => ("start-up", "each cluster is listed or timed out", ""),
            Self::RemovalsOff => ("removals-off", "removals is on", "a removal is due"),
            Self::Vantage => {
                ("vantage", "canaries or endpoints answer again", "this prober seems to be cut off")
            }
            Self::Correlation => (
                "correlation",
                "they recover, fleetdns confirm-outage confirms it, or correlation-hold ends",
                "it failed together with more than half of all endpoints",
            ),
            Self::Suspended => {
                ("suspended", "its next probes decide", "it failed while probe results were distrusted")
            }
            Self::Recovering => (
                "recovering",
                "it has recovered or fails again",
                "it was down but never removed, and answers again",
            ),
            Self::Velocity => ("velocity", "a slot is free", "removals this minute reached max-removals"),
            Self::NewProbe => (
                "new-probe",
                "a majority of the Service's endpoints passes with the new ones",
                "its probe settings changed",
            ),
            Self::Floor => ("floor", "others answer", "fewer than min-kept addresses would be left"),
            Self::AllDown => (
                "all-down",
                "an address answers",
                "no healthy address left; the name keeps its last addresses",
            ),
            Self::Undecided => (
                "undecided",
                "it has a verdict",
                "an address has no verdict yet, or is a host name that was never resolved",
            ),
            Self::Unattributed => (
                "unattributed",
                "each cluster is listed",
                "no record says who gave it, and a cluster was never listed",
            ),
            Self::Unreadable => (
                "unreadable",
                "one can be used",
                "none of the addresses that its Service has now can be used",
            ),
            Self::Unlisted(_) => ("unlisted", "it is listed", ""),
            Self::MaxDelete { .. } => ("max-delete", "fewer are due, or max-delete is raised", ""),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; until {}", self.kind(), self.why(), self.until())
    }
}
