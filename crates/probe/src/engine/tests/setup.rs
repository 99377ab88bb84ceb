//! Another setup while the prober runs.

use fleetdns_core::AddressPolicies;
use fleetdns_core::policy::AddressPolicy;

use super::self_check::{EAST, WEST, apis, silent, two_members};
use super::*;

fn anchor(address: &str) -> Canary {
    Canary { what: "anchor".into(), member: None, address: address.parse().unwrap(), port: 53 }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_each_key_stands_and_the_new_times_count() {
    let network = Network::default();
    network.set("10.0.0.2", Duration::ZERO, REFUSED);
    let world = world(&network, settings(), west(&[ONE, ("b", "10.0.0.2", "tcp:80")]));
    sleep(SECOND * 30).await;
    assert_eq!((world.verdict("10.0.0.1"), world.verdict("10.0.0.2")), (Healthy, Unhealthy));
    let slow = ProbeSettings { interval: SECOND * 60, rise: 5, ..settings() };
    world.setups.unbounded_send((slow, Vec::new())).unwrap();
    network.set("10.0.0.2", Duration::ZERO, Answer::Pass);
    sleep(SECOND * 5).await;
    assert_eq!((world.verdict("10.0.0.1"), world.verdict("10.0.0.2")), (Healthy, Recovering));
    let before = network.asked("10.0.0.1").len();
    sleep(SECOND * 120).await;
    assert_eq!(network.asked("10.0.0.1").len() - before, 2);
    assert_eq!(world.verdict("10.0.0.2"), Healthy);
}

#[tokio::test(start_paused = true)]
async fn canaries_come_and_go_and_are_no_endpoints() {
    let network = Network::default();
    let world = world_with(&network, settings(), west(&[ONE]), vec![anchor("192.0.2.1")]);
    sleep(SECOND * 10).await;
    let both = vec![anchor("192.0.2.1"), anchor("192.0.2.2")];
    world.setups.unbounded_send((settings(), both)).unwrap();
    sleep(SECOND * 10).await;
    let names = |world: &World| -> Vec<String> {
        world.reports.canaries().iter().map(|report| report.canary.to_string()).collect()
    };
    assert_eq!(names(&world), ["anchor at 192.0.2.1:53", "anchor at 192.0.2.2:53"]);
    assert!(!network.asked("192.0.2.2").is_empty());
    world.setups.unbounded_send((settings(), vec![anchor("192.0.2.2")])).unwrap();
    sleep(SECOND * 10).await;
    let before = (network.asked("192.0.2.1").len(), network.asked("192.0.2.2").len());
    sleep(SECOND * 60).await;
    assert_eq!(network.asked("192.0.2.1").len(), before.0, "it is no canary any more");
    assert!(network.asked("192.0.2.2").len() > before.1);
    assert_eq!(names(&world), ["anchor at 192.0.2.2:53"]);
    assert_eq!(world.health.borrow().verdicts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_correlation_that_stands_goes_on_under_another_setup() {
    let network = Network::default();
    let mut world = two_members(&network);
    sleep(SECOND * 20).await;
    let all: Vec<&str> = WEST.iter().chain(&EAST).map(|(_, address, _)| *address).collect();
    world.set_all(&all, Duration::ZERO, &silent());
    world.until(|health| health.self_check.is_some()).await;
    let before = world.health.borrow().self_check.clone();
    world.setups.unbounded_send((ProbeSettings { rise: 3, ..settings() }, apis())).unwrap();
    sleep(SECOND * 60).await;
    assert_eq!(world.health.borrow().self_check, before);
    assert!(!world.all_are(&WEST, Unhealthy) && !world.all_are(&EAST, Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_allowed_now_is_probed_without_another_answer_of_its_name_server() {
    let network = Network::default();
    let found = Family::Found(["10.0.0.7".parse().unwrap()].into(), SECOND * 3600);
    network.name("lb.example.net", (found, Family::Empty));
    let mut deny = AddressPolicy::default();
    deny.deny.push("10.0.0.0/8".parse().unwrap());
    let denied = ProbeSettings {
        addresses: Arc::new(AddressPolicies { fleet: Arc::new(deny), ..AddressPolicies::default() }),
        ..settings()
    };
    let world = world(&network, denied, west(&[("c", "lb.example.net", "tcp:80")]));
    sleep(SECOND * 20).await;
    assert!(network.asked("10.0.0.7").is_empty());
    world.setups.unbounded_send((settings(), Vec::new())).unwrap();
    sleep(SECOND * 5).await;
    assert_eq!(world.verdict("10.0.0.7"), Healthy);
}
