//! Every way in which an endpoint can be wrong, on real sockets, with the time to its removal beside the budget; and the
//! ways in which it only looks wrong.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use fleetdns_tests::race::Race;
use fleetdns_tests::secure::{Authority, Certificate, Secure};

use crate::e2e_endpoint::{REFUSED, SILENT, both};

const PORT: u16 = 5001;

/// Publishes a Service in the western cluster with a good address and one that is about to break.
async fn publish(fleet: &Fleet, service: &NewService, label: &str, addresses: &[String]) {
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    fleet.west.create_published(service, &addresses).await;
    let race = Race::start(&format!("{label}: published"), Duration::from_secs(10));
    race.answers(fleet.server(), &name(label, ""), "A", &addresses).await;
}

fn service(label: &str, probe: &str) -> NewService {
    NewService::new("default", label).port(PORT).annotation("fleetdns.io/probe", probe)
}

/// One of two addresses breaks, and is out within the budget; the other one stays.
async fn out(fleet: &Fleet, label: &str, mode: Mode, budget: Duration) {
    let (good, mut bad) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (retained, goes) = (good.ip().to_string(), bad.ip().to_string());
    publish(fleet, &service(label, "http"), label, &[retained.clone(), goes]).await;
    tokio::task::block_in_place(|| bad.set(mode));
    let race = Race::start(&format!("{label}: out"), budget);
    race.answers(fleet.server(), &name(label, ""), "A", &[&retained]).await;
    race.done();
}

/// One of two addresses answers in another way, which is an answer.
async fn retained(fleet: &Fleet, label: &str, mode: Mode) {
    let (one, mut other) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let both = [one.ip().to_string(), other.ip().to_string()];
    publish(fleet, &service(label, "http"), label, &both).await;
    tokio::task::block_in_place(|| other.set(mode));
    let probed = other.connections();
    dns::assert_stays(fleet.server(), &name(label, ""), "A", &[&both[0], &both[1]], SILENT).await;
    assert!(other.connections() > probed, "{label}: it was not probed");
}

/// One of two https addresses shows a bad certificate.
async fn distrusted(fleet: &Fleet, authority: &Authority, label: &str, kind: Certificate) {
    let host = name(label, "");
    let (good, bad) = (Secure::on_port(PORT, &host, authority), Secure::on_port(PORT, &host, authority));
    let (retained, goes) = (good.ip().to_string(), bad.ip().to_string());
    publish(fleet, &service(label, "https"), label, &[retained.clone(), goes]).await;
    bad.show(kind);
    let race = Race::start(&format!("{label}: out"), REFUSED);
    race.answers(fleet.server(), &host, "A", &[&retained]).await;
    race.done();
    tokio::task::block_in_place(|| drop((good, bad)));
}

/// The IPv4 endpoint dies, the IPv6 one answers: A goes and AAAA stays.
async fn one_family(fleet: &Fleet, label: &str) {
    let port = ports::free();
    let mut v4 = Endpoint::on_port(port);
    let v6 = Endpoint::start(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
    let (a, aaaa) = (v4.ip().to_string(), v6.ip().to_string());
    let object = NewService::new("default", label).port(port);
    fleet.west.create_published(&object, &[&a, &aaaa]).await;
    let (server, host) = (fleet.server(), name(label, ""));
    let race = Race::start(&format!("{label}: published"), Duration::from_secs(10));
    race.answers(server, &host, "A", &[&a]).await;
    race.answers(server, &host, "AAAA", &[&aaaa]).await;
    tokio::task::block_in_place(|| v4.set(Mode::Refuse));
    let race = Race::start(&format!("{label}: out"), REFUSED);
    race.answers(server, &host, "A", &[]).await;
    race.answers(server, &host, "AAAA", &[&aaaa]).await;
    race.done();
}

/// Everything that could be heard from here falls silent at once, and the name server alone can still be written.
#[tokio::test(flavor = "multi_thread")]
async fn when_our_own_network_is_gone_nothing_goes() {
    let mut fleet = Fleet::start().await;
    let (mut in_west, mut in_east) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
    fleet.publish(&service("cut-off", "tcp"), &west, &east).await;
    let daemon = Daemon::start(&fleet.conf()).await;
    let server = fleet.server();
    both(&Race::start("cut-off: published", Duration::from_secs(10)), server, "cut-off", &west, &east).await;
    let written = |status: &serde_json::Value| status["zones"][0]["written"].as_u64();
    let before = written(&daemon.status().await);

    let apis: Vec<Endpoint> = tokio::task::block_in_place(|| {
        let silent = |member: &mut fleetdns_tests::kube::Member| {
            member.kill_api();
            let address = member.url().trim_start_matches("https://").parse().unwrap();
            let mut api = Endpoint::start(address);
            api.set(Mode::BlackHole);
            api
        };
        let apis = [&mut fleet.west, &mut fleet.east].map(silent).into();
        in_west.set(Mode::BlackHole);
        in_east.set(Mode::BlackHole);
        apis
    });
    let (global, region) = (name("cut-off", ""), name("cut-off", "eastus"));
    let (all, in_region): ([&str; 2], [&str; 1]) = ([&west, &east], [&east]);
    tokio::join!(
        dns::assert_stays(server, &global, "A", &all, 2 * SILENT),
        dns::assert_stays(server, &region, "A", &in_region, 2 * SILENT),
    );
    let status = daemon.status().await;
    assert_eq!(status["self_check"]["kind"], "vantage", "{status:#}");

    tokio::task::block_in_place(|| {
        drop(apis);
        in_west.recover();
        in_east.recover();
    });
    fleet.west.restart_api().await;
    fleet.east.restart_api().await;
    let ends = Duration::from_secs(30);
    daemon.status_shows("no doubt", ends, |status| status["self_check"].is_null()).await;
    dns::assert_stays(server, &global, "A", &all, SILENT).await;
    assert_eq!(written(&daemon.status().await), before, "nothing was written all the while");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_endpoint_takes_it_out_within_its_budget() {
    let (fleet, authority) = (Fleet::start().await, Authority::new());
    let conf: Conf = fleet.conf().more(&format!("[probe]\nca-file = {}\n", authority.file().display()));
    let mut daemon = Daemon::start(&conf).await;
    tokio::join!(
        out(&fleet, "refused", Mode::Refuse, REFUSED),
        out(&fleet, "black-holed", Mode::BlackHole, SILENT),
        out(&fleet, "hung", Mode::Hang, SILENT),
        out(&fleet, "dripping", Mode::Drip, SILENT),
        out(&fleet, "reset", Mode::ResetInHead, REFUSED),
        out(&fleet, "unavailable", Mode::Status(503), REFUSED),
        out(&fleet, "not-found", Mode::Status(404), REFUSED),
        distrusted(&fleet, &authority, "expired", Certificate::Expired),
        distrusted(&fleet, &authority, "misnamed", Certificate::OtherName),
        distrusted(&fleet, &authority, "untrusted", Certificate::OtherAuthority),
        one_family(&fleet, "one-family"),
        // The head of the answer is what is asked for; a redirect is an answer and is not followed.
        retained(&fleet, "redirect", Mode::Status(302)),
        retained(&fleet, "reset-in-body", Mode::ResetInBody),
    );
    daemon.assert_running();
}
