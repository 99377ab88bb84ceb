//! Faults on our side: a prober that stands still or hangs, and a family without a route.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_prober_that_stood_still_blames_nobody() {
    let network = Network::default();
    let world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND * 30).await;
    network.set("10.0.0.1", SECOND * 2, Answer::Fail(Failure::NoAnswer(SECOND * 2)));
    for _ in 0..20 {
        // Each probe is caught by a stop of the whole process.
        next_probe(&network, "10.0.0.1").await;
        advance(SECOND * 3).await;
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    let stats = world.reports.stats();
    assert!(stats.stalls >= 20, "{stats:?}");
    // Without stops the same failures count.
    sleep(SECOND * 15).await;
    assert_eq!(world.verdict("10.0.0.1"), Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn inconclusive_probes_leave_the_verdict() {
    let network = Network::default();
    let world = world(&network, settings(), west(&[ONE]));
    sleep(SECOND * 30).await;
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    sleep(SECOND * 60).await;
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    let report = world.reports.get(&key("10.0.0.1", "tcp:80")).unwrap();
    assert_eq!(report.last, Answer::Unclear(Snag::NoRoute));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_probed_from_here_is_said_to_be_so_until_a_probe_ends() {
    let network = Network::default();
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    let world = world(&network, settings(), west(&[ONE]));
    let unprobeable = |world: &World| world.health.borrow().unprobeable.contains(&key("10.0.0.1", "tcp:80"));
    sleep(SECOND * 3).await;
    assert!(!unprobeable(&world), "two probes do not say enough");
    sleep(SECOND * 3).await;
    assert!(unprobeable(&world), "three do, and they come fast");
    assert_eq!(world.verdict("10.0.0.1"), Verdict::Unknown);
    network.set("10.0.0.1", Duration::ZERO, Answer::Pass);
    sleep(SECOND * 6).await;
    assert!(!unprobeable(&world));
    assert_eq!(world.verdict("10.0.0.1"), Healthy);
    network.set("10.0.0.1", Duration::ZERO, Answer::Unclear(Snag::NoRoute));
    sleep(SECOND * 60).await;
    assert!(!unprobeable(&world), "a verdict that was reached stands");
    world.change(|snapshot| snapshot.members.clear());
    sleep(SECOND * 6).await;
    assert_eq!(*world.health.borrow(), Health::default());
}

#[tokio::test(start_paused = true)]
async fn a_family_without_a_route_has_no_verdict_until_there_is_one_and_again_when_it_is_gone() {
    let network = Network::default();
    let six = "2001:db8::1";
    let no_route = Answer::Unclear(Snag::NoRoute);
    network.set(six, Duration::ZERO, no_route.clone());
    let world = world(&network, settings(), west(&[ONE, ("b", six, "tcp:80")]));
    let unprobeable = |world: &World| world.health.borrow().unprobeable.contains(&key(six, "tcp:80"));
    let known = |world: &World| world.health.borrow().verdicts.contains_key(&key(six, "tcp:80"));
    sleep(SECOND * 10).await;
    assert!(unprobeable(&world) && !known(&world));
    // A route appears, and nothing answers there.
    network.set(six, SECOND * 2, Answer::Fail(Failure::NoConnection(SECOND * 2)));
    sleep(SECOND * 20).await;
    assert_eq!((unprobeable(&world), world.verdict(six)), (false, Unhealthy));
    // The route is gone again: what was seen then says nothing now.
    network.set(six, Duration::ZERO, no_route.clone());
    sleep(SECOND * 20).await;
    assert!(unprobeable(&world) && !known(&world));
    network.set(six, Duration::ZERO, Answer::Pass);
    sleep(SECOND * 10).await;
    assert_eq!((unprobeable(&world), world.verdict(six)), (false, Healthy));
    // Without a route to anything it is this machine that is cut off: verdicts stand.
    network.set(six, Duration::ZERO, no_route.clone());
    network.set(ONE.1, Duration::ZERO, no_route);
    sleep(SECOND * 60).await;
    assert_eq!((unprobeable(&world), world.verdict(six), world.verdict(ONE.1)), (false, Healthy, Healthy));
}

/// The beats of a prober, a second apart, in the hour after it started.
async fn beats(network: &Network, snapshot: Snapshot) -> Vec<Duration> {
    let (snapshots, receiver) = watch::channel(snapshot);
    let (out, _health) = watch::channel(Health::default());
    let engine = Engine::new(network.setup(settings(), Vec::new()), Reports::default());
    let (heard, start) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
    let told = Arc::clone(&heard);
    let beat = move || told.lock().unwrap().push(start.elapsed());
    let engine = engine.with_turns(Some((SECOND, Arc::new(beat))));
    let (_release, confirmed) = watch::channel(0);
    let running = engine.run(receiver, &out, confirmed, futures::stream::pending(), CancellationToken::new());
    assert!(timeout(SECOND * 3600, running).await.is_err());
    drop(snapshots);
    let heard = heard.lock().unwrap();
    heard.clone()
}

#[tokio::test(start_paused = true)]
async fn a_probe_or_a_lookup_that_never_ends_is_a_prober_that_hangs() {
    let network = Network::default();
    let services = west(&[ONE, ("b", "10.0.0.2", "tcp:80")]);
    assert!(*beats(&network, services.clone()).await.last().unwrap() >= SECOND * 3599);
    network.set("10.0.0.1", SECOND * 100_000, Answer::Pass);
    let last = *beats(&network, services).await.last().unwrap();
    assert!((SECOND * 10..SECOND * 15).contains(&last), "{last:?}");
    // Its name server never answers.
    let last = *beats(&network, west(&[("c", "lb.example.net", "tcp:80")])).await.last().unwrap();
    assert!((SECOND * 18..SECOND * 22).contains(&last), "{last:?}");
}
