//! Host names: their addresses are probed, and stay while resolving fails.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_name_that_never_resolves_is_said_to_be_so() {
    let network = Network::default();
    let name: DnsName = "lb.example.com".parse().unwrap();
    let failed = || Family::Failed("the name servers answered SERVFAIL".to_owned());
    network.name("lb.example.com", (failed(), failed()));
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND * 120).await;
    assert!(world.health.borrow().unresolvable.contains(&name));
    network.name("lb.example.com", (found(&["10.0.0.1"], 60), Family::Empty));
    sleep(SECOND * 120).await;
    assert!(world.health.borrow().unresolvable.is_empty());
    network.name("lb.example.com", (failed(), failed()));
    sleep(SECOND * 600).await;
    assert!(world.health.borrow().unresolvable.is_empty(), "it did resolve once");
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND * 6).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_by_its_ttl_and_each_address_is_probed() {
    let network = Network::default();
    network.name("lb.example.com", (found(&["10.0.0.1", "10.0.0.2"], 60), Family::Empty));
    network.set("10.0.0.2", Duration::ZERO, REFUSED);
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND * 20).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    assert_eq!(world.verdict("10.0.0.2"), Unhealthy);
    network.name("lb.example.com", (found(&["10.0.0.1", "10.0.0.3"], 60), Family::Empty));
    sleep(SECOND * 39).await;
    assert_eq!(network.asked("10.0.0.3").len(), 0, "the TTL is not over");
    sleep(SECOND * 2).await;
    assert_eq!(world.verdict("10.0.0.3"), Healthy);
    let name: DnsName = "lb.example.com".parse().unwrap();
    let expected: OrdSet<IpAddr> =
        ["10.0.0.1", "10.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap()).into_iter().collect();
    assert_eq!(world.health.borrow().resolved.get(&name), Some(&expected));
    assert!(!world.health.borrow().verdicts.contains_key(&key("10.0.0.2", "tcp:80")));
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn a_name_keeps_its_addresses_while_resolving_fails_and_loses_them_when_told_twice() {
    let network = Network::default();
    let name: DnsName = "lb.example.com".parse().unwrap();
    network.name("lb.example.com", (found(&["10.0.0.1"], 5), found(&["2001:db8::1"], 5)));
    let world = world(&network, settings(), west(&[("a", "lb.example.com", "tcp:80")]));
    sleep(SECOND).await;
    let resolved = |world: &World| world.health.borrow().resolved.get(&name).map(OrdSet::len);
    assert_eq!(resolved(&world), Some(2));
    let failed = || Family::Failed("the name servers answered SERVFAIL".to_owned());
    network.name("lb.example.com", (failed(), failed()));
    sleep(SECOND * 600).await;
    assert_eq!(resolved(&world), Some(2));
    assert!(world.reports.resolve_error(&name).unwrap().contains("SERVFAIL"));
    // One family fails, the other says that it has none: neither is believed.
    network.name("lb.example.com", (Family::Empty, failed()));
    sleep(SECOND * 600).await;
    assert_eq!(resolved(&world), Some(2));
    // One family is gone beside a good answer for the other.
    network.name("lb.example.com", (found(&["10.0.0.1"], 60), Family::Empty));
    sleep(SECOND * 61).await;
    assert_eq!(resolved(&world), Some(1));
    assert_eq!(world.reports.resolve_error(&name), None);
    network.name("lb.example.com", (Family::Empty, Family::Empty));
    sleep(SECOND * 62).await;
    assert_eq!(resolved(&world), Some(1), "the resolver may be wrong");
    assert_eq!(world.health.borrow().verdicts.len(), 1, "it is probed meanwhile");
    sleep(SECOND * 140).await;
    assert_eq!(resolved(&world), Some(0));
    assert!(world.health.borrow().verdicts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_delays_nobody() {
    let network = Network::default();
    let services: Vec<String> = (0..300).map(|index| format!("lb{index}.example.com")).collect();
    let mut words: Vec<Words<'_>> =
        services.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    words.push(ONE);
    let world = world(&network, settings(), west(&words));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    assert_eq!(world.health.borrow().resolved.len(), 0);
}
