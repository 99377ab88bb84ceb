//! The cases, each on a zone of its own.

use std::time::Instant;

use fleetdns_core::{Change, DnsName, NameChange, Outcome, Plan, ProviderError, RecordData, RecordSet, Ttl};

use super::pass::{approved, at, converge, list, outcomes, plan, shown};
use super::{Backend, Fleet, OWNER};

/// Nothing is ours, nothing is unreadable, nothing is to be done; and `check` finds nothing wrong.
pub async fn empty_zone<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(listing.observed.owned_count(), 0);
    assert_eq!(listing.unreadable, Vec::<String>::new());
    let findings = provider.check(&super::ZONE.parse().expect("the zone is a name")).await;
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding.good), "{findings:#?}");
    assert_eq!(list(&*provider).await, listing, "looking changes nothing");
}

/// What is written is listed again as it was wanted, evidence included.
pub async fn every_type_round_trips<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let before = shown(&list(&*provider).await);
    let fleet = Fleet::of(&[
        ("v4.example.com", &["203.0.113.1"]),
        ("v6.example.com", &["2001:db8::1", "2001:db8:0:0:1::"]),
        ("both.example.com", &["203.0.113.1", "203.0.113.20", "203.0.113.3", "2001:db8::1"]),
        ("alias.example.com", &["lb-1.example.net"]),
        ("alias-here.example.com", &["v4.example.com"]),
    ]);
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(
        at(&listing, "both.example.com"),
        ["ours 30 A 203.0.113.1 203.0.113.3 203.0.113.20", "ours 30 AAAA 2001:db8::1"]
    );
    assert_eq!(at(&listing, "alias.example.com"), ["ours 30 CNAME lb-1.example.net"]);
    let sets = listing.observed.iter().flat_map(|(_, sets)| sets);
    let ours: Vec<_> = sets.filter(|set| set.claim.is_ours()).collect();
    assert!(ours.len() == 6 && ours.iter().all(|set| set.claim.ownership().is_some()), "{ours:#?}");

    // Another process, after a restart, sees the same.
    let again = list(&*backend.provider(OWNER)).await;
    assert_eq!(shown(&again), shown(&listing));
    assert!(fleet.plan(provider.capabilities(), &again.observed).is_empty());
    let (listing, _) = converge(&*backend.provider(OWNER), &Fleet::new()).await;
    assert_eq!(shown(&listing), before, "nothing is left behind");
}

/// Records of others survive next to ours, and a name that has one is refused.
pub async fn foreign_records_stay<B: Backend>() {
    let backend = B::start().await;
    backend.put("theirs.example.com", "A", "198.51.100.1").await;
    backend.put("below.www.example.com", "AAAA", "2001:db8::51").await;
    backend.put("alias.example.com", "CNAME", "elsewhere.example.net").await;
    let provider = backend.provider(OWNER);
    let before = shown(&list(&*provider).await);
    assert_eq!(at(&list(&*provider).await, "theirs.example.com").len(), 1);

    let mut fleet = Fleet::of(&[
        ("theirs.example.com", &["203.0.113.1"]),
        ("alias.example.com", &["203.0.113.1"]),
        ("ours.example.com", &["203.0.113.1"]),
    ]);
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|text| text.contains("foreign: somebody else's")), "{refused:?}");
    assert!(before.is_subset(&shown(&listing)));
    fleet.publish("ours.example.com", &["203.0.113.2"]);
    converge(&*provider, &fleet).await;
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(shown(&listing), before);
}

/// Values, families, TTL and type of one name change, and it goes.
pub async fn created_replaced_deleted<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let before = shown(&list(&*provider).await);
    let name = "web.example.com";
    let steps: [(&[&str], u32, &[&str]); 8] = [
        (&["203.0.113.1"], 30, &["ours 30 A 203.0.113.1"]),
        (&["203.0.113.1", "203.0.113.2"], 30, &["ours 30 A 203.0.113.1 203.0.113.2"]),
        (&["203.0.113.2"], 60, &["ours 60 A 203.0.113.2"]),
        (&["203.0.113.2", "2001:db8::1"], 60, &["ours 60 A 203.0.113.2", "ours 60 AAAA 2001:db8::1"]),
        (&["lb.example.net"], 60, &["ours 60 CNAME lb.example.net"]),
        (&["other.example.net"], 90, &["ours 90 CNAME other.example.net"]),
        (&["2001:db8::2"], 90, &["ours 90 AAAA 2001:db8::2"]),
        (&["203.0.113.9"], 90, &["ours 90 A 203.0.113.9"]),
    ];
    let mut fleet = Fleet::new();
    for (addresses, ttl, expected) in steps {
        fleet.publish_for(name, addresses, Some(ttl));
        let (listing, _) = converge(&*provider, &fleet).await;
        assert_eq!(at(&listing, name), expected);
    }
    fleet.withdraw(name);
    let (listing, _) = converge(&*provider, &fleet).await;
    assert_eq!(shown(&listing), before);
}

