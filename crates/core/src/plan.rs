//! The difference between what is desired and what exists: a value that prints itself.

use std::fmt;

use crate::hold::Hold;
use crate::name::DnsName;
use crate::observed::ObservedSet;
use crate::ownership::OwnershipRecord;
use crate::record::{RecordSet, RecordType};

mod refusal;

pub use refusal::{Refusal, Refused, Title};

/// Why a record set is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No member has the Service, or the address, any more.
    ServiceGone,
    /// Only members that were removed from the config had it.
    MemberDeparted,
    /// Another type takes its place at the name.
    TypeChange,
    /// All endpoints of this address family are down, and the other family answers.
    FamilyDown,
    /// All endpoints are down, and `all-down = empty` was asked for.
    AllDown,
    /// A person forced everything out that could stand there.
    ForcedOut,
    /// It was asked for, and a federation name needs its place.
    Evicted,
    /// An operator gives the zone up, with its records.
    ZoneReleased,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceGone => "no cluster has it any more",
            Self::MemberDeparted => "its clusters are no longer configured",
            Self::TypeChange => "another type takes its place",
            Self::FamilyDown => "all its endpoints are down",
            Self::AllDown => "all endpoints are down and all-down = empty",
            Self::ForcedOut => "forced out by an operator",
            Self::Evicted => "a federation name takes its place",
            Self::ZoneReleased => "the zone is given up with its records",
        })
    }
}

/// One change of one record set.
///
/// Invariant: deleting is a verb of its own and has a cause; a set that is written is never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing of this type is there.
    Create {
        /// The set to write.
        set: RecordSet,
        /// Its ownership record.
        mark: OwnershipRecord,
    },
    /// A set of ours has other values, another TTL or another mark.
    Update {
        /// As it was read.
        before: ObservedSet,
        /// As it has to be.
        set: RecordSet,
        /// Its ownership record.
        mark: OwnershipRecord,
    },
    /// A set of ours has to go.
    Delete {
        /// As it was read.
        before: ObservedSet,
        /// Its type.
        record_type: RecordType,
        /// Why.
        cause: Cause,
    },
    /// A set of another program becomes ours. Its values and its TTL stay.
    Adopt {
        /// As it was read.
        before: ObservedSet,
        /// The same values and TTL.
        set: RecordSet,
        /// Its ownership record.
        mark: OwnershipRecord,
        /// The other program's ownership records of it, as they were read: they are deleted in the same write, or set aside
        /// before it and deleted after it where the backend has no such write.
        theirs: Vec<(DnsName, ObservedSet)>,
    },
    /// A set of ours becomes nobody's: its ownership record goes, its values and its TTL stay.
    Release {
        /// As it was read.
        before: ObservedSet,
        /// The same values and TTL.
        set: RecordSet,
    },
}

impl Change {
    /// `create`, `update`, `delete`, `adopt` or `release`.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Adopt { .. } => "adopt",
            Self::Release { .. } => "release",
        }
    }

    /// The type that is written or deleted.
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::Create { set, .. }
            | Self::Update { set, .. }
            | Self::Adopt { set, .. }
            | Self::Release { set, .. } => set.data.record_type(),
            Self::Delete { record_type, .. } => *record_type,
        }
    }

    /// What is there afterwards, with its ownership record; a set that was released has none.
    pub const fn after(&self) -> Option<(&RecordSet, Option<&OwnershipRecord>)> {
        match self {
            Self::Create { set, mark } | Self::Update { set, mark, .. } | Self::Adopt { set, mark, .. } => {
                Some((set, Some(mark)))
            }
            Self::Release { set, .. } => Some((set, None)),
            Self::Delete { .. } => None,
        }
    }

    /// The ownership record of what is there afterwards.
    pub const fn mark_mut(&mut self) -> Option<&mut OwnershipRecord> {
        match self {
            Self::Create { mark, .. } | Self::Update { mark, .. } | Self::Adopt { mark, .. } => Some(mark),
            Self::Delete { .. } | Self::Release { .. } => None,
        }
    }

    /// What was there before.
    pub const fn before(&self) -> Option<&ObservedSet> {
        match self {
            Self::Create { .. } => None,
            Self::Update { before, .. }
            | Self::Delete { before, .. }
            | Self::Adopt { before, .. }
            | Self::Release { before, .. } => Some(before),
        }
    }

    /// Whether what was there may be changed: it is ours, or it is adopted.
    pub const fn is_allowed(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Adopt { .. } => true,
            Self::Update { before, .. } | Self::Delete { before, .. } | Self::Release { before, .. } => {
                before.claim.is_ours()
            }
        }
    }

    /// The ownership records of another program that go.
    pub fn theirs(&self) -> &[(DnsName, ObservedSet)] {
        match self {
            Self::Adopt { theirs, .. } => theirs,
            _ => &[],
        }
    }
}

/// All changes at one name, deletions first: one unit that a provider applies at once where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// Owner name (RFC 9499).
    pub name: DnsName,
    /// Never empty; deletions first.
    pub changes: Vec<Change>,
}

impl NameChange {
    /// Whether nothing of ours is left at the name.
    pub fn vanishes(&self) -> bool {
        self.changes.iter().all(|change| matches!(change, Change::Delete { .. }))
    }
}

/// A name of which something is kept against the override of inventory or health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldChange {
    /// The name.
    pub name: DnsName,
    /// The brake.
    pub reason: Hold,
}

/// What has to change in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The zone.
    pub zone: DnsName,
    /// Changes by name.
    pub changes: Vec<NameChange>,
    /// What is kept by a brake.
    pub held: Vec<HeldChange>,
    /// What is wanted and not written.
    pub refused: Vec<Refused>,
    /// Names in the zone that are ours.
    pub owned: usize,
}

impl Plan {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "zone {}: {} names change, {} are ours", self.zone, self.changes.len(), self.owned)?;
        for NameChange { name, changes } in &self.changes {
            for change in changes {
                match change {
                    Change::Create { set, .. } => writeln!(f, "  + {set}")?,
                    Change::Update { before, set, .. }
                        if before.ours() == Some(&set.data) && before.ttl == set.ttl =>
                    {
                        writeln!(f, "  ~ {set}  (ownership record)")?;
                    }
                    Change::Update { before, set, .. } => writeln!(f, "  ~ {set}  (was {before})")?,
                    Change::Delete { before, cause, .. } => writeln!(f, "  - {name} {before}  ({cause})")?,
                    Change::Adopt { set, theirs, .. } => {
                        writeln!(f, "  > {set}  (becomes ours)")?;
                        theirs.iter().try_for_each(|(at, set)| writeln!(f, "  - {at} {set}"))?;
                    }
                    Change::Release { set, .. } => writeln!(f, "  < {set}  (stays, is ours no more)")?,
                }
            }
        }
        for HeldChange { name, reason } in &self.held {
            writeln!(f, "  = {name}  held: {reason}")?;
        }
        for Refused { name, reason } in &self.refused {
            writeln!(f, "  ! {name}  refused: {reason}")?;
        }
        Ok(())
    }
}
