//! Members that come and go beside the sections: kubeconfigs in a directory, and in Secrets of a host cluster.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetdns_tests::access::Access;
use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::e2e_endpoint::{BACK, both};

/// From a change of a source to its effect: some looks at it, and what follows.
const NOTICED: Duration = Duration::from_secs(20);
const SERVICE: &str = "calculatorlb";

/// A fleet whose Service is published in both members, with the addresses there.
struct World {
    fleet: Fleet,
    ips: [String; 2],
    _endpoints: [Endpoint; 2],
}

impl World {
    async fn start() -> Self {
        let fleet = Fleet::start().await;
        let endpoints = [(); 2].map(|()| Endpoint::on_port(5001));
        let ips = endpoints.each_ref().map(|endpoint| endpoint.ip().to_string());
        fleet.publish(&NewService::new("default", SERVICE).port(5001), &ips[0], &ips[1]).await;
        Self { fleet, ips, _endpoints: endpoints }
    }

    async fn both(&self, what: &str, budget: Duration) {
        let [west, east] = &self.ips;
        both(&Race::start(what, budget), self.fleet.server(), SERVICE, west, east).await;
    }

    async fn west_alone(&self, what: &str) {
        let race = Race::start(what, NOTICED);
        race.answers(self.fleet.server(), &name(SERVICE, ""), "A", &[&self.ips[0]]).await;
        race.done();
    }

    async fn both_stay(&self, time: Duration) {
        let [west, east] = &self.ips;
        dns::assert_stays(self.fleet.server(), &name(SERVICE, ""), "A", &[west, east], time).await;
    }

    fn conf(&self, directory: &Path) -> Conf {
        let without = self.fleet.conf().without("westus").without("eastus");
        without.more(&format!("[discovery]\ndirectory = {}", directory.display()))
    }
}

