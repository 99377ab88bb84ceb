//! What a fleet publishes, in a few words, and the plan that follows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Address, Brakes, Capabilities, DnsName, Health, Inventory, MemberName, MemberView, Observed, Overrides,
    Plan, ProbeSpec, Published, ServiceKey, ServiceText, Snapshot, Ttl,
};
use fleetdns_planner::{Input, Planner, Scope, ZoneSettings};

use super::{OWNER, ZONE};

/// Services of a fleet in which every member has the same ones. Nothing is probed.
#[derive(Clone, Debug)]
pub struct Fleet {
    owner: String,
    members: Vec<MemberName>,
    services: BTreeMap<ServiceKey, Arc<Published>>,
    health: Health,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// One member without Services, owner [`OWNER`].
    pub fn new() -> Self {
        Self::with_members(["west"])
    }

    /// The same for another owner.
    #[must_use]
    pub fn owned_by(mut self, owner: &str) -> Self {
        self.owner = owner.to_owned();
        self
    }

    /// With these members.
    ///
    /// # Panics
    /// When a name cannot name a member.
    pub fn with_members(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let members = names.into_iter().map(|name| name.as_ref().parse().expect("a member's name")).collect();
        Self { owner: OWNER.to_owned(), members, services: BTreeMap::new(), health: Health::default() }
    }

    /// A fleet with these names; see [`Fleet::publish`].
    pub fn of(names: &[(&str, &[&str])]) -> Self {
        let mut fleet = Self::new();
        for (name, addresses) in names {
            fleet.publish(name, addresses);
        }
        fleet
    }

    /// A Service that asks for `name`, an absolute one, or replaces the one that does. A single host name becomes a
    /// CNAME. The TTL is 30 s.
    pub fn publish(&mut self, name: &str, addresses: &[&str]) {
        self.publish_for(name, addresses, None);
    }

    /// The same with a TTL in seconds.
    ///
    /// # Panics
    /// When name, address or TTL is not one.
    pub fn publish_for(&mut self, name: &str, addresses: &[&str], ttl: Option<u32>) {
        let hostname: DnsName = name.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        let key = key_of(&hostname);
        let address = |text: &&str| text.parse::<Address>().unwrap_or_else(|e| panic!("{text}: {e}"));
        let addresses: Vec<Address> = addresses.iter().map(address).collect();
        for target in addresses.iter().filter_map(Address::hostname) {
            let ip = IpAddr::from([192, 0, 2, 77]);
            self.health.resolved.insert(target.clone(), [ip].into_iter().collect());
        }
        let published = Published {
            key: key.clone(),
            service: ServiceText::default(),
            addresses: Some(addresses.into_iter().collect()),
            hostnames: [hostname].into(),
            shared: [].into(),
            ttl: ttl.map(|seconds| Ttl::new(seconds).expect("a TTL")),
            probe: Arc::new(ProbeSpec::NONE),
            routing: None,
            faults: Vec::new(),
        };
        self.services.insert(key, Arc::new(published));
    }

    /// Takes the Service away that asks for `name`.
    ///
    /// # Panics
    /// When there is none.
    pub fn withdraw(&mut self, name: &str) {
        let gone = self.services.remove(&key_of(&name.parse().expect("a name")));
        assert!(gone.is_some(), "no Service asks for {name}");
    }

    /// How many Services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The plan that leads from what is there to what is published.
    pub fn plan(&self, capabilities: Capabilities, observed: &Observed) -> Plan {
        self.planner(capabilities).plan(&Scope::All, observed)
    }

    /// A planner of what is published.
    pub fn planner(&self, capabilities: Capabilities) -> Planner {
        // The limits here are those of the provider alone.
        let brakes = Brakes { max_delete: 100, max_addresses: usize::MAX, ..Brakes::default() };
        let mut planner = Planner::new(self.settings(), capabilities, brakes);
        planner.update(&Input::new(&self.snapshot(), &self.health, &Overrides::default()));
        planner
    }

    /// The zone.
    ///
    /// # Panics
    /// When the owner is not a label.
    pub fn settings(&self) -> ZoneSettings {
        let zone: DnsName = ZONE.parse().expect("the zone is a name");
        ZoneSettings {
            suffix: zone.clone(),
            zone,
            other_zones: Vec::new(),
            owner: self.owner.parse().expect("an owner is a label"),
            fleet: None,
            ttl: Ttl::DEFAULT,
            routing: Routing::All,
            priorities: Arc::default(),
            policy: Arc::default(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let member = |name: &MemberName| MemberView {
            inventory: Inventory::Live,
            listed: true,
            services: self.services.iter().map(|(key, service)| (key.clone(), Arc::clone(service))).collect(),
            ..MemberView::pending(name.clone())
        };
        let members = self.members.iter().map(|name| (name.clone(), Arc::new(member(name)))).collect();
        Snapshot { members }
    }
}

/// A Service of its own for each name.
fn key_of(name: &DnsName) -> ServiceKey {
    let words: Vec<&str> = name.labels().map(|label| &label[..label.len().min(12)]).collect();
    ServiceKey::new("default", &words.join("-").replace('*', "any").replace('_', "-")).unwrap()
}
