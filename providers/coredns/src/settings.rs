//! Keys of the config, checked.

use std::path::PathBuf;

use fleetdns_core::DnsName;
use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use secrecy::SecretString;

const fn key(name: &'static str, help: &'static str) -> KeySpec {
    KeySpec { name, secret: false, help }
}

/// Keys that a zone of this provider may have.
pub const KEYS: &[KeySpec] = &[
    key("etcd-endpoints", "client URLs of CoreDNS's etcd, separated by commas: http://10.0.0.5:2379"),
    key(
        "etcd-ca-file",
        "PEM file of the authority that signed etcd's certificate; else the system's are trusted",
    ),
    key("etcd-cert-file", "PEM file of our client certificate"),
    key("etcd-key-file", "PEM file of its private key"),
    key("etcd-username", "user, when etcd has authentication enabled"),
    KeySpec { name: "etcd-password", secret: true, help: "its password" },
    key("etcd-path", "what CoreDNS's etcd plugin has as `path`; /skydns when not given"),
    key("zones", "zones that this CoreDNS serves, separated by commas; the zone has to be one of them"),
    key("coredns-endpoints", "accepted for kubefed's sake, and not used"),
    key("zone-file", "instead of etcd-endpoints: the zone file that CoreDNS's file or auto plugin reads"),
    key(
        "ns",
        "name servers of the zone, separated by commas; needed to make a zone file that is not there yet",
    ),
];

/// How etcd is reached, for what is kept below `etcd-prefix`.
pub(crate) fn read_store(usual: &str, keys: &Keys) -> Result<EtcdSettings, Vec<KeyFault>> {
    let mut faults = Vec::new();
    let mut settings = read_etcd(keys, &mut faults);
    settings.path = read_path("etcd-prefix", usual, keys, &mut faults);
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

/// What is given to the two forms.
#[derive(Debug)]
pub(crate) enum Settings {
    Etcd(EtcdSettings),
    File(FileSettings),
}

/// How etcd is reached, and where the records are in it.
#[derive(Debug)]
pub(crate) struct EtcdSettings {
    /// `http://` or `https://`, all the same; never empty; no user information.
    pub(crate) endpoints: Vec<String>,
    pub(crate) ca_file: Option<PathBuf>,
    /// Certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) user: Option<(String, SecretString)>,
    /// With a leading and without a final slash; empty for the root.
    pub(crate) path: String,
}

/// Where the zone file is, and what a new one needs.
#[derive(Debug)]
pub(crate) struct FileSettings {
    pub(crate) file: PathBuf,
    pub(crate) name_servers: Vec<DnsName>,
}

pub(crate) fn read(zone: &DnsName, keys: &Keys) -> Result<Settings, Vec<KeyFault>> {
    let mut faults = Vec::new();
    check_zones(zone, keys, &mut faults);
    let settings = match (given(keys, "etcd-endpoints"), given(keys, "zone-file")) {
        (Some(_), Some(_)) => {
            fault(
                &mut faults,
                "zone-file",
                "cannot stand beside etcd-endpoints; a zone is in one of the two",
            );
            None
        }
        (None, None) => {
            fault(
                &mut faults,
                "etcd-endpoints",
                "is missing; for example etcd-endpoints = http://10.0.0.5:2379 \
                 (or zone-file = /etc/coredns/db.example.com)",
            );
            None
        }
        (Some(_), None) => Some(Settings::Etcd(read_etcd(keys, &mut faults))),
        (None, Some(file)) => Some(Settings::File(read_file(file, keys, &mut faults))),
    };
    match settings {
        Some(settings) if faults.is_empty() => Ok(settings),
        _ => Err(faults),
    }
}

fn given<'a>(keys: &'a Keys, key: &str) -> Option<&'a str> {
    keys.get(key).map(str::trim).filter(|value| !value.is_empty())
}

fn fault(faults: &mut Vec<KeyFault>, key: &str, problem: impl Into<String>) {
    faults.push(KeyFault { key: key.to_owned(), problem: problem.into() });
}

fn check_zones(zone: &DnsName, keys: &Keys, faults: &mut Vec<KeyFault>) {
    let zones = keys.list("zones");
    let named = zones.iter().any(|text| text.parse::<DnsName>().is_ok_and(|name| name == *zone));
    if !zones.is_empty() && !named {
        fault(faults, "zones", format!("does not name {zone}; it has to be one of the zones"));
    }
}

fn read_etcd(keys: &Keys, faults: &mut Vec<KeyFault>) -> EtcdSettings {
    let ca_file = given(keys, "etcd-ca-file").map(PathBuf::from);
    let identity = match (given(keys, "etcd-cert-file"), given(keys, "etcd-key-file")) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (Some(_), None) => {
            fault(faults, "etcd-key-file", "is missing; etcd-cert-file needs the private key beside it");
            None
        }
        (None, Some(_)) => {
            fault(faults, "etcd-cert-file", "is missing; etcd-key-file needs the certificate beside it");
            None
        }
        (None, None) => None,
    };
    let tls = ca_file.is_some() || identity.is_some();
    let endpoints = read_endpoints(keys, tls, faults);
    EtcdSettings {
        endpoints,
        ca_file,
        identity,
        user: read_user(keys, faults),
        path: read_path("etcd-path", "/skydns", keys, faults),
    }
}

