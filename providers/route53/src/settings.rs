//! Keys of the config, checked.

use std::path::PathBuf;

use fleetdns_core::keys::{KeyFault, KeySpec, Keys};

const fn key(name: &'static str, help: &'static str) -> KeySpec {
    KeySpec { name, secret: false, help }
}

/// Keys that a zone of this provider may have.
pub const KEYS: &[KeySpec] = &[
    key(
        "profile",
        "profile of the AWS config and credentials files; else the SDK's whole credential chain is used",
    ),
    key("credentials-file", "credentials file in place of ~/.aws/credentials"),
    key("role-arn", "role to assume with those credentials: arn:aws:iam::123456789012:role/fleetdns"),
    key("external-id", "external id that the role's trust policy asks for"),
    key("zone-id", "id of the hosted zone; else it is found by its name"),
    key("zone-type", "public or private, where there are hosted zones of both kinds with the name"),
    key(
        "alias",
        "on or off: write the host name of an AWS load balancer as alias A and AAAA, which may stand at the zone's apex; \
         off writes a CNAME [on]",
    ),
    key(
        "wait-insync",
        "yes or no: ask when each batch is on all name servers of Route 53, for the log and the metrics [no]",
    ),
    key("endpoint-url", "URL of a private endpoint, or of a test server, in place of AWS's own"),
];

/// How Route 53 is reached, and which hosted zone it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) profile: Option<String>,
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) role: Option<Role>,
    /// Without a final slash.
    pub(crate) endpoint: Option<String>,
    /// Without `/hostedzone/`.
    pub(crate) zone_id: Option<String>,
    /// Whether it has to be a private one; either will do when not given.
    pub(crate) private: Option<bool>,
    /// Whether load balancers of AWS are written as aliases.
    pub(crate) aliases: bool,
    /// Whether Route 53 is asked when a batch is on all its name servers.
    pub(crate) wait_insync: bool,
}

/// A role to assume.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
}

pub(crate) fn read(keys: &Keys) -> Result<Settings, Vec<KeyFault>> {
    let mut faults = Vec::new();
    let settings = Settings {
        profile: given(keys, "profile").map(str::to_owned),
        credentials_file: given(keys, "credentials-file").map(PathBuf::from),
        role: read_role(keys, &mut faults),
        endpoint: read_endpoint(keys, &mut faults),
        zone_id: read_zone_id(keys, &mut faults),
        private: read_zone_type(keys, &mut faults),
        aliases: read_switch(keys, "alias", ["off", "on"], true, &mut faults),
        wait_insync: read_switch(keys, "wait-insync", ["no", "yes"], false, &mut faults),
    };
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

fn given<'a>(keys: &'a Keys, key: &str) -> Option<&'a str> {
    keys.get(key).map(str::trim).filter(|value| !value.is_empty())
}

fn fault(faults: &mut Vec<KeyFault>, key: &str, problem: impl Into<String>) {
    faults.push(KeyFault { key: key.to_owned(), problem: problem.into() });
}

fn read_role(keys: &Keys, faults: &mut Vec<KeyFault>) -> Option<Role> {
    let external_id = given(keys, "external-id").map(str::to_owned);
    let Some(arn) = given(keys, "role-arn") else {
        if external_id.is_some() {
            fault(faults, "role-arn", "is missing; external-id belongs to a role");
        }
        return None;
    };
    let parts: Vec<&str> = arn.split(':').collect();
    if !matches!(&parts[..], ["arn", _, "iam", "", _, role] if role.starts_with("role/")) {
        fault(
            faults,
            "role-arn",
            format!("'{arn}' is not the ARN of a role, such as arn:aws:iam::123456789012:role/fleetdns"),
        );
    }
    Some(Role { arn: arn.to_owned(), external_id })
}

fn read_endpoint(keys: &Keys, faults: &mut Vec<KeyFault>) -> Option<String> {
    let text = given(keys, "endpoint-url")?.trim_end_matches('/');
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if host.contains('@') {
        fault(faults, "endpoint-url", "has a user in it; credentials come from profile or the environment");
    } else if host.is_empty() || host.contains([' ', '?', '#']) {
        fault(faults, "endpoint-url", format!("'{text}' is not a URL such as https://route53.example.com"));
    }
    Some(text.to_owned())
}

fn read_zone_id(keys: &Keys, faults: &mut Vec<KeyFault>) -> Option<String> {
    let text = given(keys, "zone-id")?;
    let id = text.trim_start_matches("/hostedzone/");
    if id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        fault(
            faults,
            "zone-id",
            format!("'{text}' is not the id of a hosted zone, such as Z0123456789ABCDEFGHIJ"),
        );
    }
    Some(id.to_owned())
}

fn read_zone_type(keys: &Keys, faults: &mut Vec<KeyFault>) -> Option<bool> {
    let text = given(keys, "zone-type")?;
    match text.to_ascii_lowercase().as_str() {
        "public" => Some(false),
        "private" => Some(true),
        _ => {
            fault(faults, "zone-type", format!("'{text}' is neither public nor private"));
            None
        }
    }
}

/// One of two words; the second is yes.
fn read_switch(keys: &Keys, key: &str, words: [&str; 2], default: bool, faults: &mut Vec<KeyFault>) -> bool {
    let Some(text) = given(keys, key) else { return default };
    let position = words.iter().position(|word| text.eq_ignore_ascii_case(word));
    if position.is_none() {
        fault(faults, key, format!("'{text}' is neither {} nor {}", words[1], words[0]));
    }
    position == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        read(&Keys::new(pairs)).map_err(|faults| {
            faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
        })
    }

    #[test]
    fn nothing_has_to_be_said() {
        let nothing = Settings {
            profile: None,
            credentials_file: None,
            role: None,
            endpoint: None,
            zone_id: None,
            private: None,
            aliases: true,
            wait_insync: false,
        };
        assert_eq!(read_pairs(&[]).unwrap(), nothing);
    }

    #[test]
    fn what_is_said_is_taken() {
        let settings = read_pairs(&[
            ("profile", "dns"),
            ("role-arn", "arn:aws:iam::123456789012:role/team/fleetdns"),
            ("external-id", "x"),
            ("endpoint-url", "http://127.0.0.1:4566/"),
            ("zone-id", "/hostedzone/Z0123"),
            ("zone-type", "Private"),
            ("alias", "Off"),
            ("wait-insync", "yes"),
        ])
        .unwrap();
        assert_eq!(settings.zone_id.as_deref(), Some("Z0123"));
        assert_eq!((settings.private, settings.aliases, settings.wait_insync), (Some(true), false, true));
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(settings.role.unwrap().external_id.as_deref(), Some("x"));
    }

    #[test]
    fn every_fault_is_said_at_once() {
        let faults = read_pairs(&[
            ("role-arn", "arn:aws:iam::1:user/me"),
            ("endpoint-url", "route53.example.com"),
            ("zone-id", "my zone"),
            ("zone-type", "hidden"),
            ("alias", "maybe"),
            ("wait-insync", "on"),
        ])
        .unwrap_err();
        let expected = [
            "role-arn: 'arn:aws:iam::1:user/me'",
            "endpoint-url: '",
            "zone-id: '",
            "zone-type: '",
            "alias: '",
            "wait-insync: '",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.starts_with(part), "{fault}");
        }
        assert!(read_pairs(&[("external-id", "x")]).unwrap_err()[0].starts_with("role-arn: is missing"));
        let faults = read_pairs(&[("endpoint-url", "https://me:geheim@h")]).unwrap_err();
        assert!(faults[0].contains("has a user in it") && !faults[0].contains("geheim"), "{faults:?}");
    }
}
