//! The benchmark that `tests/bench` runs: fleetdns beside external-dns, on the same servers in the same minutes.
//!
//! Reads: the build of fleetdns beside it, and the servers that `tests/setup --bench` builds.
//! Returns: a Markdown report on stdout, progress on stderr.
//!
//! Invariant: a budget that is missed is told, never asserted; what does not work at all is a panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark: without its servers there is nothing to measure"
)]

mod answers;
mod ask;
mod counts;
mod failover;
mod fleet;
mod outage;
mod patches;
mod peer;
mod probes;
mod report;
mod scale;
mod stats;
mod usage;
mod zone;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use fleet::Fleet;
use outage::Scene;
use peer::Peer;
use zone::Zone;

/// Numbers of Services.
const SIZES: [usize; 2] = [1, 1_000];

const USAGE: &str = "usage: tests/bench [--quick] [--only NAME] [--logs FOLDER], tests/bench --clouds [NAME],
       tests/bench --answers, tests/bench --failover [--only NAME] [--times N],
       tests/bench --scale [SERVICES MEMBERS]..., tests/bench --probes [TARGETS]...,
       tests/bench --storm [--seconds N], tests/bench --week [--hours N], or tests/bench --counts [SERVICES]...

  --quick        fewer patches: under 3 minutes instead of about 6, once all is built
  --only NAME    measure only programs whose name contains this, such as fleetdns or fastest
  --logs FOLDER  keep dns.conf and the logs of the measured programs there
  --clouds       calls and seconds on the strict servers of Azure DNS and Route 53 instead; --clouds --help says more
  --answers      the embedded DNS server beside CoreDNS and Knot
  --failover     how long the death of an endpoint takes to reach each provider; --failover --help says more
  --scale        memory and times of one daemon with up to 100,000 Services over 200 members; --scale --help says more
  --probes       CPU and memory of 10,000 and 100,000 HTTP probes beside gdnsd; --probes --help says more
  --storm        5,000 changes a second, and how long another change takes meanwhile; --storm --help says more
  --week         memory of one daemon after the changes of a week; --week --help says more
  --counts       instructions of planner, publish and judge in fleets of three sizes; --counts --help says more";

/// How many of each.
#[derive(Clone, Copy, Debug)]
struct Counts {
    fleetdns: usize,
    events: usize,
    fastest: usize,
    outages: u32,
}

const FULL: Counts = Counts { fleetdns: 200, events: 12, fastest: 30, outages: 5 };
const QUICK: Counts = Counts { fleetdns: 50, events: 4, fastest: 8, outages: 3 };

impl Counts {
    fn of(self, peer: Peer) -> usize {
        match peer {
            Peer::Fleetdns => self.fleetdns,
            Peer::ExternalDns => self.events,
            Peer::ExternalDnsFastest => self.fastest,
        }
    }
}

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A line of progress.
fn say(text: &str) {
    eprintln!("bench: {:4} s  {text}", BEGIN.elapsed().as_secs());
}

fn main() -> ExitCode {
    let mut counts = FULL;
    let mut only = String::new();
    let mut logs = None;
    let mut arguments = std::env::args().skip(1).peekable();
    LazyLock::force(&BEGIN);
    if arguments.next_if(|first| first == "--scale").is_some() {
        return scale::main(arguments);
    }
    if arguments.next_if(|first| first == "--probes").is_some() {
        return probes::main(arguments);
    }
    if arguments.next_if(|first| first == "--storm").is_some() {
        return scale::storm::main(arguments);
    }
    if arguments.next_if(|first| first == "--week").is_some() {
        return scale::week::main(arguments);
    }
    if arguments.next_if(|first| first == "--counts").is_some() {
        return counts::main(arguments);
    }
    if arguments.next_if(|first| first == "--answers").is_some() {
        return answers::main(arguments);
    }
    if arguments.next_if(|first| first == "--failover").is_some() {
        return failover::main(arguments);
    }
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => counts = QUICK,
            "--only" => only = arguments.next().unwrap_or_default(),
            "--logs" => logs = arguments.next().map(PathBuf::from),
            "-h" | "--help" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    print!("{}", runtime.block_on(bench(counts, &only, logs)));
    ExitCode::SUCCESS
}

async fn bench(counts: Counts, only: &str, logs: Option<PathBuf>) -> String {
    let machine = report::machine();
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = logs.unwrap_or_else(|| temporary.path().to_owned());
    say("starting the member cluster");
    let mut fleet = Fleet::start().await;
    let mut runs = Vec::new();
    let mut outages = outage::Outages::default();
    for size in SIZES {
        say(&format!("making Services until there are {size}"));
        fleet.grow_to(size).await;
        let folder = folder.join(format!("{size}-services"));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        // Ours comes last: the Services of the outages are not there while others are measured.
        for peer in Peer::ALL.into_iter().rev().filter(|peer| peer.name().contains(only)) {
            let started = patches::measure(peer, &mut fleet, counts.of(peer), &folder).await;
            if peer == Peer::Fleetdns && Some(&size) == SIZES.last() {
                say("breaking endpoints");
                let members = [Arc::clone(&fleet.member)];
                let subjects = outage::publish(&members, &report::WAYS, counts.outages).await;
                let zones = vec![Arc::new(Zone::Dns(started.coredns.address()))];
                let (scene, abreast) = (Scene { zones, name: peer::global }, subjects.len());
                outages = scene.measure(subjects, Duration::ZERO, abreast).await.remove(0);
            }
            runs.push(started.run);
        }
    }
    report::report(&machine, &runs, &outages)
}
