//! gdnsd with an `http_status` monitor for each target.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetdns_tests::ports;
use fleetdns_tests::process::Process;
use tempfile::TempDir;

use crate::usage;

const PROGRAM: &str = "/usr/sbin/gdnsd";
/// Addresses of one resource, whose state counts them all.
const GROUP: u32 = 10;

/// gdnsd, and the server that it probes.
pub(super) struct Gdnsd {
    process: Process,
    server: Child,
    _folder: TempDir,
}

/// Its name and version.
pub(super) fn version() -> String {
    // It has no option for that, and says it with every mistake.
    let output = Command::new(PROGRAM).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|e| panic!("cannot run {PROGRAM}: {e}; tests/setup --probes installs it"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.starts_with("gdnsd version")).unwrap_or("gdnsd").to_owned()
}

impl Gdnsd {
    pub(super) fn start(load: &Path, targets: u32) -> Self {
        let mut command = Command::new(load);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().expect("the example can be started");
        let mut ports = String::new();
        let output = server.stdout.take().expect("its output is a pipe");
        BufReader::new(output).read_line(&mut ports).expect("the server says its ports");
        let port = ports.split(' ').next().expect("a port");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("config"), config(folder.path(), port, targets))
            .expect("the folder can be written to");
        let words = ["-c".to_owned(), folder.path().display().to_string(), "start".to_owned()];
        let log = folder.path().join("gdnsd.log");
        Self { process: Process::start("gdnsd", PROGRAM, words, &[], log), server, _folder: folder }
    }

    /// The share of one core that it takes after the start, and resident KiB at the end.
    pub(super) fn measure(&self, start: Duration, time: Duration) -> (f64, u64) {
        std::thread::sleep(start);
        let pid = self.process.pid().expect("it was not killed");
        let (begin, cpu) = (Instant::now(), usage::cpu(pid));
        std::thread::sleep(time);
        let share = (usage::cpu(pid) - cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
        (share, usage::memory(pid).0)
    }

    /// Targets that it calls down in its log.
    pub(super) fn faults(&self) -> usize {
        let log = std::fs::read_to_string(self.process.log_path()).expect("its log can be read");
        log.lines().filter(|line| line.contains("DOWN")).count()
    }
}

impl Drop for Gdnsd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn config(folder: &Path, port: &str, targets: u32) -> String {
    let (at, listen) = (folder.display(), ports::free_address());
    let mut text = format!(
        "options => {{ listen => \"{listen}\", run_dir => \"{at}/run\", state_dir => \"{at}/state\", udp_threads => 1, tcp_threads => 1 }}\n\
         service_types => {{ web => {{ plugin => http_status, port => {port}, url_path => /healthz, vhost => www.example.com, interval => 10, timeout => 2 }} }}\n\
         plugins => {{ multifo => {{ service_types => web\n"
    );
    for group in 0..targets.div_ceil(GROUP) {
        let numbers = group * GROUP..targets.min((group + 1) * GROUP);
        let addresses = numbers
            .map(|number| Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + number).to_string());
        let _ =
            writeln!(text, "r{group} => {{ addrs_v4 => [ {} ] }}", addresses.collect::<Vec<_>>().join(", "));
    }
    text + "} }\n"
}
