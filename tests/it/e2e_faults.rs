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

use crate::e2e_endpoint::{REFUSED, SILENT};

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
    let (stays, goes) = (good.ip().to_string(), bad.ip().to_string());
    publish(fleet, &service(label, "http"), label, &[stays.clone(), goes]).await;
    tokio::task::block_in_place(|| bad.set(mode));
    let race = Race::start(&format!("{label}: out"), budget);
    race.answers(fleet.server(), &name(label, ""), "A", &[&stays]).await;
    race.done();
}

/// One of two addresses answers in another way, which is an answer.
async fn stays(fleet: &Fleet, label: &str, mode: Mode) {
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
    let (stays, goes) = (good.ip().to_string(), bad.ip().to_string());
    publish(fleet, &service(label, "https"), label, &[stays.clone(), goes]).await;
    bad.show(kind);
    let race = Race::start(&format!("{label}: out"), REFUSED);
    race.answers(fleet.server(), &host, "A", &[&stays]).await;
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
        stays(&fleet, "redirect", Mode::Status(302)),
        stays(&fleet, "reset-in-body", Mode::ResetInBody),
    );
    daemon.assert_running();
}
