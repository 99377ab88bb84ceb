//! What decisions are made from, at one moment: worked out once for every zone, the admin API and the explanation.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use imbl::ordset::DiffItem as SetDiffItem;
use smallvec::SmallVec;

use crate::cluster::Clusters;
use crate::desired::{Part, address_verdict};
use crate::holders::{Holders, Place};
use fleetdns_core::address::Address;
use fleetdns_core::member::{Health, Inventory, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::overrides::Overrides;
use fleetdns_core::probe::{ProbeKey, Verdict};
use fleetdns_core::self_check::SelfCheckFailure;
use fleetdns_core::service::{Published, ServiceKey};

/// Members, verdicts and overrides at one moment, with what follows from them for the whole fleet. Cloning is cheap.
///
/// Invariant: an input that was updated step by step equals one that is made of the last step alone, except that start-up
/// stays converged.
#[derive(Debug, Clone)]
pub struct Input {
    /// Members, as far as they are looked at.
    pub(crate) snapshot: Snapshot,
    /// All members with all that they have.
    pub(crate) fleet: Snapshot,
    /// With the verdict on each member.
    pub(crate) health: Health,
    pub(crate) overrides: Overrides,
    /// What start-up waits for.
    pub(crate) startup: Option<Arc<str>>,
    /// Members of which no whole list has come in yet.
    pub(crate) unlisted: BTreeSet<MemberName>,
    clusters: Clusters,
    index: Index,
    holders: Holders,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            snapshot: Snapshot::default(),
            fleet: Snapshot::default(),
            health: Health::default(),
            overrides: Overrides::default(),
            startup: Some("no cluster has been listed yet".into()),
            unlisted: BTreeSet::new(),
            clusters: Clusters::default(),
            index: Index::default(),
            holders: Holders::default(),
        }
    }
}

/// What differs between two inputs, as far as names depend on it.
pub(crate) struct Changes {
    /// Services that a member has otherwise.
    pub(crate) services: BTreeSet<ServiceKey>,
    /// Services of which an address has another verdict, or a host name resolves to something else.
    pub(crate) verdicts: BTreeSet<ServiceKey>,
    /// Members with another verdict as a whole.
    pub(crate) clusters: BTreeSet<MemberName>,
    /// A brake that looks at every name acts otherwise.
    pub(crate) everything: bool,
}

impl Input {
    /// What follows from members, verdicts and overrides.
    pub fn new(snapshot: &Snapshot, health: &Health, overrides: &Overrides) -> Self {
        let mut input = Self::default();
        input.update(snapshot, health, overrides);
        input
    }

    /// Takes in what is known now. Costs what has changed.
    pub fn update(&mut self, snapshot: &Snapshot, health: &Health, overrides: &Overrides) {
        let before = self.clone();
        self.holders.update(&before.snapshot, snapshot);
        let mut places = changed_places(&before.snapshot, snapshot);
        let resolved = self.index.resolved(&before.health, health);
        places.extend(resolved.iter().flat_map(|key| self.holders.places(key)));
        for (member, key) in &places {
            let service = snapshot.members.get(*member).and_then(|member| member.services.get(*key));
            service.into_iter().for_each(|service| self.index.add(service, health));
        }
        let verdicts = self.index.judged(&before.health, health);
        places.extend(verdicts.iter().flat_map(|key| self.holders.places(key)));
        self.clusters.update((&before.snapshot, &before.health), (snapshot, health), &places);
        let clusters = health.clusters.clone().union(self.clusters.verdicts());
        self.snapshot = snapshot.clone();
        self.fleet = snapshot.clone();
        self.health = Health { clusters, ..health.clone() };
        self.overrides = overrides.clone();
        self.unlisted = unlisted(snapshot);
        // Start-up converges once.
        self.startup = self.startup.take().and_then(|_| waiting_for(snapshot));
        if self.index.is_overgrown() {
            self.index.rebuild(snapshot, health);
        }
    }

    /// Members.
    pub const fn fleet(&self) -> &Snapshot {
        &self.fleet
    }

    /// Verdicts, with the verdict on each member.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// The addresses of a member by verdict, every verdict once. Costs nothing: they are counted as they change.
    pub fn addresses_by_verdict(&self, member: &MemberName) -> [(Verdict, usize); Verdict::ALL.len()] {
        self.clusters.addresses(member)
    }

