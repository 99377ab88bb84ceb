//! A server process and its guard.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::{fmt, io};

use rustix::process::{Pid, Signal, kill_process};

/// Lines of log shown when something fails.
const TAIL: usize = 20;

/// A program started by a test. Dropping it kills the program.
///
/// Its output goes to [`log_path`](Self::log_path); if the test is panicking when this is dropped, the last lines of
/// it go to stderr.
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
    stopped: bool,
}

impl Process {
    /// Starts `program`; `log` is made if need be and appended to.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        environment: &[(&str, &str)],
        log: impl Into<PathBuf>,
    ) -> Self {
        let mut process = Self {
            name: name.into(),
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            log: log.into(),
            child: None,
            stopped: false,
        };
        process.spawn();
        process
    }

    fn spawn(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.unwrap_or_else(|e| panic!("cannot write {}: {e}", self.log.display()));
        let spawned = spawn_bound(&self.program, |command| {
            command
                .args(&self.arguments)
                .envs(self.environment.iter().map(|(k, v)| (k, v)))
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file handle can be cloned"))
                .stderr(log);
        });
        self.stopped = false;
        self.child = Some(spawned.unwrap_or_else(|e| panic!("cannot start {}: {e}", self.program.display())));
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, unless it was killed.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The file that has its stdout and stderr.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Its exit status, when it has ended by itself.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("our own child can be waited for"))
    }

    /// Fails the test when it has ended by itself.
    ///
    /// # Panics
    /// Then, with the last lines of its log.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended ({status}); its log ends with:\n{}", self.name, self.log_tail());
        }
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} was killed", self.name));
        let sent = kill_process(Pid::from_child(child), signal);
        sent.unwrap_or_else(|e| panic!("cannot signal {}: {e}", self.name));
    }

    /// SIGSTOP: it holds its sockets and answers nothing, until [`cont`](Self::cont).
    ///
    /// Returns once the kernel says that it is stopped.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
        self.stopped = true;
        let pid = self.pid().expect("signal() found it");
        while !is_stopped(pid).unwrap_or(true) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// SIGCONT.
    pub fn cont(&mut self) {
        self.signal(Signal::CONT);
        self.stopped = false;
    }

    /// Whether [`stop`](Self::stop) was the last word.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// SIGHUP: most servers read their configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM, as a service manager does; its end is seen by [`exited`](Self::exited).
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL; returns when it is gone. Does nothing when it is gone already.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only for a child already waited for, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills it if it runs, and starts the same command again, with the same log.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = match self.exited() {
                Some(status) => format!("ended by itself, {}", describe(status)),
                None if self.child.is_none() => "was killed by the test".to_owned(),
                None if self.stopped => "was stopped".to_owned(),
                None => "was running".to_owned(),
            };
            eprintln!("--- {} {state}; its log ends with:\n{}", self.name, self.log_tail());
        }
        self.kill();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {:?}, log {})", self.name, self.pid(), self.log.display())
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Whether process `pid` is in state T, as proc(5) tells it.
fn is_stopped(pid: u32) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // PID (NAME) STATE ...; the name may have any character in it.
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts all children. `setpriv --pdeathsig` has the kernel kill a child when the *thread* that
/// started it ends, so it must be one that lives as long as the process.
static STARTER: LazyLock<Mutex<Sender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = channel::<Job>();
    std::thread::Builder::new()
        .name("starter".into())
        .spawn(move || jobs.into_iter().for_each(|job| job()))
        .expect("a thread can be started");
    Mutex::new(sender)
});

/// Starts `program` so that it cannot outlive this process.
pub(crate) fn spawn_bound(program: &Path, prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    // setpriv would say of a missing program that setpriv failed.
    File::open(program)?;
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    prepare(&mut command);
    let (answer, answered) = channel();
    let job: Job = Box::new(move || {
        let _ = answer.send(command.spawn());
    });
    STARTER.lock().expect("no thread panics with it").send(job).expect("the starter never ends");
    answered.recv().expect("the starter answers each job")
}

fn setpriv() -> Option<&'static Path> {
    let path = Path::new("/usr/bin/setpriv");
    path.is_file().then_some(path)
}