fn read_endpoints(keys: &Keys, tls: bool, faults: &mut Vec<KeyFault>) -> Vec<String> {
    const KEY: &str = "etcd-endpoints";
    let mut endpoints = Vec::new();
    for text in keys.list(KEY) {
        let text = text.trim_end_matches('/');
        let (scheme, host) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), host)) => (scheme, host),
            Some((scheme, _)) => {
                fault(faults, KEY, format!("has the scheme '{scheme}'; http and https are possible"));
                continue;
            }
            None => (if tls { "https" } else { "http" }, text),
        };
        if host.contains('@') {
            fault(faults, KEY, "has a user in it; give it as etcd-username and etcd-password");
        } else if host.is_empty() || host.contains(['/', ' ', '?', '#']) {
            fault(faults, KEY, format!("'{text}' is not a URL such as http://10.0.0.5:2379"));
        } else if scheme == "http" && tls {
            fault(
                faults,
                KEY,
                format!("'{text}' is not encrypted, and certificates are given; use https://"),
            );
        } else {
            endpoints.push(format!("{scheme}://{host}"));
        }
    }
    let encrypted = endpoints.iter().filter(|url| url.starts_with("https")).count();
    if encrypted != 0 && encrypted != endpoints.len() {
        fault(faults, KEY, "mixes http and https; all have to be the same");
    }
    if endpoints.is_empty() && faults.iter().all(|fault| fault.key != KEY) {
        fault(faults, KEY, "names no endpoint; for example etcd-endpoints = http://10.0.0.5:2379");
    }
    endpoints
}

fn read_user(keys: &Keys, faults: &mut Vec<KeyFault>) -> Option<(String, SecretString)> {
    // A password may begin or end with a blank.
    match (given(keys, "etcd-username"), keys.get("etcd-password").filter(|secret| !secret.is_empty())) {
        (Some(name), Some(password)) => Some((name.to_owned(), SecretString::from(password))),
        (Some(_), None) => {
            fault(faults, "etcd-password", "is missing; etcd-username needs one");
            None
        }
        (None, Some(_)) => {
            fault(faults, "etcd-username", "is missing; etcd-password belongs to a user");
            None
        }
        (None, None) => None,
    }
}

fn read_path(key: &str, usual: &str, keys: &Keys, faults: &mut Vec<KeyFault>) -> String {
    let text = given(keys, key).unwrap_or(usual);
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        fault(faults, key, format!("'{text}' has '.' or '..' in it; give it as {usual}"));
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}

fn read_file(file: &str, keys: &Keys, faults: &mut Vec<KeyFault>) -> FileSettings {
    let mut name_servers = Vec::new();
    for text in keys.list("ns") {
        match text.parse::<DnsName>() {
            Ok(name) if !name.is_wildcard() => name_servers.push(name),
            Ok(_) => fault(faults, "ns", format!("'{text}' is a wildcard; a name server has a name")),
            Err(error) => fault(faults, "ns", error.to_string()),
        }
    }
    FileSettings { file: file.into(), name_servers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Keys {
        Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let zone = "example.com".parse().unwrap();
        read(&zone, &keys(pairs)).map_err(|faults| {
            faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
        })
    }

    #[track_caller]
    fn faulty(pairs: &[(&str, &str)], expected: &[&str]) {
        let faults = read_pairs(pairs).unwrap_err();
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn the_keys_of_kubefed_are_enough() {
        let settings = read_pairs(&[
            ("etcd-endpoints", "http://etcd-cluster.ns:2379"),
            ("zones", "other.example,Example.com."),
            ("coredns-endpoints", "10.0.0.1:53"),
        ]);
        let Ok(Settings::Etcd(settings)) = settings else { panic!("{settings:?}") };
        assert_eq!(settings.endpoints, ["http://etcd-cluster.ns:2379"]);
        assert_eq!(settings.path, "/skydns");
    }

    #[test]
    fn the_scheme_follows_from_the_certificates() {
        let Ok(Settings::Etcd(settings)) = read_pairs(&[
            ("etcd-endpoints", "a:2379, b:2379/"),
            ("etcd-ca-file", "/ca"),
            ("etcd-path", "dns/"),
        ]) else {
            panic!()
        };
        assert_eq!(settings.endpoints, ["https://a:2379", "https://b:2379"]);
        assert_eq!(settings.path, "/dns");
    }

    #[test]
    fn every_fault_is_said_at_once() {
        faulty(&[], &["etcd-endpoints: is missing"]);
        faulty(&[("etcd-endpoints", "a"), ("zone-file", "b")], &["zone-file: cannot stand beside"]);
        faulty(
            &[
                ("etcd-endpoints", "ftp://a,http://b/c"),
                ("zones", "example.org"),
                ("etcd-cert-file", "/c"),
                ("etcd-username", "u"),
                ("etcd-path", "/a/../b"),
            ],
            &["not name example.com", "etcd-key-file", "'ftp'", "not a URL", "etcd-password", "'..'"],
        );
        faulty(&[("etcd-endpoints", "http://a,https://b")], &["mixes"]);
        faulty(&[("etcd-endpoints", ",")], &["names no endpoint"]);
        faulty(&[("zone-file", "db"), ("ns", "a..b")], &["ns: the name has an empty label"]);
    }

    #[test]
    fn no_secret_is_shown() {
        faulty(&[("etcd-endpoints", "http://u:geheim@h")], &["has a user in it"]);
        assert!(!format!("{:?}", read_pairs(&[("etcd-endpoints", "http://u:geheim@h")])).contains("geheim"));
        let settings = read_pairs(&[
            ("etcd-endpoints", "http://h:1"),
            ("etcd-username", "u"),
            ("etcd-password", "geheim"),
        ]);
        assert!(!format!("{:?}", settings.unwrap()).contains("geheim"));
    }
}
