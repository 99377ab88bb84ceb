//! The configuration changes while the daemon runs: what changed is taken up, and nothing else is disturbed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::race::Race;
use serde_json::{Value, json};

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};

/// From a change of a file to its effect: some looks at the files, and what follows.
const NOTICED: Duration = Duration::from_secs(20);

/// Lists of a cluster since the start, as the log says them.
fn listed(daemon: &Daemon) -> usize {
    daemon.log().matches("member listed").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_without_a_restart() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    let all = fleet.conf();
    let alone = all.clone().without("eastus");
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let daemon = Daemon::start(&alone).await;
    dns::wait_for(server, &name("calculatorlb", ""), "A", &[&west], BACK).await;
    let lists = listed(&daemon);

    // By a change of the file alone.
    daemon.write_conf(&all);
    both(&Race::start("a member joins", NOTICED), server, "calculatorlb", &west, &east).await;
    assert_eq!(listed(&daemon), lists + 1, "the other one was listed again: {}", daemon.log());

    // Its endpoint is probed like any other.
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    without_east(&Race::start("an endpoint of the new member dies", REFUSED), server, "calculatorlb", &west)
        .await;
    tokio::task::block_in_place(|| in_east.recover());
    both(&Race::start("and returns", BACK), server, "calculatorlb", &west, &east).await;

    // By the command, which says what was taken up.
    daemon.write_conf(&alone);
    let reloaded = daemon.command(&["reload", "-o", "json"]).await;
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(reloaded.json()["changes"], json!(["cluster eastus removed"]), "{reloaded:?}");
    let race = Race::start("a member leaves", BACK);
    race.answers(server, &name("calculatorlb", ""), "A", &[&west]).await;
    race.answers(server, &name("calculatorlb", "eastus"), "A", &[]).await;
    race.done();
    assert_eq!(cluster(&daemon.status().await, "eastus")["inventory"], "removed");
    let again = daemon.command(&["reload"]).await;
    assert_eq!((again.code, again.out.trim()), (Some(0), "nothing has changed"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_said_until_it_is_mended() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let mut daemon = Daemon::start(&fleet.conf()).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;

    let bad = fleet.conf().without("eastus").more("[brakes]\ngrace = soon\n[nonsense]\nx = 1");
    daemon.write_conf(&bad);
    let reloaded = daemon.command(&["reload"]).await;
    assert_eq!(reloaded.code, Some(1), "{reloaded:?}");
    for part in ["[brakes] grace", "nonsense", "nothing was taken up"] {
        assert!(reloaded.out.contains(part), "no {part:?}: {reloaded:?}");
    }
    let status = daemon.status().await;
    assert_eq!(status["config_faults"].as_array().unwrap().len(), 2, "{status:#}");
    assert!(daemon.log().contains("configuration not taken up"), "{}", daemon.log());
    let both_stand = [&*west, &*east];
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &both_stand, Duration::from_secs(5)).await;
    daemon.assert_running();

    // A file that is cut short is no order to remove most clusters.
    let other = fleet.conf().without("eastus").without("westus").cluster("third", &fleet.west.kubeconfig());
    daemon.write_conf(&other);
    let lost =
        |status: &Value| status["config_faults"].to_string().contains("more than half of the clusters");
    daemon.status_shows("the fault", NOTICED, lost).await;
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &both_stand, Duration::from_secs(3)).await;

    daemon.write_conf(&fleet.conf().without("eastus"));
    let race = Race::start("the file is mended", NOTICED);
    race.answers(server, &name("calculatorlb", ""), "A", &[&west]).await;
    race.done();
    let status = daemon.status().await;
    assert_eq!(status["config_faults"], json!([]), "{status:#}");
    let metrics = daemon.metrics();
    let reloads = |result| format!("fleetdns_config_reloads_total{{result=\"{result}\"}} ");
    assert!(metrics.contains(&(reloads("taken-up") + "1.0\n")), "{metrics}");
    assert!(
        metrics.contains(&reloads("fault")) && !metrics.contains(&(reloads("fault") + "0.0\n")),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_probe_knows_and_what_is_drained_outlives_a_change_of_settings() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let daemon = Daemon::start(&fleet.conf()).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    without_east(&Race::start("one dies", REFUSED), server, "calculatorlb", &west).await;

    // The zone is planned under other settings, the prober probes under others: the dead one does not come back for a
    // moment, and the living one does not go.
    daemon.write_conf(&fleet.conf().more("[probe]\ninterval = 4s\n[brakes]\nmin-kept = 1\ndrift = 30s"));
    let reloaded = daemon.command(&["reload", "-o", "json"]).await;
    let changes = reloaded.json()["changes"].clone();
    assert_eq!(changes, json!(["[probe] changed", "[brakes] changed"]), "{reloaded:?}");
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &[&west], Duration::from_secs(6)).await;
    tokio::task::block_in_place(|| in_east.recover());
    both(&Race::start("it returns", BACK), server, "calculatorlb", &west, &east).await;

    assert!(!daemon.log().contains("DEBUG"), "{}", daemon.log());
    daemon.write_conf(&fleet.conf().admin("log-level = debug"));
    let reloaded = daemon.command(&["reload"]).await;
    assert!(reloaded.out.contains("[admin] log-level changed"), "{reloaded:?}");
    // What takes effect at the next start is said until then, whatever is read again.
    daemon.write_conf(&fleet.conf().admin("log-level = debug\nhosts = dns.example.com"));
    for _ in 0..2 {
        let reloaded = daemon.command(&["reload", "-o", "json"]).await;
        assert_eq!(reloaded.json()["at_restart"], json!(["[admin] hosts"]), "{reloaded:?}");
    }
    let drained = daemon.command(&["drain", "eastus"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    without_east(&Race::start("drained", BACK), server, "calculatorlb", &west).await;
    assert!(daemon.log().contains("DEBUG"), "{}", daemon.log());
    daemon.write_conf(&fleet.conf());
    assert_eq!(daemon.command(&["reload"]).await.code, Some(0));
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &[&west], Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_come_and_go_and_a_zone_that_goes_keeps_its_records() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let daemon = Daemon::start(&fleet.conf()).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;

    let port = fleetdns_tests::ports::free();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let second = format!("[zone \"second.example\"]\nprovider = embedded\nlisten = {listen}");
    let with_second = fleet.conf().more(&second);
    daemon.write_conf(&with_second);
    let reloaded = daemon.command(&["reload", "-o", "json"]).await;
    // Services are read for one more zone.
    assert!(reloaded.out.contains("zone second.example added"), "{reloaded:?}");
    let global = "calculatorlb.default.myfederation.svc.second.example";
    dns::wait_for(listen, global, "A", &[&west, &east], NOTICED).await;

    // Its server moves to another address with what it holds.
    let moved = std::net::SocketAddr::from(([127, 0, 0, 1], fleetdns_tests::ports::free()));
    daemon.write_conf(&fleet.conf().more(&second.replace(&listen.to_string(), &moved.to_string())));
    assert_eq!(daemon.command(&["reload"]).await.code, Some(0));
    dns::wait_for(moved, global, "A", &[&west, &east], NOTICED).await;

    daemon.write_conf(&fleet.conf());
    let reloaded = daemon.command(&["reload"]).await;
    assert!(reloaded.out.contains("zone second.example removed"), "{reloaded:?}");
    assert!(reloaded.out.contains("zone second.example keeps 6 names of this fleet"), "{reloaded:?}");
    let status = daemon.status().await;
    assert_eq!(status["zones"].as_array().unwrap().len(), 1, "{status:#}");
    dns::assert_stays(server, &name("calculatorlb", ""), "A", &[&west, &east], Duration::from_secs(2)).await;
    let live = reqwest::get(format!("http://{}/livez", daemon.admin())).await.unwrap();
    assert!(live.status().is_success(), "{live:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_and_a_config_that_are_swapped_as_kubernetes_does_it_are_taken_up() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    // The kubeconfig of east leads nowhere at first.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, text) in [
        (
            "1",
            fs::read_to_string(fleet.east.kubeconfig())
                .unwrap()
                .replace(&fleet.east.url(), "https://127.0.0.1:9"),
        ),
        ("2", fs::read_to_string(fleet.east.kubeconfig()).unwrap()),
    ] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("kubeconfig"), text).unwrap();
    }
    std::os::unix::fs::symlink("1", path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/kubeconfig", path("kubeconfig")).unwrap();
    let conf: Conf = fleet.conf().without("eastus").cluster("eastus", &path("kubeconfig"));
    let daemon = Daemon::start(&conf.more("[brakes]\nstartup-timeout = 1s")).await;
    dns::wait_for(server, &name("calculatorlb", ""), "A", &[&west], BACK).await;
    let lists = listed(&daemon);

    std::os::unix::fs::symlink("2", path("new")).unwrap();
    fs::rename(path("new"), path("..data")).unwrap();
    both(&Race::start("the kubeconfig is swapped", NOTICED), server, "calculatorlb", &west, &east).await;
    assert_eq!(listed(&daemon), lists + 1, "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_and_an_authority_that_are_replaced_in_their_files_are_taken_up() {
    let fleet = Fleet::start().await;
    let bind = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let of = |member: &Path| -> Value { serde_json::from_str(&fs::read_to_string(member).unwrap()).unwrap() };
    let authority = |member: &Path| {
        let file = of(member)["clusters"][0]["cluster"]["certificate-authority"].as_str().unwrap().to_owned();
        fs::read(file).unwrap()
    };
    let mut of_east = of(&fleet.east.kubeconfig());
    of_east["clusters"][0]["cluster"]["certificate-authority"] = json!("ca.crt");
    fs::write(path("kubeconfig"), of_east.to_string()).unwrap();
    // Both are those of others at first.
    fs::write(path("ca.crt"), authority(&fleet.west.kubeconfig())).unwrap();
    fs::write(path("secret"), "d3Jvbmc=").unwrap();
    let keys = format!(
        "provider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret-file = {}\n",
        bind.address(),
        path("secret").display()
    );
    let conf = Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &path("kubeconfig"));
    let daemon = Daemon::spawn(&conf.more("[brakes]\nstartup-timeout = 1s"), &[]);
    // It is not ready before its zone is read.
    let answers = async || match daemon.command(&["health"]).await {
        health if health.code == Some(0) => Ok(()),
        health => Err(health.err),
    };
    eventually("the daemon to answer", BACK, Duration::from_millis(50), answers).await;
    let faults = |status: &Value| {
        status["zones"][0]["fault"].is_string() && cluster(status, "eastus")["fault"].is_string()
    };
    daemon.status_shows("the faults", BACK, faults).await;

    fs::write(path("secret"), SECRET).unwrap();
    dns::wait_for(bind.address(), &name("calculatorlb", ""), "A", &[&west], NOTICED).await;
    fs::write(path("ca.crt"), authority(&fleet.east.kubeconfig())).unwrap();
    let race = Race::start("the authority is replaced", NOTICED);
    both(&race, bind.address(), "calculatorlb", &west, &east).await;
}