/// Waits until `status` has one fault of a source with this in it, or none.
async fn fault(daemon: &Daemon, part: Option<&str>) {
    let faults = |status: &Value| match (status["source_faults"].as_array().unwrap().as_slice(), part) {
        ([], None) => true,
        ([one], Some(part)) => one.as_str().unwrap().contains(part),
        _ => false,
    };
    daemon.status_shows(part.unwrap_or("no fault"), NOTICED, faults).await;
    let expected = format!("fleetdns_discovery_faults {}.0\n", i32::from(part.is_some()));
    assert!(daemon.metrics().contains(&expected), "no {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_is_dropped_joins_and_one_that_is_removed_drains() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(world.fleet.west.kubeconfig(), path("westus.kubeconfig")).unwrap();
    let daemon = Daemon::start(&world.conf(folder.path())).await;
    world.west_alone("one is there").await;
    let (east, kubeconfig) = (path("eastus"), fs::read_to_string(world.fleet.east.kubeconfig()).unwrap());
    fs::write(&east, &kubeconfig).unwrap();
    world.both("a kubeconfig is dropped", NOTICED).await;

    // Where it comes from is said, and kubefed's commands leave it alone.
    let source = east.display().to_string();
    assert_eq!(cluster(&daemon.status().await, "eastus")["source"], source);
    for command in [&["get", "clusters", "-o", "wide"][..], &["clusters", "-o", "wide"], &["check"]] {
        let printed = daemon.command(command).await;
        assert!(printed.code == Some(0) && printed.out.contains(&source), "{command:?} {printed:?}");
    }
    for command in [&["unjoin", "eastus"][..], &["join", "eastus", "--kubeconfig", &source]] {
        let refused = daemon.command(command).await;
        assert!(refused.code == Some(1) && refused.err.contains(&source), "{command:?} {refused:?}");
    }

    // Half of a file changes nothing for its member, nor does a second file of the same cluster.
    let lists = daemon.log().matches("member listed").count();
    fs::write(&east, &kubeconfig[..kubeconfig.len() / 2]).unwrap();
    fault(&daemon, Some("what was read before stands")).await;
    world.both_stay(Duration::from_secs(3)).await;
    assert_eq!(cluster(&daemon.status().await, "eastus")["inventory"], "live");
    fs::write(&east, &kubeconfig).unwrap();
    fault(&daemon, None).await;
    fs::write(path("again.yaml"), &kubeconfig).unwrap();
    fault(&daemon, Some("its API server is that of cluster eastus")).await;
    fs::remove_file(path("again.yaml")).unwrap();
    fault(&daemon, None).await;
    assert_eq!(daemon.log().matches("member listed").count(), lists, "{}", daemon.log());

    fs::remove_file(&east).unwrap();
    world.west_alone("a kubeconfig is removed").await;
    let status = daemon.status().await;
    assert_eq!(cluster(&status, "eastus")["inventory"], "removed");
    assert_eq!((&status["source_faults"], &status["config_faults"]), (&json!([]), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_fails_or_empties_removes_nobody_until_that_is_confirmed() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (clusters, elsewhere) = (folder.path().join("clusters"), folder.path().join("elsewhere"));
    // As Kubernetes mounts a Secret.
    let version = clusters.join("..1");
    fs::create_dir_all(&version).unwrap();
    symlink("..1", clusters.join("..data")).unwrap();
    for (name, member) in [("westus", &world.fleet.west), ("eastus", &world.fleet.east)] {
        fs::copy(member.kubeconfig(), version.join(name)).unwrap();
        symlink(format!("..data/{name}"), clusters.join(name)).unwrap();
    }
    let mut daemon = Daemon::start(&world.conf(&clusters)).await;
    world.both("published", BACK).await;

    fs::rename(&clusters, &elsewhere).unwrap();
    fault(&daemon, Some("cannot be read")).await;
    let reloaded = daemon.command(&["reload"]).await;
    assert!(reloaded.code == Some(1) && reloaded.out.contains("cannot be read"), "{reloaded:?}");
    world.both_stay(Duration::from_secs(3)).await;
    fs::rename(&elsewhere, &clusters).unwrap();
    fault(&daemon, None).await;

    // A start without it: who is a member is not known, and the zone's records stand.
    daemon.kill();
    fs::rename(&clusters, &elsewhere).unwrap();
    daemon.start_again();
    daemon.ready(NOTICED).await;
    fault(&daemon, Some("cannot be read")).await;
    let stale = |status: &Value| cluster(status, "eastus")["inventory"] == "stale";
    daemon.status_shows("a member that the zone knows", NOTICED, stale).await;
    world.both_stay(Duration::from_secs(8)).await;
    fs::rename(&elsewhere, &clusters).unwrap();
    fault(&daemon, None).await;
    for member in ["westus", "eastus"] {
        daemon.inventory_is(member, "live", NOTICED).await;
    }
    world.both_stay(Duration::from_secs(2)).await;

    // Emptied at once, and looked at again.
    for name in ["westus", "eastus"] {
        fs::remove_file(clusters.join(name)).unwrap();
    }
    fault(&daemon, Some("2 of 2 clusters are gone at once and stay")).await;
    fs::write(clusters.join(".touched"), "").unwrap();
    world.both_stay(Duration::from_secs(10)).await;
    let reloaded = daemon.command(&["reload", "-o", "json"]).await;
    let changes = json!(["cluster eastus removed", "cluster westus removed"]);
    assert_eq!(reloaded.json()["changes"], changes, "{reloaded:?}");
    fault(&daemon, None).await;
    assert_eq!(cluster(&daemon.status().await, "eastus")["inventory"], "removed");
}

/// The namespace of `config/kubernetes/discovery-rbac.yaml`.
const NAMESPACE: &str = "fleet-system";

fn kubeconfig(member: &Member) -> Value {
    let text = fs::read_to_string(member.kubeconfig()).unwrap();
    let mut read: Value = serde_json::from_str(&text).unwrap();
    let cluster = &mut read["clusters"][0]["cluster"];
    let authority = fs::read(cluster["certificate-authority"].take().as_str().unwrap()).unwrap();
    *cluster = json!({"server": cluster["server"], "certificate-authority-data": STANDARD.encode(authority)});
    read
}

/// Makes a Secret, or changes it.
async fn secret(host: &Member, name: &str, labels: &Value, data: &Value) {
    let mut labels = labels.clone();
    labels["fleet"] = "yes".into();
    let metadata = json!({"name": name, "namespace": NAMESPACE, "labels": labels});
    host.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))
        .await;
}

async fn delete_secrets(host: &Member, selector: &str) {
    let secrets: Api<Secret> = Api::namespaced(host.client(), NAMESPACE);
    secrets
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels(selector))
        .await
        .unwrap();
}

/// `westus` is the host cluster, of which the daemon may read Services and nodes.
fn with_secrets(world: &World, more: &str) -> Conf {
    let host = world.fleet.west.kubeconfig_for(Access::Reader);
    let conf = world.fleet.conf().without("westus").without("eastus").cluster("westus", &host);
    conf.more(&format!("[discovery]\nsecrets = fleet=yes\ncluster = westus\nnamespace = {NAMESPACE}\n{more}"))
}

