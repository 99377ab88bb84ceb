//! What the daemon writes into the clusters when it is asked to: Events about Services, and kubefed's annotation.

use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::{Member, client};
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use k8s_openapi::api::core::v1::{Event, Node, Service};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::e2e_deployment::{kubeconfig_of, read};
use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

const ANNOTATION: &str = "federation.kubernetes.io/service-ingresses";
const SERVICE: &str = "calculatorlb";
/// One lease, and what it takes to see that it is over.
const ELECTED: Duration = Duration::from_secs(30);
/// The way over the journal and the queue of a cluster, and a request.
const WRITTEN: Duration = Duration::from_secs(10);

/// Reason, type, message and count of each Event of ours about the Service: the API server's repair of cluster IPs writes
/// Events about it too.
async fn events(member: &Member) -> Vec<(String, String, String, i32)> {
    let all: Api<Event> = Api::namespaced(member.client(), "default");
    let service = service(member).await;
    let uid = service.metadata.uid.unwrap();
    // What kubectl describe asks for.
    let params =
        ListParams::default().fields(&format!("involvedObject.kind=Service,involvedObject.uid={uid}"));
    let line = |event: Event| {
        let text = Option::unwrap_or_default;
        (text(event.reason), text(event.type_), text(event.message), event.count.unwrap_or_default())
    };
    let ours = |event: &Event| {
        event.source.as_ref().is_some_and(|source| source.component.as_deref() == Some("fleetdns"))
    };
    all.list(&params).await.unwrap().items.into_iter().filter(ours).map(line).collect()
}

async fn service(member: &Member) -> Service {
    member.services("default").get(SERVICE).await.unwrap()
}

fn annotation(service: &Service) -> Option<&str> {
    service.metadata.annotations.as_ref()?.get(ANNOTATION).map(String::as_str)
}

