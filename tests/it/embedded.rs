//! The server inside the daemon as a backend of the conformance suite.

use fleetdns_core::{
    Brakes, Change, NameChange, NonEmpty, Outcome, OwnershipRecord, Plan, Provider, RecordData, RecordSet,
    Ttl, approve,
};
use fleetdns_embedded::Servers;
use fleetdns_fakes::conformance::{Backend, OTHER, OWNER, ZONE};

use crate::keys;

/// Others reach its zone through fleetdns only.
pub(crate) struct Embedded(Servers);

impl Backend for Embedded {
    async fn start() -> Self {
        Self(Servers::new())
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("listen", "127.0.0.1:0")]);
        self.0.connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let new = set(name, record_type, &[value]);
        let listing = self.provider(OWNER).list().await.unwrap();
        let there = listing.observed.at(&new.name).iter().find(|set| set.type_name() == record_type);
        match there {
            // Another owner cannot add to a set of ours, so another process of ours does.
            Some(before) if before.claim.is_ours() => {
                let mut values = before.ours().unwrap().values();
                values.push(value.to_owned());
                let set = set(name, record_type, &values.iter().map(String::as_str).collect::<Vec<_>>());
                self.write(OWNER, Change::Update { before: before.clone(), set, mark: mark(OWNER) }).await;
            }
            _ => self.write(OTHER, Change::Create { set: new, mark: mark(OTHER) }).await,
        }
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let listing = self.provider(OWNER).list().await.unwrap();
        let sets = listing.observed.at(&name.parse().unwrap());
        let before = sets.iter().find(|set| set.type_name() == record_type).unwrap().clone();
        let old = before.ours().unwrap().values();
        let values: Vec<&str> = old.iter().map(|value| if value == from { to } else { value }).collect();
        let set = set(name, record_type, &values);
        self.write(OWNER, Change::Update { before, set, mark: mark(OWNER) }).await;
    }
}

fn mark(owner: &str) -> OwnershipRecord {
    format!("v=1 owner={owner} service=default/by-hand").parse().unwrap()
}

fn set(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
    let data = match record_type {
        "A" => RecordData::A(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap()),
        "AAAA" => RecordData::Aaaa(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap()),
        _ => RecordData::Cname(values[0].parse().unwrap()),
    };
    RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data }
}

impl Embedded {
    async fn write(&self, owner: &str, change: Change) {
        let name = change.after().unwrap().0.name.clone();
        let changes = vec![NameChange { name, changes: vec![change] }];
        let plan = Plan { zone: ZONE.parse().unwrap(), changes, held: vec![], refused: vec![], owned: 0 };
        let applied = self.provider(owner).apply(&approve(plan, &Brakes::default())).await;
        assert!(matches!(&applied.names[..], [(_, Outcome::Done(_))]), "{applied:?}");
    }
}
