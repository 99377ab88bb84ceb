//! The files that people start from: the reference `dns.conf`, the examples, and those inside of manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::*;
use crate::config::Raw;
use crate::config::schema::{SECTIONS, key_names};
use crate::registry::{Registry, providers};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{FILES}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The file is good, and its zones can be connected.
#[track_caller]
fn connected(case: &Case) -> Config {
    let config = case.config();
    assert_eq!(lines(&config.notes), "");
    for zone in &config.zones {
        if let Err(faults) = zone.connect(&Registry::new()) {
            panic!("{}", lines(&faults));
        }
    }
    config
}

/// The reference with each `#key = value` and `#[section]` taken for a line.
fn everything(text: &str) -> String {
    let open = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_alphanumeric()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(open).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_loads_and_says_what_it_means() {
    let config = connected(&case(&file("dns.conf")));
    assert_eq!((config.zones.len(), config.members.len()), (3, 2));
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let text = everything(&file("dns.conf"));
    let (raw, faults) = Raw::read("dns.conf", text.as_bytes(), &BTreeMap::new());
    assert_eq!(lines(&faults), "");
    let mut unknown = Vec::new();
    super::super::unknown::find(&raw, &mut unknown);
    assert_eq!(lines(&unknown), "");

    let written = |kinds: &[&str]| -> BTreeSet<String> {
        let sections = raw.sections.iter().filter(|section| kinds.contains(&section.kind.as_str()));
        sections.flat_map(|section| section.values.keys().cloned()).collect()
    };
    for section in SECTIONS {
        let missing: Vec<_> = section
            .keys
            .iter()
            .flat_map(key_names)
            .filter(|key| !written(&[section.kind]).contains(key))
            .collect();
        assert!(missing.is_empty(), "[{}] lacks {missing:?}", section.kind);
    }
    for provider in providers() {
        let missing: Vec<_> = provider
            .keys
            .iter()
            .flat_map(key_names)
            .filter(|key| !written(&["global", "zone"]).contains(key))
            .collect();
        assert!(missing.is_empty(), "{} lacks {missing:?}", provider.name);
    }
}

#[test]
fn what_the_reference_shows_is_a_value_that_works() {
    let reference = file("dns.conf");
    let shown = everything(&reference);
    // One line at a time, since some of them exclude each other.
    for (index, line) in shown.lines().enumerate() {
        let asked: Vec<&str> =
            reference.lines().enumerate().map(|(at, text)| if at == index { line } else { text }).collect();
        let faults = case(&asked.join("\n"))
            .file("/etc/fleetdns/probe-ca.pem", "")
            .file("/run/secrets/etcd-password", "x")
            .file("/etc/fleetdns/clusterprofile-providers.json", "{\"providers\": []}")
            .file("/run/secrets/azure-secret", "x")
            .file("/run/secrets/tsig-secret", "eA==")
            .file("/run/secrets/webhook-token", "x")
            .variable("TSIG_SECRET", "eA==")
            .variable("WEBHOOK_TOKEN", "x")
            .variable("ETCD_PASSWORD", "x")
            .variable("AZURE_CLIENT_SECRET", "x")
            .parse()
            .err()
            .unwrap_or_default();
        // Some keys of etcd, of replicas and of discovery need another beside them; nothing is wrong with themselves.
        let key = line.split(" =").next().unwrap();
        let needs = key.starts_with("etcd-")
            || ["lease", "cluster", "lease-time", "replica", "secrets", "profiles"].contains(&key);
        let others = needs && faults.iter().all(|fault| fault.key != key);
        assert!(faults.is_empty() || others, "{}", lines(&faults));
    }
}

#[test]
fn what_the_reference_calls_a_default_is_one() {
    let reference = file("dns.conf");
    let defaults = case(&reference).config();
    let mut count = 0;
    for key in [
        "owner",
        "federation-names",
        "ttl",
        "max-services",
        "max-object-size",
        "max-list-size",
        "path",
        "expect",
        "interval",
        "fast-interval",
        "timeout",
        "fall",
        "rise",
        "insecure",
        "min-kept",
        "all-down",
        "max-delete",
        "startup-timeout",
        "correlation-hold",
        "unprobeable",
        "grace",
        "hostname-grace",
        "drift",
        "listen",
        "log",
    ] {
        for line in reference.lines().filter(|line| line.starts_with(&format!("#{key} = "))) {
            let config = case(&reference.replacen(line, &line[1..], 1)).config();
            assert_eq!(format!("{:?}", config.fleet), format!("{:?}", defaults.fleet), "{line}");
            assert_eq!(
                (&config.probe, &config.brakes, &config.admin),
                (&defaults.probe, &defaults.brakes, &defaults.admin)
            );
            let settings =
                |config: &Config| config.zones.iter().map(|zone| zone.settings.clone()).collect::<Vec<_>>();
            assert_eq!(settings(&config), settings(&defaults), "{line}");
            count += 1;
        }
    }
    assert!(count >= 19, "{count}");
}

#[test]
fn the_examples_load() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(format!("{FILES}/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let case = case(&file(&format!("examples/{name}")))
            .variable("ETCD_PASSWORD", "x")
            .file("/run/secrets/azure-secret", "x")
            .file("/run/secrets/tsig-secret", "eA==");
        if name == "kubefed.conf" {
            let flags =
                "--federation-name myfederation --dns-provider azure-azuredns --dns-zone-name syncweek.com";
            let config = case.flags(flags).variable("KUBECONFIG", "a:b").contexts(&["west", "east"]).config();
            assert_eq!(config.zones[0].keys.get("secret"), Some("p#a;ss"));
        } else {
            assert_eq!(connected(&case).members.len(), 2, "{name}");
        }
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "azure.conf",
            "coredns-etcd.conf",
            "coredns-file.conf",
            "embedded.conf",
            "kubefed.conf",
            "rfc2136.conf",
            "route53.conf",
            "webhook.conf"
        ]
    );
}

