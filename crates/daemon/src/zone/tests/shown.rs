//! What `/metrics` shows of a loop.

use super::*;
use crate::ha::Standing;
use crate::metrics::render;
use crate::view::View;

fn shown(rig: &Rig, standing: Standing) -> String {
    let overrides = watch::channel(fleetdns_core::Overrides::default()).1;
    let view = View {
        inputs: Inputs::new(rig.snapshots.subscribe(), rig.health.subscribe(), overrides),
        zones: vec![rig.status.clone()],
        standing: watch::channel(standing).1,
        ..View::empty()
    };
    view.beats.configure(["east".parse().unwrap()].into());
    render(&view, false).unwrap().1
}

/// The series of a family that are not zero, without their prefix and the zone.
fn set(rig: &Rig, standing: Standing, family: &str) -> Vec<String> {
    let start = format!("fleetdns_{family}{{zone=\"example.com\",");
    let text = shown(rig, standing);
    let all: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    assert!(!all.is_empty(), "no {family} in {text}");
    all.into_iter().filter(|line| !line.ends_with(" 0.0")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_in_dns_is_counted_with_its_reason() {
    let rig = Rig::start(Backend::default());
    let dead = |standing| set(&rig, standing, "zone_dead_addresses");
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(60).await;
    assert_eq!(dead(Standing::Alone), [""; 0]);

    rig.backend(|b| b.apply_faults = vec![unavailable; 100]);
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(dead(Standing::Alone), ["reason=\"write-fault\"} 1.0"]);
    assert_eq!(dead(Standing::Follows("b".into())), ["reason=\"not-leader\"} 1.0"]);
    rig.backend(|b| b.apply_faults.clear());
    rig.pass(60).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!(dead(Standing::Alone), [""; 0]);

    rig.health_state("203.0.113.2", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(dead(Standing::Alone), ["reason=\"all-down\"} 1.0"]);
    // One that answers again is not dead, though it is still to be removed.
    rig.health_state("203.0.113.2", Verdict::Recovering);
    rig.pass(1).await;
    assert_eq!(dead(Standing::Alone), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_of_a_refused_name_is_counted() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(60).await;
    rig.backend(|b| assert!(b.refuses.insert(GLOBAL.parse().unwrap())));
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(10).await;
    assert_eq!(set(&rig, Standing::Alone, "zone_dead_addresses"), ["reason=\"refused\"} 1.0"]);
    assert_eq!(set(&rig, Standing::Alone, "zone_refused_names"), ["reason=\"backend\"} 1.0"]);
    assert_eq!(set(&rig, Standing::Alone, "zone_pending_changes"), [""; 0], "it is counted as refused");
}

#[tokio::test(start_paused = true)]
async fn changes_are_pending_until_they_are_written() {
    let rig = Rig::start(Backend { apply_faults: vec![unavailable; 100], ..Backend::default() });
    let pending = |standing| set(&rig, standing, "zone_pending_changes");
    let written = "fleetdns_zone_last_write_timestamp_seconds{zone=\"example.com\"} ";
    let never = format!("{written}0.0\n");
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), ["verb=\"create\"} 1.0"]);
    assert_eq!(pending(Standing::Follows("b".into())), [""; 0], "another one writes it");
    assert!(shown(&rig, Standing::Alone).contains(&never));
    rig.backend(|b| b.apply_faults.clear());
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), [""; 0]);
    let text = shown(&rig, Standing::Alone);
    assert!(text.contains(written) && !text.contains(&never), "{text}");

    // What is not to be changed any more is not pending.
    rig.backend(|b| b.apply_faults = vec![unavailable; 100]);
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    assert_eq!(pending(Standing::Alone), ["verb=\"update\"} 1.0"]);
    rig.publish(&["203.0.113.1"]);
    rig.pass(60).await;
    assert_eq!(pending(Standing::Alone), [""; 0]);
}
