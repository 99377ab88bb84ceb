//! What a real CoreDNS answers from what was written, in both forms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use common::plans::{a, aaaa, cname, desired};
use common::{Etcd, Process, free_port, make, provider, server};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};

/// A CoreDNS with one plugin, on a port of its own.
fn start(folder: &Path, plugin: &str) -> (Process, u16) {
    let port = free_port();
    let corefile = folder.join("Corefile");
    fs::write(&corefile, format!(".:{port} {{\n    bind 127.0.0.1\n    errors\n    {plugin}\n}}\n")).unwrap();
    let arguments = ["-conf".to_owned(), corefile.display().to_string()];
    (Process::start(&server("FLEETDNS_COREDNS", "coredns"), &arguments, &folder.join("log")), port)
}

/// The values in the answer, in order.
fn ask(port: u16, name: &str, kind: RecordType) -> Option<Vec<String>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    socket.send_to(&query.to_vec().unwrap(), (Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    let mut values: Vec<String> = answer
        .answers
        .iter()
        .filter(|record| record.record_type() == kind)
        .map(|record| record.data.to_string())
        .collect();
    values.sort();
    Some(values)
}

#[track_caller]
fn answers(port: u16, name: &str, kind: RecordType, expected: &[&str]) {
    let start = Instant::now();
    loop {
        let got = ask(port, name, kind);
        if got.as_deref().is_some_and(|got| got == expected) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{name} {kind}: {got:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn the_etcd_plugin_answers_what_was_written() {
    let etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = format!("etcd example.com {{\n path /skydns\n endpoint {}\n }}", etcd.endpoint);
    let (_coredns, port) = start(folder.path(), &plugin);
    let provider = etcd.provider();
    make(
        &*provider,
        &desired(&[
            ("svc-3.example.com", a(&["203.0.113.1", "203.0.113.2"])),
            ("svc-3.example.com", aaaa(&["2001:db8::1"])),
            ("svc-30.example.com", a(&["203.0.113.3"])),
            ("example.com", a(&["203.0.113.4"])),
            ("alias.example.com", cname("svc-3.example.com")),
        ]),
    )
    .await;
    answers(port, "svc-3.example.com.", RecordType::A, &["203.0.113.1", "203.0.113.2"]);
    answers(port, "svc-3.example.com.", RecordType::AAAA, &["2001:db8::1"]);
    answers(port, "svc-30.example.com.", RecordType::A, &["203.0.113.3"]);
    answers(port, "example.com.", RecordType::A, &["203.0.113.4"]);
    answers(port, "alias.example.com.", RecordType::CNAME, &["svc-3.example.com."]);
    answers(port, "alias.example.com.", RecordType::A, &["203.0.113.1", "203.0.113.2"]);
    make(
        &*provider,
        &desired(&[
            ("svc-3.example.com", cname("svc-30.example.com")),
            ("svc-30.example.com", a(&["203.0.113.3"])),
        ]),
    )
    .await;
    answers(port, "svc-3.example.com.", RecordType::A, &["203.0.113.3"]);
    answers(port, "example.com.", RecordType::AAAA, &[]);
}

#[tokio::test]
async fn the_file_plugins_answer_what_was_written() {
    for plugin in ["file", "auto"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.example.com");
        let provider = provider(&[("zone-file", file.to_str().unwrap()), ("ns", "ns1.example.net")]);
        let first = desired(&[
            ("www.example.com", a(&["203.0.113.1"])),
            ("*.eu.example.com", cname("www.example.com")),
        ]);
        let (_, plan) = common::plan(&*provider, &first).await;
        provider.apply(&plan).await;
        provider.converged().await;
        let directive = match plugin {
            "file" => format!("file {} example.com {{\n reload 1s\n }}", file.display()),
            _ => {
                format!("auto {{\n directory {} ^db\\.(.*)$ {{1}}\n reload 1s\n }}", folder.path().display())
            }
        };
        let (_coredns, port) = start(folder.path(), &directive);
        answers(port, "www.example.com.", RecordType::A, &["203.0.113.1"]);
        answers(port, "any.eu.example.com.", RecordType::CNAME, &["www.example.com."]);
        make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.2", "203.0.113.3"]))])).await;
        answers(port, "www.example.com.", RecordType::A, &["203.0.113.2", "203.0.113.3"]);
    }
}
