//! The real external-dns hands its names over. Its binary is there after `tests/setup --bench`:
//! `cargo test -p fleetdns-tests --test it e2e_adopt_external_dns -- --ignored`.

use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE};
use fleetdns_tests::daemon::{Daemon, Printed};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::ports;
use fleetdns_tests::process::Process;
use fleetdns_tests::race::Race;
use fleetdns_tests::servers::Server;
use tempfile::TempDir;

use crate::e2e_endpoint::BACK;
use crate::e2e_journey::keys;

const WEB: &str = "web.syncweek.com";
/// Passes of external-dns, of which there is one each second.
const PASSES: Duration = Duration::from_secs(5);
const READ: Duration = Duration::from_secs(8);

struct ExternalDns {
    process: Process,
    _folder: TempDir,
}

/// external-dns of `west`, which writes the zone of the fleet too.
fn external_dns(fleet: &Fleet, more: &[&str], environment: &[(&str, &str)]) -> ExternalDns {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = format!("--kubeconfig={}", fleet.west.kubeconfig().display());
    let metrics = format!("--metrics-address=127.0.0.1:{}", ports::free());
    let domain = format!("--domain-filter={ZONE}");
    let mut arguments = vec![&*kubeconfig, &*metrics, &*domain];
    arguments.extend([
        "--source=service",
        "--service-type-filter=LoadBalancer",
        "--registry=txt",
        "--txt-owner-id=prod",
        "--policy=sync",
        "--interval=1s",
        "--events",
        "--min-event-sync-interval=100ms",
        "--log-level=debug",
    ]);
    arguments.extend(more);
    let log = folder.path().join("external-dns.log");
    let process = Process::start("external-dns", Server::ExternalDns.path(), arguments, environment, log);
    ExternalDns { process, _folder: folder }
}

fn assert_done(printed: &Printed, part: &str) {
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.out.contains(part), "{part}: {printed:?}");
}

struct Site {
    fleet: Fleet,
    server: SocketAddr,
    daemon: Daemon,
    endpoints: [Endpoint; 2],
}

/// external-dns of one cluster had the name first. It is adopted while both run, and then neither its passes nor the end of its
/// Service touch it.
async fn hands_over(site: &Site, external_dns: &mut ExternalDns, adopt: &[&str]) {
    let Site { fleet, server, daemon, endpoints } = site;
    let [west, east] = [0, 1].map(|at| endpoints[at].ip().to_string());
    dns::assert_stays(*server, WEB, "A", &[&west], PASSES).await;
    let planned = daemon.command(adopt).await;
    assert_done(&planned, &format!("> {WEB} "));
    let applied = daemon.command(&[adopt, &["--apply"]].concat()).await;
    assert_done(&applied, "1 name written");
    let race = Race::start("the addresses of both clusters", READ);
    race.answers(*server, WEB, "A", &[&west, &east]).await;
    race.done();
    dns::assert_stays(*server, WEB, "A", &[&west, &east], PASSES).await;
    external_dns.process.assert_running();
    assert_done(&daemon.command(adopt).await, "nothing has this owner id");
    fleet.west.delete_service("default", "web").await;
    let race = Race::start("the address of the other cluster", READ);
    race.answers(*server, WEB, "A", &[&east]).await;
    race.done();
    dns::assert_stays(*server, WEB, "A", &[&east], PASSES).await;
    external_dns.process.assert_running();
}

fn service() -> NewService {
    let annotation = "external-dns.alpha.kubernetes.io/hostname";
    NewService::new("default", "web").port(5001).annotation(annotation, WEB)
}

/// external-dns writes the name before the daemon starts.
async fn published(fleet: &Fleet, server: SocketAddr, endpoints: &[Endpoint; 2]) {
    let [west, east] = [0, 1].map(|at| endpoints[at].ip().to_string());
    fleet.publish(&service(), &west, &east).await;
    let race = Race::start("external-dns has written", BACK);
    race.answers(server, WEB, "A", &[&west]).await;
    race.done();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs external-dns, which tests/setup --bench builds"]
async fn external_dns_on_coredns() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let endpoint = fleet.dns.etcd_endpoint();
    let mut external_dns = external_dns(&fleet, &["--provider=coredns"], &[("ETCD_URLS", &endpoint)]);
    let endpoints = [(); 2].map(|()| Endpoint::on_port(5001));
    published(&fleet, server, &endpoints).await;
    let daemon = Daemon::start(&fleet.conf().more("[brakes]\ndrift = 2s")).await;
    let site = Site { fleet, server, daemon, endpoints };
    hands_over(&site, &mut external_dns, &["adopt", "--from", "external-dns", "--owner", "prod"]).await;
    fleet = site.fleet;
    let left = keys(&mut fleet.dns).await;
    assert!(!left.iter().any(|(_, value)| value.contains("heritage")), "{left:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs external-dns, which tests/setup --bench builds"]
async fn external_dns_on_bind() {
    let fleet = Fleet::start().await;
    let bind = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let server = bind.address();
    let port = format!("--rfc2136-port={}", server.port());
    let (zone, key) = (format!("--rfc2136-zone={ZONE}"), format!("--rfc2136-tsig-keyname={KEY}"));
    let secret = format!("--rfc2136-tsig-secret={SECRET}");
    let more = [
        "--provider=rfc2136",
        "--rfc2136-host=127.0.0.1",
        &port,
        &zone,
        &key,
        &secret,
        "--rfc2136-tsig-secret-alg=hmac-sha256",
        "--rfc2136-tsig-axfr",
        "--rfc2136-min-ttl=60s",
        "--txt-prefix=reg.%{record_type}-",
    ];
    let mut external_dns = external_dns(&fleet, &more, &[]);
    let endpoints = [(); 2].map(|()| Endpoint::on_port(5001));
    published(&fleet, server, &endpoints).await;
    let keys =
        format!("provider = rfc2136\nserver = {server}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n");
    let conf = Conf::with_zone(&keys)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more("[brakes]\ndrift = 2s");
    let daemon = Daemon::start(&conf).await;
    let site = Site { fleet, server, daemon, endpoints };
    let prefix = "reg.%{record_type}-";
    let adopt = ["adopt", "--from", "external-dns", "--owner", "prod", "--txt-prefix", prefix];
    hands_over(&site, &mut external_dns, &adopt).await;
    assert!(bind.texts("reg.a-web.syncweek.com").is_empty());
}
