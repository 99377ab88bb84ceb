//! Secrets: where they come from, and that they go nowhere else.

use super::*;
use crate::config::schema::{SECTIONS, key_names};
use crate::registry::providers;

const AZURE: &str = "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = azure-azuredns\n[cluster \"here\"]\n[Global]\n\
                     subscription-id = s\ntenant-id = t\nclient-id = c\nresource-group = r\n";

fn azure(secret: &str) -> Case {
    case(&format!("{AZURE}{secret}\n"))
}

#[track_caller]
fn secret(case: &Case, expected: &str) {
    assert_eq!(case.config().zones[0].keys.get("secret"), Some(expected));
}

#[test]
fn a_secret_comes_from_the_section_a_file_or_a_variable() {
    secret(&azure("secret = p#a;ss"), "p#a;ss");
    secret(&azure("secret-file = /s").file("/s", "p#a;ss\n"), "p#a;ss");
    secret(&azure("secretFile = /s").file("/s", " a\r\n"), " a");
    secret(&azure("secret-file = /s").file("/s", "a\n\n"), "a\n");
    secret(&azure("secret_env = S").variable("S", "p#a;ss "), "p#a;ss ");
    secret(&azure("").variable("FLEETDNS__GLOBAL__SECRET", "p#a;ss"), "p#a;ss");
    secret(&azure("").variable("FLEETDNS__Global__secretFile", "/s").file("/s", "x\n"), "x");
    // The environment wins over the file, in whatever form the secret stands there.
    secret(&azure("secret = a").variable("FLEETDNS__GLOBAL__SECRET", "b"), "b");
    secret(&azure("secret-file = /none").variable("FLEETDNS__GLOBAL__SECRET", "b"), "b");
    // A zone's own wins over the one for all zones.
    let zone = AZURE.replace("provider = azure-azuredns", "provider = azure-azuredns\nsecret-env = S");
    secret(&case(&format!("{zone}secret = a\n")).variable("S", "b"), "b");
}

#[test]
fn what_cannot_be_fetched_is_one_fault() {
    azure("secret-file = /none")
        .faults(&["dns.conf:11: [Global] secret-file: /none cannot be read: there is no"]);
    azure("secret-file = /s").file("/s", "\n").faults(&["dns.conf:11: [Global] secret-file: /s is empty"]);
    azure("secret-env = S").faults(&["dns.conf:11: [Global] secret-env: S is not set, or is empty"]);
    azure("secret-env = S")
        .variable("S", "")
        .faults(&["dns.conf:11: [Global] secret-env: S is not set, or is empty"]);
    azure("").faults(&["dns.conf:6: [Global] secret: is missing"]);
    azure("secret = a\nsecret-file = /s")
        .file("/s", "a")
        .faults(&["dns.conf:12: [Global] secret-file: says the same as secret; leave one of them out"]);
    azure("secret-env = S\nsecret-file = /s")
        .variable("S", "a")
        .file("/s", "a")
        .faults(&["dns.conf:11: [Global] secret-env: says the same as secret-file"]);
    azure("")
        .variable("FLEETDNS__GLOBAL__SECRET", "a")
        .variable("FLEETDNS__GLOBAL__SECRET_ENV", "A")
        .faults(&["FLEETDNS__GLOBAL__SECRET_ENV: [Global] secret-env: says the same as secret"]);
}

