//! API servers that send without end, over real sockets: the member is stale and says why, and the others are unhurt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use fleetdns_core::Inventory;
use fleetdns_watch::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fake::{Fake, service};
use crate::{Fleet, fault, kubeconfig};

/// How a server goes on for ever.
#[derive(Clone, Copy, Debug)]
enum Endless {
    /// A page with ever more Services.
    Page,
    /// Blanks between two Services.
    Blanks,
    /// One Service with an annotation that never ends.
    Object,
    /// Small pages, each of which names another.
    Continue,
    /// A small body that unpacks to eight gigabytes.
    Gzip,
    /// A refusal with a text that never ends.
    Error,
    /// A good list, then a watch with a line that never ends.
    Line,
    /// A good list, then a watch that adds Services.
    Services,
    /// A good list, then a watch that changes one Service as fast as it can.
    Events,
}

struct Server {
    address: SocketAddr,
    /// Bytes that clients took.
    sent: Arc<AtomicU64>,
}

impl Server {
    async fn start(how: Endless) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, how, Arc::clone(&counter)));
            }
        });
        Self { address, sent }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

const HEAD: &str = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":["#;

fn item(number: u64) -> String {
    format!(
        r#"{{"metadata":{{"namespace":"default","name":"s{number}","resourceVersion":"{number}"}},"spec":{{"type":"LoadBalancer","ports":[{{"port":80}}]}},"status":{{"loadBalancer":{{"ingress":[{{"ip":"203.0.113.{}"}}]}}}}}}"#,
        number % 250
    )
}

/// One request for each connection; each part goes out as far as the client takes it.
async fn answer(mut stream: TcpStream, how: Endless, sent: Arc<AtomicU64>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let watching = path.contains("watch=");
    let good_list = matches!(how, Endless::Line | Endless::Services | Endless::Events);
    let status = if matches!(how, Endless::Error) { "500 Internal Server Error" } else { "200 OK" };
    let packed = if matches!(how, Endless::Gzip) { "content-encoding: gzip\r\n" } else { "" };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{packed}\r\n");
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    if !path.starts_with("/api/v1/services") {
        return;
    }
    if good_list && !watching {
        let page = format!("{HEAD}{}]}}", item(1));
        let _ = stream.write_all(page.as_bytes()).await;
        return;
    }
    let mut number = 1;
    let first = match how {
        Endless::Page | Endless::Blanks => format!("{HEAD}{}", item(0)).into_bytes(),
        Endless::Object => format!(r#"{HEAD}{{"metadata":{{"annotations":{{"fleetdns.io/x":""#).into_bytes(),
        Endless::Gzip => bomb_head(),
        Endless::Error | Endless::Line => b"{\"message\":\"".to_vec(),
        Endless::Continue | Endless::Services | Endless::Events => Vec::new(),
    };
    if stream.write_all(&first).await.is_err() {
        return;
    }
    loop {
        let part = match how {
            Endless::Page => format!(",{}", item(number)).repeat(1).into_bytes(),
            Endless::Blanks => vec![b' '; 4096],
            Endless::Object | Endless::Error | Endless::Line => vec![b'x'; 4096],
            Endless::Gzip => bomb_part(),
            Endless::Continue => {
                let next =
                    path.split("continue=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
                let next = next.unwrap_or(0_u64) + 1;
                let page = format!(
                    r#"{{"kind":"ServiceList","metadata":{{"resourceVersion":"7","continue":"{next}"}},"items":[]}}"#
                );
                sent.fetch_add(page.len() as u64, Ordering::Relaxed);
                let _ = stream.write_all(page.as_bytes()).await;
                return;
            }
            Endless::Services => format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", item(number)).into_bytes(),
            Endless::Events => {
                let object = item(1).replace("203.0.113.1\"", &format!("203.0.113.{}\"", number % 250));
                format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n").into_bytes()
            }
        };
        number += 1;
        if stream.write_all(&part).await.is_err() {
            return;
        }
        sent.fetch_add(part.len() as u64, Ordering::Relaxed);
    }
}

/// The header of a gzip stream (RFC 1952 §2.3), and a page that begins in it.
fn bomb_head() -> Vec<u8> {
    let mut whole = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    whole.extend(packed(HEAD.as_bytes()));
    whole
}

/// A megabyte of blanks in about a kilobyte. Each part stands alone, so that it can be sent again and again.
fn bomb_part() -> Vec<u8> {
    static PART: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    PART.get_or_init(|| packed(&vec![b' '; 1 << 20])).clone()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() + 100);
    compress.compress_vec(bytes, &mut out, FlushCompress::Full).unwrap();
    out
}

/// A hostile member beside a good one.
async fn beside(how: Endless, limits: Limits) -> (Fleet, Server, Fake) {
    let (server, west) = (Server::start(how).await, Fake::start());
    west.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &west), ("west", &west)]);
    kubeconfig(&fleet.folder, "east", &format!("http://{}", server.address), "top-secret");
    fleet.members[0].limits = limits;
    // Limits end it here, and not the deadlines.
    fleet.settings.request_timeout = Duration::from_secs(20);
    fleet.settings.stale_after = Duration::from_secs(60);
    (fleet.run(), server, west)
}

