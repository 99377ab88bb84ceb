//! What must never happen, whatever else does.
//!
//! Each law is looked at when a plan reaches the provider: that is the moment at which the product decided, with all
//! that it knows. What a zone must look like is looked at again when it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::plan::Cause;
use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Address, AllDown, Change, Content, DnsName, NameChange, ObservedSet, OverrideKind, Plan, ProbeSpec,
    RecordData, RecordType, ServiceKey,
};

use crate::fleet::Member;
use crate::ledger::{Account, Blame};
use crate::names::Meaning;
use crate::sim::Sim;

/// An address that left because it was dead, and the namespace that had it.
pub(crate) type Leaver = (Arc<str>, Address);

/// Names that a plan deletes of one namespace, and the Services that had them.
type Deleted = (usize, BTreeSet<Option<ServiceKey>>);

const WINDOW: Duration = Duration::from_secs(60);

/// Why an address may go.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    /// Nobody returns it.
    Gone,
    Overrideed,
    StandsBy,
    /// A host name and its addresses stand for each other.
    Form,
    /// It failed often enough; what that is due to, when it is nothing of its own.
    Dead(Option<Blame>),
    No(String),
}

impl Sim {
    /// Looks at a plan; returns by name what leaves because it is dead.
    pub(crate) fn judge_plan(&mut self, plan: &Plan) -> BTreeMap<DnsName, BTreeSet<Leaver>> {
        let now = self.now();
        if self.talks {
            self.say(format!("plan {plan}"));
        }
        self.apply_overrides();
        let mut all = BTreeMap::new();
        for change in &plan.changes {
            let mut dead = BTreeSet::new();
            self.judge_change(change, now, &mut dead);
            all.insert(change.name.clone(), dead);
        }
        self.judge_deletions(plan);
        all
    }

    /// No plan deletes more than `max-delete` of our names because nobody wants them. A namespace of which one Service
    /// alone goes does not count when that is too much by itself, nor does a zone with fewer than ten names.
    fn judge_deletions(&mut self, plan: &Plan) {
        let gone = |change: &Change| matches!(change, Change::Delete { cause: Cause::ServiceGone, .. });
        let mut deleted: BTreeMap<Option<Arc<str>>, Deleted> = BTreeMap::new();
        for change in plan.changes.iter().filter(|one| one.vanishes() && one.changes.iter().any(gone)) {
            let marks = change.changes.iter().filter_map(|one| one.before()?.claim.ownership());
            let service = marks.map(|mark| mark.service).next();
            let namespace = service.as_ref().map(|key| key.namespace().into());
            let (names, services) = deleted.entry(namespace).or_default();
            *names += 1;
            services.insert(service);
        }
        // What a person deleted since the last list still counts as ours.
        let owned = self.zone.observed.owned_count() + self.zone.cut_by_hand.len();
        let most = owned * usize::from(self.brakes.max_delete) / 100;
        let is_one =
            |services: &BTreeSet<Option<ServiceKey>>| services.len() == 1 && !services.contains(&None);
        deleted.retain(|_, (names, services)| *names <= most || !is_one(services));
        let count: usize = deleted.values().map(|(names, _)| names).sum();
        if owned >= 10 && count > most {
            self.accuse(format!("max-delete: {count} of {owned} names are deleted at once, {most} may be"));
        }
    }

    fn judge_change(&mut self, change: &NameChange, now: Duration, dead: &mut BTreeSet<Leaver>) {
        let name = &change.name;
        for before in change.changes.iter().filter_map(Change::before) {
            if self.foreign.get(name).is_some_and(|sets| sets.contains(before)) {
                self.accuse(format!("foreign: {name} is somebody else's"));
            }
        }
        let Some(meaning) = self.names.get(name).cloned() else {
            return self.accuse(format!("foreign: {name} is no name of ours"));
        };
        let old: BTreeSet<Address> =
            change.changes.iter().filter_map(|one| one.before()?.ours()).flat_map(addresses).collect();
        let new: BTreeSet<Address> = change
            .changes
            .iter()
            .filter_map(Change::after)
            .flat_map(|(set, _)| addresses(&set.data))
            .collect();
        let leaving: Vec<&Address> = old.difference(&new).filter(|address| !is_level(address)).collect();
        self.judge_emptiness(change, &meaning, now);
        for address in leaving {
            let why = self.why((name, &meaning), address, &new, now);
            if !self.process.converged && why != Why::Form {
                self.accuse(format!("start-up: {address} leaves {name} ({why:?})"));
            }
            match why {
                Why::No(what) => self.accuse(format!("evidence: {address} leaves {name}: {what}")),
                Why::Dead(Some(Blame::Cut)) => {
                    self.accuse(format!("vantage: {address} leaves {name}, and it was us who were cut off"));
                }
                Why::Dead(Some(Blame::Wall)) if self.is_held_by_a_wall((name, &meaning), address) => {
                    self.accuse(format!("correlation: {address} leaves {name} as all others would"));
                }
                Why::Dead(_) => drop(dead.insert((meaning.service.namespace().into(), address.clone()))),
                _ => {}
            }
        }
    }

