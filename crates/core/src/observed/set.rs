//! One record set that exists.

use std::fmt;
use std::sync::Arc;

use arcstr::ArcStr;

use crate::ownership::{Owner, external_dns};
use crate::record::{RecordData, RecordType, Ttl};

/// What a provider needs to prove that a record set is still as it was read: an etag, revisions, the exact values.
/// Only the provider that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version(pub ArcStr);

/// Longest name of a type; a longer one is none.
const MOST_OF_A_TYPE: usize = 20;
/// Most values of a TXT set that is kept with them.
const MOST_TEXTS: usize = 1000;
const TXT: &str = "TXT";

/// The values of a record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One of the types that are written, with values that could be read.
    Known(RecordData),
    /// The same in a shape that its provider would not give it: half of what it writes for these values, or what an
    /// older version wrote. To be written again even when the values are right.
    Misshapen(Box<RecordData>),
    /// A TXT set that may be the ownership record of another program: its values without quotes, strings put together.
    Text(Arc<[Box<str>]>),
    /// Anything else: only the type is known. Never ours to change.
    Other(Arc<str>),
}

impl Content {
    /// Anything else than the types that are written, by the name of its type as a backend tells it.
    pub fn other(type_name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let known = (1..=MOST_OF_A_TYPE).contains(&type_name.len()) && type_name.bytes().all(plain);
        Self::Other(if known { type_name.into() } else { "unknown".into() })
    }

    /// The values of a TXT set, which are kept where another program may own records by them.
    pub fn text<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Self {
        if values.clone().any(external_dns::may_be_mark) && values.clone().count() <= MOST_TEXTS {
            Self::Text(values.map(Box::from).collect())
        } else {
            Self::Other(TXT.into())
        }
    }

    /// The values, when they could be read.
    pub const fn data(&self) -> Option<&RecordData> {
        match self {
            Self::Known(data) => Some(data),
            Self::Misshapen(data) => Some(data),
            Self::Text(_) | Self::Other(_) => None,
        }
    }

    /// The type, when it is one that is written.
    pub const fn record_type(&self) -> Option<RecordType> {
        match self.data() {
            Some(data) => Some(data.record_type()),
            None => None,
        }
    }
}

/// A record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSet {
    /// TTL as it is stored.
    pub ttl: Ttl,
    /// Type and values.
    pub content: Content,
    /// Whose it is.
    pub claim: Owner,
    /// Proof for conditional writes.
    pub version: Version,
}

impl ObservedSet {
    /// The values, when the set is ours.
    pub const fn ours(&self) -> Option<&RecordData> {
        if self.claim.is_ours() { self.content.data() } else { None }
    }

    /// Whether a query for addresses may be answered from it: A, AAAA and CNAME sets, and pseudo-types such as ALIAS, ANAME
    /// and LUA, of which every vendor has its own.
    pub fn answers_for_addresses(&self) -> bool {
        let name = self.type_name();
        // RFC 3597 §5; the types for private use are vendors' (RFC 6895 §3.1).
        let number = name.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
        let answers = |number| number >= FIRST_PRIVATE || WRITTEN.contains(&number);
        number.map_or_else(|| !SILENT.contains(&name), answers)
    }

    /// Type as text, for a person.
    pub fn type_name(&self) -> &str {
        match &self.content {
            Content::Known(data) => data.record_type().as_str(),
            Content::Misshapen(data) => data.record_type().as_str(),
            Content::Text(_) => TXT,
            Content::Other(name) => name,
        }
    }
}

impl fmt::Display for ObservedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content.data() {
            Some(data) => write!(f, "{} {} {}", self.ttl, data.record_type(), data.values().join(" ")),
            None => write!(f, "{} {} …", self.ttl, self.type_name()),
        }
    }
}

/// A, CNAME and AAAA by their numbers.
const WRITTEN: [u16; 3] = [1, 5, 28];

/// First type number for private use.
const FIRST_PRIVATE: u16 = 65_280;

/// Types from which no query for addresses is answered (IANA, DNS parameters, resource record types).
#[rustfmt::skip]
const SILENT: [&str; 60] = [
    "AFSDB", "AMTRELAY", "APL", "AVC", "CAA", "CDNSKEY", "CDS", "CERT", "CSYNC", "DHCID", "DLV", "DNAME", "DNSKEY", "DOA",
    "DS", "EUI48", "EUI64", "GPOS", "HINFO", "HIP", "HTTPS", "IPSECKEY", "ISDN", "KEY", "KX", "L32", "L64", "LOC", "LP",
    "MINFO", "MX", "NAPTR", "NID", "NS", "NSEC", "NSEC3", "NSEC3PARAM", "OPENPGPKEY", "PTR", "PX", "RESINFO", "RP", "RRSIG",
    "RT", "SIG", "SMIMEA", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TA", "TALINK", "TLSA", "TXT", "URI", "WALLET", "WKS",
    "X25", "ZONEMD",
];
