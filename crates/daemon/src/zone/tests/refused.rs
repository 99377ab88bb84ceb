//! A fault of one name is that name's.

use super::*;

fn name(number: usize) -> String {
    format!("s{number}.default.fed.svc.example.com")
}

/// A fleet with a healthy name `z` of two addresses, and `count` names that the backend refuses.
async fn with_refused(count: usize) -> Rig {
    let refuses = (0..count).map(|number| name(number).parse().unwrap()).collect();
    let rig = Rig::start(Backend { refuses, ..Backend::default() });
    for number in 0..count {
        rig.publish_from("west", &format!("s{number}"), &[&format!("198.51.100.{}", number + 1)]);
    }
    rig.publish_as("z", &["203.0.113.1", "203.0.113.2"]);
    rig
}

const Z: &str = "z.default.fed.svc.example.com";

#[tokio::test(start_paused = true)]
async fn refused_names_change_no_time_of_another_name() {
    for count in [1, 20, 200] {
        let rig = with_refused(count).await;
        rig.pass(25).await;
        assert_eq!(rig.values(Z), ["203.0.113.1", "203.0.113.2"], "{count} refused: created");
        rig.health_state("203.0.113.1", Verdict::Unhealthy);
        rig.moment().await;
        assert_eq!(rig.values(Z), ["203.0.113.2"], "{count} refused: a dead address leaves at once");
        assert_eq!(rig.status.borrow().fault, None, "the zone itself is fine");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_is_tried_with_growing_pauses_and_not_in_each_pass() {
    let rig = with_refused(1).await;
    rig.pass(1).await;
    assert_eq!(rig.backend(|b| b.refusals), 1);
    for number in 0..100 {
        rig.publish_as("busy", &[&format!("203.0.113.{}", number + 10)]);
        rig.moment().await;
    }
    assert_eq!(rig.backend(|b| b.refusals), 1, "a pass for another name does not try it");
    rig.pass(60).await;
    assert_eq!(rig.backend(|b| b.refusals), 4, "after 5, 10 and 20 s");
    rig.pass(3600).await;
    assert!((14..=18).contains(&rig.backend(|b| b.refusals)), "{}", rig.backend(|b| b.refusals));
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_is_tried_at_once_when_another_change_is_wanted() {
    let rig = with_refused(1).await;
    rig.pass(600).await;
    let before = rig.backend(|b| b.refusals);
    rig.publish_from("west", "s0", &["198.51.100.77"]);
    rig.moment().await;
    assert_eq!(rig.backend(|b| b.refusals), before + 1);
    rig.pass(6).await;
    assert_eq!(rig.backend(|b| b.refusals), before + 2, "the pauses begin again");
}

#[tokio::test(start_paused = true)]
async fn status_names_the_refused_until_they_are_written_or_nobody_wants_them() {
    let rig = with_refused(2).await;
    rig.pass(120).await;
    let refused = |rig: &Rig| rig.status.borrow().refused.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(refused(&rig), [name(0), name(1)]);
    assert_eq!(rig.status.borrow().refused[&*name(0)][0].reason.to_string(), "backend: poisoned");
    rig.backend(|b| b.refuses.remove(&name(0).parse().unwrap()));
    rig.pass(300).await;
    assert_eq!(refused(&rig), [name(1)], "one is written now");
    assert_eq!(rig.values(&name(0)), ["198.51.100.1"]);
    rig.snapshots
        .send_modify(|snapshot| drop(snapshot.members.remove(&"west".parse::<MemberName>().unwrap())));
    rig.pass(1).await;
    assert_eq!(refused(&rig), Vec::<String>::new(), "the other one is no longer wanted");
}

#[tokio::test(start_paused = true)]
async fn dead_addresses_go_first_and_refused_names_last() {
    let rig = Rig::start(Backend { refuses: [name(1).parse().unwrap()].into(), ..Backend::default() });
    rig.publish_as("s1", &["203.0.113.8"]);
    rig.publish_as("z", &["203.0.113.1", "203.0.113.2"]);
    rig.pass(5).await;
    rig.backend(|b| b.asked.clear());
    // All at once: the refused name is due, a new name comes, and an address dies.
    rig.publish_as("a", &["203.0.113.9"]);
    rig.publish_as("s1", &["203.0.113.7"]);
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.moment().await;
    let asked: Vec<String> = rig.backend(|b| b.asked.iter().flatten().map(ToString::to_string).collect());
    assert_eq!(asked[0], Z);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_tried_is_tried_in_the_next_pass_at_once() {
    let rig = Rig::start(Backend { patience: Some(3), ..Backend::default() });
    for number in 0..20 {
        rig.publish_as(&format!("s{number}"), &[&format!("203.0.113.{}", number + 1)]);
    }
    rig.moment().await;
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 20);
    assert_eq!((rig.status.borrow().fault.clone(), rig.status.borrow().failed), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_tries_anything_is_asked_with_growing_pauses() {
    let rig = Rig::start(Backend { patience: Some(0), ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert!((6..=12).contains(&rig.backend(|b| b.applies)), "{} writes", rig.backend(|b| b.applies));
    rig.backend(|b| b.patience = None);
    rig.pass(31).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_by_half_is_read_and_written_again_at_once() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(30).await;
    rig.backend(|b| b.halves = 1);
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.moment().await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!((rig.status.borrow().failed, rig.status.borrow().fault.clone()), (1, None));
    assert!(rig.status.borrow().refused.is_empty());
    // Where it is never done whole, it is not asked without end.
    rig.backend(|b| (b.halves, b.lists) = (u32::MAX, 0));
    rig.publish(&["203.0.113.3", "203.0.113.2"]);
    rig.pass(60).await;
    assert!((6..=12).contains(&rig.backend(|b| b.lists)), "{} lists", rig.backend(|b| b.lists));
    let reason = rig.status.borrow().refused[GLOBAL][0].reason.to_string();
    assert_eq!(reason, "backend: partly written: the addition was left out");
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_zone_counts_once_however_many_names_have_it() {
    let rig = Rig::start(Backend { apply_faults: vec![unavailable], ..Backend::default() });
    for number in 0..50 {
        rig.publish_as(&format!("s{number}"), &[&format!("203.0.113.{}", number + 1)]);
    }
    rig.pass(1).await;
    assert_eq!(
        rig.backend(|b| b.observed.owned_count()),
        50,
        "it rests for a quarter of a second, no longer"
    );
}

#[tokio::test(start_paused = true)]
async fn why_shows_what_the_backend_said_of_a_name_until_it_is_written() {
    let rig = Rig::start(Backend { refuses: [GLOBAL.parse().unwrap()].into(), ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(1).await;
    let view = crate::view::View {
        inputs: Inputs::new(
            rig.snapshots.subscribe(),
            rig.health.subscribe(),
            OverrideSender::none().receiver(),
        ),
        zones: vec![rig.status.clone()],
        ..crate::view::View::empty()
    };
    let said = || view.why(GLOBAL).explanation.unwrap().to_string();
    assert!(said().contains("backend: poisoned"), "{}", said());
    rig.backend(|b| b.refuses.clear());
    rig.pass(400).await;
    assert!(!said().contains("poisoned"), "{}", said());
}

#[tokio::test(start_paused = true)]
async fn a_name_server_of_another_zone_is_reserved_in_this_one() {
    let rig = Rig::start(Backend::default());
    rig.publish_as("web", &["203.0.113.1"]);
    let www: DnsName = "www.example.com".parse().unwrap();
    rig.alter("web", |service| service.hostnames.extend([www.clone()]));
    rig.pass(1).await;
    assert_eq!(rig.values("www.example.com"), ["203.0.113.1"]);

    let other: DnsName = "example.net".parse().unwrap();
    rig.name_servers.set(&other, &[www.clone(), "ns2.example.net".parse().unwrap()].into());
    rig.moment().await;
    assert_eq!(rig.values("www.example.com"), [""; 0]);
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
    let said = rig.status.borrow().refused.get("www.example.com").map(|all| all[0].reason.to_string());
    assert!(said.clone().is_some_and(|said| said.contains("name server")), "{said:?}");
    // A list of this zone does not forget those of the other.
    rig.pass(200).await;
    assert_eq!(rig.values("www.example.com"), [""; 0]);

    rig.name_servers.set(&other, &BTreeSet::new());
    rig.moment().await;
    assert_eq!(rig.values("www.example.com"), ["203.0.113.1"]);
}
