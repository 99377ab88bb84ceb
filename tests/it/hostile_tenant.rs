//! One tenant does all the harm that a namespace can do, and another tenant's times do not change: through real API
//! servers and CoreDNS, each attack with the victim's time beside the time of a Service in the same fleet before it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{FLEET, ZONE, name};
use fleetdns_tests::daemon::{Daemon, reasons};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use fleetdns_tests::race::Race;
use futures::{StreamExt, stream};

use crate::e2e_endpoint::{REFUSED, both, without_east};

const TENANT: &str = "tenant";
const PORT: u16 = 5001;
/// From a new Service to its names, beside whatever the tenant does.
const PUBLISHED: Duration = Duration::from_secs(10);
/// Requests under way at an API server.
const AT_ONCE: usize = 16;

/// A Service of namespace `default` with an endpoint in each member.
struct Victim {
    service: String,
    west: String,
    in_east: Endpoint,
    _in_west: Endpoint,
}

impl Victim {
    /// Publishes it, and waits until it is in DNS.
    async fn publish(fleet: &Fleet, service: &str) -> Self {
        let (in_west, in_east) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
        let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
        fleet.publish(&NewService::new("default", service).port(PORT), &west, &east).await;
        let race = Race::start(&format!("{service}: published"), PUBLISHED);
        both(&race, fleet.server(), service, &west, &east).await;
        race.done();
        Self { service: service.to_owned(), west, in_east, _in_west: in_west }
    }

    /// Its eastern endpoint dies; returns how long DNS had it.
    async fn dies(&mut self, fleet: &Fleet) -> Duration {
        tokio::task::block_in_place(|| self.in_east.set(Mode::Refuse));
        let died = Instant::now();
        let race = Race::start(&format!("{}: out", self.service), REFUSED);
        without_east(&race, fleet.server(), &self.service, &self.west).await;
        race.done();
        died.elapsed()
    }
}

/// A Service of the tenant.
fn service(name: &str) -> NewService {
    NewService::new(TENANT, name).port(PORT)
}

/// Creates many Services in a member, each with its address.
async fn flood(member: &Member, services: impl IntoIterator<Item = (NewService, String)>) {
    stream::iter(services)
        .for_each_concurrent(AT_ONCE, |(service, address)| async move {
            member.create_published(&service, &[&address]).await;
        })
        .await;
}

/// An address of its own at which nothing listens.
fn silent() -> String {
    ports::loopback_with(PORT).to_string()
}

/// Thousands of host names: in one annotation beyond every limit, and in many that keep to it.
async fn asks_for_thousands_of_names(fleet: &Fleet) {
    let list = |prefix: &str, count: usize| {
        (0..count).map(|n| format!("{prefix}{n}.{ZONE}")).collect::<Vec<_>>().join(",")
    };
    let huge = service("huge").annotation("fleetdns.io/hostname", &list("huge", 9_000));
    let bad = service("bad").annotation("fleetdns.io/hostname", &"not..a..name,".repeat(15_000));
    let many = (0..40).map(|n| {
        let one =
            service(&format!("many{n}")).annotation("fleetdns.io/hostname", &list(&format!("m{n}x"), 150));
        (one, silent())
    });
    flood(&fleet.west, [(huge, silent()), (bad, silent())].into_iter().chain(many)).await;
}

/// A rollout to both members whose pods do not answer.
async fn rolls_out_what_never_answers(fleet: &Fleet) {
    let broken = || (0..60).map(|n| (service(&format!("broken{n}")), silent()));
    tokio::join!(flood(&fleet.west, broken()), flood(&fleet.east, broken()));
}

/// Sixty addresses in one member, living.
async fn grows(fleet: &Fleet) -> Vec<Endpoint> {
    let endpoints: Vec<Endpoint> = (0..60).map(|_| Endpoint::on_port(PORT)).collect();
    let all = endpoints.iter().enumerate();
    flood(&fleet.west, all.map(|(n, one)| (service(&format!("farm{n}")), one.ip().to_string()))).await;
    for n in [0, 30, 59] {
        let (host, ip) = (name_of(&format!("farm{n}")), endpoints[n].ip().to_string());
        Race::start("the tenant's farm", PUBLISHED).answers(fleet.server(), &host, "A", &[&ip]).await;
    }
    endpoints
}

fn name_of(service: &str) -> String {
    name(service, "").replace(".default.", &format!(".{TENANT}."))
}

