//! Replicas of which each serves a copy of the zone of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_endpoint::{BACK, REFUSED};

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
