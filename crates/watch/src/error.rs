//! What can go wrong between a member and us, by what is done about it.
//!
//! Invariant: no text here holds a token, a key, or what a credential plugin printed on its standard output.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::MemberName;
use fleetdns_core::text::printable;
use kube::client::AuthError;
use thiserror::Error;

use crate::secrets::Secrets;

/// Why watching cannot go on, or cannot begin.
#[derive(Debug, Error)]
pub enum WatchError {
    /// A kubeconfig cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The task of a member ended though nobody asked it to.
    #[error("the task that watches {member} ended: {reason}")]
    Ended {
        /// Which one.
        member: MemberName,
        /// What is known of it.
        reason: String,
    },
}

/// Why no client can be made from a kubeconfig or from the pod's own account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessError {
    /// None of the files exists.
    #[error("there is no kubeconfig: {} does not exist; create it or name another file", list(.paths))]
    Missing {
        /// Files that were looked for.
        paths: Vec<PathBuf>,
    },
    /// A file is there and cannot be read.
    #[error("the kubeconfig {} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file is not a kubeconfig.
    #[error("the kubeconfig {} is not valid YAML of a kubeconfig{place}; mend it", .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// ` at line L, column C`, when it is known.
        place: String,
    },
    /// No context is named, and the files name no current one.
    #[error("{} has no current-context; name a context", list(.paths))]
    NoContext {
        /// Files that were read.
        paths: Vec<PathBuf>,
    },
    /// The context is not in the files.
    #[error("there is no context '{context}' in {}; it has: {}", list(.paths), .known.join(", "))]
    UnknownContext {
        /// Which one was asked for.
        context: String,
        /// Files that were read.
        paths: Vec<PathBuf>,
        /// Contexts that are there.
        known: Vec<String>,
    },
    /// Two contexts, clusters or users have one name, and it is not clear which is meant.
    #[error(
        "different {kind} have the name '{name}': in {}; rename one of them, or name the kubeconfig of each cluster in \
         a section of its own",
        both(.paths)
    )]
    Ambiguous {
        /// `contexts`, `clusters` or `users`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The files, twice the same when both stand in one.
        paths: Vec<PathBuf>,
    },
    /// Something that the context needs is missing or wrong.
    #[error("{credentials} cannot be used: {problem}")]
    Unusable {
        /// Context and files.
        credentials: Arc<str>,
        /// What is wrong.
        problem: String,
    },
    /// Not in a pod, or a pod without a service account.
    #[error("the pod's own account cannot be used: {problem}; outside of a pod, name a kubeconfig")]
    NotInPod {
        /// What is missing.
        problem: String,
    },
    /// The credential plugin hangs.
    #[error("{credentials} gave no client within {seconds} s; does its credential plugin hang?")]
    Slow {
        /// Context and files.
        credentials: Arc<str>,
        /// How long was waited.
        seconds: u64,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn both(paths: &[PathBuf]) -> String {
    match paths {
        [one, other] if one == other => format!("{}, twice", one.display()),
        _ => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and in "),
    }
}

/// Whom we talk to, and as whom.
#[derive(Clone)]
pub(crate) struct Peer {
    /// URL of the API server.
    pub(crate) server: Arc<str>,
    /// Where the credentials come from, in words.
    pub(crate) credentials: Arc<str>,
    /// Why no server can be trusted, when the kubeconfig itself shows it.
    pub(crate) authority: Option<Arc<str>>,
    /// What the server may know of us and nobody else.
    pub(crate) secrets: Secrets,
}

impl Peer {
    /// A text of the server, short and without our credentials in it.
    pub(crate) fn brief(&self, text: &str) -> String {
        brief(&self.secrets.redact(text))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a request to a member's API gave nothing.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the certificate of the credential plugin of {credentials} expires; a new one is fetched")]
    CertificateExpires { credentials: Arc<str> },
    #[error("{} does not accept the credentials (401) to {action}; renew those of {}", .peer.server, .peer.credentials)]
    Unauthorized { peer: Peer, action: &'static str },
    #[error("{} does not allow to {action} (403): {message}; {}", .peer.server, grant(action))]
    Forbidden { peer: Peer, action: &'static str, message: String },
    #[error("{} no longer knows the version from which to {action} (410)", .peer.server)]
    Expired { peer: Peer, action: &'static str },
    #[error("{} answers {code} to the request to {action}: {message}", .peer.server)]
    Status { peer: Peer, action: &'static str, code: u16, message: String, retry_after: Duration },
    #[error("{} gave no answer within {seconds} s to the request to {action}; is it frozen, or cut off by a firewall?", .peer.server)]
    Silent { peer: Peer, action: &'static str, seconds: f64 },
    #[error("{} cannot be reached to {action}: {reason}; {remedy}", .peer.server)]
    Unreachable { peer: Peer, action: &'static str, reason: String, remedy: &'static str },
    #[error("{} gave an answer that cannot be used to {action}: {problem}", .peer.server)]
    Broken { peer: Peer, action: &'static str, problem: String },
    #[error("{} answered the request to {action} with {what}", .peer.server)]
    TooMuch { peer: Peer, action: &'static str, what: String },
    #[error("it was not listed within {seconds} s; its API answers too slowly")]
    Late { seconds: u64 },
}

/// What lets a reader in.
fn grant(action: &str) -> &'static str {
    match action {
        "write events" | "patch services" => GRANT_EVENTS,
        _ if action.ends_with("secrets") || action.ends_with("clusterprofiles") => GRANT_DISCOVERY,
        _ => GRANT,
    }
}

const GRANT_EVENTS: &str = "config/kubernetes/member-events-rbac.yaml has the rights to grant";

const GRANT_DISCOVERY: &str = "config/kubernetes/discovery-rbac.yaml has the rights to grant";
const GRANT: &str = "grant it with a ClusterRole: kubectl create clusterrole fleetdns \
    --verb=get,list,watch --resource=services,nodes, and a clusterrolebinding of it to this user";

impl Fault {
    /// Whether a new client, with credentials read again, may do better.
    pub(crate) const fn wants_new_client(&self) -> bool {
        matches!(
            self,
            Self::Access(_)
                | Self::CertificateExpires { .. }
                | Self::Unauthorized { .. }
                | Self::Unreachable { .. }
                | Self::Silent { .. }
        )
    }

    pub(crate) const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }

    /// How long to wait at least: as the server asks, and long when reading it again costs as much as before.
    pub(crate) const fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::TooMuch { .. } => TOO_MUCH_PAUSE,
            _ => Duration::ZERO,
        }
    }

    /// From the status of an answer, and what it says of it.
    pub(crate) fn of_status(code: u16, said: &Said, peer: &Peer, action: &'static str) -> Self {
        let (peer, message) = (peer.clone(), peer.brief(&said.message));
        match code {
            401 => Self::Unauthorized { peer, action },
            403 => Self::Forbidden { peer, action, message },
            410 => Self::Expired { peer, action },
            code => Self::Status { peer, action, code, message, retry_after: said.retry_after },
        }
    }

    /// From what the Kubernetes client says.
    pub(crate) fn of(error: &kube::Error, peer: &Peer, action: &'static str) -> Self {
        if let Some(auth) = find::<AuthError>(error) {
            let problem = peer.brief(&auth_problem(auth));
            return Self::Access(AccessError::Unusable {
                credentials: Arc::clone(&peer.credentials),
                problem,
            });
        }
        Self::unreachable(error, peer, action)
    }

    /// From what happened to a connection.
    pub(crate) fn unreachable(error: &(dyn StdError + 'static), peer: &Peer, action: &'static str) -> Self {
        let (mut reason, remedy) = reason(error);
        if let (true, Some(authority)) = (reason.contains("UnknownIssuer"), &peer.authority) {
            reason = format!("{reason}: {authority}");
        }
        Self::Unreachable { peer: peer.clone(), action, reason: peer.brief(&reason), remedy }
    }
}

/// How long a member is left alone that sent more than it may.
const TOO_MUCH_PAUSE: Duration = Duration::from_secs(60);

/// What an answer says of its status.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) message: String,
    /// How long it asks to wait, bounded.
    pub(crate) retry_after: Duration,
}

/// Why a client refused its credentials, without anything that could be one.
pub(crate) fn auth_problem(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = brief(said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing"));
            format!("its credential plugin ended with {} and said: {said}", out.status)
        }
        AuthError::AuthExecStart(error) => {
            format!("its credential plugin cannot be started: {error}; install it or correct the command")
        }
        AuthError::AuthExecParse(_) => "its credential plugin printed no ExecCredential".to_owned(),
        other => brief(&other.to_string()),
    }
}

fn reason(error: &(dyn StdError + 'static)) -> (String, &'static str) {
    let refused = find::<io::Error>(error).is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    let root = brief(&root(error).to_string());
    if root == "deadline has elapsed" {
        return ("there was no connection in time".to_owned(), "is it frozen, or cut off by a firewall?");
    }
    let whole = chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ").to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| whole.contains(word));
    let proxy = has(&["tunnel error", "socks error"]);
    let remedy = if proxy {
        "is the proxy running, and does it let fleetdns through? proxy-url in the kubeconfig or HTTPS_PROXY names it"
    } else if refused {
        "is the API server running, and the address right?"
    } else if has(&["dns error", "lookup"]) {
        "does its name resolve on this machine?"
    } else if has(&["certificate", "tls", "handshake", "unknownissuer"]) {
        "check certificate-authority, client certificate and tls-server-name in the kubeconfig"
    } else {
        "is the network there, and the address right?"
    };
    (if refused { "the connection is refused".to_owned() } else { root }, remedy)
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
    .take(16)
}

fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    chain(error).last().unwrap_or(error)
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref::<E>())
}

/// One line of what a log bears.
pub(crate) fn brief(text: &str) -> String {
    let line = text.split_whitespace().take(200).collect::<Vec<_>>().join(" ");
    printable(&line).into_owned()
}
