//! What probing costs: thousands of HTTP targets on loopback, each probed once in 10 seconds.
//!
//! `cargo run --release -p fleetdns-probe --example load -- [TARGETS] [SECONDS] [PERCENT-DEAD]` prints the share of one
//! core, the memory, how late probes started, and verdicts that were wrong. The server is a process of its own, so that
//! only the prober is measured. Dead targets are black holes: their server never accepts, and its queue is full.
//! With a folder of a CPU cgroup in `FLEETDNS_CGROUP` the prober, and not the server, moves there: `tests/soak` starves it
//! so. A false removal is a target that answers, and was unhealthy at any moment.
//!
//! A fourth word `sensitive` probes as often as `interval = 1s`, `timeout = 500ms`, `fall = 2` say, lets some more targets die
//! in that time, every other one silently, and prints how long each took to be unhealthy. `tls` probes over TLS, and prints
//! how many handshakes resumed a session. `serve` alone is the server alone, for another prober.

mod serve;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::ordmap::DiffItem;

use fleetdns_core::member::{Inventory, MemberView, Snapshot};
use fleetdns_core::probe::{Check, Expect, HttpCheck};
use fleetdns_core::{
    Address, AddressPolicies, DnsName, Health, ProbeSpec, Published, ServiceKey, ServiceText, Trust, Verdict,
};
use fleetdns_probe::{DURATION_CLASSES, ProbeSettings, Prober, Setup, Stats, TrustSettings};
use serve::{HANDSHAKES, Ports};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Failed = Box<dyn Error + Send + Sync>;

/// The published name of all targets.
const HOST: &str = "www.example.com";
/// Targets that die while a sensitive prober is measured.
const MORTALS: usize = 20;
/// How long it is waited until one of them is unhealthy.
const LONGEST: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Copy)]
struct Load {
    targets: u32,
    seconds: u32,
    /// Percent of the targets.
    dead: u32,
    manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Usual,
    Sensitive,
    Tls,
}

/// The server's process, and its ports.
struct Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    ports: Ports,
}

impl Server {
    fn start(authority: Option<&PathBuf>) -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(authority).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut output = BufReader::new(process.stdout.take().ok_or("no output of the server")?);
        let input = process.stdin.take().ok_or("no input of the server")?;
        let mut ports = String::new();
        output.read_line(&mut ports)?;
        Ok(Self { process, input, output, ports: Ports::read(&ports)? })
    }

    /// Full handshakes so far, and those that resumed a session.
    fn handshakes(&mut self) -> Result<String, Failed> {
        writeln!(self.input, "{HANDSHAKES}")?;
        let mut counts = String::new();
        self.output.read_line(&mut counts)?;
        Ok(counts)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if words.first().is_some_and(|word| word == "serve") {
        return runtime.block_on(serve::serve(words.get(1).map(Path::new)));
    }
    let number = |index: usize, default: u32| words.get(index).map_or(Ok(default), |word| word.parse());
    let manner = match words.get(3).map(String::as_str) {
        None => Manner::Usual,
        Some("sensitive") => Manner::Sensitive,
        Some("tls") => Manner::Tls,
        Some(other) => return Err(format!("unknown word {other}").into()),
    };
    let load = Load { targets: number(0, 10_000)?, seconds: number(1, 40)?, dead: number(2, 0)?, manner };
    let authority = std::env::temp_dir().join(format!("fleetdns-load-{}.pem", std::process::id()));
    let mut server = Server::start((manner == Manner::Tls).then_some(&authority))?;
    if let Some(folder) = std::env::var_os("FLEETDNS_CGROUP") {
        std::fs::write(Path::new(&folder).join("cgroup.procs"), std::process::id().to_string())?;
    }
    runtime.block_on(measure(load, &mut server, &authority))
}

