//! The Helm chart and the kustomizations of config/ do on a real API server what they say, and agree with the plain manifests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fleetdns_tests::conf::Conf;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::{Member, client};
use fleetdns_tests::servers::Server;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::e2e_deployment::{config, kubeconfig_of, read};
use crate::e2e_endpoint::BACK;
use crate::e2e_members::fill;

/// Runs `helm` or `kubectl` as a user who has only this member in the kubeconfig; its output, or what it complains about.
fn run(program: PathBuf, member: &Member, arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", member.kubeconfig()).env("HOME", home.path());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn helm(member: &Member, arguments: &[&str]) -> Result<String, String> {
    run(Server::Helm.path(), member, arguments)
}

fn kubectl(member: &Member, arguments: &[&str]) -> Result<String, String> {
    run(Server::Kubectl.path(), member, arguments)
}

fn chart() -> String {
    config("helm/fleetdns").display().to_string()
}

/// Values for two replicas with everything switched on, and the zone of `conf`.
fn values(folder: &Path, conf: &str) -> String {
    let values = json!({
        "config": conf,
        "ha": {"cluster": "westus"},
        "secrets": {"eastus.kubeconfig": "{}"},
        "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
        "networkPolicy": {"from": [{"namespaceSelector": {}}]},
        "podLabels": {"azure.workload.identity/use": "true"},
        "env": [{"name": "TZ", "value": "UTC"}],
    });
    let path = folder.join("values.yaml");
    fs::write(&path, values.to_string()).unwrap();
    path.display().to_string()
}

fn documents(yaml: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    all.into_iter().filter(|one| !one.is_null()).collect()
}

/// The rules of each role of a kind.
fn rules(documents: &[Value], kind: &str) -> Vec<Value> {
    let of_kind = documents.iter().filter(|one| one["kind"] == kind);
    of_kind.map(|one| one["rules"].clone()).collect()
}

/// As much of Prometheus's operator as the API server needs to know.
fn service_monitors() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

