//! The member clusters: what their APIs really have, and what the watch of this process knows of it.
//!
//! The watch follows the rules of the real one by the same value, core's [`Catalog`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{
    Address, DnsName, Ingress, Inventory, Label, MemberName, MemberView, Port, Published, Service,
    ServiceKey, SmallSet, Snapshot,
};
use fleetdns_planner::PublishSettings;
use fleetdns_watch::Completeness;
use fleetdns_watch::catalog::{Catalog, Listed, Patience};

pub(crate) const GRACE: Duration = Duration::from_secs(30);
const CONFIRM: Duration = Duration::from_secs(30);
pub(crate) const STARTUP: Duration = Duration::from_secs(30);

/// A Service as its cluster has it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) addresses: BTreeSet<Address>,
    pub(crate) port: u16,
    /// Host names that it asks for by annotation.
    pub(crate) asked: BTreeSet<DnsName>,
    /// The load balancer's status is empty, since then.
    pub(crate) emptied: Option<Duration>,
}

impl Truth {
    /// A Service with these addresses, on port 80.
    pub(crate) fn of(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self { addresses: addresses.into_iter().collect(), port: 80, asked: BTreeSet::new(), emptied: None }
    }

    fn service(&self, key: &ServiceKey) -> Service {
        let ingress = |address: &Address| match address {
            Address::Hostname(name) => Ingress { ip: None, hostname: Some(name.to_string()) },
            ip => Ingress { ip: Some(ip.to_string()), hostname: None },
        };
        let addresses = self.addresses.iter().filter(|_| self.emptied.is_none());
        let mut annotations = BTreeMap::new();
        if !self.asked.is_empty() {
            let names: Vec<&str> = self.asked.iter().map(DnsName::as_str).collect();
            annotations.insert("fleetdns.io/hostname".to_owned(), names.join(","));
        }
        Service {
            namespace: key.namespace().to_string(),
            name: key.name().to_owned(),
            annotations,
            ports: vec![Port { port: self.port, protocol: "TCP".to_owned() }],
            ingress: Some(addresses.map(ingress).collect()),
            ..Service::default()
        }
    }
}

pub(crate) struct Member {
    pub(crate) name: MemberName,
    pub(crate) region: Option<Label>,
    pub(crate) zones: BTreeSet<Label>,
    pub(crate) priority: u16,
    pub(crate) api: IpAddr,
    pub(crate) services: BTreeMap<ServiceKey, Truth>,
    /// In the config of the process that runs.
    pub(crate) configured: bool,
    pub(crate) reachable: bool,
    /// Its lists are empty, whatever it has.
    pub(crate) lies: bool,
    /// It did so when this process listed it first.
    pub(crate) lied_first: bool,
    /// It has said so twice: that counts.
    pub(crate) believed: bool,
    /// It was rebuilt, and does not have these again yet.
    pub(crate) unfilled: BTreeSet<ServiceKey>,
    /// It was rebuilt since the last list.
    rebuilt: bool,
    /// Since when no list has had a Service that is there.
    missing: BTreeMap<ServiceKey, Duration>,
    /// What this process was told last: by the marks in the zone, and by its API from the first list on.
    told: BTreeMap<ServiceKey, BTreeSet<Address>>,
    heard: bool,
    /// Services of which the watch told before there was a list that was true.
    heard_of: BTreeSet<ServiceKey>,
    /// Services with an emptied status: since when this process knows.
    emptied: BTreeMap<ServiceKey, Duration>,
    catalog: Catalog,
    timed_out: bool,
    stale: bool,
}

impl Member {
    pub(crate) fn new(
        name: &str,
        region: Option<&str>,
        zone: Option<&str>,
        priority: u16,
        api: IpAddr,
    ) -> Self {
        Self {
            name: name.parse().unwrap(),
            region: region.map(|text| text.parse().unwrap()),
            zones: zone.into_iter().map(|text| text.parse().unwrap()).collect(),
            priority,
            api,
            services: BTreeMap::new(),
            configured: true,
            reachable: true,
            lies: false,
            lied_first: false,
            believed: false,
            unfilled: BTreeSet::new(),
            rebuilt: false,
            missing: BTreeMap::new(),
            told: BTreeMap::new(),
            heard: false,
            heard_of: BTreeSet::new(),
            emptied: BTreeMap::new(),
            catalog: Catalog::new(Arc::default(), Patience::default()),
            timed_out: false,
            stale: false,
        }
    }

    /// The addresses of a Service, by what was told last: an emptied status keeps them for a while.
    pub(crate) fn given(&self, key: &ServiceKey, now: Duration) -> Option<&BTreeSet<Address>> {
        static NONE: BTreeSet<Address> = BTreeSet::new();
        let addresses = self.told.get(key).filter(|_| self.configured)?;
        let in_grace = self.emptied.get(key).is_none_or(|since| self.stale || now < *since + GRACE);
        Some(if in_grace { addresses } else { &NONE })
    }

