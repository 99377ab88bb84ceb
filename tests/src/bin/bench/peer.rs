//! The programs that are measured, and how each is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::kube::Member;
use fleetdns_tests::ports;
use fleetdns_tests::process::Process;
use fleetdns_tests::servers::Server;

/// The zone that all of them write, each in a CoreDNS of its own.
pub(crate) const ZONE: &str = "bench.example.org";
/// The fleet's name.
pub(crate) const FLEET: &str = "bench";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// fleetdns with its default settings.
    Fleetdns,
    /// external-dns as its documentation says to run it for fast updates.
    ExternalDns,
    /// external-dns with a full pass each second, its fastest setting.
    ExternalDnsFastest,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Fleetdns, Self::ExternalDns, Self::ExternalDnsFastest];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fleetdns => "fleetdns",
            Self::ExternalDns => "external-dns --events",
            Self::ExternalDnsFastest => "external-dns at its fastest",
        }
    }

    /// How long it may take for one change before it counts as broken.
    pub(crate) fn patience_seconds(self) -> u64 {
        match self {
            Self::Fleetdns => 30,
            Self::ExternalDns | Self::ExternalDnsFastest => 90,
        }
    }

    /// Starts it with an empty zone; its files and its log are in `folder`.
    pub(crate) fn start(self, folder: &Path, member: &Member, coredns: &CoreDns) -> Process {
        let log = folder.join(format!("{}.log", self.name().replace(' ', "-")));
        let (program, arguments) = match self {
            Self::Fleetdns => (fleetdns(), fleetdns_arguments(folder, member, coredns)),
            Self::ExternalDns => (Server::ExternalDns.path(), external_dns_arguments(member, &["--events"])),
            Self::ExternalDnsFastest => {
                let more = ["--events", "--interval=1s", "--min-event-sync-interval=100ms"];
                (Server::ExternalDns.path(), external_dns_arguments(member, &more))
            }
        };
        Process::start(self.name(), program, arguments, &[("ETCD_URLS", &coredns.etcd_endpoint())], log)
    }
}

/// The release build, which stands beside this program.
pub(crate) fn fleetdns() -> PathBuf {
    let this = std::env::current_exe().expect("the path of this program");
    let path = this.with_file_name("fleetdns");
    assert!(path.is_file(), "no {}: run tests/bench, which builds it", path.display());
    path
}

fn fleetdns_arguments(folder: &Path, member: &Member, coredns: &CoreDns) -> Vec<String> {
    let config = folder.join("dns.conf");
    let text = format!(
        "[fleet]\nname = {FLEET}\naddress-allow = 127.0.0.0/8\n\n\
         [zone \"{ZONE}\"]\nprovider = coredns\netcd-endpoints = {}\n\n\
         [cluster \"{}\"]\nkubeconfig = {}\ncontext = {}\nregion = r1\n\n\
         [limits]\nnamespace-hostnames = 1000000\n\n[admin]\nlisten = {}\n",
        coredns.etcd_endpoint(),
        member.name(),
        member.kubeconfig().display(),
        member.name(),
        ports::free_address(),
    );
    fs::write(&config, text).expect("the folder can be written to");
    vec!["run".to_owned(), "--config".to_owned(), config.display().to_string()]
}

fn external_dns_arguments(member: &Member, more: &[&str]) -> Vec<String> {
    let mut arguments = vec![
        format!("--kubeconfig={}", member.kubeconfig().display()),
        format!("--domain-filter={ZONE}"),
        format!("--metrics-address={}", ports::free_address()),
    ];
    let fixed = [
        "--source=service",
        "--service-type-filter=LoadBalancer",
        "--provider=coredns",
        "--registry=txt",
        "--txt-owner-id=bench",
        "--policy=sync",
    ];
    arguments.extend(fixed.iter().chain(more).map(|&argument| argument.to_owned()));
    arguments
}

/// What the programs say of their versions, one line each.
pub(crate) fn versions() -> Vec<String> {
    let first_line = |name: &str, program: PathBuf, argument: &str| {
        let output = Command::new(&program).arg(argument).output();
        let output = output.unwrap_or_else(|e| panic!("cannot run {}: {e}", program.display()));
        // external-dns says it on stderr.
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = text.lines().find(|line| !line.is_empty()).unwrap_or("?").trim();
        // Most say their name themselves.
        let version = line.rsplit([' ', '-']).next().unwrap_or(line);
        format!("{name} {version}")
    };
    vec![
        first_line("fleetdns", fleetdns(), "--version"),
        first_line("external-dns", Server::ExternalDns.path(), "--version"),
        first_line("kube-apiserver", Server::KubeApiserver.path(), "--version"),
        first_line("etcd", Server::Etcd.path(), "--version"),
        first_line("CoreDNS", Server::CoreDns.path(), "-version"),
    ]
}
