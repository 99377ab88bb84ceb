//! From the death of an endpoint to the zone without it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::{dns, ports};
use tokio::task::JoinSet;

use crate::fleet::NAMESPACE;
use crate::peer::{FLEET, ZONE};
use crate::say;

/// How long an address may take to come or go before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions, of every run.
const PAUSE: Duration = Duration::from_millis(25);
/// The probe interval: deaths are spread over one, so that they meet all of its phases.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long each run took.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    pub(crate) refused: Vec<Duration>,
    pub(crate) black_holed: Vec<Duration>,
}

/// Kills one of two addresses of a Service, so many times in each way, each time with a Service and endpoints of its
/// own: a probe key that has failed before is judged more strictly.
pub(crate) async fn measure(member: &Arc<Member>, server: SocketAddr, runs: u32) -> Outages {
    let mut tasks = JoinSet::new();
    for turn in 0..runs {
        for mode in [Mode::Refuse, Mode::BlackHole] {
            let (member, delay) = (Arc::clone(member), INTERVAL * turn / runs);
            tasks.spawn(async move { (mode, one(&member, server, mode, turn, delay).await) });
        }
    }
    let mut outages = Outages::default();
    while let Some(ended) = tasks.join_next().await {
        let (mode, took) = ended.unwrap_or_else(|e| panic!("an outage was not measured: {e}"));
        say(&format!("dead endpoint ({mode:?}) out of the zone after {took:?}"));
        match mode {
            Mode::Refuse => outages.refused.push(took),
            _ => outages.black_holed.push(took),
        }
    }
    outages
}

async fn one(member: &Member, server: SocketAddr, mode: Mode, turn: u32, delay: Duration) -> Duration {
    let port = ports::free();
    let (mut dying, living) = (Endpoint::on_port(port), Endpoint::on_port(port));
    let service = format!("{mode:?}-{turn}").to_ascii_lowercase();
    let (one, other) = (dying.ip().to_string(), living.ip().to_string());
    member.create_published(&NewService::new(NAMESPACE, &service).port(port), &[&one, &other]).await;
    let global = format!("{service}.{NAMESPACE}.{FLEET}.svc.{ZONE}");
    answers(server, &global, &[&one, &other]).await;
    // Two intervals: the probes of all of them run at their usual pace by then.
    tokio::time::sleep(INTERVAL * 2 + delay).await;

    let begin = Instant::now();
    // Filling a black hole blocks for some 0.1 s, and counts: nothing answers from its beginning on.
    let dead = tokio::task::spawn_blocking(move || {
        dying.set(mode);
        dying
    });
    let dead = dead.await.expect("an endpoint can be broken");
    answers(server, &global, &[&other]).await;
    let took = begin.elapsed();
    drop((dead, living));
    took
}

/// Waits until the name has exactly these addresses.
async fn answers(server: SocketAddr, name: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&address| address.to_owned()).collect();
    let begin = Instant::now();
    loop {
        let answer = dns::query(server, name, "A").await;
        if answer.as_ref().is_ok_and(|answer| answer.values("A") == expected) {
            return;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{name} is not {expected:?} within {PATIENCE:?}; last: {answer:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
