//! What stands in config/ to run the daemon by is true: manifests, their rights, the systemd unit and its readiness.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::Conf;
use fleetdns_tests::daemon::{Daemon, binary, fleetdns};
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::{Member, client};
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use fleetdns_tests::race::Race;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::Role;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::Value;

use crate::e2e_endpoint::{BACK, both, without_east};

pub(crate) fn config(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(path)
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(config(path)).unwrap_or_else(|e| panic!("config/{path}: {e}"))
}

/// A kubeconfig with a token that the API made for a service account of namespace `fleetdns`.
pub(crate) async fn kubeconfig_of(member: &Member, account: &str, folder: &Path) -> PathBuf {
    let accounts: Api<ServiceAccount> = Api::namespaced(member.client(), "fleetdns");
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    let mut kubeconfig: Value =
        serde_json::from_str(&fs::read_to_string(member.kubeconfig()).unwrap()).unwrap();
    kubeconfig["users"][0]["user"]["token"] = token.status.unwrap().token.into();
    let path = folder.join(format!("{}.kubeconfig", member.name()));
    fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_apply_and_their_rights_are_enough_and_no_more() {
    let fleet = Fleet::start().await;
    fleet.east.apply_yaml(&read("kubernetes/member-rbac.yaml")).await;
    for file in ["rbac.yaml", "ha-rbac.yaml", "deployment.yaml", "sidecar.yaml"] {
        fleet.west.apply_yaml(&read(&format!("kubernetes/{file}"))).await;
    }
    // The last two are applied where clusters are discovered, and where they are written to.
    let tried = [
        "rbac.yaml",
        "ha-rbac.yaml",
        "deployment.yaml",
        "sidecar.yaml",
        "member-rbac.yaml",
        "discovery-rbac.yaml",
        // By kubectl.
        "kustomization.yaml",
        "member-kubeconfig",
        "member-events-rbac.yaml",
    ];
    for file in fs::read_dir(config("kubernetes")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(tried.contains(&&*name), "config/kubernetes/{name} is applied nowhere");
    }

    let folder = tempfile::tempdir().unwrap();
    let west = kubeconfig_of(&fleet.west, "fleetdns", folder.path()).await;
    let east = kubeconfig_of(&fleet.east, "fleetdns-reader", folder.path()).await;
    let conf = Conf::new(&fleet.dns.etcd_endpoint()).cluster("westus", &west).cluster("eastus", &east);
    // As in deployment.yaml.
    let conf = conf.more("[ha]\nlease = fleetdns/fleetdns-ha\ncluster = westus\n");
    let mut daemon = Daemon::start(&conf).await;
    let check = daemon.command(&["check"]).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(
        check.out.contains("fleetdns/fleetdns-ha in cluster westus can be read and written"),
        "{check:?}"
    );
    // The first lease of all is left alone for as long as one lasts.
    let leads = |status: &Value| status["leads"] == true;
    daemon.status_shows("that the first replica leads", BACK * 2, leads).await;
    let follower = Daemon::start(&conf).await;
    let follows = |status: &Value| status["replica"].as_str().unwrap_or_default().contains("follows");
    follower.status_shows("that the second replica follows", BACK, follows).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [one, other] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &one, &other).await;
    // Regions and zones come from the nodes, that they may read too.
    let race = Race::start("published with the rights of the manifests", BACK);
    both(&race, fleet.server(), "calculatorlb", &one, &other).await;
    race.done();
    // The one that follows takes an order, and the lease.
    let drained = follower.command(&["drain", "eastus"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let race = Race::start("drained with the rights of the manifests", BACK);
    without_east(&race, fleet.server(), "calculatorlb", &one).await;
    daemon.terminate().await;
    follower.status_shows("that the second replica leads", BACK, leads).await;

    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    };
    let maps: Api<ConfigMap> = Api::namespaced(client(&west).await, "fleetdns");
    assert!(maps.get("fleetdns-ha").await.is_ok());
    assert_eq!(maps.get("fleetdns").await.map_err(code).unwrap_err(), 403, "the configuration of the pods");
    let deleted = maps.delete("fleetdns-ha", &DeleteParams::default()).await;
    assert_eq!(deleted.map_err(code).unwrap_err(), 403);
    let leases: Api<Lease> = Api::namespaced(client(&west).await, "fleetdns");
    assert_eq!(leases.get("other").await.map_err(code).unwrap_err(), 403);
    let deleted = leases.delete("fleetdns-ha", &DeleteParams::default()).await;
    assert_eq!(deleted.map_err(code).unwrap_err(), 403);
    for kubeconfig in [&west, &east] {
        let client = client(kubeconfig).await;
        let secrets: Api<Secret> = Api::all(client.clone());
        assert_eq!(secrets.list(&ListParams::default()).await.map_err(code).unwrap_err(), 403);
        let nodes: Api<Node> = Api::all(client.clone());
        assert!(!nodes.list(&ListParams::default()).await.unwrap().items.is_empty());
        assert_eq!(nodes.delete("node-1", &DeleteParams::default()).await.map_err(code).unwrap_err(), 403);
        let services: Api<Service> = Api::namespaced(client, "default");
        let deleted = services.delete("calculatorlb", &DeleteParams::default()).await;
        assert_eq!(deleted.map_err(code).unwrap_err(), 403);
    }
}

/// Each rule of the Role is needed, and `check` says so before anybody has written a Lease or a ConfigMap.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_a_right_of_the_replicas_that_is_missing() {
    let member = Member::start("westus").await;
    for file in ["rbac.yaml", "ha-rbac.yaml"] {
        member.apply_yaml(&read(&format!("kubernetes/{file}"))).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig_of(&member, "fleetdns", folder.path()).await;
    let zone = format!("provider = embedded\nlisten = {}\n", ports::free_address());
    let conf = Conf::with_zone(&zone).cluster("westus", &kubeconfig);
    let path = folder.path().join("dns.conf");
    fs::write(&path, conf.more("[ha]\nlease = fleetdns/fleetdns-ha\ncluster = westus\n").text()).unwrap();
    // The API reads a changed Role a moment later.
    let checked = async |code: i32, words: &str| {
        eventually(words, BACK, Duration::from_millis(200), async || {
            let said = fleetdns(&["check", "-c", &path.display().to_string()]).await;
            let right = said.code == Some(code) && said.out.contains(words);
            if right { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
    };
    let roles: Api<Role> = Api::namespaced(member.client(), "fleetdns");
    let mut whole = roles.get("fleetdns-ha").await.unwrap();
    whole.metadata.resource_version = None;
    for (rule, plural) in ["leases", "configmaps", "leases", "configmaps"].into_iter().enumerate() {
        let mut role = whole.clone();
        role.rules.as_mut().unwrap().remove(rule);
        roles.replace("fleetdns-ha", &PostParams::default(), &role).await.unwrap();
        checked(1, &format!("grant get, patch and create of {plural} in namespace fleetdns with a Role"))
            .await;
        roles.replace("fleetdns-ha", &PostParams::default(), &whole).await.unwrap();
        checked(0, "can be read and written; nobody has the lease").await;
    }
    let leases: Api<Lease> = Api::namespaced(member.client(), "fleetdns");
    assert!(leases.list(&ListParams::default()).await.unwrap().items.is_empty(), "check writes nothing");
}

#[test]
fn systemd_accepts_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("fleetdns.service");
    let text = read("systemd/fleetdns.service");
    let is_start = |line: &&str| line.starts_with("ExecStart=/usr/bin/fleetdns run ");
    assert_eq!(text.lines().filter(is_start).count(), 1, "{text}");
    // systemd looks whether the program is there.
    let text = text.replace("=/usr/bin/fleetdns ", &format!("={} ", binary().display()));
    fs::write(&unit, text).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let verified = verified.unwrap_or_else(|e| {
        panic!("systemd-analyze cannot be run: {e}; install it: apt-get install systemd, dnf install systemd")
    });
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("fleetdns.service:"), "{said}");
}

/// What the daemon told its service manager until `enough`.
fn told(socket: &UnixDatagram, budget: Duration, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    let start = Instant::now();
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while !enough(&all) {
        let left = budget.saturating_sub(start.elapsed());
        assert!(!left.is_zero(), "not within {budget:?}; told: {all:#?}");
        socket.set_read_timeout(Some(left)).unwrap();
        if let Ok(length) = socket.recv(&mut buffer) {
            all.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_that_it_runs_and_goes_on_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let conf = Conf::with_zone(&format!("provider = embedded\nlisten = {}\n", ports::free_address()))
        .cluster("away", &folder.path().join("nowhere"));
    // Two seconds: it has to be told at least once in each.
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let mut daemon = Daemon::spawn(&conf, &environment);
    let counts = |all: &[String], start: &str| all.iter().filter(|line| line.starts_with(start)).count();
    // The first line may come before the cluster is known.
    let known = |all: &[String]| all.iter().any(|line| line.contains("0 of 1 clusters live"));
    let first = told(&socket, Duration::from_secs(10), known);
    assert_eq!(first.first().map(String::as_str), Some("READY=1"), "{first:?}");
    let start = Instant::now();
    told(&socket, Duration::from_secs(8), |all| counts(all, "WATCHDOG=1") >= 4);
    eprintln!("4 signs of life in {:.2?} of 8s", start.elapsed());
    daemon.hang_up();
    let reloaded = |all: &[String]| counts(all, "READY=1") >= 1;
    let reload = told(&socket, Duration::from_secs(8), reloaded);
    let at = |start: &str| reload.iter().position(|line| line.starts_with(start));
    assert!(at("RELOADING=1") < at("READY=1") && at("MONOTONIC_USEC=").is_some(), "{reload:?}");
    let (ended, took) = daemon.terminate().await;
    assert!(ended.success() && took < Duration::from_secs(6), "{ended} after {took:?}");
    told(&socket, Duration::from_secs(1), |all| counts(all, "STOPPING=1") == 1);
}
