//! fleetdns: the daemon, which starts with an empty zone and stays.

use std::time::Instant;

use fleetdns_tests::cloud::Cloud;
use fleetdns_tests::conf::Conf;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::Mode;

use crate::fleet::Fleet;
use crate::{Row, STEPS, complete, say};

pub(crate) async fn run<C: Cloud>(mut fleet: Fleet) -> Vec<Row> {
    let cloud = C::start().await;
    let mut rows = Vec::new();
    let conf = Conf::with_zone(&cloud.conf()).cluster(fleet.member.name(), &fleet.member.kubeconfig());
    // As many names as external-dns writes.
    let environment = [("FLEETDNS__FLEET__FEDERATION_NAMES", "off")];
    let mut begin = Instant::now();
    let mut daemon = Daemon::spawn(&conf, &environment);
    for (step, what) in STEPS.iter().enumerate() {
        let desired = match step {
            0 => fleet.first(),
            1 => {
                begin = Instant::now();
                fleet.publish_second().await;
                fleet.second()
            }
            _ => {
                begin = Instant::now();
                let dead = fleet.clusters.last_mut().expect("there are ten");
                tokio::task::block_in_place(|| dead.set(Mode::Refuse));
                fleet.third()
            }
        };
        let took = complete(&cloud, &desired).await - begin;
        daemon.assert_running();
        say(&format!("fleetdns, {}, {what}: {took:.1?}", C::NAME));
        rows.push(Row { service: C::NAME, program: "fleetdns", step, took, calls: cloud.take(), runs: None });
        tokio::time::sleep(C::REST).await;
        // What it does while nothing changes is no part of the next step.
        let idle = cloud.take();
        say(&format!("fleetdns, {}, idle for {:?}: {idle:?}", C::NAME, C::REST));
    }
    rows
}
