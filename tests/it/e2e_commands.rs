//! The commands, beside a running daemon and without one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fleetdns_tests::access::Access;
use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, fleetdns};
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use serde_json::{Value, json};

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

/// SIGTERM to the end of the process.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(6);

/// Name, type, TTL and values of each record set, wherever it is printed.
fn sets(all: &Value) -> BTreeSet<String> {
    let line = |set: &Value| format!("{} {} {} {}", set["name"], set["type"], set["ttl"], set["values"]);
    all.as_array().unwrap_or_else(|| panic!("not a list: {all:#}")).iter().map(line).collect()
}

/// A config file that nobody runs.
fn file(conf: &Conf) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.conf");
    fs::write(&path, conf.text()).unwrap();
    (folder, path.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_what_is_what_was_and_what_would_be() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let (_folder, path) = file(&fleet.conf());

    // Before there is a daemon.
    let check = fleetdns(&["check", "-c", &path]).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.out.lines().all(|line| line.starts_with("ok  ")), "{}", check.out);
    for part in ["cluster westus", "cluster eastus", "may list services", "zone syncweek.com can be written"]
    {
        assert!(check.out.contains(part), "no {part:?} in: {}", check.out);
    }
    let all_good = fleetdns(&["check", "-o", "json", "-c", &path]).await.json();
    assert!(all_good.as_array().unwrap().iter().all(|line| line["good"] == true), "{all_good:#}");
    let before = fleetdns(&["plan", "-o", "json", "-c", &path]).await;
    assert_eq!(before.code, Some(2), "{before:?}");
    let planned = before.json();
    assert_eq!(planned["plan"].as_array().unwrap().len(), 6, "{planned:#}");
    assert!(
        planned["plan"].as_array().unwrap().iter().all(|change| change["verb"] == "create"),
        "{planned:#}"
    );
    let text = fleetdns(&["plan", "-c", &path]).await;
    assert!(text.out.contains(&format!("+ {}", name("calculatorlb", ""))), "{text:?}");
    let status = fleetdns(&["status", "--admin", "http://127.0.0.1:9"]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.err.contains("http://127.0.0.1:9") && status.err.contains("is it running?"), "{status:?}");

    let mut daemon = Daemon::start(&fleet.conf()).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;
    let records = daemon.records().await;
    assert_eq!(sets(&records), sets(&planned["desired"]), "what was planned is what came");
    let after = daemon.command(&["plan", "-o", "json"]).await;
    assert_eq!((after.code, &after.json()["plan"]), (Some(0), &json!([])), "{after:?}");
    tables(&daemon, &west).await;

    // What would be without east is what is without it.
    let snapshot = daemon.conf_path().with_file_name("fleet.json").display().to_string();
    for format in ["yaml", "json"] {
        let written = daemon.command(&["snapshot", "-f", &snapshot, "-o", format]).await;
        assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{written:?}");
        let same = fleetdns(&["simulate", "-f", &snapshot, "-o", "json"]).await.json();
        assert_eq!(same["plan"], json!([]), "{format}: {same:#}");
        assert_eq!(sets(&same["desired"]), sets(&records));
    }
    let down = fleetdns(&["simulate", "-f", &snapshot, "--down", "eastus", "-o", "json"]).await.json();
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("what was simulated happens", REFUSED);
    without_east(&race, server, "calculatorlb", &west).await;
    race.done();
    assert_eq!(sets(&daemon.records().await), sets(&down["desired"]));

    let (ended, took) = daemon.terminate().await;
    eprintln!("SIGTERM to the end: {took:.2?} of {SHUTDOWN_GRACE:?}");
    assert!(ended.success() && took < SHUTDOWN_GRACE, "{ended} after {took:?}: {}", daemon.log());
    let left = daemon.command(&["status"]).await;
    assert_eq!(left.code, Some(1), "{left:?}");
}