const CONF: &str =
    "[fleet]\nname = myfederation\n\n[zone \"example.com\"]\nprovider = embedded\n\n[cluster \"westus\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_installs_a_daemon_with_its_rights_and_leaves_nothing() {
    let fleet = Fleet::start().await;
    let (west, folder) = (&fleet.west, tempfile::tempdir().unwrap());
    let (chart, values) = (chart(), values(folder.path(), CONF));
    for more in [&[][..], &["-f", &values], &["--set", "mode=member"]] {
        let linted = helm(west, &[&["lint", "--strict", &chart], more].concat());
        assert!(linted.is_ok(), "{more:?}: {linted:?}");
    }
    // The schema and the templates refuse what would not run.
    for (set, part) in [
        ("replica=1", "'replica' not allowed"),
        ("replicas=0", "/replicas"),
        ("mode=agent", "/mode"),
        ("ha.cluster=", "ha.cluster is missing"),
        ("config=[admin]", "which the chart adds"),
        ("config=[kubernetes]", "which the chart adds"),
        ("config=", "config is missing"),
    ] {
        let refused = helm(west, &["template", "fleetdns", &chart, "-f", &values, "--set", set]);
        let refused = refused.expect_err(set);
        assert!(refused.contains(part), "{set}: {refused}");
    }

    // The rights are those of the plain manifests, word for word.
    let rendered = helm(west, &["template", "fleetdns", &chart, "-n", "fleetdns", "-f", &values]).unwrap();
    let rendered = documents(&rendered);
    let member = helm(west, &["template", "fleetdns", &chart, "-n", "fleetdns", "--set", "mode=member"]);
    let member = documents(&member.unwrap());
    let plain = |path: &str| documents(&read(&format!("kubernetes/{path}")));
    assert_eq!(rules(&rendered, "ClusterRole"), rules(&plain("rbac.yaml"), "ClusterRole"));
    assert_eq!(rules(&rendered, "Role"), rules(&plain("ha-rbac.yaml"), "Role"));
    assert_eq!(rules(&member, "ClusterRole"), rules(&plain("member-rbac.yaml"), "ClusterRole"));
    let writes = "kubernetes.events=true,kubernetes.serviceIngresses=true";
    let writing =
        helm(west, &["template", "fleetdns", &chart, "--set", &format!("mode=member,{writes}")]).unwrap();
    let each = |all: &[Value]| -> Vec<Value> {
        rules(all, "ClusterRole").iter().flat_map(|rules| rules.as_array().unwrap().clone()).collect()
    };
    let both = [each(&plain("member-rbac.yaml")), each(&plain("member-events-rbac.yaml"))].concat();
    assert_eq!(each(&documents(&writing)), both);
    let find = |all: &[Value], kind| all.iter().find(|one| one["kind"] == kind).cloned().unwrap();
    let pod = |all: &[Value]| find(all, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone();
    let (ours, theirs) = (pod(&rendered), pod(&plain("deployment.yaml")));
    for same in
        ["image", "args", "securityContext", "startupProbe", "livenessProbe", "readinessProbe", "resources"]
    {
        assert_eq!(ours[same], theirs[same], "{same}");
    }
    let version = concat!(":", env!("CARGO_PKG_VERSION"));
    assert!(ours["image"].as_str().unwrap().ends_with(version), "{ours}");

    west.apply(&service_monitors()).await;
    let install =
        ["upgrade", "--install", "fleetdns", &chart, "-n", "fleetdns", "--create-namespace", "-f", &values];
    helm(west, &install).unwrap();
    let api = west.client();
    let deployments: Api<Deployment> = Api::namespaced(api.clone(), "fleetdns");
    let replicas = async || deployments.get("fleetdns").await.unwrap().spec.unwrap().replicas;
    assert_eq!(replicas().await, Some(2));
    helm(west, &[&install[..], &["--set", &format!("replicas=3,{writes}")]].concat()).unwrap();
    assert_eq!(replicas().await, Some(3));

    // What the pods would read, run here with the rights of their account.
    let maps: Api<ConfigMap> = Api::namespaced(api.clone(), "fleetdns");
    let written = maps.get("fleetdns").await.unwrap().data.unwrap()["dns.conf"].clone();
    assert!(written.starts_with(CONF.trim_end()), "{written}");
    let (_, more) = written.split_once("[kubernetes]\n").unwrap();
    assert!(more.contains("lease = fleetdns/fleetdns-ha"), "{written}");
    let kubeconfig = kubeconfig_of(west, "fleetdns", folder.path()).await;
    let conf = Conf::new(&fleet.dns.etcd_endpoint()).cluster("westus", &kubeconfig);
    let daemon = Daemon::start(&conf.more(&format!("[kubernetes]\n{more}"))).await;
    let check = daemon.command(&["check"]).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    // The first lease of all is left alone for as long as one lasts.
    let elected = BACK + Duration::from_secs(15);
    daemon.status_shows("that it leads", elected, |status| status["leads"] == true).await;

    helm(west, &["uninstall", "fleetdns", "-n", "fleetdns"]).unwrap();
    let left = kubectl(
        west,
        &[
            "-n",
            "fleetdns",
            "get",
            "deploy,svc,pdb,netpol,secret,sa,role,rolebinding,servicemonitor",
            "-o",
            "name",
        ],
    );
    assert_eq!(left.unwrap(), "");
    let roles = kubectl(
        west,
        &["get", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/name=fleetdns", "-o", "name"],
    );
    assert_eq!(roles.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kustomizations_apply_and_change_what_they_say() {
    let fleet = Fleet::start().await;
    let west = &fleet.west;
    let api = west.client();
    let deployments: Api<Deployment> = Api::namespaced(api.clone(), "fleetdns");
    let accounts: Api<ServiceAccount> = Api::namespaced(api.clone(), "fleetdns");
    let maps: Api<ConfigMap> = Api::namespaced(api.clone(), "fleetdns");
    for (folder, image, annotation, label, provider) in [
        ("kubernetes", "localhost/fleetdns:", None, None, "coredns"),
        (
            "kustomize/aks",
            "registry.example.com/fleetdns:",
            Some("azure.workload.identity/client-id"),
            Some("azure.workload.identity/use"),
            "azure-azuredns",
        ),
        (
            "kustomize/eks",
            "registry.example.com/fleetdns:",
            Some("eks.amazonaws.com/role-arn"),
            None,
            "aws-route53",
        ),
    ] {
        let path = config(folder).display().to_string();
        let applied = kubectl(west, &["apply", "-k", &path]);
        assert!(applied.is_ok(), "{folder}: {applied:?}");
        let template = deployments.get("fleetdns").await.unwrap().spec.unwrap().template;
        let labels = template.metadata.unwrap().labels.unwrap();
        let named = template.spec.unwrap().containers[0].image.clone().unwrap();
        assert_eq!(named, format!("{image}{}", env!("CARGO_PKG_VERSION")), "{folder}");
        let annotations = accounts.get("fleetdns").await.unwrap().metadata.annotations.unwrap_or_default();
        assert!(annotation.is_none_or(|name| annotations.contains_key(name)), "{folder}: {annotations:?}");
        assert!(label.is_none_or(|name| labels.contains_key(name)), "{folder}: {labels:?}");
        let conf = maps.get("fleetdns").await.unwrap().data.unwrap()["dns.conf"].clone();
        assert!(conf.contains(&format!("provider = {provider}\n")), "{folder}: {conf}");
        let deleted = kubectl(west, &["delete", "-k", &path, "--wait=false"]);
        assert!(deleted.is_ok(), "{folder}: {deleted:?}");
        let member = config(folder).join("member.yaml");
        if member.exists() {
            fleet.east.apply_yaml(&fs::read_to_string(member).unwrap()).await;
        }
        // Nobody else empties a namespace here.
        end_namespace(west).await;
    }
    let services: Api<Service> = Api::namespaced(api, "fleetdns");
    assert!(services.list(&ListParams::default()).await.unwrap().items.is_empty());
}

/// What the namespace controller of a cluster does: a namespace that is deleted goes.
async fn end_namespace(member: &Member) {
    let namespaces: Api<Namespace> = Api::all(member.client());
    let gone =
        kubectl(member, &["get", "namespace", "fleetdns", "--ignore-not-found", "-o", "name"]).unwrap();
    if !gone.is_empty() {
        let mut namespace = namespaces.get("fleetdns").await.unwrap();
        namespace.spec = None;
        let finalized =
            namespaces.replace_subresource("finalize", "fleetdns", &PostParams::default(), &namespace).await;
        finalized.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn member_kubeconfig_makes_an_account_with_kubectl_alone() {
    let fleet = Fleet::start().await;
    let (east, folder) = (&fleet.east, tempfile::tempdir().unwrap());
    let made = folder.path().join("eastus.kubeconfig");
    // kubectl is on the path.
    let servers = Server::Kubectl.path();
    let path = format!("{}:{}", servers.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let script = || {
        let mut command = Command::new(config("kubernetes/member-kubeconfig"));
        command.arg("eastus").arg(&made).env("KUBECONFIG", east.kubeconfig()).env("PATH", &path);
        command.output().unwrap()
    };
    let filling = tokio::spawn(fill(east.client()));
    let output = tokio::task::block_in_place(script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    filling.await.unwrap();
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&made).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let token = file["users"][0]["user"]["token"].as_str().unwrap();
    assert!(token.len() > 100 && !said.contains(token), "the token is shown");
    // It reads Services and nothing else.
    let reads: Api<Service> = Api::all(client(&made).await);
    assert!(!reads.list(&ListParams::default()).await.unwrap().items.is_empty());
    let maps: Api<ConfigMap> = Api::all(client(&made).await);
    assert!(maps.list(&ListParams::default()).await.is_err());
    let again = tokio::task::block_in_place(script);
    assert!(!again.status.success() && fs::read_to_string(&made).unwrap() == text);
}
