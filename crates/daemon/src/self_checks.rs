//! The self-check as it is shown: the canaries that the prober is given, and why the check fails.

use std::time::{Duration, SystemTime};

use fleetdns_core::{Address, SelfCheckFailure};
use fleetdns_probe::{Canary, CanaryReport};
use fleetdns_watch::MemberConfig;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::config::Config;

/// How long reading the kubeconfigs of all members may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The failure in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheckLine {
    /// `vantage` or `correlation`.
    pub kind: String,
    /// The same in words, with the facts of its beginning.
    pub reason: String,
}

impl From<&SelfCheckFailure> for SelfCheckLine {
    fn from(self_check: &SelfCheckFailure) -> Self {
        Self { kind: self_check.kind().to_owned(), reason: self_check.to_string() }
    }
}

/// One canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryLine {
    /// What it is and where.
    pub name: String,
    /// Whether anything came back when it was last probed; `None` before the first probe has ended.
    pub heard: Option<bool>,
    /// How the last probe ended, of each of its addresses.
    pub last: String,
    /// Seconds since then.
    pub seconds_ago: Option<u64>,
}

impl From<&CanaryReport> for CanaryLine {
    fn from(report: &CanaryReport) -> Self {
        let one = |last: &fleetdns_probe::Answer| last.error().unwrap_or_else(|| "ok".to_owned());
        let last: Vec<String> = match report.probes.as_slice() {
            [(_, probe)] => vec![one(&probe.last)],
            probes => probes.iter().map(|(ip, probe)| format!("{ip} {}", one(&probe.last))).collect(),
        };
        let at = report.probes.iter().map(|(_, probe)| probe.at).max();
        let unresolved = report.error.iter().map(|error| format!("does not resolve: {error}"));
        let now = SystemTime::now();
        Self {
            name: report.canary.to_string(),
            heard: report.heard(),
            last: last.into_iter().chain(unresolved).collect::<Vec<_>>().join(", "),
            seconds_ago: at.map(|at| now.duration_since(at).unwrap_or_default().as_secs()),
        }
    }
}

/// The API server of every member that is reached without a proxy, and the anchors of the config.
pub async fn canaries(config: &Config) -> Vec<Canary> {
    let members = config.members.clone();
    // Files are read, which may hang.
    let reading = tokio::task::spawn_blocking(move || members.iter().filter_map(of_member).collect());
    let apis: Vec<Canary> = match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(apis)) => apis,
        Ok(Err(_)) | Err(_) => {
            info!("kubeconfigs cannot be read in time, no API server is a canary");
            Vec::new()
        }
    };
    apis.into_iter().chain(config.brakes.anchors.iter().cloned()).collect()
}

fn of_member(member: &MemberConfig) -> Option<Canary> {
    let canary = |what: &str| info!(member = %member.name, what, "its API server is no canary");
    match fleetdns_watch::server(&member.access) {
        Ok(Some((host, port))) => match host.parse::<Address>() {
            Ok(address) => {
                let what = format!("API of {}", member.name).into();
                return Some(Canary { what, member: Some(member.name.clone()), address, port });
            }
            Err(error) => canary(&crate::chain(&error)),
        },
        Ok(None) => canary("it is reached through a proxy"),
        Err(error) => canary(&crate::chain(&error)),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    #[tokio::test]
    async fn every_api_that_is_reached_directly_is_a_canary_and_so_are_anchors() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = |name: &str, server: &str, more: &str| {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nusers: [{{name: u, user: {{}}}}]\n\
                 contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
                 clusters: [{{name: k, cluster: {{server: '{server}'{more}}}}}]\n"
            );
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        kubeconfig("a", "https://API.example.com:6443", "");
        kubeconfig("b", "https://[2001:db8::1]", "");
        kubeconfig("c", "https://c.example.com", ", proxy-url: 'http://127.0.0.1:3128'");
        let mut text = "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n".to_owned();
        for name in ["a", "b", "c", "missing"] {
            let path = folder.path().join(name);
            text.push_str(&format!("[cluster \"{name}\"]\nkubeconfig = {}\n", path.display()));
        }
        text.push_str("[brakes]\nanchors = 9.9.9.9:53\n");
        let path = folder.path().join("dns.conf");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&Flags { config: Some(path), ..Flags::default() }).unwrap();
        let found: Vec<String> = canaries(&config).await.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["API of a at api.example.com:6443", "API of b at [2001:db8::1]:443", "anchor at 9.9.9.9:53"]
        );
    }
}