#[test]
fn the_environment_sets_keys_of_sections_that_stand_once() {
    let with = |name: &str, value: &str| case(BASE).variable(name, value);
    assert_eq!(with("FLEETDNS__FLEET__NAME", "x").config().fleet.name.as_str(), "x");
    assert_eq!(
        with("FLEETDNS__PROBE__FAST_INTERVAL", "1s").config().probe.settings.fast_interval.as_secs(),
        1
    );
    assert_eq!(with("FLEETDNS_SERVICE_HOST", "10.0.0.1").config().zones.len(), 1);
    for (name, value, fault) in [
        ("FLEETDNS__PROBE__FALL", "x", "FLEETDNS__PROBE__FALL: [probe] fall: 'x' is not a number"),
        (
            "FLEETDNS__PROBE__FAL",
            "1",
            "FLEETDNS__PROBE__FAL: [probe] fal: is not a key of this section; did you mean",
        ),
        ("FLEETDNS__PROBE", "1", "FLEETDNS__PROBE: does not name a section and a key"),
        (
            "FLEETDNS__ZONE__TTL",
            "1",
            "FLEETDNS__ZONE__TTL: sets nothing: a variable can set keys of the sections global,",
        ),
        ("FLEETDNS__FLEET__OWNER", "a\u{fffd}", "FLEETDNS__FLEET__OWNER: is not UTF-8"),
    ] {
        let faults = with(name, value).parse().unwrap_err();
        assert!(faults[0].to_string().starts_with(fault), "{}", lines(&faults));
    }
    let twice = with("FLEETDNS__PROBE__FAST_INTERVAL", "1s").variable("FLEETDNS__PROBE__FASTINTERVAL", "1s");
    twice.faults(&["FLEETDNS__PROBE__FAST_INTERVAL: sets 'fast-interval' once more"]);
}

#[test]
fn secrets_that_others_would_read_differently_are_said() {
    for (text, note) in [
        ("\"p#a;ss\"", Some("the quotes around it")),
        ("'pass'", Some("the quotes around it")),
        ("pass # comment", Some("what follows '#' or ';'")),
        ("pass\\", Some("the '\\' at its end")),
        ("p#a;ss", None),
        ("pa\"ss", None),
    ] {
        let case = azure(&format!("secret = {text}"));
        secret(&case, text);
        let notes: Vec<String> = case.config().notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes.len(), usize::from(note.is_some()), "{notes:?}");
        if let Some(note) = note {
            assert!(notes[0].starts_with(&format!("dns.conf:11: [Global] secret: {note}")), "{notes:?}");
        }
    }
}

#[test]
fn keys_of_a_provider_that_serves_no_zone_are_said() {
    let text = format!("{BASE}[Global]\nsecret = x\n");
    let notes = case(&text).config().notes;
    assert_eq!(
        lines(&notes),
        "dns.conf:7: [Global] secret: is a key of azure-azuredns, which serves none of the zones: not used"
    );
}

const SECRET: &str = "hunter2-p#a;ss";

#[test]
fn no_secret_is_in_a_debug_text() {
    let text = format!("{AZURE}secret = {SECRET} # x\n");
    let config = case(&text).config();
    assert_eq!(config.zones[0].keys.get("secret"), Some(format!("{SECRET} # x").as_str()));
    assert!(!config.notes.is_empty());
    for shown in [format!("{config:?}"), format!("{config:#?}"), lines(&config.notes)] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let (raw, _) = super::super::Raw::read("dns.conf", text.as_bytes(), &BTreeMap::new());
    assert!(!format!("{raw:#?}").contains("hunter2"));
    let secret = BTreeMap::from([("A".to_owned(), SECRET.to_owned())]);
    let outside = Outside {
        variables: secret,
        root: false,
        read: &|_| Ok(Vec::new()),
        ..Outside::system(&|_| Ok(Vec::new()))
    };
    assert!(!format!("{outside:?}").contains("hunter2"));
}

