//! A tenant whose load balancers have host names that are never answered, answered otherwise each time, or answered with
//! addresses that nobody may publish: another namespace's load balancers come into DNS in the times that they have without it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, cluster};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply};
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::resolver::Resolver;
use serde_json::{Value, json};

use crate::e2e_endpoint::REFUSED;
use crate::hostile_members::{Victim, list};

const PORT: u16 = 5001;
const TENANT: &str = "tenant";
/// Names that are resolved at one time are a twentieth of these.
const SILENT: usize = 5_000;
const ROTATING: usize = 40;
/// A new Service, whatever the tenant does.
const PUBLISHED: Duration = Duration::from_secs(60);

/// A server of host names: of the tenant's some are never answered, others always change, and others have very many
/// addresses; of any other load balancer `lb-A-B-C-D…` it says that address.
async fn resolver() -> Resolver {
    let turn = AtomicU32::new(0);
    Resolver::start(move |name| {
        let label = name.split('.').next().unwrap_or_default();
        if label.starts_with("silent") {
            None
        } else if label.starts_with("rotating") {
            let turn = turn.fetch_add(4, Ordering::Relaxed);
            Some((turn..turn + 4).map(|at| Ipv4Addr::from_bits(0x0b00_0001 + at)).collect())
        } else if label == "farm" {
            // As many as fit into one datagram.
            Some((0..70).map(|at| Ipv4Addr::from_bits(0x0b00_0001 + at)).collect())
        } else {
            let address = label.strip_prefix("lb-").map(|text| text.replace('-', "."));
            Some(address.into_iter().map(|text| text.parse().unwrap()).collect())
        }
    })
    .await
}

