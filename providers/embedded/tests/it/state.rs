//! Records over a restart.

use std::path::Path;

use fleetdns_core::Provider;
use fleetdns_embedded::Servers;

use crate::support::{
    ZONE, ask, create, creation, deletion, keys, listed, owner, plan, question, say, start, tcp, words,
};

fn open(file: &Path) -> Result<Box<dyn Provider>, String> {
    let keys = keys(&[("listen", "127.0.0.1:0"), ("state-file", file.to_str().unwrap())]);
    let zone = Servers::new().connect(&ZONE.parse().unwrap(), &owner(), &keys);
    zone.map_err(|faults| faults[0].problem.clone())
}

#[tokio::test]
async fn a_restart_keeps_records_marks_and_versions() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    let before = open(&file).unwrap();
    let records = ["a.example.com A 192.0.2.1,192.0.2.2", "*.example.com CNAME a.example.com"];
    create(&*before, &records).await;
    create(&*before, &["a.example.com AAAA 2001:db8::1", "gone.example.com A 192.0.2.1"]).await;
    let gone = listed(&*before, "gone.example.com").await;
    before.apply(&plan([deletion("gone.example.com", &gone[0])])).await;

    let after = open(&file).unwrap();
    let (was, is) = (before.list().await.unwrap(), after.list().await.unwrap());
    assert_eq!(was, is);
    assert_eq!(is.observed.iter().count(), 2);
    // Versions go on, so that a plan of the time before does not fit what is written now.
    create(&*after, &["gone.example.com A 192.0.2.1"]).await;
    assert_eq!(words(&after.apply(&plan([deletion("gone.example.com", &gone[0])])).await), ["conflict"]);
}

#[tokio::test]
async fn a_file_that_is_named_while_the_server_runs_is_written_without_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(&[ZONE], &[]).await;
    create(&*server.zones[0], &["a.example.com A 192.0.2.1"]).await;
    for name in ["zone", "moved"] {
        let file = directory.path().join(name);
        let keys = keys(&[("listen", "127.0.0.1:0"), ("state-file", file.to_str().unwrap())]);
        let zone = server.servers.connect(&ZONE.parse().unwrap(), &owner(), &keys).unwrap();
        zone.list().await.unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains("a.example.com"), "{name}");
    }
}

/// The names in a folder, in their order.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_what_can_be_read_of_it_counts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    create(&*open(&file).unwrap(), &["a.example.com A 192.0.2.1", "b.example.com A 192.0.2.2"]).await;
    let good = std::fs::read(&file).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    for (damaged, problem, left) in [
        (replaced("192.0.2.1", "192.0.2.256"), "no values of type A", 1),
        (replaced("a.example.com", "a.example.org"), "outside", 1),
        (replaced("a.example.com", "x\u{202e}.. "), "line ", 1),
        (replaced(" example.com ", " example.net "), "not the state of the zone example.com", 0),
        (replaced("fleetdns-zone 1", "fleetdns-zone 2"), "not the state", 0),
        (vec![0xff; 100], "not the state", 0),
        (Vec::new(), "not the state", 0),
        (good[..good.len() - 20].to_vec(), "line 3", 1),
    ] {
        std::fs::write(&file, &damaged).unwrap();
        // What a crash has left.
        std::fs::write(directory.path().join(".zone.Ab12.tmp"), "half").unwrap();
        std::fs::write(directory.path().join(".other.Ab12.tmp"), "of another zone").unwrap();
        let keys = keys(&[("listen", "127.0.0.1:0"), ("state-file", file.to_str().unwrap())]);
        let servers = Servers::new();
        let zone = servers.connect(&ZONE.parse().unwrap(), &owner(), &keys).unwrap();
        assert_eq!(zone.list().await.unwrap().observed.iter().count(), left, "{problem}");
        let said =
            zone.check(&ZONE.parse().unwrap()).await.into_iter().filter(|one| !one.good).map(|one| one.text);
        let said: Vec<String> = said.filter(|text| text.contains("sets it aside")).collect();
        assert!(said.len() == 1 && said[0].contains(problem), "{problem}: {said:?}");
        assert_eq!(std::fs::read(&file).unwrap(), damaged, "looking at it changes nothing");

        servers.bind().await.unwrap();
        let found = names(directory.path());
        let aside: Vec<&String> = found.iter().filter(|name| name.starts_with("zone.broken-")).collect();
        assert_eq!((found.len(), aside.len()), (3, 1), "{found:?}");
        assert!(found.contains(&".other.Ab12.tmp".to_owned()), "{found:?}");
        assert_eq!(std::fs::read(directory.path().join(aside[0])).unwrap(), damaged);
        let again = open(&file).unwrap();
        assert_eq!(again.list().await.unwrap().observed.iter().count(), left);
        assert!(
            !again.check(&ZONE.parse().unwrap()).await.iter().any(|one| one.text.contains("sets it aside"))
        );
        std::fs::remove_file(directory.path().join(aside[0])).unwrap();
    }
}

