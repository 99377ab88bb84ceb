//! Batches: how many, and what becomes of the rest when one record is not taken.

use std::time::Duration;

use crate::{all_done, name, names, pass, planned, words};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Fake, Set};

#[tokio::test]
async fn record_and_mark_go_and_come_in_one_batch() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"]), ("*.example.com", &["lb.example.net"])]);
    all_done(&pass(&*provider, &fleet).await, 2);
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 1);
    let dump = fake.dump();
    let mark = "_fleetdns.web.example.com TXT \"v=1 owner=fed service=default/web-example-com";
    assert!(dump.iter().any(|line| line.starts_with(mark) && line.ends_with(" sets=A\"")), "{dump:#?}");
    assert!(dump.iter().any(|line| line.starts_with("_fleetdns-wildcard.example.com TXT")), "{dump:#?}");
    assert_eq!(dump.len(), 4);

    let turned = Fleet::of(&[("web.example.com", &["lb.example.net"]), ("*.example.com", &["2001:db8::1"])]);
    all_done(&pass(&*provider, &turned).await, 2);
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 1, "a change of type is one batch too");
    all_done(&pass(&*provider, &Fleet::new()).await, 2);
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 1);
    assert_eq!(fake.dump(), Vec::<String>::new(), "no mark is left behind");
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_does_not_stop_the_others() {
    for usual_form in [false, true] {
        let fake = Fake::start().await;
        fake.state().usual_form = usual_form;
        let provider = fake.provider(OWNER);
        let plan = planned(&*provider, &names(150)).await;
        for taken in [3, 77] {
            fake.put(Set::simple(&name(taken), "A", 60, &["198.51.100.1"]));
        }
        let words = words(&provider.apply(&plan).await);
        assert_eq!(fake.calls("ChangeResourceRecordSets"), 2, "all that is wrong is said at once");
        for (index, word) in (0..150).map(|index| (index, &words[&name(index)])) {
            assert_eq!(word, if [3, 77].contains(&index) { "conflict" } else { "done" }, "{index}");
        }
        assert_eq!(fake.get(&name(3), "A").unwrap().values, ["198.51.100.1"]);
    }
}

#[tokio::test]
async fn a_record_that_is_refused_without_a_name_is_found_by_halves() {
    let fake = Fake::start().await;
    fake.state().poison = Some(name(99));
    let provider = fake.provider(OWNER);
    let mut words = pass(&*provider, &names(150)).await;
    let calls = fake.calls("ChangeResourceRecordSets");
    assert!(calls <= 17, "{calls} calls for 8 halvings");
    let refused = words.remove(&name(99)).unwrap();
    assert!(refused.contains("ARRDATAIllegalIPv4Address"), "{refused}");
    all_done(&words, 149);
    assert_eq!(fake.dump().len(), 298);
}

#[tokio::test]
async fn a_name_too_large_for_one_batch_is_written_in_steps() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let addresses = |net: u8| -> Vec<String> {
        let v4 = (0..400).map(|n| format!("203.{net}.{}.{}", n / 250, n % 250));
        v4.chain((0..400).map(|n| format!("2001:db8:{net}::{n:x}"))).collect()
    };
    for (net, calls) in [(1, 1), (2, 3)] {
        let all = addresses(net);
        let mut fleet = Fleet::new();
        fleet.publish("web.example.com", &all.iter().map(String::as_str).collect::<Vec<_>>());
        all_done(&pass(&*provider, &fleet).await, 1);
        assert_eq!(fake.calls("ChangeResourceRecordSets"), calls, "mark, A, AAAA");
        assert!(planned(&*provider, &fleet).await.plan().is_empty());
    }
    all_done(&pass(&*provider, &Fleet::new()).await, 1);
    assert_eq!(fake.dump(), Vec::<String>::new());
}

#[tokio::test]
async fn a_change_of_somebody_else_under_way_is_waited_for() {
    let fake = Fake::start().await;
    fake.state().change_takes = Duration::from_millis(150);
    let (one, two) = (fake.provider(OWNER), fake.provider(OWNER));
    let (first, second) = (planned(&*one, &names(1)).await, planned(&*two, &names(2)).await);
    let (first, second) = tokio::join!(one.apply(&first), two.apply(&second));
    let (first, second) = (words(&first), words(&second));
    assert!(fake.calls("ChangeResourceRecordSets") > 2, "one of them was told to come again");
    assert_eq!(second[&name(1)], "done");
    let same: Vec<&str> = vec![&first[&name(0)], &second[&name(0)]];
    assert!(same.contains(&"done") && same.contains(&"conflict"), "{same:?}");
}
