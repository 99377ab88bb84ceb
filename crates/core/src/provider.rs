//! The one trait: what a DNS backend can do for one zone.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::brakes::ApprovedPlan;
use crate::name::DnsName;
use crate::observed::{Observed, Sets};
use crate::record::Ttl;

/// What a backend can represent. The planner refuses the rest, visibly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `*` as leftmost label.
    pub wildcards: bool,
    /// Records at the zone's own name.
    pub apex: bool,
    /// Whether a query for a name is answered with the records below it too (CoreDNS's etcd plugin).
    pub answers_subtree: bool,
    /// Smallest and largest TTL that are stored.
    pub ttl: (Ttl, Ttl),
    /// Most values in one record set.
    pub max_values: usize,
    /// A CNAME to a name below one of these is served as an alias of the backend's own, which is no CNAME in the DNS: it
    /// may stand at the zone's apex, and other types beside it. Never addresses, which it has itself.
    pub alias_below: Arc<[DnsName]>,
    /// Each replica of the daemon has a copy of its own, which it writes whoever leads: a file, or a server in the
    /// process.
    pub own_copy: bool,
}

impl Capabilities {
    /// Whether a CNAME to this name is served as an alias of the backend's own.
    pub fn serves_as_alias(&self, target: &DnsName) -> bool {
        self.alias_below.iter().any(|suffix| target.is_below(suffix))
    }
}

impl Default for Capabilities {
    /// A backend that does what the DNS standards say.
    fn default() -> Self {
        Self {
            wildcards: true,
            apex: true,
            answers_subtree: false,
            ttl: (Ttl::new(0).unwrap_or(Ttl::DEFAULT), Ttl::MAX),
            max_values: usize::MAX,
            alias_below: Arc::new([]),
            own_copy: false,
        }
    }
}

/// Everything that one listing gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// All record sets of the zone.
    pub observed: Observed,
    /// Entries that could not be read, one sentence each; they are left alone. See [`Unreadable`](crate::Unreadable).
    pub unreadable: Vec<String>,
}

/// The result of one name of a plan.
#[derive(Debug)]
pub enum Outcome {
    /// Written; the record sets at the name now.
    Done(Sets),
    /// Another writer changed the name: nothing was written, the zone has to be listed again.
    Conflict,
    /// Not written. [`ProviderError::Rejected`] is a fault of this name alone, which is tried again after a pause of its
    /// own; any other error is a fault of the whole zone.
    Failed(ProviderError),
    /// The backend took one part of the change and left another out, or it is not known what it took: the name has to be
    /// read and written again at once.
    Incomplete {
        /// What is known of it, as a sentence for an operator.
        problem: String,
    },
    /// Not tried, because a fault of the zone ended the work first. No fault of this name.
    NotTried,
}

/// What became of a plan: one entry for each of its names.
#[derive(Debug, Default)]
pub struct Applied {
    /// Outcomes in no special order.
    pub names: Vec<(DnsName, Outcome)>,
}

/// Any error of a library below a provider.
pub type Source = Box<dyn StdError + Send + Sync>;

/// Why a provider could not do its work, by what the caller does next.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// Cannot be reached, or is having a fault of its own: try again with growing pauses.
    #[error("{endpoint} does not answer while trying to {action}")]
    Unavailable {
        /// Whom we asked.
        endpoint: String,
        /// What for, as an infinitive.
        action: &'static str,
        /// Why, when a library said.
        #[source]
        source: Option<Source>,
    },
    /// We are asked to wait.
    #[error("{endpoint} asks to wait {seconds} s")]
    Throttled {
        /// Who asks.
        endpoint: String,
        /// How long.
        seconds: u64,
    },
    /// A person has to mend something: a right, a credential, a zone that is not there.
    #[error("{endpoint} refuses to {action}: {problem}; {remedy}")]
    Denied {
        /// Who refuses.
        endpoint: String,
        /// What, as an infinitive.
        action: &'static str,
        /// What it says.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The record cannot be written as it is; others can.
    #[error("the record cannot be written: {problem}")]
    Rejected {
        /// Why.
        problem: String,
    },
}

/// A number that a provider measures of its zone besides what everybody knows of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// How it moves.
    pub kind: MeasureKind,
    /// In the metrics `fleetdns_zone_NAME`, and `_total` behind it for a counter: small letters and `_`, the unit last.
    pub name: &'static str,
    /// One sentence, without a full stop.
    pub help: &'static str,
    /// Now.
    pub value: f64,
}

/// How a number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// Up and down.
    Gauge,
    /// Only up, since the start.
    Counter,
}

/// One line of what `fleetdns check` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub good: bool,
    /// What was looked at and what it is like; when bad, what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.good { "ok  " } else { "FAIL" };
        write!(f, "{mark} {}", self.text)
    }
}

/// A DNS backend, bound to one zone and one owner id.
///
/// Invariant: nothing is written but by [`Provider::apply`], which takes an approved plan only.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What the backend can represent.
    fn capabilities(&self) -> Capabilities;

    /// Every record set of the zone, ours and others'.
    ///
    /// # Errors
    /// When the list is not complete: half a zone is never returned.
    async fn list(&self) -> Result<Listing, ProviderError>;

    /// Writes an approved plan, with a condition on each name that it still is as the plan saw it. One name's fault
    /// never stops the others.
    async fn apply(&self, plan: &ApprovedPlan) -> Applied;

    /// Looks, without changing anything, whether the zone can be read, and whether names below `suffix` can be written:
    /// a right for that part of the zone is enough. Returns at least one finding.
    async fn check(&self, suffix: &DnsName) -> Vec<Finding>;

    /// Start-up of the daemon has converged: what was written so far is all that it found for the zone. A backend of which
    /// each process has a copy of its own answers from now on, though it had nothing to answer from before.
    async fn converged(&self) {}

    /// What is measured of the zone at the moment, without asking anybody.
    fn measures(&self) -> Vec<Measure> {
        Vec::new()
    }
}
