//! Real name servers that take dynamic updates: BIND, Knot and PowerDNS, as Debian ships them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::etcd::START_BUDGET;
use crate::process::Process;
use crate::{dns, eventually, ports};

/// Name of the TSIG key that may transfer and update the zone.
pub const KEY: &str = "fleet-key";
/// Its secret, in base64.
pub const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc=";

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// BIND 9
    Bind,
    /// Knot DNS
    Knot,
    /// PowerDNS with its SQLite backend
    PowerDns,
}

/// What the key is and what it may do.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    /// `hmac-sha256` or `hmac-sha512`
    pub algorithm: &'static str,
    /// Whether it may transfer the zone.
    pub transfer: bool,
    /// Record types that it may update, separated by blanks; empty for none. PowerDNS knows all or none.
    pub types: &'static str,
}

impl Default for Rights {
    fn default() -> Self {
        Self { algorithm: "hmac-sha256", transfer: true, types: "A AAAA CNAME TXT" }
    }
}

/// A primary name server with one zone, which has an SOA, an NS and the address of `ns` in the zone.
#[derive(Debug)]
pub struct NameServer {
    process: Process,
    address: SocketAddr,
    zone: String,
    algorithm: &'static str,
    _folder: TempDir,
}

impl NameServer {
    /// Starts it; returns when it answers.
    ///
    /// # Panics
    /// When it is not installed, or does not come up.
    pub async fn start(software: Software, zone: &str, rights: Rights) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = ports::free_address();
        let site = Site { folder: folder.path(), address, zone, rights };
        let (program, arguments) = match software {
            Software::Bind => site.bind(),
            Software::Knot => site.knot(),
            Software::PowerDns => site.power_dns(),
        };
        let log = folder.path().join("log");
        let process = Process::start(format!("{software:?}"), program, arguments, &[], log);
        let (zone, algorithm) = (zone.to_owned(), rights.algorithm);
        let mut server = Self { process, address, zone, algorithm, _folder: folder };
        server.ready().await;
        server
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, to stop or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again, with its zone; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.process.restart();
        self.ready().await;
    }

    /// Runs lines of `nsupdate(1)`, signed with the key: what somebody else does by hand.
    ///
    /// # Panics
    /// When it fails.
    pub fn nsupdate(&self, lines: &[impl AsRef<str>]) {
        let mut script =
            format!("server {} {}\nzone {}\n", self.address.ip(), self.address.port(), self.zone);
        for line in lines {
            script.push_str(line.as_ref());
            script.push('\n');
        }
        script.push_str("send\n");
        let key = format!("{}:{KEY}:{SECRET}", self.algorithm);
        let mut command = Command::new(installed("nsupdate"));
        command.args(["-v", "-y", &key]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nsupdate can be started");
        let mut input = child.stdin.take().expect("it has a stdin");
        input.write_all(script.as_bytes()).expect("nsupdate reads");
        drop(input);
        let output = child.wait_with_output().expect("nsupdate ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nsupdate: {said}\n{script}");
    }

    /// The TXT records of a name, as everybody can ask for them: strings by record.
    ///
    /// # Panics
    /// When `dig` fails.
    pub fn texts(&self, name: &str) -> BTreeSet<Vec<String>> {
        let port = self.address.port().to_string();
        let server = format!("@{}", self.address.ip());
        let output = Command::new(installed("dig"))
            .args([&server, "-p", &port, "+tcp", "+short", name, "TXT"])
            .output();
        let output = output.expect("dig can be started");
        assert!(output.status.success(), "dig: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).expect("dig prints text");
        let strings = |line: &str| {
            let inner = line.trim_matches('"').split("\" \"");
            inner.map(|string| string.replace('\\', "")).collect()
        };
        lines.lines().map(strings).collect()
    }

    async fn ready(&mut self) {
        let what = format!("{} to answer at {}", self.process.name(), self.address);
        eventually(&what, START_BUDGET, Duration::from_millis(20), async || {
            self.process.assert_running();
            let answer = dns::query(self.address, &self.zone, "SOA").await.map_err(|e| e.to_string())?;
            if answer.values("SOA").is_empty() { Err(answer.to_string()) } else { Ok(()) }
        })
        .await;
    }
}

/// The path of an installed program.
fn installed(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} in any of {places:?}: run tests/setup and test again"))
}

/// What a server is made from.
struct Site<'a> {
    folder: &'a Path,
    address: SocketAddr,
    zone: &'a str,
    rights: Rights,
}

type Started = (PathBuf, Vec<String>);

