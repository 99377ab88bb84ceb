//! Records that change hands: another program's become ours, those of another owner id do, and ours become nobody's.
//!
//! Invariant: a record set that changes hands keeps its values and its TTL; the next pass changes them where they are to be
//! others.
//! Invariant: nothing becomes ours that the next pass would delete.

use std::fmt;

use fleetdns_core::observed::{Content, ObservedSet};
use fleetdns_core::ownership::external_dns::{Naming, Text};
use fleetdns_core::ownership::{Owner, Ownership, OwnershipRecord};
use fleetdns_core::plan::Refusal;
use fleetdns_core::record::RecordType;

use super::*;

/// What becomes ours, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Holds nothing but adoptions.
    pub plan: Plan,
    /// Names of theirs that stay theirs, each with the reason.
    pub left: Vec<(DnsName, Leave)>,
}

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

/// A name of ours that nobody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The name.
    pub name: DnsName,
    /// What is ours there.
    pub sets: Vec<ObservedSet>,
    /// Why the next pass keeps it; `None` when it deletes it.
    pub hold: Option<Hold>,
}

/// A record set of theirs, with their ownership records of it.
struct Theirs<'a> {
    set: &'a ObservedSet,
    marks: Vec<(DnsName, ObservedSet)>,
    service: Option<ServiceKey>,
}

impl Planner {
    /// Takes over what an external-dns owns, of the names that are `wanted`. Goes on where an adoption stopped half-way: at a
    /// set that is ours already, the ownership records of external-dns go.
    pub fn adopt_external_dns(
        &mut self,
        observed: &Observed,
        (naming, owner): (&Naming, &str),
        wanted: impl Fn(&DnsName) -> bool,
    ) -> Handover {
        let mut left = Vec::new();
        let mut names: Vec<(&DnsName, Vec<Theirs<'_>>)> = Vec::new();
        for (name, sets) in observed.iter().filter(|(name, _)| self.zone.takes(name) && wanted(name)) {
            let found =
                sets.iter().filter_map(|set| theirs(name, set, observed, (naming, owner)).transpose());
            match found.collect::<Result<Vec<_>, Leave>>() {
                Ok(found) if found.is_empty() => {}
                Ok(found) => names.push((name, found)),
                // Of these it is not known whose they are.
                Err(Leave::Place | Leave::Sealed(_)) if self.claims.at(name).is_empty() => {}
                Err(why) => left.push((name.clone(), why)),
            }
        }
        // Decided is what will be: as if all of it were ours.
        let mut ours = observed.clone();
        for (name, found) in &names {
            let sets = observed.at(name).iter().map(|set| match found.iter().any(|one| one.set == set) {
                true if !set.claim.is_ours() => ObservedSet { claim: Owner::Ours(None), ..set.clone() },
                _ => set.clone(),
            });
            ours.replace((*name).clone(), sets.collect());
            if let Some(service) = found.iter().find_map(|one| one.service.as_ref()) {
                self.assume_had(name, service);
            }
        }
        let found = names.into_iter().map(|(name, found)| {
            let adopt = |mark: &OwnershipRecord, one: Theirs<'_>| {
                let (before, set) = (one.set.clone(), same(name, one.set)?);
                Some(Change::Adopt { before, set, mark: mark.clone(), theirs: one.marks })
            };
            (
                name.clone(),
                self.mark(name, &ours).map(|mark| {
                    let mark = OwnershipRecord::from(&mark);
                    found.into_iter().filter_map(|one| adopt(&mark, one)).collect()
                }),
            )
        });
        self.handover(found, left, observed)
    }

    /// Takes over what stands under another owner id: `theirs` is the zone as that owner lists it, who also writes the plan.
    pub fn adopt_owner(&mut self, theirs: &Observed, wanted: impl Fn(&DnsName) -> bool) -> Handover {
        let names: Vec<&DnsName> =
            theirs.owned().filter(|name| self.zone.takes(name) && wanted(name)).collect();
        self.remember(names.iter().copied(), theirs);
        let found = names.into_iter().map(|name| {
            let update = |mark: &OwnershipRecord, before: &ObservedSet| {
                let set = before.ours().and_then(|_| same(name, before))?;
                Some(Change::Update { before: before.clone(), set, mark: mark.clone() })
            };
            let sets = theirs.at(name);
            (
                name.clone(),
                self.mark(name, theirs).map(|mut mark| {
                    // Drains are kept in the ownership records where there is no state directory.
                    for entry in sets.iter().flat_map(|set| set.claim.overrides()) {
                        mark.overrides.set_newer(&entry);
                    }
                    let mark = OwnershipRecord::from(&mark);
                    sets.iter().filter_map(|set| update(&mark, set)).collect()
                }),
            )
        });
        self.handover(found, Vec::new(), theirs)
    }

    /// Names of ours that nobody asks for, not even a Service without an address.
    pub fn orphans(&self, observed: &Observed) -> Vec<Orphan> {
        let claimed = |name: &DnsName| {
            self.claims.at(name).iter().chain(self.claims.idle_at(name)).any(|claim| !claim.removed)
        };
        let orphans = observed.owned().filter(|name| self.zone.takes(name) && !claimed(name));
        let orphan = |name: &DnsName| {
            let sets: Vec<ObservedSet> =
                observed.at(name).iter().filter(|set| set.ours().is_some()).cloned().collect();
            let hold = self.freeze().or_else(|| sets.iter().find_map(|set| self.of_unlisted(set)));
            Orphan { name: name.clone(), sets, hold }
        };
        orphans.map(orphan).collect()
    }

