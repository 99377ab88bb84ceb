//! The release build as a process of its own, with one zone, probes off, and what it and its commands take.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetdns_tests::ports;
use fleetdns_tests::process::Process;

use super::Size;
use super::backend::Backend;
use crate::peer;

pub(super) struct Daemon {
    pub(super) process: Process,
    admin: SocketAddr,
    socket: PathBuf,
}

impl Daemon {
    /// `more`: sections of `dns.conf` that are needed besides.
    pub(super) fn start(
        folder: &Path,
        size: Size,
        (api, backend): (SocketAddr, &Backend),
        more: &str,
    ) -> Self {
        let admin = ports::free_address();
        fs::create_dir_all(folder).expect("the folder can be made");
        let (config, kubeconfig) = (folder.join("dns.conf"), folder.join("kubeconfig"));
        let socket = folder.join("socket");
        fs::write(&kubeconfig, contexts(size, api)).expect("the folder can be written to");
        let mut text = format!(
            "[fleet]\nname = scale\n\n{more}{}\n[probe]\nprotocol = none\n\n[admin]\nlisten = {admin}\nsocket = {}\n\n",
            backend.section(),
            socket.display()
        );
        for member in 0..size.members {
            let path = kubeconfig.display();
            let _ = writeln!(
                text,
                "[cluster \"m{member}\"]\nkubeconfig = {path}\ncontext = m{member}\nregion = r{member}\n"
            );
        }
        fs::write(&config, text).expect("the folder can be written to");
        let arguments = ["run".to_owned(), "--config".to_owned(), config.display().to_string()];
        let log = folder.join("fleetdns.log");
        Self { process: Process::start("fleetdns", peer::fleetdns(), arguments, &[], log), admin, socket }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid().expect("it was not killed")
    }

    /// How long a command of the client takes, its process included.
    pub(super) fn command(&self, arguments: &[&str]) -> Duration {
        let admin = format!("http://{}", self.admin);
        run(Command::new(peer::fleetdns()).args(arguments).args(["--admin", &admin]))
    }

    /// The same of one that changes something.
    pub(super) fn order(&self, arguments: &[&str]) -> Duration {
        run(Command::new(peer::fleetdns()).args(arguments).arg("--socket").arg(&self.socket))
    }

    /// How long the first page of the status page takes.
    pub(super) fn page(&self) -> Duration {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(self.admin).expect("the admin API listens");
        write!(stream, "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)
            .expect("the admin API reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the admin API answers");
        let took = begin.elapsed();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        took
    }
}

fn run(command: &mut Command) -> Duration {
    let begin = Instant::now();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let (took, output) = (begin.elapsed(), output.expect("the program can be started"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn contexts(size: Size, api: SocketAddr) -> String {
    let each = |form: &dyn Fn(usize) -> String| (0..size.members).map(form).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n{}contexts:\n{}users:\n- name: none\n  user: {{}}\n",
        each(&|m| format!("- name: m{m}\n  cluster:\n    server: http://{api}/{m}\n")),
        each(&|m| format!("- name: m{m}\n  context:\n    cluster: m{m}\n    user: none\n")),
    )
}
