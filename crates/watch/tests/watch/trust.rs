//! A member that says that everything is gone.

use std::time::{Duration, Instant};

use crate::fake::{Fake, How, service};
use crate::{Fleet, fault};

const ALL: &str = "a=203.0.113.1 b=203.0.113.2 c=203.0.113.3";

fn three() -> Fake {
    let east = Fake::start();
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        east.put(service(name, &format!("203.0.113.{}", n + 1)));
    }
    east
}

#[tokio::test]
async fn after_a_gap_deletions_are_seen_by_a_list() {
    let east = three();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    east.cluster().services.remove("a");
    east.cluster().version += 1;
    east.compact();
    east.cut();
    let view = fleet.until_services("east", "b=203.0.113.2 c=203.0.113.3").await;
    assert_eq!(view.fault, None);
}

#[tokio::test]
async fn a_list_that_suddenly_is_empty_needs_a_second_one() {
    let east = three();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    east.cluster().services.clear();
    east.cluster().version += 1;
    east.compact();
    let start = Instant::now();
    east.cut();
    let view = fleet.until("doubted", "east", |view| fault(view).contains("misses")).await;
    assert_eq!(crate::services(&view), ALL);
    assert!(fault(&view).contains("misses 3 of 3 services"), "{}", fault(&view));
    let view = fleet.until_services("east", "").await;
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(view.fault, None);
    assert_eq!(east.count("/api/v1/services"), 3);
}

#[tokio::test]
async fn a_list_that_was_a_lie_changes_nothing() {
    let east = three();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    let kept = std::mem::take(&mut east.cluster().services);
    east.cluster().version += 1;
    east.compact();
    east.cut();
    fleet.until("doubted", "east", |view| fault(view).contains("misses")).await;
    east.cluster().services = kept;
    let view = fleet.until("sure", "east", |view| view.fault.is_none()).await;
    assert_eq!(crate::services(&view), ALL);
}

#[tokio::test]
async fn a_cluster_rebuilt_while_it_was_away_is_listed_though_its_version_is_higher() {
    let mut east = three();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    east.kill();
    fleet.until("away", "east", |view| view.fault.is_some()).await;
    east.cluster().services.clear();
    east.cluster().version = 2000;
    east.serve();
    let view = fleet.until("doubted", "east", |view| fault(view).contains("misses")).await;
    assert_eq!(crate::services(&view), ALL);
}

#[tokio::test]
async fn a_cluster_rebuilt_while_it_was_away_loses_nothing_that_it_does_not_have_yet() {
    type Change = fn(&Fake);
    let older: Change = |east| east.cluster().version = 5;
    let another: Change = |east| (east.cluster().version, east.cluster().uid) = (2000, "another".into());
    for rebuild in [older, another] {
        let mut east = three();
        let mut fleet = Fleet::new(&[("east", &east)]).run();
        fleet.until_services("east", ALL).await;
        east.kill();
        fleet.until("away", "east", |view| view.fault.is_some()).await;
        let missing = east.cluster().services.remove("c").unwrap();
        rebuild(&east);
        east.serve();
        let view = fleet.until("doubted", "east", |view| fault(view).contains("misses 1 of 3")).await;
        assert_eq!(crate::services(&view), ALL);
        east.put(missing);
        let view = fleet.until("sure", "east", |view| view.fault.is_none()).await;
        assert_eq!(crate::services(&view), ALL);
    }
}

#[tokio::test]
async fn a_rebuilt_cluster_is_noticed_by_its_version() {
    let east = three();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    // Its watch is open and stays silent, as a real one does.
    east.cluster().version = 5;
    east.compact();
    east.put(service("d", "203.0.113.4"));
    fleet.until_services("east", &format!("{ALL} d=203.0.113.4")).await;
    east.put(service("e", "203.0.113.5"));
    fleet.until("followed again", "east", |view| view.services.len() == 5).await;
}

#[tokio::test]
async fn a_rebuilt_cluster_is_noticed_by_its_uid() {
    let east = three();
    east.cluster().watch = How::Silent;
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_services("east", ALL).await;
    // The second question comes after the first was answered.
    east.asked("/api/v1/namespaces/kube-system", 2).await;
    east.cluster().uid = "another".into();
    east.put(service("d", "203.0.113.4"));
    fleet.until_services("east", &format!("{ALL} d=203.0.113.4")).await;
    assert_eq!(east.count("/api/v1/services"), 2);
}

#[tokio::test]
async fn a_periodic_list_finds_what_a_watch_never_said() {
    let east = three();
    east.cluster().watch = How::Silent;
    let mut fleet = Fleet::new(&[("east", &east)]);
    fleet.settings.relist = Duration::from_millis(300);
    let mut fleet = fleet.run();
    fleet.until_services("east", ALL).await;
    east.put(service("d", "203.0.113.4"));
    fleet.until_services("east", &format!("{ALL} d=203.0.113.4")).await;
}

#[tokio::test]
async fn a_periodic_list_that_fails_does_not_stop_the_watch() {
    let east = three();
    let mut fleet = Fleet::new(&[("east", &east)]);
    fleet.settings.relist = Duration::from_millis(300);
    let mut fleet = fleet.run();
    fleet.until_services("east", ALL).await;
    east.cluster().list = How::Status(500);
    fleet.until("a fault", "east", |view| view.fault.is_some()).await;
    east.put(service("d", "203.0.113.4"));
    fleet.until_services("east", &format!("{ALL} d=203.0.113.4")).await;
}