fn fleet(load: Load, ports: &Ports) -> Result<Snapshot, Failed> {
    let host: DnsName = HOST.parse()?;
    let sensitive = load.manner == Manner::Sensitive;
    let spec = |port| {
        let (path, host) = ("/healthz".into(), host.clone());
        let tls = (load.manner == Manner::Tls).then_some(Trust::Fleet);
        let http = HttpCheck { port, tls, path, host, expect: Expect::default() };
        Arc::new(ProbeSpec::of(Check::Http(Box::new(http))))
    };
    let (good, hole) = (spec(ports.good), spec(ports.hole));
    let of_index = |index: u32| if index % 100 < load.dead { &hole } else { &good };
    let probes = (0..load.targets).map(|index| Arc::clone(of_index(index)));
    let mortals = ports.mortals.iter().filter(|_| sensitive).map(|&port| spec(port));
    let mut member = MemberView::pending("load".parse()?);
    (member.inventory, member.listed) = (Inventory::Live, true);
    let bare = ServiceText::default();
    for (index, probe) in (0..).zip(probes.chain(mortals)) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + index));
        let key = ServiceKey::new("default", &format!("service-{index}"))?;
        let published = Published {
            key: key.clone(),
            service: bare.clone(),
            addresses: Some([Address::from(address)].into()),
            hostnames: [].into(),
            shared: [].into(),
            ttl: None,
            probe,
            routing: None,
            faults: Vec::new(),
        };
        member.services.insert(key, Arc::new(published));
    }
    let mut snapshot = Snapshot::default();
    snapshot.members.insert(member.name.clone(), Arc::new(member));
    Ok(snapshot)
}

fn settings(manner: Manner, authority: &Path) -> ProbeSettings {
    let defaults = ProbeSettings::default();
    let ca_file = (manner == Manner::Tls).then(|| authority.to_owned());
    let second = Duration::from_secs(1);
    let (interval, fast_interval, timeout, fall) = if manner == Manner::Sensitive {
        (second, second, second / 2, 2)
    } else {
        (second * 10, defaults.fast_interval, defaults.timeout, defaults.fall)
    };
    ProbeSettings {
        interval,
        fast_interval,
        timeout,
        fall,
        trust: TrustSettings { ca_file, insecure: false },
        addresses: Arc::new(AddressPolicies::unrestricted()),
        // All targets are of one namespace.
        namespace_rate: NonZeroU32::MAX,
        ..defaults
    }
}

