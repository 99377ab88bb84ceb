//! The part of the planner that decides one name.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::claims::HostnameClaim;
use super::holder::Ruling;
use super::*;
use crate::decide::sole_hostname;
use crate::desired::address_verdict;
use fleetdns_core::observed::{Content, ObservedSet};
use fleetdns_core::ownership::{Ownership, OwnershipRecord};
use fleetdns_core::plan::Refusal;
use fleetdns_core::probe::ProbeSpec;
use fleetdns_core::record::{NonEmpty, RecordData, RecordType};

/// What should stand at a name, and why not otherwise.
struct Decision<'a> {
    sets: Vec<RecordSet>,
    ownership: Cow<'a, Ownership>,
    hold: Option<Hold>,
    /// Why what is there goes, when it goes.
    cause: Cause,
    as_it_is: bool,
}

impl Planner {
    pub(super) fn plan_name(&self, name: &DnsName, observed: &Observed, plan: &mut Plan) {
        // A backend may list a zone below this one too: its names are for that zone's own planner.
        if !self.zone.takes(name) {
            return;
        }
        let (desired, refused) = self.desired_at(name, observed);
        self.plan_desired(name, (desired.as_ref(), refused), observed, plan);
    }

    /// Plans a name at which this is wanted, and returns what ought to stand there.
    pub(super) fn plan_desired(
        &self,
        name: &DnsName,
        wanted: (Option<&Desired>, Vec<Refused>),
        observed: &Observed,
        plan: &mut Plan,
    ) -> Vec<RecordSet> {
        let there = observed.at(name);
        let (decision, refused) = self.decide_desired(name, wanted, there, observed);
        plan.refused.extend(refused);
        let Some(decision) = decision else {
            self.plan_unwanted(name, observed, plan);
            return Vec::new();
        };
        if let Some(reason) = decision.hold.clone() {
            plan.held.push(HeldChange { name: name.clone(), reason });
        }
        if decision.as_it_is {
            return decision.sets;
        }
        let mut changes = deletions(&decision, there);
        let mut refused = 0;
        for set in &decision.sets {
            match self.write(name, set, &decision, there) {
                Ok(change) => changes.extend(change),
                Err(reason) => {
                    refused += 1;
                    plan.refused.push(Refused { name: name.as_str().into(), reason });
                }
            }
        }
        if refused > 0 && refused == decision.sets.len() {
            return decision.sets; // Nothing takes the place of what is there: it stays.
        }
        if !changes.is_empty() {
            // A plan may have every name of a zone.
            changes.shrink_to_fit();
            plan.changes.push(NameChange { name: name.clone(), changes });
        }
        decision.sets
    }

    /// A name that nobody wants: what is ours there goes.
    fn plan_unwanted(&self, name: &DnsName, observed: &Observed, plan: &mut Plan) {
        let there = observed.at(name);
        let evicted = self.evicted_by(name).is_some();
        if !evicted && matches!(self.ruling(name, observed), Ruling::Held { .. }) {
            return; // Wanted, and refused: what is there stays.
        }
        let mut changes = Vec::new();
        let mut hold = None;
        for set in there {
            let Some(data) = set.ours() else { continue };
            let retained = self.freeze().or_else(|| self.of_unlisted(set));
            if retained.is_some() {
                hold = retained;
                continue;
            }
            changes.push(Change::Delete {
                before: set.clone(),
                record_type: data.record_type(),
                cause: if evicted { Cause::Evicted } else { self.cause_of_end(set) },
            });
        }
        plan.held.extend(hold.map(|reason| HeldChange { name: name.clone(), reason }));
        if !changes.is_empty() {
            plan.changes.push(NameChange { name: name.clone(), changes });
        }
    }

    /// A member that was never listed may still want what it gave, or what nobody is known to have given.
    pub(super) fn of_unlisted(&self, set: &ObservedSet) -> Option<Hold> {
        match set.claim.ownership() {
            None => (!self.input.unlisted.is_empty()).then_some(Hold::Unattributed),
            Some(ownership) => {
                let member = ownership.members.keys().find(|name| self.input.unlisted.contains(*name));
                let unattributed = !ownership.unattributed.is_empty() && !self.input.unlisted.is_empty();
                member.cloned().map(Hold::Unlisted).or_else(|| unattributed.then_some(Hold::Unattributed))
            }
        }
    }

    fn cause_of_end(&self, set: &ObservedSet) -> Cause {
        let configured = |name| {
            self.input.snapshot.members.get(name).is_some_and(|member| member.inventory != Inventory::Removed)
        };
        match set.claim.ownership() {
            Some(ownership) if !ownership.members.is_empty() && !ownership.members.keys().any(configured) => {
                Cause::MemberDeparted
            }
            _ => Cause::ServiceGone,
        }
    }

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

    fn decide_desired<'a>(
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

    /// What the provider cannot serve at all.
    fn unservable(&self, name: &DnsName, observed: &Observed) -> Option<Refusal> {
        if name.is_wildcard() && !self.capabilities.wildcards {
            return Some(Refusal::Wildcard);
        }
        if *name == self.zone.zone && !self.capabilities.apex {
            return Some(Refusal::Invalid("this provider cannot write at the zone's apex".into()));
        }
        if let Some((at, record_type)) = observed.cut(&self.zone.zone, name) {
            return Some(Refusal::ZoneCut { at, record_type: record_type.into() });
        }
        // Where something of ours stands, it can be written, and a dead address has to leave.
        let holds_ours = || observed.at(name).iter().any(|set| set.claim.is_ours());
        if let Some(reason) = observed.unwritable(name).filter(|_| !holds_ours()) {
            return Some(Refusal::Backend(Arc::clone(reason)));
        }
        if self.capabilities.answers_subtree { self.overlap(name, observed) } else { None }
    }

