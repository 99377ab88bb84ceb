//! Members that the sources of `[discovery]` name.

use super::*;

const BASE: &str =
    "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n[discovery]\ndirectory = /clusters\n";

fn members(config: &Config) -> Vec<(String, String)> {
    config.members.iter().map(|one| (one.name.to_string(), one.origin.to_string())).collect()
}

#[test]
fn each_kubeconfig_of_a_directory_is_a_member() {
    let config = case(&format!("{BASE}[cluster \"here\"]\n"))
        .contexts(&["only"])
        .file("/clusters/west.kubeconfig", "1")
        .file("/clusters/east", "2")
        .file("/clusters/north.eu.YAML", "3")
        .file("/clusters/.hidden.kubeconfig", "4")
        .file("/clusters/..data", "5")
        .file("/clusters/west.kubeconfig~", "6")
        .file("/clusters/#west#", "7")
        .file("/clusters/.west.kubeconfig.swp", "8")
        .file("/clusters/west.tmp", "9")
        .file("/clusters/more/south.kubeconfig", "10")
        .config();
    let expected = [
        ("here", "dns.conf"),
        ("east", "/clusters/east"),
        ("north.eu", "/clusters/north.eu.YAML"),
        ("west", "/clusters/west.kubeconfig"),
    ];
    assert_eq!(members(&config), expected.map(|(name, origin)| (name.to_owned(), origin.to_owned())));
    assert_eq!(config.source_faults, Vec::<String>::new());
    assert!(config.is_complete);
    let Access::Kubeconfig { context, .. } = &config.members[1].access else { panic!("{config:?}") };
    assert_eq!(context.as_deref(), Some("only"), "whatever its current context is");
}

#[test]
fn what_is_wrong_with_one_file_is_said_and_the_others_are_members() {
    let big = "9".repeat((1 << 20) + 1);
    let config = case(&format!("{BASE}[cluster \"taken\"]\n"))
        .contexts(&["a", "b"])
        .file("/clusters/a b.kubeconfig", "1")
        .file("/clusters/bad.kubeconfig", "half of it")
        .file("/clusters/big.kubeconfig", &big)
        .file("/clusters/east.conf", "2")
        .file("/clusters/east.kubeconfig", "3")
        .file("/clusters/notes.txt", "4")
        .file("/clusters/taken.kubeconfig", "5")
        .file("/clusters/twin.kubeconfig", "2")
        .config();
    let names: Vec<String> = members(&config).into_iter().map(|(name, _)| name).collect();
    // One that cannot be used is a member that cannot be reached: at a start its records must stand.
    assert_eq!(names, ["taken", "bad", "big", "east"]);
    let expected = [
        "directory /clusters: a b.kubeconfig: 'a b' cannot name a cluster",
        "directory /clusters: notes.txt: not taken for a kubeconfig",
        "cluster bad of /clusters/bad.kubeconfig: /clusters/bad.kubeconfig is not a kubeconfig",
        "cluster big of /clusters/big.kubeconfig: it has more than 1048576 bytes",
        "cluster east of /clusters/east.kubeconfig is left out: /clusters/east.conf has one of this name",
        "cluster taken of /clusters/taken.kubeconfig is left out: dns.conf has one of this name",
        "cluster twin of /clusters/twin.kubeconfig is left out: its API server is that of cluster east",
    ];
    let fits = config.source_faults.iter().zip(expected).all(|(fault, start)| fault.starts_with(start));
    assert!(fits && config.source_faults.len() == expected.len(), "{:#?}", config.source_faults);
}

#[test]
fn a_directory_that_is_not_there_or_empty_is_no_fault_of_the_file_and_not_all_members_are_known() {
    for (case, part) in [
        (case(BASE), "directory /clusters cannot be read"),
        (case(BASE).file("/clusters/.keep", ""), "directory /clusters has no cluster"),
    ] {
        let config = case.config();
        assert!(config.members.is_empty() && !config.is_complete, "{config:?}");
        assert!(config.source_faults.len() == 1 && config.source_faults[0].starts_with(part), "{config:?}");
    }
    // With it, the contexts of a kubeconfig are no members.
    let config = case(BASE).variable("KUBECONFIG", "/k").contexts(&["a", "b"]).config();
    assert!(config.members.is_empty(), "{config:?}");
    let without =
        case(&BASE.replace("directory = /clusters", "")).variable("KUBECONFIG", "/k").contexts(&["a", "b"]);
    assert_eq!(without.config().members.len(), 2);
}
