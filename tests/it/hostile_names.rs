//! Who has which host name, through real API servers and the embedded DNS: a tenant asks for what is not its own, Services
//! share a name by rule, and a name stays with its Service over an absence and a restart.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, fleetdns, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::eventually;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::REFUSED;

const TENANT: &str = "tenant";
const PORT: u16 = 5001;
/// From a change in a cluster to DNS.
const SOON: Duration = Duration::from_secs(10);

/// A zone of the embedded server with a name server of its own.
fn conf(fleet: &Fleet, server: SocketAddr) -> Conf {
    let keys = format!("provider = embedded\nlisten = {server}\nns = ns1.{ZONE} 192.0.2.53\n");
    let rules = format!("[hostnames]\ndefault = *, own.{ZONE}, shared front.{ZONE}");
    Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more(&rules)
}

fn asking(namespace: &str, service: &str, names: &[String]) -> NewService {
    NewService::new(namespace, service).port(PORT).annotation("fleetdns.io/hostname", &names.join(","))
}

fn host(label: &str) -> String {
    format!("{label}.{ZONE}")
}

/// A Service of `default` dies in the east; returns how long DNS had its address there.
async fn dies(fleet: &Fleet, server: SocketAddr, service: &str) -> Duration {
    let (west, mut east) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (in_west, in_east) = (west.ip().to_string(), east.ip().to_string());
    fleet.publish(&NewService::new("default", service).port(PORT), &in_west, &in_east).await;
    let race = Race::start(&format!("{service}: published"), SOON);
    race.answers(server, &name(service, ""), "A", &[&in_west, &in_east]).await;
    race.done();
    tokio::task::block_in_place(|| east.set(Mode::Refuse));
    let died = Instant::now();
    let race = Race::start(&format!("{service}: out"), REFUSED);
    race.answers(server, &name(service, ""), "A", &[&in_west]).await;
    race.done();
    let took = died.elapsed();
    tokio::task::block_in_place(|| drop((west, east)));
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_no_name_that_is_not_its_own_and_costs_nobody_time() {
    let fleet = Fleet::start().await;
    let server = ports::free_address();
    let mut daemon = Daemon::start(&conf(&fleet, server)).await;
    fleet.west.create_namespace(TENANT).await;
    let (own, front) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (own_ip, front_ip) = (own.ip().to_string(), front.ip().to_string());
    fleet.west.create_published(&asking("default", "own", &[host("own")]), &[&own_ip]).await;
    fleet.west.create_published(&asking("default", "front", &[host("front")]), &[&front_ip]).await;
    dns::wait_for(server, &host("own"), "A", &[&own_ip], SOON).await;
    let calm = dies(&fleet, server, "calm").await;

    let names = [
        ZONE.to_owned(),
        host("ns1"),
        host("_acme-challenge.shop"),
        host("*"),
        name("calm", ""),
        name("later", ""),
        host("own"),
        host("front"),
    ];
    fleet.west.create_published(&asking(TENANT, "thief", &names), &["203.0.113.66"]).await;
    // A name that nobody has: what the thief may have, it gets, so that the others were looked at too.
    fleet.west.create_published(&asking(TENANT, "fair", &[host("fair")]), &[&own_ip]).await;
    dns::wait_for(server, &host("fair"), "A", &[&own_ip], SOON).await;
    let status = daemon.status().await;
    for asked in &names {
        let said = reasons(&status, "refused", asked).join("; ");
        let shared = if *asked == host("front") { "shared " } else { "" };
        let line = format!("this line allows it: {TENANT} = *, {shared}{asked}");
        assert!(said.contains(&line), "{asked}: {said}");
    }
    let line = "hostnames: no rule: 8 names refused: ";
    let status = daemon.command(&["status"]).await.out;
    assert!(status.contains(line) && status.contains(&format!("{ZONE} ({TENANT}/thief)")), "{status}");
    let path = daemon.conf_path();
    let check = async || fleetdns(&["check", "-c", path.to_str().unwrap()]).await.out;
    let checked = check().await;
    assert!(checked.contains(line) && checked.contains("runs here"), "{checked}");
    for (asked, record_type, expected) in [
        (ZONE, "A", vec![]),
        (&host("ns1"), "A", vec!["192.0.2.53"]),
        (&host("_acme-challenge.shop"), "A", vec![]),
        (&host("nobody"), "A", vec![]),
        (&name("later", ""), "A", vec![]),
        (&host("own"), "A", vec![&*own_ip]),
        (&host("front"), "A", vec![&*front_ip]),
    ] {
        dns::assert_stays(server, asked, record_type, &expected, Duration::from_millis(300)).await;
    }
    let beside = dies(&fleet, server, "later").await;
    daemon.assert_running();
    daemon.kill();
    let checked = check().await;
    assert!(checked.contains(line) && !checked.contains("runs here"), "{checked}");
    eprintln!("from death to removal: {calm:.1?} alone, {beside:.1?} beside the thief");
    tokio::task::block_in_place(|| drop((own, front)));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_share_a_name_by_rule_and_each_address_has_its_own() {
    let fleet = Fleet::start().await;
    let server = ports::free_address();
    let daemon = Daemon::start(&conf(&fleet, server)).await;
    let (mut eu, us) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (eu_ip, us_ip, front) = (eu.ip().to_string(), us.ip().to_string(), host("front"));
    fleet
        .west
        .create_published(&asking("default", "eu-ingress", std::slice::from_ref(&front)), &[&eu_ip])
        .await;
    fleet
        .east
        .create_published(&asking("default", "us-ingress", std::slice::from_ref(&front)), &[&us_ip])
        .await;
    dns::wait_for(server, &front, "A", &[&eu_ip, &us_ip], SOON).await;
    let records = daemon.records().await;
    let record = records.as_array().unwrap().iter().find(|one| one["name"] == *front).unwrap().clone();
    assert_eq!(record["service"], "default/eu-ingress, default/us-ingress", "{record}");
    let why = daemon.command(&["why", &front]).await.out;
    for (cluster, service) in [("westus", "eu-ingress"), ("eastus", "us-ingress")] {
        let block = why.split(&format!("cluster  {cluster}, live")).nth(1).unwrap_or_default();
        let first = block.lines().nth(1).unwrap_or_default();
        assert!(first.contains(&format!("service  default/{service}")), "{why}");
    }
    tokio::task::block_in_place(|| eu.set(Mode::Refuse));
    dns::wait_for(server, &front, "A", &[&us_ip], REFUSED).await;
    tokio::task::block_in_place(|| eu.set(Mode::Ok));
    dns::wait_for(server, &front, "A", &[&eu_ip, &us_ip], Duration::from_secs(30)).await;
    fleet.east.delete_service("default", "us-ingress").await;
    dns::wait_for(server, &front, "A", &[&eu_ip], SOON).await;
    tokio::task::block_in_place(|| drop((eu, us)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stays_with_its_service_over_an_absence_and_a_restart() {
    let fleet = Fleet::start().await;
    let server = ports::free_address();
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("zone.json");
    let keys = format!("provider = embedded\nlisten = {server}\nstate-file = {}\n", file.display());
    let conf = Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more("[brakes]\nhostname-grace = 15s");
    let mut daemon = Daemon::start(&conf).await;
    fleet.east.create_namespace(TENANT).await;
    let (holder, thief) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (holder_ip, thief_ip, www) = (holder.ip().to_string(), thief.ip().to_string(), host("www"));
    let web = asking("default", "web", std::slice::from_ref(&www));
    fleet.west.create_published(&web, &[&holder_ip]).await;
    dns::wait_for(server, &www, "A", &[&holder_ip], SOON).await;
    fleet.east.create_published(&asking(TENANT, "aaa", std::slice::from_ref(&www)), &[&thief_ip]).await;
    let refused = |part: &'static str| {
        let www = www.clone();
        move |status: &serde_json::Value| reasons(status, "refused", &www).join(";").contains(part)
    };
    daemon.status_shows("the second Service refused", SOON, refused("default/web has this name")).await;

    fleet.west.delete_service("default", "web").await;
    daemon.status_shows("the name kept", SOON, refused("which is kept for default/web")).await;
    dns::wait_for(server, &www, "A", &[], SOON).await;
    fleet.west.create_published(&web, &[&holder_ip]).await;
    dns::wait_for(server, &www, "A", &[&holder_ip], SOON).await;

    // A name is answered a moment before the state is on disk.
    let saved = async || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        if text.lines().any(|line| line.starts_with(&www) && line.contains(&holder_ip)) {
            Ok(())
        } else {
            Err(text)
        }
    };
    eventually("the state file to have the name", SOON, Duration::from_millis(10), saved).await;
    daemon.kill();
    daemon.start_again();
    daemon.ready(Duration::from_secs(30)).await;
    dns::assert_stays(server, &www, "A", &[&holder_ip], Duration::from_secs(2)).await;
    daemon.status_shows("the second Service refused", SOON, refused("default/web has this name")).await;

    fleet.west.delete_service("default", "web").await;
    dns::wait_for(server, &www, "A", &[], SOON).await;
    // When the absence is over, who still asks has it.
    dns::wait_for(server, &www, "A", &[&thief_ip], Duration::from_secs(30)).await;
    tokio::task::block_in_place(|| drop((holder, thief)));
}
