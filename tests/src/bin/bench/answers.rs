//! `tests/bench --answers`: how many questions the embedded server answers, beside CoreDNS and Knot.
//!
//! Each server has the same zone and a process of its own. They are asked in turn, over and over, so that what else the
//! machine does is the same for all. The client takes its part of the processors; so the server's own CPU time for one
//! answer is reported too, which does not depend on that.

mod client;
mod zone;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::ports;
use fleetdns_tests::process::Process;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{say, stats, usage};
use client::{Client, Round};
use zone::ZONE;

/// Names of the zone.
const NAMES: u32 = 100_000;
/// How often each server is asked, and for how long.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);

/// A server that is measured.
struct Peer {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    rounds: Vec<Round>,
}

const USAGE: &str = "usage: tests/bench --answers [--quick]

  --quick  two rounds instead of five: half a minute instead of a little more than one";

pub(crate) fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = arguments.collect();
    let runtime = Runtime::new().expect("a runtime");
    let rounds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ROUNDS,
        ["--quick"] => 2,
        // What this program starts itself as.
        ["--serve", state, listen] => {
            runtime.block_on(serve(state, listen));
            return ExitCode::SUCCESS;
        }
        _ => {
            let asked = words.iter().any(|word| word == "-h" || word == "--help");
            println!("{USAGE}");
            return ExitCode::from(u8::from(!asked) * 2);
        }
    };
    print!("{}", runtime.block_on(measure(rounds)));
    ExitCode::SUCCESS
}

/// Measures, and returns a report in Markdown.
async fn measure(rounds: usize) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = zone::file(&folder, NAMES);
    let (embedded, at_embedded) = embedded(&folder);
    let (knot, at_knot) = knot(&folder);
    let mut coredns = CoreDns::with_zone_file(ZONE, &file).await;
    let at_coredns = coredns.address();
    let peer = |name, address, process: &Process| {
        let pid = process.pid().expect("it runs");
        Peer { name, address, pid, rounds: Vec::new() }
    };
    let mut peers = [
        peer("fleetdns, embedded", at_embedded, &embedded),
        peer("CoreDNS, file", at_coredns, coredns.process()),
        peer("Knot", at_knot, &knot),
    ];
    for peer in &peers {
        say(&format!("waiting for {}", peer.name));
        Client::new(peer.address, NAMES).ready();
    }
    for round in 0..rounds {
        for peer in &mut peers {
            let cpu = usage::cpu(peer.pid);
            let mut answered = Client::new(peer.address, NAMES).ask(ROUND);
            answered.cpu = usage::cpu(peer.pid) - cpu;
            say(&format!("round {round}: {} answered {}", peer.name, answered.answers));
            peer.rounds.push(answered);
        }
    }
    report(&peers)
}

/// Serves the zone of a state file until it is killed.
async fn serve(state: &str, listen: &str) {
    use fleetdns_core::keys::Keys;
    use fleetdns_embedded::Servers;

    let servers = Servers::new();
    let pairs = [("listen", listen), ("state-file", state)];
    let keys = Keys::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let (zone, owner) = (ZONE.parse().expect("a name"), zone::OWNER.parse().expect("a label"));
    let _provider = servers.connect(&zone, &owner, &keys).expect("the keys are right");
    let bound = servers.bind().await.expect("the port is free");
    Servers::run(bound, tokio_util::sync::CancellationToken::new()).await.expect("the server runs");
}

fn embedded(folder: &TempDir) -> (Process, SocketAddr) {
    let address = ports::free_address();
    let state = zone::state(folder, NAMES).display().to_string();
    let program = std::env::current_exe().expect("this program has a path");
    let words = ["--answers".to_owned(), "--serve".to_owned(), state, address.to_string()];
    (Process::start("embedded", program, words, &[], folder.path().join("embedded.log")), address)
}

fn knot(folder: &TempDir) -> (Process, SocketAddr) {
    let address = ports::free_address();
    let at = folder.path().display();
    let text = format!(
        "server:\n  rundir: \"{at}\"\n  listen: {}@{}\ndatabase:\n  storage: \"{at}/db\"\n\
         zone:\n  - domain: {ZONE}\n    storage: \"{at}\"\n    file: zone\n    zonefile-sync: -1\n",
        address.ip(),
        address.port()
    );
    let config = folder.path().join("knot.conf");
    std::fs::write(&config, text).expect("the temporary folder can be written to");
    let words = ["-c".to_owned(), config.display().to_string()];
    (Process::start("Knot", "/usr/sbin/knotd", words, &[], folder.path().join("knot.log")), address)
}

fn report(peers: &[Peer]) -> String {
    let mut text = format!(
        "## Answers from a zone of {NAMES} names\n\nOver UDP on loopback, {} at a time from one client on the same machine, \
         {} s each, in turn: {}.\nBudget: as many as Knot, or twice as many as CoreDNS, in the same run.\n\n\
         | server | answers a second, p50 | best | CPU time of the server for one |\n|---|---:|---:|---:|\n",
        client::WINDOW,
        ROUND.as_secs(),
        client::MIX
    );
    for Peer { name, rounds, .. } in peers {
        let pace = |percent| {
            // The slowest is the longest time for one.
            let times = rounds.iter().map(|round| round.took / round.answers.max(1));
            1.0 / stats::percentile(times, percent).as_secs_f64()
        };
        let cpu = stats::percentile(rounds.iter().map(|round| round.cpu / round.answers.max(1)), 50);
        let micros = cpu.as_secs_f64() * 1e6;
        let _ = writeln!(text, "| {name} | {:.0} | {:.0} | {micros:.1} µs |", pace(50), pace(0));
    }
    text
}
