//! Load balancers of AWS as alias sets.

use fleetdns_core::ownership::external_dns::Naming;
use fleetdns_core::{Brakes, approve};

use crate::{all_done, pass, planned, words};
use fleetdns_fakes::conformance::{Fleet, OTHER, OWNER};
use fleetdns_fakes::route53::{Alias, Fake, Set};

const NAME: &str = "web.example.com";
const LB: &str = "k8s-web-0123456789.us-east-1.elb.amazonaws.com";
const NETWORK_LB: &str = "k8s-api-0123456789.elb.us-east-1.amazonaws.com";
const ZONE_OF_LB: &str = "Z35SXDOTRQ7X7K";

fn web(address: &str) -> Fleet {
    Fleet::of(&[(NAME, &[address])])
}

fn alias(name: &str, record_type: &str, target: &str) -> Set {
    Set { ttl: None, alias: Some(Alias::new(ZONE_OF_LB, target)), ..Set::simple(name, record_type, 0, &[]) }
}

/// Record sets that are no marks.
fn records(fake: &Fake) -> Vec<String> {
    fake.dump().into_iter().filter(|line| !line.starts_with("_fleetdns")).collect()
}

fn pair(name: &str, target: &str) -> Vec<String> {
    ["A", "AAAA"].map(|record_type| format!("{name} {record_type} alias {target}.")).to_vec()
}

/// A pass in one batch, or in two where addresses go and others stay, after which nothing is left to do, for a provider of another process neither.
async fn settles(fake: &Fake, fleet: &Fleet, keys: &[(&str, &str)]) {
    let provider = fake.connect(OWNER, keys);
    let plan = planned(&*provider, fleet).await;
    let count = plan.plan().changes.len();
    assert!(count > 0, "nothing was found to do");
    fake.calls("ChangeResourceRecordSets");
    all_done(&words(&provider.apply(&plan).await), count);
    assert!((1..=2).contains(&fake.calls("ChangeResourceRecordSets")));
    for provider in [provider, fake.connect(OWNER, keys)] {
        let plan = planned(&*provider, fleet).await;
        assert!(plan.plan().is_empty() && plan.plan().refused.is_empty(), "{}", plan.plan());
    }
}

#[tokio::test]
async fn a_load_balancer_is_a_pair_of_aliases_and_the_mark_keeps_its_ttl() {
    let fake = Fake::start().await;
    let mut fleet = Fleet::new();
    fleet.publish_for(NAME, &[LB], Some(45));
    settles(&fake, &fleet, &[]).await;
    assert_eq!(records(&fake), pair(NAME, LB));
    for record_type in ["A", "AAAA"] {
        assert_eq!(fake.get(NAME, record_type).unwrap(), alias(NAME, record_type, LB));
    }
    let mark = || fake.get(&format!("_fleetdns.{NAME}"), "TXT").unwrap();
    assert_eq!(mark().ttl, Some(45));
    fleet.publish_for(NAME, &[LB], Some(46));
    settles(&fake, &fleet, &[]).await;
    assert_eq!((mark().ttl, records(&fake)), (Some(46), pair(NAME, LB)));
    all_done(&pass(&*fake.provider(OWNER), &Fleet::new()).await, 1);
    assert_eq!(fake.dump(), Vec::<String>::new());
}

#[tokio::test]
async fn an_alias_stands_at_the_apex_at_a_wildcard_and_beside_other_types() {
    let fake = Fake::start().await;
    fake.put(Set::simple("example.com", "MX", 60, &["10 mail.example.com."]));
    fake.put(Set::simple(NAME, "TXT", 60, &["\"v=spf1 -all\""]));
    let fleet = Fleet::of(&[
        ("example.com", &[LB]),
        ("*.example.com", &[NETWORK_LB]),
        (NAME, &["dualstack.".to_owned() + LB].each_ref().map(String::as_str)),
    ]);
    settles(&fake, &fleet, &[]).await;
    assert_eq!(fake.get("*.example.com", "A").unwrap().alias.unwrap().zone, "Z26RNL4JYFTOTI");
    assert_eq!(records(&fake).len(), 8);
    // A CNAME cannot take its place beside the TXT.
    let provider = fake.provider(OWNER);
    let plan = planned(&*provider, &web("lb.example.net")).await;
    let refused = plan.plan().refused[0].reason.to_string();
    assert!(refused.contains("somebody else's TXT"), "{refused}");
    all_done(&pass(&*provider, &Fleet::new()).await, 3);
    assert_eq!(records(&fake).len(), 2, "theirs: {:?}", fake.dump());
}

