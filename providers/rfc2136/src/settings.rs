//! Keys of the config, checked.

use std::fmt;

use data_encoding::BASE64;
use fleetdns_core::DnsName;
use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};

use crate::wire;

/// Keys that a zone of this provider may have.
pub const KEYS: &[KeySpec] = &[
    KeySpec {
        name: "server",
        secret: false,
        help: "the zone's primary name server, HOST:PORT; port 53 when it is not given",
    },
    KeySpec { name: "tsig-key-name", secret: false, help: "name of the TSIG key, as the server knows it" },
    KeySpec { name: "tsig-secret", secret: true, help: "the key itself in base64, as tsig-keygen prints it" },
    KeySpec {
        name: "tsig-algorithm",
        secret: false,
        help: "hmac-sha256 (when it is not given), hmac-sha384 or hmac-sha512",
    },
    KeySpec {
        name: "max-records",
        secret: false,
        help: "a zone with more records, signatures not counted, is not read; 2000000 when it is not given",
    },
];

/// Records of a zone: 100,000 Services with three names each, of a few addresses and a mark.
const MAX_RECORDS: usize = 2_000_000;

/// How far clocks may be apart, in seconds (RFC 8945 §10 recommends it).
pub(crate) const FUDGE: u16 = 300;

const PORT: u16 = 53;

/// Where the server is and with what messages are signed.
pub(crate) struct Settings {
    /// `HOST:PORT`
    pub(crate) server: String,
    pub(crate) apex: Name,
    pub(crate) signer: TSigner,
    /// Most records that a transfer may have.
    pub(crate) max_records: usize,
}

/// Invariant: without the secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, key {}", self.apex, self.server, self.signer.signer_name())
    }
}

pub(crate) fn read(zone: &DnsName, keys: &Keys) -> Result<Settings, Vec<KeyFault>> {
    let mut faults = Vec::new();
    let server = keys.required("server", "ns1.example.com:53", &mut faults).map(str::trim).map(server_of);
    let name = keys.required("tsig-key-name", "fleet-key", &mut faults).map(str::trim).map(name_of);
    let secret = keys.required("tsig-secret", "BASE64", &mut faults).map(str::trim).map(secret_of);
    let algorithm = algorithm_of(keys.get("tsig-algorithm").map_or("", str::trim));
    let max_records = max_records_of(keys.get("max-records").map_or("", str::trim));
    let mut good = |key: &str, problem: String| faults.push(KeyFault { key: key.to_owned(), problem });
    let server = server.and_then(|result| result.map_err(|problem| good("server", problem)).ok());
    let name = name.and_then(|result| result.map_err(|problem| good("tsig-key-name", problem)).ok());
    let secret = secret.and_then(|result| result.map_err(|problem| good("tsig-secret", problem)).ok());
    let algorithm = algorithm.map_err(|problem| good("tsig-algorithm", problem)).ok();
    let max_records = max_records.map_err(|problem| good("max-records", problem)).ok();
    let apex = wire::name(zone).map_err(|problem| good("server", problem)).ok();
    if let (Some(server), Some(name), Some(secret), Some(algorithm), Some(apex), Some(max_records)) =
        (server, name, secret, algorithm, apex, max_records)
        && faults.is_empty()
    {
        match TSigner::new(secret, algorithm, name, FUDGE) {
            Ok(signer) => return Ok(Settings { server, apex, signer, max_records }),
            Err(error) => {
                faults.push(KeyFault { key: "tsig-algorithm".to_owned(), problem: error.to_string() });
            }
        }
    }
    Err(faults)
}

/// `HOST`, `HOST:PORT`, an IPv6 address in brackets or alone.
fn server_of(text: &str) -> Result<String, String> {
    let wrong = || format!("'{text}' is not HOST:PORT, such as ns1.example.com:53 or [2001:db8::53]:53");
    if text.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(wrong());
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(format!("[{text}]:{PORT}"));
    }
    if text.starts_with('[') && text.ends_with(']') {
        return format!("{text}:{PORT}")
            .parse::<std::net::SocketAddr>()
            .map(|a| a.to_string())
            .map_err(|_| wrong());
    }
    match text.rsplit_once(':') {
        None => Ok(format!("{text}:{PORT}")),
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => {
            let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
            if bare_v6 { Err(wrong()) } else { Ok(text.to_owned()) }
        }
        Some(_) => Err(wrong()),
    }
}

fn name_of(text: &str) -> Result<Name, String> {
    let name = Name::from_ascii(text).map_err(|_| format!("'{text}' is not a name, such as fleet-key"))?;
    // RFC 8945 §4.2: in the canonical form, which is lower case.
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// Invariant: the problem does not show the secret.
fn secret_of(text: &str) -> Result<Vec<u8>, String> {
    let secret = BASE64.decode(text.as_bytes()).map_err(|_| {
        "is not base64; it is what stands behind `secret` in the output of tsig-keygen, without quotes"
            .to_owned()
    })?;
    if secret.is_empty() { Err("is empty".to_owned()) } else { Ok(secret) }
}

fn max_records_of(text: &str) -> Result<usize, String> {
    match text.parse() {
        _ if text.is_empty() => Ok(MAX_RECORDS),
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("'{text}' is not a number of records, such as {MAX_RECORDS}")),
    }
}

fn algorithm_of(text: &str) -> Result<TsigAlgorithm, String> {
    match text.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "" | "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err(format!("'{text}' is not possible; hmac-sha256, hmac-sha384 and hmac-sha512 are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let keys = Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let faults = |faults: Vec<KeyFault>| {
            faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
        };
        read(&"example.com".parse().unwrap(), &keys).map_err(faults)
    }

    #[test]
    fn a_server_has_a_port() {
        for (text, expected) in [
            ("ns1.example.com", "ns1.example.com:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:54", "[2001:db8::53]:54"),
        ] {
            assert_eq!(server_of(text).as_deref(), Ok(expected));
        }
        for bad in [":53", "a:b", "a:0", "udp://a:53", "a b", "2001:db8::53x:53", "[a]"] {
            assert!(server_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_fault_is_said_at_once_and_without_the_secret() {
        let faults = read_pairs(&[("server", "a:b"), ("tsig-secret", "ge/heim!"), ("tsig-algorithm", "md5")]);
        let faults = faults.unwrap_err();
        let expected = [
            "tsig-key-name: is missing",
            "server: 'a:b'",
            "tsig-secret: is not base64",
            "tsig-algorithm: 'md5'",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, start) in faults.iter().zip(expected) {
            assert!(fault.starts_with(start) && !fault.contains("heim"), "{fault}");
        }
        let good = [("server", "a"), ("tsig-key-name", "Fleet-Key."), ("tsig-secret", "Z2VoZWlt")];
        let shown = format!("{:?}", read_pairs(&good).unwrap());
        assert_eq!(shown, "example.com. of a:53, key fleet-key.");
    }
}
