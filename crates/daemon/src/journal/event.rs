//! One event, as the admin API and the audit file have it: one JSON object.

use std::fmt;

use fleetdns_core::{MemberName, ServiceKey, Verdict};
use serde::{Deserialize, Serialize};

use super::query::Query;

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The daemon started.
    Started,
    /// An address came to a name.
    In,
    /// An address left a name.
    Out,
    /// A name that is wanted is not written.
    Refused,
    /// A brake keeps something at a name.
    Held,
    /// No brake keeps anything at a name any more.
    Released,
    /// Probe results are distrusted: nothing goes because of probes.
    SelfCheckFailed,
    /// It no longer does.
    SelfCheckPassed,
    /// A person said something of a part of the fleet.
    Override,
    /// It was taken back, or its time is over.
    OverrideOver,
    /// A cluster's inventory is in another state.
    Cluster,
    /// A zone cannot be read or written.
    ZoneFault,
    /// It can again.
    ZoneMended,
    /// Events that never came to the audit file.
    Lost,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Started,
        Self::In,
        Self::Out,
        Self::Refused,
        Self::Held,
        Self::Released,
        Self::SelfCheckFailed,
        Self::SelfCheckPassed,
        Self::Override,
        Self::OverrideOver,
        Self::Cluster,
        Self::ZoneFault,
        Self::ZoneMended,
        Self::Lost,
    ];

    /// In kebab case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::In => "in",
            Self::Out => "out",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Released => "released",
            Self::SelfCheckFailed => "self-check-failed",
            Self::SelfCheckPassed => "self-check-passed",
            Self::Override => "override",
            Self::OverrideOver => "override-over",
            Self::Cluster => "cluster",
            Self::ZoneFault => "zone-fault",
            Self::ZoneMended => "zone-mended",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the prober knew of an address when it moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How it is probed, in one word.
    pub probe: String,
    /// The verdict.
    pub verdict: String,
    /// Failures since the last success.
    pub failures: u32,
    /// Successes since the last failure.
    pub successes: u32,
    /// What the last probe said: `answered`, or its error.
    pub last: String,
}

/// What happened. What does not apply is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// Kind of event.
    pub kind: Kind,
    /// The zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of the Service for which the name stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of that Service in its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Clusters that give the address, or that the event is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Why: a word for moves, a sentence otherwise.
    pub cause: String,
    /// What the prober knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What the provider made of it: `written`, `conflict: …` or `failed: …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl What {
    /// An event of some kind, with nothing else.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            zone: None,
            name: None,
            namespace: None,
            service: None,
            address: None,
            clusters: Vec::new(),
            cause: cause.into(),
            evidence: None,
            answer: None,
        }
    }

    /// In a zone.
    #[must_use]
    pub fn zone(mut self, zone: impl fmt::Display) -> Self {
        self.zone = Some(zone.to_string());
        self
    }

    /// At a name.
    #[must_use]
    pub fn name(mut self, name: impl fmt::Display) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Of a namespace, when it is known.
    #[must_use]
    pub fn namespace(mut self, namespace: Option<&str>) -> Self {
        self.namespace = namespace.map(str::to_owned);
        self
    }

    /// Of a Service, when it is known.
    #[must_use]
    pub fn service(mut self, service: Option<&ServiceKey>) -> Self {
        self.service = service.map(|service| service.name().to_owned());
        self.namespace(service.map(ServiceKey::namespace))
    }

    /// Of clusters.
    #[must_use]
    pub fn clusters<'a>(mut self, clusters: impl IntoIterator<Item = &'a MemberName>) -> Self {
        self.clusters = clusters.into_iter().map(ToString::to_string).collect();
        self
    }

    pub(super) fn matches(&self, query: &Query) -> bool {
        let normal = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        let name = query.name.as_ref().is_none_or(|name| self.name.as_deref() == Some(&normal(name)));
        name && query.cluster.as_ref().is_none_or(|cluster| self.clusters.contains(cluster))
    }
}

/// One event with its number and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 in each run of the daemon.
    pub seq: u64,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// One line for people.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.time, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, zone, name, address, clusters, cause, evidence, answer, .. } = self;
        write!(f, "{kind:<11}")?;
        if let Some(name) = name.as_ref().or(zone.as_ref()) {
            write!(f, "  {name}")?;
        }
        if let Some(address) = address {
            write!(f, "  {address}")?;
        }
        if !clusters.is_empty() {
            write!(f, "  ({})", clusters.join(", "))?;
        }
        if !cause.is_empty() {
            write!(f, "  {cause}")?;
        }
        if let Some(evidence) = evidence {
            write!(f, ", {evidence}")?;
        }
        match answer.as_deref() {
            Some(answer) => write!(f, "; {answer}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, verdict, failures, successes, last } = self;
        let (count, word) = match (failures, successes) {
            (0, 1) => (1, "success"),
            (0, count) => (*count, "successes"),
            (1, _) => (1, "failure"),
            (count, _) => (*count, "failures"),
        };
        if verdict != Verdict::Unhealthy.as_str() {
            write!(f, "{verdict}, ")?;
        }
        write!(f, "{count} {word} in a row at {probe}, the last: {last}")
    }
}