#[tokio::test]
async fn every_change_of_shape_is_one_batch() {
    let fake = Fake::start().await;
    let steps: [(&str, Vec<String>); 7] = [
        (LB, pair(NAME, LB)),
        ("203.0.113.1", vec![format!("{NAME} A 203.0.113.1")]),
        (NETWORK_LB, pair(NAME, NETWORK_LB)),
        ("lb.example.net", vec![format!("{NAME} CNAME lb.example.net.")]),
        (LB, pair(NAME, LB)),
        (NETWORK_LB, pair(NAME, NETWORK_LB)),
        ("2001:db8::1", vec![format!("{NAME} AAAA 2001:db8::1")]),
    ];
    for (address, expected) in steps {
        settles(&fake, &web(address), &[]).await;
        assert_eq!(records(&fake), expected);
    }
}

#[tokio::test]
async fn a_cname_of_an_older_version_becomes_an_alias_and_back_when_aliases_are_off() {
    let fake = Fake::start().await;
    let off = [("alias", "off")];
    let cname = vec![format!("{NAME} CNAME {LB}.")];
    settles(&fake, &web(LB), &off).await;
    assert_eq!(records(&fake), cname);
    settles(&fake, &web(LB), &[]).await;
    assert_eq!(records(&fake), pair(NAME, LB));
    settles(&fake, &web(LB), &off).await;
    assert_eq!(records(&fake), cname);

    let apex = Fleet::of(&[("example.com", &[LB]), (NAME, &[LB])]);
    settles(&fake, &apex, &[]).await;
    settles(&fake, &apex, &off).await;
    assert_eq!(fake.get("example.com", "A").unwrap().values, ["192.0.2.77"], "what the name resolves to");
}

#[tokio::test]
async fn what_somebody_did_to_an_alias_is_mended() {
    let fake = Fake::start().await;
    settles(&fake, &web(LB), &[]).await;
    let whole = fake.dump();
    let mut evaluated = alias(NAME, "A", LB);
    evaluated.alias.as_mut().unwrap().evaluate = true;
    let mut mark = fake.get(&format!("_fleetdns.{NAME}"), "TXT").unwrap();
    mark.ttl = Some(301);
    for edit in
        [evaluated, alias(NAME, "AAAA", &format!("other-{LB}")), alias(NAME, "A", &format!("z-{LB}")), mark]
    {
        fake.put(edit);
        settles(&fake, &web(LB), &[]).await;
        assert_eq!(fake.dump(), whole);
        assert!(!fake.get(NAME, "A").unwrap().alias.unwrap().evaluate);
    }
    for half in ["A", "AAAA"] {
        fake.delete(NAME, half).unwrap();
        settles(&fake, &web(LB), &[]).await;
        assert_eq!(fake.dump(), whole);
    }
    // A half goes too, once nobody wants the name.
    fake.delete(NAME, "A").unwrap();
    all_done(&pass(&*fake.provider(OWNER), &Fleet::new()).await, 1);
    assert_eq!(fake.dump(), Vec::<String>::new());
}

#[tokio::test]
async fn an_alias_that_changed_since_it_was_read_is_a_conflict() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &web(LB)).await, 1);
    let edits: [(&str, Option<Set>); 3] = [
        ("203.0.113.1", None),
        (NETWORK_LB, Some(alias(NAME, "AAAA", &format!("other-{LB}")))),
        ("lb.example.net", Some(Set::simple(NAME, "AAAA", 60, &["2001:db8::51"]))),
    ];
    for (kind, edit) in edits {
        let plan = planned(&*provider, &web(kind)).await;
        fake.delete(NAME, "AAAA");
        edit.into_iter().for_each(|set| fake.put(set));
        let before = fake.dump();
        assert_eq!(words(&provider.apply(&plan).await)[NAME], "conflict");
        assert_eq!(fake.dump(), before);
    }
}

