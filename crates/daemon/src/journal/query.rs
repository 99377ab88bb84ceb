//! What is asked of the journal.

use serde::Deserialize;

/// What is asked of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Events after this one.
    #[serde(default)]
    pub after: u64,
    /// The run of the daemon that `after` is of; in another run all events are new.
    #[serde(default)]
    pub run: Option<String>,
    /// How long to wait for an event, in seconds.
    #[serde(default)]
    pub wait: u64,
    /// Only of this name.
    #[serde(default)]
    pub name: Option<String>,
    /// Only of this cluster.
    #[serde(default)]
    pub cluster: Option<String>,
}
