//! The zone as the daemon writes it.

use fleetdns_core::{Change, Content, Outcome, Version};
use fleetdns_embedded::Servers;
use tokio::net::UdpSocket;

use crate::support::{
    ZONE, ask, create, creation, deletion, keys, listed, mark, owner, plan, serve, set, update, words,
};

#[tokio::test]
async fn what_is_written_is_listed_and_what_was_done_is_told() {
    let server = serve(&[ZONE]).await;
    let zone = &*server.zones[0];
    assert_eq!(zone.list().await.unwrap().observed.iter().count(), 0);

    let applied = zone.apply(&plan([creation("web.example.com A 192.0.2.1")])).await;
    let first = listed(zone, "web.example.com").await;
    assert!(matches!(&applied.names[..], [(_, Outcome::Done(sets))] if **sets == *first));
    assert_eq!(first[0].ours(), Some(&set("web.example.com A 192.0.2.1").data));
    assert_eq!(first[0].claim.mark(), Some(&mark()));

    let applied = zone.apply(&plan([update(&first[0], "web.example.com A 192.0.2.2")])).await;
    let second = listed(zone, "web.example.com").await;
    assert!(matches!(&applied.names[..], [(_, Outcome::Done(sets))] if **sets == *second));
    assert_ne!(first[0].version, second[0].version);
    assert_eq!(
        ask(server.address, "web.example.com. A").await,
        "NoError aa | web.example.com 60 A 192.0.2.2 | "
    );

    let applied = zone.apply(&plan([deletion("web.example.com", &second[0])])).await;
    assert!(matches!(&applied.names[..], [(_, Outcome::Done(sets))] if sets.is_empty()));
    assert_eq!(zone.list().await.unwrap().observed.iter().count(), 0);
    assert_eq!(ask(server.address, "web.example.com. A").await, "NXDomain aa |  | example.com 30 SOA");
}

#[tokio::test]
async fn an_old_plan_is_refused_for_the_names_that_changed_and_for_no_other() {
    let server = serve(&[ZONE]).await;
    let zone = &*server.zones[0];
    let both = ["a.example.com A 192.0.2.1", "b.example.com A 192.0.2.1"];
    create(zone, &both).await;
    let again = zone.apply(&plan(both.iter().map(|record| creation(record)))).await;
    assert_eq!(words(&again), ["conflict", "conflict"]);

    let (a, b) = (listed(zone, "a.example.com").await, listed(zone, "b.example.com").await);
    zone.apply(&plan([update(&a[0], "a.example.com A 192.0.2.2")])).await;
    let old = plan([deletion("a.example.com", &a[0]), deletion("b.example.com", &b[0])]);
    assert_eq!(words(&zone.apply(&old).await), ["conflict", "done"]);
    assert_eq!(listed(zone, "a.example.com").await[0].ours(), Some(&set("a.example.com A 192.0.2.2").data));

    // A name that went and came back is not the one that the plan has seen.
    create(zone, &both[1..]).await;
    assert_eq!(words(&zone.apply(&plan([deletion("b.example.com", &b[0])])).await), ["conflict"]);
    let mut forged = listed(zone, "b.example.com").await;
    forged[0].version = Version::default();
    assert_eq!(words(&zone.apply(&plan([deletion("b.example.com", &forged[0])])).await), ["conflict"]);
}

#[tokio::test]
async fn a_name_changes_its_type_in_one_step_or_not_at_all() {
    let server = serve(&[ZONE]).await;
    let zone = &*server.zones[0];
    create(zone, &["web.example.com A 192.0.2.1"]).await;
    let alias = creation("web.example.com CNAME real.example.com");
    assert_eq!(words(&zone.apply(&plan([alias.clone()])).await), ["conflict"], "an address stands there");
    let before = listed(zone, "web.example.com").await;
    let mut swap = deletion("web.example.com", &before[0]);
    swap.changes.extend(alias.changes.clone());
    assert_eq!(words(&zone.apply(&plan([swap])).await), ["done"]);
    assert_eq!(listed(zone, "web.example.com").await.len(), 1);
    let address = creation("web.example.com AAAA 2001:db8::1");
    assert_eq!(words(&zone.apply(&plan([address.clone()])).await), ["conflict"], "an alias stands there");

    let mut both = creation("new.example.com CNAME real.example.com");
    let Change::Create { set, mark } = creation("new.example.com A 192.0.2.1").changes.remove(0) else {
        panic!("a creation creates")
    };
    both.changes.push(Change::Create { set, mark });
    assert_eq!(words(&zone.apply(&plan([both])).await), ["failed"]);
    assert!(listed(zone, "new.example.com").await.is_empty());
}

