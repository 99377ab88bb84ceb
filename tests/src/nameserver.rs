//! Real name servers that take dynamic updates: BIND, Knot and PowerDNS, as Debian ships them.

mod site;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use self::site::{Site, installed};
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
    /// The part of the zone that it may update: this name and those below it; empty for all of it. On PowerDNS, which
    /// knows no such right, it is the database that refuses, and the answer SERVFAIL.
    pub below: &'static str,
}

impl Default for Rights {
    fn default() -> Self {
        Self { algorithm: "hmac-sha256", transfer: true, types: "A AAAA CNAME TXT", below: "" }
    }
}

/// A primary name server with one zone, which has an SOA, an NS and the address of `ns` in the zone.
#[derive(Debug)]
pub struct NameServer {
    process: Process,
    address: SocketAddr,
    zone: String,
    software: Software,
    rights: Rights,
    signed: bool,
    /// Where BIND takes the commands of `rndc(8)`.
    control: SocketAddr,
    /// The server whose secondary it is.
    primary: Option<SocketAddr>,
    folder: TempDir,
}

impl NameServer {
    /// Starts it; returns when it answers.
    ///
    /// # Panics
    /// When it is not installed, or does not come up.
    pub async fn start(software: Software, zone: &str, rights: Rights) -> Self {
        Self::start_as(software, zone, rights, false, None).await
    }

    /// A BIND that is a secondary of another server.
    ///
    /// # Panics
    /// As for [`start`](Self::start).
    pub async fn secondary_of(primary: &Self) -> Self {
        Self::start_as(Software::Bind, &primary.zone, primary.rights, false, Some(primary.address)).await
    }

    /// Runs `rndc(8)` with a command for BIND's zone, such as `freeze`.
    ///
    /// # Panics
    /// When it fails.
    pub fn rndc(&self, command: &str) {
        let (port, server) = (self.control.port().to_string(), self.control.ip().to_string());
        let config = self.site(self.rights).rndc_config();
        let mut rndc = Command::new(installed("rndc"));
        let output = rndc.args(["-c", &config, "-s", &server, "-p", &port, command, &self.zone]).output();
        let output = output.expect("rndc can be started");
        assert!(output.status.success(), "rndc {command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The same with a zone that the server signs (DNSSEC).
    ///
    /// # Panics
    /// As for [`start`](Self::start).
    pub async fn start_signed(software: Software, zone: &str) -> Self {
        let server = Self::start_as(software, zone, Rights::default(), true, None).await;
        eventually("the zone to be signed", START_BUDGET, Duration::from_millis(20), async || {
            let keys = dns::query(server.address, zone, "DNSKEY").await.map_err(|e| e.to_string())?;
            if keys.answers.is_empty() { Err(keys.to_string()) } else { Ok(()) }
        })
        .await;
        server
    }

    async fn start_as(
        software: Software,
        zone: &str,
        rights: Rights,
        signed: bool,
        primary: Option<SocketAddr>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (address, control) = (ports::free_address(), ports::free_address());
        let site = Site { folder: folder.path(), address, zone, rights, signed, control, primary };
        let (program, arguments) = match software {
            Software::Bind => site.bind(),
            Software::Knot => site.knot(),
            Software::PowerDns => site.power_dns(),
        };
        let log = folder.path().join("log");
        let process = Process::start(format!("{software:?}"), program, arguments, &[], log);
        let zone = zone.to_owned();
        let mut server = Self { process, address, zone, software, rights, signed, control, primary, folder };
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

    /// Lets the key update these record types only, as [`Rights::types`] has them.
    ///
    /// # Panics
    /// When the server does not take that over.
    pub async fn grant(&self, types: &'static str) {
        self.allow(Rights { types, ..self.rights }).await;
    }

    /// Returns the key these rights in place of those that it has.
    ///
    /// # Panics
    /// When the server does not take that over.
    pub async fn allow(&self, rights: Rights) {
        let site = self.site(rights);
        match self.software {
            Software::Bind => self.reload(site.bind_config(true)).await,
            Software::Knot => self.reload(site.knot_config(true)).await,
            Software::PowerDns => site.power_dns_rights(),
        }
    }

    /// Takes the zone from the server.
    ///
    /// # Panics
    /// When the server keeps it.
    pub async fn drop_zone(&self) {
        let site = self.site(self.rights);
        match self.software {
            Software::Bind => self.reload(site.bind_config(false)).await,
            Software::Knot => self.reload(site.knot_config(false)).await,
            Software::PowerDns => site.pdnsutil(&["delete-zone", &self.zone]),
        }
    }

    /// Runs `pdnsutil(1)` on the zone's database: what an operator of PowerDNS does by hand.
    ///
    /// # Panics
    /// When it fails.
    pub fn pdnsutil(&self, arguments: &[&str]) {
        self.site(self.rights).pdnsutil(arguments);
    }

    /// Changes PowerDNS's database behind its back.
    ///
    /// # Panics
    /// When that fails.
    pub fn sqlite(&self, script: &str) {
        self.site(self.rights).sqlite(script);
    }

    fn site(&self, rights: Rights) -> Site<'_> {
        Site {
            folder: self.folder.path(),
            address: self.address,
            zone: &self.zone,
            rights,
            signed: self.signed,
            control: self.control,
            primary: self.primary,
        }
    }

    /// Has a new configuration read; returns when the server says that it was.
    async fn reload(&self, (file, text): (&str, String)) {
        let said = || {
            let log = fs::read_to_string(self.process.log_path()).expect("its log can be read");
            log.matches("reloading configuration succeeded").count()
                + log.matches("configuration reloaded").count()
        };
        let before = said();
        fs::write(self.folder.path().join(file), text).expect("the temporary folder can be written to");
        self.process.hang_up();
        eventually(
            "the server to read its configuration",
            START_BUDGET,
            Duration::from_millis(10),
            async || {
                if said() > before { Ok(()) } else { Err(self.process.log_tail()) }
            },
        )
        .await;
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
        let key = format!("{}:{KEY}:{SECRET}", self.rights.algorithm);
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

    /// All records of the zone by a transfer, one in a line as `dig(1)` prints it.
    ///
    /// # Panics
    /// When `dig` fails.
    pub fn transfer(&self) -> String {
        let (port, server) = (self.address.port().to_string(), format!("@{}", self.address.ip()));
        let key = format!("{}:{KEY}:{SECRET}", self.rights.algorithm);
        let mut dig = Command::new(installed("dig"));
        let output =
            dig.args([&server, "-p", &port, "-y", &key, &self.zone, "AXFR", "+onesoa", "+noall", "+answer"]);
        let output = output.output().expect("dig can be started");
        assert!(output.status.success(), "dig: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("dig prints text")
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