    /// Whether a wall alone is to blame for what an address that answered before does not answer now.
    fn is_held_by_a_wall(&self, (name, meaning): (&DnsName, &Meaning), address: &Address) -> bool {
        let accounts =
            self.speakers(name, meaning).flat_map(|member| self.accounts(member, meaning, address));
        let mut known = accounts.filter(|account| account.landed > 0);
        self.strict_wall.contains(meaning.service.namespace()) && known.all(|account| account.has_answered())
    }

    /// A living Service never has an empty name.
    fn judge_emptiness(&mut self, change: &NameChange, meaning: &Meaning, now: Duration) {
        let types: BTreeSet<RecordType> = change.changes.iter().map(Change::record_type).collect();
        let retained =
            |set: &ObservedSet| set.ours().is_some_and(|data| !types.contains(&data.record_type()));
        let cut = self.zone.cut_by_hand.contains(&change.name);
        if cut || !change.vanishes() || self.zone.observed.at(&change.name).iter().any(retained) {
            return;
        }
        let mut living = false;
        for member in self.speakers(&change.name, meaning) {
            for given in member.given(&meaning.service, now).into_iter().flatten() {
                let kind = self.kind(member, meaning, given);
                let empty = self.brakes.all_down == AllDown::Empty && meaning.up.is_none();
                let out = self.is_out(member, meaning, given) || kind == Some(OverrideKind::Drain);
                living |= kind != Some(OverrideKind::ForceOut) && !(empty && out);
            }
        }
        if living || !self.process.converged {
            self.accuse(format!("empty: nothing is left at {}", change.name));
        }
    }

    /// What a host name is told to stand for, as far as that is known.
    fn leaving_one_by_one(&self, address: &Address) -> Vec<Address> {
        let told = address.hostname().and_then(|name| self.net.names.get(name)?.told.as_ref());
        match told.filter(|ips| !ips.is_empty()) {
            Some(ips) => ips.iter().copied().map(Address::from).collect(),
            None => vec![address.clone()],
        }
    }

    /// How many addresses may leave within a minute, as the fleet is now.
    pub(crate) fn note_budget(&mut self) {
        let now = self.now();
        let (mut all, mut largest) = (BTreeSet::new(), 0);
        for member in self.fleet.configured() {
            let view = member.view();
            let given = view.services.values().flat_map(|one| one.addresses.iter().flatten());
            let own: BTreeSet<Address> = given.flat_map(|address| self.leaving_one_by_one(address)).collect();
            largest = largest.max(own.len());
            all.extend(own);
        }
        let share = (all.len() * usize::from(self.brakes.max_removals)).div_ceil(100);
        let process = &mut self.process;
        process.budgets.push_back((now, share.max(largest).max(1)));
        process.budgets.retain(|(at, _)| now - *at < WINDOW);
    }

