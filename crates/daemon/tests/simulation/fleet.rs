//! The member clusters: what their APIs really have, and what the watch of this process knows of it.
//!
//! The watch follows the rules of the real one by the same value, core's [`Catalog`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::inventory::{Catalog, Listed, Patience};
use fleetdns_core::{
    Address, DnsName, Ingress, Inventory, Label, MemberName, MemberView, Port, PublishSettings, Service,
    ServiceKey, Snapshot,
};

pub(crate) const GRACE: Duration = Duration::from_secs(30);
pub(crate) const STARTUP: Duration = Duration::from_secs(30);

/// A Service as its cluster has it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) addresses: BTreeSet<Address>,
    pub(crate) port: u16,
    pub(crate) asked: Option<DnsName>,
    /// The load balancer's status is empty, since then.
    pub(crate) emptied: Option<Duration>,
}

impl Truth {
    fn service(&self, key: &ServiceKey) -> Service {
        let ingress = |address: &Address| match address {
            Address::Hostname(name) => Ingress { ip: None, hostname: Some(name.to_string()) },
            ip => Ingress { ip: Some(ip.to_string()), hostname: None },
        };
        let addresses = self.addresses.iter().filter(|_| self.emptied.is_none());
        let mut annotations = BTreeMap::new();
        if let Some(name) = &self.asked {
            annotations.insert("fleetdns.io/hostname".to_owned(), name.to_string());
        }
        Service {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            annotations,
            ports: vec![Port { port: self.port, protocol: "TCP".to_owned() }],
            ingress: Some(addresses.map(ingress).collect()),
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
    /// It has said so twice: that counts.
    pub(crate) believed: bool,
    catalog: Catalog,
    /// When this process listed it first.
    first_list: Option<Duration>,
    adopted: Option<MemberView>,
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
            believed: false,
            catalog: Catalog::new(Arc::default(), Patience::default()),
            first_list: None,
            adopted: None,
            timed_out: false,
            stale: false,
        }
    }

    /// The addresses of a Service, by what counts: an emptied status keeps them for a while, if the
    /// process knew them.
    pub(crate) fn given(&self, key: &ServiceKey, now: Duration) -> Option<&BTreeSet<Address>> {
        static NONE: BTreeSet<Address> = BTreeSet::new();
        let truth = self.services.get(key).filter(|_| self.configured && !self.believed)?;
        let seen = |since: Duration| self.first_list.is_some_and(|first| first < since);
        let in_grace = |since: Duration| now < since + GRACE && seen(since);
        Some(if truth.emptied.is_none_or(in_grace) { &truth.addresses } else { &NONE })
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
        view.services = match &self.adopted {
            Some(adopted) if !listed => adopted.services.clone(),
            _ => self.catalog.services().clone(),
        };
        view
    }

    pub(crate) fn start(&mut self, settings: &Arc<PublishSettings>) {
        self.catalog = Catalog::new(Arc::clone(settings), Patience::default());
        (self.adopted, self.timed_out, self.stale) = (None, false, false);
        (self.lies, self.believed, self.first_list) = (false, false, None);
    }

    pub(crate) fn adopt(&mut self, view: MemberView) {
        self.adopted = Some(view);
    }

    pub(crate) fn give_up(&mut self) {
        self.timed_out = true;
    }

    pub(crate) fn lose(&mut self) {
        self.reachable = false;
        self.stale = true;
        self.catalog.set_away(true, Duration::ZERO);
    }

    /// A complete list, if the API answers. Gives when another one is needed.
    pub(crate) fn list(&mut self, now: Duration) -> Option<Duration> {
        if !self.reachable {
            return None;
        }
        self.stale = false;
        self.catalog.set_away(false, now);
        self.first_list.get_or_insert(now);
        let doubted = self.catalog.unconfirmed().map(|doubt| doubt.due);
        let items: Vec<Listed> = match self.lies && self.catalog.is_listed() {
            true => Vec::new(),
            false => self.services.iter().map(|(key, truth)| Listed::Service(truth.service(key))).collect(),
        };
        self.believed = items.is_empty() && (self.believed || doubted.is_some_and(|due| now >= due));
        let _ = self.catalog.list(items, now);
        self.catalog.unconfirmed().map(|doubt| doubt.due)
    }

    /// The watch says what became of a Service, if it works.
    pub(crate) fn tell(&mut self, key: &ServiceKey, now: Duration) {
        if !self.reachable || !self.catalog.is_listed() {
            return;
        }
        let _ = match self.services.get(key) {
            Some(truth) => self.catalog.put(truth.service(key), now),
            None => self.catalog.remove(key),
        };
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        let _ = self.catalog.tick(now);
    }

    pub(crate) fn next_tick(&self) -> Option<Duration> {
        self.catalog.next_tick()
    }
}

/// All members, those that were removed from the config too.
#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    /// What a zone said of members that are not configured.
    pub(crate) departed: BTreeMap<MemberName, MemberView>,
    /// Broken on purpose: who was not listed yet is said to be listed and empty.
    pub(crate) hasty: bool,
}

impl Fleet {
    pub(crate) fn configured(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.configured)
    }

    pub(crate) fn adopt(&mut self, views: Vec<MemberView>) {
        for mut view in views {
            match self.members.iter_mut().find(|member| member.configured && member.name == view.name) {
                Some(member) => member.adopt(view),
                None => {
                    view.inventory = Inventory::Departed;
                    self.departed.insert(view.name.clone(), view);
                }
            }
        }
    }

    /// Writes what is known into a snapshot; gives whether that is news.
    pub(crate) fn write(&self, snapshot: &mut Snapshot) -> bool {
        let mut news = false;
        let views = self.configured().map(Member::view).chain(self.departed.values().cloned());
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
