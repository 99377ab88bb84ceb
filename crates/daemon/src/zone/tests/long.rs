//! A long pass is in nobody's way.

use tokio::task::yield_now;

use super::*;

const Z: &str = "z.default.fed.svc.example.com";
/// Several parts of a pass.
const MANY: usize = 1500;

/// A healthy name `z` of two addresses, and then many new Services at once.
async fn with_many(backend: Backend) -> Rig {
    with(MANY, backend).await
}

async fn with(many: usize, backend: Backend) -> Rig {
    let rig = Rig::start(backend);
    rig.publish_as("z", &["203.0.113.1", "203.0.113.2"]);
    rig.pass(5).await;
    rig.backend(|b| b.asked.clear());
    for number in 0..many {
        rig.publish_as(&format!("s{number}"), &["198.51.100.1"]);
    }
    rig
}

fn asked(rig: &Rig) -> Vec<Vec<String>> {
    rig.backend(|b| b.asked.iter().map(|names| names.iter().map(ToString::to_string).collect()).collect())
}

#[tokio::test(start_paused = true)]
async fn what_dies_while_many_names_are_planned_is_out_before_they_are_written() {
    let rig = with_many(Backend::default()).await;
    // The pass has planned its first part.
    yield_now().await;
    assert!(asked(&rig).is_empty(), "still planned");
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.moment().await;
    let asked = asked(&rig);
    assert_eq!(asked[0], [Z]);
    let names: BTreeSet<&String> = asked.iter().flatten().collect();
    assert_eq!((names.len(), asked.iter().flatten().count()), (MANY + 1, MANY + 1), "each is written once");
}

#[tokio::test(start_paused = true)]
async fn what_dies_while_many_names_are_written_is_out_after_the_part_under_way() {
    let write_time = Duration::from_millis(1);
    let rig = with_many(Backend { write_time, ..Backend::default() }).await;
    rig.pass(1).await;
    let before = asked(&rig).len();
    assert!((1..5).contains(&before), "{before}");
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(10).await;
    let asked = asked(&rig);
    assert_eq!(asked[before + 1], [Z]);
    assert_eq!(
        asked.iter().flatten().count(),
        MANY + 1,
        "what was planned before is still written, and once"
    );
    assert_eq!(rig.values("s7.default.fed.svc.example.com"), ["198.51.100.1"]);
}

/// A change that concerns every name makes a long pass begin again; one that comes again and again cannot stop it.
#[tokio::test(start_paused = true)]
async fn a_long_pass_ends_whatever_changes_meanwhile() {
    let rig = with_many(Backend::default()).await;
    for turn in 0..40 {
        yield_now().await;
        rig.health.send_modify(|health| {
            let vantage = SelfCheckFailure::Vantage { canaries: 1, silent: 1, keys: 1, heard: 0 };
            health.self_check = (turn % 2 == 0).then_some(vantage);
        });
    }
    assert!(asked(&rig).iter().flatten().count() >= 250, "some of it is written");
    rig.moment().await;
    assert_eq!(asked(&rig).iter().flatten().count(), MANY);
}

/// More than are planned before what is new is written.
const MOST: usize = 6000;

#[tokio::test(start_paused = true)]
async fn a_zone_that_fills_is_written_before_all_of_it_is_planned() {
    let write_time = Duration::from_millis(1);
    let rig = with(MOST, Backend { write_time, ..Backend::default() }).await;
    rig.pass(1).await;
    let left = rig.status.borrow().unwritten.create;
    assert!((1..5000).contains(&left), "{left}: what is not planned yet is not counted");
    // It dies at a name of which the pass has planned nothing yet.
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    let before = asked(&rig).len();
    rig.pass(60).await;
    let asked = asked(&rig);
    assert_eq!(asked[before + 1], [Z], "it does not wait for what is new");
    let names: BTreeSet<&String> = asked.iter().flatten().collect();
    assert_eq!((names.len(), asked.iter().flatten().count()), (MOST + 1, MOST + 1), "each is written once");
    assert_eq!(rig.status.borrow().unwritten, ByVerb::default());
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_refuses_of_what_is_new_is_not_forgotten_by_the_rest_of_the_pass() {
    // One of the first names of the zone, so that it is written while the last ones are not planned yet.
    let name: DnsName = "s1.default.fed.svc.example.com".parse().unwrap();
    let rig = with(MOST, Backend { refuses: [name.clone()].into(), ..Backend::default() }).await;
    rig.moment().await;
    assert_eq!(asked(&rig).iter().flatten().count(), MOST);
    assert!(rig.status.borrow().refused.contains_key(name.as_str()), "it is told");
    rig.backend(|b| b.refuses.clear());
    rig.pass(10).await;
    assert_eq!(rig.values(name.as_str()), ["198.51.100.1"], "it is tried again");
}

/// Writing fails for the whole zone in the middle: nothing spins, and all of it is written in the end.
#[tokio::test(start_paused = true)]
async fn a_zone_that_fills_waits_while_writing_rests() {
    let rig = with(MOST, Backend::default()).await;
    rig.backend(|b| b.apply_faults = vec![unavailable]);
    rig.moment().await;
    assert_eq!(asked(&rig).len(), 1, "it rests");
    rig.pass(60).await;
    assert_eq!(rig.values("s7.default.fed.svc.example.com"), ["198.51.100.1"]);
    assert_eq!(rig.backend(|b| b.observed.owned_count()), MOST + 1);
}
