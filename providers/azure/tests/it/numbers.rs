//! Calls and seconds under the limits that Microsoft documents. Run by hand, for about ten minutes:
//! `cargo test -p fleetdns-azure --test it numbers -- --ignored --nocapture`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetdns_core::{NonEmpty, Outcome, Provider, RecordData};

use crate::fake::{Call, Fake, Limits};
use crate::plans::{Wanted, a, approved, many, name};
use crate::support::{ZONE, converge, plan, provider};

/// What Azure counts by.
const WINDOW: Duration = Duration::from_secs(60);
/// From here to Azure and back.
const LATENCY: Duration = Duration::from_millis(50);

async fn measure(what: &str, fake: &Fake, provider: &dyn Provider, wanted: &Wanted) {
    {
        let mut world = fake.world();
        world.calls.clear();
        world.latency = LATENCY;
        world.limits = Some(Limits::public(WINDOW));
    }
    let started = Instant::now();
    let passes = converge(provider, ZONE, wanted).await;
    let took = started.elapsed();
    let refused = fake.world().limits.as_ref().unwrap().refused;
    let (writes, reads) = (fake.count(Call::is_write), fake.count(|call| call.is_arm() && !call.is_write()));
    println!("{what}: {took:.1?}, {writes} writes ({refused} refused), {reads} reads, {passes} passes");
}

fn thousand(data: &RecordData) -> Wanted {
    (0..1_000).map(|index| (name(&format!("n{index}.{ZONE}")), vec![(data.clone(), 30)])).collect()
}

#[tokio::test]
async fn one_address_that_changes_among_a_thousand_names_is_one_call() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let mut wanted = thousand(&many(1, 10));
    converge(&*provider, ZONE, &wanted).await;
    wanted.insert(name("n500.example.com"), vec![(a(&["192.0.2.1"]), 30)]);
    let plan = approved(plan(&*provider, ZONE, &wanted).await);
    fake.world().latency = LATENCY;
    fake.world().calls.clear();
    let started = Instant::now();
    let applied = provider.apply(&plan).await;
    println!("written in {:.0?}, of which Azure took {LATENCY:?}", started.elapsed());
    assert!(matches!(applied.names[..], [(_, Outcome::Done(_))]));
    assert_eq!(fake.count(|_| true), 1);
}

#[tokio::test]
#[ignore = "takes about ten minutes, as long as Azure's limits do"]
async fn numbers() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let mut wanted = thousand(&many(1, 10));
    measure("first sync of 1,000 names", &fake, &*provider, &wanted).await;
    wanted.insert(name("n500.example.com"), vec![(a(&["192.0.2.1"]), 30)]);
    measure("one address changes in 1,000 names", &fake, &*provider, &wanted).await;
    let RecordData::A(addresses) = many(1, 10) else { return };
    let left: BTreeSet<_> = addresses.iter().skip(1).copied().collect();
    let wanted = thousand(&RecordData::A(NonEmpty::new(left).unwrap()));
    measure("one cluster of ten dies with 1,000 names", &fake, &*provider, &wanted).await;
}