/// A name is not mistaken for one that it begins, ends or lies above.
pub async fn names_that_begin_alike<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let mut fleet = Fleet::new();
    let mut names =
        vec!["svc-3.example.com", "svc-30.example.com", "svc-300.example.com", "a-svc-3.example.com"];
    if !provider.capabilities().answers_subtree {
        names.extend(["a.svc-3.example.com", "b.a.svc-3.example.com", "svc-3.svc-3.example.com"]);
    }
    for (index, name) in names.iter().enumerate() {
        fleet.publish(name, &[&format!("203.0.113.{index}")]);
    }
    let (all, refused) = converge(&*provider, &fleet).await;
    assert_eq!(refused, Vec::<String>::new());
    fleet.publish("svc-3.example.com", &["203.0.113.99"]);
    converge(&*provider, &fleet).await;
    fleet.withdraw("svc-3.example.com");
    let (rest, _) = converge(&*provider, &fleet).await;
    assert_eq!(at(&rest, "svc-3.example.com"), Vec::<String>::new());
    for name in &names[1..] {
        assert_eq!(at(&rest, name), at(&all, name), "{name}");
    }
}

/// `*` and the zone's own name where the provider says that it has them; elsewhere they are refused.
pub async fn wildcard_and_apex<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let before = shown(&list(&*provider).await);
    let capabilities = provider.capabilities();
    let names = [("*.example.com", capabilities.wildcards), ("example.com", capabilities.apex)];
    let mut fleet = Fleet::of(&[("web.example.com", &["203.0.113.5"])]);
    for (name, _) in names {
        fleet.publish(name, &["203.0.113.1", "2001:db8::1"]);
    }
    let (listing, refused) = converge(&*provider, &fleet).await;
    for (name, can) in names {
        let ours = at(&listing, name).iter().filter(|line| line.starts_with("ours")).count();
        assert_eq!(ours, if can { 2 } else { 0 }, "{name}: {listing:?}");
        assert_eq!(refused.iter().any(|text| text.starts_with(&format!("{name}: "))), !can, "{refused:?}");
    }
    // Under a wildcard, a name that goes has to go.
    fleet.withdraw("web.example.com");
    let (listing, _) = converge(&*provider, &fleet).await;
    assert_eq!(at(&listing, "web.example.com"), Vec::<String>::new());
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(shown(&listing), before);

    let mut impossible = vec![creation("example.com", RecordData::Cname(name("lb.example.net")))];
    if !capabilities.wildcards {
        impossible.push(creation("*.example.com", RecordData::Cname(name("lb.example.net"))));
    }
    let count = impossible.len();
    let applied = provider.apply(&approved(of(impossible))).await;
    assert_eq!(applied.names.len(), count);
    for (name, outcome) in applied.names {
        assert!(matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. })), "{name}: {outcome:?}");
    }
    assert_eq!(shown(&list(&*provider).await), before);
}

/// As many names as a large fleet has: written, listed in pages, changed, deleted.
pub async fn many_names<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let before = shown(&list(&*provider).await);
    let mut fleet = Fleet::new();
    for index in 0..B::MANY {
        fleet.publish(
            &format!("svc-{index}.example.com"),
            &[&format!("10.0.{}.{}", index / 256, index % 256)],
        );
    }
    let start = Instant::now();
    let (listing, _) = converge(&*provider, &fleet).await;
    assert_eq!(listing.observed.owned_count(), B::MANY);
    let written = start.elapsed();
    let start = Instant::now();
    list(&*backend.provider(OWNER)).await;
    eprintln!("{} names: written and listed in {written:?}, listed in {:?}", B::MANY, start.elapsed());
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(shown(&listing), before);
}

