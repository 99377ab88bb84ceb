//! Members that come and go beside the sections: kubeconfigs in a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
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
