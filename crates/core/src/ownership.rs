//! The mark that every record set of ours carries: whose it is, for which Service, and which member gave which address.
//!
//! One line of text, so that every provider can keep it: in record-set metadata, in a JSON field, or in a TXT.
//!
//! Invariant: it is visible ASCII and spaces, and whoever names a part cannot forge another: parts are values whose types
//! have no separators, or are percent-encoded.

pub mod external_dns;
mod packed;
pub mod txt;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;

use arcstr::ArcStr;
use thiserror::Error;

use crate::address::Address;
use crate::member_name::MemberName;
use crate::name::Label;
use crate::overrides::{Override, Overrides};
use crate::probe::ProbeSpec;
use crate::routing::Routing;
use crate::service::ServiceKey;
use crate::small_set::SmallSet;
use crate::text::printable;

pub use packed::{pack, unpack};
pub use writer::Writer;

/// What one member had to say about a Service when the record set was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The member's region.
    pub region: Option<Label>,
    /// The member's zones.
    pub zones: BTreeSet<Label>,
    /// How its endpoints are probed.
    pub probe: ProbeSpec,
    /// Its addresses, those that are out of DNS at the moment too: they are probed again after a restart.
    pub addresses: SmallSet<Address>,
    /// The Service that has them there, where it is not the one of the record set: several share the name.
    pub service: Option<ServiceKey>,
}

/// What an override begins with.
const OVERRIDE: &str = " override=";
/// What the process that wrote it begins with; it comes last, and says nothing of the record.
const WRITER: &str = " writer=";

/// Ownership and origin of one record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Owner id: the fleet's name unless the config says otherwise.
    pub owner: Label,
    /// The Service for which the set was written.
    pub service: ServiceKey,
    /// Which of its members the Service asks for, where it does not leave that to the zone.
    pub routing: Option<Routing>,
    /// What each member gave.
    pub members: BTreeMap<MemberName, Contribution>,
    /// What stands there and nobody is known to have given: the mark that told was lost.
    pub unattributed: BTreeSet<Address>,
    /// Overrides that concern it: kept here for a daemon without a state directory.
    pub overrides: Overrides,
}

impl Ownership {
    /// The Service of a member's share.
    pub fn service_of<'a>(&'a self, share: &'a Contribution) -> &'a ServiceKey {
        share.service.as_ref().unwrap_or(&self.service)
    }

    /// All Services that have the name: the one of the record set, and those that share it.
    pub fn services(&self) -> BTreeSet<&ServiceKey> {
        self.members.values().map(|share| self.service_of(share)).chain([&self.service]).collect()
    }
}

/// `v=1 owner=fed service=default/web routing=failover member=west;westus;1,2;tcp:80;203.0.113.1,2001:db8::1 member=… unattributed=… override=…`
///
/// The Service of a member follows its addresses where it is another one: `member=east;;;tcp:80;203.0.113.2;default/api`.
impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=1 owner={} service={}", self.owner, self.service)?;
        if let Some(routing) = self.routing {
            write!(f, " routing={}", routing.as_str())?;
        }
        for (name, share) in &self.members {
            let region = share.region.as_ref().map_or("", Label::as_str);
            write!(f, " member={name};{region};")?;
            join(f, share.zones.iter())?;
            write!(f, ";{};", share.probe)?;
            join(f, share.addresses.iter())?;
            if let Some(service) = &share.service {
                write!(f, ";{service}")?;
            }
        }
        if !self.unattributed.is_empty() {
            f.write_str(" unattributed=")?;
            join(f, self.unattributed.iter())?;
        }
        self.overrides.iter().try_for_each(|entry| write!(f, "{OVERRIDE}{}", entry.to_line()))
    }
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

/// Not the text of an [`Ownership`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the ownership text '{text}' has a part that cannot be read: '{part}'")]
pub struct BadEvidence {
    /// The whole text.
    pub text: String,
    /// The part.
    pub part: String,
}

impl FromStr for Ownership {
    type Err = BadEvidence;

    fn from_str(text: &str) -> Result<Self, BadEvidence> {
        let bad = |part: &str| {
            let part = printable(part).into_owned();
            BadEvidence { text: printable(text).into_owned(), part }
        };
        // What a part needs beyond these is escaped in it.
        if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(bad(text));
        }
        let (said, writer) =
            text.split_once(WRITER).map_or((text, None), |(said, writer)| (said, Some(writer)));
        if writer.is_some_and(|writer| writer.parse::<Writer>().is_err()) {
            return Err(bad("writer"));
        }
        let mut parts = said.split(' ');
        if parts.next() != Some("v=1") {
            return Err(bad("v"));
        }
        let owner = parts.next().and_then(|part| part.strip_prefix("owner=")).and_then(|v| v.parse().ok());
        let service =
            parts.next().and_then(|part| part.strip_prefix("service=")).and_then(|v| v.parse().ok());
        let (mut members, mut unattributed, mut overrides) =
            (BTreeMap::new(), BTreeSet::new(), Overrides::default());
        let mut routing = None;
        for part in parts {
            if let Some(text) = part.strip_prefix("routing=") {
                let read = text.parse().map_err(|_| bad(part))?;
                if routing.replace(read).is_some() {
                    return Err(bad(part));
                }
                continue;
            }
            if let Some(addresses) = part.strip_prefix("unattributed=") {
                let first = unattributed.is_empty();
                unattributed = list(addresses)
                    .filter(|all: &BTreeSet<_>| first && !all.is_empty())
                    .ok_or_else(|| bad(part))?;
                continue;
            }
            if let Some(line) = part.strip_prefix(OVERRIDE.trim_start()) {
                overrides.set(Override::from_line(line).map_err(|_| bad(part))?);
                continue;
            }
            let (name, share) =
                part.strip_prefix("member=").and_then(parse_share).ok_or_else(|| bad(part))?;
            if members.insert(name, share).is_some() {
                return Err(bad(part));
            }
        }
        Ok(Self {
            owner: owner.ok_or_else(|| bad("owner"))?,
            service: service.ok_or_else(|| bad("service"))?,
            routing,
            members,
            unattributed,
            overrides,
        })
    }
}