#[test]
fn the_configuration_of_the_package_loads_once_it_is_no_comment_any_more() {
    let text = file("debian/dns.conf");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    assert_eq!(connected(&case(&everything(&text))).members.len(), 1);
}

#[test]
fn the_configs_of_kustomizations_load() {
    for (name, provider) in [("aks", "azure-azuredns"), ("eks", "aws-route53")] {
        let text = file(&format!("kustomize/{name}/dns.conf"));
        assert!(text.contains(&format!("provider = {provider}\n")), "{text}");
        // As the pod's environment says.
        let id = "00000000-0000-0000-0000-000000000000";
        let environment = format!("\ntenant-id = {id}\nclient-id = {id}\ntoken-file = /token\n");
        let text = text.replace("\ncredential = workload\n", &(environment + "credential = workload\n"));
        let config = connected(&case(&text).file("/token", "x"));
        assert_eq!(config.members[0].access, Access::InCluster, "{name}");
        // What it reads is what is mounted.
        let kustomization = file(&format!("kustomize/{name}/kustomization.yaml"));
        let Access::Kubeconfig { paths, .. } = &config.members[1].access else { panic!("{name}") };
        let mounted = paths[0].strip_prefix("/run/secrets/fleetdns").unwrap().display().to_string();
        assert!(kustomization.contains(&format!("files: [{mounted}]")), "{name}");
    }
}

/// The documents of a manifest.
fn manifest(name: &str) -> Vec<serde_json::Value> {
    let text = file(&format!("kubernetes/{name}"));
    text.split("\n---\n")
        .map(|part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

fn of_kind<'a>(documents: &'a [serde_json::Value], kind: &str) -> &'a serde_json::Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("{kind}"))
}

#[test]
fn the_configs_inside_of_manifests_load() {
    for (name, members) in [("deployment.yaml", 2), ("sidecar.yaml", 1)] {
        let documents = manifest(name);
        let text = of_kind(&documents, "ConfigMap")["data"]["dns.conf"].as_str().unwrap();
        let config = connected(&case(text).file("/run/secrets/fleetdns/etcd-password", "x"));
        assert_eq!(config.members.len(), members, "{name}");
        assert_eq!(config.members[0].access, Access::InCluster, "{name}");
    }
}

#[test]
fn what_a_manifest_mounts_is_what_its_config_reads() {
    let documents = manifest("deployment.yaml");
    let config = of_kind(&documents, "ConfigMap")["data"]["dns.conf"].as_str().unwrap();
    for key in of_kind(&documents, "Secret")["stringData"].as_object().unwrap().keys() {
        assert!(config.contains(&format!("= /run/secrets/fleetdns/{key}\n")), "{key}");
    }
    // A subPath never changes, and an edit of the config would not be taken up.
    assert!(!file("kubernetes/deployment.yaml").contains("\n              subPath:"));
    let documents = manifest("sidecar.yaml");
    let pod = &of_kind(&documents, "Deployment")["spec"]["template"]["spec"];
    for container in pod["containers"].as_array().unwrap() {
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["name"] == "zones" && mount["mountPath"] == "/zones"));
    }
}