impl Site<'_> {
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("the temporary folder can be written to");
        path.display().to_string()
    }

    fn zone_file(&self) {
        let text = format!(
            "$ORIGIN {}.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 604800 30\n@ IN NS ns\nns IN A 192.0.2.53\n",
            self.zone
        );
        self.write("zone", &text);
    }

    fn bind(&self) -> Started {
        self.zone_file();
        let (zone, folder, rights) = (self.zone, self.folder.display(), self.rights);
        let policy = match rights.types {
            "" => String::new(),
            types => format!("update-policy {{ grant {KEY}. zonesub {types}; }};"),
        };
        let transfer = if rights.transfer { format!("key {KEY};") } else { "none;".to_owned() };
        let text = format!(
            "options {{ directory \"{folder}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; }};\n\
             controls {{ }};\n\
             key \"{KEY}.\" {{ algorithm {}; secret \"{SECRET}\"; }};\n\
             zone \"{zone}\" {{ type primary; file \"zone\"; {policy} allow-transfer {{ {transfer} }}; }};\n",
            self.address.port(),
            self.address.ip(),
            rights.algorithm,
        );
        let config = self.write("named.conf", &text);
        (installed("named"), ["-g", "-n", "1", "-c", &config].map(str::to_owned).into())
    }

    fn knot(&self) -> Started {
        self.zone_file();
        let (folder, rights) = (self.folder.display(), self.rights);
        fs::create_dir(self.folder.join("db")).expect("the temporary folder can be written to");
        let mut acl = String::new();
        let mut names = Vec::new();
        if rights.transfer {
            acl.push_str(&format!("  - id: transfer\n    key: {KEY}.\n    action: transfer\n"));
            names.push("transfer");
        }
        if !rights.types.is_empty() {
            let types = rights.types.replace(' ', ", ");
            acl.push_str(&format!(
                "  - id: update\n    key: {KEY}.\n    action: update\n    update-type: [{types}]\n"
            ));
            names.push("update");
        }
        let acl = if acl.is_empty() { acl } else { format!("acl:\n{acl}") };
        let text = format!(
            "server:\n  rundir: \"{folder}\"\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             control:\n  listen: \"{folder}/knot.sock\"\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n  storage: \"{folder}/db\"\n\
             key:\n  - id: {KEY}.\n    algorithm: {}\n    secret: {SECRET}\n\
             {acl}zone:\n  - domain: {}\n    storage: \"{folder}\"\n    file: zone\n    acl: [{}]\n    \
             zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    journal-content: all\n",
            self.address.ip(),
            self.address.port(),
            rights.algorithm,
            self.zone,
            names.join(", "),
        );
        let config = self.write("knot.conf", &text);
        (installed("knotd"), ["-c", &config].map(str::to_owned).into())
    }

    fn power_dns(&self) -> Started {
        let (folder, zone, rights) = (self.folder.display(), self.zone, self.rights);
        let text = format!(
            "launch=gsqlite3\ngsqlite3-database={folder}/db\ngsqlite3-pragma-synchronous=0\nsocket-dir={folder}\n\
             local-address={}\nlocal-port={}\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\nallow-axfr-ips=\n\
             daemon=no\nguardian=no\ndisable-syslog=yes\nwrite-pid=no\nzone-cache-refresh-interval=0\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nversion-string=anonymous\nsecurity-poll-suffix=\n",
            self.address.ip(),
            self.address.port(),
        );
        let config_dir = format!("--config-dir={folder}");
        self.write("pdns.conf", &text);
        self.database();
        let pdnsutil = |arguments: &[&str]| {
            let output = Command::new(installed("pdnsutil")).arg(&config_dir).args(arguments).output();
            let output = output.expect("pdnsutil can be started");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "pdnsutil {arguments:?}: {said}");
        };
        pdnsutil(&["create-zone", zone, &format!("ns.{zone}")]);
        pdnsutil(&["add-record", zone, "ns", "A", "60", "192.0.2.53"]);
        pdnsutil(&["import-tsig-key", KEY, rights.algorithm, SECRET]);
        if rights.transfer {
            pdnsutil(&["set-meta", zone, "TSIG-ALLOW-AXFR", KEY]);
        }
        // Without this, every key that it knows may update.
        let updater = if rights.types.is_empty() { "nobody" } else { KEY };
        pdnsutil(&["set-meta", zone, "TSIG-ALLOW-DNSUPDATE", updater]);
        (installed("pdns_server"), vec![config_dir])
    }

    /// The tables of PowerDNS's SQLite backend, from the file that its package brings.
    fn database(&self) {
        let path = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let schema = fs::read_to_string(path)
            .unwrap_or_else(|e| panic!("{path}: {e}: run tests/setup and test again"));
        let mut command = Command::new(installed("sqlite3"));
        let mut child =
            command.arg(self.folder.join("db")).stdin(Stdio::piped()).spawn().expect("sqlite3 starts");
        child.stdin.take().expect("it has a stdin").write_all(schema.as_bytes()).expect("sqlite3 reads");
        assert!(child.wait().expect("sqlite3 ends").success());
    }
}
