//! What the tests against real servers share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub use fleetdns_fakes::plans;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use fleetdns_core::keys::Keys;
use fleetdns_core::{ApprovedPlan, DnsName, Label, Listing, Outcome, Provider};
use plans::{Desired, approved, difference, name, owner};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server binary that `tests/setup` builds, in the target folder that this test was built in.
pub fn server(variable: &str, file: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let mut built = this.ancestors().map(|folder| folder.join("servers").join(file));
    let path = std::env::var_os(variable).map(PathBuf::from).or_else(|| built.find(|path| path.is_file()));
    path.unwrap_or_else(|| panic!("no {file} in the folder `servers` of the target folder: run tests/setup"))
}

/// A port that was free a moment ago, below those that the kernel returns to outgoing connections.
pub fn free_port() -> u16 {
    let start = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    (start..32_000).chain(10_000..start).find(|port| take(*port)).expect("a free port")
}

fn take(port: u16) -> bool {
    static TAKEN: std::sync::Mutex<Vec<u16>> = std::sync::Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap();
    let free = !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if free {
        taken.push(port);
    }
    free
}

/// A server that ends with its guard.
pub struct Process(Child);

impl Process {
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    /// SIGSTOP: it holds its sockets and answers nothing. Returns once the kernel says so (proc(5)).
    pub fn stop(&self) {
        kill_process(Pid::from_child(&self.0), Signal::STOP).unwrap();
        let stat = format!("/proc/{}/stat", self.0.id());
        while !std::fs::read_to_string(&stat).unwrap().rsplit_once(") ").unwrap().1.starts_with('T') {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn cont(&self) {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Certificates of an authority, a server and a client.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        for authority in ["ca", "other-ca"] {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, authority);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let key = KeyPair::generate().unwrap();
            write(&format!("{authority}.crt"), params.self_signed(&key).unwrap().pem());
            let issuer = Issuer::new(params, key);
            for leaf in ["server", "client"] {
                let mut params =
                    CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
                params.distinguished_name.push(DnType::CommonName, leaf);
                let key = KeyPair::generate().unwrap();
                let file = if authority == "ca" { leaf.to_owned() } else { format!("other-{leaf}") };
                write(&format!("{file}.crt"), params.signed_by(&key, &issuer).unwrap().pem());
                write(&format!("{file}.key"), key.serialize_pem());
            }
        }
        Self { folder }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// An etcd with its data.
pub struct Etcd {
    process: Option<Process>,
    pub endpoint: String,
    pub arguments: Vec<String>,
    pub certificates: Option<Certificates>,
    folder: TempDir,
}

impl Etcd {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with(certificates: Option<Certificates>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut arguments = vec![
            "--name=test".to_owned(),
            format!("--data-dir={}", folder.path().join("data").display()),
            format!("--listen-client-urls={endpoint}"),
            format!("--advertise-client-urls={endpoint}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=test={peer}"),
            "--unsafe-no-fsync=true".to_owned(),
        ];
        if let Some(files) = &certificates {
            arguments.extend([
                format!("--cert-file={}", files.file("server.crt")),
                format!("--key-file={}", files.file("server.key")),
                format!("--trusted-ca-file={}", files.file("ca.crt")),
                "--client-cert-auth=true".to_owned(),
            ]);
        }
        let mut etcd = Self { process: None, endpoint, arguments, certificates, folder };
        etcd.restart().await;
        etcd
    }

    /// Ends it and starts it again with its data; returns when it serves.
    pub async fn restart(&mut self) {
        self.process = None;
        let log = self.folder.path().join("log");
        self.process = Some(Process::start(&server("FLEETDNS_ETCD", "etcd"), &self.arguments, &log));
        let start = Instant::now();
        loop {
            let status = match self.try_client().await {
                Ok(mut client) => client.get("health", None).await.map(drop),
                Err(error) => Err(error),
            };
            match status {
                Ok(()) => return,
                // With authentication on it serves too.
                Err(error) if error.to_string().contains("user name is empty") => return,
                Err(error) if start.elapsed() > Duration::from_secs(30) => {
                    panic!("etcd does not serve: {error}\n{}", std::fs::read_to_string(log).unwrap())
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    async fn try_client(&self) -> Result<Client, etcd_client::Error> {
        let mut options = ConnectOptions::new().with_timeout(Duration::from_secs(2));
        if let Some(files) = &self.certificates {
            let read = |name: &str| std::fs::read(files.file(name)).unwrap();
            options = options.with_tls(
                TlsOptions::new()
                    .ca_certificate(Certificate::from_pem(read("ca.crt")))
                    .identity(Identity::from_pem(read("client.crt"), read("client.key"))),
            );
        }
        Client::connect([&self.endpoint], Some(options)).await
    }

    /// Somebody else who edits.
    pub async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    /// Every key and value.
    pub async fn dump(&self) -> Vec<(String, String)> {
        let options = etcd_client::GetOptions::new().with_prefix();
        let answer =
            self.client().await.kv_client().max_decoding_message_size(1 << 28).get("/", Some(options)).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer.unwrap().kvs().iter().map(|kv| (text(kv.key()), text(kv.value()))).collect()
    }

    pub fn provider(&self) -> Box<dyn Provider> {
        provider(&[("etcd-endpoints", &self.endpoint)])
    }
}

pub fn zone() -> DnsName {
    name("example.com")
}

pub fn provider(keys: &[(&str, &str)]) -> Box<dyn Provider> {
    provider_of(&owner(), keys)
}

pub fn provider_of(owner: &Label, keys: &[(&str, &str)]) -> Box<dyn Provider> {
    let keys = Keys::new(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    fleetdns_coredns::connect(&zone(), owner, &keys).unwrap()
}

/// The plan from what is listed to what is wanted.
pub async fn plan(provider: &dyn Provider, desired: &Desired) -> (Listing, ApprovedPlan) {
    let listing = provider.list().await.unwrap();
    let plan = approved(difference(&zone(), &owner(), &listing.observed, desired));
    (listing, plan)
}

/// Makes it so, with nothing but success, and looks that it is so.
pub async fn make(provider: &dyn Provider, desired: &Desired) {
    let (mut listing, plan_of) = plan(provider, desired).await;
    for (name, outcome) in provider.apply(&plan_of).await.names {
        match outcome {
            Outcome::Done(sets) => listing.observed.replace(name, sets),
            other => panic!("{name}: {other:?}"),
        }
    }
    let (now, again) = plan(provider, desired).await;
    assert!(again.plan().is_empty(), "{}", again.plan());
    for (name, sets) in now.observed.iter() {
        let known = listing.observed.at(name);
        assert!(
            sets.len() == known.len() && sets.iter().all(|set| known.contains(set)),
            "{name}: {known:?} {sets:?}"
        );
    }
    assert_eq!(now.observed.iter().count(), listing.observed.iter().count());
}
