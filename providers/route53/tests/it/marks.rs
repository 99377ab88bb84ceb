//! Ownership: whose a record is, and what becomes of marks that have lost theirs.

use crate::{all_done, pass, planned};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Fake, Set};

const NAME: &str = "web.example.com";

fn web() -> Fleet {
    Fleet::of(&[(NAME, &["203.0.113.1"])])
}

#[tokio::test]
async fn a_mark_speaks_for_its_types_only() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &web()).await, 1);
    fake.put(Set::simple(NAME, "AAAA", 60, &["2001:db8::51"]));
    all_done(&pass(&*provider, &Fleet::new()).await, 1);
    assert_eq!(fake.dump(), [format!("{NAME} AAAA 2001:db8::51")], "theirs stays, our record and mark go");
}

#[tokio::test]
async fn a_record_that_somebody_deleted_is_written_again_over_its_mark() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &web()).await, 1);
    fake.delete(NAME, "A").unwrap();
    let moved = Fleet::of(&[(NAME, &["203.0.113.2"])]);
    all_done(&pass(&*provider, &moved).await, 1);
    assert_eq!(fake.get(NAME, "A").unwrap().values, ["203.0.113.2"]);
    assert!(planned(&*provider, &moved).await.plan().is_empty());
}

#[tokio::test]
async fn a_mark_without_a_record_goes_with_the_next_write_but_one_listing_proves_nothing() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &web()).await, 1);
    fake.delete(NAME, "A").unwrap();
    let mark = || fake.get(&format!("_fleetdns.{NAME}"), "TXT");
    let mut fleet = Fleet::of(&[("other.example.com", &["203.0.113.3"])]);
    all_done(&pass(&*provider, &fleet).await, 1);
    assert!(mark().is_some());
    fleet.publish("other.example.com", &["203.0.113.4"]);
    all_done(&pass(&*provider, &fleet).await, 1);
    assert!(mark().is_none());
    assert_eq!(fake.dump().len(), 2);
}

#[tokio::test]
async fn a_name_whose_place_for_the_mark_is_taken_is_refused_alone() {
    for record_type in ["TXT", "CNAME"] {
        let fake = Fake::start().await;
        let value = if record_type == "TXT" { "\"v=spf1 -all\"" } else { "elsewhere.example.net." };
        fake.put(Set::simple("_fleetdns.web.example.com", record_type, 60, &[value]));
        let provider = fake.provider(OWNER);
        let fleet = Fleet::of(&[(NAME, &["203.0.113.1"]), ("next.example.com", &["203.0.113.1"])]);
        let words = pass(&*provider, &fleet).await;
        assert_eq!(words["next.example.com"], "done");
        assert!(words[NAME].contains("somebody else has a record at _fleetdns.web.example.com"), "{words:?}");
        assert!(fake.get(NAME, "A").is_none());
    }
}

#[tokio::test]
async fn a_second_value_beside_our_mark_is_not_deleted() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &web()).await, 1);
    let mut mark = fake.get(&format!("_fleetdns.{NAME}"), "TXT").unwrap();
    mark.values.push("\"somebody's\"".to_owned());
    fake.put(mark);
    let before = fake.dump();
    assert!(planned(&*provider, &Fleet::new()).await.plan().is_empty());
    assert_eq!(fake.dump(), before);
}
