//! The real daemon: the `fleetdns` binary with a `dns.conf` of its own.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::conf::Conf;
use crate::openapi;
use crate::process::Process;
use crate::{eventually, ports, within};

/// How long a daemon may take to be ready when nothing is in its way.
const READY: Duration = Duration::from_secs(20);
/// How long a command may take: `check` waits 10 s for what does not answer.
const COMMAND: Duration = Duration::from_secs(30);
const SOCKET: &str = "fleetdns.sock";
const PAUSE: Duration = Duration::from_millis(50);

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Printed {
    /// The output as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
}

/// Runs `fleetdns` to its end.
///
/// # Panics
/// When it cannot be started, or does not end within 30 s.
pub async fn fleetdns(arguments: &[&str]) -> Printed {
    fleetdns_with(arguments, &[]).await
}

/// Runs `fleetdns` to its end, with these variables.
///
/// # Panics
/// When it cannot be started, or does not end within 30 s.
pub async fn fleetdns_with(arguments: &[&str], environment: &[(&str, &str)]) -> Printed {
    let what = format!("fleetdns {}", arguments.join(" "));
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("KUBECONFIG").env_remove("RUST_LOG");
    command.envs(environment.iter().copied());
    let done = within(&what, COMMAND, tokio::task::spawn_blocking(move || command.output())).await;
    let output = done.expect("the thread does not panic").unwrap_or_else(|e| panic!("{what}: {e}"));
    let printed = Printed {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    // Whatever a test asks for: JSON is as the API's description says.
    let schema = arguments.first().copied().and_then(openapi::schema_of);
    if let (Some(schema), Ok(answer)) = (schema, serde_json::from_str(&printed.out)) {
        openapi::assert_is(schema, &answer);
    }
    printed
}

/// The binary that `cargo build -p fleetdns` puts beside this test, or this benchmark.
///
/// # Panics
/// When it is not there.
pub fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("this test has a path");
    // target/[TRIPLE/]PROFILE/BENCHMARK, or one folder below.
    let mut folders = this.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join("fleetdns")).filter(|path| path.is_file()));
    found.unwrap_or_else(|| panic!("no fleetdns for {}: run cargo build -p fleetdns first", this.display()))
}

/// A running daemon. Dropping it kills it; if the test is panicking, the end of its log goes to stderr.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    admin: SocketAddr,
    folder: TempDir,
}