/// What no annotation may ask for, and where nobody may send traffic.
async fn asks_for_what_is_not_its_own(fleet: &Fleet, daemon: &Daemon) {
    let hosts = [
        ZONE.to_owned(),
        format!("*.{ZONE}"),
        format!("_acme-challenge.shop.{ZONE}"),
        format!("_dmarc.{ZONE}"),
        name("victim-of-nobody", ""),
        // Above all federation names of a namespace.
        format!("newteam.{FLEET}.svc.{ZONE}"),
    ];
    let thief = service("thief").annotation("external-dns.alpha.kubernetes.io/hostname", &hosts.join(","));
    let address: IpAddr = "203.0.113.66".parse().unwrap();
    fleet.west.create_published(&thief, &[&address.to_string()]).await;
    let target = |host: &str, target: &str| {
        service(host)
            .annotation("fleetdns.io/hostname", &format!("{host}.{ZONE}"))
            .annotation("fleetdns.io/target", target)
    };
    flood(
        &fleet.west,
        [("metadata", "169.254.169.254"), ("mapped", "64:ff9b::a9fe:a9fe"), ("local", "localhost")]
            .map(|(host, to)| (target(host, to), silent())),
    )
    .await;
    let refused =
        |status: &serde_json::Value| hosts.iter().all(|host| !reasons(status, "refused", host).is_empty());
    daemon.status_shows("each reserved name as refused", PUBLISHED, refused).await;
    // CoreDNS's etcd plugin answers for the apex with all that lies below it.
    for host in hosts.iter().filter(|host| !host.starts_with('*') && *host != ZONE) {
        dns::wait_for(fleet.server(), host, "A", &[], Duration::from_secs(2)).await;
    }
    // The namespace itself is not hindered.
    fleet.west.create_namespace("newteam").await;
    let (app, endpoint) = (name("app", "").replace(".default.", ".newteam."), Endpoint::on_port(PORT));
    let address = endpoint.ip().to_string();
    fleet.west.create_published(&NewService::new("newteam", "app").port(PORT), &[&address]).await;
    dns::wait_for(fleet.server(), &app, "A", &[&address], PUBLISHED).await;
    tokio::task::block_in_place(|| drop(endpoint));
    for host in ["metadata", "mapped", "local"] {
        for record_type in ["A", "AAAA"] {
            dns::wait_for(
                fleet.server(),
                &format!("{host}.{ZONE}"),
                record_type,
                &[],
                Duration::from_secs(2),
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_all_it_can_changes_no_time_of_another() {
    let fleet = Fleet::start_alone().await;
    let mut daemon = Daemon::start(&fleet.conf()).await;
    tokio::join!(fleet.west.create_namespace(TENANT), fleet.east.create_namespace(TENANT));
    let mut victims = Vec::new();
    for service in ["calm", "names", "rollout", "dying", "thief", "deleted"] {
        victims.push(Victim::publish(&fleet, service).await);
    }
    let (mut times, mut late, mut farm) = (Vec::new(), Vec::new(), Vec::new());
    for victim in &mut victims {
        match victim.service.as_str() {
            "names" => asks_for_thousands_of_names(&fleet).await,
            "rollout" => rolls_out_what_never_answers(&fleet).await,
            "dying" => {
                farm = grows(&fleet).await;
                tokio::task::block_in_place(|| farm.iter_mut().for_each(|one| one.set(Mode::Refuse)));
            }
            "thief" => asks_for_what_is_not_its_own(&fleet, &daemon).await,
            "deleted" => {
                // While the daemon is down, the tenant deletes most of what the zone has.
                daemon.kill();
                let gone = (0..60).map(|n| format!("farm{n}"));
                stream::iter(gone)
                    .for_each_concurrent(AT_ONCE, |name| {
                        let west = &fleet.west;
                        async move { west.delete_service(TENANT, &name).await }
                    })
                    .await;
                daemon.start_again();
                daemon.ready(Duration::from_secs(30)).await;
            }
            _ => {}
        }
        let took = victim.dies(&fleet).await;
        times.push(format!("{:>8} {took:.1?}", victim.service));
        late.push(Victim::publish(&fleet, &format!("{}-late", victim.service)).await);
    }
    let drained = daemon.command(&["drain", "eastus"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let race = Race::start("drained", Duration::from_secs(5));
    for one in &late {
        without_east(&race, fleet.server(), &one.service, &one.west).await;
    }
    race.done();
    daemon.assert_running();
    tokio::task::block_in_place(|| drop((farm, late, victims)));
    eprintln!("from death to removal, beside a tenant that …\n{}", times.join("\n"));
}
