//! How many calls a change takes. What larger ones take under the limits that Microsoft documents is measured by
//! `tests/bench --clouds azure`.

use std::time::{Duration, Instant};

use fleetdns_core::{Outcome, RecordData};

use crate::support::{ZONE, converge, plan, provider};
use fleetdns_fakes::azure::Fake;
use fleetdns_fakes::plans::{Desired, a, approved, many, name};

/// From here to Azure and back.
const LATENCY: Duration = Duration::from_millis(50);

fn thousand(data: &RecordData) -> Desired {
    (0..1_000).map(|index| (name(&format!("n{index}.{ZONE}")), vec![(data.clone(), 30)])).collect()
}

#[tokio::test]
async fn one_address_that_changes_among_a_thousand_names_is_one_call() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let mut desired = thousand(&many(1, 10));
    converge(&*provider, ZONE, &desired).await;
    desired.insert(name("n500.example.com"), vec![(a(&["192.0.2.1"]), 30)]);
    let plan = approved(plan(&*provider, ZONE, &desired).await);
    fake.world().latency = LATENCY;
    fake.world().calls.clear();
    let started = Instant::now();
    let applied = provider.apply(&plan).await;
    println!("written in {:.0?}, of which Azure took {LATENCY:?}", started.elapsed());
    assert!(matches!(applied.names[..], [(_, Outcome::Done(_))]));
    assert_eq!(fake.count(|_| true), 1);
}
