//! The zone file form through the public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::plans::{Desired, a, aaaa, cname, desired, name};
use common::{make, plan, provider};
use fleetdns_core::{Outcome, Provider, ProviderError};
use tempfile::TempDir;

const ZONE: &str = "$TTL 300\n@ IN SOA ns1 hostmaster ( 7 3600 600 604800 30 ) ; ours\n@ NS ns1\nns1 A 192.0.2.53\n\
    taken A 192.0.2.1\ntext TXT \"hello; world\"\n";

fn folder_with(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.example.com");
    fs::write(&file, text).unwrap();
    (folder, file)
}

fn of(file: &Path) -> Box<dyn Provider> {
    provider(&[("zone-file", file.to_str().unwrap())])
}

#[tokio::test]
async fn what_is_written_is_what_is_listed() {
    let (folder, file) = folder_with(ZONE);
    let provider = of(&file);
    for round in [
        desired(&[
            ("svc-3.example.com", a(&["203.0.113.1", "203.0.113.2"])),
            ("svc-3.example.com", aaaa(&["2001:db8::1"])),
            ("svc-30.example.com", a(&["203.0.113.3"])),
            ("example.com", a(&["203.0.113.4"])),
            ("text.example.com", a(&["203.0.113.4"])),
            ("*.eu.example.com", cname("svc-3.example.com")),
        ]),
        desired(&[("svc-3.example.com", cname("lb.example.net")), ("*.eu.example.com", a(&["203.0.113.9"]))]),
        Desired::new(),
    ] {
        make(&*provider, &round).await;
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        ZONE.replace("( 7 ", "( 10 "),
        "what is not ours is as it was"
    );
}

