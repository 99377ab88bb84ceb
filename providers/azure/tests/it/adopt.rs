//! Records of external-dns, for which Azure has no write that changes owners at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use fleetdns_core::ownership::external_dns::Naming;
use fleetdns_core::{Outcome, Plan, Provider};
use serde_json::json;

use crate::support::{ZONE, foreign, observed, provider};
use fleetdns_fakes::azure::{Answer, Call, Fake, Mishap};
use fleetdns_fakes::conformance::Fleet;
use fleetdns_fakes::plans::approved;

/// `web` and `api` of an external-dns.
async fn world() -> Fake {
    let fake = Fake::start().await;
    for name in ["web", "api"] {
        let text = format!(
            "heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/default/{name}"
        );
        fake.seed(ZONE, "A", name, foreign("192.0.2.1"));
        for at in [format!("a-{name}"), name.to_owned()] {
            fake.seed(ZONE, "TXT", &at, json!({ "TTL": 300, "TXTRecords": [{ "value": [text] }] }));
        }
    }
    fake
}

async fn adoption(provider: &dyn Provider) -> Plan {
    let fleet = Fleet::of(&[("web.example.com", &["192.0.2.1"]), ("api.example.com", &["192.0.2.1"])]);
    let observed = observed(provider).await;
    let mut planner = fleet.planner(provider.capabilities());
    planner.adopt_external_dns(&observed, (&Naming::default(), "prod"), |_| true).plan
}

/// Whether external-dns and we own a name both; and how many we own.
fn owners(fake: &Fake) -> (bool, usize) {
    let ours = |name: &str| fake.at(ZONE, "A", name).unwrap()["metadata"]["fleetdns1"].is_string();
    let theirs = |name: &str| {
        // The name with the type goes before the one without it.
        let text = [format!("a-{name}"), name.to_owned()].iter().find_map(|at| fake.at(ZONE, "TXT", at));
        text.is_some_and(|text| text.to_string().contains("owner=prod,"))
    };
    let names = ["web", "api"];
    (names.iter().any(|name| ours(name) && theirs(name)), names.iter().filter(|name| ours(name)).count())
}

/// Wherever it stops, no name has two owners, no value has changed, and the next adoption completes it.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_that_stops_anywhere_is_gone_on_with() {
    for after in 0..11 {
        for lost in [false, true] {
            let fake = world().await;
            let refusal = Mishap::Answer(Answer::arm(429, "TooManyRequests", "too many"));
            let (mishap, seen) = (if lost { Mishap::CutAfter } else { refusal }, AtomicUsize::new(0));
            fake.trap(usize::MAX, mishap, move |call: &Call| {
                call.is_write() && seen.fetch_add(1, Ordering::SeqCst) >= after
            });
            let first = provider(&fake);
            let plan = adoption(&*first).await;
            let told = first.apply(&approved(plan)).await;
            let stopped = told.names.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Done(_)));
            assert_eq!(stopped, after < 10, "{after}: {told:?}");
            assert!(!owners(&fake).0, "two owners after {after} writes");
            fake.world().traps.clear();
            let second = provider(&fake);
            let plan = adoption(&*second).await;
            let told = second.apply(&approved(plan)).await;
            assert!(
                told.names.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done(_))),
                "{after}: {told:?}"
            );
            assert_eq!(owners(&fake), (false, 2), "after {after} writes");
            assert_eq!(fake.at(ZONE, "A", "web").unwrap()["ARecords"], foreign("192.0.2.1")["ARecords"]);
            assert!(["a-web", "web", "a-api", "api"].iter().all(|at| fake.at(ZONE, "TXT", at).is_none()));
            assert!(adoption(&*provider(&fake)).await.is_empty());
        }
    }
}
