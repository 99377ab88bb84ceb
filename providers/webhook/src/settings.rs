//! Keys of the config, checked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use fleetdns_core::text::duration;

/// Keys that a zone of this provider may have.
pub const KEYS: &[KeySpec] = &[
    KeySpec { name: "url", secret: false, help: "where the webhook is: http://127.0.0.1:8888" },
    KeySpec {
        name: "timeout",
        secret: false,
        help: "how long one call may take; 20s for a write and 30s for any other when it is not given. The webhook writes \
               record by record, so that many take long",
    },
    KeySpec {
        name: "bearer-token",
        secret: true,
        help: "sent as Authorization: Bearer, where a proxy asks for it",
    },
    KeySpec {
        name: "ca-file",
        secret: false,
        help: "PEM file of an authority that is trusted beside the system's, for https",
    },
];

/// For a call that may list the whole zone.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For a call of a write: the zone writes nothing else until it is answered.
const WRITE: Duration = Duration::from_secs(20);

/// How the webhook is reached.
pub(crate) struct Settings {
    /// Without a final slash.
    pub(crate) url: String,
    timeout: Option<Duration>,
    pub(crate) token: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// Invariant: without the token.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {:?}", self.url, self.timeout(false))
    }
}

impl Settings {
    /// How long a call may take.
    pub(crate) fn timeout(&self, writes: bool) -> Duration {
        self.timeout.unwrap_or(if writes { WRITE } else { TIMEOUT })
    }
}

pub(crate) fn read(keys: &Keys) -> Result<Settings, Vec<KeyFault>> {
    let mut faults = Vec::new();
    let url = keys.required("url", "http://127.0.0.1:8888", &mut faults).map(url_of);
    let mut good = |key: &str, problem: String| faults.push(KeyFault { key: key.to_owned(), problem });
    let url = url.and_then(|result| result.map_err(|problem| good("url", problem)).ok());
    let timeout = keys.get("timeout").map(timeout_of).transpose();
    let timeout = timeout.map_err(|problem| good("timeout", problem)).ok();
    let token = keys.get("bearer-token").map(str::trim).filter(|token| !token.is_empty());
    let visible = |token: &&str| token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_some_and(|token| !visible(&token)) {
        good("bearer-token", "has characters that cannot be sent in a header".to_owned());
    }
    let ca_file = keys.get("ca-file").map(str::trim).filter(|file| !file.is_empty()).map(PathBuf::from);
    match (url, timeout) {
        (Some(url), Some(timeout)) if faults.is_empty() => {
            Ok(Settings { url, timeout, token: token.map(str::to_owned), ca_file })
        }
        _ => Err(faults),
    }
}

/// Invariant: the problem does not show a password.
fn url_of(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err("has a user in it; a token belongs into bearer-token-file".to_owned());
    }
    let parsed =
        reqwest::Url::parse(text).ok().filter(|_| !host.is_empty() && !rest.contains(['?', '#', ' ']));
    match parsed {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("'{text}' is not a URL such as http://127.0.0.1:8888")),
    }
}

fn timeout_of(text: &str) -> Result<Duration, String> {
    let possible = Duration::from_secs(1)..=Duration::from_secs(3600);
    let found = duration(text).filter(|timeout| possible.contains(timeout));
    found.ok_or_else(|| format!("'{text}' is not a duration from 1s to 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let keys = Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let faults = |faults: Vec<KeyFault>| {
            faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
        };
        read(&keys).map_err(faults)
    }

    #[test]
    fn a_url_is_enough() {
        let settings = read_pairs(&[("url", "http://127.0.0.1:8888/")]).unwrap();
        assert_eq!(settings.url, "http://127.0.0.1:8888");
        assert_eq!([false, true].map(|writes| settings.timeout(writes).as_secs()), [30, 20]);
        for (text, seconds) in [("45s", 45), ("2m", 120), ("1m30s", 90)] {
            let settings = read_pairs(&[("url", "https://dns.example/hook"), ("timeout", text)]).unwrap();
            assert_eq!([false, true].map(|writes| settings.timeout(writes).as_secs()), [seconds; 2]);
        }
    }

    #[test]
    fn every_fault_is_said_at_once_and_without_the_secret() {
        assert!(read_pairs(&[]).unwrap_err()[0].starts_with("url: is missing"));
        for url in ["127.0.0.1:8888", "ftp://h", "http://", "http://h?x=1", "http:///x"] {
            assert!(read_pairs(&[("url", url)]).unwrap_err()[0].starts_with("url: '"), "{url}");
        }
        let faults =
            read_pairs(&[("url", "http://me:geheim@h"), ("timeout", "0"), ("bearer-token", "ge heim")])
                .unwrap_err();
        let starts = ["url: has a user", "timeout: '0'", "bearer-token: has characters"];
        assert_eq!(faults.len(), starts.len(), "{faults:?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start) && !fault.contains("heim"), "{fault}");
        }
        let settings = read_pairs(&[("url", "http://h"), ("bearer-token", "geheim")]).unwrap();
        assert_eq!(format!("{settings:?}"), "http://h within 30s");
    }
}
