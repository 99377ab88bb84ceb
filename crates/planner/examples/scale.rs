//! How much memory and time a large fleet takes in the planner: `cargo run --release -p fleetdns-planner --example scale`.
//!
//! Arguments: members (20), Services of each (5000). Every second member shares its Services with its neighbour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not a part of the product"
)]

use std::sync::Arc;
use std::time::Instant;

use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Brakes, Capabilities, Content, DnsName, Health, Ingress, Inventory, MemberView, Observed, ObservedSet,
    Overrides, Owner, Port, ProbeKey, Service, Snapshot, Ttl, Verdict, Version,
};
use fleetdns_planner::{Input, Planner, PublishSettings, Scope, ZoneSettings, publish};

fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let (members, each) = (arguments.next().unwrap_or(20), arguments.next().unwrap_or(5000));
    let zone: DnsName = "example.com".parse().unwrap();
    let publishing = PublishSettings {
        fleet: Some("fleet".parse().unwrap()),
        zones: vec![(zone.clone(), zone.clone())],
        ..PublishSettings::default()
    };
    let settings = ZoneSettings {
        suffix: zone.clone(),
        zone,
        other_zones: vec![],
        owner: "fleet".parse().unwrap(),
        fleet: Some("fleet".parse().unwrap()),
        ttl: Ttl::DEFAULT,
        routing: Routing::All,
        priorities: Arc::default(),
        policy: Arc::default(),
    };
    println!("start                {:>8.1} MB", rss_mb());
    let (mut snapshot, mut health) = (Snapshot::default(), Health::default());
    for member in 0..members {
        let mut view = MemberView::pending(format!("cluster-{member}").parse().unwrap());
        view.inventory = Inventory::Live;
        view.listed = true;
        view.region = Some(format!("region-{member}").parse().unwrap());
        view.zones = ["1".parse().unwrap()].into();
        for number in 0..each {
            add(&mut view, &mut health, member, number, &publishing);
        }
        snapshot.members.insert(view.name.clone(), Arc::new(view));
    }
    println!("snapshot and health  {:>8.1} MB", rss_mb());
    let mut planner = Planner::new(settings, Capabilities::default(), Brakes::default());
    let started = Instant::now();
    let mut input = Input::new(&snapshot, &health, &Overrides::default());
    planner.update(&input);
    println!("groups               {:>8.1} MB  {:?}", rss_mb(), started.elapsed());
    let mut observed = Observed::default();
    let started = Instant::now();
    let plan = planner.plan(&Scope::All, &observed);
    println!("plan of {:>7} names {:>6.1} MB  {:?}", plan.changes.len(), rss_mb(), started.elapsed());
    for change in plan.changes {
        for (set, mark) in change.changes.iter().filter_map(|one| one.after()) {
            let claim = mark.map_or(Owner::Foreign, Owner::of);
            let content = Content::Known(set.data.clone());
            observed.push(
                change.name.clone(),
                ObservedSet { ttl: set.ttl, content, claim, version: Version::default() },
            );
        }
    }
    println!("zone as observed     {:>8.1} MB", rss_mb());
    let started = Instant::now();
    let plan = planner.plan(&Scope::All, &observed);
    println!("empty plan ({})       {:>8.1} MB  {:?}", plan.is_empty(), rss_mb(), started.elapsed());
    let mut view = (**snapshot.members.values().next().unwrap()).clone();
    add(&mut view, &mut health, 200, 0, &publishing);
    snapshot.members.insert(view.name.clone(), Arc::new(view));
    let started = Instant::now();
    input.update(&snapshot, &health, &Overrides::default());
    let scope = planner.update(&input);
    let plan = planner.plan(&scope, &observed);
    println!("one Service changed: {} names in {:?}", plan.changes.len(), started.elapsed());
}

fn add(view: &mut MemberView, health: &mut Health, member: u32, number: u32, publishing: &PublishSettings) {
    let [_, b, c, d] = (member / 2 * 100_000 + number).to_be_bytes();
    let address = format!("10.{b}.{c}.{}", d | 1);
    let service = Service {
        namespace: format!("team-{}", number % 50),
        name: format!("service-{}-{number}", member / 2),
        ports: vec![Port { port: 443, protocol: "TCP".to_owned() }],
        ingress: Some(vec![Ingress { ip: Some(address), hostname: None }]),
        ..Service::default()
    };
    let published = publish(&service, publishing).unwrap();
    for address in published.addresses.iter().flatten() {
        let key = ProbeKey { address: address.ip().unwrap(), spec: Arc::clone(&published.probe) };
        health.verdicts.insert(key, Verdict::Healthy);
    }
    view.services.insert(published.key.clone(), Arc::new(published));
}
