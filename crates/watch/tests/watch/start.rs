//! Before the first list: what the zone says stands in.

use std::sync::Arc;

use fleetdns_core::{Inventory, Label, MemberView, ProbeSpec, Published, ServiceText, Snapshot};
use fleetdns_watch::list_once;

use crate::fake::{Fake, How, service};
use crate::{Fleet, fault, key, name, services};

pub(crate) fn adopted(member: &str, service: &str, ip: &str) -> MemberView {
    let mut view = MemberView::pending(name(member));
    view.region = Some("eastus".parse().unwrap());
    let published = Published {
        key: key(service),
        service: ServiceText::default(),
        addresses: Some([ip.parse().unwrap()].into()),
        hostnames: [].into(),
        shared: [].into(),
        ttl: None,
        probe: Arc::new(ProbeSpec::NONE),
        routing: None,
        faults: Vec::new(),
    };
    view.services.insert(key(service), Arc::new(published));
    view
}

#[tokio::test]
async fn members_are_pending_in_the_first_snapshot() {
    let east = Fake::start();
    east.cluster().list = How::Hang;
    let mut fleet = Fleet::new(&[("east", &east), ("west", &east)]).run();
    let both = |all: &Snapshot| all.members.len() == 2;
    let first = tokio::time::timeout(crate::BUDGET, fleet.snapshot.wait_for(both)).await.unwrap().unwrap();
    assert!(first.members.values().all(|view| view.inventory == Inventory::Pending && !view.listed));
}

#[tokio::test]
async fn what_was_adopted_stands_until_the_first_list() {
    let east = Fake::start();
    east.put(service("b", "203.0.113.2"));
    east.cluster().list = How::Status(500);
    east.cluster().node_list = How::Status(500);
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.adopt(vec![adopted("east", "a", "203.0.113.1")]).await;
    fleet.until_services("east", "a=203.0.113.1").await;
    fleet.adopt(vec![adopted("east", "a", "203.0.113.9")]).await;
    fleet.until_services("east", "a=203.0.113.1,203.0.113.9").await;
    let view = fleet.until_stale("east").await;
    assert!(!view.listed && view.services.len() == 1);
    east.put(service("a", "203.0.113.1"));
    east.cluster().list = How::Well;
    let view = fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    assert!(view.listed);
    // Its nodes say nothing yet.
    assert_eq!(view.region.as_ref().map(Label::as_str), Some("eastus"));
    fleet.adopt(vec![adopted("east", "a", "203.0.113.9")]).await;
    east.put(service("c", "203.0.113.3"));
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2 c=203.0.113.3").await;
}

/// The zone's marks say where a cluster is, until its own nodes say otherwise.
#[tokio::test]
async fn nodes_that_cannot_be_read_or_are_none_leave_the_region_as_it_was() {
    for nodes in [How::Status(403), How::Well] {
        let east = Fake::start();
        east.put(service("a", "203.0.113.1"));
        east.cluster().node_list = nodes;
        let mut fleet = Fleet::new(&[("east", &east)]).run();
        fleet.adopt(vec![adopted("east", "a", "203.0.113.1")]).await;
        let view = fleet.until("listed", "east", |view| view.listed).await;
        assert_eq!(view.region.as_ref().map(Label::as_str), Some("eastus"));
    }
}

#[tokio::test]
async fn a_first_list_that_lacks_what_the_zone_has_needs_a_second_one() {
    let east = Fake::start();
    for late in [false, true] {
        let mut fleet = Fleet::new(&[("east", &east)]);
        east.cluster().list = if late { How::Well } else { How::Status(500) };
        fleet = fleet.run();
        if late {
            fleet.until("listed", "east", |view| view.listed).await;
        }
        fleet.adopt(vec![adopted("east", "a", "203.0.113.1")]).await;
        east.cluster().list = How::Well;
        let distrusted = |view: &MemberView| view.listed && fault(view).contains("misses 1 of 1");
        let view = fleet.until("a list that is doubted", "east", distrusted).await;
        assert_eq!(services(&view), "a=203.0.113.1", "late: {late}");
        fleet.until_services("east", "").await;
    }
}

#[tokio::test]
async fn members_that_are_not_configured_have_removed() {
    let east = Fake::start();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.adopt(vec![adopted("old", "a", "203.0.113.1")]).await;
    fleet.adopt(vec![adopted("old", "b", "203.0.113.2")]).await;
    fleet.until_services("old", "a=203.0.113.1 b=203.0.113.2").await;
    let view = fleet.until("removed", "old", |view| view.inventory == Inventory::Removed).await;
    assert!(!view.listed);
}

#[tokio::test]
async fn one_round_lists_who_answers_and_says_who_does_not() {
    let (east, mut west, slow) = (Fake::start(), Fake::start(), Fake::start());
    east.put(service("a", "203.0.113.1"));
    west.kill();
    slow.cluster().list = How::Hang;
    let mut fleet = Fleet::new(&[("east", &east), ("west", &west), ("slow", &slow)]);
    fleet.settings.startup_timeout = crate::BUDGET;
    let views = vec![adopted("west", "w", "203.0.113.7"), adopted("old", "o", "203.0.113.8")];
    let all = list_once(&fleet.all(), views).await;
    let see = |member: &str| {
        let view = &all.members[&name(member)];
        (view.inventory, view.listed, services(view))
    };
    assert_eq!(see("east"), (Inventory::Live, true, "a=203.0.113.1".into()));
    assert_eq!(see("west"), (Inventory::Stale, false, "w=203.0.113.7".into()));
    assert_eq!(see("slow"), (Inventory::Stale, false, String::new()));
    assert_eq!(
        see("old"),
        (Inventory::Stale, false, "o=203.0.113.8".into()),
        "slow may be what it is called now"
    );
    assert!(fault(&all.members[&name("west")]).contains("refused"));
    assert!(fault(&all.members[&name("slow")]).contains("no answer within"));
}