/// It is listed as the CNAME that it stands for.
#[tokio::test]
async fn an_alias_without_our_mark_stays() {
    let fake = Fake::start().await;
    let theirs = |target: &str| ["A", "AAAA"].map(|record_type| alias(NAME, record_type, target));
    theirs(LB).into_iter().for_each(|set| fake.put(set));
    let provider = fake.provider(OWNER);
    for kind in [LB, NETWORK_LB, "203.0.113.1", "lb.example.net"] {
        let plan = planned(&*provider, &web(kind)).await;
        assert!(plan.plan().is_empty(), "{kind}: {}", plan.plan());
        assert!(
            plan.plan().refused[0].reason.to_string().contains("somebody else's CNAME"),
            "{}",
            plan.plan()
        );
    }
    // One that another owner marked, and one where our mark speaks for addresses.
    let another = fake.provider(OTHER);
    fake.delete(NAME, "A");
    fake.delete(NAME, "AAAA");
    all_done(&words(&another.apply(&planned(&*another, &web(LB).owned_by(OTHER)).await).await), 1);
    assert!(planned(&*provider, &web(NETWORK_LB)).await.plan().is_empty());
    assert!(planned(&*provider, &Fleet::new()).await.plan().is_empty());
    assert_eq!(records(&fake), pair(NAME, LB));
}

#[tokio::test]
async fn host_names_of_others_stay_cnames() {
    let fake = Fake::start().await;
    let others = [
        "lb.example.net",
        "us-east-1.elb.amazonaws.com",
        "lb-1.mars-north-1.elb.amazonaws.com",
        "d111111abcdef8.cloudfront.net",
        "ec2-203-0-113-25.compute-1.amazonaws.com",
    ];
    for target in others {
        settles(&fake, &web(target), &[]).await;
        assert_eq!(records(&fake), [format!("{NAME} CNAME {target}.")]);
    }
}

#[tokio::test]
async fn an_alias_that_route_53_does_not_take_is_found_and_the_rest_goes_through() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    // The server knows no zone of this region.
    let far = "lb-1.ca-west-1.elb.amazonaws.com";
    let mut fleet = Fleet::of(&[("far.example.com", &[far])]);
    (0..20).for_each(|number| fleet.publish(&format!("near-{number}.example.com"), &[LB]));
    let mut words = pass(&*provider, &fleet).await;
    let refused = words.remove("far.example.com").unwrap();
    assert!(refused.contains("that zone was not found"), "{refused}");
    all_done(&words, 20);
}

/// external-dns writes aliases that evaluate the target's health, and names its ownership records by the type of a CNAME until
/// v0.21 and by those of the aliases since.
#[tokio::test]
async fn aliases_of_external_dns_are_adopted_as_they_stand() {
    let text = "\"heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/default/web\"";
    for marks in [&["cname-web", "aaaa-web"][..], &["a-web", "aaaa-web"]] {
        let fake = Fake::start().await;
        let healthy = |record_type| {
            let mut set = alias(NAME, record_type, LB);
            set.alias.as_mut().unwrap().evaluate = true;
            set
        };
        ["A", "AAAA"].into_iter().for_each(|record_type| fake.put(healthy(record_type)));
        for mark in marks {
            fake.put(Set::simple(&format!("{mark}.example.com"), "TXT", 300, &[text]));
        }
        // Two aliases of one name that lead to different targets are not for us.
        fake.put(alias("odd.example.com", "A", LB));
        fake.put(alias("odd.example.com", "AAAA", NETWORK_LB));
        fake.put(Set::simple("a-odd.example.com", "TXT", 300, &[text]));
        let (fleet_of_web, fleet) = (web(LB), Fleet::of(&[(NAME, &[LB]), ("odd.example.com", &[LB])]));
        let provider = fake.provider(OWNER);
        let observed = provider.list().await.unwrap().observed;
        let mut planner = fleet.planner(provider.capabilities());
        let handover = planner.adopt_external_dns(&observed, (&Naming::default(), "prod"), |_| true);
        assert_eq!(
            handover.left.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["odd.example.com"]
        );
        let before = records(&fake);
        all_done(&words(&provider.apply(&approve(handover.plan, &Brakes::default())).await), 1);
        let stays = |line: &String| !marks.iter().any(|mark| line.starts_with(mark));
        assert_eq!(records(&fake), before.into_iter().filter(stays).collect::<Vec<_>>());
        assert_eq!(fake.get(NAME, "A").unwrap(), healthy("A"));
        // The next pass writes them as its own.
        settles(&fake, &fleet_of_web, &[]).await;
        assert_eq!(fake.get(NAME, "A").unwrap(), alias(NAME, "A", LB));
    }
}
