//! Line by line: what is read, and what is refused.

use std::collections::BTreeMap;

use super::super::raw::Raw;

fn read(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let (raw, faults) = Raw::read("dns.conf", bytes, &BTreeMap::new());
    let mut values = Vec::new();
    for section in &raw.sections {
        for (key, value) in &section.values {
            values.push(format!("[{}] {key} = {} ({})", section.title(), value.text, value.at));
        }
    }
    (values, faults.iter().map(ToString::to_string).collect())
}

/// Every value that is read, in the order of sections and keys; no fault.
#[track_caller]
fn good(text: &str, expected: &[&str]) {
    let (values, faults) = read(text.as_bytes());
    assert_eq!(faults, [""; 0], "{text}");
    assert_eq!(values, expected, "{text}");
}

/// What is read all the same, and the beginning of each fault.
#[track_caller]
fn bad(bytes: impl AsRef<[u8]>, expected: &[&str], starts: &[&str]) {
    let (values, faults) = read(bytes.as_ref());
    assert_eq!(values, expected, "{faults:#?}");
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}\nexpected {start}");
    }
}

#[test]
fn values_are_verbatim() {
    for secret in [
        "p#a;ss",
        "p#a;ss=wo\"rd",
        "abc #x",
        "abc ;x",
        "#lead",
        ";lead",
        "a\\b\\tq\\\\z",
        "C:\\Windows",
        "x\\x0041",
        "ends\\",
        "\"abc",
        "\"abc\"def",
        "\"abc\"",
        "'it'",
        "it's",
        "=",
        "==a=",
        "[x]",
        "${HOME} %(x)s $x",
        "a  b\tc",
        "007",
        "true",
        "pässwörd",
        "a: b",
    ] {
        let (values, faults) = read(format!("[Global]\nsecret = {secret}\nclient-id=y\n").as_bytes());
        assert_eq!(faults, [""; 0], "{secret}");
        let expected =
            ["[Global] client-id = y (dns.conf:3)", &format!("[Global] secret = {secret} (dns.conf:2)")];
        assert_eq!(values, expected);
    }
}

#[test]
fn comments_are_whole_lines_and_spaces_at_the_edges_go() {
    good(
        "# one\n; two\n  # three\n\t; four\n\n[Global]\n  secret=x\n # not a key\n\tclient-id \t=\t y z \t\n",
        &["[Global] client-id = y z (dns.conf:9)", "[Global] secret = x (dns.conf:7)"],
    );
    good("", &[]);
    good("[Global]", &[]);
    good("[Global]\nsecret =", &["[Global] secret =  (dns.conf:2)"]);
}

#[test]
fn a_byte_order_mark_and_crlf_are_read_over() {
    good("\u{feff}[Global]\r\nsecret = x\r\n", &["[Global] secret = x (dns.conf:2)"]);
}

#[test]
fn names_of_sections_and_keys_have_many_spellings() {
    for written in ["resourceGroup", "resource-group", "resource_group", "RESOURCEGROUP", "ResourceGroup"] {
        for section in ["[Global]", "[global]", "[ GLOBAL ]", "  [Global]  "] {
            good(&format!("{section}\n{written} = rg\n"), &["[Global] resource-group = rg (dns.conf:2)"]);
        }
    }
}

#[test]
fn labels_keep_dots_and_brackets_and_their_case() {
    good(
        "[zone \"a.b.example.com\"]\nttl = 1\n[zone \"b.example.com\"]\nttl = 2\n[CLUSTER \"arn:x/[W].1\"]\nregion=r\n",
        &[
            "[zone \"a.b.example.com\"] ttl = 1 (dns.conf:2)",
            "[zone \"b.example.com\"] ttl = 2 (dns.conf:4)",
            "[cluster \"arn:x/[W].1\"] region = r (dns.conf:6)",
        ],
    );
}

