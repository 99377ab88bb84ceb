//! Members that come, go and change while others are watched.

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Inventory, Snapshot};
use fleetdns_watch::{Completeness, Members, Turns, run_until};
use tokio::sync::{mpsc, watch};

use crate::fake::{Fake, How, service};
use crate::start::adopted;
use crate::{Fleet, name, services};

impl Fleet {
    /// As [`Fleet::run`]; what is sent replaces the configuration.
    fn run_reloadable(mut self) -> (Self, watch::Sender<Members>) {
        let (adopted, views) = mpsc::channel(8);
        let (out, snapshot) = watch::channel(Snapshot::default());
        let (members, configured) = watch::channel(self.all());
        let nobody: Turns = (Duration::from_secs(3600), Arc::new(|_, _| {}));
        self.task = Some(tokio::spawn(run_until(configured, views, out, nobody, self.shutdown.clone())));
        (self.adopted, self.snapshot) = (adopted, snapshot);
        (self, members)
    }

    pub(crate) fn all(&self) -> Members {
        Members {
            members: self.members.clone(),
            settings: self.settings.clone(),
            completeness: Completeness::Confirmed,
        }
    }
}

#[tokio::test]
async fn members_come_and_go_and_the_others_are_not_listed_again() {
    let (east, west) = (Fake::start(), Fake::start());
    east.put(service("a", "203.0.113.1"));
    west.put(service("b", "203.0.113.2"));
    let mut fleet = Fleet::new(&[("east", &east), ("west", &west)]);
    let west_alone = fleet.members.split_off(1);
    let (mut fleet, members) = fleet.run_reloadable();
    fleet.until_live("east").await;
    let lists = east.count("services");

    fleet.members.extend(west_alone);
    members.send(fleet.all()).unwrap();
    fleet.until_services("west", "b=203.0.113.2").await;

    fleet.members.pop();
    members.send(fleet.all()).unwrap();
    let view = fleet.until("removed", "west", |view| view.inventory == Inventory::Removed).await;
    assert_eq!(services(&view), "b=203.0.113.2", "the zones take it out, name by name");
    east.put(service("c", "203.0.113.3"));
    fleet.until_services("east", "a=203.0.113.1 c=203.0.113.3").await;
    assert_eq!(east.count("services"), lists, "east was disturbed");
}

#[tokio::test]
async fn a_cluster_that_gets_another_name_while_its_api_is_away_keeps_its_records() {
    let (east, other) = (Fake::start(), Fake::start());
    east.put(service("a", "203.0.113.1"));
    let (mut fleet, members) = Fleet::new(&[("east", &east), ("other", &other)]).run_reloadable();
    fleet.until_live("east").await;
    east.cluster().list = How::Status(500);
    fleet.members[0].name = name("eastus");
    members.send(fleet.all()).unwrap();
    let view = fleet.until("kept", "east", |view| view.fault.is_some()).await;
    assert_eq!((view.inventory, services(&view)), (Inventory::Stale, "a=203.0.113.1".to_owned()));
    assert!(view.fault.unwrap().contains("until eastus is listed"));
    east.cluster().list = How::Well;
    fleet.until_services("eastus", "a=203.0.113.1").await;
    fleet.until("removed", "east", |view| view.inventory == Inventory::Removed).await;
}

#[tokio::test]
async fn a_cluster_that_got_another_name_before_a_start_keeps_its_records_until_it_is_listed() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.cluster().list = How::Status(500);
    let mut fleet = Fleet::new(&[("eastus", &east)]).run();
    fleet.adopt(vec![adopted("east", "a", "203.0.113.1")]).await;
    let view = fleet.until_stale("east").await;
    assert!(view.fault.unwrap().contains("until eastus is listed"));
    east.cluster().list = How::Well;
    fleet.until("removed", "east", |view| view.inventory == Inventory::Removed).await;
}

#[tokio::test]
async fn one_that_was_removed_comes_back_with_what_it_had() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let (mut fleet, members) = Fleet::new(&[("east", &east)]).run_reloadable();
    fleet.until_live("east").await;
    let all = std::mem::take(&mut fleet.members);
    members.send(fleet.all()).unwrap();
    fleet.until("removed", "east", |view| view.inventory == Inventory::Removed).await;
    east.cluster().list = How::Status(500);
    fleet.members = all;
    members.send(fleet.all()).unwrap();
    let view = fleet.until("pending", "east", |view| view.inventory == Inventory::Pending).await;
    assert_eq!(services(&view), "a=203.0.113.1");
    east.cluster().list = How::Well;
    fleet.until_live("east").await;
}

