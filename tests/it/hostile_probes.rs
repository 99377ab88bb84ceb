//! A tenant whose Services ask for as many probes of one address as they can, at ports and under names that are not their
//! own: the address has the share of a namespace, and another namespace's dead endpoint is out in the time without them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{FLEET, ZONE, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply};
use fleetdns_tests::manifest::NewService;
use serde_json::{Value, json};

use crate::e2e_endpoint::REFUSED;
use crate::hostile_members::list;

const PORT: u16 = 5001;
const SERVICES: usize = 300;
/// What no Service may ask for.
const STOLEN: [(&str, &str); 3] = [
    ("fleetdns.io/probe-host", "bank.example.org"),
    ("fleetdns.io/probe-port", "22"),
    ("fleetdns.io/probe-interval", "10ms"),
];
/// Probes a second of one namespace at one address, and as many more at once.
const RATE: usize = 100;
const SEEN: Duration = Duration::from_secs(30);

/// A member in which each Service has the address that belongs to its number, and asks for a probe of its own each second.
async fn member(address: impl Fn(usize) -> IpAddr) -> Hostile {
    let service = |at: usize| {
        let address = address(at);
        let mut annotations = json!({
            "fleetdns.io/probe": "http", "fleetdns.io/probe-path": format!("/{at}"), "fleetdns.io/probe-interval": "1s",
        });
        if let Some((key, value)) = STOLEN.get(at) {
            annotations[*key] = json!(value);
        }
        json!({
            "metadata": {"namespace": "tenant", "name": format!("greedy{at}"), "resourceVersion": "5",
                         "annotations": annotations},
            "spec": {"type": "LoadBalancer", "ports": [{"port": PORT, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
        })
    };
    let services = list(&(0..SERVICES).map(service).collect::<Vec<_>>());
    Hostile::start(move |request| {
        Reply::json(match request.path.starts_with("/api/v1/services") {
            _ if request.path.contains("watch=") => Body::Held(Vec::new()),
            true => Body::Whole(services.clone()),
            false => Body::Whole(br#"{"kind":"NodeList","metadata":{},"items":[]}"#.to_vec()),
        })
    })
    .await
}

/// A Service of `default` dies; returns how long DNS had it.
async fn dies(fleet: &Fleet, service: &str) -> Duration {
    let (lives, mut dying) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
    let all = [lives.ip().to_string(), dying.ip().to_string()];
    let addresses = [&*all[0], &*all[1]];
    fleet.west.create_published(&NewService::new("default", service).port(PORT), &addresses).await;
    dns::wait_for(fleet.server(), &name(service, ""), "A", &addresses, SEEN).await;
    tokio::task::block_in_place(|| dying.set(Mode::Refuse));
    let died = Instant::now();
    dns::wait_for(fleet.server(), &name(service, ""), "A", &addresses[..1], REFUSED).await;
    let took = died.elapsed();
    tokio::task::block_in_place(|| drop((lives, dying)));
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn many_services_at_one_address_have_the_probes_of_one_namespace() {
    let (fleet, folder) = (Fleet::start_alone().await, tempfile::tempdir().unwrap());
    let daemon = Daemon::start(&fleet.conf()).await;
    let calm = dies(&fleet, "calm").await;

    let target = Endpoint::on_port(PORT);
    let evil = member(|_| target.ip()).await;
    daemon.write_conf(&fleet.conf().cluster("evil", &evil.kubeconfig(folder.path(), "evil")));
    let put_off = |status: &Value| status["probes_put_off"].to_string().contains("tenant");
    daemon.status_shows("probes of the tenant that were put off", SEEN, put_off).await;
    let (before, began) = (target.connections(), Instant::now());
    let beside = dies(&fleet, "beside").await;
    let (probes, span) = (target.connections() - before, began.elapsed());
    let rate = probes as f64 / span.as_secs_f64();
    eprintln!("{rate:.0} probes a second; from death to removal {calm:.1?} alone, {beside:.1?} beside");
    // Both are within REFUSED.
    let most = RATE as f64 * (span.as_secs_f64() + 1.0) + RATE as f64;
    assert!(probes > 100 && (probes as f64) < most, "{probes} probes in {span:.1?}");
    let own = format!(".tenant.{FLEET}.svc.{ZONE}");
    let hosts = target.hosts();
    let other = hosts.iter().find(|host| !host.contains(&own));
    assert!(!hosts.is_empty() && other.is_none(), "{other:?}");
    let status = daemon.command(&["status"]).await.out;
    for (at, (key, _)) in STOLEN.iter().enumerate() {
        let (service, key) = (format!("tenant/greedy{at} "), key.trim_start_matches("fleetdns.io/"));
        let refused = status.lines().any(|line| line.starts_with(&service) && line.contains(key));
        assert!(refused, "no {key} of {service} in {status}");
    }
    tokio::task::block_in_place(|| drop(target));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_addresses_of_one_namespace_have_its_probes_and_no_more() {
    const RATE: usize = 50;
    let (fleet, folder) = (Fleet::start_alone().await, tempfile::tempdir().unwrap());
    let conf = fleet.conf().more(&format!("[limits]\nnamespace-probes = {RATE}\n"));
    let daemon = Daemon::start(&conf).await;
    let calm = dies(&fleet, "calm").await;

    let targets: Vec<Endpoint> = (0..SERVICES).map(|_| Endpoint::on_port(PORT)).collect();
    let evil = member(|at| targets[at].ip()).await;
    daemon.write_conf(&conf.clone().cluster("evil", &evil.kubeconfig(folder.path(), "evil")));
    let put_off = |status: &Value| status["probes_put_off"].to_string().contains("tenant");
    daemon.status_shows("probes of the tenant that were put off", SEEN, put_off).await;
    let probes = || targets.iter().map(Endpoint::connections).sum::<usize>();
    let (before, began) = (probes(), Instant::now());
    let beside = dies(&fleet, "beside").await;
    let (probes, span) = (probes() - before, began.elapsed());
    eprintln!("{probes} probes in {span:.1?}; from death to removal {calm:.1?} alone, {beside:.1?} beside");
    // Both are within REFUSED.
    let most = RATE as f64 * (span.as_secs_f64() + 2.0);
    assert!(probes > RATE && (probes as f64) < most, "{probes} probes in {span:.1?}");
    tokio::task::block_in_place(|| drop(targets));
}
