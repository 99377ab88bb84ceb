//! Records over a restart.

use std::path::Path;

use fleetdns_core::Provider;
use fleetdns_embedded::Servers;

use crate::support::{ZONE, create, creation, deletion, keys, listed, owner, plan, words};

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
async fn a_file_that_cannot_be_read_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zone");
    create(&*open(&file).unwrap(), &["a.example.com A 192.0.2.1"]).await;
    let good = std::fs::read_to_string(&file).unwrap();
    for (from, to, expected) in [
        ("192.0.2.1", "192.0.2.256", "line 2"),
        ("a.example.com", "a.example.org", "outside"),
        ("owner=fed", "owner", "line 2"),
        (" example.com ", " example.net ", "not the state of the zone example.com"),
    ] {
        assert!(good.contains(from));
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let fault = open(&file).err().unwrap();
        assert!(fault.contains(expected) && fault.contains("mend it"), "{fault}");
    }
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
