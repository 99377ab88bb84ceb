//! What every request says of us: the Authorization header, renewed when it gets old.
//!
//! Invariant: a token is set here and nowhere else, so that none reaches the Kubernetes client, which panics at some.
//! Invariant: at most one renewal runs at a time, so that a plugin that hangs does not take a thread at every retry.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::plugin::{Issued, Plugin};
use crate::secrets::Secrets;

/// A token file is read again so often, as client-go does.
const REREAD: Duration = Duration::from_secs(60);
/// A token is renewed so long before it ends.
const MARGIN: Duration = Duration::from_secs(60);
/// The shortest and the longest time for which a token is used unseen.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Where the header comes from.
#[derive(Debug, Clone)]
enum Source {
    /// It is never renewed; most often there is none.
    Fixed,
    File(PathBuf),
    Plugin(Box<Plugin>),
}

/// Why there is no header.
#[derive(Debug)]
pub(crate) enum NoHeader {
    /// The plugin's certificate expires: the plugin has to be run for a new client.
    Expired,
    /// It cannot be renewed, and why.
    Failed(String),
}

impl From<String> for NoHeader {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

type Renewal = JoinHandle<Result<(SecretString, Option<Duration>), NoHeader>>;

struct CachedCredential {
    header: Option<HeaderValue>,
    /// When it has to be renewed.
    until: Option<Instant>,
    renewal: Option<Renewal>,
}

/// The header, for all requests of one client. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Credential(Arc<Inner>);

struct Inner {
    source: Source,
    held: Mutex<CachedCredential>,
    secrets: Secrets,
}

impl Credential {
    /// Takes the tokens and passwords out of `user`; what is left for the Kubernetes client are certificates,
    /// impersonation and the old auth providers. Reads files and runs the plugin, and so may block.
    pub(crate) fn take(user: &mut AuthInfo) -> Result<Self, String> {
        let secrets = Secrets::default();
        let (token, file) = (user.token.take(), user.token_file.take().map(PathBuf::from));
        let (name, password) = (user.username.take(), user.password.take());
        let exec = user.exec.take();
        let basic = name.map(|name| {
            let password = password.as_ref().map_or("", |password| password.expose_secret());
            secrets.add(password);
            STANDARD.encode(format!("{name}:{password}"))
        });
        for value in user.auth_provider.iter().flat_map(|provider| provider.config.values()) {
            secrets.add(value);
        }
        let (source, header, lasts) = match (token, file, basic, exec) {
            (Some(_), _, Some(_), _) | (_, Some(_), Some(_), _) => {
                return Err(
                    "it has a user name beside a token, and kubectl refuses both; remove one".to_owned()
                );
            }
            // What is in the file wins where it can be read.
            (token, Some(path), ..) => {
                let token = read_token(&path).or_else(|problem| token.ok_or(problem))?;
                (Source::File(path), Some(bearer(&token, &secrets)?), Some(REREAD))
            }
            (Some(token), ..) => (Source::Fixed, Some(bearer(&token, &secrets)?), None),
            (_, _, Some(basic), _) => (Source::Fixed, Some(header("Basic", &basic, &secrets)?), None),
            (_, _, _, Some(exec)) => {
                let plugin = Plugin::new(exec)?;
                let Issued { token, identity, lasts } = plugin.run()?;
                // A client keeps the certificate that it was made with.
                let renews = identity.is_none();
                if let Some((certificate, key)) = identity {
                    user.client_certificate_data = Some(STANDARD.encode(certificate));
                    user.client_key_data = Some(STANDARD.encode(key.expose_secret()).into());
                }
                let header = token.map(|token| bearer(&token, &secrets)).transpose()?;
                let source = if renews { Source::Plugin(Box::new(plugin)) } else { Source::Fixed };
                (source, header, lasts)
            }
            _ => (Source::Fixed, None, None),
        };
        let held = CachedCredential { header, until: lasts.map(due), renewal: None };
        Ok(Self(Arc::new(Inner { source, held: Mutex::new(held), secrets })))
    }

