//! Replicas of which each serves a copy of the zone of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, REFUSED};
use crate::e2e_replicas::Pair;

const SERVICE: &str = "calculatorlb";

/// A replica with an embedded server that keeps no file.
fn embedded(fleet: &Fleet, engine: &Etcd, replica: &str, listen: SocketAddr) -> Conf {
    let zone = format!("provider = embedded\nlisten = {listen}\nns = ns1.{ZONE}\n");
    let ha = format!("[ha]\netcd-endpoints = {}\nreplica = {replica}\n", engine.endpoint());
    Conf::with_zone(&zone)
        .cluster("westus", &fleet.west.kubeconfig())
        .cluster("eastus", &fleet.east.kubeconfig())
        .more(&ha)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_serves_a_copy_of_its_own_and_serials_grow_alike() {
    let fleet = Fleet::start().await;
    let engine = Etcd::start("replicas").await;
    let servers = [(); 2].map(|()| fleetdns_tests::ports::free_address());
    let conf = |place: usize| embedded(&fleet, &engine, &format!("r{place}"), servers[place]);
    let (one, other) = (conf(0), conf(1));
    let (one, other) = tokio::join!(Daemon::start(&one), Daemon::start(&other));
    let mut replicas = [one, other];
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    let race = Race::start("each answers", BACK);
    for server in servers {
        race.answers(server, &name(SERVICE, ""), "A", &[&west, &east]).await;
    }
    let serial = async |server| {
        let answer = fleetdns_tests::dns::query(server, ZONE, "SOA").await.unwrap();
        let soa = answer.values("SOA").into_iter().next().unwrap();
        soa.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()
    };
    let before = serial(servers[0]).await.max(serial(servers[1]).await);
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    let race = Race::start("what dies leaves each copy", REFUSED);
    for server in servers {
        race.answers(server, &name(SERVICE, ""), "A", &[&west]).await;
    }
    race.done();
    let after = [serial(servers[0]).await, serial(servers[1]).await];
    assert!(after.iter().all(|serial| *serial > before), "{before} {after:?}");
    assert!(after[0].abs_diff(after[1]) <= 5, "as far apart as the replicas found it: {after:?}");
    // Whoever leads: the one that is left goes on.
    replicas[0].kill();
    tokio::task::block_in_place(|| in_east.recover());
    Race::start("it returns", BACK).answers(servers[1], &name(SERVICE, ""), "A", &[&west, &east]).await;
}

/// While it has nothing to answer from, resolvers that ask it ask the other one too, and remember no name as missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_without_state_answers_servfail_until_it_knows_the_whole_zone() {
    let mut fleet = Fleet::start().await;
    let engine = Etcd::start("replicas").await;
    let servers = [(); 2].map(|()| fleetdns_tests::ports::free_address());
    let conf = |place: usize| embedded(&fleet, &engine, &format!("r{place}"), servers[place]);
    let confs = [conf(0), conf(1)];
    let _first = Daemon::start(&confs[0]).await;
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    let race = Race::start("the first answers", BACK);
    race.answers(servers[0], &name(SERVICE, ""), "A", &[&west, &east]).await;

    fleet.east.stop_api();
    let second = Daemon::spawn(&confs[1], &[]);
    let began = Instant::now();
    let (mut refused, mut goes_on) = (0, false);
    let first_answer = loop {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", second.log());
        if !goes_on && began.elapsed() > Duration::from_secs(5) {
            fleet.east.cont_api();
            goes_on = true;
        }
        for (question, record_type) in [(name(SERVICE, ""), "A"), (ZONE.to_owned(), "SOA")] {
            let Ok(answer) = fleetdns_tests::dns::query(servers[1], &question, record_type).await else {
                continue;
            };
            if answer.rcode == hickory_proto::op::ResponseCode::ServFail {
                refused += 1;
            } else {
                assert!(goes_on, "nothing is answered while a cluster may come: {answer}");
            }
        }
        match fleetdns_tests::dns::query(servers[1], &name(SERVICE, ""), "A").await {
            Ok(answer) if answer.rcode != hickory_proto::op::ResponseCode::ServFail => break answer,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(first_answer.values("A"), [west.clone(), east.clone()].into(), "the first answer is whole");
    assert!(refused > 50, "{refused}");
    eprintln!("SERVFAIL {refused} times, the whole answer after {:.2?}", began.elapsed());
    fleetdns_tests::dns::wait_for(servers[1], &format!("none.{ZONE}"), "A", &[], BACK).await;
}

/// The records of a zone file without its serial, and the serial. What they are marked with names the replica that wrote them.
fn content(file: &Path) -> (Vec<String>, u64) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let soa = text.lines().find(|line| line.contains("SOA")).unwrap_or_default();
    let serial = soa.split_whitespace().rev().nth(4).and_then(|serial| serial.parse().ok()).unwrap_or(0);
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.contains("SOA") && !line.starts_with(';'))
        .map(str::to_owned)
        .collect();
    lines.sort();
    (lines, serial)
}