/// For people: a heading, and a line for each thing.
async fn tables(daemon: &Daemon, west: &str) {
    for (arguments, parts) in [
        (
            &["records", "-o", "wide"][..],
            ["NAME", &*name("calculatorlb", "1.westus"), west, "default/calculatorlb"],
        ),
        (&["clusters"], ["CLUSTER", "westus", "eastus", "1 healthy"]),
        (&["status"], ["fleet myfederation", "syncweek.com", "coredns", "live"]),
        (&["snapshot"], ["\"fleet\": \"myfederation\"", "\"westus\"", west, "calculatorlb"]),
    ] {
        let printed = daemon.command(arguments).await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        for part in parts {
            assert!(printed.out.contains(part), "no {part:?} in what {arguments:?} prints:\n{}", printed.out);
        }
    }
    let clusters = daemon.command(&["clusters", "-o", "json"]).await.json();
    let names: Vec<_> = clusters.as_array().unwrap().iter().map(|line| &line["name"]).collect();
    assert_eq!(names, ["eastus", "westus"]);
    assert_eq!((&clusters[1]["region"], &clusters[1]["zones"]), (&json!("westus"), &json!(["1", "2"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_plan_say_what_is_wrong_and_what_to_do() {
    let mut fleet = Fleet::start().await;
    let conf = fleet
        .conf()
        .without("eastus")
        .cluster("forbidden", &fleet.east.kubeconfig_for(Access::Nobody))
        .cluster("no-nodes", &fleet.east.kubeconfig_for(Access::ServicesOnly))
        .cluster("expired", &fleet.east.kubeconfig_for(Access::Expired))
        .cluster_with("unknown", &fleet.east.kubeconfig(), "context = mars");
    let (_folder, path) = file(&conf);
    let check = fleetdns(&["check", "-o", "json", "-c", &path]).await;
    assert_eq!(check.code, Some(1), "{check:?}");
    let lines = check.json();
    let texts = |what: &str, good: bool| -> String {
        let of = |line: &&Value| line["what"] == what && line["good"] == good;
        lines.as_array().unwrap().iter().filter(of).map(|line| format!("{}\n", line["text"])).collect()
    };
    assert_eq!(texts("cluster westus", false), "");
    for (what, parts) in [
        ("cluster forbidden", vec!["(403)", "list services", "kubectl create clusterrole"]),
        ("cluster no-nodes", vec!["(403)", "nodes", "set region and zones"]),
        ("cluster expired", vec!["(401)", "renew"]),
        ("cluster unknown", vec!["no context 'mars'", "it has: eastus"]),
    ] {
        let bad = texts(what, false);
        assert!(parts.iter().all(|part| bad.contains(part)), "{what}, {parts:?}: {bad}");
    }
    assert_eq!(texts("zone syncweek.com", false), "", "{lines:#}");

    fleet.dns.kill_etcd();
    let (_folder, path) = file(&fleet.conf());
    let check = fleetdns(&["check", "-c", &path]).await;
    assert_eq!(check.code, Some(1), "{check:?}");
    let bad: Vec<&str> = check.out.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(bad.len() == 1 && bad[0].contains(&fleet.dns.etcd_endpoint()), "{}", check.out);
    let plan = fleetdns(&["plan", "-c", &path]).await;
    assert_eq!(plan.code, Some(1), "{plan:?}");
    let said = format!("incomplete: zone {ZONE}: ");
    assert!(plan.out.contains(&said) && plan.out.contains(&fleet.dns.etcd_endpoint()), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_is_exit_code_2_with_every_fault_in_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.conf").display().to_string();
    fs::write(
        &path,
        "[fleet]\nname = my federation\n\n[zone \"syncweek.com\"]\nprovider = cordns\n\n[probe]\ninterval = soon\nintervall = 5s\n\
         [cluster \"westus\"]\nkubeconfig = /nowhere\n",
    )
    .unwrap();
    for command in ["run", "check"] {
        let printed = fleetdns(&[command, "-c", &path]).await;
        assert_eq!(printed.code, Some(2), "{command}: {printed:?}");
        for (line, parts) in [
            (2, "[fleet] name"),
            (5, "[zone \"syncweek.com\"] provider"),
            (8, "[probe] interval"),
            (9, "[probe] intervall"),
        ] {
            let start = format!("{path}:{line}: {parts}: ");
            assert!(
                printed.err.lines().any(|said| said.starts_with(&start)),
                "no {start:?} in:\n{}",
                printed.err
            );
        }
        let absent = format!("{path}:11: [cluster \"westus\"] kubeconfig: /nowhere does not exist");
        assert!(printed.err.lines().any(|said| said == absent), "{}", printed.err);
        assert_eq!(printed.err.lines().count(), 5, "{}", printed.err);
    }
    // 2 means changes, there.
    assert_eq!(fleetdns(&["plan", "-c", &path]).await.code, Some(1));
    let missing = fleetdns(&["run", "-c", "/nowhere/dns.conf"]).await;
    assert!(missing.code == Some(2) && missing.err.contains("/nowhere/dns.conf"), "{missing:?}");
}

/// A daemon that serves its zone itself, with a cluster that cannot be read.
fn lonely() -> Conf {
    Conf::with_zone("provider = embedded\nlisten = 127.0.0.1:0\n")
        .cluster("westus", Path::new("/nowhere/kubeconfig"))
        .more("[brakes]\nstartup-timeout = 1s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_a_cluster_or_a_zone_is_incomplete_and_exit_code_1() {
    let conf =
        lonely().more("[zone \"away.example\"]\nprovider = coredns\netcd-endpoints = http://127.0.0.1:9");
    let (_folder, path) = file(&conf);
    let plan = fleetdns(&["plan", "-o", "json", "-c", &path]).await;
    assert_eq!(plan.code, Some(1), "{plan:?}");
    let printed = plan.json();
    assert_eq!(printed["plan"], json!([]), "{printed:#}");
    let what: Vec<&Value> =
        printed["incomplete"].as_array().unwrap().iter().map(|one| &one["what"]).collect();
    assert_eq!(what, ["zone away.example", "cluster westus"], "{printed:#}");
    let reason = printed["incomplete"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("/nowhere/kubeconfig"), "{reason}");
    let plan = fleetdns(&["plan", "-c", &path]).await;
    assert_eq!(plan.code, Some(1), "{plan:?}");
    for part in ["incomplete: zone away.example: ", "incomplete: cluster westus: "] {
        assert!(plan.out.contains(part), "{plan:?}");
    }
    // Neither is a slip in typing a plan with changes.
    assert_eq!(fleetdns(&["plan", "--nosuch"]).await.code, Some(1));
    assert_eq!(fleetdns(&["plan", "--help"]).await.code, Some(0));
    assert_eq!(fleetdns(&["status", "--nosuch"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typo_in_the_config_on_disk_stops_no_command_beside_the_daemon() {
    let daemon = Daemon::start(&lonely()).await;
    let text = fs::read_to_string(daemon.conf_path()).unwrap();
    fs::write(daemon.conf_path(), text.replace("provider = embedded", "provdier = embeded")).unwrap();
    for arguments in [
        &["status"][..],
        &["clusters"],
        &["records"],
        &["snapshot"],
        &["events"],
        &["simulate", "--down", "westus"],
        &["drain", "westus", "--for", "2h"],
        &["overrides"],
        &["undrain", "westus"],
    ] {
        let printed = daemon.command(arguments).await;
        assert_eq!(printed.code, Some(0), "{arguments:?}: {printed:?}");
    }
    let mars = daemon.command(&["drain", "mars"]).await;
    assert_eq!(mars.code, Some(1), "{mars:?}");
    assert!(mars.err.contains("no cluster 'mars'; the config has westus"), "{mars:?}");
    assert_eq!(daemon.command(&["check"]).await.code, Some(2), "the config itself is looked at by check");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_beside_its_own_daemon_says_so() {
    let port = fleetdns_tests::ports::free_address().port();
    let conf = Conf::with_zone(&format!("provider = embedded\nlisten = 127.0.0.1:{port}\n"))
        .cluster("westus", Path::new("/nowhere/kubeconfig"))
        .more("[brakes]\nstartup-timeout = 1s");
    let mut daemon = Daemon::start(&conf).await;
    let check = daemon.command(&["check"]).await;
    assert!(check.out.contains("ok    daemon: fleetdns "), "{check:?}");
    assert!(check.out.contains(&format!("the daemon that runs here serves {ZONE} on")), "{check:?}");
    assert!(!check.out.contains("another program"), "{check:?}");
    assert!(check.out.contains("FAIL  cluster westus: there is no kubeconfig: /nowhere"), "{check:?}");
    daemon.terminate().await;

    // Another program is still a fault.
    let _other = std::net::UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let check = daemon.command(&["check"]).await;
    assert!(check.out.contains("another program listens there"), "{check:?}");
}
