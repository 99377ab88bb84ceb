//! The work of a plan is linear in what is asked for: counted, not timed.

use super::*;
use crate::desired::PREVIEWS;
use fleetdns_core::member::{Inventory, MemberView};
use fleetdns_core::record::NonEmpty;
use std::time::Duration;

/// A Service of five members, each in a region and two zones of its own, that asks for so many host names.
fn asking(names: usize) -> Snapshot {
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![("example.com".parse().unwrap(), "example.com".parse().unwrap())],
        ..PublishSettings::default()
    };
    let member = |number: usize| {
        let published = publish(
            &Service {
                namespace: "default".into(),
                name: "web".into(),
                ports: vec![Port { port: 80, protocol: "TCP".into() }],
                ingress: Some(vec![Ingress {
                    ip: Some(format!("203.0.113.{}", number + 1)),
                    hostname: None,
                }]),
                ..Service::default()
            },
            &settings,
        );
        let mut published = published.unwrap();
        published.hostnames = (0..names).map(|n| format!("n{n}.example.com").parse().unwrap()).collect();
        let name: MemberName = format!("m{number}").parse().unwrap();
        let mut view = MemberView::pending(name.clone());
        view.inventory = Inventory::Live;
        view.listed = true;
        view.region = Some(format!("r{number}").parse().unwrap());
        view.zones = ["1", "2"].map(|zone| zone.parse().unwrap()).into();
        view.services.insert(published.key.clone(), Arc::new(published));
        (name, Arc::new(view))
    };
    Snapshot { members: (0..5).map(member).collect() }
}

/// All that these members have answers.
fn healthy() -> Health {
    let mut health = Health::default();
    for number in 0..5 {
        let address = format!("203.0.113.{}", number + 1).parse().unwrap();
        health.verdicts.insert(ProbeKey { address, spec: Arc::new(ProbeSpec::tcp(80)) }, Verdict::Healthy);
    }
    health
}

fn work<T>(of: impl FnOnce() -> T) -> (usize, T) {
    let before = PREVIEWS.with(std::cell::Cell::get);
    let done = of();
    (PREVIEWS.with(std::cell::Cell::get) - before, done)
}

#[test]
fn each_name_of_a_service_is_worked_out_a_few_times_however_many_there_are() {
    let health = healthy();
    for names in [10, 1000] {
        let (snapshot, mut planner) = (asking(names), planner());
        // Global, five regions, ten zones.
        let all = names + 16;
        let (looks, _) = work(|| planner.update(&Input::new(&snapshot, &health, &Overrides::default())));
        assert!(looks <= all, "{looks} looks to learn {all} names");
        // A name in a zone passes the levels above it.
        let most = names + 1 + 5 * 2 + 10 * 3;
        let (looks, plan) = work(|| planner.plan(&Scope::All, &Observed::default()));
        assert_eq!(plan.changes.len(), all, "{plan}");
        assert!(looks <= most, "{looks} looks to plan {all} names");
        let (looks, moves) = work(|| planner.moves(&plan, &Observed::default()));
        assert_eq!(moves.len(), names * 5 + 5 + 5 + 10);
        assert!(looks <= most, "{looks} looks at the moves of {all} names");
    }
}

