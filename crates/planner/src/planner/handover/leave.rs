//! Why a name is not adopted.

use std::fmt;
use std::sync::Arc;

use fleetdns_core::name::DnsName;
use fleetdns_core::plan::Refusal;

/// Why a name stays theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// No Service of the fleet that has an address asks for it.
    Unclaimed,
    /// fleetdns would not write it.
    Refused(Refusal),
    /// Its record set is one that fleetdns cannot read.
    Shape(Arc<str>),
    /// Beside external-dns's ownership record there are other values.
    Mixed(DnsName),
    /// Another ownership record of external-dns names another owner.
    Rival(DnsName),
    /// external-dns's ownership record seems to be encrypted.
    Sealed(DnsName),
    /// external-dns keeps its ownership record at a name that fleetdns cannot read.
    Place,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclaimed => f.write_str("no Service of the fleet with an address asks for it"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Shape(record_type) => {
                write!(f, "its {record_type} record is one that fleetdns cannot read, such as an alias or a routing policy")
            }
            Self::Mixed(at) => write!(f, "the TXT record of {at} has other values too; remove external-dns's by hand"),
            Self::Rival(at) => write!(f, "the TXT record of {at} names another owner; remove it by hand"),
            Self::Sealed(at) => {
                write!(f, "the TXT record of {at} seems to be encrypted; let external-dns rewrite it without --txt-encrypt-enabled")
            }
            Self::Place => f.write_str(
                "external-dns keeps the TXT record of a wildcard at a name with '*' in a label; let it rewrite it with \
                 --txt-wildcard-replacement",
            ),
        }
    }
}
