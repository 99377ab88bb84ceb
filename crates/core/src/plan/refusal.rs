//! Why something that is wanted is not written.

use std::fmt;
use std::sync::Arc;

use crate::member_name::MemberName;
use crate::name::DnsName;
use crate::service::ServiceKey;

/// Why a Service has a name for which several ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Title {
    /// It is the Service's federation name.
    Spelt,
    /// The Service had it before.
    Had,
    /// Nothing says who had it, and it is the oldest Service.
    Oldest,
    /// Nothing says who had it, and others are as old.
    Lot,
}

/// Why a name is not written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Somebody else has a record set there.
    Foreign {
        /// Its type.
        record_type: Arc<str>,
    },
    /// Another Service has the name.
    Claimed {
        /// Who has it.
        holder: ServiceKey,
        /// Who asks for it.
        asked_by: ServiceKey,
        /// Why the holder has it.
        title: Title,
    },
    /// Another Service that shares the name has it in this member.
    Shared {
        /// The member.
        member: MemberName,
        /// Who has it there.
        holder: ServiceKey,
        /// Who asks for it.
        asked_by: ServiceKey,
    },
    /// Another Service had the name until a moment ago, and is expected back.
    Kept {
        /// Who had it.
        holder: ServiceKey,
        /// Who asks for it.
        asked_by: ServiceKey,
    },
    /// The provider has no wildcards.
    Wildcard,
    /// A CNAME cannot stand at the apex (RFC 1034 §3.6.2).
    ApexCname,
    /// The provider would answer a query for one of the two names with the records of the other.
    Overlap {
        /// The other name.
        with: DnsName,
    },
    /// There are more values than one set may have; those that were there before stay.
    TooManyValues {
        /// How many there are.
        values: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The name lies below a delegation or a DNAME record, so that no query for it is answered from this zone (RFC 1034
    /// §4.2.1, RFC 6672 §2.4).
    ZoneCut {
        /// Where the delegation or DNAME record is.
        at: DnsName,
        /// `NS` or `DNAME`.
        record_type: Arc<str>,
    },
    /// The backend can never hold the name, or would never answer for it.
    Backend(Arc<str>),
    /// The name cannot exist, or the Service says something that cannot be used.
    Invalid(Arc<str>),
}

impl Refusal {
    /// All kinds.
    pub const KINDS: [&str; 9] =
        ["foreign", "claimed", "wildcard", "apex", "overlap", "limit", "zone-cut", "backend", "invalid"];

    /// The reason in one word, such as `foreign`: its text begins with it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign",
            Self::Claimed { .. } | Self::Shared { .. } | Self::Kept { .. } => "claimed",
            Self::Wildcard => "wildcard",
            Self::ApexCname => "apex",
            Self::Overlap { .. } => "overlap",
            Self::TooManyValues { .. } => "limit",
            Self::ZoneCut { .. } => "zone-cut",
            Self::Backend(_) => "backend",
            Self::Invalid(_) => "invalid",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { record_type } => {
                write!(f, "foreign: somebody else's {record_type} record stands at this name")
            }
            Self::Claimed { holder, asked_by, title } => {
                let why = match title {
                    Title::Spelt | Title::Had => "",
                    Title::Oldest => "; no record says which Service had it before, the oldest one has it",
                    Title::Lot => {
                        "; no record says which Service had it before and both are equally old, a hash decides"
                    }
                };
                write!(f, "claimed: {holder} has this name, {asked_by} asks for it too{why}")
            }
            Self::Shared { member, holder, asked_by } => {
                write!(f, "claimed: {holder} has this shared name in {member}, {asked_by} asks for it too")
            }
            Self::Kept { holder, asked_by } => write!(
                f,
                "claimed: {asked_by} asks for this name, which is kept for {holder}: it has no address, or was deleted less \
                 than hostname-grace ago"
            ),
            Self::Wildcard => f.write_str("wildcard: this provider cannot serve wildcard records"),
            Self::ApexCname => f.write_str("apex: a CNAME cannot stand at the zone's apex"),
            Self::Overlap { with } => {
                write!(f, "overlap: this provider would mix its answers with those of {with}")
            }
            Self::TooManyValues { values, limit } => {
                write!(f, "limit: {limit} of {values} addresses are written, no more are allowed at one name")
            }
            Self::ZoneCut { at, record_type } => write!(
                f,
                "zone-cut: the {record_type} record of {at} sends queries for this name elsewhere, a record here is never answered"
            ),
            Self::Backend(why) => write!(f, "backend: {why}"),
            Self::Invalid(why) => write!(f, "invalid: {why}"),
        }
    }
}

/// Something that is wanted and not written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The name, or what was given in its place.
    pub name: Arc<str>,
    /// Why.
    pub reason: Refusal,
}