    /// Names of which one lies below the other cannot both be served by a backend that answers with the subtree. A
    /// federation name evicts what was asked for; otherwise who is in the zone stays, and between newcomers the upper one
    /// goes first.
    fn overlap(&self, name: &DnsName, observed: &Observed) -> Option<Refusal> {
        if *name == self.zone.zone {
            return None;
        }
        if let Some(with) = self.evicted_by(name) {
            return Some(Refusal::Overlap { with });
        }
        if !observed.at(name).is_empty() {
            return None;
        }
        let spelt = spelt(self.claims.at(name));
        let blocks = |other: &DnsName| !(spelt && self.is_evictable(other, observed));
        let mut above = name.parent();
        while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
            let comes = !self.claims.at(&upper).is_empty()
                && self.evicted_by(&upper).is_none()
                && self.blocked_below(&upper, observed).is_none();
            if comes || (!observed.at(&upper).is_empty() && blocks(&upper)) {
                return Some(Refusal::Overlap { with: upper });
            }
            above = upper.parent();
        }
        let below = self.blocked_below(name, observed).filter(|below| blocks(below));
        below.map(|with| Refusal::Overlap { with: with.clone() })
    }

    /// The federation name that a name which was asked for makes room for, where the backend cannot serve both.
    fn evicted_by(&self, name: &DnsName) -> Option<DnsName> {
        let claims = self.claims.at(name);
        if !self.capabilities.answers_subtree || claims.is_empty() || spelt(claims) {
            return None;
        }
        let mut above = name.parent();
        while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
            if spelt(self.claims.at(&upper)) {
                return Some(upper);
            }
            above = upper.parent();
        }
        self.claims.below(name).find(|(_, claims)| spelt(claims)).map(|(below, _)| below.clone())
    }

    /// Whether all that stands at a name is ours, was asked for or is wanted no more, and may go now.
    fn is_evictable(&self, name: &DnsName, observed: &Observed) -> bool {
        let goes = |set: &ObservedSet| set.claim.is_ours() && self.of_unlisted(set).is_none();
        !spelt(self.claims.at(name)) && self.freeze().is_none() && observed.at(name).iter().all(goes)
    }

    /// What lies below a new name and does not make room for it.
    fn blocked_below<'a>(&'a self, name: &DnsName, observed: &'a Observed) -> Option<&'a DnsName> {
        observed
            .first_below(name)
            .or_else(|| self.claims.below(name).find(|(_, claims)| spelt(claims)).map(|(below, _)| below))
    }

    /// The change that makes a set be there; none when it is there.
    fn write(
        &self,
        name: &DnsName,
        set: &RecordSet,
        decision: &Decision<'_>,
        there: &[ObservedSet],
    ) -> Result<Option<Change>, Refusal> {
        let record_type = set.data.record_type();
        let lone = self.is_lone(&set.data);
        if lone && *name == self.zone.zone {
            return Err(Refusal::ApexCname);
        }
        let mine = there.iter().find(|s| s.ours().is_some_and(|data| data.record_type() == record_type));
        // While a verdict is on its way the mark waits for it: a write now would only hold up the one that counts.
        let waits = decision.hold == Some(Hold::Undecided);
        let as_wanted = |before: &&ObservedSet| {
            let marked = || before.claim.mark().is_some_and(|mark| waits || mark.says(&decision.ownership));
            let same = matches!(&before.content, Content::Known(data) if *data == set.data);
            same && before.ttl == set.ttl && marked()
        };
        if mine.filter(as_wanted).is_some() {
            return Ok(None);
        }
        // What stands beside an alias would be in the way of the CNAME that takes its place.
        let has_room = |before: &ObservedSet| match &before.content {
            Content::Known(data) => !lone || self.is_lone(data),
            _ => false,
        };
        let foreign = there.iter().find(|other| conflicts(other, lone));
        if let Some(foreign) = foreign.filter(|_| !mine.is_some_and(has_room)) {
            return Err(Refusal::Foreign { record_type: foreign.type_name().into() });
        }
        let (set, mark) = (set.clone(), OwnershipRecord::of(&decision.ownership, self.writer));
        Ok(Some(match mine {
            Some(before) => Change::Update { before: before.clone(), set, mark },
            None => Change::Create { set, mark },
        }))
    }

    /// Whether it is a CNAME in the DNS too, which has its name for itself and is none at the apex.
    fn is_lone(&self, data: &RecordData) -> bool {
        matches!(data, RecordData::Cname(target) if !self.capabilities.serves_as_alias(target))
    }
}

/// Whether somebody else's set stands in the way of a new one of ours: one that answers for addresses always does, any
/// other only beside one that has to be alone, a CNAME (RFC 2181 §10.1).
fn conflicts(other: &ObservedSet, lone: bool) -> bool {
    !other.claim.is_ours() && (lone || other.answers_for_addresses())
}

fn deletions(decision: &Decision<'_>, there: &[ObservedSet]) -> Vec<Change> {
    let is_desired = |record_type| decision.sets.iter().any(|set| set.data.record_type() == record_type);
    there
        .iter()
        .filter_map(|set| {
            let record_type = set.ours()?.record_type();
            let cause = if record_type == RecordType::Cname && !decision.sets.is_empty() {
                Cause::TypeChange
            } else {
                decision.cause
            };
            (!is_desired(record_type)).then(|| Change::Delete { before: set.clone(), record_type, cause })
        })
        .collect()
}

/// Whether a name spells a Service.
fn spelt(claims: &[HostnameClaim]) -> bool {
    claims.iter().any(|claim| claim.federation)
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
