use super::*;

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn ownership(members: usize) -> String {
    let mut text = "v=1 owner=fed service=default/web".to_owned();
    let mut seed = 1_u64;
    for number in 0..members {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!(" member=m{number:04};westus;1,2;tcp:80;a{seed:016x}.elb.example.com");
    }
    text
}

fn stored(desired: i64, listed: i64, properties: u32) -> Stored {
    Stored { desired, listed, properties }
}

/// How many targets it takes; none of them too long.
fn back(members: usize) -> usize {
    let sets = Sets::from([(Kind::A, stored(30, 30, 0)), (Kind::Aaaa, stored(30, 300, 7))]);
    let text = ownership(members);
    let mut targets = write(&text, &sets).unwrap();
    assert!(targets.iter().all(|target| target.len() <= TEXT + 2), "{targets:#?}");
    targets.reverse();
    let mark = read(&targets, &owner());
    assert_eq!(mark.claim.ownership().unwrap().to_string(), text);
    assert_eq!(mark.text, Some(whole(&text, &sets)));
    assert_eq!(mark.sets, Some(sets));
    targets.len()
}

#[test]
fn a_mark_comes_back_whole_however_long_it_is() {
    assert_eq!(back(0), 1);
    assert_eq!(back(2), 1);
    assert_eq!(back(4), 1, "packed");
    assert!((2..=5).contains(&back(20)), "packed and in parts");
    let TooLong(characters) = write(&ownership(400), &Sets::new()).unwrap_err();
    assert!(characters > LONGEST, "{characters}");
}

/// What webhooks are known to make of a TXT.
#[test]
fn quotes_strings_and_escapes_make_no_difference() {
    let text = "v=1 owner=fed service=default/web member=m;;;tcp:80;203.0.113.1 sets=A:30";
    let half = text.split_at(30);
    for target in [
        text.to_owned(),
        format!("\"{text}\""),
        format!("\"{}\"", text.replace(';', "\\;")),
        text.replace(';', "\\;"),
        format!("\"{}\" \"{}\"", half.0, half.1),
        format!("\"{}\"\"{}\"", half.0, half.1),
    ] {
        let mark = read(std::slice::from_ref(&target), &owner());
        assert!(mark.claim.ownership().is_some(), "{target}");
        assert_eq!(mark.sets, Some(Sets::from([(Kind::A, stored(30, 30, 0))])), "{target}");
    }
}

#[test]
fn a_mark_that_is_not_plainly_ours_is_foreign_and_a_torn_one_is_not_believed() {
    let mark = |targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|text| quoted(text)).collect();
        read(&targets, &owner())
    };
    let good = "v=1 owner=fed service=default/web sets=A:30";
    assert!(mark(&[good]).claim.ownership().is_some());
    assert_eq!(mark(&[good, "somebody's"]).claim, Owner::Foreign);
    assert_eq!(mark(&["v=1 owner=other service=default/web sets=A:30"]).claim, Owner::Foreign);
    assert_eq!(mark(&["heritage=external-dns,external-dns/owner=fed"]).claim, Owner::Foreign);
    assert_eq!(mark(&[]).claim, Owner::Foreign);
    let torn = mark(&["part=1/2 v=1 owner=fed service=default/web"]);
    assert_eq!((torn.claim, torn.text), (Owner::Ours(None), None));
    assert_eq!(mark(&["part=2/2 v=1 owner=fed service=default/web"]).claim, Owner::Foreign);
    let old = mark(&["v=1 owner=fed service=default/web"]);
    assert!(old.claim.is_ours() && old.sets.is_none());
    assert_eq!(mark(&["v=1 owner=fed service=default/web sets=A:x"]).sets, None);
}

#[test]
fn properties_have_the_same_number_in_any_order() {
    let property = |name: &str| Property { name: name.to_owned(), value: "x".to_owned() };
    let both = [property("a"), property("b")];
    assert_eq!(fingerprint(&both), fingerprint(&[both[1].clone(), both[0].clone()]));
    assert_ne!(fingerprint(&both), fingerprint(&both[..1]));
    assert_eq!(fingerprint(&[]), 0);
    assert_eq!(fingerprint(&both[..1]), 0x2d79_2771);
}

#[test]
fn the_mark_of_a_wildcard_has_a_name_that_a_backend_takes() {
    for (name, at) in [
        ("www.example.com", "_fleetdns.www.example.com"),
        ("*.example.com", "_fleetdns-wildcard.example.com"),
        ("example.com", "_fleetdns.example.com"),
    ] {
        let name: DnsName = name.parse().unwrap();
        assert_eq!(mark_name(&name).unwrap().as_str(), at);
        assert_eq!(marked_name(&at.parse().unwrap()), Some(name));
    }
}

proptest::proptest! {
    /// Quotes, backslashes and lines in a text stay within its target.
    #[test]
    fn any_text_is_unquoted_as_it_was(text in "(?s).{0,60}|[\"\\\\]{0,9}|[ -~]{250,260}") {
        let target = quoted(&text);
        proptest::prop_assert_eq!(unquoted(&target), text);
        proptest::prop_assert_eq!(as_written(std::slice::from_ref(&target)), vec![target]);
    }

    /// Whatever targets stand where our mark does: they are ours only with our owner id.
    #[test]
    fn no_target_makes_itself_ours(targets in proptest::collection::vec(
        "(?s).{0,20}|\"v=1 owner=(other|fe|fedd) service=a/b.{0,6}owner=fed.{0,2}\"|part=[12]/2 .{0,9}|v=1 .{0,3} owner=fed", 0..3,
    )) {
        proptest::prop_assert!(!read(&targets, &owner()).claim.is_ours(), "{targets:?}");
    }
}
