//! external-dns: one run after each change, `--once`, as often as it takes. Its interval, or its delay after an event,
//! comes on top of that.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetdns_tests::cloud::Cloud;
use fleetdns_tests::conf::ZONE;
use fleetdns_tests::ports;
use fleetdns_tests::servers::Server;

use crate::fleet::Fleet;
use crate::{Row, STEPS, has, say};

/// Runs after which it is given up.
const MOST: usize = 20;

pub(crate) async fn run<C: Cloud>(fleet: Fleet) -> Vec<Row> {
    let (cloud, folder) = (C::start().await, tempfile::tempdir().expect("a temporary folder"));
    let mut rows = Vec::new();
    for (step, what) in STEPS.iter().enumerate() {
        let desired = match step {
            0 => fleet.first(),
            1 => {
                fleet.publish_second().await;
                fleet.second()
            }
            // It does not look at endpoints: it is told by the Services that the cluster is gone.
            _ => {
                fleet.publish_third().await;
                fleet.third()
            }
        };
        let (mut runs, mut took) = (0, Duration::ZERO);
        while runs == 0 || !has(&cloud, &desired) {
            assert!(runs < MOST, "{what}: the zone is not right after {runs} runs");
            took += once(&cloud, &fleet, folder.path(), step, runs).await;
            runs += 1;
        }
        say(&format!("external-dns, {}, {what}: {took:.1?}, {runs} runs", C::NAME));
        let calls = cloud.take();
        rows.push(Row { service: C::NAME, program: "external-dns", step, took, calls, runs: Some(runs) });
        tokio::time::sleep(C::REST).await;
    }
    rows
}

/// One run; returns how long it took.
async fn once(
    cloud: &impl Cloud,
    fleet: &Fleet,
    folder: &std::path::Path,
    step: usize,
    run: usize,
) -> Duration {
    let (more, environment) = cloud.external_dns(folder);
    let log = folder.join(format!("log-{step}-{run}"));
    let output = File::create(&log).expect("the folder can be written to");
    let mut command = Command::new(Server::ExternalDns.path());
    command
        .args(["--once", "--source=service", "--service-type-filter=LoadBalancer", "--policy=sync"])
        .args(["--registry=txt", "--txt-owner-id=bench"])
        .arg(format!("--kubeconfig={}", fleet.member.kubeconfig().display()))
        .arg(format!("--domain-filter={ZONE}"))
        .arg(format!("--metrics-address={}", ports::free_address()))
        .args(more)
        .envs(environment)
        .stdout(output.try_clone().expect("a file handle can be cloned"))
        .stderr(output);
    let begin = Instant::now();
    let status =
        tokio::task::spawn_blocking(move || command.status()).await.expect("the thread does not panic");
    let took = begin.elapsed();
    let status = status.expect("external-dns can be started");
    if !status.success() {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        say(&format!("external-dns ended with {status}: {last:?}"));
    }
    took
}
