//! Credential plugins: programs that print an ExecCredential (client.authentication.k8s.io).
//!
//! Invariant: what a plugin prints on its standard output is never shown.

use std::process::{Command, Stdio};
use std::time::Duration;

use fleetdns_core::secrets::{KeptOut, keep_out};
use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecAuthCluster, ExecConfig};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::brief;

/// A plugin, ready to be run again and again.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    exec: ExecConfig,
    /// What `KUBERNETES_EXEC_INFO` says.
    info: String,
}

/// What a plugin gave out.
pub(crate) struct Issued {
    pub(crate) token: Option<SecretString>,
    /// Certificate and key in PEM.
    pub(crate) identity: Option<(String, SecretString)>,
    /// How long it is good from now on; `None` where the plugin does not say.
    pub(crate) lasts: Option<Duration>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    api_version: Option<&'a str>,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ExecAuthCluster>,
}

#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl Plugin {
    /// From what the kubeconfig says.
    pub(crate) fn new(exec: ExecConfig) -> Result<Self, String> {
        // There is nobody to answer its questions.
        let spec = Spec { interactive: false, cluster: exec.cluster.as_ref() };
        let info = Info { api_version: exec.api_version.as_deref(), kind: "ExecCredential", spec };
        let info = serde_json::to_string(&info).map_err(|error| error.to_string())?;
        Ok(Self { exec, info })
    }

    /// Runs the plugin to its end. Blocks.
    pub(crate) fn run(&self) -> Result<Issued, String> {
        let Some(program) = &self.exec.command else {
            return Err("its credential plugin has no command".to_owned());
        };
        let mut command = Command::new(program);
        command.args(self.exec.args.iter().flatten()).stdin(Stdio::null());
        for pair in self.exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
                command.env(name, value);
            }
        }
        let done = command.env("KUBERNETES_EXEC_INFO", &self.info).output().map_err(|error| {
            let hint = self.exec.install_hint.as_deref().map(|hint| format!(" ({})", brief(hint)));
            format!(
                "its credential plugin '{}' cannot be started: {error}; install it{} or correct the command",
                brief(program),
                hint.unwrap_or_default()
            )
        })?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            // What the kubeconfig puts into its environment may be a secret.
            let values = self.exec.env.iter().flatten().filter_map(|pair| pair.get("value"));
            let _env: Vec<KeptOut> = values.map(|value| keep_out(value)).collect();
            let said = brief(said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing"));
            return Err(format!(
                "its credential plugin '{}' ended with {} and said: {said}",
                brief(program),
                done.status
            ));
        }
        issued(&done.stdout)
            .map_err(|problem| format!("its credential plugin '{}' {problem}", brief(program)))
    }
}

/// Reads an ExecCredential; plugins print JSON, and some YAML.
fn issued(printed: &[u8]) -> Result<Issued, &'static str> {
    let printed: Printed = serde_saphyr::from_slice(printed).map_err(|_| "printed no ExecCredential")?;
    let status = printed.status.ok_or("printed an ExecCredential without a status")?;
    let set = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let token = set(status.token).map(SecretString::from);
    let identity = set(status.client_certificate_data).zip(set(status.client_key_data));
    if token.is_none() && identity.is_none() {
        return Err("printed neither a token nor a certificate with its key");
    }
    let lasts = match set(status.expiration_timestamp) {
        None => None,
        Some(text) => {
            let at: Timestamp = text.parse().map_err(|_| "printed an expirationTimestamp that is no time")?;
            Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
        }
    };
    Ok(Issued { token, identity: identity.map(|(pem, key)| (pem, SecretString::from(key))), lasts })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_credential_is_read_from_json_and_yaml_and_an_empty_field_is_not_set() {
        let json = br#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1",
            "status":{"token":"t0ken\n","expirationTimestamp":null,"clientKeyData":""}}"#;
        let read = issued(json).unwrap();
        assert_eq!(read.token.unwrap().expose_secret(), "t0ken");
        assert!(read.identity.is_none() && read.lasts.is_none());
        let yaml =
            b"kind: ExecCredential\nstatus:\n  token: t\n  expirationTimestamp: '2999-01-01T00:00:00Z'\n";
        assert!(issued(yaml).unwrap().lasts.unwrap() > Duration::from_secs(1_000_000));
        let over = b"status: {token: t, expirationTimestamp: '2001-01-01T00:00:00Z'}";
        assert_eq!(issued(over).unwrap().lasts, Some(Duration::ZERO));
        let pair = br#"{"status":{"clientCertificateData":"C","clientKeyData":"K"}}"#;
        assert_eq!(issued(pair).unwrap().identity.unwrap().0, "C");
        for bad in [&b"{}"[..], b"", b"{\"status\":{}}", b"{\"status\":{\"token\":\"\"}}", b"[", b"token"] {
            assert!(issued(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
