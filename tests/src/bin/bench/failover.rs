//! `tests/bench --failover`: how long each provider takes to notice that an endpoint died, and that it is back.
//!
//! Two member clusters publish each Service, with one address each, and one of the two dies. For each provider there is a
//! fleetdns that writes these names to it. They all see the same deaths, one after the other.

mod backend;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use fleetdns_tests::conf::{Conf, name};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;

use self::backend::{Backend, Kind};
use crate::outage::{self, Scene, Way};
use crate::{report, say};

const USAGE: &str = "usage: tests/bench --failover [--only NAME] [--times N] [--logs FOLDER]

  --only NAME    measure only providers whose name contains this, such as coredns or azure
  --times N      deaths of each kind; 10 unless it is given
  --logs FOLDER  keep the logs of fleetdns there

About 10 minutes. PROFILE=dev tests/bench --failover takes the debug build.";

/// Services that stay alive, each with an address in both members.
const BYSTANDERS: u32 = 20;
const ELSEWHERE: &str = "elsewhere";

/// What is measured.
struct Options {
    only: String,
    times: u32,
    logs: Option<PathBuf>,
}

pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut options = Options { only: String::new(), times: 10, logs: None };
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--only", Some(only)) => options.only = only.to_lowercase(),
            ("--times", Some(times)) if times.parse().is_ok_and(|times: u32| times > 0) => {
                options.times = times.parse().unwrap_or(options.times);
            }
            ("--logs", Some(folder)) => options.logs = Some(PathBuf::from(folder)),
            ("-h" | "--help", None) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let machine = report::machine();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    print!("{}", runtime.block_on(bench(&options, &machine)));
    ExitCode::SUCCESS
}

/// The whole report.
async fn bench(options: &Options, machine: &str) -> String {
    say("starting two member clusters");
    let (west, east) = Member::start_pair("westus", "eastus").await;
    // The first one has the address that dies.
    let members = [Arc::new(east), Arc::new(west)];
    let _bystanders = bystanders(&members).await;
    let subjects = outage::publish(&members, &Way::ALL, options.times).await;
    let (mut kinds, mut backends, mut daemons) = (Vec::new(), Vec::new(), Vec::new());
    for kind in Kind::ALL.into_iter().filter(|kind| kind.name().to_lowercase().contains(&options.only)) {
        say(&format!("starting {}", kind.name()));
        let backend = Backend::start(kind).await;
        daemons.push(Daemon::start(&conf(&backend, &members)).await);
        backends.push(backend);
        kinds.push(kind);
    }
    let scene =
        Scene { zones: backends.iter().map(|backend| Arc::clone(&backend.zone)).collect(), name: global };
    let rest = backends.iter().map(|backend| backend.rest).max().unwrap_or_default();
    say(&format!("{} deaths, one after the other, in about {} s", subjects.len(), subjects.len() * 18));
    let outages = scene.measure(subjects, rest, 1).await;
    for (daemon, kind) in daemons.iter_mut().zip(&kinds) {
        daemon.assert_running();
        if let Some(folder) = &options.logs {
            keep(daemon, folder, *kind);
        }
    }
    table::report(machine, &kinds.into_iter().zip(outages).collect::<Vec<_>>(), options.times)
}

fn conf(backend: &Backend, members: &[Arc<Member>]) -> Conf {
    members.iter().fold(Conf::with_zone(&backend.keys), |conf, member| {
        conf.cluster_with(member.name(), &member.kubeconfig(), &format!("region = {}", member.name()))
    })
}

fn global(service: &str) -> String {
    name(service, "")
}

fn keep(daemon: &Daemon, folder: &Path, kind: Kind) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let file = folder.join(format!("{}.log", kind.name().to_lowercase().replace([' ', ','], "-")));
    std::fs::write(file, daemon.log()).expect("the folder can be written to");
}

async fn bystanders(members: &[Arc<Member>]) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    let port = ports::free();
    for member in members {
        member.create_namespace(ELSEWHERE).await;
        for index in 0..BYSTANDERS {
            let endpoint = Endpoint::on_port(port);
            let service = NewService::new(ELSEWHERE, &format!("alive-{index}")).port(port);
            member.create_published(&service, &[&endpoint.ip().to_string()]).await;
            endpoints.push(endpoint);
        }
    }
    endpoints
}