fn parse_share(text: &str) -> Option<(MemberName, Contribution)> {
    let mut fields = text.split(';');
    let mut next = || fields.next();
    let name = next()?.parse().ok()?;
    let region = Some(next()?).filter(|r| !r.is_empty()).map(str::parse).transpose().ok()?;
    let zones = list(next()?)?;
    let probe = next()?.parse().ok()?;
    let addresses = list(next()?)?;
    let service = fields.next().map(str::parse).transpose().ok()?;
    fields.next().is_none().then_some((name, Contribution { region, zones, probe, addresses, service }))
}

fn list<T: FromStr, S: FromIterator<T> + Default>(text: &str) -> Option<S> {
    if text.is_empty() {
        return Some(S::default());
    }
    text.split(',').map(|item| item.parse().ok()).collect()
}

/// Whether a text that cannot be read begins as a mark of this owner: it was damaged, or a newer version wrote it. What
/// stands further behind may have come from anybody.
fn claims_owner(text: &str, owner: &Label) -> bool {
    let mut parts = text.split(' ');
    parts.next().is_some_and(|version| version.starts_with("v="))
        && parts.next().and_then(|part| part.strip_prefix("owner=")) == Some(owner.as_str())
}

/// An ownership record as it is kept in memory: as its text, which takes a tenth of the room of what it says.
///
/// Invariant: the text is one that can be read.
/// Invariant: two are equal when they say the same of a record, whoever wrote them.
#[derive(Debug, Clone)]
pub struct OwnershipRecord(ArcStr);

impl PartialEq for OwnershipRecord {
    fn eq(&self, other: &Self) -> bool {
        ArcStr::ptr_eq(&self.0, &other.0) || self.said() == other.said()
    }
}

impl Eq for OwnershipRecord {}

impl OwnershipRecord {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, with the process that writes it.
    pub fn of(ownership: &Ownership, writer: Option<Writer>) -> Self {
        match writer {
            Some(writer) => Self(format!("{ownership}{WRITER}{writer}").into()),
            None => Self::from(ownership),
        }
    }

    /// Without the process that wrote it.
    fn said(&self) -> &str {
        self.0.find(WRITER).map_or(&*self.0, |end| &self.0[..end])
    }

    /// Whether it says this. It is read only where it has other words for it: nothing of ours has.
    pub fn says(&self, ownership: &Ownership) -> bool {
        let mut rest = Rest(self.said());
        let same = write!(rest, "{ownership}").is_ok() && rest.0.is_empty();
        same || self.0.parse().is_ok_and(|read: Ownership| read == *ownership)
    }

    /// The process that wrote it.
    pub fn writer(&self) -> Option<Writer> {
        self.0.rsplit_once(WRITER)?.1.parse().ok()
    }

    /// Whether it is one of this owner.
    pub fn is_of(&self, owner: &Label) -> bool {
        claims_owner(&self.0, owner)
    }

    /// The owner id in it.
    pub fn owner(&self) -> Option<Label> {
        self.0.split(' ').find_map(|part| part.strip_prefix("owner=")?.parse().ok())
    }
}

/// What is left of a text after all that was written agreed with it.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

impl From<&Ownership> for OwnershipRecord {
    fn from(ownership: &Ownership) -> Self {
        Self(ownership.to_string().into())
    }
}

impl FromStr for OwnershipRecord {
    type Err = BadEvidence;

    fn from_str(text: &str) -> Result<Self, BadEvidence> {
        text.parse::<Ownership>().map(|_| Self(text.into()))
    }
}

impl fmt::Display for OwnershipRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose a record set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Ours; the mark is `None` when only the owner could be read of it.
    Ours(Option<OwnershipRecord>),
    /// Somebody else's, or nobody's.
    Foreign,
}

impl Owner {
    /// Ours, with this mark.
    pub fn of(mark: &OwnershipRecord) -> Self {
        Self::Ours(Some(mark.clone()))
    }

    /// Reads an ownership text. Another owner, no text, or a text that is not ours to read is foreign.
    pub fn read(text: Option<&str>, owner: &Label) -> Self {
        let Some(text) = text else { return Self::Foreign };
        match text.parse::<Ownership>() {
            Ok(ownership) if ownership.owner == *owner => Self::Ours(Some(OwnershipRecord(text.into()))),
            Ok(_) => Self::Foreign,
            Err(_) if claims_owner(text, owner) => Self::Ours(None),
            Err(_) => Self::Foreign,
        }
    }

    /// Whether it is ours.
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// The mark, when it is ours and can be read.
    pub const fn mark(&self) -> Option<&OwnershipRecord> {
        match self {
            Self::Ours(Some(mark)) => Some(mark),
            _ => None,
        }
    }

    /// The overrides that the mark keeps: most keep nothing, and are not read.
    pub fn overrides(&self) -> Vec<Override> {
        let keeps = self.mark().is_some_and(|mark| mark.as_str().contains(OVERRIDE));
        let ownership = keeps.then(|| self.ownership()).flatten();
        ownership.iter().flat_map(|one| one.overrides.iter()).cloned().collect()
    }

    /// What the mark says; it is read again each time.
    pub fn ownership(&self) -> Option<Ownership> {
        self.mark()?.as_str().parse().ok()
    }
}

#[cfg(test)]
mod tests;
