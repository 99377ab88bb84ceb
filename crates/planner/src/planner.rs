//! Keeps what is wanted in one zone, name by name, and plans the names that changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::ordset::DiffItem as SetDiffItem;

use crate::cluster::Clusters;
use crate::decide::{Answer, Current, NameDecision, PlanContext, decide};
use crate::desired::{Desired, Part, ZoneSettings, names};
use crate::velocity::budget;
use fleetdns_core::ClusterVerdict;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::member::{Health, Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::overrides::Overrides;
use fleetdns_core::plan::{Cause, Change, HeldChange, Hold, NameChange, Plan, Refused};
use fleetdns_core::probe::{Check, ProbeKey};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::RecordSet;
use fleetdns_core::self_check::SelfCheckFailure;
use fleetdns_core::service::ServiceKey;

mod claims;
mod decide;
mod holder;
mod moves;
mod preview;

pub use moves::{Move, MoveCause, Way};

use claims::Claims;

/// Which names a pass looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These, because something that they depend on changed.
    Names(BTreeSet<DnsName>),
}

impl Scope {
    /// Nothing to look at.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    /// Whether a name is looked at.
    pub fn contains(&self, name: &DnsName) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }

    /// Both together.
    pub fn extend(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Names(mine), Self::Names(theirs)) => mine.extend(theirs),
        }
    }
}

/// The planner of one zone.
///
/// Invariant: a plan over the names that [`Planner::update`] gave equals a plan over all names, less the names that
/// were in order before.
#[derive(Debug)]
pub struct Planner {
    zone: ZoneSettings,
    capabilities: Capabilities,
    brakes: Brakes,
    snapshot: Snapshot,
    health: Health,
    overrides: Overrides,
    /// Addresses that the velocity brake keeps for now.
    waiting: BTreeSet<Address>,
    claims: Claims,
    clusters: Clusters,
    /// Members whose verdict as a whole is another one since this was last taken.
    turned: BTreeSet<MemberName>,
    /// Services that depend on a verdict, or on what a host name resolves to.
    probed: HashMap<ProbeKey, BTreeSet<ServiceKey>>,
    resolved: HashMap<DnsName, BTreeSet<ServiceKey>>,
    /// Size of both up to which they are left alone.
    capacity_hint: usize,
    converged: bool,
    startup: Option<Arc<str>>,
    /// Members of which no whole list has come in yet.
    unlisted: BTreeSet<MemberName>,
}

impl Planner {
    /// A planner that knows nothing yet and holds every removal until start-up has converged.
    pub fn new(zone: ZoneSettings, capabilities: Capabilities, brakes: Brakes) -> Self {
        Self {
            zone,
            capabilities,
            brakes,
            snapshot: Snapshot::default(),
            health: Health::default(),
            overrides: Overrides::default(),
            waiting: BTreeSet::new(),
            claims: Claims::default(),
            clusters: Clusters::default(),
            turned: BTreeSet::new(),
            probed: HashMap::new(),
            resolved: HashMap::new(),
            capacity_hint: 2000,
            converged: false,
            startup: Some("no cluster has been listed yet".into()),
            unlisted: BTreeSet::new(),
        }
    }

    /// The zone that is planned.
    pub const fn zone(&self) -> &ZoneSettings {
        &self.zone
    }

    /// What start-up still waits for.
    pub fn startup(&self) -> Option<&str> {
        self.startup.as_deref()
    }

    /// For a scenario from a file: probing has been going on for long, only pending members hold start-up open.
    pub fn assume_probed(&mut self) {
        let members = &self.snapshot.members;
        self.converged =
            !members.is_empty() && members.values().all(|member| member.inventory != Inventory::Pending);
        self.startup = self.waiting_for();
    }

    /// For a look ahead: what start-up waits for is known, and looked at by somebody else.
    pub fn assume_startup(&mut self, startup: Option<&str>) {
        self.converged = startup.is_none();
        self.startup = startup.map(Arc::from);
    }