/// The same plan a second time, and a plan with nothing in it, leave every set as it is, versions included.
pub async fn applied_twice<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let fleet = Fleet::of(&[("a.example.com", &["203.0.113.1"]), ("b.example.com", &["lb.example.net"])]);
    let first = approved(plan(&*provider, &fleet).await);
    assert_eq!(first.plan().changes.len(), 2);
    provider.apply(&first).await;
    let listing = list(&*provider).await;

    let empty = approved(fleet.plan(provider.capabilities(), &listing.observed));
    assert!(empty.plan().is_empty(), "{}", empty.plan());
    assert!(provider.apply(&empty).await.names.is_empty());
    assert_eq!(list(&*provider).await, listing);

    let again = outcomes(&provider.apply(&first).await);
    assert!(again.values().all(|word| word == "conflict" || word == "done") && again.len() == 2, "{again:?}");
    assert_eq!(shown(&list(&*provider).await), shown(&listing));
}

/// A plan made before somebody else's is refused for the names that changed since, and for no others.
pub async fn stale_plan<B: Backend>() {
    let backend = B::start().await;
    let (provider, twin) = (backend.provider(OWNER), backend.provider(OWNER));
    let mut fleet = Fleet::new();
    for name in ["updated", "deleted", "quiet", "gone"] {
        fleet.publish(&format!("{name}.example.com"), &["203.0.113.1"]);
    }
    converge(&*provider, &fleet).await;

    let mut old = fleet.clone();
    for name in ["updated", "quiet", "gone", "new"] {
        old.publish(&format!("{name}.example.com"), &["203.0.113.2"]);
    }
    old.withdraw("deleted.example.com");
    let old = approved(plan(&*provider, &old).await);
    assert_eq!(old.plan().changes.len(), 5);

    for name in ["updated", "deleted", "new"] {
        fleet.publish(&format!("{name}.example.com"), &["203.0.113.3"]);
    }
    fleet.withdraw("gone.example.com");
    converge(&*twin, &fleet).await;

    let words = outcomes(&provider.apply(&old).await);
    for name in ["updated", "deleted", "new", "gone"] {
        assert_eq!(words[&format!("{name}.example.com")], "conflict", "{name}: {words:?}");
    }
    assert_eq!(words["quiet.example.com"], "done");
    let listing = list(&*provider).await;
    for name in ["updated", "deleted", "new"] {
        assert_eq!(at(&listing, &format!("{name}.example.com")), ["ours 30 A 203.0.113.3"]);
    }
    assert_eq!(at(&listing, "quiet.example.com"), ["ours 30 A 203.0.113.2"]);
    assert_eq!(at(&listing, "gone.example.com"), Vec::<String>::new());

    // The one that was told so lists again, and is right then.
    converge(&*provider, &fleet).await;
}

/// Somebody without fleetdns edits between the list and the write.
pub async fn editor_between_list_and_apply<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let mut fleet = Fleet::of(&[
        ("edited.example.com", &["203.0.113.1", "203.0.113.2"]),
        ("added-to.example.com", &["203.0.113.1"]),
        ("quiet.example.com", &["203.0.113.1"]),
    ]);
    converge(&*provider, &fleet).await;
    for name in ["edited", "added-to", "quiet", "taken"] {
        fleet.publish(&format!("{name}.example.com"), &["203.0.113.7"]);
    }
    let planned = approved(plan(&*provider, &fleet).await);
    assert_eq!(planned.plan().changes.len(), 4);

    backend.edit("edited.example.com", "A", "203.0.113.2", "198.51.100.2").await;
    backend.put("added-to.example.com", "A", "198.51.100.3").await;
    backend.put("taken.example.com", "A", "198.51.100.4").await;

    let words = outcomes(&provider.apply(&planned).await);
    assert_eq!(words["edited.example.com"], "conflict", "{words:?}");
    assert_eq!(words["added-to.example.com"], "conflict", "{words:?}");
    assert_eq!(words["taken.example.com"], "conflict", "{words:?}");
    assert_eq!(words["quiet.example.com"], "done", "{words:?}");
    let listing = list(&*provider).await;
    let all = shown(&listing);
    for value in ["198.51.100.3", "198.51.100.4"] {
        assert!(all.iter().any(|line| line.contains(value)), "{value} is there: {all:#?}");
    }
    assert!(!at(&listing, "edited.example.com").contains(&"ours 30 A 203.0.113.7".to_owned()), "{all:#?}");

    // Planned again: what is ours is put right, what is somebody else's stays.
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert!(refused.iter().any(|text| text.starts_with("taken.example.com: foreign")), "{refused:?}");
    assert_eq!(at(&listing, "edited.example.com"), ["ours 30 A 203.0.113.7"]);
    assert_eq!(at(&listing, "taken.example.com"), ["foreign 30 A 198.51.100.4"]);
}