#[test]
fn pods_run_with_the_least_rights() {
    for name in ["deployment.yaml", "sidecar.yaml"] {
        let documents = manifest(name);
        let spec = &of_kind(&documents, "Deployment")["spec"];
        let config = of_kind(&documents, "ConfigMap")["data"]["dns.conf"].as_str().unwrap();
        let strategy = if config.contains("[ha]") { (2, "RollingUpdate") } else { (1, "Recreate") };
        let told = (spec["replicas"].as_i64().unwrap(), spec["strategy"]["type"].as_str().unwrap());
        assert_eq!(told, strategy, "{name}");
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
    }
    let documents = manifest("discovery-rbac.yaml");
    let rules = serde_json::json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
        {"apiGroups": ["multicluster.x-k8s.io"], "resources": ["clusterprofiles"], "verbs": ["list", "watch"]},
    ]);
    assert_eq!(of_kind(&documents, "Role")["rules"], rules);
    for name in ["rbac.yaml", "member-rbac.yaml"] {
        let documents = manifest(name);
        for rule in of_kind(&documents, "ClusterRole")["rules"].as_array().unwrap() {
            assert_eq!(rule["verbs"], serde_json::json!(["get", "list", "watch"]), "{name}");
            assert_eq!(rule["resources"], serde_json::json!(["services", "nodes"]), "{name}");
        }
    }
}

#[test]
fn pods_are_probed_over_http_where_the_daemon_listens() {
    for name in ["deployment.yaml", "sidecar.yaml"] {
        let documents = manifest(name);
        let config = of_kind(&documents, "ConfigMap")["data"]["dns.conf"].as_str().unwrap();
        assert!(
            config.contains("\n    metrics = 0.0.0.0:8054\n")
                || config.contains("\nmetrics = 0.0.0.0:8054\n")
        );
        let pod = &of_kind(&documents, "Deployment")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], 8054, "{name}");
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let asks = &container[probe]["httpGet"];
            assert_eq!((&asks["path"], &asks["port"]), (&path.into(), &"metrics".into()), "{name} {probe}");
            for container in pod["containers"].as_array().unwrap() {
                assert!(container[probe]["httpGet"]["path"].is_string(), "{name} {probe} {container}");
            }
        }
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = file("systemd/fleetdns.service");
    assert!(unit.contains("\nLimitCORE=0\n") && unit.contains("\nWatchdogSec=60\n"));
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert_eq!(start, "ExecStart=/usr/bin/fleetdns run -c /etc/fleetdns/dns.conf");
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("systemd-analyze is not there: the unit is not verified");
        return;
    };
    assert!(version.status.success());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleetdns.service");
    let verify = |unit: &str| {
        std::fs::write(&path, unit).unwrap();
        let output =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.success(),
            said.lines().filter(|line| line.contains("fleetdns")).map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    // The binary of the unit is not installed here: something else that is there stands in its place.
    let (good, said) = verify(&unit.replace("/usr/bin/fleetdns", "/bin/true"));
    assert!(good && said.is_empty(), "{said:?}");
    let (_, said) = verify(
        &unit.replace("NoNewPrivileges=yes", "NoNewPrivilege=yes").replace("/usr/bin/fleetdns", "/bin/true"),
    );
    assert!(said.iter().any(|line| line.contains("NoNewPrivilege")), "verify sees faults: {said:?}");
}

/// What stands around a part of a file that a page shows.
const AROUND: &str =
    "[fleet]\nname = myfederation\n[zone \"example.com\"]\nprovider = embedded\n[cluster \"mgmt\"]\n";

#[test]
fn what_the_pages_show_can_be_read() {
    for (page, least) in [("../README.md", 1), ("README.md", 8)] {
        let text = file(page);
        let blocks = text.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut read = 0;
        for block in blocks {
            let mut around = AROUND.to_owned();
            if block.contains("[zone") {
                around.clear();
                if !block.contains("[cluster") {
                    around.push_str("[cluster \"mgmt\"]\n");
                }
            }
            let case = case(&format!("{block}\n{around}"))
                .variable("TSIG_SECRET", "eA==")
                .variable("AZURE_CLIENT_SECRET", "x");
            connected(&case);
            read += 1;
        }
        assert!(read >= least, "{page}: {read}");
    }
}
