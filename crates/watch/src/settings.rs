//! Members, and how they are watched.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Label, MemberName};
use fleetdns_planner::{ProbeDefaults, PublishSettings};

use crate::access::Access;
use crate::limits::Limits;

/// Where the configuration has a member from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// A section, or what stands in for sections.
    #[default]
    Config,
    /// A kubeconfig in the directory of `[discovery]`.
    File(PathBuf),
    /// A Secret of a host cluster, as `NAMESPACE/NAME`.
    Secret(String),
    /// A ClusterProfile of a host cluster, as `NAMESPACE/NAME`.
    Profile(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("dns.conf"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Secret(name) => write!(f, "secret {name}"),
            Self::Profile(name) => write!(f, "clusterprofile {name}"),
        }
    }
}

/// A member of the fleet, as the config returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its name.
    pub name: MemberName,
    /// How its API is reached.
    pub access: Access,
    /// Region; wins over what its nodes say.
    pub region: Option<Label>,
    /// Zones; win over what its nodes say unless there are none.
    pub zones: BTreeSet<Label>,
    /// How its endpoints are probed, where not as those of all members.
    pub probe: Option<ProbeDefaults>,
    /// How much its API may send.
    pub limits: Limits,
    /// A number that changes with the content of the files of its `access`: a new one means a new client.
    pub files: u64,
    /// A number of its API server ([`crate::endpoint`]): two members that share one are the same cluster. `None` where the
    /// kubeconfig cannot be used.
    pub endpoint: Option<u64>,
    /// Where it comes from.
    pub origin: Origin,
}

/// The members of the fleet, and how they are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The members.
    pub members: Vec<MemberConfig>,
    /// The same for all of them.
    pub settings: WatchSettings,
    /// Whether these are all, which says what becomes of a member that only the zones know.
    pub completeness: Completeness,
}

/// Whether all members are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Completeness {
    /// Not all sources have been read: a member that only the zones know is `stale` and keeps its records.
    #[default]
    Unread,
    /// All sources have been read: it is `removed`, unless there is more than one and most members are of that kind.
    Read,
    /// The configuration names all by itself, or an operator has confirmed it: it is `removed`.
    Confirmed,
}

/// How members are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// How Services are read.
    pub publish: PublishSettings,
    /// Label selector of the Services, evaluated by the server.
    pub selector: Option<String>,
    /// A member that is not listed by then is `stale` instead of `pending` (30 s).
    pub startup_timeout: Duration,
    /// An emptied load balancer status keeps its addresses for so long (30 s).
    pub grace: Duration,
    /// How long the host names of a Service that was deleted are kept for it.
    pub hostname_grace: Duration,
    /// A quiet watch is felt for after half of this (30 s); two requests in a row without an answer make it `stale`.
    pub stale_after: Duration,
    /// A list that misses half of the Services or more counts when another one, so much later, misses them too (30 s).
    pub confirm_after: Duration,
    /// A full list is made so often, to tell a rebuilt cluster from a live one (5 min).
    pub relist: Duration,
    /// A watch is renewed so often, since one that is silent may be dead (1 min).
    pub watch_time: Duration,
    /// Deadline of one request (10 s): of each page of a list, of the beginning of a watch, of making a client.
    pub request_timeout: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            publish: PublishSettings::default(),
            selector: None,
            startup_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            hostname_grace: Duration::from_secs(120),
            stale_after: Duration::from_secs(30),
            confirm_after: Duration::from_secs(30),
            relist: Duration::from_secs(300),
            watch_time: Duration::from_secs(60),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// What a member's task reports of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes on.
    Taken,
    /// The API answered: what is known of the member is as it is now.
    Answered,
    /// It has listed all Services.
    Listed,
}

/// How often a turn of a member's task is told at least, and whom.
pub type Turns = (Duration, Arc<dyn Fn(&MemberName, Turn) + Send + Sync>);