/// A CNAME comes where we are about to write an address, and the other way round (RFC 1034 §3.6.2).
pub async fn clashing_types<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let mut fleet = Fleet::of(&[("turns.example.com", &["203.0.113.1"])]);
    converge(&*provider, &fleet).await;
    fleet.publish("alias.example.com", &["lb.example.net"]);
    fleet.publish("address.example.com", &["203.0.113.1"]);
    fleet.publish("turns.example.com", &["lb.example.net"]);
    let planned = approved(plan(&*provider, &fleet).await);
    assert_eq!(planned.plan().changes.len(), 3);
    backend.put("alias.example.com", "AAAA", "2001:db8::51").await;
    backend.put("address.example.com", "CNAME", "elsewhere.example.net").await;
    backend.put("turns.example.com", "AAAA", "2001:db8::51").await;
    let words = outcomes(&provider.apply(&planned).await);
    assert!(words.len() == 3 && words.values().all(|word| word == "conflict"), "{words:?}");
    let listing = list(&*provider).await;
    assert_eq!(at(&listing, "alias.example.com"), ["foreign 30 AAAA 2001:db8::51"]);
    assert_eq!(at(&listing, "address.example.com"), ["foreign 30 CNAME elsewhere.example.net"]);
    let turns = at(&listing, "turns.example.com");
    assert!(turns.contains(&"ours 30 A 203.0.113.1".to_owned()), "the name was not emptied: {turns:?}");
}

/// A change that cannot be written at all fails alone.
pub async fn one_fault_stops_no_other<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let data = || Fleet::of(&[("x.example.com", &["203.0.113.1"])]);
    let mut changes = plan(&*provider, &data()).await.changes;
    let good = changes.remove(0);
    let elsewhere = creation("www.example.org", address_of(&good));
    let apex = creation("example.com", RecordData::Cname(name("lb.example.net")));
    let applied = provider.apply(&approved(of(vec![elsewhere, good, apex]))).await;
    let words = outcomes(&applied);
    assert_eq!(words["x.example.com"], "done", "{words:?}");
    for (name, outcome) in &applied.names {
        let failed = matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. }));
        assert!(failed || name.as_str() == "x.example.com", "{name}: {outcome:?}");
    }
    assert_eq!(at(&list(&*provider).await, "x.example.com"), ["ours 30 A 203.0.113.1"]);
}

/// The planner keeps within what the provider says that it stores, and that is stored.
pub async fn ttl_is_clamped<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let (least, most) = provider.capabilities().ttl;
    let mut fleet = Fleet::new();
    fleet.publish_for("least.example.com", &["203.0.113.1"], Some(0));
    fleet.publish_for("most.example.com", &["203.0.113.1", "203.0.113.2"], Some(Ttl::MAX.seconds()));
    fleet.publish_for("alias.example.com", &["lb.example.net"], Some(0));
    let (listing, _) = converge(&*provider, &fleet).await;
    assert_eq!(at(&listing, "least.example.com"), [format!("ours {least} A 203.0.113.1")]);
    assert_eq!(at(&listing, "most.example.com"), [format!("ours {most} A 203.0.113.1 203.0.113.2")]);
    fleet.publish_for("least.example.com", &["203.0.113.1"], Some(5));
    converge(&*provider, &fleet).await;
}

/// Case makes no difference, and names in other scripts become A-labels.
pub async fn case_and_idna<B: Backend>() {
    let backend = B::start().await;
    backend.put("TheirS.Example.COM", "A", "198.51.100.1").await;
    let provider = backend.provider(OWNER);
    let fleet = Fleet::of(&[
        ("WWW.Example.Com.", &["203.0.113.1"]),
        ("bücher.example.com", &["LB.Bücher.example"]),
        ("theirs.example.com", &["203.0.113.1"]),
    ]);
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert_eq!(at(&listing, "www.example.com"), ["ours 30 A 203.0.113.1"]);
    assert_eq!(at(&listing, "xn--bcher-kva.example.com"), ["ours 30 CNAME lb.xn--bcher-kva.example"]);
    assert_eq!(at(&listing, "theirs.example.com"), ["foreign 30 A 198.51.100.1"]);
    assert!(refused.len() == 1 && refused[0].starts_with("theirs.example.com: foreign"), "{refused:?}");
}

