//! What is not ours stays as it is.

use crate::{all_done, pass, planned};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Alias, Fake, Set};

fn weighted(name: &str, number: u32) -> Set {
    let mut set = Set::simple(name, "A", 60, &[&format!("198.51.100.{}", number % 250)]);
    (set.identifier, set.weight) = (Some(format!("blue-{number:04}")), Some(1));
    set
}

#[tokio::test]
async fn routing_policies_aliases_and_health_checks_are_left_alone() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let names = ["weighted.example.com", "alias.example.com", "checked.example.com"];
    let mut fleet = Fleet::new();
    for name in names {
        fleet.publish(name, &["203.0.113.1"]);
    }
    all_done(&pass(&*provider, &fleet).await, 3);
    // Somebody makes something else of our sets; our marks still stand there.
    for name in names {
        fake.delete(name, "A").unwrap();
    }
    fake.put(weighted(names[0], 1));
    fake.put(weighted(names[0], 2));
    let alias = Some(Alias::new("Z35SXDOTRQ7X7K", "lb.us-east-1.elb.amazonaws.com."));
    fake.put(Set { alias, ttl: None, ..Set::simple(names[1], "A", 0, &[]) });
    let health_check = Some("5e1b6a7e".to_owned());
    fake.put(Set { health_check, ..Set::simple(names[2], "A", 30, &["203.0.113.1"]) });
    let before = fake.dump();

    for name in names {
        fleet.publish(name, &["203.0.113.2"]);
    }
    for fleet in [&fleet, &Fleet::new()] {
        let plan = planned(&*provider, fleet).await;
        assert!(plan.plan().is_empty(), "{}", plan.plan());
        assert_eq!(plan.plan().refused.len(), fleet.len(), "each is said to be foreign");
    }
    assert_eq!(fake.dump(), before);
}

#[tokio::test]
async fn pages_go_on_in_the_middle_of_a_name() {
    let fake = Fake::start().await;
    (0..700).for_each(|number| fake.put(weighted("many.example.com", number)));
    let listing = fake.provider(OWNER).list().await.unwrap();
    assert_eq!(listing.observed.at(&"many.example.com".parse().unwrap()).len(), 700);
    assert_eq!(fake.calls("ListResourceRecordSets"), 3);
}

#[tokio::test]
async fn names_that_are_none_are_said_and_left_alone() {
    let fake = Fake::start().await;
    fake.put(Set::simple("a!b.example.com", "A", 60, &["198.51.100.1"]));
    let listing = fake.provider(OWNER).list().await.unwrap();
    assert_eq!(listing.unreadable, ["a\\041b.example.com. A: not a host name"]);
}

#[tokio::test]
async fn the_name_servers_of_the_hosted_zone_are_told() {
    let fake = Fake::start().await;
    fake.put(Set::simple("child.example.com", "NS", 300, &["ns.child.example.com."]));
    let listing = fake.provider(OWNER).list().await.unwrap();
    let told: Vec<String> = listing.observed.name_servers().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["ns-1.awsdns-00.com", "ns.child.example.com", "ns-2.awsdns-00.net"]);
}