    /// Overrides in force.
    pub const fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// What start-up waits for. An endpoint without a verdict holds what it stands for and nothing else, so that no
    /// Service keeps the start open for another.
    pub fn startup(&self) -> Option<&str> {
        self.startup.as_deref()
    }

    /// Whether each address that a member publishes has a verdict.
    pub fn is_decided(&self) -> bool {
        let listed = self.fleet.members.values().filter(|member| member.inventory != Inventory::Removed);
        listed.into_iter().all(|member| {
            member.services.values().all(|service| {
                let mut addresses = service.addresses.iter().flatten();
                addresses.all(|address| {
                    let verdict = address_verdict(&self.health, &member.name, address, &service.probe);
                    verdict.is_in().is_some()
                })
            })
        })
    }

    /// The same with other overrides.
    #[must_use]
    pub fn with_overrides(&self, overrides: &Overrides) -> Self {
        Self { overrides: overrides.clone(), ..self.clone() }
    }

    /// The same as it will be when start-up has converged.
    #[must_use]
    pub fn converged(&self) -> Self {
        Self { startup: None, ..self.clone() }
    }

    /// The same with these Services alone, and those that were deleted lately and are kept: for a preview of few names,
    /// at their cost. Verdicts on members and budgets are those of the whole fleet.
    #[must_use]
    pub fn only(&self, services: &BTreeSet<ServiceKey>, kept: impl Fn(&Published) -> bool) -> Self {
        let few = |member: &Arc<MemberView>| {
            let here =
                services.iter().filter_map(|key| Some((key.clone(), member.services.get(key)?.clone())));
            let absent = member.absent.iter().filter(|(_, service)| kept(service));
            let absent = absent.map(|(key, service)| (key.clone(), Arc::clone(service))).collect();
            Arc::new(MemberView { services: here.collect(), absent, ..(**member).clone() })
        };
        let members = self.fleet.members.iter().map(|(name, member)| (name.clone(), few(member)));
        let holders = self.holders.only(services);
        Self { snapshot: Snapshot { members: members.collect() }, holders, ..self.clone() }
    }

    /// Members that have a Service, with what they have of it.
    pub(crate) fn parts<'a>(&'a self, key: &'a ServiceKey) -> Vec<Part<'a>> {
        self.holders.parts(&self.snapshot, key).collect()
    }

    /// What is otherwise than before.
    pub(crate) fn changes_since(&self, before: &Self) -> Changes {
        let services = changed_services(&before.snapshot, &self.snapshot);
        // At first everything is new, and nothing has to be looked up.
        let first = before.snapshot.members.is_empty();
        let mut verdicts = BTreeSet::new();
        if !first {
            verdicts.extend(self.index.judged(&before.health, &self.health));
            verdicts.extend(self.index.resolved(&before.health, &self.health));
        }
        let kind = |input: &Self| input.health.self_check.as_ref().map(SelfCheckFailure::kind);
        // Until each member was listed nothing is removed at all, whatever any of them may still want.
        let unlisted = before.unlisted != self.unlisted && self.startup.is_none();
        let everything = kind(before) != kind(self)
            || unlisted
            || before.startup.is_some() != self.startup.is_some()
            || before.overrides != self.overrides
            || before.health.unprobeable_policy != self.health.unprobeable_policy
            || before.health.addresses != self.health.addresses;
        let clusters = before.health.clusters.diff(&self.health.clusters);
        Changes {
            services,
            verdicts,
            clusters: clusters.map(|item| map_key(&item).clone()).collect(),
            everything,
        }
    }
}

/// Services by what they depend on. Entries are added and never taken away: an old one costs a needless look at a Service,
/// until there are too many.
#[derive(Debug, Clone, Default)]
struct Index {
    probed: OrdMap<ProbeKey, Keys>,
    resolved: OrdMap<DnsName, Keys>,
    /// Size up to which it is left alone.
    limit: usize,
}

/// In order; almost always there is one.
type Keys = SmallVec<[ServiceKey; 1]>;

impl Index {
    fn add(&mut self, service: &Published, health: &Health) {
        let key = &service.key;
        for address in service.addresses.iter().flatten() {
            let ips: Vec<_> = match address {
                Address::Hostname(name) => {
                    insert(self.resolved.entry(name.clone()).or_default(), key);
                    health.resolved.get(name).into_iter().flatten().copied().collect()
                }
                other => other.ip().into_iter().collect(),
            };
            for ip in ips.into_iter().filter(|_| service.probe.is_probed()) {
                let probe = ProbeKey { address: ip, spec: Arc::clone(&service.probe) };
                insert(self.probed.entry(probe).or_default(), key);
            }
        }
    }

