//! Loses packets of loopback, for a while or for good, and lets them arrive late and in another order. A test does it in a
//! network namespace of its own, where no other test is.
//!
//! The kernel drops packets by `iptables`. It hands those that are to be late to a thread of this process (`NFQUEUE`), which
//! lets each go on after a time of its own; netem does the same where a kernel has it, and many have not.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nfq::{Message, Queue};

use crate::fleet;
use crate::process::spawn_bound;

/// Set in a process that has a network of its own.
const OWN: &str = "FLEETDNS_TESTS_OWN_NETWORK";
const UNSHARE: &str = "/usr/bin/unshare";
/// Not everybody's `PATH` has the folders of `ip` and `iptables`.
const UP: &str = "PATH=$PATH:/usr/sbin:/sbin; export PATH; ip link set lo up || exit";
/// What the network of a test has to be able to do.
const ABLE: &str =
    "iptables -A INPUT -p tcp --dport 9 -m statistic --mode random --probability 0.2 -j DROP &&
    iptables -t mangle -A INPUT -p tcp --sport 9 --dport 9 -j DROP &&
    iptables -A INPUT -p udp --sport 9 -j NFQUEUE --queue-num 0 --queue-bypass";
const QUEUE: u16 = 0;
/// The table whose rules are mended, and the one whose rules stay.
const MENDED: &str = "filter";
const FOR_GOOD: &str = "mangle";
/// A packet that arrives late does so by less than this.
const LATEST: u64 = 100;

/// Which packets, seen from the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Those to the server.
    There,
    /// Those from the server.
    Back,
    /// All.
    Both,
}

/// Runs a test of this program again in a network of its own and returns true, where this machine can do that. Otherwise it
/// says that something is `not_checked`. In the process that runs again it returns false, and [`Network::own`] has its network.
///
/// # Panics
/// When the test fails there.
pub async fn run_again(test: &str, not_checked: &str) -> bool {
    if env::var_os(OWN).is_some() {
        return false;
    }
    if let Err(error) = able() {
        // Not a line of the test's output, which nobody sees when it passes.
        let _ = writeln!(io::stderr(), "NOT CHECKED: {not_checked}: {error}");
        return false;
    }
    let _turn = fleet::turn().await;
    tokio::task::block_in_place(|| run_apart(test));
    true
}

fn run_apart(test: &str) {
    let this = env::current_exe().expect("this test has a path");
    let mut child = spawn_bound(Path::new(UNSHARE), |command| {
        command.args(["-rn", "sh", "-c", &format!("{UP}; exec \"$0\" \"$@\" 2>&1")]).arg(this);
        command.args(["--exact", test, "--nocapture", "--include-ignored"]);
        command.env(OWN, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    })
    .expect("unshare was started before");
    let mut ran = false;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.expect("a test prints UTF-8");
        ran |= line.contains(" 1 passed;");
        eprintln!("  {line}");
    }
    let status = child.wait().expect("our own child can be waited for");
    assert!(status.success() && ran, "{test}, in a network of its own: {status}");
}