/// A byte that is not UTF-8 stopped reading and writing, so that dead addresses stayed.
#[tokio::test]
async fn a_file_that_is_not_utf_8_is_written_and_keeps_its_bytes() {
    let (folder, file) = folder_with("");
    let foreign =
        [ZONE.as_bytes(), b"; Z\xfcrich\ncity TXT \"Z\xfcrich\" \xc3\xbc\n$INCLUDE more.db\n"].concat();
    fs::write(&file, &foreign).unwrap();
    fs::write(folder.path().join("more.db"), b"host A 192.0.2.7 ; Z\xfcrich\n").unwrap();
    let provider = of(&file);
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1", "203.0.113.2"]))])).await;
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.2"]))])).await;
    let listing = provider.list().await.unwrap();
    assert!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
    for foreign in ["city.example.com", "host.example.com"] {
        assert_eq!(listing.observed.at(&name(foreign)).len(), 1, "{foreign}");
    }
    make(&*provider, &Desired::new()).await;
    let left = fs::read(&file).unwrap();
    let serial = left.windows(4).position(|part| part == b"( 10").unwrap();
    assert_eq!([&left[..serial], b"( 7", &left[serial + 4..]].concat(), foreign);
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changes() {
    let (_folder, file) = folder_with(ZONE);
    let provider = of(&file);
    let www = desired(&[("www.example.com", a(&["203.0.113.1"]))]);
    make(&*provider, &www).await;
    let (text, time) = (fs::read_to_string(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    let (_, empty) = plan(&*provider, &www).await;
    assert!(provider.apply(&empty).await.names.is_empty());
    let (_, refused) =
        plan(&*provider, &Desired::from([(name("www.example.com"), vec![(a(&["203.0.113.2"]), 30)])])).await;
    fs::write(&file, text.replace("203.0.113.1\n", "203.0.113.7\n")).unwrap();
    let edited = fs::read_to_string(&file).unwrap();
    let applied = provider.apply(&refused).await;
    assert!(matches!(applied.names[0].1, Outcome::Conflict), "{applied:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited, "a plan for another state writes nothing");
    assert!(fs::metadata(&file).unwrap().modified().unwrap() >= time);
}

#[tokio::test]
async fn a_conflict_stops_only_its_own_name() {
    let (_folder, file) = folder_with(ZONE);
    let provider = of(&file);
    let next =
        desired(&[("late.example.com", a(&["203.0.113.1"])), ("www.example.com", a(&["203.0.113.1"]))]);
    let (_, plan_of) = plan(&*provider, &next).await;
    let meanwhile = format!("{ZONE}late TYPE1 \\# 4 C0000202\n");
    fs::write(&file, &meanwhile).unwrap();
    let applied = provider.apply(&plan_of).await;
    for (name, outcome) in &applied.names {
        match name.as_str() {
            "late.example.com" => assert!(matches!(outcome, Outcome::Conflict), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}"),
        }
    }
    assert!(fs::read_to_string(&file).unwrap().starts_with(&meanwhile.replace("( 7 ", "( 8 ")));
}

#[tokio::test]
async fn a_missing_file_is_made_when_its_name_servers_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.example.com");
    let www = desired(&[("www.example.com", a(&["203.0.113.1"]))]);
    let without = of(&file);
    let (_, plan_of) = plan(&*without, &www).await;
    match &without.apply(&plan_of).await.names[0].1 {
        Outcome::Failed(error @ ProviderError::Denied { .. }) => {
            assert!(error.to_string().contains("ns = "), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(without.check(&name("example.com")).await.iter().any(|finding| !finding.good));
    let keys = [("zone-file", file.to_str().unwrap()), ("ns", "ns1.example.net, ns2.example.net")];
    let provider = provider(&keys);
    assert!(provider.check(&name("example.com")).await.iter().all(|finding| finding.good));
    let (_, plan_of) = plan(&*provider, &www).await;
    assert!(matches!(provider.apply(&plan_of).await.names[0].1, Outcome::Done(_)));
    make(&*provider, &www).await;
    provider.converged().await;
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("NS\tns2.example.net.") && text.contains("SOA\tns1.example.net."), "{text}");
}

/// Writes what is wanted, where the zone may have been nothing before.
async fn put(provider: &dyn Provider, desired: &Desired) {
    let (_, plan) = plan(provider, desired).await;
    for (name, outcome) in provider.apply(&plan).await.names {
        assert!(matches!(outcome, Outcome::Done(_)), "{name}: {outcome:?}");
    }
}

/// CoreDNS answers SERVFAIL without a file, and NXDOMAIN for what a file lacks.
#[tokio::test]
async fn a_file_that_is_not_there_is_made_when_start_up_has_converged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.example.com");
    let started = || provider(&[("zone-file", file.to_str().unwrap()), ("ns", "ns1.example.net")]);
    let (www, web) = (("www.example.com", a(&["203.0.113.1"])), ("web.example.com", a(&["203.0.113.2"])));
    let first = started();
    put(&*first, &desired(std::slice::from_ref(&www))).await;
    put(&*first, &desired(&[www.clone(), web.clone()])).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is there yet");
    first.converged().await;
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("203.0.113.1") && text.contains("203.0.113.2"), "{text}");
    // One that is there is written at once.
    let second = started();
    put(&*second, &desired(std::slice::from_ref(&www))).await;
    assert!(!fs::read_to_string(&file).unwrap().contains("203.0.113.2"));
    // One that is gone later is made again at once, and so is one that somebody makes meanwhile left as it is.
    fs::remove_file(&file).unwrap();
    put(&*first, &desired(std::slice::from_ref(&web))).await;
    assert!(fs::read_to_string(&file).unwrap().contains("203.0.113.2"));
    fs::remove_file(&file).unwrap();
    let third = started();
    put(&*third, &desired(&[www])).await;
    fs::write(&file, ZONE).unwrap();
    third.converged().await;
    assert_eq!(fs::read_to_string(&file).unwrap(), ZONE);
    put(&*third, &desired(&[web])).await;
    assert!(fs::read_to_string(&file).unwrap().contains("203.0.113.2"));
}

#[tokio::test]
async fn a_damaged_file_is_neither_listed_nor_written() {
    let text = format!("{ZONE}bad TXT \"open\n");
    let (_folder, file) = folder_with(&text);
    let provider = of(&file);
    let error = provider.list().await.unwrap_err();
    assert!(error.to_string().contains("line 7"), "{error}");
    fs::write(&file, "www A 10.0.0.1\n").unwrap();
    let (_, plan_of) = plan(&*provider, &desired(&[("new.example.com", a(&["203.0.113.1"]))])).await;
    let applied = provider.apply(&plan_of).await;
    assert!(format!("{applied:?}").contains("no SOA"), "{applied:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "www A 10.0.0.1\n");
    assert!(
        provider
            .check(&name("example.com"))
            .await
            .iter()
            .any(|finding| !finding.good && finding.text.contains("SOA"))
    );
}

#[tokio::test]
async fn an_included_soa_record_is_named_with_its_file() {
    let (folder, file) = folder_with("$INCLUDE soa.db\n@ NS ns1\n");
    fs::write(folder.path().join("soa.db"), "@ SOA ns1 hostmaster 7 3600 600 604800 30\n").unwrap();
    let provider = of(&file);
    let (_, plan_of) = plan(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    let applied = format!("{:?}", provider.apply(&plan_of).await);
    let findings = format!("{:?}", provider.check(&name("example.com")).await);
    for text in [applied, findings] {
        assert!(text.contains("/soa.db, and") && text.contains("move the SOA record from there"), "{text}");
    }
}

/// What an included file holds is there; where one cannot be read, only names that are ours already are written.
#[tokio::test]
async fn beside_an_include_that_cannot_be_read_only_what_is_ours_is_written() {
    let (folder, file) = folder_with(ZONE);
    let provider = of(&file);
    make(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1", "203.0.113.2"]))])).await;
    fs::write(folder.path().join("more.db"), "host A 192.0.2.7\n").unwrap();
    let included = format!("$INCLUDE more.db\n{}", fs::read_to_string(&file).unwrap());
    fs::write(&file, included).unwrap();
    let host = provider.list().await.unwrap().observed.at(&name("host.example.com")).to_vec();
    assert_eq!(host.len(), 1, "{host:?}");
    fs::remove_file(folder.path().join("more.db")).unwrap();
    let both = [("www.example.com", a(&["203.0.113.2"])), ("new.example.com", a(&["203.0.113.3"]))];
    let (listing, plan_of) = plan(&*provider, &desired(&both)).await;
    assert!(listing.observed.unwritable(&name("new.example.com")).is_some());
    for (name, outcome) in provider.apply(&plan_of).await.names {
        assert_eq!(
            matches!(outcome, Outcome::Done(_)),
            name.as_str() == "www.example.com",
            "{name}: {outcome:?}"
        );
    }
}