#[tokio::test]
async fn what_is_known_of_a_member_stands_while_it_is_listed_in_another_way() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.put(service("b", "203.0.113.2"));
    let (mut fleet, members) = Fleet::new(&[("east", &east)]).run_reloadable();
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    // New credentials lead to an API that has lost everything: it is believed no sooner than any other.
    east.delete("a");
    fleet.until_services("east", "b=203.0.113.2").await;
    east.cluster().watch = How::Hang;
    east.delete("b");
    fleet.members[0].files += 1;
    fleet.members[0].region = Some("eastus".parse().unwrap());
    members.send(fleet.all()).unwrap();
    let view = fleet.until("in its region", "east", |view| view.region.is_some()).await;
    assert!(view.listed, "start-up does not begin again");
    assert_eq!(services(&view), "b=203.0.113.2");
    fleet.until("a list to confirm", "east", |view| view.fault.is_some()).await;
    fleet.until_services("east", "").await;
}

#[tokio::test]
async fn another_way_to_read_services_counts_for_those_that_are_known() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let (mut fleet, members) = Fleet::new(&[("east", &east)]).run_reloadable();
    let view = fleet.until_live("east").await;
    let names = |view: &fleetdns_core::MemberView| view.services.values().next().unwrap().hostnames.len();
    assert_eq!(names(&view), 0);
    fleet.settings.publish.template = Some("{name}.example.com".to_owned());
    members.send(fleet.all()).unwrap();
    fleet.until("a host name", "east", |view| names(view) == 1).await;
}

#[tokio::test]
async fn one_that_only_a_zone_knows_stands_until_all_members_are_known() {
    let (east, mut west) = (Fake::start(), Fake::start());
    west.kill();
    let mut fleet = Fleet::new(&[("east", &east), ("west", &west)]);
    let west_alone = fleet.members.split_off(1);
    let (mut fleet, members) = fleet.run_reloadable();
    let all = |fleet: &Fleet, completeness| Members { completeness, ..fleet.all() };
    members.send(all(&fleet, Completeness::Unread)).unwrap();
    fleet.until_live("east").await;
    let mut of_west = adopted("west", "w", "203.0.113.7");
    of_west.region = Some("westus".parse().unwrap());
    fleet.adopt(vec![of_west, adopted("old", "o", "203.0.113.8")]).await;
    for member in ["west", "old"] {
        let view = fleet.until_stale(member).await;
        assert!(view.fault.unwrap().contains("not all sources have been read"));
    }
    // Once it is named it is a member like any other, with what the zone says.
    fleet.members.extend(west_alone);
    members.send(all(&fleet, Completeness::Unread)).unwrap();
    let view = fleet.until("pending", "west", |view| view.inventory == Inventory::Pending).await;
    assert_eq!((services(&view), view.region.unwrap().as_str()), ("w=203.0.113.7".to_owned(), "westus"));
    assert_eq!(fleet.until_stale("old").await.services.len(), 1);
    members.send(all(&fleet, Completeness::Read)).unwrap();
    let view = fleet.until("removed", "old", |view| view.inventory == Inventory::Removed).await;
    assert_eq!((view.fault, view.services.len()), (None, 1), "the zones take it out, name by name");
    assert_ne!(fleet.snapshot.borrow().members[&name("west")].inventory, Inventory::Removed);
}

#[tokio::test]
async fn when_most_that_the_zones_know_are_unnamed_an_operator_has_to_confirm_it() {
    let east = Fake::start();
    let (mut fleet, members) = Fleet::new(&[("east", &east)]).run_reloadable();
    let all = |fleet: &Fleet, completeness| Members { completeness, ..fleet.all() };
    members.send(all(&fleet, Completeness::Read)).unwrap();
    fleet.until_live("east").await;
    fleet.adopt(vec![adopted("one", "o", "203.0.113.7"), adopted("two", "t", "203.0.113.8")]).await;
    for member in ["one", "two"] {
        let fault = fleet.until_stale(member).await.fault.unwrap();
        assert!(fault.contains("`fleetdns reload` or SIGHUP confirms"), "{fault}");
    }
    members.send(all(&fleet, Completeness::Confirmed)).unwrap();
    for member in ["one", "two"] {
        fleet.until("removed", member, |view| view.inventory == Inventory::Removed).await;
    }
}