    /// What left by a plan of this time, as the product knows: within a minute no more of one namespace than may, and of several no more than may when each counts with
    /// no more than the one of which something leaves now. Where removals were let go and not written, they leave in
    /// another order than they were let go in, and the law is what holds in any order.
    pub(crate) fn judge_speed(&mut self, dead: BTreeSet<Leaver>, now: Duration) {
        self.note_budget();
        let process = &mut self.process;
        process.left.retain(|(at, _)| now.saturating_sub(*at) < WINDOW);
        let known: BTreeSet<&Leaver> = process.left.iter().map(|(_, one)| one).collect();
        let fresh: BTreeSet<Arc<str>> = dead
            .iter()
            .filter(|one| !known.contains(one))
            .map(|(namespace, _)| Arc::clone(namespace))
            .collect();
        process.left.extend(dead.into_iter().map(|one| (now, one)));
        let distinct: BTreeSet<&Leaver> = process.left.iter().map(|(_, one)| one).collect();
        let mut used: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (namespace, _) in distinct {
            *used.entry(Arc::clone(namespace)).or_default() += 1;
        }
        let budget = process.budgets.iter().map(|(_, budget)| *budget).max().unwrap_or(1);
        let disordered = process.unwritten.is_some_and(|at| now.saturating_sub(at) < WINDOW);
        for namespace in fresh {
            let most = used[&namespace];
            let shares = used.values().filter(|used| !disordered || **used >= most);
            let count: usize = shares.map(|used| most.min(*used)).sum();
            if count > budget {
                let what =
                    format!("{count} addresses of {namespace} and others left within a minute, {budget} may");
                self.accuse(format!("velocity: {what}: {used:?}"));
            }
        }
    }

    /// What a zone must look like at a name, after each write of ours.
    pub(crate) fn judge_sets(&mut self, name: &DnsName, sets: &[ObservedSet]) {
        let mine = self.foreign.get(name).cloned().unwrap_or_default();
        if mine.iter().any(|set| !sets.contains(set)) {
            self.accuse(format!("foreign: a set at {name} is not as it was left"));
        }
        let is_cname = |set: &ObservedSet| set.content.record_type() == Some(RecordType::Cname);
        if sets.iter().any(is_cname) && sets.len() > 1 {
            self.accuse(format!("alone: a CNAME has company at {name}"));
        }
        let before = self.zone.observed.at(name).to_vec();
        for set in sets.iter().filter(|set| !before.contains(set) && !mine.contains(set)) {
            if let Err(what) = self.mark_is_ours(name, set) {
                self.accuse(format!("mark: {name}: {what}"));
            }
        }
    }

    fn mark_is_ours(&self, name: &DnsName, set: &ObservedSet) -> Result<(), String> {
        let Some(mark) = set.claim.ownership() else { return Err("it has none".to_owned()) };
        let meaning = self.names.get(name).ok_or("it is no name of ours")?;
        if mark.owner.as_str() != "fed" || mark.service != meaning.service {
            return Err(format!("it says {mark}"));
        }
        let Content::Known(data) = &set.content else { return Err("its values cannot be read".to_owned()) };
        for address in addresses(data).into_iter().filter(|address| !is_level(address)) {
            let given = |one: &Address| *one == address || one.hostname().is_some();
            // What a person put there was nobody's before either.
            let astray = |set: &ObservedSet| {
                let attributed = |mark: fleetdns_core::Ownership| {
                    mark.members.values().any(|share| share.addresses.iter().any(given))
                };
                set.ours().is_some_and(|data| addresses(data).contains(&address))
                    && !set.claim.ownership().is_some_and(attributed)
            };
            // Last, as it reads all records of the name.
            let is_astray = || self.zone.observed.at(name).iter().any(astray);
            let told = mark.members.values().any(|share| share.addresses.iter().any(given));
            if !told && !mark.unattributed.contains(&address) && !is_astray() {
                return Err(format!("it does not say who gave {address}: {mark}"));
            }
        }
        Ok(())
    }

