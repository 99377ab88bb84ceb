//! The harness itself, against the real servers: each thing that other tests build on is shown here to be so.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetdns_tests::access::Access;
use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::kube::{Member, client};
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::process::Process;
use fleetdns_tests::{dns, within};
use hickory_proto::op::ResponseCode;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::ListParams;
use kube::{Api, Client};

const SOON: Duration = Duration::from_secs(10);

/// All Services but that of the API server itself, which is there a moment after the server is ready.
async fn listed(client: &Client) -> Vec<Service> {
    let all: Api<Service> = Api::all(client.clone());
    let list = within("list of Services", SOON, all.list(&ListParams::default())).await.unwrap();
    list.items.into_iter().filter(|service| service.metadata.name.as_deref() != Some("kubernetes")).collect()
}

/// The HTTP status with which a list of `T` is refused, 200 if it is not.
async fn status_of_list<T>(member: &Member, access: Access) -> u16
where
    T: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let all: Api<T> = Api::all(client(&member.kubeconfig_for(access)).await);
    match within("list", SOON, all.list(&ListParams::default())).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_publish_services_of_their_own() {
    let start = Instant::now();
    let (west, east) = Member::start_pair("west", "east").await;
    eprintln!("two members were ready after {:?}", start.elapsed());
    assert_ne!(west.url(), east.url());

    west.create_node("node-1", "westus", "1").await;
    let service =
        NewService::new("shop", "calculatorlb").port(5001).annotation("a/b", "c").label("tier", "web");
    west.create_namespace("shop").await;
    west.create_published(&service, &["203.0.113.10", "2001:db8::1", "lb.example.net"]).await;
    west.patch_annotations("shop", "calculatorlb", &[("a/b", None), ("d/e", Some("f"))]).await;

    // The kubeconfig file is what fleetdns gets.
    let services = listed(&client(&west.kubeconfig()).await).await;
    let found = services.iter().find(|s| s.metadata.name.as_deref() == Some("calculatorlb")).unwrap();
    let ingress = found.status.clone().unwrap().load_balancer.unwrap().ingress.unwrap();
    let targets: Vec<_> = ingress.into_iter().map(|i| i.ip.or(i.hostname).unwrap()).collect();
    assert_eq!(targets, ["203.0.113.10", "2001:db8::1", "lb.example.net"]);
    assert_eq!(found.metadata.annotations, Some([("d/e".to_owned(), "f".to_owned())].into()));

    west.patch_status("shop", "calculatorlb", &[]).await;
    let emptied = west.services("shop").get("calculatorlb").await.unwrap();
    assert_eq!(emptied.status.unwrap().load_balancer.unwrap().ingress.unwrap_or_default(), []);

    west.delete_service("shop", "calculatorlb").await;
    for member in [&west, &east] {
        assert_eq!(listed(&member.client()).await, [], "{}", member.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_has_its_rights() {
    let member = Member::start("west").await;
    for (access, services, nodes) in [
        (Access::Admin, 200, 200),
        (Access::Reader, 200, 200),
        (Access::ServicesOnly, 200, 403),
        (Access::Nobody, 403, 403),
        (Access::Expired, 401, 401),
    ] {
        assert_eq!(status_of_list::<Service>(&member, access).await, services, "Services, {access:?}");
        assert_eq!(status_of_list::<Node>(&member, access).await, nodes, "nodes, {access:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_freezes_dies_returns_and_is_rebuilt() {
    let mut member = Member::start("west").await;
    member.apply_yaml(include_str!("calculator.yaml")).await;

    member.stop_api();
    let frozen = tokio::time::timeout(Duration::from_secs(2), listed(&member.client())).await;
    assert!(frozen.is_err(), "a stopped API server answered: {frozen:?}");
    member.cont_api();
    assert_eq!(listed(&member.client()).await.len(), 1);

    member.kill_api();
    let address: SocketAddr = member.url().trim_start_matches("https://").parse().unwrap();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let kubeconfig = member.kubeconfig();
    member.restart_api().await;
    assert_eq!(listed(&client(&kubeconfig).await).await.len(), 1, "objects outlive the API server");

    member.rebuild().await;
    assert_eq!(listed(&client(&kubeconfig).await).await, [], "the same kubeconfig finds an empty cluster");
}

#[tokio::test(flavor = "multi_thread")]
async fn coredns_answers_what_its_etcd_holds() {
    let mut coredns = CoreDns::with_etcd(&["example.com"]).await;
    let server = coredns.address();
    let mut etcd = coredns.etcd().client().await;
    dns::wait_for(server, "www.example.com", "A", &[], SOON).await;

    for (key, host) in [("x1", "203.0.113.10"), ("x2", "203.0.113.11")] {
        let key = format!("/skydns/com/example/www/{key}");
        etcd.put(key, format!(r#"{{"host":"{host}","ttl":30}}"#), None).await.unwrap();
    }
    etcd.put("/skydns/com/example/alias", r#"{"host":"www.example.com","ttl":7}"#, None).await.unwrap();
    let both = ["203.0.113.10", "203.0.113.11"];
    let took = dns::wait_for(server, "www.example.com", "A", &both, SOON).await;
    eprintln!("CoreDNS answered after {took:?}");

    let over_udp = dns::query(server, "WWW.example.com", "A").await.unwrap();
    assert!(over_udp.authoritative);
    assert_eq!(over_udp.rcode, ResponseCode::NoError);
    assert!(over_udp.answers.iter().all(|r| r.ttl == 30 && r.name == "www.example.com"), "{over_udp}");
    let over_tcp = dns::query_tcp(server, "www.example.com", "A").await.unwrap();
    assert_eq!(over_tcp.values("A"), over_udp.values("A"));
    dns::wait_for(server, "alias.example.com", "CNAME", &["www.example.com"], SOON).await;

    coredns.stop_etcd();
    let asked = dns::query(server, "www.example.com", "A").await;
    assert!(!matches!(&asked, Ok(a) if a.rcode == ResponseCode::NoError), "answered without etcd: {asked:?}");
    coredns.cont_etcd();
    dns::wait_for(server, "www.example.com", "A", &both, SOON).await;

    coredns.kill_etcd();
    let asked = dns::query(server, "www.example.com", "A").await;
    assert!(!matches!(&asked, Ok(a) if a.rcode == ResponseCode::NoError), "answered without etcd: {asked:?}");
    coredns.restart_etcd().await;
    dns::wait_for(server, "www.example.com", "A", &both, Duration::from_secs(30)).await;
}

fn write_zone(file: &Path, serial: u32, address: &str) {
    let text = format!(
        "$ORIGIN example.com.\n@ 30 IN SOA ns.example.com. admin.example.com. {serial} 60 60 60 30\n\
         @ 30 IN NS ns.example.com.\nns 30 IN A 192.0.2.1\n*.www 30 IN A {address}\n"
    );
    // A file that is seen half-written is what this replaces.
    let new = file.with_file_name("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn coredns_answers_from_zone_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.example.com");
    write_zone(&file, 1, "203.0.113.1");
    let from_folder = CoreDns::with_zone_files(folder.path()).await;
    let from_file = CoreDns::with_zone_file("example.com", &file).await;
    for (serial, address) in [(1, "203.0.113.1"), (2, "203.0.113.2")] {
        write_zone(&file, serial, address);
        for coredns in [&from_folder, &from_file] {
            dns::wait_for(coredns.address(), "a.www.example.com", "A", &[address], SOON).await;
        }
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: shop.example.com\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn an_endpoint_breaks_in_each_way_and_recovers() {
    let mut endpoint = Endpoint::on_port(5001);
    let address = endpoint.address();
    assert_eq!(address.port(), 5001);
    let answers = |endpoint: &Endpoint| {
        let answer = get(endpoint.address(), "/add/10/67").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n77"), "{answer}");
    };
    answers(&endpoint);
    assert!(get(address, "/").unwrap().ends_with("Welcome to Calculator service!"));
    assert_eq!(endpoint.hosts(), ["shop.example.com", "shop.example.com"]);

    endpoint.set(Mode::Refuse);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    endpoint.recover();
    answers(&endpoint);

    endpoint.set(Mode::BlackHole);
    for _ in 0..3 {
        let start = Instant::now();
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(700)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(700));
    }
    endpoint.recover();
    answers(&endpoint);

    endpoint.set(Mode::Hang);
    let hung = get(address, "/").unwrap_err();
    assert_eq!(hung.kind(), ErrorKind::WouldBlock, "a read that is never answered: {hung}");
    assert_eq!(endpoint.connections(), 5);
    endpoint.recover();
    answers(&endpoint);

    endpoint.set(Mode::Status(503));
    assert!(get(address, "/").unwrap().starts_with("HTTP/1.1 503 "));
    endpoint.recover();
    answers(&endpoint);
}

#[test]
fn two_endpoints_have_addresses_of_their_own() {
    let (mut west, east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    assert_ne!(west.ip(), east.ip());
    west.set(Mode::Refuse);
    assert!(get(west.address(), "/").is_err());
    assert!(get(east.address(), "/").is_ok());
}

fn shell(log: &Path, script: &str) -> Process {
    Process::start("script", "/bin/sh", ["-c", script], &[], log.join("script.log"))
}

fn exists(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

#[test]
fn a_process_ends_with_its_guard_and_not_with_the_thread_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut process =
        std::thread::spawn(move || shell(&path, "echo started; exec sleep 600")).join().unwrap();
    let first = process.pid().unwrap();
    process.assert_running();
    process.restart();
    let second = process.pid().unwrap();
    assert!(!exists(first) && exists(second));
    drop(process);
    assert!(!exists(second));
}

#[test]
#[should_panic(expected = "its log ends with:\nout of luck")]
fn a_process_that_ended_is_reported_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = shell(folder.path(), "echo out of luck >&2; exit 3");
    for _ in 0..1_000 {
        process.assert_running();
        std::thread::sleep(Duration::from_millis(10));
    }
}