    /// Whether its own word counts, and not what marks tell.
    pub(crate) fn was_heard_of(&self, key: &ServiceKey) -> bool {
        self.heard || self.heard_of.contains(key)
    }

    /// A mark in the zone says that it gave these addresses.
    pub(crate) fn remember(&mut self, key: &ServiceKey, addresses: &SmallSet<Address>) {
        if !self.was_heard_of(key) {
            self.told.entry(key.clone()).or_default().extend(addresses.iter().cloned());
        }
    }

    /// The API says what it has of these Services.
    fn hear(&mut self, keys: impl IntoIterator<Item = ServiceKey>, now: Duration) {
        self.end_graces(now);
        for key in keys {
            self.heard_of.insert(key.clone());
            match self.services.get(&key) {
                // An emptied status says nothing new of addresses.
                Some(truth) if truth.emptied.is_some() => {
                    self.told.entry(key.clone()).or_default();
                    self.emptied.entry(key).or_insert(now);
                }
                Some(truth) => {
                    self.told.insert(key.clone(), truth.addresses.clone());
                    self.emptied.remove(&key);
                }
                None => {
                    self.told.remove(&key);
                    self.emptied.remove(&key);
                }
            }
        }
    }

    fn hear_all(&mut self, now: Duration) {
        self.heard = true;
        let known = self.told.keys().chain(self.services.keys());
        let keys: BTreeSet<ServiceKey> = known.filter(|key| !self.unfilled.contains(*key)).cloned().collect();
        self.hear(keys, now);
        self.lose_unfilled(now);
    }

    /// What a list misses is gone when it is the first one of this process, or the Service has been missing for so long.
    fn lose_unfilled(&mut self, now: Duration) {
        let first = !self.catalog.is_listed();
        for (key, since) in &self.missing {
            if self.unfilled.contains(key) && (first || now >= *since + CONFIRM) {
                self.told.remove(key);
                self.emptied.remove(key);
            }
        }
    }

    fn hear_nothing(&mut self) {
        self.heard = true;
        self.told.clear();
        self.emptied.clear();
    }

    fn end_graces(&mut self, now: Duration) {
        for (key, _) in self.emptied.iter().filter(|(_, since)| !self.stale && now >= **since + GRACE) {
            self.told.insert(key.clone(), BTreeSet::new());
        }
    }

    pub(crate) fn view(&self) -> MemberView {
        let listed = self.catalog.is_listed();
        let mut view = MemberView::pending(self.name.clone());
        view.listed = listed;
        view.inventory = match (listed, self.timed_out, self.stale) {
            (true, _, false) => Inventory::Live,
            (false, false, _) => Inventory::Pending,
            _ => Inventory::Stale,
        };
        view.region = self.region.clone();
        view.zones = self.zones.clone();
        view.services = self.catalog.services().clone();
        view.absent = self.catalog.absent().clone();
        view
    }

    /// What this process publishes of a Service.
    pub(crate) fn published(&self, key: &ServiceKey) -> Option<&Arc<Published>> {
        self.catalog.services().get(key)
    }

    pub(crate) fn start(&mut self, settings: &Arc<PublishSettings>) {
        self.catalog = Catalog::new(Arc::clone(settings), Patience::default());
        (self.timed_out, self.stale, self.believed) = (false, false, false);
        (self.told, self.heard, self.emptied) = (BTreeMap::new(), false, BTreeMap::new());
        self.heard_of.clear();
    }

    pub(crate) fn adopt(&mut self, view: &MemberView, now: Duration) -> Option<Duration> {
        let _ = self.catalog.recall(&view.services, now);
        self.catalog.unconfirmed().map(|self_check| self_check.due)
    }

    pub(crate) fn give_up(&mut self) {
        self.timed_out = true;
    }

    pub(crate) fn lose(&mut self, now: Duration) {
        self.end_graces(now);
        self.reachable = false;
        self.stale = true;
        self.catalog.set_away(true, Duration::ZERO);
    }

    /// Another cluster answers at its address, which has a part of its Services so far, and not every third.
    pub(crate) fn rebuild(&mut self) {
        self.unfilled = self.services.keys().skip(2).step_by(3).cloned().collect();
        self.rebuilt = true;
    }

