//! When a batch is on all name servers.

use std::time::{Duration, Instant};

use fleetdns_core::Provider;

use crate::{all_done, names, pass};
use fleetdns_fakes::conformance::OWNER;
use fleetdns_fakes::route53::Fake;

const WAITING: [(&str, &str); 1] = [("wait-insync", "yes")];

pub(crate) fn gauge(provider: &dyn Provider, name: &str) -> Option<f64> {
    provider.measures().iter().find(|gauge| gauge.name == name).map(|gauge| gauge.value)
}

/// Polls until it holds: the time is that of a server in this process, which cannot be paused.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "it takes too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_batch_is_followed_to_the_name_servers_and_the_next_one_does_not_wait_for_it() {
    let fake = Fake::start().await;
    let provider = fake.connect(OWNER, &WAITING);
    for count in 1..=3 {
        all_done(&pass(&*provider, &names(count)).await, 1);
    }
    assert_eq!(fake.calls("GetChange"), 0);
    assert_eq!((gauge(&*provider, "insync_waiting"), gauge(&*provider, "insync_seconds")), (Some(3.0), None));
    until(|| fake.state().calls.contains_key("GetChange")).await;
    fake.state().sync_takes = Duration::ZERO;
    until(|| gauge(&*provider, "insync_waiting") == Some(0.0)).await;
    let took = gauge(&*provider, "insync_seconds").unwrap();
    assert!((1.0..20.0).contains(&took), "{took}");
}

#[tokio::test]
async fn who_may_not_ask_may_write() {
    let fake = Fake::start().await;
    fake.state().denied.insert("GetChange");
    let provider = fake.connect(OWNER, &WAITING);
    all_done(&pass(&*provider, &names(1)).await, 1);
    until(|| fake.calls("GetChange") > 0).await;
    all_done(&pass(&*provider, &names(2)).await, 1);
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.good).collect();
    assert!(bad.len() == 1 && bad[0].text.contains("\"route53:GetChange\""), "{findings:#?}");
    fake.state().denied.clear();
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    assert!(findings.len() == 5 && findings.iter().all(|finding| finding.good), "{findings:#?}");
}

#[tokio::test]
async fn nothing_is_asked_unless_it_is_overridden() {
    let fake = Fake::start().await;
    assert_eq!(fake.provider(OWNER).measures(), []);
}