    /// Takes in a new snapshot and new health; returns the names that may have to change.
    pub fn update(&mut self, snapshot: &Snapshot, health: &Health) -> Scope {
        let changed = self.changed_services(snapshot);
        let (judged, resolved) = (self.judged_again(health), self.resolved_again(health));
        let same_self_check = self.health.self_check.as_ref().map(SelfCheckFailure::kind)
            == health.self_check.as_ref().map(SelfCheckFailure::kind);
        let counted = changed.iter().chain(&judged).chain(&resolved).collect();
        self.clusters.update((&self.snapshot, &self.health), (snapshot, health), &counted);
        let clusters = health.clusters.clone();
        let clusters = clusters.union(self.clusters.verdicts());
        let turned: BTreeSet<MemberName> =
            self.health.clusters.diff(&clusters).map(|item| map_key(&item).clone()).collect();
        self.snapshot = snapshot.clone();
        self.health = Health { clusters, ..health.clone() };
        let mut names: BTreeSet<DnsName> = changed.iter().flat_map(|key| self.regroup(key)).collect();
        names.extend(self.beside(&names));
        names.extend(self.following(&turned));
        self.turned.extend(turned);
        for key in resolved.difference(&changed) {
            self.index_probes(key, &parts(snapshot, key));
        }
        for key in judged.union(&resolved) {
            names.extend(self.claims.of(key).iter().cloned());
        }
        let was_starting = self.startup.is_some();
        let unlisted = unlisted(snapshot);
        let same_list = self.unlisted == unlisted;
        self.unlisted = unlisted;
        self.startup = self.waiting_for();
        // These brakes look at every name.
        let same_brakes = same_self_check && same_list && was_starting == self.startup.is_some();
        if same_brakes { Scope::Names(names) } else { Scope::All }
    }

    /// Takes in what persons say of the fleet; returns the names that may have to change.
    pub fn apply_overrides(&mut self, overrides: &Overrides) -> Scope {
        if self.overrides == *overrides {
            return Scope::Names(BTreeSet::new());
        }
        self.overrides = overrides.clone();
        Scope::All
    }

    /// What the velocity brake keeps for now.
    pub fn hold_back(&mut self, waiting: BTreeSet<Address>) {
        self.waiting = waiting;
    }

    /// Why nothing goes at the moment, whatever the cause.
    fn freeze(&self) -> Option<Hold> {
        let startup = self.startup.clone().map(Hold::StartUp);
        startup.or_else(|| (!self.brakes.removals).then_some(Hold::Shadow))
    }

    /// Why nothing goes at the moment because of what probes say: we are cut off.
    fn vantage(&self) -> Option<Hold> {
        matches!(self.health.self_check, Some(SelfCheckFailure::Vantage { .. })).then_some(Hold::Vantage)
    }

    /// Why what is held does not go: the correlation that stands, or a doubt that is over.
    const fn held(&self) -> Hold {
        match self.health.self_check {
            Some(SelfCheckFailure::Correlation { .. }) => Hold::Correlation,
            _ => Hold::Held,
        }
    }

    /// The names of services that have no verdict of their own in these members.
    fn following<'a>(&'a self, members: &'a BTreeSet<MemberName>) -> impl Iterator<Item = DnsName> + 'a {
        let members = members.iter().filter_map(|name| self.snapshot.members.get(name));
        let services = members.flat_map(|member| &member.services);
        let following = services.filter(|(_, service)| service.probe.check == Check::Cluster);
        following.flat_map(|(key, _)| self.claims.of(key).iter().cloned())
    }

    /// The members whose verdict as a whole has changed since this was last asked, each with the verdict as it stands.
    pub fn turned(&mut self) -> Vec<(MemberName, ClusterVerdict)> {
        let turned = std::mem::take(&mut self.turned);
        let verdict = |name: &MemberName| self.health.clusters.get(name).copied().unwrap_or_default();
        turned.into_iter().map(|name| (name.clone(), verdict(&name))).collect()
    }