/// Whether this machine has what a network of a test needs; if not, what it said.
fn able() -> Result<(), String> {
    let mut command = Command::new(UNSHARE);
    let output = command.args(["-rn", "sh", "-c", &format!("{UP}; {ABLE}")]).output();
    let output = output.map_err(|error| format!("{UNSHARE}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said.trim().replace('\n', "; ")) }
}

/// The network of this process alone.
#[derive(Debug)]
pub struct Network {
    ended: Arc<AtomicBool>,
    late: Option<JoinHandle<()>>,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(late) = self.late.take() {
            let _ = late.join();
        }
    }
}

impl Network {
    /// The network of this process, if it has one of its own.
    ///
    /// # Panics
    /// When packets of it cannot be held back.
    pub fn own() -> Option<Self> {
        env::var_os(OWN)?;
        let mut queue = Queue::open().expect("a netlink socket");
        queue.bind(QUEUE).expect("the queue is nobody else's");
        queue.set_copy_range(QUEUE, 0).expect("no packet has to be read");
        queue.set_nonblocking(true);
        for table in [MENDED, FOR_GOOD] {
            // A chain that had no rule yet is listed, but its numbers cannot be set to zero.
            iptables(&["-t", table, "-P", "INPUT", "ACCEPT"]);
        }
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let late = thread::spawn(move || hold_back(queue, &end));
        Some(Self { ended, late: Some(late) })
    }

    /// Loses so many in a hundred of the packets to and from a server's port.
    pub fn lose(&self, port: u16, way: Way, percent: u8) {
        let share = format!("{:.2}", f64::from(percent) / 100.0);
        let few = ["-m", "statistic", "--mode", "random", "--probability", share.as_str()];
        // That match knows no probability of 1.
        let few = if percent < 100 { &few[..] } else { &[] };
        rule(port, way, &[few, &["-j", "DROP"]].concat());
    }

    /// Holds each packet to and from a server's port back, for up to 0.1 s: packets overtake each other.
    pub fn shuffle(&self, port: u16) {
        rule(port, Way::Both, &["-j", "NFQUEUE", "--queue-num", &QUEUE.to_string()]);
    }

    /// Loses all packets of the connections to a server's port that are open now, for good, as a firewall does that forgot them:
    /// neither end hears of it, and new ones come through. Returns how many connections there are.
    pub fn forget(&self, port: u16) -> usize {
        let clients = clients(port);
        for client in &clients {
            for (from, to) in [(port, *client), (*client, port)] {
                let (from, to) = (from.to_string(), to.to_string());
                let ends = ["-p", "tcp", "--sport", &from, "--dport", &to];
                iptables(&[&["-t", FOR_GOOD, "-A", "INPUT"], &ends[..], &["-j", "DROP"]].concat());
            }
        }
        clients.len()
    }

    /// How many packets of forgotten connections were lost since this was asked last.
    pub fn forgotten(&self) -> u64 {
        packets(FOR_GOOD)
    }

    /// Everything comes through again but forgotten connections. Returns how many packets were lost or late.
    pub fn mend(&self) -> u64 {
        let count = packets(MENDED);
        iptables(&["-F", "INPUT"]);
        count
    }
}

/// How many packets met a rule of a table since this was asked last.
fn packets(table: &str) -> u64 {
    // Packets, octets, what becomes of them, and what they are.
    let list = iptables(&["-t", table, "-nvxL", "INPUT", "-Z"]);
    list.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

/// The ports of the clients that are connected to a port of this network (proc(5): `/proc/net/tcp`).
fn clients(port: u16) -> Vec<u16> {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/self/net/tcp").expect("this network has a table");
    let port_of = |end: &str| u16::from_str_radix(end.rsplit(':').next()?, 16).ok();
    let client = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        (state == ESTABLISHED && port_of(remote) == Some(port)).then(|| port_of(local))?
    };
    table.lines().filter_map(client).collect()
}

fn rule(port: u16, way: Way, what: &[&str]) {
    let port = port.to_string();
    let ends: &[&str] = match way {
        Way::There => &["--dport"],
        Way::Back => &["--sport"],
        Way::Both => &["--dport", "--sport"],
    };
    for end in ends {
        for protocol in ["tcp", "udp"] {
            iptables(&[&["-A", "INPUT", "-i", "lo", "-p", protocol, end, &port], what].concat());
        }
    }
}

fn iptables(arguments: &[&str]) -> String {
    let output = Command::new("iptables").arg("-w").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("iptables: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "iptables {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("iptables prints UTF-8")
}

/// Lets each packet of the queue go on at a time of its own.
fn hold_back(mut queue: Queue, ended: &AtomicBool) {
    let mut held: Vec<(Instant, Message)> = Vec::new();
    let mut seen = 0_u64;
    while !ended.load(Ordering::Acquire) {
        while let Ok(packet) = queue.recv() {
            seen += 1;
            let late = Duration::from_millis((seen.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % LATEST);
            held.push((Instant::now() + late, packet));
        }
        let now = Instant::now();
        for (_, packet) in held.extract_if(.., |(due, _)| *due <= now) {
            // A packet whose rule is gone may have no verdict any more.
            let _ = queue.verdict(packet);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
