use fleetdns_core::{Content, Observed};

use super::*;

const EVIDENCE: &str = "v=1 owner=fed service=default/web member=west;westus;1;tcp:80;203.0.113.1";
const FULL: &str =
    r#""owner":"fed","fleetdns":"v=1 owner=fed service=default/web member=west;westus;1;tcp:80;203.0.113.1""#;
const SHORT: &str = r#""owner":"fed","fleetdns":"v=1 owner=fed""#;

fn see(pairs: &[(&str, &str)]) -> View {
    let layout = Layout::new("example.com".parse().unwrap(), "/skydns");
    let pairs = pairs.iter().enumerate().map(|(index, (key, value))| Pair {
        key: key.as_bytes(),
        value: value.as_bytes(),
        revision: 10 + i64::try_from(index).unwrap(),
    });
    view(&layout, &"fed".parse().unwrap(), pairs)
}

/// One line for each set: name, mark, set, revisions.
fn lines(observed: &Observed) -> Vec<String> {
    let mark = |set: &ObservedSet| match &set.claim {
        Owner::Ours(Some(_)) => "ours",
        Owner::Ours(None) => "ours?",
        Owner::Foreign => "foreign",
    };
    let revisions =
        |set: &ObservedSet| if set.claim.is_ours() { set.version.0.to_string() } else { String::new() };
    let line = |name: &DnsName, set: &ObservedSet| format!("{name} {} {set} [{}]", mark(set), revisions(set));
    observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| line(name, set))).collect()
}

#[track_caller]
fn check(pairs: &[(&str, &str)], expected: &[&str]) {
    let view = see(pairs);
    assert_eq!(lines(&view.listing.observed), expected);
    assert_eq!(view.listing.unreadable, [""; 0]);
}

