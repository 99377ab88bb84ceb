//! Records that change hands: another program's become ours, those of another owner id do, and ours become nobody's.
//!
//! Invariant: a record set that changes hands keeps its values and its TTL; the next pass changes them where they are to be
//! others.
//! Invariant: nothing becomes ours that no Service with an address asks for.

use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::external_dns::{Naming, adopting};
use fleetdns_core::ownership::{Owner, Ownership, OwnershipRecord};
use fleetdns_core::record::RecordType;

use super::*;

mod leave;
mod theirs;

pub use leave::Leave;
use theirs::{Theirs, of_external_dns};

/// What becomes ours, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Holds nothing but adoptions.
    pub plan: Plan,
    /// Names of theirs that stay theirs, each with the reason.
    pub left: Vec<(DnsName, Leave)>,
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

impl Planner {
    /// Takes over what an external-dns owns, of the names that are `wanted`. Goes on where an adoption stopped half-way: with what
    /// was set aside, and at a set that is ours already, where the ownership records of external-dns go.
    pub fn adopt_external_dns(
        &mut self,
        observed: &Observed,
        (naming, owner): (&Naming, &str),
        wanted: impl Fn(&DnsName) -> bool,
    ) -> Handover {
        let adopting = adopting(&self.zone.owner);
        let theirs = (naming, [owner, &*adopting]);
        let mut left = Vec::new();
        let mut names: Vec<(&DnsName, Vec<Theirs<'_>>)> = Vec::new();
        for (name, sets) in observed.iter().filter(|(name, _)| self.zone.takes(name) && wanted(name)) {
            let found =
                sets.iter().filter_map(|set| of_external_dns(name, set, observed, theirs).transpose());
            match found.collect::<Result<Vec<_>, Leave>>() {
                Ok(found) if found.is_empty() => {}
                Ok(found) => names.push((name, found)),
                // Of these it is not known whose they are.
                Err(Leave::Place | Leave::Sealed(_)) if self.claims.at(name).is_empty() => {}
                Err(why) => left.push((name.clone(), why)),
            }
        }
        for (name, found) in &names {
            if let Some(service) = found.iter().find_map(|one| one.service.as_ref()) {
                self.assume_had(name, service);
            }
        }
        self.adopt(names, left, observed)
    }

    /// Takes over what kubefed left at federation names, which carry no sign of whose they are: it has to have ended.
    pub fn adopt_kubefed(&mut self, observed: &Observed, wanted: impl Fn(&DnsName) -> bool) -> Handover {
        let mut left = Vec::new();
        let mut names: Vec<(&DnsName, Vec<Theirs<'_>>)> = Vec::new();
        for (name, sets) in observed.iter().filter(|(name, _)| self.is_federation_name(name) && wanted(name))
        {
            let foreign =
                |set: &&ObservedSet| !set.claim.is_ours() && set.type_name().parse::<RecordType>().is_ok();
            let sets: Vec<&ObservedSet> = sets.iter().filter(foreign).collect();
            match sets.iter().find(|set| set.content.data().is_none()) {
                Some(set) => left.push((name.clone(), Leave::Shape(set.type_name().into()))),
                None if sets.is_empty() => {}
                None => {
                    let theirs = |set| Theirs { set, marks: Vec::new(), service: None };
                    names.push((name, sets.into_iter().map(theirs).collect()));
                }
            }
        }
        self.adopt(names, left, observed)
    }

    /// Whether a name is one that the fleet may spell: `SERVICE.NAMESPACE.FLEET.svc[.ZONE][.REGION].SUFFIX`.
    fn is_federation_name(&self, name: &DnsName) -> bool {
        let Some(fleet) = &self.zone.fleet else { return false };
        let mut labels =
            name.relative_to(&self.zone.suffix).into_iter().flat_map(|labels| labels.split('.').skip(2));
        self.zone.takes(name) && labels.next() == Some(fleet.as_str()) && labels.next() == Some("svc")
    }

    fn adopt(
        &self,
        names: Vec<(&DnsName, Vec<Theirs<'_>>)>,
        left: Vec<(DnsName, Leave)>,
        observed: &Observed,
    ) -> Handover {
        // Decided is what will be: as if all of it were ours.
        let mut ours = observed.clone();
        for (name, found) in &names {
            let sets = observed.at(name).iter().map(|set| match found.iter().any(|one| one.set == set) {
                true if !set.claim.is_ours() => ObservedSet { claim: Owner::Ours(None), ..set.clone() },
                _ => set.clone(),
            });
            ours.replace((*name).clone(), sets.collect::<Vec<_>>());
        }
        let found = names.into_iter().map(|(name, found)| {
            let adopt = |mark: &OwnershipRecord, one: Theirs<'_>| {
                let (before, set) = (one.set.clone(), same(name, one.set)?);
                Some(Change::Adopt { before, set, mark: mark.clone(), theirs: one.marks })
            };
            let changes = self.mark(name, &ours).map(|mark| {
                let mark = OwnershipRecord::from(&mark);
                found.into_iter().filter_map(|one| adopt(&mark, one)).collect()
            });
            (name.clone(), changes)
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
        let Desired { ownership: mut mark, up, .. } = desired;
        let stands = |address: &Address| {
            address.hostname().is_some_and(|name| Some(name) == up.as_ref())
                || mark.members.values().any(|share| share.addresses.contains(address))
        };
        let there = observed.at(name).iter().filter_map(ObservedSet::ours).flat_map(addresses_of);
        mark.unattributed = there.filter(|address| !stands(address)).collect();
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
