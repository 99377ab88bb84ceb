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

#[test]
fn what_was_written_is_read_back() {
    let sets = Sets::from([
        (Kind::A, stored(30, 30, 0)),
        (Kind::Aaaa, stored(30, 300, 7)),
        (Kind::Cname, stored(30, 300, 0)),
    ]);
    for members in [0, 4, 20] {
        let text = ownership(members);
        let targets = write(&text, &sets).unwrap();
        let record = read(&targets, &owner());
        assert_eq!(record.owner.ownership().unwrap().to_string(), text);
        assert_eq!(record.text, Some(whole(&text, &sets)));
        assert!(sets.iter().all(|(kind, one)| super::stored(&record, *kind) == Some(*one)), "{record:?}");
    }
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
        assert!(mark.owner.ownership().is_some(), "{target}");
        assert_eq!(super::stored(&mark, Kind::A), Some(stored(30, 30, 0)), "{target}");
    }
}

/// The record of a zone that another provider wrote before, or a newer version.
#[test]
fn a_type_without_a_note_that_can_be_read_is_ours_and_nothing_is_known_of_it() {
    for note in ["", ":x", ":30:y", ":30:30:1:1"] {
        let mark = read(&[quoted(&format!("v=1 owner=fed service=default/web sets=A{note}"))], &owner());
        assert!(mark.owner.is_ours() && mark.covers(Kind::A));
        assert_eq!(super::stored(&mark, Kind::A), None, "{note}");
    }
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
        proptest::prop_assert!(!read(&targets, &owner()).owner.is_ours(), "{targets:?}");
    }
}