/// Waits for an Event with this reason, type and parts of its message, and returns how many there are.
async fn shows(member: &Member, reason: &str, kind: &str, parts: &[&str]) -> usize {
    let start = Instant::now();
    loop {
        let all = events(member).await;
        let is = |(one, of, message, _): &&(String, String, String, i32)| {
            one == reason && of == kind && parts.iter().all(|part| message.contains(part))
        };
        let found = all.iter().filter(is).count();
        if found > 0 {
            return found;
        }
        assert!(start.elapsed() < WRITTEN, "no {reason} with {parts:?} in {all:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_shows_what_became_of_its_service_with_the_rights_that_are_written_down() {
    let fleet = Fleet::start().await;
    for member in [&fleet.west, &fleet.east] {
        member.apply_yaml(&read("kubernetes/member-rbac.yaml")).await;
    }
    fleet.east.apply_yaml(&read("kubernetes/member-events-rbac.yaml")).await;
    let folder = tempfile::tempdir().unwrap();
    let west = kubeconfig_of(&fleet.west, "fleetdns-reader", folder.path()).await;
    let east = kubeconfig_of(&fleet.east, "fleetdns-reader", folder.path()).await;
    let etcd = fleet.dns.etcd_endpoint();
    let conf = Conf::new(&etcd).cluster("westus", &west).cluster("eastus", &east);
    // Two replicas: what both know, one writes.
    let conf = conf
        .more(&format!("[kubernetes]\nevents = on\nservice-ingresses = on\n[ha]\netcd-endpoints = {etcd}\n"));
    let daemon = Daemon::start(&conf).await;
    let other_daemon = Daemon::start(&conf).await;
    // A first write of the lease that took too long counts for as long as a lease.
    let elected = |status: &Value| {
        status["leads"] == true || status["replica"].as_str().unwrap_or_default().contains("follows")
    };
    daemon.status_shows("who leads", ELECTED, elected).await;
    let check = daemon.command(&["check"]).await;
    assert_eq!(check.code, Some(1), "{check:?}");
    for line in ["ok    cluster eastus: may write events", "ok    cluster eastus: may patch services"] {
        assert!(check.out.contains(line), "{check:?}");
    }
    for action in ["write events", "patch services"] {
        let line = format!("does not allow to {action} (403): ");
        let found =
            check.out.lines().find(|one| one.starts_with("FAIL  cluster westus: ") && one.contains(&line));
        assert!(found.is_some_and(|one| one.contains("member-events-rbac.yaml")), "{check:?}");
    }

    let (in_west, mut in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (one, other) = (in_west.ip().to_string(), in_east.ip().to_string());
    let object = NewService::new("default", SERVICE).port(5001);
    let object = object.annotation("fleetdns.io/hostname", "calculator.syncweek.com,syncweek.com");
    fleet.publish(&object, &one, &other).await;
    let race = Race::start("published", BACK);
    both(&race, fleet.server(), SERVICE, &one, &other).await;
    race.done();
    let global = name(SERVICE, "");
    // At the global name it is new or back: west's may have been there before it answered.
    let added = format!("{other} added to {}", name(SERVICE, "1.eastus"));
    assert_eq!(shows(&fleet.east, "Published", "Normal", &[&added]).await, 1);
    assert_eq!(
        shows(&fleet.east, "Refused", "Warning", &["syncweek.com not written", "in eastus", "[hostnames]"])
            .await,
        1
    );
    assert!(
        events(&fleet.east).await.iter().all(|(_, _, message, _)| !message.contains(&one)),
        "of the other cluster"
    );

    // Kubefed's annotation has both, and our own write of it is no change that is written again.
    let expected = json!({"items": [
        {"cluster": "eastus", "items": [{"ip": other}]},
        {"cluster": "westus", "items": [{"ip": one}]},
    ]});
    let start = Instant::now();
    let found = loop {
        let found = service(&fleet.east).await;
        let value: Option<Value> = annotation(&found).map(|text| serde_json::from_str(text).unwrap());
        if value.as_ref() == Some(&expected) {
            break found;
        }
        assert!(start.elapsed() < WRITTEN, "{value:?}");
        sleep(Duration::from_millis(100)).await;
    };
    let version = found.metadata.resource_version;

    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("out", REFUSED);
    without_east(&race, fleet.server(), SERVICE, &one).await;
    race.done();
    let why = [&format!("{other} removed from {global}"), "unhealthy", "connection refused"];
    assert_eq!(shows(&fleet.east, "OutOfDNS", "Warning", &why).await, 1);
    tokio::task::block_in_place(|| in_east.recover());
    let race = Race::start("back", BACK);
    both(&race, fleet.server(), SERVICE, &one, &other).await;
    race.done();
    assert!(shows(&fleet.east, "BackInDNS", "Normal", &[&format!("{other} added to {global}")]).await > 0);
    let found = service(&fleet.east).await;
    assert_eq!(found.metadata.resource_version, version, "written again: {found:?}");

    // A cluster that does not grant it is named once for each right, and holds nothing.
    let log = daemon.log() + &other_daemon.log();
    let missing = |line: &&str| line.contains("cluster does not let us write") && line.contains("westus");
    let lines: Vec<&str> = log.lines().filter(missing).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines.iter().all(|line| line.contains("config/kubernetes/member-events-rbac.yaml")),
        "{lines:#?}"
    );
    assert_eq!(events(&fleet.west).await, []);
    assert_eq!(annotation(&service(&fleet.west).await), None);

    // And no more than that.
    let client = client(&east).await;
    let (events, services): (Api<Event>, Api<Service>) =
        (Api::namespaced(client.clone(), "default"), Api::namespaced(client.clone(), "default"));
    assert_eq!(events.list(&ListParams::default()).await.map_err(code).unwrap_err(), 403);
    assert_eq!(services.delete(SERVICE, &DeleteParams::default()).await.map_err(code).unwrap_err(), 403);
    let (nothing, merge) = (PatchParams::default(), Patch::Merge(json!({})));
    assert_eq!(services.patch_status(SERVICE, &nothing, &merge).await.map_err(code).unwrap_err(), 403);
    let nodes: Api<Node> = Api::all(client);
    assert_eq!(nodes.patch("node-1", &nothing, &merge).await.map_err(code).unwrap_err(), 403);
}