#[tokio::test]
async fn what_cannot_stand_in_the_zone_is_rejected_alone() {
    let server = serve(&[ZONE]).await;
    let records = [
        "example.com CNAME web.example.com",
        "ns1.example.com CNAME web.example.com",
        "web.example.org A 192.0.2.1",
        "good.example.com A 192.0.2.1",
    ];
    let applied = server.zones[0].apply(&plan(records.iter().map(|record| creation(record)))).await;
    assert_eq!(words(&applied), ["failed", "failed", "failed", "done"]);
}

#[tokio::test]
async fn another_owner_sees_the_same_zone_and_nothing_of_his() {
    let server = serve(&[ZONE]).await;
    create(&*server.zones[0], &["web.example.com A 192.0.2.1"]).await;
    let keys = keys(&[("listen", "127.0.0.1:0")]);
    let zone = ZONE.parse().unwrap();
    let other = server.servers.connect(&zone, &"other".parse().unwrap(), &keys).unwrap();
    let sets = listed(&*other, "web.example.com").await;
    assert!(matches!(&sets[..], [set] if !set.claim.is_ours() && matches!(set.content, Content::Known(_))));
}

#[tokio::test]
async fn a_zone_that_is_served_may_change_its_settings_and_keeps_its_records() {
    let server = serve(&[ZONE]).await;
    create(&*server.zones[0], &["web.example.com A 192.0.2.1"]).await;
    let zone = ZONE.parse().unwrap();
    let settings = |contact| keys(&[("listen", "127.0.0.1:0"), ("contact", contact)]);
    let changed = server.servers.connect(&zone, &owner(), &settings("me@example.com")).unwrap();
    let sets = listed(&*changed, "web.example.com").await;
    assert!(matches!(&sets[..], [set] if set.claim.is_ours()), "{sets:?}");
    server.servers.remove(&zone);
    let again = server.servers.connect(&zone, &owner(), &settings("me@example.com")).unwrap();
    assert_eq!(listed(&*again, "web.example.com").await.len(), 0, "it was served no more");

    // Before anything is served, two sections for one zone are a mistake.
    let servers = Servers::new();
    servers.connect(&zone, &owner(), &settings("me@example.com")).unwrap();
    let faults = servers.connect(&zone, &owner(), &settings("you@example.com")).err().unwrap();
    assert!(faults[0].problem.contains("other settings"), "{faults:?}");
}

#[tokio::test]
async fn check_tells_free_ours_and_taken() {
    let server = serve(&[ZONE]).await;
    let findings = server.zones[0].check(&ZONE.parse().unwrap()).await;
    assert!(findings[0].good && findings[0].text.contains(&server.address.to_string()), "{findings:?}");

    // An address of its own: the port is let go and bound again, and must not be taken by another test in between.
    let taken = UdpSocket::bind("127.0.0.8:0").await.unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let servers = Servers::new();
    let zone = servers.connect(&ZONE.parse().unwrap(), &owner(), &keys(&[("listen", &listen)])).unwrap();
    let findings = zone.check(&ZONE.parse().unwrap()).await;
    assert!(!findings[0].good && findings[0].text.contains("another program"), "{findings:?}");
    let error = servers.bind().await.err().unwrap();
    assert_eq!(error.address.to_string(), listen);
    drop(taken);
    assert!(zone.check(&ZONE.parse().unwrap()).await[0].good);

    let everywhere =
        servers.connect(&ZONE.parse().unwrap(), &owner(), &keys(&[("listen", "0.0.0.0:0")])).unwrap();
    let findings = everywhere.check(&ZONE.parse().unwrap()).await;
    assert!(findings.iter().any(|finding| !finding.good && finding.text.contains("ns1.example.com")));
}

#[tokio::test]
async fn shutdown_frees_the_address() {
    let servers = Servers::new();
    let zone =
        servers.connect(&ZONE.parse().unwrap(), &owner(), &keys(&[("listen", "127.0.0.7:0")])).unwrap();
    let bound = servers.bind().await.unwrap();
    let (_, address) = bound.addresses().next().unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let run = tokio::spawn(Servers::run(bound, shutdown.clone()));
    ask(address, "example.com. SOA").await;
    shutdown.cancel();
    run.await.unwrap().unwrap();
    UdpSocket::bind(address).await.unwrap();
    assert!(zone.check(&ZONE.parse().unwrap()).await[0].text.contains("is free"));
}

#[tokio::test]
async fn without_any_zone_run_only_waits() {
    let shutdown = tokio_util::sync::CancellationToken::new();
    let bound = Servers::new().bind().await.unwrap();
    let mut run = std::pin::pin!(Servers::run(bound, shutdown.clone()));
    assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut run).await.is_err());
    shutdown.cancel();
    run.await.unwrap();
}