    fn changed_services(&self, snapshot: &Snapshot) -> BTreeSet<ServiceKey> {
        let mut changed = BTreeSet::new();
        for difference in self.snapshot.members.diff(&snapshot.members) {
            match difference {
                DiffItem::Add(_, member) | DiffItem::Remove(_, member) => {
                    changed.extend(member.services.keys().chain(member.absent.keys()).cloned());
                }
                DiffItem::Update { old: (_, old), new: (_, new) } if same_place(old, new) => {
                    let services = old.services.diff(&new.services);
                    let absent = old.absent.diff(&new.absent);
                    changed.extend(services.chain(absent).map(|item| map_key(&item).clone()));
                }
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    let (services, absent) = ([&old.services, &new.services], [&old.absent, &new.absent]);
                    changed.extend(services.into_iter().chain(absent).flat_map(|all| all.keys().cloned()));
                }
            }
        }
        changed
    }

    /// Services of which an address has another verdict.
    fn judged_again(&self, health: &Health) -> BTreeSet<ServiceKey> {
        let verdicts = self.health.verdicts.diff(&health.verdicts).map(|item| map_key(&item).clone());
        let unprobeable =
            self.health.unprobeable.diff(&health.unprobeable).map(|item| set_key(&item).clone());
        let services = |key| self.probed.get(&key).into_iter().flatten().cloned();
        verdicts.chain(unprobeable).flat_map(services).collect()
    }

    /// Services of which a host name resolves to something else.
    fn resolved_again(&self, health: &Health) -> BTreeSet<ServiceKey> {
        let resolved = self.health.resolved.diff(&health.resolved).map(|item| map_key(&item).clone());
        let never = self.health.unresolvable.diff(&health.unresolvable).map(|item| set_key(&item).clone());
        let services = |name| self.resolved.get(&name).into_iter().flatten().cloned();
        resolved.chain(never).flat_map(services).collect()
    }

    /// The names above and below these that somebody wants, where the backend cannot serve both.
    fn beside(&self, names: &BTreeSet<DnsName>) -> Vec<DnsName> {
        let mut beside = Vec::new();
        for name in names.iter().filter(|_| self.capabilities.answers_subtree) {
            let mut above = name.parent();
            while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
                above = upper.parent();
                beside.extend((!self.claims.at(&upper).is_empty()).then_some(upper));
            }
            beside.extend(self.claims.below(name).map(|(below, _)| below.clone()));
        }
        beside
    }

    /// Works out what one service of the fleet wants again; returns the names it wanted before and those it wants now.
    fn regroup(&mut self, key: &ServiceKey) -> Vec<DnsName> {
        let snapshot = self.snapshot.clone();
        let parts = parts(&snapshot, key);
        self.index_probes(key, &parts);
        let absent = snapshot.members.values().filter_map(|member| member.absent.get(key));
        self.claims.replace(key, names(key, &parts, absent, &self.zone))
    }

    /// Entries are added and never taken away: an old one costs a needless look at a Service, no more, until
    /// [`Planner::forget`] finds that there are too many.
    fn index_probes(&mut self, key: &ServiceKey, parts: &[Part<'_>]) {
        for (_, service) in parts {
            for address in service.addresses.iter().flatten() {
                let ips: Vec<_> = match address {
                    Address::Hostname(name) => {
                        self.resolved.entry(name.clone()).or_default().insert(key.clone());
                        self.health.resolved.get(name).into_iter().flatten().copied().collect()
                    }
                    other => other.ip().into_iter().collect(),
                };
                if !service.probe.is_probed() {
                    continue;
                }
                for ip in ips {
                    let probe = ProbeKey { address: ip, spec: Arc::clone(&service.probe) };
                    self.probed.entry(probe).or_default().insert(key.clone());
                }
            }
        }
    }

    /// Drops what the indexes hold of Services that are gone, when they have grown to twice their size. To be called now
    /// and then.
    pub fn reset_memory(&mut self) {
        let size = |planner: &Self| planner.probed.len() + planner.resolved.len();
        if size(self) <= self.capacity_hint {
            return;
        }
        self.probed.clear();
        self.resolved.clear();
        let snapshot = self.snapshot.clone();
        for member in snapshot.members.values() {
            for (key, service) in &member.services {
                self.index_probes(key, &[(&**member, service)]);
            }
        }
        self.capacity_hint = 2 * size(self).max(1000);
    }

    /// What the start of the whole zone waits for: the first list of each member, or its time-out. An endpoint without a
    /// verdict holds what it stands for and nothing else, so that no Service keeps the start open for another.
    fn waiting_for(&mut self) -> Option<Arc<str>> {
        if self.converged {
            return None;
        }
        if self.snapshot.members.is_empty() {
            return Some("no cluster has been listed yet".into());
        }
        let pending: Vec<&str> = self
            .snapshot
            .members
            .values()
            .filter(|member| member.inventory == Inventory::Pending)
            .map(|member| member.name.as_str())
            .collect();
        if !pending.is_empty() {
            return Some(format!("waiting for the first list of {}", pending.join(", ")).into());
        }
        self.converged = true;
        None
    }

    /// Plans the names in scope against what exists.
    pub fn plan(&self, scope: &Scope, observed: &Observed) -> Plan {
        let mut plan = self.empty_plan(observed);
        self.plan_names(&self.in_scope(scope, observed), observed, &mut plan);
        if *scope == Scope::All {
            plan.refused.extend(self.claims.refused().cloned());
        }
        plan
    }

    /// The names that a scope covers: of everything, those that somebody wants and those that are ours.
    pub fn in_scope(&self, scope: &Scope, observed: &Observed) -> Vec<DnsName> {
        match scope {
            Scope::All => {
                let names: BTreeSet<&DnsName> = self.claims.names().chain(observed.owned()).collect();
                names.into_iter().cloned().collect()
            }
            Scope::Names(names) => names.iter().cloned().collect(),
        }
    }

    /// A plan that changes nothing.
    pub fn empty_plan(&self, observed: &Observed) -> Plan {
        Plan {
            zone: self.zone.zone.clone(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: Vec::new(),
            owned: observed.owned_count(),
        }
    }

    /// Plans some names, so that a long plan can be made in parts.
    pub fn plan_names(&self, names: &[DnsName], observed: &Observed, plan: &mut Plan) {
        for name in names {
            self.plan_name(name, observed, plan);
        }
    }

    /// Everything that ought to exist, what others hold included.
    pub fn desired(&self, observed: &Observed) -> Vec<RecordSet> {
        let mut sets = Vec::new();
        for name in self.claims.names() {
            let (decision, _) = self.decide(name, observed);
            sets.extend(decision.into_iter().flat_map(|decision| decision.sets));
        }
        sets
    }

    /// Names that somebody wants, whether they can have them or not.
    pub fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.claims.names()
    }

    /// What Services say that cannot be used; independent of the zone's state.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Refused> {
        self.claims.refused()
    }

    /// The namespace of whoever wants a name, whether it can have it or not.
    pub fn namespace_at(&self, name: &DnsName) -> Option<Arc<str>> {
        self.claims.at(name).first().map(|claim| Arc::clone(claim.service.namespace()))
    }

    /// Services whose faults are others since this was last asked, each with its faults as they are now: what a Service
    /// says that cannot be used, independent of the zone's state.
    pub fn changed_faults(&mut self) -> Vec<(ServiceKey, Vec<Refused>)> {
        self.claims.changed_faults()
    }
}

fn unlisted(snapshot: &Snapshot) -> BTreeSet<MemberName> {
    let waiting = |member: &&Arc<MemberView>| !member.listed && member.inventory != Inventory::Removed;
    snapshot.members.values().filter(waiting).map(|member| member.name.clone()).collect()
}

/// Members that have a Service, with what they have of it.
fn parts<'a>(snapshot: &'a Snapshot, key: &ServiceKey) -> Vec<Part<'a>> {
    let members = snapshot.members.values();
    members.filter_map(|member| member.services.get(key).map(|service| (&**member, service))).collect()
}

fn same_place(old: &MemberView, new: &MemberView) -> bool {
    let removed = |member: &MemberView| member.inventory == Inventory::Removed;
    old.region == new.region && old.zones == new.zones && removed(old) == removed(new)
}

fn map_key<'a, K, V>(item: &DiffItem<'a, 'a, K, V>) -> &'a K {
    match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key,
    }
}

fn set_key<'a, K>(item: &SetDiffItem<'a, 'a, K>) -> &'a K {
    match item {
        SetDiffItem::Add(key) | SetDiffItem::Remove(key) => key,
    }
}

#[cfg(test)]
mod tests;
