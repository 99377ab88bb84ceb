//! The programs that are measured, and how each is started.

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetdns_tests::coredns::CoreDns;
/// The build of fleetdns, which stands beside this program.
pub(crate) use fleetdns_tests::daemon::binary as fleetdns;
use fleetdns_tests::kube::Member;
use fleetdns_tests::ports;
use fleetdns_tests::process::Process;
use fleetdns_tests::servers::Server;

use crate::fleet::NAMESPACE;

/// The zone that all of them write, each in a CoreDNS of its own.
pub(crate) const ZONE: &str = "bench.example.org";
/// The fleet's name.
pub(crate) const FLEET: &str = "bench";

/// The global name of a Service.
pub(crate) fn global(service: &str) -> String {
    format!("{service}.{NAMESPACE}.{FLEET}.svc.{ZONE}")
}

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
    vec![
        fleetdns_version(),
        version("external-dns", &Server::ExternalDns.path(), "--version"),
        version("kube-apiserver", &Server::KubeApiserver.path(), "--version"),
        version("etcd", &Server::Etcd.path(), "--version"),
        version("CoreDNS", &Server::CoreDns.path(), "-version"),
    ]
}

/// The same of fleetdns alone.
pub(crate) fn fleetdns_version() -> String {
    version("fleetdns", &fleetdns(), "--version")
}

fn version(name: &str, program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run {}: {e}", program.display()));
    // external-dns says it on stderr.
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let line = text.lines().find(|line| !line.is_empty()).unwrap_or("?").trim();
    // Most say their name themselves.
    let version = line.rsplit([' ', '-']).next().unwrap_or(line);
    format!("{name} {version}")
}
