//! Properties of layout, edit and view together, on a model of etcd: a map with revisions.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use fleetdns_core::{DnsName, NonEmpty, Owner, RecordData};
use fleetdns_fakes::plans::{self, Desired, difference, name, owner};
use proptest::prelude::*;

use super::changes::{Edit, Guard, edit};
use super::layout::Layout;
use super::listing::{Pair, View, view};
use super::pack::{Batch, pack, steps};

#[derive(Default)]
struct Model {
    keys: BTreeMap<String, (Vec<u8>, i64)>,
    revision: i64,
}

impl Model {
    fn holds(&self, guard: &Guard) -> bool {
        let revision = |key: &String| self.keys.get(key).map_or(0, |(_, revision)| *revision);
        match guard {
            Guard::Is(key, expected) => revision(key) == *expected,
            Guard::QuietKey(key, since) => revision(key) <= *since,
            Guard::QuietBelow(prefix, since) => {
                self.keys.iter().all(|(key, (_, revision))| !key.starts_with(prefix) || revision <= since)
            }
        }
    }

    fn commit(&mut self, edits: &[Edit]) -> bool {
        if !edits.iter().flat_map(|edit| &edit.guards).all(|guard| self.holds(guard)) {
            return false;
        }
        self.revision += 1;
        for (key, value) in edits.iter().flat_map(|edit| &edit.writes) {
            match value {
                Some(value) => self.keys.insert(key.clone(), (value.clone(), self.revision)),
                None => self.keys.remove(key),
            };
        }
        true
    }

    fn view(&self) -> View {
        let pairs = self.keys.iter().map(|(key, (value, revision))| Pair {
            key: key.as_bytes(),
            value,
            revision: *revision,
        });
        view(&layout(), &owner(), pairs)
    }

    fn foreign(&mut self, key: &str, value: &str) {
        self.revision += 1;
        self.keys.insert(key.to_owned(), (value.as_bytes().to_vec(), self.revision));
    }

    fn make(&mut self, desired: &Desired) {
        let plan = difference(layout().zone(), &owner(), &self.view().listing.observed, desired);
        let known = Some(self.revision);
        let edits = plan.changes.iter().map(|change| edit(&layout(), &owner(), change, known).unwrap());
        for batch in pack(edits) {
            match batch {
                Batch::Whole(edits) => assert!(self.commit(&edits)),
                Batch::Large(edit) => {
                    for mut step in steps(&edit) {
                        step.guards = step.guards.iter().map(|guard| guard.since(self.revision)).collect();
                        assert!(self.commit(&[step]));
                    }
                }
            }
        }
    }
}

fn layout() -> Layout {
    Layout::new(name("example.com"), "/skydns")
}

/// Names of which one is the beginning of another, as text and as key.
const NAMES: [&str; 6] = [
    "svc-3.example.com",
    "svc-30.example.com",
    "svc.example.com",
    "example.com",
    "a.b.example.com",
    "v4-0a000001.x.example.com",
];

fn addresses() -> impl Strategy<Value = Vec<(RecordData, u32)>> {
    let ttl = prop_oneof![Just(30_u32), 1..i32::MAX as u32];
    let v4 = prop::collection::btree_set((0_u32..40).prop_map(|low| Ipv4Addr::from(0x0a00_0000 + low)), 0..6);
    let v6 = prop::collection::btree_set(
        (1_u128..40).prop_map(|low| Ipv6Addr::from((0x2001_0db8 << 96) + low)),
        0..4,
    );
    (v4, v6, ttl).prop_map(|(v4, v6, ttl)| {
        let v4 = NonEmpty::new(v4).map(|set| (RecordData::A(set), ttl));
        v4.into_iter().chain(NonEmpty::new(v6).map(|set| (RecordData::Aaaa(set), ttl))).collect()
    })
}

fn sets(index: usize) -> BoxedStrategy<Vec<(RecordData, u32)>> {
    let alias = Just(vec![(RecordData::Cname(name("lb.example.net")), 60)]);
    let large = (70_u32..300).prop_map(|count| vec![(plans::many(1, count), 30)]);
    if NAMES[index] == "example.com" {
        return addresses().boxed();
    }
    prop_oneof![6 => addresses(), 2 => alias, 1 => large].boxed()
}