async fn measure(load: Load, server: &mut Server, authority: &Path) -> Result<(), Failed> {
    let Load { targets, seconds, dead, manner } = load;
    let (settings, sensitive) = (settings(manner, authority), manner == Manner::Sensitive);
    let setup = Setup::new(settings)?;
    if manner == Manner::Tls {
        std::fs::remove_file(authority)?;
    }
    let empty = resident()?;
    let snapshot = fleet(load, &server.ports)?;
    let before = resident()?;
    let (_snapshots, receiver) = watch::channel(snapshot);
    let (out, health) = watch::channel(Health::default());
    let prober = Prober::default();
    let (_setup, setups) = watch::channel(setup);
    let reports = prober.reports();
    let removals = tokio::spawn(false_removals(health.clone(), server.ports.good));
    let (_release, confirmed) = watch::channel(0);
    let run = tokio::spawn(prober.run(setups, receiver, out, confirmed, CancellationToken::new()));
    // The start, and the time until all that is dead has been found out.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let handshakes = server.handshakes()?;
    let (start, cpu, old) = (Instant::now(), cpu_time()?, reports.stats());
    let end = tokio::time::sleep(Duration::from_secs(u64::from(seconds)));
    let deaths = if sensitive {
        deaths(&server.ports.mortals, &mut server.input, health.clone(), seconds).await?
    } else {
        Vec::new()
    };
    end.await;
    let share = (cpu_time()? - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    let new = reports.stats();
    run.abort();
    let rate = (total(&new) - total(&old)) as f64 / start.elapsed().as_secs_f64();
    println!("targets {targets}, {dead} % of them dead, {rate:.0} probes/s");
    println!("CPU {:.1} % of a core, {:.0} us for each probe", share * 100.0, share / rate * 1e6);
    println!(
        "RSS {} KiB, of which {before} KiB before the prober and {empty} KiB before the fleet",
        resident()?
    );
    println!("start lag p50 <= {} ms, p99 <= {} ms", quantile(&old, &new, 0.5), quantile(&old, &new, 0.99));
    let (now, before) = (new.totals(), old.totals());
    let [passed, failed, inconclusive] = [0, 1, 2].map(|index: usize| now[index] - before[index]);
    let stalls = new.stalls - old.stalls;
    println!("passed {passed}, failed {failed}, inconclusive {inconclusive}, stalls {stalls}");
    if manner == Manner::Tls {
        let counts = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
        let (old, new) = (counts(&handshakes)?, counts(&server.handshakes()?)?);
        let [full, resumed] = [0, 1].map(|kind: usize| new[kind] - old[kind]);
        println!("handshakes {full} full, {resumed} resumed");
    }
    let mut wrong = 0;
    for (key, verdict) in &health.borrow().verdicts {
        let answers = key.spec.port() == Some(server.ports.good);
        let expected = if answers { Verdict::Healthy } else { Verdict::Unhealthy };
        wrong += usize::from(*verdict != expected);
    }
    println!("verdicts {}, wrong {wrong}", health.borrow().verdicts.len());
    for (way, remainder) in [("refused", 0), ("mute", 1)].into_iter().filter(|_| sensitive) {
        let mut times: Vec<u128> =
            deaths.iter().skip(remainder).step_by(2).map(Duration::as_millis).collect();
        times.sort_unstable();
        println!("{way}: out after {} ms, worst {} ms", times[times.len() / 2], times[times.len() - 1]);
    }
    // It ends with the prober, which alone can send.
    println!("false removals {}", removals.await?);
    Ok(())
}

/// Lets one target after the other die; returns how long each took to be unhealthy.
async fn deaths(
    mortals: &[u16],
    killer: &mut ChildStdin,
    health: watch::Receiver<Health>,
    seconds: u32,
) -> Result<Vec<Duration>, Failed> {
    // Not in step with the interval, and the last one is found before the end.
    let pause = Duration::from_secs(u64::from(seconds)).mul_f64(0.8 / mortals.len() as f64);
    let mut waiting = Vec::new();
    for (number, &port) in mortals.iter().enumerate() {
        tokio::time::sleep(pause).await;
        let begin = Instant::now();
        writeln!(killer, "{number}")?;
        let mut health = health.clone();
        waiting.push(tokio::spawn(async move {
            let is_out = |health: &Health| {
                let mut verdicts = health.verdicts.iter();
                verdicts.any(|(key, verdict)| key.spec.port() == Some(port) && *verdict == Verdict::Unhealthy)
            };
            // A starved prober may find it later or never.
            let _ = tokio::time::timeout(LONGEST, health.wait_for(is_out)).await;
            begin.elapsed()
        }));
    }
    let mut times = Vec::new();
    for one in waiting {
        times.push(one.await?);
    }
    Ok(times)
}

/// Targets that answer, and were unhealthy at any moment until the prober ended.
async fn false_removals(mut health: watch::Receiver<Health>, good: u16) -> usize {
    let mut removed = BTreeSet::new();
    let mut old = Health::default();
    while health.changed().await.is_ok() {
        let new = health.borrow_and_update().clone();
        for (key, verdict) in old.verdicts.diff(&new.verdicts).filter_map(|change| match change {
            DiffItem::Add(key, verdict) | DiffItem::Update { new: (key, verdict), .. } => {
                Some((key, verdict))
            }
            DiffItem::Remove(..) => None,
        }) {
            let answers = key.spec.port() == Some(good);
            if answers && *verdict == Verdict::Unhealthy {
                removed.insert(key.clone());
            }
        }
        old = new;
    }
    removed.len()
}

fn total(stats: &Stats) -> u64 {
    stats.totals().iter().sum()
}

fn quantile(old: &Stats, new: &Stats, share: f64) -> String {
    let counts: Vec<u64> =
        new.start_lag.classes.iter().zip(old.start_lag.classes).map(|(new, old)| new - old).collect();
    let desired = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
    let mut sum = 0;
    for (index, count) in counts.into_iter().enumerate() {
        sum += count;
        if sum >= desired {
            return DURATION_CLASSES.get(index).map_or("more".to_owned(), ToString::to_string);
        }
    }
    "?".to_owned()
}

/// Resident memory in KiB (proc(5), `VmRSS`).
fn resident() -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?)
}

/// User and system time of this process, in ticks of 10 ms (proc(5), `utime` and `stime`).
fn cpu_time() -> Result<Duration, Failed> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.into_iter().sum::<u64>() * 10))
}
