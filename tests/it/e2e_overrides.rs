//! A person drains a cluster by the real command: DNS follows at once, and a restart does not forget it.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, binary};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use serde_json::{Value, json};

use crate::e2e_endpoint::{BACK, both, without_east};

/// An order is one write away from DNS; and room for the command and a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);
/// After a restart a dead or drained address would be back after the first verdicts.
const RESTART: Duration = Duration::from_secs(8);

async fn order(daemon: &Daemon, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["-o", "json"]);
    let printed = daemon.command(&all).await;
    assert_eq!(printed.code, Some(0), "{arguments:?}: {printed:?}");
    printed.json()
}

struct Scene {
    fleet: Fleet,
    server: SocketAddr,
    _endpoints: [Endpoint; 2],
    west: String,
    east: String,
}

/// `calculatorlb` in both members, `alone` in the eastern one.
async fn published(conf: impl FnOnce(&Fleet) -> Conf) -> (Scene, Daemon, Conf) {
    let fleet = Fleet::start().await;
    let conf = conf(&fleet);
    let daemon = Daemon::start(&conf).await;
    let server = fleet.server();
    let endpoints = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&endpoints[0], &endpoints[1]].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    fleet.east.create_published(&NewService::new("default", "alone").port(5001), &[&east]).await;
    both(&Race::start("published", BACK), server, "calculatorlb", &west, &east).await;
    dns::wait_for(server, &name("alone", "1.eastus"), "A", &[&east], BACK).await;
    (Scene { fleet, server, _endpoints: endpoints, west, east }, daemon, conf)
}