    /// A complete list, if the API answers. Returns when another one is needed. `naive`: broken on purpose, a cluster that was
    /// rebuilt is believed like any other.
    pub(crate) fn list(&mut self, now: Duration, naive: bool) -> Option<Duration> {
        if !self.reachable {
            return None;
        }
        if std::mem::take(&mut self.stale) {
            self.emptied.values_mut().for_each(|since| *since = now);
        }
        self.catalog.set_away(false, now);
        let distrusted = self.catalog.unconfirmed().map(|self_check| self_check.due);
        let (lies, unfilled) = (self.lies, &self.unfilled);
        let is_listed = |key: &ServiceKey| !lies && !unfilled.contains(key);
        self.missing.retain(|key, _| !is_listed(key));
        for key in self.services.keys().filter(|key| !is_listed(key)) {
            self.missing.entry(key.clone()).or_insert(now);
        }
        let listed = self.services.iter().filter(|(key, _)| is_listed(key));
        let items: Vec<Listed> = listed.map(|(key, truth)| Listed::Service(truth.service(key))).collect();
        if !self.lies {
            self.hear_all(now);
        }
        self.believed = items.is_empty() && (self.believed || distrusted.is_some_and(|due| now >= due));
        if !self.catalog.is_listed() {
            self.lied_first = self.lies;
        }
        if self.believed {
            self.hear_nothing();
        }
        let rebuilt = std::mem::take(&mut self.rebuilt) && self.catalog.is_listed() && !naive;
        let _ = if rebuilt { self.catalog.list_rebuilt(items, now) } else { self.catalog.list(items, now) };
        self.catalog.unconfirmed().map(|self_check| self_check.due)
    }

    /// The watch says what became of a Service, if it works.
    pub(crate) fn tell(&mut self, key: &ServiceKey, now: Duration) {
        if !self.reachable || !self.catalog.is_listed() {
            return;
        }
        self.unfilled.remove(key);
        let _ = match self.services.get(key) {
            Some(truth) => self.catalog.put(truth.service(key), now),
            None => self.catalog.remove(key, now),
        };
        self.hear([key.clone()], now);
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        let _ = self.catalog.tick(now);
    }

    /// Whether its API has listed what it has, and nothing of that waits for a second list.
    pub(crate) fn is_certain(&self) -> bool {
        self.catalog.is_listed() && self.catalog.unconfirmed().is_none()
    }

    pub(crate) fn next_tick(&self) -> Option<Duration> {
        self.catalog.next_tick()
    }
}

/// All members, those that were removed from the config too.
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    /// What a zone said of members that are not configured.
    pub(crate) removed: BTreeMap<MemberName, MemberView>,
    /// Whether all members are named.
    pub(crate) completeness: Completeness,
    /// Broken on purpose: who was not listed yet is said to be listed and empty.
    pub(crate) hasty: bool,
    /// Broken on purpose: the first list of a cluster that was rebuilt counts like any other.
    pub(crate) naive: bool,
}

impl Default for Fleet {
    fn default() -> Self {
        let completeness = Completeness::Confirmed;
        Self { members: Vec::new(), removed: BTreeMap::new(), completeness, hasty: false, naive: false }
    }
}

impl Fleet {
    pub(crate) fn configured(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.configured)
    }

    /// Takes what a zone says of members; returns which of them have to be listed again, and when.
    pub(crate) fn adopt(&mut self, views: Vec<MemberView>, now: Duration) -> Vec<(usize, Duration)> {
        let mut again = Vec::new();
        for mut view in views {
            match self.members.iter().position(|member| member.configured && member.name == view.name) {
                Some(place) => again.extend(self.members[place].adopt(&view, now).map(|due| (place, due))),
                None => {
                    view.inventory = Inventory::Stale;
                    self.removed.insert(view.name.clone(), view);
                }
            }
        }
        self.resolve();
        again
    }

    /// Removes those that nobody names, by the rule of `fleetdns_watch`.
    pub(crate) fn resolve(&mut self) {
        let left = self.removed.values().filter(|view| view.inventory != Inventory::Removed).count();
        let most = left > 1 && left > self.configured().count();
        let removed = match self.completeness {
            Completeness::Unread => false,
            Completeness::Read => !most,
            Completeness::Confirmed => true,
        };
        if removed {
            self.removed.values_mut().for_each(|view| view.inventory = Inventory::Removed);
        }
    }

    /// Writes what is known into a snapshot; returns whether that is news.
    pub(crate) fn write(&self, snapshot: &mut Snapshot) -> bool {
        let mut news = false;
        let views = self.configured().map(Member::view).chain(self.removed.values().cloned());
        for mut view in views {
            if self.hasty && !view.listed {
                (view.listed, view.inventory) = (true, Inventory::Live);
                view.services.clear();
            }
            if snapshot.members.get(&view.name).is_none_or(|known| **known != view) {
                news = true;
                snapshot.members.insert(view.name.clone(), Arc::new(view));
            }
        }
        news
    }
}
