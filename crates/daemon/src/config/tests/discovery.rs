//! Members that the sources of `[discovery]` name.

use fleetdns_watch::Completeness;

use super::*;
use crate::config::remote::Object;

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
    assert_eq!(config.completeness, Completeness::Read);
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
        "cluster east of /clusters/east.kubeconfig is left out: /clusters/east.conf has one of this name",
        "cluster taken of /clusters/taken.kubeconfig is left out: dns.conf has one of this name",
        "cluster twin of /clusters/twin.kubeconfig is left out: its API server is that of cluster east",
        "cluster bad of /clusters/bad.kubeconfig: /clusters/bad.kubeconfig is not a kubeconfig",
        "cluster big of /clusters/big.kubeconfig: it has more than 1048576 bytes",
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
        assert!(config.members.is_empty() && config.completeness == Completeness::Unread, "{config:?}");
        assert!(config.source_faults.len() == 1 && config.source_faults[0].starts_with(part), "{config:?}");
    }
    // With it, the contexts of a kubeconfig are no members.
    let config = case(BASE).variable("KUBECONFIG", "/k").contexts(&["a", "b"]).config();
    assert!(config.members.is_empty(), "{config:?}");
    let without =
        case(&BASE.replace("directory = /clusters", "")).variable("KUBECONFIG", "/k").contexts(&["a", "b"]);
    assert_eq!(without.config().members.len(), 2);
}

const REMOTE: &str =
    "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n[cluster \"host\"]\n[discovery]\n";

fn remote(keys: &str) -> Case {
    case(&format!("{REMOTE}{keys}"))
}

#[test]
fn a_source_on_a_host_cluster_needs_the_cluster_and_the_namespace() {
    let config = remote("secrets = fleet=yes\ncluster = host\nnamespace = *\nallow = exec, files").config();
    assert_eq!(
        (config.members.len(), config.completeness, config.remotes.len()),
        (1, Completeness::Unread, 1)
    );
    assert_eq!(config.source_faults, Vec::<String>::new(), "it is asked soon");
    let query = config.remotes[0].query();
    assert_eq!((query.namespace, query.selector.as_deref()), (None, Some("fleet=yes")));
    let all = remote("secrets = *\ncluster = host\nnamespace = clusters").config().remotes[0].query();
    assert_eq!((all.namespace.as_deref(), all.selector), (Some("clusters"), None));
    remote("secrets = fleet=yes").faults(&[
        "dns.conf:6: [discovery] cluster: is missing; for example cluster = mgmt",
        "dns.conf:6: [discovery] namespace: is missing; for example namespace = fleet-system",
    ]);
    remote("secrets = a b\ncluster = nosuch\nnamespace = A\nkey = a b\nallow = all\nname-label = a b")
        .faults(&[
            "dns.conf:7: [discovery] secrets: 'a b' is not a label selector, or *",
            "dns.conf:8: [discovery] cluster: there is no [cluster \"nosuch\"]; the sections are host",
            "dns.conf:9: [discovery] namespace: 'A' is not the name of a namespace, or * for all",
            "dns.conf:10: [discovery] key: 'a b' is not a key of a Secret",
            "dns.conf:11: [discovery] allow: 'all' is not exec or files",
            "dns.conf:12: [discovery] name-label: 'a b' is not the key of a label",
        ]);
}

/// A Secret of namespace `a` with one kubeconfig in it.
fn secret(name: &str, labels: &serde_json::Value, created: &str, server: &str) -> fleetdns_watch::Named {
    let kubeconfig = format!(
        "clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: []\n\
         contexts: [{{name: c, context: {{cluster: c}}}}]\n"
    );
    let labels = serde_json::from_value(labels.clone()).unwrap();
    fleetdns_watch::Named {
        namespace: "a".to_owned(),
        name: name.to_owned(),
        created: created.to_owned(),
        labels,
        cluster: (name == "argo").then(|| "prod".to_owned()),
        kubeconfig: Ok(kubeconfig.into()),
    }
}

#[test]
fn a_secret_says_name_region_and_zone_by_its_labels_and_the_oldest_counts() {
    use serde_json::json;
    let mut config = remote("secrets = *\ncluster = host\nnamespace = a\nregion-label = where").config();
    let of = config.remotes[0].clone();
    let labels =
        json!({"cluster.x-k8s.io/cluster-name": "east", "where": "eu", "topology.kubernetes.io/zone": "1"});
    let huge = fleetdns_watch::Named {
        kubeconfig: Ok("x".repeat((1 << 20) + 1).into()),
        ..secret("huge", &json!({}), "2", "")
    };
    let found = vec![
        secret("a-twin", &json!({}), "2026-02", "https://east.example:6443/"),
        secret("x-kubeconfig", &labels, "2026-01", "https://east.example:6443"),
        secret("west-kubeconfig", &json!({"where": "a_b/"}), "2", "https://w.example"),
        secret("north-kubeconfig", &json!({"where": ""}), "2", "https://n.example"),
        secret("argo", &json!({}), "2", "https://p.example"),
        secret("bad name", &json!({}), "2", "https://b.example"),
        huge,
    ];
    let found = found.into_iter().map(Object::Cluster).collect();
    config.hear(&vec![(of.clone(), of.listing(Ok(found)))]);
    config.settle(None, false);
    let names: Vec<&str> = config.members.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["host", "east", "huge", "north", "prod", "west"]);
    let east = &config.members[1];
    assert_eq!(east.origin.to_string(), "secret a/x-kubeconfig");
    assert_eq!(east.region.as_ref().map(ToString::to_string).as_deref(), Some("eu"));
    assert_eq!(east.zones.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1"]);
    let parts = [
        "a/bad name: 'bad name' cannot name a cluster",
        "cluster a-twin of secret a/a-twin is left out: its API server is that of cluster east",
        "cluster huge of secret a/huge: its kubeconfig has more than 1048576 bytes",
        "cluster west of secret a/west-kubeconfig: its label where: ",
    ];
    for (fault, part) in config.source_faults.iter().zip(parts) {
        assert!(fault.contains(part), "no {part:?}: {:#?}", config.source_faults);
    }
    assert_eq!(config.source_faults.len(), parts.len(), "{:#?}", config.source_faults);
    // Another namespace is another source, of which nothing is known.
    let mut other = remote("secrets = *\ncluster = host\nnamespace = b").config();
    other.hear(&vec![(of.clone(), of.listing(Ok(Vec::new())))]);
    other.settle(Some(&config), false);
    assert_eq!(other.members.len(), config.members.len());
}