proptest! {
    #[test]
    fn a_name_looked_at_alone_is_what_it_is_among_all(
        asks in proptest::collection::btree_set(0..6_usize, 0..4),
        regions in proptest::collection::vec((0..3_usize, proptest::collection::btree_set(0..3_usize, 0..3)), 1..5),
    ) {
        let mut snapshot = asking(0);
        let key: ServiceKey = "default/web".parse().unwrap();
        for (number, (region, zones)) in regions.iter().enumerate() {
            let name: MemberName = format!("m{number}").parse().unwrap();
            let mut view = (**snapshot.members.get(&name).unwrap()).clone();
            view.region = (*region > 0).then(|| format!("r{region}").parse().unwrap());
            view.zones = zones.iter().map(|zone| format!("{zone}").parse().unwrap()).collect();
            let mut published = (**view.services.get(&key).unwrap()).clone();
            // Some of them look like names of the federation tree, and one is.
            let names = ["web", "a.web", "x.web.default.fed.svc.r1", "0.r1.web.default.fed.svc", "www", "web.default.fed.svc.r1"];
            published.hostnames =
                asks.iter().map(|n| format!("{}.example.com", names[*n]).parse().unwrap()).collect();
            view.services.insert(key.clone(), Arc::new(published));
            snapshot.members.insert(name, Arc::new(view));
        }
        let (health, overrides) = (Health::default(), Overrides::default());
        let input = Input::new(&snapshot, &health, &overrides);
        let parts = input.parts(&key);
        let inputs = crate::desired::HealthInputs { health: &health, overrides: &overrides };
        for (name, among) in names(&key, &parts, std::iter::empty(), &zone()).names {
            let alone = wanted_at_name(&key, &parts, inputs, (&name, among.asked));
            prop_assert_eq!(&alone.as_ref().map(|one| (&one.up, one.ttl, one.federation)), &Some((&among.up, among.ttl, among.federation)));
            let members = alone.unwrap().ownership.members;
            prop_assert!(!members.is_empty());
            for (member, _) in parts.iter().filter(|(_, service)| service.hostnames.contains(&name)) {
                prop_assert!(members.contains_key(&member.name), "{} asks for {}", member.name, name);
            }
        }
        let other = "x.web.default.fed.svc.example.com".parse().unwrap();
        prop_assert!(wanted_at_name(&key, &parts, inputs, (&other, true)).is_none());
    }
}

fn wanted_at_name(
    key: &ServiceKey,
    parts: &[Part<'_>],
    inputs: crate::desired::HealthInputs<'_>,
    (name, asked): (&DnsName, bool),
) -> Option<Desired> {
    crate::desired::desired_at(key, parts, &zone(), crate::desired::Only { name, asked, inputs })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_pass_in_parts_is_a_pass_whatever_is_planned_again(
        asks in 0..12_usize,
        steps in proptest::collection::vec((1..9_usize, proptest::collection::btree_set(0..12_usize, 0..4)), 0..20),
    ) {
        let mut planner = planner();
        planner.update(&Input::new(&asking(asks), &healthy(), &Overrides::default()));
        // Half of it exists, and one name that nobody wants.
        let foreign = ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Known("203.0.113.200".parse().map(|ip| RecordData::A(NonEmpty::new([ip]).unwrap())).unwrap()),
            claim: Owner::Ours(None),
            version: Version::default(),
        };
        let names = (0..asks / 2).map(|n| format!("n{n}.example.com")).chain(["old.example.com".to_owned()]);
        let observed: Observed = names.map(|name| (name.parse().unwrap(), foreign.clone())).collect();
        for scope in [Scope::All, Scope::Names((0..8).map(|n| format!("n{n}.example.com").parse().unwrap()).collect())] {
            let mut memory = Memory::default();
            let whole = planner.preview(&scope, &observed, &mut memory.clone(), Duration::ZERO);
            let mut pass = Pass::new(scope);
            let mut bench = Bench { planner: &mut planner, observed: &observed, memory: &mut memory, now: Duration::ZERO };
            let mut steps = steps.iter();
            let mut all = BTreeSet::new();
            loop {
                let (names, again) = steps.next().cloned().unwrap_or((7, BTreeSet::new()));
                let more = pass.step(&mut bench, names, |_| false);
                let again: BTreeSet<DnsName> = again.iter().filter(|n| **n < asks).map(|n| format!("n{n}.example.com").parse().unwrap()).collect();
                if !more {
                    break;
                }
                pass.again(&again);
                all.extend(again);
            }
            let parts = pass.finish(&mut bench);
            if whole.scope == Scope::All {
                prop_assert_eq!(&parts, &whole);
            } else {
                let scope = whole.scope.clone();
                let Scope::Names(mut names) = scope else { unreachable!() };
                names.extend(all);
                let more = planner.preview(&Scope::Names(names), &observed, &mut Memory::default(), Duration::ZERO);
                prop_assert_eq!(&parts, &more);
            }
        }
    }
}
