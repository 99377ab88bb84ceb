//! The part of the planner that decides one name.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::decide::sole_hostname;
use crate::desired::address_verdict;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::plan::Refusal;
use fleetdns_core::probe::ProbeSpec;
use fleetdns_core::record::{NonEmpty, RecordData, RecordType};

/// What should stand at a name, and why not otherwise.
pub(super) struct Decision<'a> {
    pub(super) sets: Vec<RecordSet>,
    pub(super) ownership: Cow<'a, Ownership>,
    pub(super) hold: Option<Hold>,
    /// Why what is there goes, when it goes.
    pub(super) cause: Cause,
    pub(super) as_it_is: bool,
}

impl Planner {
    /// What the holder of a name wants there, after routing; `None` when nobody wants it.
    pub(crate) fn desired_at(&self, name: &DnsName, observed: &Observed) -> (Option<Desired>, Vec<Refused>) {
        let (mut desired, refused) = self.holder(name, observed);
        if let Some(desired) = &mut desired {
            desired.route(&self.zone, || observed.at(name));
        }
        (desired, refused)
    }

    /// What ought to stand at a name, as far as it can be served: what is there, where that is kept.
    pub(crate) fn sets_at(&self, name: &DnsName, observed: &Observed) -> Vec<RecordSet> {
        self.decide(name, observed).0.unwrap_or_default()
    }

    /// What should stand at a name; `None` when nobody wants it or it cannot be served at all.
    pub(super) fn decide(
        &self,
        name: &DnsName,
        observed: &Observed,
    ) -> (Option<Vec<RecordSet>>, Vec<Refused>) {
        let (desired, refused) = self.desired_at(name, observed);
        let wanted = (desired.as_ref(), refused);
        let (decision, refused) = self.decide_desired(name, wanted, observed.at(name), observed);
        (decision.map(|decision| decision.sets), refused)
    }

    pub(super) fn decide_desired<'a>(
        &self,
        name: &DnsName,
        (desired, mut refused): (Option<&'a Desired>, Vec<Refused>),
        there: &[ObservedSet],
        observed: &Observed,
    ) -> (Option<Decision<'a>>, Vec<Refused>) {
        let refuse = |reason| Refused { name: name.as_str().into(), reason };
        let Some(desired) = desired else { return (None, refused) };
        if let Some(reason) = self.unservable(name, observed) {
            refused.push(refuse(reason));
            return (None, refused);
        }
        // Each way of probing once, however many addresses are probed so.
        let known: RefCell<BTreeMap<ProbeSpec, bool>> = RefCell::default();
        let proven = |spec: &ProbeSpec| {
            *known.borrow_mut().entry(spec.clone()).or_insert_with(|| self.proven(&desired.ownership, spec))
        };
        let brakes = self.brakes(&proven);
        let denied = self.denied_target(desired);
        refused.extend(denied.clone().map(|why| refuse(Refusal::Invalid(why))));
        let bare = denied.is_some()
            || *name == self.zone.zone
                && !sole_hostname(desired)
                    .is_some_and(|(target, _)| self.capabilities.serves_as_alias(target));
        let NameDecision { answer, ownership, hold } = decide(desired, there, bare, &brakes);
        let mut decision =
            Decision { sets: Vec::new(), ownership, hold, cause: Cause::TypeChange, as_it_is: false };
        let ttl = desired.ttl.clamp(self.capabilities.ttl.0, self.capabilities.ttl.1);
        match answer {
            Answer::Sets(sets) if sets.contains(&RecordData::Cname(name.clone())) => {
                refused.push(refuse(Refusal::Invalid("a CNAME cannot point at its own name".into())));
                return (None, refused);
            }
            Answer::Sets(sets) => {
                decision.cause = if sets.iter().any(|data| data.record_type() == RecordType::Cname) {
                    Cause::TypeChange
                } else {
                    family_cause(desired)
                };
                let limit = self.capabilities.max_values.min(self.brakes.max_addresses);
                for data in sets {
                    let values = data.count();
                    if values > limit {
                        refused.push(refuse(Refusal::TooManyValues { values, limit }));
                    }
                    let data = within(data, there, limit);
                    decision.sets.push(RecordSet { name: name.clone(), ttl, data });
                }
            }
            Answer::Nothing(cause) => decision.cause = cause,
            Answer::AsItIs => {
                decision.as_it_is = true;
                decision.sets = there.iter().filter_map(|set| as_set(name, set)).collect();
                if bare && unresolved(desired) {
                    refused.push(refuse(Refusal::ApexCname));
                }
            }
        }
        if let Some(reason) = self.hold_departure(&mut decision, there) {
            decision.hold.get_or_insert(reason);
        }
        (Some(decision), refused)
    }