#[test]
fn an_object_that_is_still_there_keeps_its_cluster_whatever_it_says_now() {
    use serde_json::json;
    let keys = "secrets = *\ncluster = host\nnamespace = a";
    let named =
        |name: &str, labels| Object::Cluster(secret(name, &labels, "1", &format!("https://{name}.example")));
    let settled = |east: Option<Object>, before: Option<&Config>| {
        let mut config = remote(keys).config();
        let of = config.remotes[0].clone();
        let all = [Some(named("west", json!({}))), Some(named("north", json!({}))), east];
        config.hear(&vec![(of.clone(), of.listing(Ok(all.into_iter().flatten().collect())))]);
        config.settle(before, false);
        config
    };
    let before = settled(Some(named("east", json!({"topology.kubernetes.io/region": "eu"}))), None);
    assert_eq!(before.members.len(), 4);
    let path = || "a/east".to_owned();
    for east in [
        Object::Other { path: path() },
        Object::Unreadable { path: path(), problem: "an item is no Secret".to_owned() },
        named("east", json!({"topology.kubernetes.io/region": "eu.west"})),
        named("east", json!({"cluster.x-k8s.io/cluster-name": "a b"})),
    ] {
        let after = settled(Some(east), Some(&before));
        assert_eq!(after.members, before.members);
        let fault = after.source_faults.last().unwrap();
        assert!(fault.starts_with("cluster east of secret a/east: "), "{fault}");
        assert!(fault.ends_with("; what was read before stands"), "{fault}");
    }
    let after = settled(None, Some(&before));
    assert_eq!((after.members.len(), after.source_faults.len()), (3, 0), "it is gone");
    // What never named a cluster is nothing to speak of.
    assert_eq!(settled(Some(Object::Other { path: path() }), None).source_faults, Vec::<String>::new());
}

#[test]
fn the_kubeconfig_that_cluster_api_names_wins_over_an_older_one_for_people() {
    let labels = serde_json::json!({"cluster.x-k8s.io/cluster-name": "east"});
    let main = secret("east-kubeconfig", &labels, "2026-02", "https://east.example");
    let user = secret("east-user-kubeconfig", &labels, "2026-01", "https://east.example");
    let broken = |named: &fleetdns_watch::Named| fleetdns_watch::Named {
        kubeconfig: Err("it is broken".to_owned()),
        ..named.clone()
    };
    let settled = |found: Vec<fleetdns_watch::Named>| {
        let mut config = remote("secrets = *\ncluster = host\nnamespace = a").config();
        let of = config.remotes[0].clone();
        let found = found.into_iter().map(Object::Cluster).collect();
        config.hear(&vec![(of.clone(), of.listing(Ok(found)))]);
        config.settle(None, false);
        (config.members[1].origin.to_string(), config.source_faults)
    };
    for user in [broken(&user), user.clone()] {
        let (origin, faults) = settled(vec![user, main.clone()]);
        assert_eq!((origin.as_str(), &faults[..]), ("secret a/east-kubeconfig", &[][..]));
    }
    // The other one is better than nothing.
    let (origin, faults) = settled(vec![user, broken(&main)]);
    assert_eq!(origin, "secret a/east-user-kubeconfig");
    assert!(faults.len() == 2 && faults[0].ends_with("it is broken"), "{faults:?}");
}

#[test]
fn profiles_need_the_plugins_of_their_providers() {
    let keys = "profiles = *\nprofile-providers = /p.json\ncluster = host\nnamespace = a";
    let good = r#"{"providers": [{"name": "p", "execConfig": {"command": "c"}}]}"#;
    assert_eq!(remote(keys).file("/p.json", good).config().remotes.len(), 1);
    remote(keys).file("/p.json", "secret").faults(&[
        "dns.conf:8: [discovery] profile-providers: /p.json is not {\"providers\": [...]} at line 1",
    ]);
    remote(keys).faults(&["dns.conf:8: [discovery] profile-providers: /p.json cannot be read"]);
    let without = keys.replace("profile-providers = /p.json\n", "");
    remote(&without).faults(&["dns.conf:6: [discovery] profile-providers: is missing"]);
}
