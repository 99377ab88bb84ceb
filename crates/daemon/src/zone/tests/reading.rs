//! What cannot be read can still be written, and the other way round.

use fleetdns_core::service_fault::ServiceFault;

use super::*;

fn denied() -> ProviderError {
    let (endpoint, problem, remedy) = ("strict zone".into(), "REFUSED".into(), "allow transfers".into());
    ProviderError::Denied { endpoint, action: "list", problem, remedy }
}

/// Begins a fault.
type Begin = fn(&mut Backend);

#[tokio::test(start_paused = true)]
async fn a_dead_address_leaves_while_the_zone_cannot_be_read() {
    let faults: [(&str, Begin); 3] = [
        ("transfers are refused", |b| b.list_fault = Some(denied)),
        ("lists are throttled", |b| b.list_fault = Some(throttled)),
        ("lists hang", |b| b.list_time = Duration::from_secs(100_000)),
    ];
    for (fault, begins) in faults {
        let rig = Rig::start(Backend::default());
        rig.publish(&["203.0.113.1", "203.0.113.2"]);
        rig.pass(10).await;
        rig.backend(begins);
        rig.pass(700).await;
        assert!(rig.status.borrow().fault.is_some(), "{fault}: it is said");
        assert_eq!(rig.status.borrow().write_fault, None, "{fault}: of reading alone");
        rig.health_state("203.0.113.1", Verdict::Unhealthy);
        rig.moment().await;
        assert_eq!(rig.values(GLOBAL), ["203.0.113.2"], "{fault}");
        rig.publish_as("new", &["203.0.113.9"]);
        rig.moment().await;
        assert_eq!(rig.values("new.default.fed.svc.example.com"), ["203.0.113.9"], "{fault}: a new name");
        rig.backend(|b| (b.list_fault, b.list_time) = (None, Duration::ZERO));
        rig.pass(700).await;
        assert_eq!(rig.status.borrow().fault, None, "{fault}: it is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_written_by_half_is_read_within_seconds_though_the_pauses_of_reading_have_grown() {
    for second in 0..30 {
        let rig = Rig::start(Backend::default());
        rig.publish(&["203.0.113.1", "203.0.113.2"]);
        rig.pass(10).await;
        rig.backend(|b| b.list_fault = Some(unavailable));
        rig.pass(300 + second).await;
        rig.backend(|b| b.halves = 1);
        rig.health_state("203.0.113.1", Verdict::Unhealthy);
        rig.moment().await;
        assert_eq!(rig.values(GLOBAL), Vec::<String>::new(), "half of it is done");
        rig.backend(|b| b.list_fault = None);
        rig.pass(3).await;
        assert_eq!(rig.values(GLOBAL), ["203.0.113.2"], "{second} s later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_written_by_half_is_read_within_seconds_though_the_last_list_stalled() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    rig.backend(|b| {
        b.list_fault = Some(unavailable);
        b.list_time = Duration::from_secs(100);
    });
    rig.pass(160).await;
    rig.backend(|b| {
        (b.list_fault, b.halves) = (None, 1);
        b.list_time = Duration::ZERO;
    });
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(3).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_written_by_half_does_not_cut_short_the_wait_that_a_backend_asks_for() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    rig.backend(|b| b.list_fault = Some(throttled));
    rig.pass(60).await;
    rig.backend(|b| (b.halves, b.lists) = (1, 0));
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(120).await;
    assert_eq!(rig.backend(|b| b.lists), 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_does_not_overwrite_what_was_written_while_it_was_made() {
    let rig = Rig::start(Backend::default());
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    // The next list begins before the writes that follow, and ends long after them.
    rig.backend(|b| (b.list_time, b.applies) = (Duration::from_secs(20), 0));
    rig.pass(52).await;
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.publish_as("other", &["203.0.113.9"]);
    rig.pass(1).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    rig.pass(120).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!(rig.values("other.default.fed.svc.example.com"), ["203.0.113.9"]);
    assert!(rig.backend(|b| b.applies) <= 2, "nothing was written twice");
    assert_eq!(rig.status.borrow().failed, 0);
}

/// Writing has failed five times and rests for 4 s; a list under way then ends half a second after the next write, of
/// which the answer is lost.
async fn lose_an_answer(rig: &Rig) {
    rig.publish(&["203.0.113.1"]);
    rig.pass(10).await;
    rig.backend(|b| {
        b.apply_faults = vec![unavailable; 5];
        b.lost_answers = 1;
    });
    rig.publish(&["203.0.113.1", "203.0.113.2"]);
    rig.pass(3).await;
    rig.backend(|b| b.list_time = Duration::from_millis(4500));
    rig.pass(2).await;
    rig.backend(|b| b.list_time = Duration::ZERO);
    rig.pass(8).await;
    assert_eq!(rig.backend(|b| b.applies), 7, "the next try is not due yet");
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1", "203.0.113.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_read_though_a_list_was_under_way() {
    let rig = Rig::start(Backend::default());
    lose_an_answer(&rig).await;
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(5).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.2"]);
    assert_eq!(rig.status.borrow().failed, 6, "the write after that met no conflict");
}

#[tokio::test(start_paused = true)]
async fn what_a_list_has_is_shown_though_writing_rests() {
    let rig = Rig::start(Backend::default());
    lose_an_answer(&rig).await;
    let status = rig.status.borrow();
    assert!(status.write_fault.is_some());
    let sets = status.observed.as_ref().unwrap().at(&GLOBAL.parse().unwrap());
    let values: Vec<String> =
        sets.iter().filter_map(ObservedSet::ours).flat_map(RecordData::values).collect();
    assert_eq!(values, ["203.0.113.1", "203.0.113.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_fault_does_not_stop_reading() {
    let rig = Rig::start(Backend { apply_faults: vec![throttled; 100], ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(5).await;
    let before = rig.backend(|b| b.lists);
    rig.pass(240).await;
    assert!(rig.status.borrow().write_fault.is_some());
    assert_eq!(rig.backend(|b| b.lists), before + 4, "each minute");
    assert!(rig.status.borrow().listed_at.unwrap().elapsed() <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_asks_for_centuries_is_asked_again_after_an_hour() {
    fn for_centuries() -> ProviderError {
        ProviderError::Throttled { endpoint: "strict zone".into(), seconds: u64::MAX }
    }
    let rig = Rig::start(Backend { apply_faults: vec![for_centuries], ..Backend::default() });
    rig.publish(&["203.0.113.1"]);
    rig.pass(3590).await;
    assert_eq!(rig.backend(|b| b.applies), 1);
    rig.pass(20).await;
    assert_eq!(rig.values(GLOBAL), ["203.0.113.1"]);
}

#[tokio::test(start_paused = true)]
async fn what_dies_while_a_long_list_of_names_is_written_does_not_wait_for_all_of_it() {
    let rig = Rig::start(Backend { write_time: Duration::from_millis(10), ..Backend::default() });
    rig.publish_as("z", &["203.0.113.1", "203.0.113.2"]);
    rig.pass(10).await;
    for number in 0..3000 {
        rig.publish_as(&format!("s{number}"), &[&format!("198.18.{}.{}", number / 250, number % 250)]);
    }
    rig.pass(11).await;
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.pass(8).await;
    assert_eq!(rig.values("z.default.fed.svc.example.com"), ["203.0.113.2"]);
    assert!(rig.backend(|b| b.observed.owned_count()) < 3000, "the list is still being written");
    rig.pass(30).await;
    assert_eq!(rig.backend(|b| b.observed.owned_count()), 3001);
}

#[tokio::test(start_paused = true)]
async fn a_service_with_very_many_names_good_and_bad_takes_nothing_from_another() {
    let rig = Rig::start(Backend::default());
    rig.publish_as("z", &["203.0.113.1", "203.0.113.2"]);
    rig.publish_as("greedy", &["203.0.113.9"]);
    rig.pass(10).await;
    rig.alter("greedy", |published| {
        published.hostnames = (0..9000).map(|n| format!("n{n}.example.com").parse().unwrap()).collect();
        let fault = |n| ServiceFault::Hostname {
            place: "hostname",
            text: format!("bad..name{n}"),
            source: fleetdns_core::name::NameError::EmptyLabel,
        };
        published.faults = (0..20_000).map(fault).collect();
    });
    rig.moment().await;
    assert_eq!(
        rig.backend(|b| b.observed.owned_count()),
        9002,
        "the work is linear: this takes seconds, not minutes"
    );
    assert_eq!(rig.status.borrow().faults.values().map(Vec::len).sum::<usize>(), 20_000);
    for n in 0..20 {
        rig.publish_as("busy", &[&format!("203.0.113.{}", 100 + n)]);
        rig.moment().await;
    }
    rig.health_state("203.0.113.1", Verdict::Unhealthy);
    rig.moment().await;
    assert_eq!(rig.values("z.default.fed.svc.example.com"), ["203.0.113.2"]);
}