    /// Why the only host name of a name cannot stand as it is: clients would follow it to an address that is denied.
    fn denied_target(&self, desired: &Desired) -> Option<Arc<str>> {
        let (target, _) = sole_hostname(desired)?;
        let ips = self.input.health.resolved.get(target)?;
        let service = |member: &MemberName| {
            self.input.snapshot.members.get(member)?.services.get(desired.service_in(Some(member)))
        };
        let mut probes = desired.ownership.members.keys().filter_map(service).map(|service| &service.probe);
        let denied = probes.find_map(|probe| {
            ips.iter().find_map(|ip| self.input.health.addresses.check(*ip, probe).err())
        })?;
        let what = "resolves to a denied address, and its others are written in place of a CNAME";
        Some(format!("{target} {what}: {denied}").into())
    }

    /// Whether probing in this way works: a majority of the Services' endpoints that are probed so answer.
    fn proven(&self, ownership: &Ownership, spec: &ProbeSpec) -> bool {
        let services = ownership.services().into_iter();
        let parts = services.flat_map(|key| self.input.parts(key));
        let here = parts
            .filter(|(member, service)| member.inventory != Inventory::Removed && *service.probe == *spec);
        let verdicts: Vec<bool> = here
            .flat_map(|(member, service)| {
                let addresses = service.addresses.iter().flatten();
                addresses
                    .map(|address| address_verdict(&self.input.health, &member.name, address, &service.probe))
            })
            .map(|verdict| verdict.is_in() == Some(true))
            .collect();
        verdicts.iter().filter(|passes| **passes).count() * 2 > verdicts.len()
    }

    /// While nothing goes at all, what a removed member gave stays too.
    fn hold_departure(&self, decision: &mut Decision<'_>, there: &[ObservedSet]) -> Option<Hold> {
        let freeze = self.freeze()?;
        let removes = decision.sets.is_empty() && there.iter().any(|set| set.ours().is_some());
        if !removes || decision.as_it_is {
            return None;
        }
        decision.as_it_is = true;
        Some(freeze)
    }
}

/// As many values as there may be: those that are there first.
fn within(data: RecordData, there: &[ObservedSet], limit: usize) -> RecordData {
    fn keep<T: Ord + Copy>(all: NonEmpty<T>, there: Option<&NonEmpty<T>>, limit: usize) -> NonEmpty<T> {
        if all.len() <= limit {
            return all;
        }
        let stands = |value: &T| there.is_some_and(|there| there.contains(value));
        let (old, new): (Vec<T>, Vec<T>) = all.iter().copied().partition(stands);
        NonEmpty::new(old.into_iter().chain(new).take(limit)).unwrap_or(all)
    }
    let ours = || there.iter().filter_map(ObservedSet::ours);
    match data {
        RecordData::A(all) => {
            let there = ours().find_map(|data| if let RecordData::A(ips) = data { Some(ips) } else { None });
            RecordData::A(keep(all, there, limit))
        }
        RecordData::Aaaa(all) => {
            let there =
                ours().find_map(|data| if let RecordData::Aaaa(ips) = data { Some(ips) } else { None });
            RecordData::Aaaa(keep(all, there, limit))
        }
        alias @ RecordData::Cname(_) => alias,
    }
}

/// Why one address family goes while the other stays.
fn family_cause(desired: &Desired) -> Cause {
    let down = desired.candidates.values().any(|candidate| candidate.alive() == Some(false));
    if down { Cause::FamilyDown } else { Cause::ServiceGone }
}

fn unresolved(desired: &Desired) -> bool {
    desired
        .candidates
        .iter()
        .any(|(address, candidate)| matches!(address, Address::Hostname(_)) && candidate.resolved.is_none())
}

fn as_set(name: &DnsName, set: &ObservedSet) -> Option<RecordSet> {
    set.ours().map(|data| RecordSet { name: name.clone(), ttl: set.ttl, data: data.clone() })
}