#[test]
fn no_secret_is_in_a_fault() {
    let long = "c3VwZXItc2VjcmV0LWh1bnRlcjItc3VwZXItc2VjcmV0";
    for broken in [
        format!("{AZURE}secret = x\n{SECRET}\n"),
        format!("{AZURE}secret = x\n{SECRET} = y\n"),
        format!("{AZURE}secret = x\n{long}==\n"),
        format!("{AZURE}secret {SECRET}\n"),
        format!("{AZURE}secret = {SECRET}\nsecret = {SECRET}\n"),
        format!("{AZURE}secret = {SECRET}\nsecret-file = {SECRET}\n"),
        format!("{AZURE}secret-file = {SECRET}\n"),
        format!("{AZURE}secret-env = {SECRET}\n"),
        format!("{AZURE}secret = {SECRET}\0\n"),
        format!("secret = {SECRET}\n{AZURE}"),
        format!("{AZURE}client-secret = {SECRET}\n"),
        format!("[Global\nsecret = {SECRET}\n"),
        format!("[cluster \"x\"]\nsecret = {SECRET}\n"),
        format!("{long} = x\n"),
        AZURE.replace("azure-azuredns", &format!("embedded\nsecret = {SECRET}")),
        AZURE.replace(
            "azure-azuredns",
            &format!("coredns\netcd-username = u\netcd-password = {SECRET}\netcd-endpoints=x y"),
        ),
    ] {
        let faults = case(&broken).parse().unwrap_err();
        for shown in [lines(&faults), format!("{faults:?}")] {
            assert!(!shown.contains("hunter2") && !shown.contains(long), "{shown}\nof\n{broken}");
        }
    }
}

#[test]
fn a_provider_that_repeats_a_secret_is_cut_short() {
    let config = azure(&format!("secret = {SECRET}")).config();
    let problem = format!("'{SECRET}' is not accepted");
    let fault = fleetdns_core::keys::KeyFault { key: "secret".to_owned(), problem };
    let shown = config.zones[0].fault(&fault).to_string();
    assert_eq!(shown, "dns.conf:11: [Global] secret: '...' is not accepted");
}

/// A file in which `key` of a section has a value, with what else has to be there.
fn with_key(kind: &str, provider: &str, key: &str, value: &str) -> String {
    let head = |kind: &str, more: &str| match kind {
        "zone" => format!("[zone \"example.com\"]\nprovider = {provider}\n{more}"),
        "cluster" => format!("[cluster \"here\"]\n{more}"),
        other => format!("[{other}]\n{more}"),
    };
    let name = if key == "name" { "" } else { "name = fed\n" };
    let fleet = if kind == "fleet" { format!("{name}{key} = {value}\n") } else { name.to_owned() };
    let others = ["zone", "cluster"].iter().filter(|other| **other != kind).map(|other| head(other, ""));
    let section = if kind == "fleet" { String::new() } else { head(kind, &format!("{key} = {value}\n")) };
    format!("[fleet]\n{fleet}{}{section}", others.collect::<String>())
}

#[test]
fn a_secret_in_the_place_of_any_other_value_is_not_in_its_fault() {
    let generated = "c8Q~Xk0RrT7vN2bLwZ4yPsJ9dHfGmA1e";
    let sections =
        SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| (section.kind, "embedded", key)));
    let providers = providers().flat_map(|one| one.keys.iter().map(|key| ("zone", one.name, key)));
    let (mut keys, mut bad) = (0, 0);
    for (kind, provider, spec) in sections.chain(providers) {
        for name in key_names(spec) {
            keys += 1;
            for value in [
                generated.to_owned(),
                format!("{generated} # x"),
                format!("a, {generated}"),
                format!("https://operator:{generated}@dns.example/x"),
                format!("5{generated}"),
            ] {
                let text = with_key(kind, provider, &name, &value);
                let shown = match case(&text).parse() {
                    Ok(config) => lines(&config.notes),
                    Err(faults) => {
                        bad += 1;
                        lines(&faults)
                    }
                };
                assert!(!shown.contains(&generated[8..]), "{shown}\nof\n{text}");
            }
        }
    }
    assert!(keys > 150 && bad > 300, "{keys} keys, {bad} bad files: these are not all");
    // What a person writes is repeated.
    let fault = case(&with_key("probe", "embedded", "interval", "soon")).parse().unwrap_err();
    assert!(lines(&fault).contains("'soon' is not"), "{}", lines(&fault));
}
