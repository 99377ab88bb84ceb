//! One record set, for programs and for people.

use serde::{Deserialize, Serialize};

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