#[test]
fn lines_that_are_nothing_are_refused() {
    bad(
        "[Global]\nnonsense\nsecret = x\n",
        &["[Global] secret = x (dns.conf:3)"],
        &["dns.conf:2: [Global]: is neither"],
    );
    // A secret that somebody broke over two lines: both lines stand on their own.
    bad(
        "[Global]\nsecret = ends\\\nhunter2\nclient-id = c\n",
        &["[Global] client-id = c (dns.conf:4)", "[Global] secret = ends\\ (dns.conf:2)"],
        &["dns.conf:3: [Global]: is neither"],
    );
    bad("[Global]\nsecret: x\n", &[], &["dns.conf:2: [Global]: is neither"]);
    bad(
        "[Global]\nmy key = x\n= y\n",
        &[],
        &["dns.conf:2: [Global]: what stands", "dns.conf:3: [Global]: what stands"],
    );
    bad(
        "secret = x\nclient-id = y\n[Global]\n",
        &[],
        &[
            "dns.conf:1: secret: stands before any section",
            "dns.conf:2: client-id: stands before any section",
        ],
    );
}

#[test]
fn nothing_is_said_twice() {
    bad(
        "[Global]\nresourceGroup = a\nresource-group = b\n",
        &["[Global] resource-group = a (dns.conf:2)"],
        &["dns.conf:3: [Global] resource-group: stands in line 2 already"],
    );
    bad(
        "[Global]\nsecret = a\n[fleet]\nname = f\n[GLOBAL]\nclient-id = b\n",
        &[
            "[Global] client-id = b (dns.conf:6)",
            "[Global] secret = a (dns.conf:2)",
            "[fleet] name = f (dns.conf:4)",
        ],
        &["dns.conf:5: [Global]: stands in line 1 already"],
    );
}

#[test]
fn headers_are_whole() {
    let kept = |title: &str| format!("[{title}] ttl = 1 (dns.conf:2)");
    for (header, title, problem) in [
        ("[fleet", "fleet", "the section has no ']'"),
        ("[zone \"a.example\"", "zone \"a.example\"", "the section has no ']'"),
        ("[zone \"a.example]", "zone \"a.example\"", "the section's name has no closing quote"),
        ("[zone a.example]", "zone \"a.example\"", "the section's name is not in quotes"),
        ("[zone.a.example]", "zone \"a.example\"", "the section's name is not in quotes"),
        ("[zone \"\"]", "zone", "the section's name in quotes is empty"),
        ("[fleet] # trailing", "fleet", "something follows the section's ']'"),
        ("[fleet] ttl = 9", "fleet", "something follows the section's ']'"),
        ("[fleet]]", "fleet", "something follows the section's ']'"),
        ("[zone \"a\" \"b\"]", "zone \"a\"", "the section has no ']'"),
    ] {
        bad(
            format!("{header}\nttl = 1\n"),
            &[kept(title).as_str()],
            &[&format!("dns.conf:1: [{title}]: {problem}")],
        );
    }
    bad("[]\nttl = 1\n", &["[] ttl = 1 (dns.conf:2)"], &["dns.conf:1: the section has no name"]);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    bad(
        b"[Global]\nsecret = a\0b\nclient-id = \xff\xfe!\ntenant-id = t\n",
        &[
            "[Global] client-id = \u{fffd}\u{fffd}! (dns.conf:3)",
            "[Global] secret = ab (dns.conf:2)",
            "[Global] tenant-id = t (dns.conf:4)",
        ],
        &["dns.conf:3: has bytes that are not UTF-8", "dns.conf:2: [Global]: has a NUL character"],
    );
    bad(b"\xff\xfe[\0G\0]\0", &[], &["dns.conf: the file is in UTF-16"]);
}

#[test]
fn a_fault_in_each_of_very_many_lines_is_found_in_the_time_of_reading_them() {
    const MANY: usize = 300_000;
    let keys = format!("[fleet]\nname = fed\n{}", "name = fed\n".repeat(MANY));
    let sections = format!("[fleet]\n{}", "[fleet]\n".repeat(MANY));
    let started = std::time::Instant::now();
    for text in [keys, sections] {
        assert_eq!(Raw::read("dns.conf", text.as_bytes(), &BTreeMap::new()).1.len(), MANY);
    }
    // Each line compared with each one before it would be ninety thousand million steps.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