    /// What must never be shown.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// The header for a request; says why it cannot be renewed.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>, NoHeader> {
        let mut held = self.0.held.lock().await;
        if held.until.is_none_or(|until| Instant::now() < until) {
            return Ok(held.header.clone());
        }
        let source = &self.0.source;
        let renewal = held.renewal.get_or_insert_with(|| {
            let source = source.clone();
            tokio::task::spawn_blocking(move || renew(&source))
        });
        let renewed = renewal.await.unwrap_or_else(|error| Err(error.to_string().into()));
        held.renewal = None;
        match (renewed, source) {
            (Ok((token, lasts)), _) => {
                held.header = Some(bearer(&token, &self.0.secrets)?);
                held.until = lasts.map(due);
            }
            // A file that went away leaves what it said last, as with client-go.
            (Err(_), Source::File(_)) => held.until = Some(Instant::now() + REREAD),
            (Err(problem), _) => return Err(problem),
        }
        Ok(held.header.clone())
    }
}

fn renew(source: &Source) -> Result<(SecretString, Option<Duration>), NoHeader> {
    match source {
        Source::Fixed => Err(NoHeader::Expired),
        Source::File(path) => Ok((read_token(path)?, Some(REREAD))),
        Source::Plugin(plugin) => {
            let issued = plugin.run()?;
            let token =
                issued.token.ok_or_else(|| "its credential plugin printed no token this time".to_owned())?;
            Ok((token, issued.lasts))
        }
    }
}

fn due(lasts: Duration) -> Instant {
    let early = if lasts > MARGIN * 2 { lasts.saturating_sub(MARGIN) } else { lasts / 2 };
    Instant::now() + early.clamp(SHORTEST, LONGEST)
}

fn read_token(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the token file {shown} cannot be read: {error}"))?;
    // Editors of Windows put a byte order mark in front.
    match text.trim_start_matches('\u{feff}').trim() {
        "" => Err(format!("the token file {shown} is empty")),
        token => Ok(token.into()),
    }
}

fn bearer(token: &SecretString, secrets: &Secrets) -> Result<HeaderValue, String> {
    header("Bearer", token.expose_secret(), secrets)
}

fn header(scheme: &str, text: &str, secrets: &Secrets) -> Result<HeaderValue, String> {
    secrets.add(text);
    let mut value = HeaderValue::try_from(format!("{scheme} {text}"))
        .map_err(|_| "its token has a line break or another character that no header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_renewed_by_a_new_client_even_beside_a_token() {
        for token in ["", "token: t, "] {
            let printed = format!(
                "{{status: {{{token}clientCertificateData: C, clientKeyData: K, expirationTimestamp: '2999-01-01T00:00:00Z'}}}}"
            );
            let exec = serde_json::json!({"command": "printf", "args": ["%s", printed]});
            let mut user = AuthInfo { exec: serde_json::from_value(exec).unwrap(), ..AuthInfo::default() };
            let credential = Credential::take(&mut user).unwrap();
            assert_eq!(credential.header().await.unwrap().is_some(), !token.is_empty());
            tokio::time::advance(LONGEST).await;
            assert!(matches!(credential.header().await, Err(NoHeader::Expired)), "{token}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_trimmed_and_read_again_and_its_last_token_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "\u{feff} t0ken\r\n").unwrap();
        let mut user = AuthInfo { token_file: path.to_str().map(str::to_owned), ..AuthInfo::default() };
        let credential = Credential::take(&mut user).unwrap();
        let shown = async || credential.header().await.unwrap().unwrap().to_str().unwrap().to_owned();
        assert_eq!(shown().await, "Bearer t0ken");
        std::fs::write(&path, "newer\n").unwrap();
        assert_eq!(shown().await, "Bearer t0ken");
        tokio::time::advance(REREAD).await;
        assert_eq!(shown().await, "Bearer newer");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(REREAD).await;
        assert_eq!(shown().await, "Bearer newer");
        assert!(
            Credential::take(&mut AuthInfo {
                token_file: path.to_str().map(str::to_owned),
                ..AuthInfo::default()
            })
            .err()
            .unwrap()
            .contains("cannot be read")
        );
    }
}