    /// Services of which an address has another verdict.
    fn judged(&self, before: &Health, now: &Health) -> BTreeSet<ServiceKey> {
        let verdicts = before.verdicts.diff(&now.verdicts).map(|item| map_key(&item).clone());
        let unprobeable = before.unprobeable.diff(&now.unprobeable).map(|item| set_key(&item).clone());
        let never = before.never_healthy.diff(&now.never_healthy).map(|item| set_key(&item).clone());
        let services = |key| self.probed.get(&key).into_iter().flatten().cloned();
        verdicts.chain(unprobeable).chain(never).flat_map(services).collect()
    }

    /// Services of which a host name resolves to something else.
    fn resolved(&self, before: &Health, now: &Health) -> BTreeSet<ServiceKey> {
        let resolved = before.resolved.diff(&now.resolved).map(|item| map_key(&item).clone());
        let never = before.unresolvable.diff(&now.unresolvable).map(|item| set_key(&item).clone());
        let services = |name| self.resolved.get(&name).into_iter().flatten().cloned();
        resolved.chain(never).flat_map(services).collect()
    }

    fn is_overgrown(&self) -> bool {
        self.probed.len() + self.resolved.len() > self.limit.max(2000)
    }

    /// Drops what it holds of Services that are gone.
    fn rebuild(&mut self, snapshot: &Snapshot, health: &Health) {
        *self = Self::default();
        let services = snapshot.members.values().flat_map(|member| member.services.values());
        services.for_each(|service| self.add(service, health));
        self.limit = 2 * (self.probed.len() + self.resolved.len());
    }
}

fn insert(keys: &mut Keys, key: &ServiceKey) {
    if let Err(place) = keys.binary_search(key) {
        keys.insert(place, key.clone());
    }
}

/// Services that a member has otherwise than before, or that only one of the two has.
pub fn changed_services(before: &Snapshot, now: &Snapshot) -> BTreeSet<ServiceKey> {
    changed_places(before, now).into_iter().map(|(_, key)| key.clone()).collect()
}

/// The same, each with the member.
fn changed_places<'a>(before: &'a Snapshot, now: &'a Snapshot) -> BTreeSet<Place<'a>> {
    let mut changed = BTreeSet::new();
    for difference in before.members.diff(&now.members) {
        match difference {
            DiffItem::Add(name, member) | DiffItem::Remove(name, member) => {
                changed.extend(member.services.keys().chain(member.absent.keys()).map(|key| (name, key)));
            }
            DiffItem::Update { old: (name, old), new: (_, new) } if same_place(old, new) => {
                let services = old.services.diff(&new.services);
                let absent = old.absent.diff(&new.absent);
                changed.extend(services.chain(absent).map(|item| (name, map_key(&item))));
            }
            DiffItem::Update { old: (name, old), new: (_, new) } => {
                let all = [&old.services, &new.services, &old.absent, &new.absent];
                changed.extend(all.into_iter().flat_map(|all| all.keys()).map(|key| (name, key)));
            }
        }
    }
    changed
}

fn same_place(old: &MemberView, new: &MemberView) -> bool {
    let removed = |member: &MemberView| member.inventory == Inventory::Removed;
    let header = |member: &MemberView| (member.listed, removed(member));
    old.region == new.region && old.zones == new.zones && header(old) == header(new)
}

fn unlisted(snapshot: &Snapshot) -> BTreeSet<MemberName> {
    let waiting = |member: &&Arc<MemberView>| !member.listed && member.inventory != Inventory::Removed;
    snapshot.members.values().filter(waiting).map(|member| member.name.clone()).collect()
}

/// What the start of the whole fleet waits for: the first list of each member, or its time-out.
fn waiting_for(snapshot: &Snapshot) -> Option<Arc<str>> {
    if snapshot.members.is_empty() {
        return Some("no cluster has been listed yet".into());
    }
    let pending = snapshot.members.values().filter(|member| member.inventory == Inventory::Pending);
    let pending: Vec<&str> = pending.map(|member| member.name.as_str()).collect();
    (!pending.is_empty()).then(|| format!("waiting for the first list of {}", pending.join(", ")).into())
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
