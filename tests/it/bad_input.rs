//! What is wrong is one clear line that names it, and everything else goes on.

use std::fs;
use std::time::Duration;

use fleetdns_tests::access::Access;
use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::{Daemon, cluster, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);
const CHANGE: Duration = Duration::from_secs(5);

/// Lines of the log that warn, and have all of these in them.
fn warnings<'a>(log: &'a str, parts: &[&str]) -> Vec<&'a str> {
    log.lines()
        .filter(|line| line.contains(" WARN ") && parts.iter().all(|part| line.contains(part)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_cannot_be_read_are_said_and_the_others_go_on() {
    let fleet = Fleet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (garbage, missing) = (folder.path().join("garbage"), folder.path().join("missing"));
    fs::write(&garbage, "clusters: [}\n").unwrap();
    let expired = fleet.east.kubeconfig_for(Access::Expired);
    let forbidden = fleet.east.kubeconfig_for(Access::Nobody);
    let conf = fleet
        .conf()
        .without("eastus")
        .cluster("garbage", &garbage)
        .cluster("missing", &missing)
        .cluster_with("unknown", &fleet.east.kubeconfig(), "context = mars")
        .cluster("expired", &expired)
        .cluster("forbidden", &forbidden)
        .more("[brakes]\nstartup-timeout = 3s");
    let daemon = Daemon::start(&conf).await;
    let (in_west, moved) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, new) = (in_west.ip().to_string(), moved.ip().to_string());
    fleet.west.create_published(&NewService::new("default", "calculatorlb").port(5001), &[&west]).await;
    let race = Race::start("the good member's Service", CHANGE);
    race.answers(fleet.server(), &name("calculatorlb", "1.westus"), "A", &[&west]).await;
    race.done();

    let (garbage, missing) = (garbage.display().to_string(), missing.display().to_string());
    let expired_path = expired.display().to_string();
    let url = fleet.east.url();
    let faults: [(&str, Vec<&str>); 5] = [
        ("garbage", vec![&garbage, "not valid YAML", "line 1", "mend it"]),
        ("missing", vec![&missing, "does not exist"]),
        ("unknown", vec!["no context 'mars'", "it has: eastus"]),
        ("expired", vec![&url, "(401)", "renew", &expired_path]),
        ("forbidden", vec![&url, "(403)", "kubectl create clusterrole"]),
    ];
    let said = |status: &Value| {
        let fault = |name: &str| cluster(status, name)["fault"].as_str().unwrap_or_default().to_owned();
        faults.iter().all(|(name, parts)| parts.iter().all(|part| fault(name).contains(part)))
    };
    daemon.status_shows("what is wrong with each member", SOON, said).await;
    let status = daemon.status().await;
    assert_eq!(cluster(&status, "westus")["fault"], Value::Null, "{status:#}");
    assert_eq!(cluster(&status, "westus")["inventory"], "live", "{status:#}");

    // Some attempts later each of them stands in the log once.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let log = daemon.log();
    for (name, parts) in &faults {
        let member = format!("member={name} ");
        let mut all: Vec<&str> = vec![&member, "member cannot be watched"];
        all.extend(parts);
        assert_eq!(warnings(&log, &all).len(), 1, "{all:?} in: {log}");
    }
    assert!(!log.contains("token-of"), "a token in the log: {log}");
    fleet.west.patch_status("default", "calculatorlb", &[&new]).await;
    let race = Race::start("a change among the broken", CHANGE);
    race.answers(fleet.server(), &name("calculatorlb", ""), "A", &[&new]).await;
    race.done();

    // What is mended is taken up without a restart.
    fs::copy(fleet.east.kubeconfig_for(Access::Reader), &expired).unwrap();
    let race = Race::start("a renewed token", Duration::from_secs(35));
    daemon.inventory_is("expired", "live", race.left()).await;
    race.done();
}

/// A Service whose only fault is one annotation.
fn with(name: &str, annotation: &str, value: &str) -> NewService {
    NewService::new("default", name).port(5001).annotation(&format!("fleetdns.io/{annotation}"), value)
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_ask_for_nonsense_are_said_and_the_others_go_on() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let (region, zone) = ("r".repeat(63), "z".repeat(63));
    let conf = fleet.conf().without("eastus").cluster_with(
        "eastus",
        &fleet.east.kubeconfig(),
        &format!("region = {region}\nzones = {zone}"),
    );
    let mut daemon = Daemon::start(&conf).await;
    let endpoint = Endpoint::on_port(5001);
    let address = endpoint.ip().to_string();
    let (west, east) = (&fleet.west, &fleet.east);

    let octets_254 = format!("{}.syncweek.com", vec!["a".repeat(59); 4].join(".") + ".bb");
    assert_eq!(octets_254.len(), 255);
    let label_64 = format!("{}.syncweek.com", "b".repeat(64));
    // What is asked for, and what has to be said of it.
    let asked = [
        ("ttl", "soon", vec!["ttl", "'soon'"]),
        ("hostname", "exa mple.syncweek.com", vec!["'exa mple.syncweek.com'"]),
        ("hostname", &octets_254, vec!["255 octets", "253"]),
        ("hostname", &label_64, vec!["64 octets", "63"]),
        ("hostname", "www.example.org", vec!["'www.example.org'", "none of the zones"]),
        ("probe", "pigeon", vec!["'pigeon'", "tcp, http, https, grpc, grpcs or none"]),
        ("probe-port", "0", vec!["probe-port", "'0'"]),
        ("target", "0.0.0.0", vec!["0.0.0.0", "unspecified"]),
        ("target", "999.1.1.1", vec!["999.1.1.1"]),
    ];
    for (index, (annotation, value, _)) in asked.iter().enumerate() {
        west.create_published(&with(&format!("bad-{index}"), annotation, value), &[&address]).await;
    }
    west.create_published(&NewService::new("default", "nowhere").port(5001), &["0.0.0.0"]).await;
    west.create_published(&NewService::new("default", "no-ip").port(5001), &["999.1.1.1"]).await;
    west.create_published(&with("wild", "hostname", "*.apps.syncweek.com"), &[&address]).await;
    west.create_published(&with("apex", "hostname", "syncweek.com"), &["lb.invalid"]).await;
    let long = "s".repeat(63);
    east.create_published(&NewService::new("default", &long).port(5001), &[&address]).await;
    let namespace = "n".repeat(63);
    east.create_namespace(&namespace).await;
    east.create_published(&NewService::new(&namespace, &long).port(5001), &[&address]).await;

    let federation_name = format!("{long}.{namespace}.myfederation.svc.{zone}.{region}.syncweek.com");
    let mut expected: Vec<(String, Vec<&str>)> = asked
        .iter()
        .enumerate()
        .map(|(index, (_, _, parts))| (format!("default/bad-{index}"), parts.clone()))
        .collect();
    expected.extend([
        ("default/nowhere".to_owned(), vec!["status.loadBalancer", "0.0.0.0"]),
        ("default/no-ip".to_owned(), vec!["status.loadBalancer", "999.1.1.1"]),
        ("*.apps.syncweek.com".to_owned(), vec!["wildcard"]),
        ("syncweek.com".to_owned(), vec!["reserved", "default = *, syncweek.com"]),
        (federation_name, vec!["octets, at most 253", &long, &namespace]),
    ]);
    for (object, parts) in &expected {
        let said = |status: &Value| {
            reasons(status, "refused", object).iter().any(|one| parts.iter().all(|part| one.contains(part)))
        };
        daemon.status_shows(&format!("{object}: {parts:?}"), SOON, said).await;
    }
    let log = daemon.log();
    for (object, parts) in &expected {
        let mut all: Vec<&str> = vec![object, "not written"];
        all.extend(parts);
        assert_eq!(warnings(&log, &all).len(), 1, "{all:?} in: {log}");
    }

    // What is right about them goes on, as everything else does.
    let race = Race::start("the rest of the Services with faults", CHANGE);
    for index in 0..7 {
        race.answers(server, &name(&format!("bad-{index}"), "1.westus"), "A", &[&address]).await;
    }
    race.answers(server, &name("wild", ""), "A", &[&address]).await;
    race.done();
    let race = Race::start("one name of a Service is too long, the others are not", CHANGE);
    race.answers(server, &format!("{long}.default.myfederation.svc.{region}.syncweek.com"), "A", &[&address])
        .await;
    race.done();
    dns::wait_for(server, "x.apps.syncweek.com", "A", &[], CHANGE).await;
    for nothing in ["nowhere", "no-ip"] {
        dns::wait_for(server, &name(nothing, ""), "A", &[], CHANGE).await;
    }
    west.create_published(&NewService::new("default", "good").port(5001), &[&address]).await;
    let race = Race::start("a good Service among the bad", CHANGE);
    race.answers(server, &name("good", "1.westus"), "A", &[&address]).await;
    race.done();
    // Mended: the refusal goes and the record comes.
    west.patch_annotations("default", "bad-7", &[("fleetdns.io/target", None)]).await;
    let race = Race::start("a mended Service", CHANGE);
    race.answers(server, &name("bad-7", ""), "A", &[&address]).await;
    race.done();
    let gone = |status: &Value| reasons(status, "refused", "default/bad-7").is_empty();
    daemon.status_shows("no refusal of what is mended", SOON, gone).await;
    daemon.assert_running();
}
