//! Rows of what is printed, for programs and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use fleetdns_core::plan::{HeldChange, Refused};
use fleetdns_core::record::RecordSet;

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetLine {
    /// Owner name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Values in order.
    pub values: Vec<String>,
}

impl From<&RecordSet> for SetLine {
    fn from(set: &RecordSet) -> Self {
        Self {
            name: set.name.to_string(),
            record_type: set.data.record_type().to_string(),
            ttl: set.ttl.seconds(),
            values: set.data.values(),
        }
    }
}

/// A brake that holds something at a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldLine {
    /// Owner name.
    pub name: String,
    /// The brake in one word.
    pub brake: String,
    /// What has happened.
    pub reason: String,
    /// When it ends.
    pub until: String,
}

impl From<&HeldChange> for HeldLine {
    fn from(HeldChange { name, reason }: &HeldChange) -> Self {
        let (brake, until) = (reason.kind().to_owned(), reason.until().to_owned());
        Self { name: name.to_string(), brake, reason: reason.why(), until }
    }
}

/// Without the name.
impl fmt::Display for HeldLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; until {}", self.brake, self.reason, self.until)
    }
}

/// A name and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// Owner name, or what was given in its place.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl From<&Refused> for Reason {
    fn from(Refused { name, reason }: &Refused) -> Self {
        Self { name: name.to_string(), reason: reason.to_string() }
    }
}