/// external-dns writes a key for each value; until v0.14 the text without the type stood in the value of the address.
#[test]
fn the_ownership_records_of_external_dns_are_read_with_their_keys() {
    let text = r#""heritage=external-dns,external-dns/owner=prod""#;
    let quoted = serde_json::Value::from(text);
    let old = format!(r#"{{"host":"10.0.0.1","ttl":60,"targetstrip":1,"text":{quoted}}}"#);
    let typed = format!(r#"{{"text":{quoted},"targetstrip":1}}"#);
    let pairs = [
        ("/skydns/com/example/a-www/0a0a0a0a", &*typed),
        ("/skydns/com/example/a-www/0b0b0b0b", &typed),
        ("/skydns/com/example/www/1acbad7e", &old),
    ];
    let view = see(&pairs);
    let at = |name: &str| view.listing.observed.at(&name.parse().unwrap()).to_vec();
    let texts = Content::text([text.trim_matches('"')].into_iter());
    let both = Content::text([text.trim_matches('"'); 2].into_iter());
    assert_eq!(at("a-www.example.com").iter().map(|set| &set.content).collect::<Vec<_>>(), [&both]);
    let keys = keys_of_others(&at("a-www.example.com")[0]).unwrap();
    assert_eq!(keys, [(pairs[0].0.to_owned(), 10), (pairs[1].0.to_owned(), 11)]);
    let www = at("www.example.com");
    assert!(matches!(&www[..], [a, txt] if a.type_name() == "A" && txt.content == texts), "{www:?}");
    assert_eq!(keys_of_others(&www[0]), keys_of_others(&www[1]), "one key has both");
}

fn value(host: &str, rest: &str) -> String {
    format!(r#"{{"host":"{host}","ttl":30,"targetstrip":1,{rest}}}"#)
}

#[test]
fn our_leaves_are_one_set_for_each_family() {
    check(
        &[
            ("/skydns/com/example/www/v4-cb007101", &value("203.0.113.1", FULL)),
            ("/skydns/com/example/www/v4-cb007102", &value("203.0.113.2", SHORT)),
            ("/skydns/com/example/www/v6-20010db8000000000000000000000001", &value("2001:db8::1", FULL)),
            ("/skydns/com/example/dns/apex/v4-cb007101", &value("203.0.113.1", FULL)),
            ("/skydns/com/example/eu", &format!(r#"{{"host":"www.example.com","ttl":60,{FULL}}}"#)),
        ],
        &[
            "example.com ours 30 A 203.0.113.1 [13]",
            "eu.example.com ours 60 CNAME www.example.com [14]",
            "www.example.com ours 30 A 203.0.113.1 203.0.113.2 [10,11]",
            "www.example.com ours 30 AAAA 2001:db8::1 [12]",
        ],
    );
}

#[test]
fn whatever_is_not_as_we_write_it_has_a_ttl_that_nobody_wants() {
    let first = ("/skydns/com/example/www/v4-cb007101", value("203.0.113.1", FULL));
    let second = "/skydns/com/example/www/v4-cb007102";
    for (what, value, mark) in [
        ("another TTL", value("203.0.113.2", SHORT).replace("30", "31"), "ours"),
        ("a field more", value("203.0.113.2", &format!(r#""port":80,{SHORT}"#)), "ours"),
        ("the evidence twice", value("203.0.113.2", FULL), "ours"),
        ("two evidences", value("203.0.113.2", &FULL.replace("/web", "/other")), "ours?"),
    ] {
        let seen = see(&[(first.0, &first.1), (second, &value)]);
        let expected = format!("www.example.com {mark} 0 A 203.0.113.1 203.0.113.2 [10,11]");
        assert_eq!(lines(&seen.listing.observed), [expected], "{what}");
    }
    check(
        &[("/skydns/com/example/www/v4-cb007102", &value("203.0.113.2", SHORT))],
        &["www.example.com ours? 0 A 203.0.113.2 [10]"],
    );
}

#[test]
fn a_value_of_ours_at_a_key_that_is_not_ours_is_foreign() {
    for key in [
        "/skydns/com/example/www/copy",
        "/skydns/com/example/v4-cb007101", // directly below the zone
    ] {
        let view = see(&[(key, &value("203.0.113.1", FULL))]);
        assert!(view.listing.observed.owned().next().is_none(), "{key}");
        assert_eq!(view.listing.observed.iter().count(), 1, "{key}");
    }
    // A CNAME at a leaf or at the zone's own name.
    for key in ["/skydns/com/example", "/skydns/com/example/dns/apex/x"] {
        let alias = format!(r#"{{"host":"www.example.com","ttl":60,{FULL}}}"#);
        assert!(see(&[(key, &alias)]).listing.observed.owned().next().is_none(), "{key}");
    }
}

#[test]
fn an_address_edited_by_hand_is_still_ours_and_not_as_it_should_be() {
    check(
        &[
            ("/skydns/com/example/www/v4-cb007101", &value("203.0.113.1", FULL)),
            ("/skydns/com/example/www/v4-cb007102", &value("198.51.100.9", SHORT)),
        ],
        &["www.example.com ours 0 A 203.0.113.1 203.0.113.2 [10,11]"],
    );
}

#[test]
fn another_owner_is_foreign() {
    check(
        &[("/skydns/com/example/www/v4-cb007101", &value("203.0.113.1", &FULL.replace("fed", "other")))],
        &["www.example.com foreign 30 A 203.0.113.1 []"],
    );
}

#[test]
fn foreign_values_stand_where_coredns_serves_them() {
    let strip = r#""targetstrip":1"#;
    check(
        &[
            // external-dns
            ("/skydns/com/example/shop/1acbad7e", &format!(r#"{{"host":"10.0.0.1","ttl":60,{strip}}}"#)),
            ("/skydns/com/example/shop/2acbad7e", &format!(r#"{{"host":"10.0.0.2","ttl":60,{strip}}}"#)),
            (
                "/skydns/com/example/a-shop/77ac",
                &format!(r#"{{"text":"\"heritage=external-dns\"",{strip}}}"#),
            ),
            // written by hand: the key is a name
            ("/skydns/com/example/hand/x1", r#"{"host":"10.0.0.3"}"#),
            ("/skydns/com/example/alias", r#"{"host":"elsewhere.example.net","ttl":5}"#),
            ("/skydns/com/example/dns/ns/ns1", r#"{"host":"10.0.0.53"}"#),
            ("/skydns/com/example/dns/apex/x", r#"{"host":"10.0.0.80"}"#),
            ("/skydns/com/example2/www", r#"{"host":"10.0.0.1"}"#),
        ],
        &[
            "example.com foreign 300 A 10.0.0.80 []",
            "example.com foreign 300 NS … []",
            "a-shop.example.com foreign 300 TXT … []",
            "alias.example.com foreign 5 CNAME elsewhere.example.net []",
            "x1.hand.example.com foreign 300 A 10.0.0.3 []",
            "shop.example.com foreign 60 A 10.0.0.1 10.0.0.2 []",
        ],
    );
}

/// Addresses were written below such a text, and it was answered no more.
#[test]
fn a_text_that_addresses_would_hide_is_in_their_way() {
    for (key, value, kind, in_the_way) in [
        ("m0", r#"{"text":"v=spf1 -all"}"#, "TXT-at-own-key", true),
        ("m0", r#"{"text":"v=spf1 -all","host":"a.example.net"}"#, "TXT-at-own-key", true),
        ("m0/x", r#"{"text":"v=spf1 -all","targetstrip":1}"#, "TXT", false),
        ("dns/apex/x", r#"{"text":"v=spf1 -all"}"#, "TXT", false),
    ] {
        let view = see(&[(&format!("/skydns/com/example/{key}"), value)]);
        let (_, sets) = view.listing.observed.iter().next().unwrap();
        assert_eq!(
            (sets[0].type_name(), sets[0].answers_for_addresses()),
            (kind, in_the_way),
            "{key} {value}"
        );
    }
}

/// CoreDNS answers a query for addresses with a CNAME to the mail server.
#[test]
fn a_mail_server_that_is_a_name_is_in_the_way_of_addresses() {
    let mail = r#"{"host":"mx1.example.net","mail":true,"priority":10,"targetstrip":1}"#;
    let view = see(&[("/skydns/com/example/mm/m1", mail)]);
    assert_eq!(lines(&view.listing.observed), ["mm.example.com foreign 300 MX-and-CNAME … []"]);
    assert!(view.listing.observed.at(&"mm.example.com".parse().unwrap())[0].answers_for_addresses());
}

#[test]
fn external_dns_at_the_zones_own_name_is_remembered() {
    let view = see(&[("/skydns/com/example/1acbad7e", r#"{"host":"10.0.0.1","ttl":60,"targetstrip":1}"#)]);
    assert_eq!(lines(&view.listing.observed), ["example.com foreign 60 A 10.0.0.1 []"]);
    assert_eq!(view.apex_strays.len(), 1);
    assert!(matches!(view.apex_strays[0].content, Content::Known(_)));
}

#[test]
fn what_cannot_be_read_is_said_with_its_key_and_has_its_name() {
    let view = see(&[
        ("/skydns/com/example/www/v4-cb007101", "{broken"),
        ("/skydns/com/example/www/v4-cb007102", r#"{"host":"10.0.0.1","ttl":"30"}"#),
        ("/skydns/com/example//x", r#"{"host":"10.0.0.1"}"#),
        ("/skydns/com/example/taken", "{broken"),
        ("/skydns/com/example/www/x", r#"{"host":["10.0.0.1"]}"#),
    ]);
    // At a leaf of ours it may be what is left of a value of ours, which is written again.
    assert_eq!(
        lines(&view.listing.observed),
        ["taken.example.com foreign 300 unknown … []", "x.www.example.com foreign 300 unknown … []"]
    );
    let unreadable = view.listing.unreadable;
    assert_eq!(unreadable.len(), 5);
    assert!(unreadable[0].contains("not a domain name"), "{unreadable:?}");
    let leaf = "etcd key /skydns/com/example/www/v4-cb007101: the value cannot be read";
    assert!(unreadable[2].starts_with(leaf), "{unreadable:?}");
    assert!(unreadable[3].contains("SERVFAIL"), "{unreadable:?}");
}

#[test]
fn revisions_are_read_only_from_what_etcd_gave() {
    let view = see(&[("/skydns/com/example/www/v4-cb007101", &value("203.0.113.1", FULL))]);
    let mut set = view.listing.observed.at(&"www.example.com".parse().unwrap())[0].clone();
    assert_eq!(revisions(&set), Some(vec![10]));
    for other in ["", "x", "1,2"] {
        set.version = Version(other.into());
        assert_eq!(revisions(&set), None, "{other}");
    }
    assert_eq!(set.claim.ownership().unwrap().to_string(), EVIDENCE);
}

proptest::proptest! {
    /// Whatever stands in etcd: without our owner id in its mark nothing is ours, nothing lies outside of the zone, and
    /// what is told of it is bounded and escaped.
    #[test]
    fn no_key_and_no_value_makes_itself_ours(
        keys in proptest::collection::vec("(?s)[a-z/.]{0,6}.{0,6}|www/v4-cb007101|dns/(apex|ns)/x", 1..8),
        values in proptest::collection::vec(
            r#"(?s).{0,30}|[{}"\\\[\],:a-z0-9]{0,30}|\{"host":("[a-z.]{0,9}"|"10.0.0.1"|\[\]|null),"ttl":-?[0-9]{1,12}(,"fleetdns":("v=1 owner=(other|fe|fedd) .{0,9}"|\{\}))?\}"#,
            8,
        ),
    ) {
        let layout = Layout::new("example.com".parse().unwrap(), "/skydns");
        let keys: Vec<String> = keys.iter().map(|key| format!("/skydns/com/example/{key}")).collect();
        let pairs = keys.iter().zip(&values);
        let pairs =
            pairs.map(|(key, value)| Pair { key: key.as_bytes(), value: value.as_bytes(), revision: 1 });
        let view = view(&layout, &"fed".parse().unwrap(), pairs);
        proptest::prop_assert_eq!(view.listing.observed.owned().count(), 0);
        for (name, _) in view.listing.observed.iter() {
            proptest::prop_assert!(name.is_within(layout.zone()), "{}", name);
        }
        for text in view.listing.unreadable {
            proptest::prop_assert!(text.len() < 2_000 && !text.contains(char::is_control), "{:?}", text);
        }
    }
}