#[tokio::test]
async fn without_state_every_question_is_servfail_until_start_up_has_converged() {
    let server = start(&[ZONE], &[]).await;
    create(&*server.zones[0], &["web.example.com A 192.0.2.1"]).await;
    for text in ["web.example.com. A", "web.example.com. AAAA", "none.example.com. A", "example.com. SOA"] {
        assert_eq!(ask(server.address, text).await, "ServFail |  | ", "{text}");
        assert_eq!(say(&tcp(server.address, &question(text)).await), "ServFail |  | ", "{text} over TCP");
    }
    assert_eq!(ask(server.address, "example.org. A").await, "Refused |  | ", "a name of no zone");
    server.zones[0].converged().await;
    let answer = ask(server.address, "web.example.com. A").await;
    assert_eq!(answer, "NoError aa | web.example.com 60 A 192.0.2.1 | ");
    assert!(ask(server.address, "none.example.com. A").await.starts_with("NXDomain aa"));
    assert!(ask(server.address, "example.com. SOA").await.starts_with("NoError aa"));
}

#[tokio::test]
async fn only_a_whole_state_file_of_a_start_up_that_had_converged_is_answered_from_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    let started = async || start(&[ZONE], &[("state-file", file.to_str().unwrap())]).await;
    let question = "web.example.com. A";
    let whole = "NoError aa | web.example.com 60 A 192.0.2.1 | ";
    let first = started().await;
    create(&*first.zones[0], &["web.example.com A 192.0.2.1", "www.example.com A 192.0.2.1"]).await;
    // It ends before start-up has converged: what the next one finds may be a part.
    let second = started().await;
    assert_eq!(listed(&*second.zones[0], "web.example.com").await.len(), 1, "what it wrote is kept");
    assert_eq!(ask(second.address, question).await, "ServFail |  | ");
    second.zones[0].converged().await;
    assert_eq!(ask(second.address, question).await, whole);
    let third = started().await;
    assert_eq!(ask(third.address, question).await, whole);
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("www.example.com ", "www.example.org ")).unwrap();
    let fourth = started().await;
    assert_eq!(ask(fourth.address, question).await, "ServFail |  | ", "a line is lost");
    let fifth = started().await;
    assert_eq!(
        ask(fifth.address, question).await,
        "ServFail |  | ",
        "it was set aside, and the rest is a part"
    );
    fifth.zones[0].converged().await;
    assert_eq!(ask(fifth.address, question).await, whole);
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_does_not_stop_the_zone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    std::fs::create_dir(&file).unwrap();
    let zone = open(&file).unwrap();
    assert_eq!(words(&zone.apply(&plan([creation("a.example.com A 192.0.2.1")])).await), ["done"]);
}

#[tokio::test]
async fn two_zones_cannot_have_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let keys = keys(&[("state-file", directory.path().join("zone").to_str().unwrap())]);
    let servers = Servers::new();
    let connect = |zone: &str| servers.connect(&zone.parse().unwrap(), &owner(), &keys).map(|_| ());
    connect(ZONE).unwrap();
    assert!(connect("example.net").unwrap_err()[0].problem.contains("too"));
    connect(ZONE).unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_does_not_stop_the_zone() {
    let directory = tempfile::tempdir().unwrap();
    let zone = open(&directory.path().join("missing/zone")).unwrap();
    let applied = zone.apply(&plan([creation("a.example.com A 192.0.2.1")])).await;
    assert_eq!(words(&applied), ["done"]);
    let findings = zone.check(&ZONE.parse().unwrap()).await;
    assert!(
        findings.iter().any(|finding| !finding.good && finding.text.contains("state-file")),
        "{findings:?}"
    );
}
