//! No brake holds more than it is about, and none of one namespace holds another.

use super::*;

fn of(namespace: &str, name: &str) -> String {
    format!("{name}.{namespace}.fed.svc.example.com")
}

/// A daemon that starts on a zone of which 30 of 40 Services were deleted meanwhile, and the others are well.
async fn after_mass_deletion(overrides: OverrideSender) -> Rig {
    let rig = Rig::start(Backend::default());
    for number in 0..40 {
        rig.publish_as(
            &format!("s{number}"),
            &[&format!("203.0.113.{number}"), &format!("198.51.100.{number}")],
        );
    }
    rig.pass(10).await;
    rig.shutdown.cancel();
    rig.pass(1).await;
    let rig = Rig::start_heeding(rig.backend(std::mem::take), vec![], overrides);
    for number in 0..10 {
        rig.publish_as(
            &format!("s{number}"),
            &[&format!("203.0.113.{number}"), &format!("198.51.100.{number}")],
        );
    }
    rig.pass(30).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn max_delete_holds_deletions_and_nothing_else() {
    let (store_task, overrides) = OverrideStore::new(crate::overrides::Storage::Marks, Clock::system());
    tokio::spawn(store_task.run(CancellationToken::new()));
    let rig = after_mass_deletion(overrides.clone()).await;
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 40);
    let held = rig.status.borrow().held.values().map(|held| held.reason.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (held.len(), held[0].split(';').next()),
        (30, Some("max-delete: 30 of 40 names would be deleted, more than 50 %"))
    );
    // An override, a dead address, a new name and a forced end are in force within a pass.
    let say = |subject: &str, kind| {
        let subjects = vec![subject.parse().unwrap()];
        overrides.request(OverrideRequest {
            subjects,
            kind: Some(kind),
            by: "root".into(),
            reason: "".into(),
            span: None,
        })
    };
    say("address/203.0.113.1", OverrideKind::Drain).await.unwrap();
    say("service/default/s2", OverrideKind::ForceOut).await.unwrap();
    rig.health_state("203.0.113.3", Verdict::Unhealthy);
    rig.publish_as("new", &["203.0.113.200"]);
    rig.moment().await;
    assert_eq!(rig.values(&of("default", "s1")), ["198.51.100.1"]);
    assert_eq!(rig.values(&of("default", "s2")), Vec::<String>::new());
    assert_eq!(rig.values(&of("default", "s3")), ["198.51.100.3"]);
    assert_eq!(rig.values(&of("default", "new")), ["203.0.113.200"]);
    assert_eq!(rig.values(&of("default", "s20")).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_max_delete_holds_is_looked_at_again_by_itself() {
    let rig = after_mass_deletion(OverrideSender::none()).await;
    // One more deletion is no way past the brake.
    rig.snapshots.send_modify(|snapshot| {
        let east = snapshot.members.values().next().unwrap();
        let mut east = (**east).clone();
        east.services.remove(&"default/s9".parse::<fleetdns_core::ServiceKey>().unwrap());
        snapshot.members.insert(east.name.clone(), Arc::new(east));
    });
    rig.pass(1).await;
    assert_eq!(rig.values(&of("default", "s9")).len(), 2);
    assert_eq!(rig.status.borrow().held.len(), 31);
    // The zone cannot be read, and the fleet grows until what goes is a smaller share.
    rig.backend(|b| b.list_fault = Some(unavailable));
    for number in 100..125 {
        rig.publish_as(&format!("s{number}"), &[&format!("203.0.113.{number}")]);
    }
    rig.pass(31).await;
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 34);
    assert!(rig.status.borrow().held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_addresses_all_die_makes_no_other_wait() {
    let rig = Rig::start(Backend::default());
    // Each of the noisy one's 60 addresses is in a cluster of its own, so that the budget is a fifth of all.
    for number in 1..=60 {
        let cluster = format!("c{number}");
        rig.publish_in("noisy", &cluster, "web", &[&format!("203.0.113.{number}")]);
    }
    rig.publish_in("quiet", "c1", "web", &["198.51.100.1"]);
    rig.publish_in("quiet", "c2", "web", &["198.51.100.2"]);
    rig.pass(10).await;
    for number in 1..=59 {
        rig.health_state(&format!("203.0.113.{number}"), Verdict::Unhealthy);
    }
    rig.pass(5).await;
    let left = rig.values(&of("noisy", "web")).len();
    assert!((40..60).contains(&left), "{left} are left: the brake acts");
    rig.health_state("198.51.100.1", Verdict::Unhealthy);
    rig.moment().await;
    assert_eq!(rig.values(&of("quiet", "web")), ["198.51.100.2"]);
    rig.pass(600).await;
    assert_eq!(rig.values(&of("noisy", "web")), ["203.0.113.60"], "in the end all that is dead has left");
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_of_a_refused_name_takes_nobodys_place() {
    let refuses = [of("default", "bad").parse().unwrap()].into();
    let rig = Rig::start(Backend::default());
    rig.publish_from("a", "bad", &["203.0.113.1", "203.0.113.9"]);
    for number in 2..=5 {
        rig.publish_from(&format!("c{number}"), "good", &[&format!("203.0.113.{number}")]);
    }
    rig.pass(10).await;
    rig.backend(|b| b.refuses = refuses);
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(3).await;
    for (number, left) in [(2, 3), (3, 2)] {
        rig.health_state(&format!("203.0.113.{number}"), Verdict::Unhealthy);
        rig.moment().await;
        assert_eq!(rig.values(&of("default", "good")).len(), left, "the budget is two, and it has both");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_deletion_that_a_brake_holds_then_is_not_tried_without_end() {
    let rig = Rig::start(Backend::default());
    for number in 0..12 {
        rig.publish_as(&format!("s{number}"), &[&format!("203.0.113.{number}")]);
    }
    rig.pass(10).await;
    rig.backend(|b| b.refuses = b.observed.owned().cloned().collect());
    for number in 12..20 {
        rig.publish_from("west", &format!("s{number}"), &[&format!("203.0.113.{number}")]);
    }
    rig.pass(10).await;
    rig.snapshots.send_modify(|snapshot| {
        let mut east = (**snapshot.members.values().next().unwrap()).clone();
        for number in 0..7 {
            let key: fleetdns_core::ServiceKey = format!("default/s{number}").parse().unwrap();
            east.services.remove(&key);
        }
        snapshot.members.insert(east.name.clone(), Arc::new(east));
    });
    rig.pass(1).await;
    assert_eq!((rig.status.borrow().held.len(), rig.status.borrow().refused.len()), (0, 7));
    // With the other cluster's names gone, the same deletions are too many.
    rig.snapshots
        .send_modify(|snapshot| drop(snapshot.members.remove(&"west".parse::<MemberName>().unwrap())));
    rig.pass(1200).await;
    assert_eq!((rig.status.borrow().held.len(), rig.status.borrow().refused.len()), (7, 0));
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 12);
}