/// Drained, restarted, still drained, taken back.
async fn drained_over_a_restart(scene: &Scene, daemon: &mut Daemon, conf: &Conf) {
    let Scene { server, west, east, .. } = scene;
    let race = Race::start("drained by command", AT_ONCE);
    let answer = order(daemon, &["drain", "eastus", "--reason", "new kernel"]).await;
    without_east(&race, *server, "calculatorlb", west).await;
    race.done();
    assert_eq!(answer["subjects"][0]["subject"], "cluster/eastus", "{answer:#}");
    // Three of calculatorlb: the global one, the region, the zone; the region and the zone of `alone` lead to its global
    // name, which keeps its last address.
    assert_eq!(answer["names"], 5, "{answer:#}");
    assert_eq!(answer["held"][0]["name"], name("alone", ""), "{answer:#}");
    dns::wait_for(*server, &name("alone", ""), "A", &[east], AT_ONCE).await;

    let overrides = order(daemon, &["overrides"]).await;
    let line = &overrides[0];
    assert_eq!(
        (&line["kind"], &line["reason"], &line["addresses"]),
        (&json!("drain"), &json!("new kernel"), &json!(1))
    );
    assert!(line["names"].as_u64() >= Some(5), "{line:#}");
    assert_eq!(daemon.status().await["overrides"], overrides);
    assert_eq!(daemon.snapshot().await["overrides"][0]["subject"], "cluster/eastus");
    for arguments in [&["overrides"][..], &["status"]] {
        let printed = daemon.command(arguments).await;
        assert!(printed.out.contains("cluster/eastus  drain"), "{printed:?}");
    }

    let plan = daemon.command(&["plan", "-o", "json"]).await;
    assert_eq!((plan.code, &plan.json()["plan"]), (Some(0), &json!([])), "plan applies it too: {plan:?}");

    daemon.restart_with(conf).await;
    assert_eq!(order(daemon, &["overrides"]).await[0]["subject"], "cluster/eastus");
    dns::assert_stays(*server, &name("calculatorlb", ""), "A", &[west], RESTART).await;

    let race = Race::start("taken back by command", AT_ONCE);
    order(daemon, &["undrain", "cluster/eastus"]).await;
    both(&race, *server, "calculatorlb", west, east).await;
    race.done();
    daemon.restart_with(conf).await;
    assert_eq!(order(daemon, &["overrides"]).await, json!([]));
    dns::assert_stays(*server, &name("calculatorlb", ""), "A", &[west, east], Duration::from_secs(3)).await;
    let log = daemon.log();
    for change in ["change=\"set\"", "change=\"taken back\""] {
        assert_eq!(
            log.lines().filter(|line| line.contains(change)).count(),
            1,
            "{change} is said once: {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marks_of_a_zone_keep_a_drain_over_a_restart() {
    let (mut scene, mut daemon, conf) = published(Fleet::conf).await;
    drained_over_a_restart(&scene, &mut daemon, &conf).await;

    // Its time ends by itself.
    let race = Race::start("drained for 3 s", AT_ONCE);
    order(&daemon, &["drain", "service/default/calculatorlb@eastus", "--for", "3s"]).await;
    without_east(&race, scene.server, "calculatorlb", &scene.west).await;
    race.done();
    let race = Race::start("back by itself", Duration::from_secs(8));
    both(&race, scene.server, "calculatorlb", &scene.west, &scene.east).await;
    race.done();

    // Without a state directory nothing would keep this over a restart.
    let refused = daemon.command(&["force-out", "service/default/alone", "--yes"]).await;
    assert!(refused.code == Some(1) && refused.err.contains("--anyway"), "{refused:?}");

    // It ends while the daemon is down, and does not come back.
    order(&daemon, &["drain", "eastus", "--for", "5s"]).await;
    let race = Race::start("drained before the end", AT_ONCE);
    without_east(&race, scene.server, "calculatorlb", &scene.west).await;
    daemon.kill();
    tokio::time::sleep(Duration::from_secs(6)).await;
    daemon.start_again();
    let race = Race::start("ended while the daemon was down", Duration::from_secs(20));
    both(&race, scene.server, "calculatorlb", &scene.west, &scene.east).await;
    race.done();
    scene.fleet.dns.kill_etcd();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_keeps_what_leaves_no_record_too() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let keys = format!("state-dir = {}", directory.display());
    let (scene, mut daemon, conf) = published(|fleet| fleet.conf().fleet(&keys)).await;
    drained_over_a_restart(&scene, &mut daemon, &conf).await;

    let alone = ["", "eastus", "1.eastus"].map(|place| name("alone", place));
    let refused = daemon.command(&["force-out", "service/default/alone"]).await;
    assert!(
        refused.code == Some(1) && refused.err.contains(&alone[0]) && refused.err.contains("--yes"),
        "{refused:?}"
    );
    dns::wait_for(scene.server, &alone[0], "A", &[&scene.east], AT_ONCE).await;
    order(&daemon, &["force-out", "service/default/alone", "--yes"]).await;
    let race = Race::start("forced out, with the last address", AT_ONCE);
    race.answers(scene.server, &alone[0], "A", &[]).await;
    race.done();
    daemon.restart_with(&conf).await;
    dns::assert_stays(scene.server, &alone[0], "A", &[], RESTART).await;
    order(&daemon, &["auto", "service/default/alone"]).await;
    dns::wait_for(scene.server, &alone[2], "A", &[&scene.east], AT_ONCE).await;

    others_are_refused(&daemon).await;

    daemon.kill();
    fs::write(directory.join("overrides.json"), "{").unwrap();
    daemon.start_again();
    daemon.ready(Duration::from_secs(20)).await;
    let log = daemon.log();
    assert!(log.contains("set aside"), "a damaged state file ends nothing: {log}");
    let left = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = left.map(|name| name.into_string().unwrap()).collect();
    assert!(left.iter().any(|name| name.starts_with("overrides.json.")), "{left:?}");
}

/// What nobody knows, what another user asks for, and a second daemon.
async fn others_are_refused(daemon: &Daemon) {
    for (subject, part) in [
        ("northus", "no cluster 'northus'; the config has eastus, westus"),
        ("cluster/northus", "the config has eastus, westus"),
    ] {
        let refused = daemon.command(&["drain", subject]).await;
        assert!(refused.code == Some(1) && refused.err.contains(part), "{subject}: {refused:?}");
    }
    let socket = daemon.socket();
    let nobody = || {
        let mut command = Command::new(binary());
        command.args(["drain", "eastus", "--socket"]).arg(&socket).uid(65534).gid(65534);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // Only root can be somebody else.
    if rustix::process::geteuid().is_root() && nobody_can_run(&binary()) {
        let folder = socket.parent().unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        let (code, said) = nobody();
        assert!(code == Some(1) && said.contains("Permission denied"), "{said}");
        // Though the file were open: the kernel says who calls.
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
        let (code, said) = nobody();
        assert!(code == Some(1) && said.contains("only root, who runs the daemon"), "{said}");
    }
    assert_eq!(order(daemon, &["overrides"]).await, json!([]));
}

fn nobody_can_run(program: &std::path::Path) -> bool {
    Command::new(program)
        .arg("--version")
        .uid(65534)
        .gid(65534)
        .output()
        .is_ok_and(|done| done.status.success())
}
