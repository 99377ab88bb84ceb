//! What listens is asked by somebody who means no good, with real sockets: others are served all the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::{Daemon, fleetdns};
use fleetdns_tests::dns::wait_for;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::hostile::{Body, Hostile, Reply, Request};
use fleetdns_tests::ports;
use serde_json::json;

/// How long the daemon waits for a request head, with room for a busy machine.
const HEAD: Duration = Duration::from_secs(20);

/// A daemon that serves its zone itself and listens for probes, with a cluster that cannot be read.
async fn daemon() -> (Daemon, SocketAddr) {
    let metrics = ports::free_address();
    let conf = Conf::with_zone("provider = embedded\nlisten = 127.0.0.1:0\n")
        .cluster("westus", Path::new("/nowhere/kubeconfig"))
        .admin(&format!("metrics = {metrics}"))
        .more("[brakes]\nstartup-timeout = 1s");
    (Daemon::start(&conf).await, metrics)
}

/// What is answered to a request with this head; empty when the connection is closed without a word.
fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HEAD)).unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether the other end closes the connection within the time.
fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0 || is_closed(stream, within),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_is_read_under_its_own_names_only() {
    let (daemon, _) = daemon().await;
    let admin = daemon.admin();
    let port = admin.port();
    let get = |rest: &str| ask(admin, &format!("GET /v1/snapshot HTTP/1.1\r\n{rest}"));
    for good in [
        &*format!("Host: 127.0.0.1:{port}"),
        "Host: LocalHost",
        &format!("Host: [::1]:{port}"),
        &format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}"),
    ] {
        assert!(get(good).starts_with("HTTP/1.1 200"), "{good}: {}", get(good));
    }
    for bad in [
        "Host: rebound.evil.example",
        &format!("Host: rebound.evil.example:{port}"),
        &format!("Host: 127.0.0.1.evil.example:{port}"),
        "Host: 198.51.100.1",
        "Host: ",
        &format!("Host: localhost:{port}\r\nOrigin: https://evil.example"),
        &format!("Host: localhost:{port}\r\nOrigin: null"),
    ] {
        let answer = get(bad);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("[admin] hosts"), "{bad}: {answer}");
        assert!(!answer.contains("myfederation"), "{answer}");
    }
    let absolute = ask(admin, "GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost");
    assert!(absolute.starts_with("HTTP/1.1 403"), "{absolute}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_is_shown_under_its_own_names_and_loads_nothing_else() {
    let (daemon, metrics) = daemon().await;
    let (admin, port) = (daemon.admin(), daemon.admin().port());
    let get = |path: &str, host: &str| ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: {host}"));
    for path in ["/", "/preview?cluster=westus", "/assets/live.js", "/assets/style.css", "/assets/icon.svg"] {
        let answer = get(path, &format!("localhost:{port}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: no {header} in {head}");
        }
        for (host, more) in [("rebound.evil.example", ""), ("localhost", "\r\nOrigin: https://evil.example")]
        {
            let answer = get(path, &format!("{host}:{port}{more}"));
            assert!(
                answer.starts_with("HTTP/1.1 403") && !answer.contains("myfederation"),
                "{path}: {answer}"
            );
        }
        let outside = ask(metrics, &format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.9:8054"));
        assert!(outside.starts_with("HTTP/1.1 404"), "{path}: {outside}");
    }
    assert!(get("/stream", "rebound.evil.example").starts_with("HTTP/1.1 403"));
    for missing in [
        "/service/default/nothing",
        "/service/default/..%2f..",
        "/preview?cluster=none",
        "/assets/..%2fCargo.toml",
    ] {
        assert!(get(missing, "localhost").starts_with("HTTP/1.1 404"), "{missing}");
    }
    for wrong in ["POST / HTTP/1.1", "DELETE /service/default/web HTTP/1.1"] {
        let answer = ask(admin, &format!("{wrong}\r\nHost: localhost"));
        assert!(answer.starts_with("HTTP/1.1 405"), "{wrong}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_status_page_that_read_nothing_hold_up_nobody() {
    let (daemon, _) = daemon().await;
    let admin = daemon.admin();
    let mut readers: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(HEAD)).unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let one_more = ask(admin, "GET /stream HTTP/1.1\r\nHost: localhost");
    assert!(one_more.starts_with("HTTP/1.1 503"), "{one_more}");
    assert!(ask(admin, "GET / HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200"));
    // One that goes makes room.
    drop(readers.pop());
    let deadline = Instant::now() + HEAD;
    let again = || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 200"
    };
    while !again() {
        assert!(Instant::now() < deadline, "its place stays taken");
    }
    // They end with the daemon.
    let mut daemon = daemon;
    let (status, took) = daemon.terminate().await;
    assert!(status.success() && took < Duration::from_secs(4), "{status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_with_reasons_and_nothing_else_is() {
    let (daemon, metrics) = daemon().await;
    let get = |path: &str| ask(metrics, &format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.9:8054"));
    assert!(get("/livez").starts_with("HTTP/1.1 200"), "{}", get("/livez"));
    assert!(get("/readyz").starts_with("HTTP/1.1 200"), "{}", get("/readyz"));
    assert!(get("/metrics").contains("fleetdns_zone_owned_names"));
    for hidden in [
        "/v1/status",
        "/v1/snapshot",
        "/v1/records",
        "/v1/overrides",
        "/v1/events",
        "/v1/why?name=a",
        "/v1/consequences",
    ] {
        assert!(get(hidden).starts_with("HTTP/1.1 404"), "{hidden}");
    }
    let health = daemon.command(&["health"]).await;
    assert_eq!((health.code, health.out.as_str()), (Some(0), "ok\n"), "{health:?}");
    assert_eq!(daemon.command(&["health", "--ready"]).await.code, Some(0));
    let gone = fleetdns(&["health", "--admin", "http://127.0.0.1:9"]).await;
    assert_eq!(gone.code, Some(1), "{gone:?}");

    // One that never gets to read its zone says which and why.
    let conf = Conf::with_zone("provider = coredns\netcd-endpoints = http://127.0.0.1:9\n")
        .cluster("westus", Path::new("/nowhere/kubeconfig"));
    let daemon = Daemon::spawn(&conf, &[]);
    let deadline = Instant::now() + HEAD;
    let said = loop {
        let said = daemon.command(&["health", "--ready"]).await;
        if said.out.contains("zone syncweek.com has not been read yet: ") || Instant::now() > deadline {
            break said;
        }
    };
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("127.0.0.1:9") && said.out.contains("cluster westus has not been listed"),
        "{said:?}"
    );
    assert_eq!(daemon.command(&["health"]).await.code, Some(0), "it lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_dawdle_are_closed_and_too_many_are_not_taken() {
    let (daemon, metrics) = daemon().await;
    for address in [daemon.admin(), metrics] {
        let connect = || TcpStream::connect(address).unwrap();
        let mut connections: Vec<TcpStream> = (0..400).map(|_| connect()).collect();
        // Of one peer few are kept, the others are closed at once.
        let started = Instant::now();
        assert!(
            is_closed(connections.last_mut().unwrap(), HEAD) && started.elapsed() < Duration::from_secs(4)
        );
        for stream in connections.iter_mut().take(8) {
            // Drop by drop, so that the connection is never idle.
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nX: ");
        }
        for stream in &mut connections {
            assert!(is_closed(stream, HEAD), "a head that never ends is not waited for");
        }
        assert!(started.elapsed() < HEAD, "{:?}", started.elapsed());
        let answer = ask(address, "GET /livez HTTP/1.1\r\nHost: localhost");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let large =
            ask(address, &format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1 << 20)));
        assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    }
    assert_eq!(daemon.command(&["status"]).await.code, Some(0));
}

/// A daemon with so few file descriptors, a zone of its own, and one member with one Service.
async fn narrow(member: &Hostile, folder: &Path, dns: SocketAddr) -> Daemon {
    let conf = Conf::with_zone(&format!("provider = embedded\nlisten = {dns}\n"))
        .cluster("westus", &member.kubeconfig(folder, "westus"))
        .more("[probe]\ninterval = 1s\nfast-interval = 500ms\ntimeout = 500ms\n[brakes]\nall-down = empty");
    let mut daemon = Daemon::spawn_with_descriptors(&conf, 128);
    daemon.ready(HEAD).await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_neither_blind_the_prober_nor_spin_with_few_descriptors() {
    let (folder, dns, mut endpoint) =
        (tempfile::tempdir().unwrap(), ports::free_address(), Endpoint::on_port(5001));
    let address = endpoint.ip().to_string();
    let shown = address.clone();
    let member = Hostile::start(move |request| member_with(request, &shown)).await;
    let daemon = narrow(&member, folder.path(), dns).await;
    let name = name("web", "");
    wait_for(dns, &name, "A", &[&address], HEAD).await;

    let connect = |to: SocketAddr| (0..400).filter_map(move |_| TcpStream::connect(to).ok());
    let started = Instant::now();
    let mut connections: Vec<TcpStream> = connect(daemon.admin()).chain(connect(dns)).collect();
    assert!(connections.len() > 600, "{}", connections.len());
    let cpu = daemon.cpu_time();
    tokio::task::block_in_place(|| endpoint.set(Mode::Refuse));
    let died = Instant::now();
    wait_for(dns, &name, "A", &[], Duration::from_secs(8)).await;
    let out = died.elapsed();
    tokio::task::block_in_place(|| endpoint.recover());
    wait_for(dns, &name, "A", &[&address], Duration::from_secs(8)).await;
    // Who is closed comes back at once, for as long as that takes.
    while started.elapsed() < Duration::from_secs(6) {
        connections.retain_mut(|stream| !is_closed(stream, Duration::from_micros(1)));
        connections.extend(connect(daemon.admin()).take(50));
        connections.extend(connect(dns).take(50));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let used = daemon.cpu_time() - cpu;
    eprintln!("out after {out:.1?}; {used:.1?} of processor time in {:.1?}", started.elapsed());
    assert!(used < started.elapsed() / 4, "{used:?} of processor time in {:?}", started.elapsed());
    let log = daemon.log();
    assert!(!log.contains("probes fail on this side"), "{log}");
    assert!(log.lines().count() < 200, "{log}");
    drop(connections);
    assert_eq!(daemon.command(&["status"]).await.code, Some(0));
    tokio::task::block_in_place(|| drop(endpoint));
}

/// One Service at this address, and a watch in silence.
fn member_with(request: &Request, address: &str) -> Reply {
    let list = |kind: &str, items: serde_json::Value| {
        let list = json!({"kind": kind, "metadata": {"resourceVersion": "7"}, "items": items});
        Reply::json(Body::Whole(list.to_string().into_bytes()))
    };
    if !request.path.starts_with("/api/v1/services") {
        list("NodeList", json!([]))
    } else if request.path.contains("watch=") {
        Reply::json(Body::Held(Vec::new()))
    } else {
        let service = json!({
            "metadata": {"namespace": "default", "name": "web", "resourceVersion": "5"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 5001, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
        });
        list("ServiceList", json!([service]))
    }
}