    /// Who speaks of a name, as far as can be known: when a person has blanked its mark, and a member then lies from the
    /// start, nothing tells of what it gave there.
    fn speakers<'a>(&'a self, name: &DnsName, meaning: &'a Meaning) -> impl Iterator<Item = &'a Member> + 'a {
        let unmarked = self.zone.unmarked.contains(name);
        self.fleet
            .configured()
            .filter(move |member| meaning.speaks_of(member) && !(unmarked && member.lied_first))
    }

    fn why(
        &self,
        (name, meaning): (&DnsName, &Meaning),
        address: &Address,
        new: &BTreeSet<Address>,
        now: Duration,
    ) -> Why {
        let mut claims: Vec<(&Member, &Address)> = Vec::new();
        for member in self.speakers(name, meaning) {
            let given = member.given(&meaning.service, now).into_iter().flatten();
            claims.extend(given.filter(|given| self.stands_for(given, address)).map(|given| (member, given)));
        }
        let related = |one: &Address| self.stands_for(address, one) || self.stands_for(one, address);
        if new.iter().any(|one| one.hostname().is_some() != address.hostname().is_some() && related(one)) {
            return Why::Form;
        }
        if claims.is_empty() {
            return Why::Gone;
        }
        let best = self.best_priority(meaning, now);
        let mut reason = Why::Overrideed;
        for (member, given) in claims {
            // Who stands by does so whatever a person says of its health.
            if self.routing == Routing::Failover && best.is_some_and(|best| best < member.priority) {
                reason = Why::StandsBy;
                continue;
            }
            match self.kind(member, meaning, given) {
                Some(OverrideKind::Drain | OverrideKind::ForceOut) => continue,
                Some(OverrideKind::ForceIn) => return Why::No("a person wants it in".to_owned()),
                None => {}
            }
            let accounts = self.accounts(member, meaning, address);
            if !accounts.iter().all(Account::is_dead) {
                return Why::No(format!("{} gives it, and its probes say {accounts:?}", member.name));
            }
            reason = Why::Dead(accounts.first().and_then(|account| account.excuse));
        }
        reason
    }

    /// Whether an address is what is given, or one of those of the host name that is given.
    fn stands_for(&self, given: &Address, address: &Address) -> bool {
        let of_name = |name| self.net.names.get(name).and_then(|name| name.told.as_ref());
        given == address
            || given.hostname().and_then(of_name).zip(address.ip()).is_some_and(|(ips, ip)| ips.contains(&ip))
    }

    fn accounts(&self, member: &Member, meaning: &Meaning, address: &Address) -> Vec<Account> {
        let spec = match (member.published(&meaning.service), member.services.get(&meaning.service)) {
            (Some(known), _) => Arc::clone(&known.probe),
            (None, truth) => Arc::new(ProbeSpec::tcp(truth.map_or(0, |truth| truth.port))),
        };
        match address {
            Address::Hostname(name) => {
                let told = self.net.names.get(name).and_then(|name| name.told.clone());
                match told {
                    None => vec![Account::default()],
                    Some(ips) => ips.into_iter().map(|ip| self.ledger.at(ip, &spec)).collect(),
                }
            }
            other => other.ip().into_iter().map(|ip| self.ledger.at(ip, &spec)).collect(),
        }
    }

    fn is_out(&self, member: &Member, meaning: &Meaning, address: &Address) -> bool {
        // One that went out before its route did is out until a few probes have shown that there is no route.
        self.accounts(member, meaning, address).iter().all(|account| account.out)
    }

    pub(crate) fn kind(&self, member: &Member, meaning: &Meaning, given: &Address) -> Option<OverrideKind> {
        self.overrides.concerning(&member.name, &meaning.service, given).next().map(|entry| entry.kind)
    }

    fn best_priority(&self, meaning: &Meaning, now: Duration) -> Option<u16> {
        let mut best = None;
        for member in self.fleet.configured().filter(|member| meaning.speaks_of(member)) {
            // What a list misses, and another one has to miss too, stands as well.
            let seen = member.published(&meaning.service);
            let seen = seen.iter().flat_map(|one| one.addresses.iter().flatten());
            for given in member.given(&meaning.service, now).into_iter().flatten().chain(seen) {
                let alive = match self.kind(member, meaning, given) {
                    Some(kind) => kind == OverrideKind::ForceIn,
                    None => {
                        !given.ip().is_none_or(|ip| self.net.has_route(ip))
                            || self.accounts(member, meaning, given).iter().any(|one| one.may_be_alive(now))
                    }
                };
                if alive {
                    best = Some(best.map_or(member.priority, |best: u16| best.min(member.priority)));
                }
            }
        }
        best
    }
}

/// A name of the zone itself: one level up.
pub(crate) fn is_level(address: &Address) -> bool {
    address.hostname().is_some_and(|name| name.as_str().ends_with("example.com"))
}

fn addresses(data: &RecordData) -> Vec<Address> {
    match data {
        RecordData::A(ips) => ips.iter().copied().map(Address::V4).collect(),
        RecordData::Aaaa(ips) => ips.iter().copied().map(Address::V6).collect(),
        RecordData::Cname(target) => vec![Address::Hostname(target.clone())],
    }
}
