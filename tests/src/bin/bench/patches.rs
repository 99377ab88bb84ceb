//! From the patch of a Service's status to the answer of CoreDNS, and from the start to the first full zone.

use std::path::Path;
use std::time::{Duration, Instant};

use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::process::Process;

use crate::ask::Asker;
use crate::fleet::{Fleet, TARGET, hostname};
use crate::peer::{Peer, ZONE};
use crate::{say, usage};

/// How long the first zone may take.
const START_BUDGET: Duration = Duration::from_secs(180);
/// After the first zone is whole, before the first patch: what start-up leaves behind is done by then.
const SETTLE: Duration = Duration::from_secs(3);

/// What one program did with one number of Services.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) peer: Peer,
    pub(crate) services: usize,
    /// From its start to the answer for the last of all host names, with an empty zone before.
    pub(crate) started: Duration,
    /// CPU that it took for that.
    pub(crate) started_cpu: Duration,
    pub(crate) patches: Vec<Patch>,
    /// From before the first patch to after the last, pauses included.
    pub(crate) wall: Duration,
    /// CPU that the program took in that time.
    pub(crate) cpu: Duration,
    /// Resident KiB after the last patch, and the most that it was.
    pub(crate) resident: (u64, u64),
}

/// One patch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    /// From just before the PATCH request is sent to its response: the API server's own part.
    pub(crate) api: Duration,
    /// From the same moment to the first answer of CoreDNS with the new address.
    pub(crate) answered: Duration,
}

/// A program that runs and has written its first zone.
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) coredns: CoreDns,
    pub(crate) run: Run,
}

/// Starts a program with an empty CoreDNS of its own, and patches a Service so many times.
pub(crate) async fn measure(peer: Peer, fleet: &mut Fleet, patches: usize, folder: &Path) -> Started {
    let mut started = start(peer, fleet, folder).await;
    tokio::time::sleep(SETTLE).await;
    let pid = started.process.pid().expect("it was not killed");
    let (cpu, begin) = (usage::cpu(pid), Instant::now());
    let mut asker = Asker::new(started.coredns.address());
    let mut pauses = Pauses::new(peer);
    for turn in 0..patches {
        tokio::time::sleep(pauses.next()).await;
        let (patch, back) = one(peer, fleet, asker, &mut started.process).await;
        asker = back;
        started.run.patches.push(patch);
        if (turn + 1) % 50 == 0 || (peer != Peer::Fleetdns && (turn + 1) % 4 == 0) {
            say(&format!("{}: {} of {patches} patches, last {:?}", peer.name(), turn + 1, patch.answered));
        }
    }
    started.run.wall = begin.elapsed();
    started.run.cpu = usage::cpu(pid) - cpu;
    started.run.resident = usage::memory(pid);
    started
}

async fn start(peer: Peer, fleet: &Fleet, folder: &Path) -> Started {
    let services = fleet.hostnames().len();
    say(&format!("{}: starting with {services} Services and an empty zone", peer.name()));
    let coredns = CoreDns::with_etcd(&[ZONE]).await;
    let (mut asker, names) = (Asker::new(coredns.address()), fleet.hostnames());
    let begin = Instant::now();
    let mut process = peer.start(folder, &fleet.member, &coredns);
    let waited = tokio::task::spawn_blocking(move || asker.wait_for_all(&names, begin + START_BUDGET)).await;
    process.assert_running();
    let end = waited.expect("the asker does not panic").unwrap_or_else(|names| {
        let first = names.first().map_or("", String::as_str);
        panic!("{} has not written {} names, {first} among them", peer.name(), names.len())
    });
    let cpu = usage::cpu(process.pid().expect("it was not killed"));
    let run = Run {
        peer,
        services,
        started: end - begin,
        started_cpu: cpu,
        patches: Vec::new(),
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        resident: (0, 0),
    };
    say(&format!("{}: all names answered after {:?}", peer.name(), run.started));
    Started { process, coredns, run }
}

async fn one(peer: Peer, fleet: &mut Fleet, mut asker: Asker, process: &mut Process) -> (Patch, Asker) {
    let address = fleet.fresh_address();
    let deadline = Instant::now() + Duration::from_secs(peer.patience_seconds());
    // It asks already while the patch is on its way: the answer may be there before the API's response.
    let asking = tokio::task::spawn_blocking(move || {
        let seen = asker.wait_for(&hostname(TARGET), address, deadline);
        (seen, asker)
    });
    let sent = Instant::now();
    fleet.patch(address).await;
    let api = sent.elapsed();
    let (seen, asker) = asking.await.expect("the asker does not panic");
    process.assert_running();
    let Some(seen) = seen else {
        panic!(
            "{} has not published {address} in time; its log ends with:\n{}",
            peer.name(),
            process.log_tail()
        )
    };
    (Patch { api, answered: seen.saturating_duration_since(sent) }, asker)
}

/// Pauses between patches, spread so that no patch keeps step with a timer of the program; the same in each run.
struct Pauses {
    state: u64,
    least: Duration,
    spread: Duration,
}

impl Pauses {
    fn new(peer: Peer) -> Self {
        let (least, spread) = match peer {
            Peer::Fleetdns => (50, 100),
            // Its loop looks at the clock each second.
            Peer::ExternalDns | Peer::ExternalDnsFastest => (200, 1_000),
        };
        Self { state: 1, least: Duration::from_millis(least), spread: Duration::from_millis(spread) }
    }

    fn next(&mut self) -> Duration {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = f64::from(u32::try_from(self.state >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        self.least + self.spread.mul_f64(part)
    }
}
