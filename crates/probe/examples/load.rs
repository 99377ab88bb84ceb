//! What probing costs: thousands of HTTP targets on loopback, each probed once in 10 seconds.
//!
//! `cargo run --release -p fleetdns-probe --example load -- [TARGETS] [SECONDS] [PERCENT-DEAD]` prints the share of one
//! core, the memory, how late probes started, and verdicts that were wrong. The server is a process of its own, so that
//! only the prober is measured. Dead targets are black holes: their server never accepts, and its queue is full.
//! With a folder of a CPU cgroup in `FLEETDNS_CGROUP` the prober, and not the server, moves there: `tests/soak` starves it
//! so. A false removal is a target that answers, and was unhealthy at any moment.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::ordmap::DiffItem;

use fleetdns_core::member::{Inventory, MemberView, Snapshot};
use fleetdns_core::probe::{Check, Expect, HttpCheck};
use fleetdns_core::{
    Address, AddressPolicies, DnsName, Health, ProbeSpec, Published, Service, ServiceKey, Verdict,
};
use fleetdns_probe::{DURATION_CLASSES, ProbeSettings, Prober, Setup, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if words.first().is_some_and(|word| word == "serve") {
        return runtime.block_on(serve());
    }
    let number = |index: usize, default: u32| words.get(index).map_or(Ok(default), |word| word.parse());
    let (targets, seconds, dead) = (number(0, 10_000)?, number(1, 40)?, number(2, 0)?);
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut ports = String::new();
    BufReader::new(server.stdout.take().ok_or("no output of the server")?).read_line(&mut ports)?;
    let (good, hole) = ports.trim().split_once(' ').ok_or("the server says no ports")?;
    if let Some(folder) = std::env::var_os("FLEETDNS_CGROUP") {
        std::fs::write(std::path::Path::new(&folder).join("cgroup.procs"), std::process::id().to_string())?;
    }
    let result = runtime.block_on(measure(targets, seconds, dead, good.parse()?, hole.parse()?));
    server.kill()?;
    server.wait()?;
    result
}

async fn serve() -> Result<(), Failed> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("0.0.0.0:0".parse()?)?;
    let listener = socket.listen(4096)?;
    let (hole, _held) = black_hole().await?;
    println!("{} {}", listener.local_addr()?.port(), hole.local_addr()?.port());
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.ok()?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.ok()
        });
    }
}

async fn black_hole() -> Result<(TcpListener, Vec<TcpStream>), Failed> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("0.0.0.0:0".parse()?)?;
    let listener = socket.listen(1)?;
    let address = (Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        held.push(stream?);
    }
    Ok((listener, held))
}

fn fleet(targets: u32, dead: u32, good: u16, hole: u16) -> Result<Snapshot, Failed> {
    let host: DnsName = "www.example.com".parse()?;
    let spec = |port| {
        let (path, host) = ("/healthz".into(), host.clone());
        let http = HttpCheck { port, tls: None, path, host, expect: Expect::default() };
        Arc::new(ProbeSpec::of(Check::Http(Box::new(http))))
    };
    let (good, hole) = (spec(good), spec(hole));
    let mut member = MemberView::pending("load".parse()?);
    (member.inventory, member.listed) = (Inventory::Live, true);
    let bare = Arc::new(Service::default());
    for index in 0..targets {
        let address = IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + index));
        let key = ServiceKey::new("default", &format!("service-{index}"))?;
        let probe = if index % 100 < dead { &hole } else { &good };
        let published = Published {
            key: key.clone(),
            service: Arc::clone(&bare),
            addresses: Some([Address::from(address)].into()),
            hostnames: [].into(),
            shared: [].into(),
            ttl: None,
            probe: Arc::clone(probe),
            routing: None,
            faults: Vec::new(),
        };
        member.services.insert(key, Arc::new(published));
    }
    let mut snapshot = Snapshot::default();
    snapshot.members.insert(member.name.clone(), Arc::new(member));
    Ok(snapshot)
}

async fn measure(targets: u32, seconds: u32, dead: u32, good: u16, hole: u16) -> Result<(), Failed> {
    let settings = ProbeSettings {
        interval: Duration::from_secs(10),
        addresses: Arc::new(AddressPolicies::unrestricted()),
        // All targets are of one namespace.
        namespace_rate: NonZeroU32::MAX,
        ..ProbeSettings::default()
    };
    let empty = resident()?;
    let snapshot = fleet(targets, dead, good, hole)?;
    let before = resident()?;
    let (_snapshots, receiver) = watch::channel(snapshot);
    let (out, health) = watch::channel(Health::default());
    let prober = Prober::default();
    let (_setup, setups) = watch::channel(Setup::new(settings)?);
    let reports = prober.reports();
    let removals = tokio::spawn(false_removals(health.clone(), good));
    let (_release, confirmed) = watch::channel(0);
    let run = tokio::spawn(prober.run(setups, receiver, out, confirmed, CancellationToken::new()));
    // The start, and the time until all that is dead has been found out.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let (start, cpu, old) = (Instant::now(), cpu_time()?, reports.stats());
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
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
    let [passed, failed, inconclusive] = new.totals();
    println!("passed {passed}, failed {failed}, inconclusive {inconclusive}, stalls {}", new.stalls);
    let mut wrong = 0;
    for (key, verdict) in &health.borrow().verdicts {
        let expected = if key.spec.port() == Some(hole) { Verdict::Unhealthy } else { Verdict::Healthy };
        wrong += usize::from(*verdict != expected);
    }
    println!("verdicts {}, wrong {wrong}", health.borrow().verdicts.len());
    // It ends with the prober, which alone can send.
    println!("false removals {}", removals.await?);
    Ok(())
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
