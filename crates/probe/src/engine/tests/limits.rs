//! How many probes go out at a time, to an address and for a namespace.

use super::*;

#[tokio::test(start_paused = true)]
async fn no_more_probes_than_allowed_are_in_flight_and_late_failures_say_nothing() {
    let network = Network::default();
    let names: Vec<String> = (1..=60).map(|host| format!("10.0.0.{host}")).collect();
    for name in &names {
        network.set(name, SECOND * 2, Answer::Fail(Failure::NoConnection(SECOND * 2)));
    }
    let services: Vec<Words<'_>> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    let start = Instant::now();
    let narrow = ProbeSettings { max_inflight: 10, ..settings() };
    let world = world(&network, narrow, west(&services));
    sleep(Duration::from_millis(100)).await;
    let asked = |world: &World| names.iter().map(|name| world.network.asked(name).len()).sum::<usize>();
    assert_eq!(asked(&world), 10);
    sleep(SECOND * 2).await;
    assert_eq!(asked(&world), 20);
    sleep(SECOND * 120).await;
    // 10 at a time, 2 s each, for 60 keys: each waits 12 s, all failures come late and count for nothing.
    let late = names.iter().filter(|name| world.verdict(name) == Verdict::Unknown).count();
    assert!(late >= 50, "{late} after {:?}", start.elapsed());
    let [_, _, inconclusive] = world.reports.stats().totals();
    assert!(inconclusive > 0);
}

#[tokio::test(start_paused = true)]
async fn many_new_keys_are_spread_and_few_are_not() {
    let network = Network::default();
    let names: Vec<String> =
        (0..1000).map(|host| format!("10.0.{}.{}", host / 250, host % 250 + 1)).collect();
    let services: Vec<Words<'_>> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "tcp:80")).collect();
    let world = world(&network, settings(), west(&services));
    sleep(Duration::from_millis(100)).await;
    let first = names.iter().filter(|name| !network.asked(name).is_empty()).count();
    assert!((20..100).contains(&first), "{first} of 1000 in the first 5 % of the time");
    sleep(SECOND * 2).await;
    assert_eq!(world.health.borrow().verdicts.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn many_services_of_one_namespace_do_not_flood_an_address_and_others_keep_their_times() {
    let network = Network::default();
    let specs: Vec<String> = (0..300).map(|port| format!("tcp!interval=1s:{}", 1000 + port)).collect();
    let names: Vec<String> = (0..300).map(|index| format!("hostile/s{index}")).collect();
    let mut services: Vec<Words<'_>> =
        names.iter().zip(&specs).map(|(name, spec)| (name.as_str(), "10.0.0.9", spec.as_str())).collect();
    services.push(("shop/same", "10.0.0.9", "tcp:80"));
    services.push(("shop/other", "10.0.0.1", "tcp:80"));
    let world = world(&network, settings(), west(&services));
    sleep(SECOND * 3).await;
    assert_eq!((world.verdict("10.0.0.9"), world.verdict("10.0.0.1")), (Healthy, Healthy));
    let before = [network.asked("10.0.0.9").len(), network.asked("10.0.0.1").len()];
    sleep(SECOND * 20).await;
    let asked = [network.asked("10.0.0.9").len() - before[0], network.asked("10.0.0.1").len() - before[1]];
    let most = 21 * crate::budget::RATE as usize;
    assert!(asked[0] > 1500 && asked[0] <= most, "{asked:?}");
    assert_eq!(asked[1], 4);
    let put_off = world.reports.put_offs();
    assert_eq!(
        put_off.iter().map(|of| (&*of.namespace, of.limit)).collect::<Vec<_>>(),
        [("hostile", Limit::Address)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_thousands_is_probed_at_its_rate_and_who_shares_an_endpoint_keeps_its_times() {
    let network = Network::default();
    let names: Vec<(String, String)> =
        (0..2000).map(|n| (format!("big/s{n}"), format!("10.9.{}.{}", n / 250, n % 250))).collect();
    let mut services: Vec<Words<'_>> =
        names.iter().map(|(name, address)| (name.as_str(), address.as_str(), "tcp!interval=1s:80")).collect();
    // The first namespace by name takes the endpoint of the last one for its own.
    services.extend([("big/thief", "10.0.0.1", "tcp:80"), ("shop/web", "10.0.0.1", "tcp:80")]);
    let rate = std::num::NonZeroU32::new(500).unwrap();
    let settings = ProbeSettings { namespace_rate: rate, max_inflight: 10_000, ..settings() };
    let world = world(&network, settings, west(&services));
    sleep(SECOND * 10).await;
    let total = || network.0.lock().unwrap().asked.len();
    let before = (total(), network.asked("10.0.0.1").len());
    sleep(SECOND * 20).await;
    let asked = (total() - before.0, network.asked("10.0.0.1").len() - before.1);
    assert!((9_000..=10_510).contains(&asked.0), "{asked:?}");
    assert_eq!(asked.1, 4);
    network.set("10.0.0.1", Duration::ZERO, REFUSED);
    sleep(SECOND * 9).await;
    assert_eq!(world.verdict("10.0.0.1"), Unhealthy);
    let put_off = world.reports.put_offs();
    assert_eq!(
        put_off.iter().map(|of| (&*of.namespace, of.limit)).collect::<Vec<_>>(),
        [("big", Limit::Namespace)]
    );
}
