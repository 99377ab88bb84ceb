//! What an edit changes, and what it leaves.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::raw::Raw;
use super::*;

fn name(text: &str) -> MemberName {
    text.parse().unwrap()
}

fn keys() -> [(&'static str, String); 2] {
    [("kubeconfig", "/etc/fleetdns/east".to_owned()), ("context", "east".to_owned())]
}

const ADDED: &str = "\n[cluster \"east\"]\nkubeconfig = /etc/fleetdns/east\ncontext = east";

#[test]
fn a_member_is_added_behind_all_others_with_the_line_ends_of_the_file() {
    for (before, after) in [
        ("", format!("{ADDED}\n")),
        ("[fleet]\nname = a\n", format!("[fleet]\nname = a\n{ADDED}\n")),
        ("[fleet]\nname = a", format!("[fleet]\nname = a\n{ADDED}")),
        ("[fleet]\r\nname = a\r\n", format!("[fleet]\nname = a\n{ADDED}\n").replace('\n', "\r\n")),
    ] {
        assert_eq!(add_member(before, &name("east"), &keys()), after, "{before:?}");
    }
}

#[test]
fn a_section_goes_with_the_comments_that_are_about_it() {
    let rest = "# head\n[Cluster \"west\"]\ncontext = west\n# of west\n\n# about what follows\n";
    for (section, left) in [
        ("[cluster \"east\"]\ncontext = east\n", ""),
        ("  [ CLUSTER  \"east\" ]  \n# why\ncontext = east\n#region = eu\n", ""),
        ("[cluster \"east\"]\n", ""),
        // What stands apart, or right above the next section, is not about this one.
        ("[cluster \"east\"]\ncontext = east\n\n# apart\n", "\n# apart\n"),
        (
            "[cluster \"east\"]\ncontext = east\n# of probe\n[probe]\nfall = 2\n",
            "# of probe\n[probe]\nfall = 2\n",
        ),
        ("[cluster \"east\"]\ncontext = east\n# ours\n\n[probe]\nfall = 2\n", "\n[probe]\nfall = 2\n"),
    ] {
        let text = format!("{rest}{section}");
        assert_eq!(remove_member(&text, &name("east")).as_deref(), Some(&*format!("{rest}{left}")), "{text}");
    }
    for none in ["", rest, "# [cluster \"east\"]\n", "[cluster \"East\"]\n", "[zone \"east\"]\n"] {
        assert_eq!(remove_member(none, &name("east")), None, "{none}");
    }
    assert_eq!(members(rest), ["west"]);
}

/// What a text says of each section, without where it says so.
fn meaning(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let (raw, _) = Raw::read("dns.conf", text.as_bytes(), &BTreeMap::new());
    let values = |section: &super::super::Section| {
        section.values.iter().map(|(key, value)| (key.clone(), value.text.clone())).collect()
    };
    raw.sections.iter().map(|section| (section.title(), values(section))).collect()
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("  ".to_owned()),
        Just("# a comment".to_owned()),
        Just("; [cluster \"east\"]".to_owned()),
        Just("[cluster \"west\"]".to_owned()),
        Just("[probe]".to_owned()),
        Just("[Global]".to_owned()),
        "[a-z]{1,8} = [ -~]{0,12}",
        "[ -~]{0,20}",
    ]
    .prop_filter("the member is added by the test", |line| member_of(line).as_deref() != Some("east"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn joining_adds_lines_and_leaving_takes_the_same_lines(
        lines in prop::collection::vec(line(), 0..12),
        end in prop_oneof![Just("\n"), Just("\r\n")],
        closed in any::<bool>(),
    ) {
        let text = lines.join(end) + if closed { end } else { "" };
        let joined = add_member(&text, &name("east"), &keys());
        prop_assert!(joined.starts_with(&text));
        let mut expected = meaning(&text);
        let said = keys().map(|(key, value)| (key.to_owned(), value));
        expected.insert("cluster \"east\"".to_owned(), said.into());
        prop_assert_eq!(meaning(&joined), expected);
        prop_assert_eq!(remove_member(&joined, &name("east")), Some(text));
    }

    #[test]
    fn leaving_changes_nothing_of_other_sections(
        above in prop::collection::vec(line(), 0..8),
        own in prop::collection::vec(prop_oneof!["[a-z]{1,8} = [ -~]{0,12}", Just("# x".to_owned()), Just(String::new())], 0..4),
        below in prop::collection::vec(line(), 0..8),
    ) {
        let below = [vec!["[probe]".to_owned()], below].concat();
        let all = [above.clone(), vec!["[cluster \"east\"]".to_owned()], own, below.clone()].concat();
        let left = remove_member(&all.join("\n"), &name("east")).unwrap();
        let left: Vec<&str> = left.split('\n').collect();
        let blank = usize::from(above.last().is_some_and(|line| is_blank(line)));
        prop_assert!(left.starts_with(&above[..above.len() - blank].iter().map(String::as_str).collect::<Vec<_>>()));
        prop_assert!(left.ends_with(&below.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}