impl Daemon {
    /// Starts one; returns when it has read its zone and every cluster has been listed or given up on.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    pub async fn start(conf: &Conf) -> Self {
        let mut daemon = Self::spawn(conf, &[]);
        daemon.ready(READY).await;
        daemon
    }

    /// Starts one and returns at once.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(conf: &Conf, environment: &[(&str, &str)]) -> Self {
        Self::spawn_as(conf, environment, None)
    }

    /// Starts one that may not have more than so many file descriptors, and returns at once.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_with_descriptors(conf: &Conf, descriptors: u32) -> Self {
        Self::spawn_as(conf, &[], Some(descriptors))
    }

    fn spawn_as(conf: &Conf, environment: &[(&str, &str)], descriptors: Option<u32>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let admin = ports::free_address();
        let file = folder.path().join("dns.conf");
        let socket = folder.path().join(SOCKET);
        fs::write(&file, conf.render(admin, socket.display()))
            .expect("the temporary folder can be written to");
        let arguments = ["run".to_owned(), "-c".to_owned(), file.display().to_string()];
        let log = folder.path().join("fleetdns.log");
        let process = match descriptors {
            None => Process::start("fleetdns", binary(), arguments, environment, log),
            Some(most) => {
                // The hard limit too: the daemon raises the soft one.
                let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
                let head = ["-c".to_owned(), script, binary().display().to_string()];
                Process::start("fleetdns", "/bin/sh", head.into_iter().chain(arguments), environment, log)
            }
        };
        Self { process, admin, folder }
    }

    /// Waits until it is ready; returns how long that took.
    ///
    /// # Panics
    /// When `budget` is over first, or when it ended.
    pub async fn ready(&mut self, budget: Duration) -> Duration {
        let admin = self.admin;
        let what = format!("fleetdns to be ready at {admin}");
        let ((), took) = eventually(&what, budget, PAUSE, async || {
            self.process.assert_running();
            let answer = get(admin, "/readyz").map_err(|e| e.to_string())?;
            if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(answer) }
        })
        .await;
        took
    }

    /// Kills it (-9).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`kill`](Self::kill), with the same config and log; returns at once.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_again(&mut self) {
        self.process.restart();
    }

    /// Kills it, and starts it with another config; returns when it is ready.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    pub async fn restart_with(&mut self, conf: &Conf) {
        self.write_conf(conf);
        self.process.restart();
        self.ready(READY).await;
    }

    /// Writes another config; the daemon takes it up by itself, or when it is asked to.
    ///
    /// # Panics
    /// When the temporary folder cannot be written to.
    pub fn write_conf(&self, conf: &Conf) {
        let text = conf.render(self.admin, self.socket().display());
        fs::write(self.conf_path(), text).expect("the temporary folder can be written to");
    }

    /// SIGSTOP: it holds all that it has and does nothing.
    pub fn freeze(&mut self) {
        self.process.stop();
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.process.cont();
    }

    /// SIGTERM, without waiting for its end.
    pub fn ask_to_end(&mut self) {
        self.process.terminate();
    }

    /// Waits for its end after it was asked to.
    ///
    /// # Panics
    /// When it has not ended after 30 s.
    pub async fn terminated(&mut self) {
        let ended = async || self.process.exited().ok_or("it still runs");
        eventually("fleetdns to end", COMMAND, PAUSE, ended).await;
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.process.hang_up();
    }

    /// Asks it to end, as a service manager does; returns its status and how long that took.
    ///
    /// # Panics
    /// When it has not ended after 30 s.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.process.terminate();
        eventually("fleetdns to end", COMMAND, PAUSE, async || self.process.exited().ok_or("it still runs"))
            .await
    }

    /// Whether somebody else has ended it.
    pub fn has_ended(&mut self) -> bool {
        self.process.exited().is_some()
    }

    /// Fails the test when it has ended by itself.
    ///
    /// # Panics
    /// Then.
    pub fn assert_running(&mut self) {
        self.process.assert_running();
    }

    /// Its `dns.conf`.
    pub fn conf_path(&self) -> PathBuf {
        self.folder.path().join("dns.conf")
    }

    /// Where its admin API listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where it takes orders.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.process.pid().expect("it runs")
    }

    /// The body that a path of the admin address answers with, whatever its status and type; `None` when nobody answers.
    pub fn page(&self, path: &str) -> Option<String> {
        get(self.admin, path).ok()
    }

    /// A number of its `/proc/PID/status` in KiB: `VmRSS` is the memory that it has, `VmHWM` the most that it had.
    ///
    /// # Panics
    /// When it does not run.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let pid = self.process.pid().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// Processor time that it has used.
    ///
    /// # Panics
    /// When it does not run.
    pub fn cpu_time(&self) -> Duration {
        let pid = self.process.pid().expect("it runs");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        // PID (NAME) STATE …, utime and stime in ticks of 10 ms (proc(5)).
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(ticks.map(|ticks| ticks.parse::<u64>().expect("a number") * 10).sum())
    }

    /// Everything that it has said, over restarts too.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn log(&self) -> String {
        fs::read_to_string(self.process.log_path()).expect("the log was opened when the process started")
    }

    /// Runs a command that takes its config: `check`, `plan`, `status`, ….
    ///
    /// # Panics
    /// When it does not end.
    pub async fn command(&self, arguments: &[&str]) -> Printed {
        let conf = self.conf_path().display().to_string();
        let mut all = arguments.to_vec();
        all.extend(["-c", &conf]);
        fleetdns(&all).await
    }

    async fn ask(&self, arguments: &[&str]) -> Value {
        let printed = self.command(arguments).await;
        assert_eq!(printed.code, Some(0), "{arguments:?}: {printed:?}");
        printed.json()
    }

    /// The JSON that a path of the admin API answers with.
    ///
    /// # Panics
    /// When it does not.
    pub fn get(&self, path: &str) -> Value {
        let answer = get(self.admin, path).expect("the admin address answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{answer}");
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{path}: {e}: {answer}"))
    }

    /// `GET /metrics`
    ///
    /// # Panics
    /// When nobody answers.
    pub fn metrics(&self) -> String {
        let answer = get(self.admin, "/metrics").expect("the admin address answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// `fleetdns status -o json`
    ///
    /// # Panics
    /// When it fails.
    pub async fn status(&self) -> Value {
        self.ask(&["status", "-o", "json"]).await
    }

    /// `fleetdns records -o json`
    ///
    /// # Panics
    /// When it fails.
    pub async fn records(&self) -> Value {
        self.ask(&["records", "-o", "json"]).await
    }

    /// `fleetdns snapshot`
    ///
    /// # Panics
    /// When it fails.
    pub async fn snapshot(&self) -> Value {
        self.ask(&["snapshot"]).await
    }

    /// Waits until what `part` makes of the status is `expected`; returns how long that took.
    ///
    /// # Panics
    /// When `budget` is over first, with the last one.
    pub async fn status_shows(
        &self,
        what: &str,
        budget: Duration,
        shows: impl Fn(&Value) -> bool,
    ) -> Duration {
        let ((), took) = eventually(&format!("status to show {what}"), budget, PAUSE, async || {
            let status = self.status().await;
            if shows(&status) { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        took
    }

    /// Waits until the inventory of a cluster is `expected`.
    ///
    /// # Panics
    /// When `budget` is over first.
    pub async fn inventory_is(&self, cluster: &str, expected: &str, budget: Duration) -> Duration {
        self.status_shows(&format!("{cluster} as {expected}"), budget, |status| {
            self::cluster(status, cluster)["inventory"] == expected
        })
        .await
    }
}

/// A cluster of a status; null when it has none of that name.
pub fn cluster<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["clusters"].as_array().into_iter().flatten();
    all.into_iter().find(|cluster| cluster["name"] == name).unwrap_or(&Value::Null)
}

/// The reasons that a status returns for `name` under `kind`: `held` or `refused`.
pub fn reasons(status: &Value, kind: &str, name: &str) -> Vec<String> {
    let all = status["zones"].as_array().into_iter().flatten();
    let all = all.flat_map(|zone| zone[kind].as_array().into_iter().flatten());
    all.filter(|one| one["name"] == name)
        .filter_map(|one| one["reason"].as_str().map(str::to_owned))
        .collect()
}

/// One HTTP request to the admin API.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(end);
    let head = String::from_utf8_lossy(&answer).into_owned();
    let in_pieces = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if in_pieces { joined(&body).ok_or(ErrorKind::UnexpectedEof)? } else { body };
    Ok(head + &String::from_utf8_lossy(&body))
}

/// A body of which nobody knew the length (RFC 9112 section 7.1); `None` when its last piece is missing.
fn joined(mut pieces: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = pieces.iter().position(|byte| *byte == b'\r')?;
        let size = usize::from_str_radix(std::str::from_utf8(&pieces[..line]).ok()?, 16).ok()?;
        let piece = pieces.get(line + 2..line + 2 + size)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(piece);
        pieces = pieces.get(line + 2 + size + 2..)?;
    }
}
