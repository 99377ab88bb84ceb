//! An endpoint dies behind a real daemon: why it is out, since when, and where that is written down.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use serde_json::{Value, json};

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

async fn printed(daemon: &Daemon, arguments: &[&str]) -> String {
    let printed = daemon.command(arguments).await;
    assert_eq!(printed.code, Some(0), "{arguments:?}: {printed:?}");
    eprintln!("$ fleetdns {}\n{}", arguments.join(" "), printed.out);
    assert!(
        arguments[0] != "why" || printed.out.lines().all(|line| line.chars().count() <= 100),
        "too wide:\n{}",
        printed.out
    );
    printed.out
}

/// The events of an address in an audit file or in what `events -o json` prints.
fn moves(text: &str, name: &str, address: &str) -> Vec<Value> {
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["name"] == name && event["address"] == address).collect()
}

fn audited(path: &Path, name: &str, address: &str) -> Vec<Value> {
    moves(&fs::read_to_string(path).unwrap(), name, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_is_explained_written_down_and_foretold() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let setting = [("FLEETDNS__ADMIN__AUDIT", audit.to_str().unwrap())];
    let mut daemon = Daemon::spawn(&fleet.conf(), &setting);
    daemon.ready(Duration::from_secs(20)).await;
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "web").port(5001), &west, &east).await;
    both(&Race::start("published", BACK), server, "web", &west, &east).await;
    let (global, regional) = (name("web", ""), name("web", "eastus"));

    let healthy = printed(&daemon, &["why", &global]).await;
    assert!(healthy.contains(&format!("IN   {east}  healthy")), "{healthy}");
    assert!(healthy.contains("(coredns)") && healthy.contains("answered"), "{healthy}");
    // What would be without east, and only that.
    let foretold = printed(&daemon, &["simulate", "--down", "eastus", "-o", "json"]).await;
    let foretold: Value = serde_json::from_str(&foretold).unwrap();
    let verbs: Vec<&Value> = foretold["plan"].as_array().unwrap().iter().map(|line| &line["name"]).collect();
    assert!(verbs.contains(&&json!(global)) && verbs.contains(&&json!(regional)), "{foretold:#}");
    assert!(!verbs.contains(&&json!(name("web", "westus"))), "{foretold:#}");

    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    without_east(&Race::start("out", REFUSED), server, "web", &west).await;
    let out = printed(&daemon, &["why", &global]).await;
    assert!(out.contains(&format!("OUT  {east}  unhealthy")), "{out}");
    assert!(out.contains("cluster  eastus, live") && out.contains("connection refused"), "{out}");
    assert!(out.contains("failures in a row (fall 3, rise 2)"), "{out}");
    let of_service = printed(&daemon, &["why", "default/web"]).await;
    assert!(of_service.contains(&regional) && of_service.contains("CNAME"), "{of_service}");
    let slip = printed(&daemon, &["why", &global.replace("web", "wbe")]).await;
    assert!(slip.contains("no Service asks for it") && slip.contains(&global), "{slip}");

    let events = printed(&daemon, &["events", "-o", "json", "--name", &global]).await;
    let gone = moves(&events, &global, &east).pop().unwrap();
    assert_eq!((&gone["kind"], &gone["cause"]), (&json!("out"), &json!("unhealthy")), "{gone:#}");
    assert_eq!((&gone["answer"], &gone["clusters"]), (&json!("written"), &json!(["eastus"])), "{gone:#}");
    let evidence = &gone["evidence"];
    assert_eq!((&evidence["last"], &evidence["probe"]), (&json!("connection refused"), &json!("tcp:5001")));
    assert!(evidence["failures"].as_u64() >= Some(3), "{gone:#}");
    assert_eq!(audited(&audit, &global, &east).pop().as_ref(), Some(&gone), "the file has the same");

    tokio::task::block_in_place(|| in_east.recover());
    both(&Race::start("back", BACK), server, "web", &west, &east).await;
    let last = audited(&audit, &global, &east).pop().unwrap();
    assert_eq!((&last["kind"], &last["cause"]), (&json!("in"), &json!("back")), "{last:#}");
    assert_eq!(last["evidence"]["verdict"], "healthy", "{last:#}");
    let of_cluster = printed(&daemon, &["events", "--cluster", "eastus"]).await;
    assert!(of_cluster.contains("live") && of_cluster.contains("unhealthy"), "{of_cluster}");
    daemon.assert_running();
}
