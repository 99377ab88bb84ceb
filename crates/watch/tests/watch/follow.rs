//! A member that behaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetdns_core::Label;
use serde_json::json;

use crate::fake::{Fake, How, node, service};
use crate::{Fleet, fault, key, name};

#[tokio::test]
async fn services_are_listed_and_followed() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.put(service("b", ""));
    let mut internal = service("internal", "");
    internal["spec"]["type"] = json!("ClusterIP");
    east.put(internal);
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let first = fleet.until_services("east", "a=203.0.113.1 b=none").await;
    assert!(first.listed && first.fault.is_none());

    east.put(service("b", "203.0.113.2"));
    let second = fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    assert!(Arc::ptr_eq(&first.services[&key("a")], &second.services[&key("a")]));

    east.put(service("c", "203.0.113.3"));
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2 c=203.0.113.3").await;
    east.delete("a");
    fleet.until_services("east", "b=203.0.113.2 c=203.0.113.3").await;
    let mut changed = service("b", "");
    changed["spec"]["type"] = json!("ClusterIP");
    east.put(changed);
    fleet.until_services("east", "c=203.0.113.3").await;
    let mut leaving = service("c", "203.0.113.3");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    east.put(leaving);
    fleet.until_services("east", "").await;
    assert_eq!(east.count("/api/v1/services"), 1);
}

#[tokio::test]
async fn a_list_again_keeps_what_did_not_change() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]);
    fleet.settings.relist = Duration::from_millis(200);
    let mut fleet = fleet.run();
    let first = fleet.until_services("east", "a=203.0.113.1").await;
    east.put(service("b", "203.0.113.2"));
    let second = fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    east.asked("/api/v1/services", 4).await;
    east.put(service("c", ""));
    let third = fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2 c=none").await;
    assert!(Arc::ptr_eq(&first.services[&key("a")], &third.services[&key("a")]));
    assert!(Arc::ptr_eq(&second.services[&key("b")], &third.services[&key("b")]));
}

#[tokio::test]
async fn an_emptied_status_keeps_its_address_for_the_grace() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", "a=203.0.113.1").await;
    let emptied = Instant::now();
    east.put(service("a", ""));
    fleet.until_services("east", "a=").await;
    assert!(emptied.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn pages_are_put_together_and_begun_again_when_they_are_too_old() {
    let east = Fake::start();
    for n in 0..1100 {
        east.put(service(&format!("s{n}"), "203.0.113.1"));
    }
    east.cluster().expired_pages = 1;
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let view = fleet.until_live("east").await;
    assert_eq!((view.services.len(), view.fault), (1100, None));
    assert!(east.count("/api/v1/services") >= 5);
}

#[tokio::test]
async fn nodes_say_where_a_member_is_unless_the_config_does() {
    let east = Fake::start();
    east.cluster().nodes = vec![node("eastus", "1"), node("eastus", "2")];
    let mut fleet = Fleet::new(&[("east", &east), ("west", &east)]);
    fleet.members[1].region = Some("westus".parse().unwrap());
    fleet.members[1].zones = ["9".parse().unwrap()].into();
    let mut fleet = fleet.run();
    let view = fleet.until_live("east").await;
    assert_eq!(view.region.as_ref().map(Label::as_str), Some("eastus"));
    assert_eq!(view.zones.iter().map(Label::as_str).collect::<Vec<_>>(), ["1", "2"]);
    let view = fleet.until_live("west").await;
    assert_eq!(view.region.as_ref().map(Label::as_str), Some("westus"));
    assert_eq!(view.zones.len(), 1);
}

#[tokio::test]
async fn without_the_right_to_read_nodes_there_is_no_region() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.cluster().node_list = How::Status(403);
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let view = fleet.until_live("east").await;
    assert_eq!((view.region.as_ref(), view.services.len()), (None, 1));
    assert!(fault(&view).contains("list nodes (403)"), "{}", fault(&view));
}

#[tokio::test]
async fn a_node_label_that_is_no_label_is_refused_by_name() {
    let east = Fake::start();
    east.cluster().nodes = vec![node("eu.west", "1")];
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let view = fleet.until_live("east").await;
    assert!(view.region.is_none() && fault(&view).contains("region = 'eu.west'"), "{}", fault(&view));
}

#[tokio::test]
async fn a_server_that_cannot_select_by_type_is_read_all_the_same() {
    let east = Fake::start();
    east.cluster().field_selector = false;
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    assert_eq!(fleet.until_services("east", "a=203.0.113.1").await.fault, None);
}

#[tokio::test]
async fn shutdown_ends_it_without_an_error() {
    let east = Fake::start();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_live("east").await;
    fleet.shutdown.cancel();
    tokio::time::timeout(crate::BUDGET, fleet.task.take().unwrap()).await.unwrap().unwrap().unwrap();
}

/// A bound that only a timer in the path would break; the real figures come from the benchmarks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_in_the_snapshot_without_a_timer_between() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_live("east").await;
    let mut times = Vec::new();
    for n in 0..200 {
        let ip = format!("203.0.113.{}", n + 2);
        let start = Instant::now();
        east.put(service("a", &ip));
        fleet.until_services("east", &format!("a={ip}")).await;
        times.push(start.elapsed());
    }
    times.sort();
    println!("event to snapshot: p50 {:?}, p99 {:?}", times[100], times[198]);
    assert!(times[100] < Duration::from_millis(50), "p50 {:?}", times[100]);
    assert_eq!(fleet.snapshot.borrow().members.keys().collect::<Vec<_>>(), [&name("east")]);
}
