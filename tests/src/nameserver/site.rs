//! Configurations of the name servers.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{KEY, Rights, SECRET};

/// The path of an installed program.
pub(super) fn installed(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} in any of {places:?}: run tests/setup and test again"))
}

/// What a server is made from.
pub(super) struct Site<'a> {
    pub(super) folder: &'a Path,
    pub(super) address: SocketAddr,
    pub(super) zone: &'a str,
    pub(super) rights: Rights,
    pub(super) signed: bool,
    pub(super) control: SocketAddr,
    pub(super) primary: Option<SocketAddr>,
}

pub(super) type Started = (PathBuf, Vec<String>);

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

    pub(super) fn bind(&self) -> Started {
        self.zone_file();
        let (name, text) = self.bind_config(true);
        let config = self.write(name, &text);
        (installed("named"), ["-g", "-n", "1", "-c", &config].map(str::to_owned).into())
    }

    pub(super) fn bind_config(&self, with_zone: bool) -> (&'static str, String) {
        let (zone, folder, rights) = (self.zone, self.folder.display(), self.rights);
        let policy = match rights.types {
            // A signed zone has to be one that somebody may update.
            "" => "allow-update { 192.0.2.1; };".to_owned(),
            types if rights.below.is_empty() => format!("update-policy {{ grant {KEY}. zonesub {types}; }};"),
            types => format!("update-policy {{ grant {KEY}. subdomain {}. {types}; }};", rights.below),
        };
        let signing = if self.signed { "dnssec-policy signed;" } else { "" };
        let transfer = if rights.transfer { format!("key {KEY};") } else { "none;".to_owned() };
        let role = match self.primary {
            None => format!("type primary; file \"zone\"; {policy} {signing}"),
            Some(primary) => format!(
                "type secondary; file \"copy\"; primaries {{ {} port {} key {KEY}; }};",
                primary.ip(),
                primary.port()
            ),
        };
        let zone = format!("zone \"{zone}\" {{ {role} allow-transfer {{ {transfer} }}; }};\n");
        let text = format!(
            "options {{ directory \"{folder}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; }};\n\
             controls {{ inet {} port {} allow {{ any; }} keys {{ \"{KEY}.\"; }}; }};\n\
             dnssec-policy signed {{ keys {{ csk lifetime unlimited algorithm ecdsa256; }}; max-zone-ttl 2147483647; }};\n\
             key \"{KEY}.\" {{ algorithm {}; secret \"{SECRET}\"; }};\n{}",
            self.address.port(),
            self.address.ip(),
            self.control.ip(),
            self.control.port(),
            rights.algorithm,
            if with_zone { &zone } else { "" },
        );
        ("named.conf", text)
    }

    /// The path of a configuration for `rndc(8)`, which has the same key.
    pub(super) fn rndc_config(&self) -> String {
        let text = format!(
            "key \"{KEY}.\" {{ algorithm {}; secret \"{SECRET}\"; }};\noptions {{ default-key \"{KEY}.\"; }};\n",
            self.rights.algorithm
        );
        self.write("rndc.conf", &text)
    }

    pub(super) fn knot(&self) -> Started {
        self.zone_file();
        fs::create_dir(self.folder.join("db")).expect("the temporary folder can be written to");
        let (name, text) = self.knot_config(true);
        let config = self.write(name, &text);
        (installed("knotd"), ["-c", &config].map(str::to_owned).into())
    }

    pub(super) fn knot_config(&self, with_zone: bool) -> (&'static str, String) {
        let (folder, rights) = (self.folder.display(), self.rights);
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
            if !rights.below.is_empty() {
                let below = rights.below;
                acl.push_str(&format!(
                    "    update-owner: name\n    update-owner-match: sub-or-equal\n    update-owner-name: [{below}.]\n"
                ));
            }
            names.push("update");
        }
        let acl = if acl.is_empty() { acl } else { format!("acl:\n{acl}") };
        let zone = format!(
            "zone:\n  - domain: {}\n    storage: \"{folder}\"\n    file: zone\n    acl: [{}]\n    \
             zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    journal-content: all\n",
            self.zone,
            names.join(", "),
        );
        let signing = if self.signed { "    dnssec-signing: on\n" } else { "" };
        let text = format!(
            "server:\n  rundir: \"{folder}\"\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             control:\n  listen: \"{folder}/knot.sock\"\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n  storage: \"{folder}/db\"\n\
             key:\n  - id: {KEY}.\n    algorithm: {}\n    secret: {SECRET}\n\
             {acl}{}{}",
            self.address.ip(),
            self.address.port(),
            rights.algorithm,
            if with_zone { &zone } else { "" },
            if with_zone { signing } else { "" },
        );
        ("knot.conf", text)
    }

    pub(super) fn power_dns(&self) -> Started {
        let (folder, zone, rights) = (self.folder.display(), self.zone, self.rights);
        let text = format!(
            "launch=gsqlite3\ngsqlite3-database={folder}/db\ngsqlite3-dnssec=yes\ngsqlite3-pragma-synchronous=0\nsocket-dir={folder}\n\
             local-address={}\nlocal-port={}\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\nallow-axfr-ips=\n\
             daemon=no\nguardian=no\ndisable-syslog=yes\nwrite-pid=no\nzone-cache-refresh-interval=0\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nversion-string=anonymous\nsecurity-poll-suffix=\n",
            self.address.ip(),
            self.address.port(),
        );
        self.write("pdns.conf", &text);
        self.database();
        self.pdnsutil(&["create-zone", zone, &format!("ns.{zone}")]);
        self.pdnsutil(&["add-record", zone, "ns", "A", "60", "192.0.2.53"]);
        self.pdnsutil(&["import-tsig-key", KEY, rights.algorithm, SECRET]);
        self.power_dns_rights();
        if self.signed {
            self.pdnsutil(&["secure-zone", zone]);
        }
        (installed("pdns_server"), vec![format!("--config-dir={folder}")])
    }

    pub(super) fn power_dns_rights(&self) {
        let to = |has: bool| if has { KEY } else { "nobody" };
        self.pdnsutil(&["set-meta", self.zone, "TSIG-ALLOW-AXFR", to(self.rights.transfer)]);
        // Without this, every key that it knows may update.
        self.pdnsutil(&["set-meta", self.zone, "TSIG-ALLOW-DNSUPDATE", to(!self.rights.types.is_empty())]);
        let mut script = String::from(".timeout 5000\n");
        for (verb, row) in [("insert", "new"), ("delete", "old")] {
            script.push_str(&format!("drop trigger if exists refused_{verb};\n"));
            let below = self.rights.below;
            if !below.is_empty() {
                script.push_str(&format!(
                    "create trigger refused_{verb} before {verb} on records when {row}.type <> 'SOA' and {row}.name not like \
                     '%.{below}' begin select raise(abort, 'refused'); end;\n"
                ));
            }
        }
        self.sqlite(&script);
    }

    pub(super) fn pdnsutil(&self, arguments: &[&str]) {
        let config_dir = format!("--config-dir={}", self.folder.display());
        let output = Command::new(installed("pdnsutil")).arg(&config_dir).args(arguments).output();
        let output = output.expect("pdnsutil can be started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "pdnsutil {arguments:?}: {said}");
    }

    /// The tables of PowerDNS's SQLite backend, from the file that its package brings.
    fn database(&self) {
        let path = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let schema = fs::read_to_string(path)
            .unwrap_or_else(|e| panic!("{path}: {e}: run tests/setup and test again"));
        self.sqlite(&schema);
    }

    pub(super) fn sqlite(&self, script: &str) {
        let mut command = Command::new(installed("sqlite3"));
        let mut child =
            command.arg(self.folder.join("db")).stdin(Stdio::piped()).spawn().expect("sqlite3 starts");
        child.stdin.take().expect("it has a stdin").write_all(script.as_bytes()).expect("sqlite3 reads");
        assert!(child.wait().expect("sqlite3 ends").success());
    }
}