/// Waits until all files say the same, and something of these addresses and no others; returns their serials.
async fn alike(what: &str, budget: Duration, files: &[&Path], there: &[&str], gone: &[&str]) -> Vec<u64> {
    let holds = |lines: &[String], address: &str| lines.iter().any(|line| line.contains(address));
    fleetdns_tests::eventually(what, budget, Duration::from_millis(20), async || {
        let all: Vec<(Vec<String>, u64)> = files.iter().map(|file| content(file)).collect();
        let same = all.iter().all(|(lines, _)| {
            *lines == all[0].0
                && there.iter().all(|address| holds(lines, address))
                && !gone.iter().any(|address| holds(lines, address))
        });
        if same { Ok(all.iter().map(|(_, serial)| *serial).collect()) } else { Err(format!("{all:?}")) }
    })
    .await
    .0
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_keeps_a_zone_file_of_its_own_and_serials_only_grow_over_a_hand_over() {
    let fleet = Fleet::start().await;
    fleet.west.create_namespace("fleetdns").await;
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "other"].map(|name| folder.path().join(name));
    let conf = |place: usize| {
        let file = files[place].display();
        Conf::with_zone(&format!("provider = coredns\nzone-file = {file}\nns = ns1.example.net\n"))
            .cluster("westus", &fleet.west.kubeconfig())
            .cluster("eastus", &fleet.east.kubeconfig())
            .more(&format!("[ha]\nlease = fleetdns/ha\ncluster = westus\nreplica = r{place}\n"))
    };
    let (one, other) = (conf(0), conf(1));
    let (one, other) = tokio::join!(Daemon::start(&one), Daemon::start(&other));
    let mut pair = Pair { replicas: [one, other] };
    let [in_west, in_east, moved] = [(); 3].map(|()| Endpoint::on_port(5001));
    let [west, east, new] = [&in_west, &in_east, &moved].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", SERVICE).port(5001), &west, &east).await;
    let both: [&Path; 2] = [&files[0], &files[1]];
    let first = alike("both files to be alike", BACK, &both, &[&west, &east], &[]).await;

    let leader = pair.leader().await;
    pair.replicas[leader].kill();
    fleet.east.patch_status("default", SERVICE, &[&new]).await;
    let left = files[1 - leader].as_path();
    let second =
        alike("the one that is left to write its own", BACK, &[left], &[&west, &new], &[&east]).await;
    assert!(second[0] > first[1 - leader], "{first:?} {second:?}");
    pair.replicas[leader].start_again();
    pair.replicas[leader].ready(BACK * 2).await;
    let third = alike("the other one to catch up", BACK * 2, &both, &[&west, &new], &[&east]).await;
    assert!(
        third[leader] > first[leader] && third[1 - leader] >= second[0],
        "{first:?} {second:?} {third:?}"
    );
    // Whoever leads now.
    pair.leader().await;
    fleet.east.patch_status("default", SERVICE, &[&east]).await;
    let fourth = alike("both to follow", BACK, &both, &[&west, &east], &[&new]).await;
    assert!(fourth.iter().zip(&third).all(|(now, before)| now > before), "{third:?} {fourth:?}");
    let coredns = fleetdns_tests::coredns::CoreDns::with_zone_file(ZONE, left).await;
    Race::start("CoreDNS serves it", BACK)
        .answers(coredns.address(), &name(SERVICE, ""), "A", &[&west, &east])
        .await;
}
