//! Calls and seconds under Route 53's documented rate: a burst of 50 calls and 10 a second. To be seen with
//! `cargo test -p fleetdns-route53 --test it numbers -- --ignored --nocapture`.

use std::ops::Range;
use std::time::{Duration, Instant};

use fleetdns_core::{
    ApprovedPlan, Brakes, Change, DnsName, NameChange, NonEmpty, Plan, Provider, RecordData, RecordSet, Ttl,
    approve,
};

use crate::{all_done, name, pass, words};
use fleetdns_fakes::conformance::{Fleet, OWNER, ZONE};
use fleetdns_fakes::route53::Fake;

/// What ten clusters give at a name: an address each.
fn addresses(index: usize, clusters: Range<usize>) -> Vec<String> {
    clusters.map(|cluster| format!("10.{cluster}.{}.{}", index / 256, index % 256)).collect()
}

/// Changes a thousand names to the addresses of some of the ten clusters. The mark says all ten, as it does while some
/// of them are only out of health.
async fn to_clusters(provider: &dyn Provider, clusters: Range<usize>) -> ApprovedPlan {
    let listing = provider.list().await.unwrap();
    let change = |index| {
        let mut text = format!("v=1 owner={OWNER} service=default/svc-{index}");
        for (cluster, address) in addresses(index, 0..10).iter().enumerate() {
            text += &format!(" member=cluster-{cluster};region-{cluster};1,2,3;tcp:443;{address}");
        }
        let mark = text.parse().unwrap();
        let ips = addresses(index, clusters.clone());
        let data = RecordData::A(NonEmpty::new(ips.iter().map(|ip| ip.parse().unwrap())).unwrap());
        let name: DnsName = name(index).parse().unwrap();
        let set = RecordSet { name: name.clone(), ttl: Ttl::DEFAULT, data };
        let change = match listing.observed.at(&name) {
            [before] => Change::Update { before: before.clone(), set, mark },
            _ => Change::Create { set, mark },
        };
        NameChange { name, changes: vec![change] }
    };
    let changes = (0..1000).map(change).collect();
    let plan = Plan { zone: ZONE.parse().unwrap(), changes, held: vec![], refused: vec![], owned: 0 };
    approve(plan, &Brakes::default())
}

async fn measure_clusters(what: &str, fake: &Fake, clusters: Range<usize>) {
    let provider = fake.provider(OWNER);
    let plan = to_clusters(&*provider, clusters).await;
    fake.state().calls.clear();
    let start = Instant::now();
    all_done(&words(&provider.apply(&plan).await), 1000);
    let took = start.elapsed();
    eprintln!("{what}: {} calls (no listing), {took:.1?}", fake.calls("ChangeResourceRecordSets"));
}

async fn measure(what: &str, fake: &Fake, fleet: &Fleet, count: usize) {
    let provider = fake.provider(OWNER);
    provider.list().await.unwrap();
    fake.state().calls.clear();
    fake.state().throttled = 0;
    let start = Instant::now();
    all_done(&pass(&*provider, fleet).await, count);
    let (took, calls) = (start.elapsed(), fake.state().total());
    let writes = fake.calls("ChangeResourceRecordSets");
    let throttled = fake.state().throttled;
    eprintln!("{what}: {calls} calls, {writes} of them batches, {throttled} throttled, {took:.1?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seconds, and says numbers rather than whether anything is wrong"]
async fn numbers() {
    let fake = Fake::start().await;
    fake.state().rate = Some((50.0, 10.0));
    fake.state().change_takes = Duration::from_millis(200);
    let mut single = Fleet::new();
    for index in 0..1000 {
        single.publish(&name(index), &[&format!("10.0.{}.{}", index / 256, index % 256)]);
    }
    measure("first sync of 1,000 names, one address each", &fake, &single, 1000).await;
    single.publish(&name(500), &["203.0.113.1"]);
    measure("one address changes in 1,000 names", &fake, &single, 1).await;
    measure("1,000 names go", &fake, &Fleet::new(), 1000).await;
    measure_clusters("first sync of 1,000 names, ten addresses each", &fake, 0..10).await;
    measure_clusters("one cluster of ten dies, 1,000 names", &fake, 1..10).await;
}
