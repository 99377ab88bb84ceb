//! When a backend of which each process has a copy of its own may answer from it.

use super::*;

fn own_copy() -> Backend {
    Backend { own_copy: true, ..Backend::default() }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_answered_from_once_all_that_start_up_found_is_written() {
    let rig = Rig::start(own_copy());
    rig.pass(5).await;
    assert!(rig.backend(|b| b.converged.is_empty()), "no cluster has been listed");
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.health_state("203.0.113.2", Verdict::Unknown);
    rig.pass(5).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
    assert!(rig.backend(|b| b.converged.is_empty()), "an address has no verdict yet");
    rig.health_state("203.0.113.2", Verdict::Healthy);
    rig.pass(1).await;
    rig.publish(&["203.0.113.3"]);
    rig.pass(100).await;
    assert_eq!(rig.backend(|b| b.converged.clone()), [["203.0.113.1", "203.0.113.2"]], "once");
}

#[tokio::test(start_paused = true)]
async fn what_never_gets_a_verdict_keeps_a_copy_closed_until_the_startup_timeout() {
    let rig = Rig::start(own_copy());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.health_state("203.0.113.2", Verdict::Unknown);
    rig.pass(29).await;
    assert!(rig.backend(|b| b.converged.is_empty()));
    rig.pass(2).await;
    assert_eq!(rig.backend(|b| b.converged.clone()), [["203.0.113.1"]]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_others_write_too_waits_for_nothing() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1"]);
    rig.pass(40).await;
    assert!(rig.backend(|b| b.converged.is_empty()));
}