fn desired() -> impl Strategy<Value = Desired> {
    let each: Vec<_> = (0..NAMES.len()).map(sets).collect();
    each.prop_map(|all| {
        let named = NAMES.iter().map(|text| name(text)).zip(all);
        named.filter(|(_, sets)| !sets.is_empty()).collect()
    })
}

fn ours(view: &View) -> Desired {
    let mut found = Desired::new();
    for (name, sets) in view.listing.observed.iter() {
        let ours = sets.iter().filter_map(|set| Some((set.ours()?.clone(), set.ttl.seconds())));
        let ours: Vec<_> = ours.collect();
        if !ours.is_empty() {
            found.insert(name.clone(), ours);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_listed_after_a_plan_is_what_was_wanted(rounds in prop::collection::vec(desired(), 1..4)) {
        let mut model = Model::default();
        let foreign = [
            ("/skydns/com/example/svc-300/x", r#"{"host":"10.9.9.9","targetstrip":1}"#),
            ("/skydns/com/example/svc-3/_acme/x", r#"{"text":"token","targetstrip":1}"#),
            ("/skydns/com/example2/svc-3", r#"{"host":"10.9.9.9"}"#),
            ("/skydns/com/example/broken", "{"),
        ];
        for (key, value) in foreign {
            model.foreign(key, value);
        }
        for desired in rounds {
            model.make(&desired);
            let view = model.view();
            prop_assert_eq!(ours(&view), desired.clone());
            let again = difference(layout().zone(), &owner(), &view.listing.observed, &desired);
            prop_assert!(again.is_empty(), "{}", again);
            for (key, value) in foreign {
                prop_assert_eq!(model.keys.get(key).map(|(value, _)| value.as_slice()), Some(value.as_bytes()));
            }
        }
        model.make(&Desired::new());
        prop_assert_eq!(model.keys.len(), foreign.len(), "nothing of ours is left");
    }
}

#[track_caller]
fn stale(model: &mut Model, desired: &Desired, meddle: impl FnOnce(&mut Model)) {
    let view = model.view();
    let plan = difference(layout().zone(), &owner(), &view.listing.observed, desired);
    let known = Some(model.revision);
    let edits: Vec<Edit> =
        plan.changes.iter().map(|change| edit(&layout(), &owner(), change, known).unwrap()).collect();
    meddle(model);
    assert!(!model.commit(&edits));
}

#[test]
fn whatever_somebody_else_does_at_the_name_makes_the_edit_fail() {
    let www: DnsName = name("www.example.com");
    let set = |values: &[&str]| Desired::from([(www.clone(), vec![(plans::a(values), 30)])]);
    let leaf = "/skydns/com/example/www/v4-0a000001";
    let foreign = r#"{"host":"10.9.9.9","targetstrip":1}"#;
    let start = || {
        let mut model = Model::default();
        model.make(&set(&["10.0.0.1", "10.0.0.2"]));
        model
    };
    let next = set(&["10.0.0.1", "10.0.0.3"]);
    let one_goes = |model: &mut Model| drop(model.keys.remove(leaf));
    stale(&mut start(), &next, one_goes);
    stale(&mut start(), &next, |model| model.foreign(leaf, foreign));
    stale(&mut start(), &next, |model| model.foreign("/skydns/com/example/www", r#"{"host":"a.b"}"#));
    stale(&mut start(), &next, |model| model.foreign("/skydns/com/example/www/aaaa", foreign));
    stale(&mut start(), &next, |model| model.foreign("/skydns/com/example/www/v4-0a000003", foreign));
    stale(&mut Model::default(), &next, |model| model.foreign("/skydns/com/example/www/x/y", foreign));
    stale(&mut Model::default(), &next, |model| model.foreign("/skydns/com/example/www", foreign));
    let mut beside = start();
    beside.foreign("/skydns/com/example/www2", r#"{"host":"10.9.9.9"}"#);
    beside.make(&next);
    assert_eq!(ours(&beside.view()), next);
    let foreign_at = |claim: &Owner| *claim == Owner::Foreign;
    assert!(foreign_at(&beside.view().listing.observed.at(&name("www2.example.com"))[0].claim));
}