/// Labels of 63 octets and names up to 243 octets are written everywhere; longer ones are written or said to be too
/// long, and then nothing is there.
pub async fn longest_names<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let long = |octets: usize| {
        let mut left = octets - ".example.com".len();
        let mut labels = Vec::new();
        while left > 63 {
            labels.push("a".repeat(if left == 64 { 62 } else { 63 }));
            left -= labels.last().map_or(0, String::len) + 1;
        }
        labels.push("b".repeat(left));
        format!("{}.example.com", labels.join("."))
    };
    let fleet =
        Fleet::of(&[(&long(243), &["203.0.113.1", "2001:db8::1"]), ("alias.example.com", &[&long(253)])]);
    let (listing, _) = converge(&*provider, &fleet).await;
    assert_eq!(at(&listing, &long(243)).len(), 2);
    assert_eq!(at(&listing, "alias.example.com"), [format!("ours 30 CNAME {}", long(253))]);

    let longest = Fleet::of(&[(&long(253), &["203.0.113.1"])]);
    let mut only = plan(&*provider, &longest).await;
    only.changes.retain(|change| change.name.as_str() == long(253));
    let applied = provider.apply(&approved(only)).await;
    let there = at(&list(&*provider).await, &long(253));
    match &applied.names[..] {
        [(_, Outcome::Done(_))] => assert_eq!(there, ["ours 30 A 203.0.113.1"]),
        [(_, Outcome::Failed(ProviderError::Rejected { problem }))] => {
            assert!(problem.contains("octets"), "{problem}");
            assert_eq!(there, Vec::<String>::new());
        }
        other => panic!("{other:?}"),
    }
}

/// As many values as the provider says that it takes (up to 100), for as many members as a large fleet has: the
/// evidence alone has more than 5 KB.
pub async fn largest_sets<B: Backend>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let count = provider.capabilities().max_values.min(100);
    let context = |n: usize| format!("arn:aws:eks:eu-central-1:123456789012:cluster/production-{n:02}");
    let mut fleet = Fleet::with_members((0..60).map(context));
    fleet.publish("alias.example.com", &["a-load-balancer-with-a-name.elb.eu-central-1.amazonaws.com"]);
    converge(&*provider, &fleet).await;

    let context = |n: usize| format!("cluster-{n}");
    let mut fleet = Fleet::with_members((0..3).map(context));
    let v4: Vec<String> = (0..count).map(|n| format!("203.0.113.{n}")).collect();
    let v6: Vec<String> = (0..count).map(|n| format!("2001:db8:1234:5678:9abc:def0:1234:{n:x}")).collect();
    let all: Vec<&str> = v4.iter().chain(&v6).map(String::as_str).collect();
    fleet.publish("web.example.com", &all);
    let (listing, _) = converge(&*provider, &fleet).await;
    let counts: Vec<usize> = listing
        .observed
        .at(&name("web.example.com"))
        .iter()
        .filter_map(|set| set.ours())
        .map(RecordData::count)
        .collect();
    assert_eq!(counts, [count, count]);
    fleet.publish("web.example.com", &all[1..all.len() - 1]);
    converge(&*provider, &fleet).await;
    converge(&*provider, &Fleet::new()).await;
}

pub(super) fn name(text: &str) -> DnsName {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn of(changes: Vec<NameChange>) -> Plan {
    Plan { zone: name(super::ZONE), changes, held: vec![], refused: vec![], owned: 0 }
}

/// What the planner would never ask for.
fn creation(text: &str, data: RecordData) -> NameChange {
    let mark = format!("v=1 owner={OWNER} service=default/web").parse().expect("a mark");
    let set = RecordSet { name: name(text), ttl: Ttl::DEFAULT, data };
    NameChange { name: name(text), changes: vec![Change::Create { set, mark }] }
}

fn address_of(change: &NameChange) -> RecordData {
    let set = change.changes.iter().find_map(Change::after).expect("it writes a set").0;
    set.data.clone()
}