/// A member with this many Services of the tenant, each with such a host name.
async fn member(kind: &'static str, count: usize, annotations: Value) -> Hostile {
    let service = move |at: usize| {
        json!({
            "metadata": {"namespace": TENANT, "name": format!("{kind}{at}"), "resourceVersion": "5",
                         "annotations": annotations},
            "spec": {"type": "LoadBalancer", "ports": [{"port": PORT, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [
                {"hostname": format!("{kind}{at}.elb.example.net")}, {"ip": "203.0.113.1"},
            ]}},
        })
    };
    let services = list(&(0..count).map(service).collect::<Vec<_>>());
    Hostile::start(move |request| {
        Reply::json(match request.path.starts_with("/api/v1/services") {
            _ if request.path.contains("watch=") => Body::Held(Vec::new()),
            true => Body::Whole(services.clone()),
            false => Body::Whole(br#"{"kind":"NodeList","metadata":{},"items":[]}"#.to_vec()),
        })
    })
    .await
}

fn conf(fleet: &Fleet, resolver: &Resolver) -> Conf {
    fleet.conf().more(&format!("[probe]\nnameservers = {}", resolver.address()))
}

/// The times of a Service of `default`.
#[derive(Debug, Default)]
struct Times {
    /// With an address: until it is in DNS.
    by_address: Duration,
    /// With a host name beside the address: until what it resolves to is in DNS.
    by_name: Duration,
    /// From the death of what the host name resolves to until DNS does not have it.
    out: Duration,
}

impl Times {
    /// The longest times of some Services.
    async fn measure(fleet: &Fleet, prefix: &str) -> Self {
        let mut longest = Self::default();
        for at in 0..3 {
            let (alone, named) = (Endpoint::on_port(PORT), Endpoint::on_port(PORT));
            let (address, resolved) = (alone.ip().to_string(), named.ip().to_string());
            let balancer = format!("lb-{}.elb.example.net", resolved.replace('.', "-"));
            let shown = async |service: &str, ingress: &[&str], expected: &[&str]| {
                let service = format!("{prefix}-{service}{at}");
                fleet.west.create_published(&NewService::new("default", &service).port(PORT), ingress).await;
                let published = Instant::now();
                dns::wait_for(fleet.server(), &name(&service, ""), "A", expected, PUBLISHED).await;
                published.elapsed()
            };
            let by_address = shown("address", &[&address], &[&address]).await;
            let by_name = shown("name", &[&balancer, &address], &[&address, &resolved]).await;
            longest.by_address = longest.by_address.max(by_address);
            longest.by_name = longest.by_name.max(by_name);
            let mut named = named;
            tokio::task::block_in_place(|| named.set(Mode::Refuse));
            let died = Instant::now();
            let host = name(&format!("{prefix}-name{at}"), "");
            dns::wait_for(fleet.server(), &host, "A", &[&address], REFUSED).await;
            longest.out = longest.out.max(died.elapsed());
            tokio::task::block_in_place(|| drop((alone, named)));
        }
        longest
    }
}

fn converged(status: &Value) -> bool {
    status["zones"].as_array().is_some_and(|all| all.iter().all(|zone| zone["startup"].is_null()))
}

#[tokio::test(flavor = "multi_thread")]
async fn names_at_a_silent_name_server_keep_nobody_elses_load_balancer_out() {
    let (fleet, folder, resolver) =
        (Fleet::start_alone().await, tempfile::tempdir().unwrap(), resolver().await);
    let mut daemon = Daemon::start(&conf(&fleet, &resolver)).await;
    let calm = Times::measure(&fleet, "calm").await;

    let evil = member("silent", SILENT, json!({})).await;
    let conf = conf(&fleet, &resolver).cluster("evil", &evil.kubeconfig(folder.path(), "evil"));
    daemon.kill();
    let mut daemon = Daemon::spawn(&conf, &[]);
    daemon.ready(PUBLISHED).await;
    let listed = |status: &Value| cluster(status, "evil")["services"] == SILENT && converged(status);
    let over = daemon.status_shows("all Services of the tenant, start-up over", PUBLISHED, listed).await;
    // The first writing of so many names is another matter.
    let last = name(&format!("silent{}", SILENT - 1), "").replace(".default.", &format!(".{TENANT}."));
    dns::wait_for(fleet.server(), &last, "A", &["203.0.113.1"], PUBLISHED).await;
    let beside = Times::measure(&fleet, "beside").await;
    let asked = resolver.asked().keys().filter(|name| name.starts_with("silent")).count();
    eprintln!(
        "{asked} names were asked for, start-up took {over:.1?}: alone {calm:.1?}, beside {beside:.1?}"
    );
    for (calm, beside) in [(calm.by_address, beside.by_address), (calm.by_name, beside.by_name)] {
        assert!(beside <= calm * 3 + Duration::from_secs(2), "{calm:?} alone, {beside:?} beside");
    }
    assert!(asked > 256, "{asked} names of the tenant were asked for: no attack");
    daemon.assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_always_change_flood_neither_the_log_nor_the_zone() {
    let (fleet, folder, resolver) =
        (Fleet::start_alone().await, tempfile::tempdir().unwrap(), resolver().await);
    let mut daemon = Daemon::start(&conf(&fleet, &resolver)).await;
    let mut victim = Victim::publish(&fleet).await;
    let calm = victim.changes(&fleet).await;

    let evil = member("rotating", ROTATING, json!({"fleetdns.io/probe": "none"})).await;
    let conf = conf(&fleet, &resolver).cluster("evil", &evil.kubeconfig(folder.path(), "evil"));
    daemon.kill();
    let mut daemon = Daemon::spawn(&conf, &[]);
    daemon.ready(PUBLISHED).await;
    let began = Instant::now();
    // Asked after 5, 5, 5, 5, 10 and 20 s, where a name whose answers agree is asked every 5 s at this TTL.
    let slow =
        |times: &Vec<Instant>| times.windows(2).any(|pair| pair[1] - pair[0] >= Duration::from_secs(15));
    let mut beside = Duration::ZERO;
    let slowed = loop {
        beside = beside.max(victim.changes(&fleet).await);
        let asked = resolver.asked();
        let names = asked.iter().filter(|(name, _)| name.starts_with("rotating"));
        let slowed = names.filter(|(_, times)| slow(times)).count();
        if slowed == ROTATING || began.elapsed() > Duration::from_secs(90) {
            break slowed;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let ours = tenant_lines(&daemon.log());
    eprintln!("changes: {calm:.1?} alone, {beside:.1?} beside; {ours} lines in {:.0?}", began.elapsed());
    assert_eq!(slowed, ROTATING, "names that are asked for less and less often");
    assert!(beside <= calm * 3 + Duration::from_secs(1), "{calm:?} alone, {beside:?} beside");
    // In a zone and in the prober 100 at once, and one more a second.
    let most = 2 * (100 + began.elapsed().as_secs());
    assert!((100..most).contains(&ours), "{ours} lines of the tenant");
    daemon.assert_running();
    tokio::task::block_in_place(|| drop(victim));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_name_resolves_to_is_checked_and_bounded() {
    let (fleet, resolver) = (Fleet::start_alone().await, resolver().await);
    let daemon = Daemon::start(&conf(&fleet, &resolver)).await;
    fleet.west.create_namespace(TENANT).await;
    let metadata = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "224.0.0.1", "0.0.0.0"];
    let service =
        |name: &str| NewService::new(TENANT, name).port(PORT).annotation("fleetdns.io/probe", "none");
    for (at, address) in metadata.iter().enumerate() {
        let balancer = format!("lb-{}.elb.example.net", address.replace('.', "-"));
        fleet.west.create_published(&service(&format!("denied{at}")), &[&balancer, "203.0.113.1"]).await;
    }
    fleet.west.create_published(&service("farm"), &["farm.elb.example.net", "203.0.113.1"]).await;
    let name_of = |service: &str| name(service, "").replace(".default.", &format!(".{TENANT}."));
    // Where the daemon itself listens, by address and by name, beside an endpoint at the same port.
    let port = daemon.admin().port();
    let endpoint = Endpoint::on_port(port);
    let address = endpoint.ip().to_string();
    for (own, target) in [("own-address", "127.0.0.1"), ("own-name", "lb-127-0-0-1.elb.example.net")] {
        let service = NewService::new(TENANT, own).port(port);
        fleet.west.create_published(&service, &[target, &address]).await;
        dns::wait_for(fleet.server(), &name_of(own), "A", &[&address], PUBLISHED).await;
    }
    // Of one answer 64.
    fleetdns_tests::eventually(
        "65 addresses of the farm",
        PUBLISHED,
        Duration::from_millis(100),
        async || {
            let answer =
                dns::query_tcp(fleet.server(), &name_of("farm"), "A").await.map_err(|e| e.to_string())?;
            if answer.values("A").len() == 65 { Ok(()) } else { Err(answer.to_string()) }
        },
    )
    .await;
    for at in 0..metadata.len() {
        // It was asked for, and what it resolves to is left out.
        let host = name_of(&format!("denied{at}"));
        dns::assert_stays(fleet.server(), &host, "A", &["203.0.113.1"], Duration::from_millis(200)).await;
    }
    let asked = resolver.asked();
    assert!(
        metadata.iter().all(|ip| asked.keys().any(|name| name.contains(&ip.replace('.', "-")))),
        "{asked:?}"
    );
    let records = daemon.records().await.to_string();
    assert!(!metadata.iter().any(|address| records.contains(address)), "{records}");
    let why = daemon.command(&["why", &name_of("denied0")]).await.out;
    assert!(why.contains("169.254.169.254") && why.contains("address-allow"), "{why}");
}

/// Lines about the names of the tenant.
fn tenant_lines(log: &str) -> u64 {
    log.lines().filter(|line| line.contains("rotating")).count() as u64
}
