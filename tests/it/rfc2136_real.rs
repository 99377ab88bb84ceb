//! What BIND, Knot and PowerDNS do each in their own way.

use fleetdns_core::{Brakes, Content, Outcome, approve};
use fleetdns_fakes::conformance::{Fleet, OWNER, ZONE, converge};
use fleetdns_tests::dns;
use fleetdns_tests::nameserver::{NameServer, Rights, Software};

use crate::rfc2136::{checked, connect};

/// A grant for the part of the zone below the suffix is enough for `check`, and one elsewhere is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_below_the_suffix_is_enough() {
    for software in [Software::Bind, Software::Knot] {
        let rights = Rights { below: "apps.example.com", ..Rights::default() };
        let server = NameServer::start(software, ZONE, rights).await;
        let provider = connect(&server, OWNER, &[]);
        let findings = provider.check(&"apps.example.com".parse().unwrap()).await;
        assert!(findings.iter().all(|finding| finding.good), "{software:?}: {findings:?}");
        let found = checked(&*provider).await;
        let last = found.lines().last().unwrap();
        assert!(last.starts_with("FAIL") && last.contains("takes other updates"), "{software:?}: {found}");
        converge(&*provider, &Fleet::of(&[("web.apps.example.com", &["203.0.113.1"])])).await;
    }
}

/// What BIND refuses because the zone is frozen, or because it is a secondary of it, is said to be that, and not a missing
/// right alone. After a thaw the zone is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_zone_and_a_secondary_of_bind_are_named() {
    let primary = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
    converge(&*connect(&primary, OWNER, &[]), &fleet).await;
    let secondary = NameServer::secondary_of(&primary).await;
    primary.rndc("freeze");
    let more = Fleet::of(&[("web.example.com", &["203.0.113.2"])]);
    for server in [&primary, &secondary] {
        let provider = connect(server, OWNER, &[]);
        let listing = provider.list().await.unwrap();
        let plan = more.plan(provider.capabilities(), &listing.observed);
        let applied = provider.apply(&approve(plan, &Brakes::default())).await;
        let Some((_, Outcome::Failed(error))) = applied.names.first() else { panic!("{applied:?}") };
        let found = checked(&*provider).await;
        for text in [error.to_string(), found.lines().last().unwrap().to_owned()] {
            let causes = "it takes no update at all (REFUSED): the zone is frozen (`rndc freeze`), or this server is a \
                          secondary of it, or the key";
            assert!(text.contains(causes) && text.contains("rndc thaw example.com"), "{text}");
        }
        assert!(found.contains("can be transferred"), "{found}");
    }
    primary.rndc("thaw");
    converge(&*connect(&primary, OWNER, &[]), &more).await;
}

/// An alias takes the place of addresses in Knot's signed zone in one message where the key may delete signatures, and in
/// two where it may not; it is signed, and the name answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_comes_in_a_signed_zone_of_knot_whatever_the_acl() {
    for types in ["A AAAA CNAME TXT", "A AAAA CNAME TXT RRSIG NSEC"] {
        let server = NameServer::start_signed(Software::Knot, ZONE).await;
        server.grant(types).await;
        let provider = connect(&server, OWNER, &[]);
        let mut fleet =
            Fleet::of(&[("web.example.com", &["203.0.113.1"]), ("two.example.com", &["203.0.113.2"])]);
        converge(&*provider, &fleet).await;
        for target in ["one.example.net", "two.example.net"] {
            fleet.publish("web.example.com", &[target]);
            fleet.publish("two.example.com", &[target]);
            converge(&*provider, &fleet).await;
            for name in ["web.example.com", "two.example.com"] {
                let answer = dns::query(server.address(), name, "CNAME").await.unwrap();
                assert_eq!(answer.values("CNAME"), [target.to_owned()].into(), "{types}");
                let signature = dns::query(server.address(), name, "RRSIG").await.unwrap();
                assert!(!signature.answers.is_empty(), "{types}: {name} is not signed");
            }
        }
    }
}