async fn grant(host: &Member) {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/kubernetes/discovery-rbac.yaml"));
    let account = "kind: ServiceAccount\n    name: fleetdns\n    namespace: fleetdns";
    let text = text.unwrap();
    assert!(text.contains(account), "{text}");
    let user = "kind: User\n    name: reader\n    apiGroup: rbac.authorization.k8s.io";
    host.apply_yaml(&text.replace(account, user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_in_a_secret_joins_and_a_source_that_fails_or_empties_removes_nobody() {
    let mut world = World::start().await;
    world.fleet.west.create_namespace(NAMESPACE).await;
    let mut daemon = Daemon::start(&with_secrets(&world, "")).await;
    fault(&daemon, Some("config/kubernetes/discovery-rbac.yaml has the rights")).await;
    grant(&world.fleet.west).await;
    fault(&daemon, Some("has no cluster")).await;

    // As Cluster API makes it, with another Secret under the same label.
    let east = kubeconfig(&world.fleet.east).to_string();
    let of_east = json!({"cluster.x-k8s.io/cluster-name": "eastus"});
    secret(&world.fleet.west, "eastus-ca", &of_east, &json!({"tls.crt": "x", "tls.key": "y"})).await;
    secret(&world.fleet.west, "eastus-kubeconfig", &of_east, &json!({"value": east})).await;
    world.both("a Secret is made", NOTICED).await;
    fault(&daemon, None).await;
    let source = "secret fleet-system/eastus-kubeconfig";
    assert_eq!(cluster(&daemon.status().await, "eastus")["source"], source);
    let check = daemon.command(&["check"]).await;
    assert!(check.code == Some(0) && check.out.contains(&format!("cluster eastus ({source})")), "{check:?}");
    let refused = daemon
        .command(&["join", "eastus", "--kubeconfig", &world.fleet.east.kubeconfig().display().to_string()])
        .await;
    assert!(refused.code == Some(1) && refused.err.contains(source), "{refused:?}");

    // What cannot be used changes nothing for its member, and no other one takes its place.
    secret(&world.fleet.west, "eastus-kubeconfig", &of_east, &json!({"value": "half of a kubeconfig"})).await;
    fault(&daemon, Some("what was read before stands")).await;
    secret(&world.fleet.west, "eastus-kubeconfig", &of_east, &json!({"value": east})).await;
    fault(&daemon, None).await;
    secret(&world.fleet.west, "aaa", &json!({}), &json!({"value": east})).await;
    fault(
        &daemon,
        Some("cluster aaa of secret fleet-system/aaa is left out: its API server is that of cluster eastus"),
    )
    .await;
    secret(
        &world.fleet.west,
        "aaa",
        &json!({"cluster.x-k8s.io/cluster-name": "eastus"}),
        &json!({"value": east}),
    )
    .await;
    // Another kubeconfig of the same cluster, as providers make it for people: nothing is said of it.
    fault(&daemon, None).await;
    let secrets: Api<Secret> = Api::namespaced(world.fleet.west.client(), NAMESPACE);
    secrets.delete("aaa", &DeleteParams::default()).await.unwrap();
    fault(&daemon, None).await;

    // The host cluster is away, at a start too.
    world.fleet.west.kill_api();
    fault(&daemon, Some("cannot be read")).await;
    world.both_stay(Duration::from_secs(3)).await;
    daemon.kill();
    daemon.start_again();
    // It is not ready while a member is awaited.
    eventually("the daemon to answer", NOTICED, Duration::from_millis(100), async || {
        let printed = daemon.command(&["status"]).await;
        if printed.code == Some(0) { Ok(()) } else { Err(printed.err) }
    })
    .await;
    fault(&daemon, Some("cannot be read")).await;
    let stale = |status: &Value| cluster(status, "eastus")["inventory"] == "stale";
    daemon.status_shows("a member that the zone knows", NOTICED, stale).await;
    world.both_stay(Duration::from_secs(5)).await;
    world.fleet.west.restart_api().await;
    fault(&daemon, None).await;
    daemon.inventory_is("eastus", "live", NOTICED).await;

    // As Argo CD has it: a second one, whose API server nobody reaches. Then all go at once.
    let config = json!({"bearerToken": "top-secret", "tlsClientConfig": {"insecure": true}}).to_string();
    let argo = json!({"name": "third", "server": "https://127.0.0.1:9", "config": config});
    secret(&world.fleet.west, "cluster-third", &json!({}), &argo).await;
    let joined =
        |status: &Value| status["clusters"].as_array().unwrap().iter().any(|one| one["name"] == "third");
    daemon.status_shows("the third one", NOTICED, joined).await;
    delete_secrets(&world.fleet.west, "fleet=yes").await;
    fault(&daemon, Some("2 of 2 clusters are gone at once and stay")).await;
    world.both_stay(Duration::from_secs(5)).await;
    let reloaded = daemon.command(&["reload", "-o", "json"]).await;
    let changes = json!(["cluster eastus removed", "cluster third removed"]);
    assert_eq!(reloaded.json()["changes"], changes, "{reloaded:?}");
    world.west_alone("a loss is confirmed").await;
    assert!(!daemon.log().contains("top-secret") && !daemon.log().contains("token-of"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_runs_no_command_and_one_that_is_deleted_drains() {
    let world = World::start().await;
    let host = &world.fleet.west;
    host.create_namespace(NAMESPACE).await;
    grant(host).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let mut hostile = kubeconfig(&world.fleet.east);
    hostile["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [ran.display().to_string()],
    }});
    secret(host, "eastus", &json!({}), &json!({"kubeconfig": hostile.to_string()})).await;
    let daemon = Daemon::start(&with_secrets(&world, "")).await;
    fault(&daemon, Some("it runs a credential plugin; [discovery] allow = exec lets it")).await;
    let stale = |status: &Value| cluster(status, "eastus")["fault"].to_string().contains("credential plugin");
    daemon.status_shows("the member's fault", NOTICED, stale).await;
    assert!(!ran.exists(), "a Secret ran a command");

    // With a token it may be used, and then it is deleted.
    let good = kubeconfig(&world.fleet.east).to_string();
    secret(host, "eastus", &json!({}), &json!({"kubeconfig": good})).await;
    world.both("the kubeconfig is mended", NOTICED).await;
    fault(&daemon, None).await;
    delete_secrets(host, "fleet=yes").await;
    world.west_alone("a Secret is deleted").await;
    assert_eq!(cluster(&daemon.status().await, "eastus")["inventory"], "removed");
    assert!(!ran.exists());

    // Whoever allows it gets it.
    secret(host, "eastus", &json!({}), &json!({"kubeconfig": hostile.to_string()})).await;
    daemon.write_conf(&with_secrets(&world, "allow = exec"));
    let deadline = std::time::Instant::now() + NOTICED;
    while !ran.exists() {
        assert!(std::time::Instant::now() < deadline, "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As much of the CustomResourceDefinition as the test needs.
fn profiles() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterprofiles.multicluster.x-k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/4322"}},
        "spec": {
            "group": "multicluster.x-k8s.io", "scope": "Namespaced",
            "names": {"kind": "ClusterProfile", "plural": "clusterprofiles", "singular": "clusterprofile"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusterprofile_joins_with_the_plugin_of_its_provider() {
    let world = World::start().await;
    let host = &world.fleet.west;
    host.create_namespace(NAMESPACE).await;
    grant(host).await;
    host.apply(&profiles()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // The plugin is told the cluster, and what the profile adds for it.
    let east = kubeconfig(&world.fleet.east);
    let token = east["users"][0]["user"]["token"].as_str().unwrap();
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token}});
    let script = format!(
        "#!/bin/sh\necho \"$KUBERNETES_EXEC_INFO\" > {}\ncat <<'E'\n{credential}\nE\n",
        path("info").display()
    );
    fs::write(path("plugin"), script).unwrap();
    fs::set_permissions(path("plugin"), fs::Permissions::from_mode(0o755)).unwrap();
    let plugin = json!({"command": "./plugin", "provideClusterInfo": true});
    fs::write(
        path("providers.json"),
        json!({"providers": [{"name": "p", "execConfig": plugin}]}).to_string(),
    )
    .unwrap();

    let more = format!("profiles = *\nprofile-providers = {}", path("providers.json").display());
    let conf = with_secrets(&world, &more);
    let daemon = Daemon::start(&conf).await;
    let mut cluster_info = east["clusters"][0]["cluster"].clone();
    let extension =
        json!({"name": "client.authentication.k8s.io/exec", "extension": {"clusterName": "spoke"}});
    cluster_info["extensions"] = json!([extension]);
    let profile = |providers: &Value| {
        json!({
            "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ClusterProfile",
            "metadata": {"name": "eastus", "namespace": NAMESPACE},
            "spec": {"clusterManager": {"name": "test"}}, "status": {"accessProviders": providers},
        })
    };
    // The API serves the kind a moment after it was made.
    eventually("the kind to be served", NOTICED, Duration::from_millis(200), async || {
        let kind = kube::core::GroupVersionKind::gvk("multicluster.x-k8s.io", "v1alpha1", "ClusterProfile");
        kube::discovery::oneshot::pinned_kind(&host.client(), &kind)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    })
    .await;
    host.apply(&profile(&json!([{"name": "other", "cluster": cluster_info}]))).await;
    let unknown = |status: &Value| {
        status["source_faults"].to_string().contains("none of its access providers is one of p")
    };
    daemon.status_shows("a provider that is not known", NOTICED, unknown).await;
    host.apply(&profile(&json!([{"name": "p", "cluster": cluster_info}]))).await;
    world.both("a profile names its provider", NOTICED).await;
    assert_eq!(cluster(&daemon.status().await, "eastus")["source"], "clusterprofile fleet-system/eastus");
    let info: Value = serde_json::from_str(&fs::read_to_string(path("info")).unwrap()).unwrap();
    assert_eq!(info["spec"]["cluster"]["config"]["clusterName"], "spoke", "{info}");
    assert!(!daemon.log().contains(token), "{}", daemon.log());
}
