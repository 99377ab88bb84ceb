//! The loop in paused time, against a strict zone in memory.

use fleetdns_core::{
    Content, DnsName, Inventory, NonEmpty, ObservedSet, OverrideKind, Owner, ProviderError, RecordData,
    SelfCheckFailure, Ttl, Verdict, Version,
};

use super::*;
use crate::overrides::{Clock, OverrideRequest, OverrideStore};

mod agree;
mod brakes;
mod long;
mod reading;
mod refused;
mod rig;
mod shown;
mod start_up;

use rig::*;

#[tokio::test(start_paused = true)]
async fn an_address_is_written_as_soon_as_it_is_known_to_answer() {
    let rig = Rig::start(Backend::default());
    rig.pass(1).await;
    rig.publish(&["203.0.113.1"]);
    tokio::task::yield_now().await;
    rig.pass(0).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_has_no_writes_and_no_lists_beyond_the_timer() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(30).await;
    let before = rig.backend(|b| (b.lists, b.applies));
    rig.pass(3600).await;
    assert_eq!(rig.backend(|b| (b.lists, b.applies)), (before.0 + 60, before.1));
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_away_at_start_is_tried_with_growing_pauses() {
    let rig = Rig::start(Backend { list_faults: 6, ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(1).await;
    assert!(rig.status.borrow().fault.as_deref().unwrap().contains("strict zone does not answer"));
    assert!((2..=4).contains(&rig.backend(|b| b.lists)), "it is not hammered");
    rig.pass(30).await;
    assert_eq!(rig.status.borrow().fault, None);
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_edited_beside_a_set_that_is_written_is_seen_at_once() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "2001:db8::1"]);
    rig.pass(10).await;
    // A person drops the IPv6 set, and right after that an IPv4 address comes.
    rig.backend(|b| {
        let name: DnsName = GLOBAL.parse().unwrap();
        let mut sets = b.observed.at(&name).to_vec();
        sets.retain(|set| set.type_name() == "A");
        b.observed.replace(name, sets);
    });
    rig.publish(&["203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    rig.pass(1).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    assert_eq!(rig.backend(|b| b.lists), 2, "it was read again for this, once");
}

#[tokio::test(start_paused = true)]
async fn throttling_is_obeyed_and_coalesces_to_the_latest_override() {
    let rig = Rig::start(Backend { apply_faults: vec![throttled], ..Backend::default() });
    rig.pass(1).await;
    rig.publish(&["203.0.113.1"]);
    for last in 2..=9_u8 {
        rig.pass(20).await;
        rig.publish(&[&format!("203.0.113.{last}")]);
    }
    assert_eq!(rig.backend(|b| b.applies), 1, "nobody asks again before the time is over");
    rig.pass(300).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.9"]);
    assert_eq!(rig.backend(|b| b.applies), 2, "eight overrides became one write");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_is_done_again() {
    let rig = Rig::start(Backend { apply_faults: vec![unavailable, unavailable], ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
    let status = rig.status.borrow();
    assert_eq!((status.written, status.failed, &status.fault), (1, 2, &None));
}

#[tokio::test(start_paused = true)]
async fn somebody_faster_is_seen_and_the_zone_is_read_again_at_once() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    rig.backend(|b| b.meddle = Some(hand_edit));
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(1).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2"]);
    assert_eq!(rig.status.borrow().failed, 1, "the conflict is counted");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_stays_is_looked_at_with_growing_pauses() {
    let rig = Rig::start(Backend { contested: true, ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert!((6..=12).contains(&rig.backend(|b| b.lists)), "{} lists", rig.backend(|b| b.lists));
    rig.backend(|b| b.contested = false);
    rig.pass(31).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
    // Afterwards a conflict is looked at at once again.
    rig.backend(|b| b.meddle = Some(hand_edit));
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(1).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_can_be_read_and_not_written_is_tried_with_growing_pauses() {
    let rig = Rig::start(Backend { apply_faults: vec![unavailable; 100], ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    for _ in 0..60 {
        rig.pass(1).await;
        assert!(rig.status.borrow().fault.is_some(), "a list that works does not end the fault");
    }
    assert!((6..=12).contains(&rig.backend(|b| b.applies)), "{} writes", rig.backend(|b| b.applies));
    rig.backend(|b| b.apply_faults.clear());
    rig.pass(31).await;
    assert_eq!(
        (rig.values(GLOBAL), rig.status.borrow().fault.clone()),
        (vec!["203.0.113.1".to_owned()], None)
    );
}

/// Somebody sets our record to 198.51.100.99 by hand.
fn hand_edit(backend: &mut Backend) {
    let name = GLOBAL.parse().unwrap();
    let mut sets = backend.observed.at(&name).to_vec();
    sets[0].content =
        Content::Known(RecordData::A(NonEmpty::new(["198.51.100.99".parse().unwrap()]).unwrap()));
    sets[0].version = Version("by hand".into());
    backend.observed.replace(name, sets);
}

#[tokio::test(start_paused = true)]
async fn a_hand_edit_lasts_until_the_next_look() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    rig.backend(hand_edit);
    assert_eq!(rig.values(GLOBAL), ["198.51.100.99"]);
    rig.pass(61).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_record_does_not_stop_the_others() {
    let rig = Rig::start(Backend { refuses: [GLOBAL.parse().unwrap()].into(), ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.publish_as("other", &["203.0.113.2"]);
    rig.pass(10).await;
    assert_eq!(rig.values("other.default.fed.svc.example.com"), ["203.0.113.2"]);
    assert_eq!(rig.values(GLOBAL), Vec::<String>::new());
    assert_eq!(rig.status.borrow().fault, None, "the zone itself is fine");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_record_is_left_alone_and_said() {
    let foreign = ObservedSet {
        ttl: Ttl::DEFAULT,
        content: Content::Known(RecordData::A(NonEmpty::new(["198.51.100.1".parse().unwrap()]).unwrap())),
        claim: Owner::Foreign,
        version: Version::default(),
    };
    let mut backend = Backend::default();
    backend.observed.push(GLOBAL.parse().unwrap(), foreign);
    let rig = Rig::start(backend);
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    assert_eq!(rig.backend(|b| b.applies), 0);
    assert!(rig.status.borrow().refused[GLOBAL][0].reason.to_string().starts_with("foreign"));
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_the_write_in_flight_and_begins_no_other() {
    let rig = Rig::start(Backend { write_time: Duration::from_secs(3), ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(1).await;
    assert_eq!((rig.values(GLOBAL).len(), rig.backend(|b| b.applies)), (0, 0), "it is under way");
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.shutdown.cancel();
    rig.pass(60).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
    assert_eq!(rig.backend(|b| b.applies), 1);
    assert!(rig.status.borrow().written > 0, "its outcome was taken in");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_zone_says_what_a_silent_member_had() {
    let first = Rig::start(Backend::default());
    first.publish(&["203.0.113.1"]);
    first.pass(10).await;
    first.shutdown.cancel();
    let observed = first.backend(|b| b.observed.clone());

    let mut second = Rig::start(Backend { observed, ..Backend::default() });
    let adopted = second.adopted.recv().await.unwrap();
    assert_eq!(adopted.len(), 1);
    assert_eq!(
        (adopted[0].name.as_str(), adopted[0].inventory, adopted[0].listed),
        ("east", Inventory::Pending, false)
    );
    assert_eq!(adopted[0].services.values().next().unwrap().addresses.as_ref().unwrap().len(), 1);
    second.pass(30).await;
    assert_eq!(second.values(GLOBAL), ["203.0.113.1"], "nothing is removed while start-up waits");
    assert!(second.status.borrow().startup.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_planned_before_the_fleet_knows_what_the_zone_says() {
    let first = Rig::start(Backend::default());
    first.publish(&["203.0.113.1"]);
    first.pass(10).await;
    first.shutdown.cancel();
    let observed = first.backend(|b| b.observed.clone());

    let second = Rig::start(Backend { observed, ..Backend::default() });
    second.takes.send_replace(false);
    // Its list is empty; that it misses what the zone has of it is for the watch to find.
    second.publish(&[]);
    second.pass(30).await;
    assert_eq!(second.values(GLOBAL), ["203.0.113.1"]);
    second.takes.send_replace(true);
    second.pass(1).await;
    assert_eq!(second.values(GLOBAL), Vec::<String>::new(), "this fleet believes its list");
}

#[tokio::test(start_paused = true)]
async fn a_zone_below_this_one_in_the_same_backend_is_left_to_its_own_task() {
    // Two nested zones in one etcd: each listing of the upper one has the records of the lower one too.
    let lower: DnsName = "www.sub.example.com".parse().unwrap();
    let first = Rig::start(Backend::default());
    first.publish(&["203.0.113.1"]);
    first.pass(10).await;
    let marked = first.backend(|b| b.observed.at(&GLOBAL.parse().unwrap()).to_vec());
    let mut backend = Backend::default();
    backend.observed.replace(lower.clone(), marked);
    let mut rig = Rig::start_beside(backend, vec!["sub.example.com".parse().unwrap()]);
    assert_eq!(
        rig.adopted.recv().await.unwrap(),
        vec![],
        "what the other zone says is for its own task to adopt"
    );
    rig.publish_as("other", &["203.0.113.2"]);
    rig.pass(120).await;
    assert_eq!(rig.status.borrow().startup, None);
    assert_eq!(rig.values(lower.as_str()), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_leaves_within_a_minute_than_may() {
    let rig = Rig::start(Backend::default());
    let all: Vec<String> = (1..=10).map(|n| format!("203.0.113.{n}")).collect();
    for (member, address) in all.iter().enumerate() {
        rig.publish_from(&format!("c{member}"), "web", &[address]);
    }
    rig.pass(10).await;
    assert_eq!(rig.values(GLOBAL).len(), 10);
    // Five of ten clusters die within one second: 20 % of the addresses go at once, the others one minute later each.
    for dead in &all[..5] {
        rig.health_state(dead, Verdict::Unhealthy);
        rig.pass(0).await;
    }
    rig.pass(1).await;
    assert_eq!(rig.values(GLOBAL).len(), 8);
    let held = rig.status.borrow().held.values().map(|held| held.reason.clone()).collect::<Vec<_>>();
    assert_eq!(held, [Hold::Velocity]);
    // One that waits answers again: it has not been taken out.
    rig.health_state(&all[4], Verdict::Healthy);
    rig.pass(57).await;
    assert_eq!(rig.values(GLOBAL).len(), 8);
    rig.pass(5).await;
    assert_eq!(rig.values(GLOBAL).len(), 6);
    rig.pass(120).await;
    assert_eq!(rig.values(GLOBAL), all[4..]);
    assert!(rig.status.borrow().held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_clusters_worth_goes_at_once_however_much_that_is() {
    let rig = Rig::start(Backend::default());
    for n in 1..=30 {
        rig.publish_from("east", &format!("s{n}"), &[&format!("203.0.113.{n}")]);
        rig.publish_from("west", &format!("s{n}"), &[&format!("198.51.100.{n}")]);
    }
    rig.pass(10).await;
    for n in 1..=30 {
        rig.health_state(&format!("203.0.113.{n}"), Verdict::Unhealthy);
    }
    rig.pass(1).await;
    for n in 1..=30 {
        assert_eq!(rig.values(&format!("s{n}.default.fed.svc.example.com")), [format!("198.51.100.{n}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_is_in_force_at_once_and_read_back_from_the_marks_before_the_first_plan() {
    let keep = |backend: Backend| {
        let (store_task, overrides) = OverrideStore::new(crate::overrides::Storage::Marks, Clock::system());
        let keeping = tokio::spawn(store_task.run(CancellationToken::new()));
        (Rig::start_heeding(backend, vec![], overrides.clone()), overrides, keeping)
    };
    let (rig, overrides, _keeping) = keep(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(5).await;
    let subjects = vec!["address/203.0.113.1".parse().unwrap()];
    let request = |kind| OverrideRequest {
        subjects: subjects.clone(),
        kind,
        by: "root".into(),
        reason: "".into(),
        span: None,
    };
    overrides.request(request(Some(OverrideKind::Drain))).await.unwrap();
    rig.pass(0).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);

    // Another daemon, that knows nothing but the zone.
    rig.shutdown.cancel();
    rig.pass(0).await;
    let backend = rig.backend(std::mem::take);
    let (rig, overrides, keeping) = keep(backend);
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(120).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!(rig.backend(|b| b.applies), 2, "the second daemon found nothing to write");
    overrides.request(request(None)).await.unwrap();
    rig.pass(0).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2"]);
    assert!(!keeping.is_finished());

    // Taken back is taken back.
    rig.shutdown.cancel();
    rig.pass(0).await;
    let (rig, mut overrides, _keeping) = keep(rig.backend(std::mem::take));
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(120).await;
    assert!(overrides.latest().is_empty());
    assert_eq!(rig.values(GLOBAL).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_waits_for_ever_hangs_and_one_whose_list_lasts_does_not() {
    let rig = Rig::start(Backend { list_time: Duration::from_secs(500), ..Backend::default() });
    rig.pass(499).await;
    assert_eq!(rig.heartbeats.hanging(), [], "it goes on while the zone is read");
    // Nobody takes what the zone says of its members.
    rig.takes.send_replace(false);
    rig.pass(290).await;
    assert_eq!(rig.heartbeats.hanging(), []);
    rig.pass(60).await;
    let hanging = rig.heartbeats.hanging();
    assert!(
        hanging.len() == 1 && hanging[0].to_string().starts_with("zone example.com: no turn for 3"),
        "{hanging:?}"
    );
    rig.takes.send_replace(true);
    rig.pass(1).await;
    assert_eq!(rig.heartbeats.hanging(), []);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_ends_fails_for_its_names_and_they_are_written_later() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    rig.backend(|b| b.write_time = Duration::from_secs(100_000));
    rig.publish(&["203.0.113.2"]);
    rig.pass(241).await;
    assert_eq!((rig.status.borrow().failed, rig.status.borrow().fault.clone()), (1, None));
    let reason = rig.status.borrow().refused[GLOBAL][0].reason.to_string();
    assert_eq!(reason, "backend: partly written: the provider did not end within 240 s");
    rig.pass(2000).await;
    assert_eq!(rig.heartbeats.hanging(), []);
    rig.backend(|b| b.write_time = Duration::ZERO);
    rig.pass(300).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert!(rig.status.borrow().refused.is_empty());
}

#[tokio::test(start_paused = true)]
async fn names_whose_write_never_ends_are_tried_in_smaller_parts() {
    let rig = Rig::start(Backend::default());
    rig.pass(10).await;
    rig.backend(|b| b.write_time = Duration::from_secs(100));
    for number in 0..8 {
        rig.publish_as(&format!("s{number}"), &[&format!("203.0.113.{}", number + 1)]);
    }
    // Two names take 200 s, three more than the limit.
    rig.pass(3600).await;
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 8);
}