/// PowerDNS's own types are listed by their names, so that nothing of ours is put beside them.
#[tokio::test(flavor = "multi_thread")]
async fn alias_and_lua_of_power_dns_are_listed_as_such() {
    let server = NameServer::start(Software::PowerDns, ZONE, Rights::default()).await;
    server.pdnsutil(&["add-record", ZONE, "ali", "ALIAS", "60", "elsewhere.example.net."]);
    server.pdnsutil(&["add-record", ZONE, "lu", "LUA", "60", "A \"'192.0.2.1'\""]);
    let listing = connect(&server, OWNER, &[]).list().await.unwrap();
    for (name, kind) in [("ali.example.com", "ALIAS"), ("lu.example.com", "LUA")] {
        let sets = listing.observed.at(&name.parse().unwrap());
        assert!(matches!(sets, [set] if set.content == Content::Other(kind.into())), "{name}: {sets:?}");
    }
}

/// Records of types that nobody looks at, with values that a library would refuse: each is listed by its type, and the rest of
/// the zone is read and written.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_strange_value_stops_no_other() {
    let strange = [
        ("flags.example.com", "NAPTR", r#"100 10 "u-" "x" "" foo."#),
        ("bits.example.com", "CSYNC", "1 4 A"),
        ("nothing.example.com", "TYPE65280", r"\# 0"),
    ];
    // PowerDNS takes no more of them in an update.
    for (software, strange) in [(Software::Bind, &strange[..]), (Software::PowerDns, &strange[..1])] {
        let rights = Rights { types: "A AAAA CNAME TXT NAPTR CSYNC TYPE65280", ..Rights::default() };
        let server = NameServer::start(software, ZONE, rights).await;
        for (name, kind, value) in strange {
            server.nsupdate(&[format!("update add {name}. 30 {kind} {value}")]);
        }
        let provider = connect(&server, OWNER, &[]);
        let (listing, _) = converge(&*provider, &Fleet::of(&[("web.example.com", &["203.0.113.1"])])).await;
        for (name, kind, _) in strange {
            let sets = listing.observed.at(&name.parse().unwrap());
            assert!(
                matches!(sets, [set] if set.content == Content::Other((*kind).into())),
                "{name}: {sets:?}"
            );
        }
    }
}

/// A set of ours in which somebody gave one record another TTL is written again.
#[tokio::test(flavor = "multi_thread")]
async fn two_ttls_in_one_set_are_put_right() {
    let server = NameServer::start(Software::PowerDns, ZONE, Rights::default()).await;
    let provider = connect(&server, OWNER, &[]);
    let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1", "203.0.113.2"])]);
    converge(&*provider, &fleet).await;
    server.sqlite("update records set ttl = 9999 where content = '203.0.113.2';");
    let provider = connect(&server, OWNER, &[]);
    let observed = provider.list().await.unwrap().observed;
    let sets = observed.at(&"web.example.com".parse().unwrap());
    assert!(matches!(sets, [set] if matches!(set.content, Content::Misshapen(_))), "{sets:?}");
    assert_eq!(fleet.plan(provider.capabilities(), &observed).changes.len(), 1);
    let (listing, _) = converge(&*provider, &fleet).await;
    let sets = listing.observed.at(&"web.example.com".parse().unwrap());
    assert!(matches!(sets, [set] if set.ttl.seconds() == 30), "{sets:?}");
}

/// Names below a DNAME are refused by Knot: that is told of the name, and the others are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_below_a_dname_stops_no_other() {
    let server = NameServer::start(
        Software::Knot,
        ZONE,
        Rights { types: "A AAAA CNAME TXT DNAME", ..Rights::default() },
    )
    .await;
    server.nsupdate(&["update add old.example.com. 30 DNAME new.example.net."]);
    let provider = connect(&server, OWNER, &[]);
    let fleet =
        Fleet::of(&[("web.old.example.com", &["203.0.113.1"]), ("web.example.com", &["203.0.113.1"])]);
    let listing = provider.list().await.unwrap();
    let plan = fleet.plan(provider.capabilities(), &listing.observed);
    let applied = provider.apply(&approve(plan, &Brakes::default())).await;
    for (name, outcome) in applied.names {
        let is_good = name.as_str() == "web.example.com";
        assert_eq!(matches!(outcome, Outcome::Done(_)), is_good, "{name}: {outcome:?}");
    }
}
