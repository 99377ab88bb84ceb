//! A kubeconfig that came from an API, written by whoever may write there.
//!
//! Invariant: it runs no program and names no file of this machine unless the configuration allows that.

use std::fmt;
use std::sync::Arc;

use kube::config::{AuthInfo, Cluster};
use secrecy::{ExposeSecret, SecretString};

use crate::chosen::Chosen;

/// What a kubeconfig from elsewhere may do besides connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Run a credential plugin.
    pub exec: bool,
    /// Name certificates, keys and tokens in files of this machine.
    pub files: bool,
}

/// A kubeconfig with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Where it came from, for people.
    pub(crate) label: Arc<str>,
    text: Text,
    pub(crate) allowed: Allowed,
}

impl Given {
    /// A kubeconfig that `label` tells from others.
    pub fn new(label: &str, text: Text, allowed: Allowed) -> Self {
        Self { label: label.into(), text, allowed }
    }

    pub(crate) fn text(&self) -> &str {
        self.text.0.expose_secret()
    }

    /// Says what a context would do that it may not.
    pub(crate) fn check(&self, Chosen { cluster, user, .. }: &Chosen) -> Result<(), String> {
        if !self.allowed.exec && (user.exec.is_some() || user.auth_provider.is_some()) {
            return Err("it runs a credential plugin; [discovery] allow = exec lets it".to_owned());
        }
        if !self.allowed.files && names_files(cluster, user) {
            let problem = "it names files for its certificates, keys or token; put them into the kubeconfig itself, or \
                           [discovery] allow = files lets it";
            return Err(problem.to_owned());
        }
        Ok(())
    }
}

fn names_files(cluster: &Cluster, user: &AuthInfo) -> bool {
    let AuthInfo { token_file, client_certificate, client_key, .. } = user;
    [&cluster.certificate_authority, token_file, client_certificate, client_key]
        .iter()
        .any(|file| file.is_some())
}

/// The text of a kubeconfig. Cloning is cheap.
#[derive(Clone)]
pub struct Text(Arc<SecretString>);

impl Text {
    /// Bytes of the text.
    pub fn size(&self) -> usize {
        self.0.expose_secret().len()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Arc::new(text.into()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Text {}

/// Invariant: the text is never printed.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text")
    }
}