    fn handover(
        &self,
        found: impl Iterator<Item = (DnsName, Result<Vec<Change>, Leave>)>,
        left: Vec<(DnsName, Leave)>,
        observed: &Observed,
    ) -> Handover {
        let mut handover = Handover { plan: self.empty_plan(observed), left };
        for (name, changes) in found {
            match changes {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => handover.plan.changes.push(NameChange { name, changes }),
                Err(why) => handover.left.push((name, why)),
            }
        }
        handover.left.sort_by(|(one, _), (other, _)| one.cmp(other));
        handover
    }

    /// The ownership record that a name of theirs gets.
    fn mark(&self, name: &DnsName, observed: &Observed) -> Result<Ownership, Leave> {
        let why = |refused: Vec<Refused>| {
            refused.into_iter().next().map_or(Leave::Unclaimed, |refused| Leave::Refused(refused.reason))
        };
        let (desired, refused) = self.desired_at(name, observed);
        let lives = |desired: &Desired| {
            !(desired.removed || desired.candidates.is_empty() && desired.standby.is_empty())
        };
        let Some(desired) = desired.filter(lives) else { return Err(why(refused)) };
        if let (None, refused) = self.decide(name, observed) {
            return Err(why(refused));
        }
        let mut mark = desired.ownership;
        for address in observed.at(name).iter().filter_map(ObservedSet::ours).flat_map(addresses_of) {
            if !mark.members.values().any(|share| share.addresses.contains(&address)) {
                mark.unattributed.insert(address);
            }
        }
        Ok(mark)
    }
}

/// A zone that is given up: its records become nobody's, or are deleted.
pub fn release(zone: &ZoneSettings, observed: &Observed, records: bool) -> Plan {
    let change = |name: &DnsName, before: &ObservedSet| {
        let (set, before) = (before.ours().and_then(|_| same(name, before))?, before.clone());
        let record_type = set.data.record_type();
        Some(match records {
            true => Change::Delete { before, record_type, cause: Cause::ZoneReleased },
            false => Change::Release { before, set },
        })
    };
    let names = observed.owned().map(|name| {
        let changes = observed.at(name).iter().filter_map(|before| change(name, before)).collect();
        NameChange { name: name.clone(), changes }
    });
    Plan {
        zone: zone.zone.clone(),
        changes: names.filter(|change| !change.changes.is_empty()).collect(),
        held: Vec::new(),
        refused: Vec::new(),
        owned: observed.owned_count(),
    }
}

/// A record set as it stands.
fn same(name: &DnsName, set: &ObservedSet) -> Option<RecordSet> {
    Some(RecordSet { name: name.clone(), ttl: set.ttl, data: set.content.data()?.clone() })
}

/// What external-dns has of a record set; `None` of one that it does not own.
fn theirs<'a>(
    name: &DnsName,
    set: &'a ObservedSet,
    observed: &Observed,
    (naming, owner): (&Naming, &str),
) -> Result<Option<Theirs<'a>>, Leave> {
    let Ok(record_type) = set.type_name().parse::<RecordType>() else { return Ok(None) };
    let text = |at: &DnsName| {
        observed.at(at).iter().find_map(|there| match &there.content {
            Content::Text(values) => Some((there, values.iter().map(|value| &**value))),
            _ => None,
        })
    };
    let Ok(typed_at) = naming.typed(name, record_type) else {
        return if set.claim.is_ours() { Ok(None) } else { Err(Leave::Place) };
    };
    let mut found = Theirs { set, marks: Vec::new(), service: None };
    let mut of_another = false;
    let typed = |at: DnsName| text(&at).map(|(there, values)| (at, there, Text::or_sealed(values)));
    // That of an alias is at the name for a CNAME until v0.21.
    let alias = set.content.data().is_none().then(|| naming.typed(name, RecordType::Cname).ok()).flatten();
    let untyped = naming.untyped(name).and_then(|at| {
        let (there, values) = text(&at)?;
        Some((at, there, Text::of(values)))
    });
    // external-dns reads a name without the type for all types but AAAA, where there is none with it.
    let untyped = untyped.filter(|_| record_type != RecordType::Aaaa);
    for (at, there, text) in typed(typed_at).into_iter().chain(alias.and_then(typed)).chain(untyped) {
        match text {
            Text::Mark(mark) if mark.owner == owner && !of_another => {
                found.service = found.service.or(mark.service);
                found.marks.push((at, there.clone()));
            }
            Text::Mixed(of) if of == owner && !of_another => return Err(Leave::Mixed(at)),
            Text::Mark(_) | Text::Mixed(_) if !found.marks.is_empty() => return Err(Leave::Rival(at)),
            Text::Mark(_) | Text::Mixed(_) => of_another = true,
            Text::Sealed if !set.claim.is_ours() => return Err(Leave::Sealed(at)),
            Text::Sealed | Text::Other => {}
        }
    }
    if found.marks.is_empty() {
        return Ok(None);
    }
    match set.content.data() {
        Some(_) => Ok(Some(found)),
        None => Err(Leave::Shape(set.type_name().into())),
    }
}