const SMALL: Limits = Limits { objects: 50, object_size: 64 << 10, list_size: 1 << 20 };
/// What the sockets of both sides may hold beside it.
const BUFFERS: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_end_is_given_up_at_its_limit() {
    let capacity_hint = Limits { objects: 1_000_000, ..SMALL };
    for (how, limits, part) in [
        (Endless::Page, SMALL, "more than 50 objects; max-services allows more"),
        (Endless::Page, capacity_hint, "a list of more than 1 MiB; max-list-size allows more"),
        (Endless::Blanks, SMALL, "a list of more than 1 MiB"),
        (Endless::Object, SMALL, "an object of more than 64 KiB; max-object-size allows more"),
        (Endless::Gzip, SMALL, "a list of more than 1 MiB"),
    ] {
        let (mut fleet, server, west) = beside(how, limits).await;
        let view = fleet.until_stale("east").await;
        assert!(fault(&view).contains(part), "{how:?}: {}", fault(&view));
        assert!(server.sent() < BUFFERS, "{how:?}: {}", server.sent());
        west.put(service("b", "203.0.113.2"));
        fleet.until_services("west", "a=203.0.113.1 b=203.0.113.2").await;
        assert_eq!(fleet.until_live("west").await.fault, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_without_end_are_given_up() {
    let (mut fleet, _, west) = beside(Endless::Continue, SMALL).await;
    let view = fleet.until_stale("east").await;
    assert!(!view.listed);
    west.put(service("b", "203.0.113.2"));
    fleet.until_services("west", "a=203.0.113.1 b=203.0.113.2").await;
    let view = fleet.until("given up", "east", |view| view.fault.is_some()).await;
    assert!(fault(&view).contains("a list of more than 10000 pages"), "{}", fault(&view));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_without_end_is_read_as_far_as_it_says_why() {
    let (mut fleet, server, _west) = beside(Endless::Error, SMALL).await;
    let view = fleet.until("a fault", "east", |view| view.fault.is_some()).await;
    assert!(fault(&view).contains("answers 500") && fault(&view).len() < 500, "{}", fault(&view));
    assert!(server.sent() < 10 * BUFFERS, "{}", server.sent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_beyond_its_limit_leaves_the_last_inventory() {
    for (how, part) in [
        (Endless::Line, "an object of more than 64 KiB; max-object-size allows more"),
        (Endless::Services, "more than 50 objects; max-services allows more"),
    ] {
        let (mut fleet, _server, west) = beside(how, SMALL).await;
        let view = fleet.until(part, "east", |view| fault(view).contains(part)).await;
        assert_eq!(view.inventory, Inventory::Stale, "{how:?}");
        assert!((1..=50).contains(&view.services.len()), "{how:?}: {}", view.services.len());
        west.put(service("b", "203.0.113.2"));
        fleet.until_services("west", "a=203.0.113.1 b=203.0.113.2").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_events_is_slowed_down_and_another_member_is_seen_at_once() {
    let (mut fleet, server, west) = beside(Endless::Events, SMALL).await;
    fleet.until_services("west", "a=203.0.113.1").await;
    fleet.until("flooded", "east", |view| !view.services.is_empty()).await;
    // After the burst, 5,000 events a second are left: about a megabyte.
    let line = item(1).len() as u64 + 30;
    let start = std::time::Instant::now();
    for number in 2..12 {
        west.put(service("b", &format!("203.0.113.{number}")));
        fleet.until_services("west", &format!("a=203.0.113.1 b=203.0.113.{number}")).await;
    }
    tokio::time::sleep_until((start + Duration::from_secs(3)).into()).await;
    let most = (50_000 + 5_000 * (start.elapsed().as_secs() + 30)) * line + BUFFERS;
    assert!(server.sent() < most, "{} of {most}", server.sent());
}
